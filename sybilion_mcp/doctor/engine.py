"""The embedded engine: installed, and able to finish a tiny job in a folder of its own."""

import math
import tempfile
import time
from concurrent.futures import Executor
from importlib.util import find_spec
from pathlib import Path

import anyio

from sybilion_mcp.backends.base import BackendError
from sybilion_mcp.clock import utc_today
from sybilion_mcp.contract.months import month_index, month_of
from sybilion_mcp.doctor.finding import Finding, ok, problem, warning
from sybilion_mcp.hints import Refusal
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.settings import Settings

SECONDS = 30.0
_LOOK_SECONDS = 0.05
_MONTHS = 40
_INSTALL = "Run: pip install 'sybilion-mcp[engine]'"


async def check_engine(settings: Settings, executor: Executor | None = None) -> Finding:
    """A made-up series, one month ahead, through the same wire as every other job; in `executor` if there is one."""
    if find_spec("statsforecast") is None:
        if settings.default_backend == "local":
            return problem("engine", "not installed, and it is the backend", _INSTALL)
        return warning("engine", 'not installed: backend="local" is not there', _INSTALL)
    start = time.perf_counter()
    try:
        with tempfile.TemporaryDirectory(prefix="sybilion-mcp-doctor-") as home:
            status = await _tiny_job(Path(home), executor)
    except TimeoutError:
        return problem("engine", f"a tiny job was not done within {SECONDS:.0f} seconds", "See what else runs here.")
    except (OSError, RuntimeError, ImportError, BackendError, Refusal) as error:
        return problem("engine", f"a tiny job failed ({type(error).__name__})", f"{_INSTALL} --force-reinstall")
    if status != "completed":
        return problem("engine", f"a tiny job ended as {status}", f"{_INSTALL} --force-reinstall")
    return ok("engine", f"did a tiny job in {time.perf_counter() - start:.1f} s")


async def _tiny_job(home: Path, executor: Executor | None) -> str:
    desk = Desk(Settings(home=home, backend="local"), executor=executor)
    try:
        with anyio.fail_after(SECONDS):
            local = desk.backend("local")
            job_id = (await local.submit(_request())).job_id
            while True:
                job = await local.job(job_id)
                if job.finished:
                    return job.status
                await anyio.sleep(_LOOK_SECONDS)  # jobs are looked at, they do not call
    finally:
        await desk.aclose()


def _request() -> dict[str, object]:
    last = month_index(utc_today()) - 1
    series = {f"{month_of(month)}-01": 100 + 9 * math.sin(month) for month in range(last - _MONTHS + 1, last + 1)}
    return {
        "pipeline_version": "v1",
        "frequency": "monthly",
        "recency_factor": 0.5,
        "soft_horizon": 1,
        "timeseries_metadata": {"title": "A series that doctor made up"},
        "timeseries": series,
        "filters": {"limit": 0},
    }
