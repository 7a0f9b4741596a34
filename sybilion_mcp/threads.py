"""Threads for one kind of work: it goes on however long the threads of other work are taken."""

from collections.abc import Callable
from typing import TypeVar, TypeVarTuple

import anyio.to_thread
from anyio import CapacityLimiter
from anyio.lowlevel import RunVar

Arguments = TypeVarTuple("Arguments")
Done = TypeVar("Done")


class Threads:
    """At most so many at once. Work that waits for other work to be done in a thread needs threads of its own."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._limiter: RunVar[CapacityLimiter] = RunVar("limiter")  # each event loop has its own

    async def run(self, work: Callable[[*Arguments], Done], *arguments: *Arguments) -> Done:
        """What the work returns; it is not cancelled once it has begun."""
        limiter = self._limiter.get(None)
        if limiter is None:
            limiter = CapacityLimiter(self._most)
            self._limiter.set(limiter)
        return await anyio.to_thread.run_sync(work, *arguments, limiter=limiter)
