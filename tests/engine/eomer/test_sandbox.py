"""The sandbox on a port: any client, worker processes, a clean end."""

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from sybilion_mcp.backends.eomer import EomerClient
from sybilion_mcp.contract.eomer_table import read_forecast_table
from tests.conftest import until

from .made_up import SHAPES, body

pytestmark = pytest.mark.anyio

SERVE = """
import sys
from pathlib import Path
from sybilion_mcp.engine.eomer.sandbox import serve_eomer_sandbox

serve_eomer_sandbox("127.0.0.1", 0, Path(sys.argv[1]))
"""


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A served sandbox and the line it prints."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process, process.stdout.readline()
        process.kill()


async def test_jobs_of_all_frequencies_at_once_and_many_series_in_one(
    sandbox: tuple[subprocess.Popen[str], str],
) -> None:
    process, line = sandbox
    url = re.search(r"http://\S+:\d+", line)
    assert url is not None
    client = EomerClient(url[0], "any")

    jobs = [(await client.submit(body(alias))).job_id for alias in SHAPES]
    jobs.append((await client.submit(body("D", 60, 40))).job_id)
    with anyio.fail_after(90):
        for job_id in jobs:
            await _completed(client, job_id)
    tables = [read_forecast_table(await client.artifact(job_id, "forecast.csv")) for job_id in jobs]
    await client.aclose()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)

    assert [len(one.series) for one in tables] == [3, 3, 3, 3, 60]
    assert process.returncode == 0
    assert errors == ""


async def _completed(client: EomerClient, job_id: str) -> None:
    async def is_finished() -> bool:
        job = await client.job(job_id)
        assert job.status != "failed"
        return job.finished

    await until(is_finished, 90)
