"""Work that is shared: however many ask for the same at once, it is done once, and only while somebody waits."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import TypeVar, cast

import anyio

Outcome = TypeVar("Outcome")


@dataclass
class _Work:
    task: asyncio.Task[object]
    scope: anyio.CancelScope
    waiting: int = 0


class Shared:
    """Work under way, by what it is about. There is nothing to close: where nobody waits, nothing is under way."""

    def __init__(self) -> None:
        self._under_way: dict[Hashable, _Work] = {}

    async def once(self, about: Hashable, work: Callable[[], Awaitable[Outcome]]) -> Outcome:
        """The outcome of the work under way about this, which is begun when there is none. Raises what it raises.

        Who is cancelled leaves it to the others; the last one to leave cancels it and waits for its end.
        """
        one = self._under_way.get(about) or self._begin(about, work)
        one.waiting += 1
        try:
            await asyncio.wait({one.task})
        finally:
            one.waiting -= 1
            if not one.waiting:
                await self._end(about, one)
        return cast("Outcome", one.task.result())

    def _begin(self, about: Hashable, work: Callable[[], Awaitable[Outcome]]) -> _Work:
        scope = anyio.CancelScope()

        async def run() -> object:
            try:
                with scope:
                    return await work()
                raise asyncio.CancelledError  # nobody waits for an outcome any more
            finally:
                if self._under_way.get(about) is one:  # others may have begun anew while this one was ending
                    del self._under_way[about]

        one = self._under_way[about] = _Work(asyncio.create_task(run(), name=f"shared {about}"), scope)
        return one

    async def _end(self, about: Hashable, one: _Work) -> None:
        if not one.task.done():
            del self._under_way[about]
            one.scope.cancel()  # not the task: what is shielded in it has to end as it would
            with anyio.CancelScope(shield=True):
                await asyncio.wait({one.task})
        if not one.task.cancelled():
            one.task.exception()  # retrieved, so that nothing complains
