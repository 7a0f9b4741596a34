"""A worker process that imports what a job needs while everything else is looked at: that takes most of the time."""

from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from importlib.util import find_spec

from sybilion_mcp.engine.pool import Process
from sybilion_mcp.engine.worker import warm_up


@contextmanager
def warmed() -> Iterator[Executor | None]:
    """None where there is no engine, or no process could be started; the engine tells why when it is asked itself."""
    if find_spec("statsforecast") is None:
        yield None
        return
    try:
        process = Process.start()
    except (OSError, RuntimeError):
        yield None
        return
    try:
        process.pool.submit(warm_up)
        yield process.pool
    finally:
        process.hang_up()
        process.pool.shutdown(cancel_futures=True)
