"""How long something takes by itself, on a machine that does other things too."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

wall_clock = pytest.mark.flaky(reruns=2)
"""A bound on elapsed time, held if one run of three holds it: a busy machine may stop any single one."""


def cpu_seconds(action: Callable[[], object], rounds: int = 1) -> float:
    """What the shortest of so many rounds takes of a processor, in seconds."""
    with _untraced():
        return min(_cpu_seconds(action) for _ in range(rounds))


def _cpu_seconds(action: Callable[[], object]) -> float:
    started = time.thread_time()
    action()
    return time.thread_time() - started


@contextmanager
def _untraced() -> Iterator[None]:
    """Without the tracer that counts covered lines: it makes Python four times slower."""
    tracer = sys.gettrace()
    sys.settrace(None)
    try:
        yield
    finally:
        sys.settrace(tracer)
