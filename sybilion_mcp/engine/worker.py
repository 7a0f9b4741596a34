"""What happens inside a worker process: its start-up, and one job or hindcast."""

import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from importlib import import_module
from multiprocessing.connection import Connection

from sybilion_mcp.engine.candidate import Candidate
from sybilion_mcp.engine.measured import Hindcast

SINGLE_THREADED = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def start_worker(lifeline: Connection) -> None:
    """Prepare a fresh worker process; `lifeline` reaches its end when the parent dies or wants the worker gone.

    The parent's stdin and stdout may carry a protocol, so the worker lets go of both. A signal to end goes to a whole
    group of processes; the parent decides what becomes of a job then, so the worker does not listen. The number of
    threads is fixed before numpy is imported: one per process, because the processes are the parallelism.
    """
    _let_go_of_stdio()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.environ.update(dict.fromkeys(SINGLE_THREADED, "1"))
    threading.Thread(target=_exit_with_parent, args=(lifeline,), daemon=True, name="lifeline").start()


def warm_up() -> None:
    """Import what the first job would have to wait for."""
    for name in ("sybilion_mcp.engine.pipeline", "statsforecast.models"):
        import_module(name)


def run_job(request: str, candidates: tuple[Candidate, ...] = ()) -> dict[str, bytes]:
    """Run one forecast request (JSON text) to its artifacts: file name → content."""
    from sybilion_mcp.engine.pipeline import run_pipeline

    return run_pipeline(json.loads(request), candidates)


def run_hindcast(
    values: Sequence[float], horizon: int, origins: Sequence[int], strictly_positive: bool = False
) -> Hindcast:
    """Measure the engine on a series; see `hindcast`."""
    from sybilion_mcp.engine.hindcast import hindcast

    return hindcast(values, horizon, origins, strictly_positive=strictly_positive)


def _let_go_of_stdio() -> None:
    sys.stdout.flush()
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(2 if _is_open(2) else null, 1)
    if null > 2:
        os.close(null)


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def _exit_with_parent(lifeline: Connection) -> None:
    try:
        lifeline.recv_bytes()
    except (EOFError, OSError):
        os._exit(0)  # the parent is gone: nobody waits for a clean end
