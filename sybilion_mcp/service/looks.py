"""Looks at jobs: however many wait for one job, it is looked at once, and only while somebody waits."""

from collections.abc import Awaitable, Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

import anyio

from sybilion_mcp.backends.base import BackendError
from sybilion_mcp.contract.jobs import Job
from sybilion_mcp.service.shared import Shared

Look = Callable[[], Awaitable[Job]]


@dataclass
class _Watch:
    """What is known of a job while somebody waits for it. `due`: when the next look is, in seconds of the loop."""

    pause: float
    longest: float
    watchers: int = 0
    looks: int = 0
    due: float = 0.0
    job: Job | None = None
    error: BackendError | None = None

    def note(self, job: Job | None, error: BackendError | None = None) -> None:
        self.looks += 1
        self.job, self.error = job, error
        self.due = anyio.current_time() + self.pause
        self.pause = min(self.pause * 1.5, self.longest)


@dataclass
class Looks:
    """The looks at the jobs of one desk. Jobs are told apart by backend and id."""

    shared: Shared = field(default_factory=Shared)
    _watches: dict[Hashable, _Watch] = field(default_factory=dict)

    async def now(self, about: Hashable, look: Look) -> Job:
        """A look at the job, or the outcome of the one that is under way."""
        return await self.shared.once(("look", about), partial(self._noted, about, look))

    @contextmanager
    def watching(self, about: Hashable, look: Look, pace: tuple[float, float]) -> Iterator["Watcher"]:
        """For who waits for a job. `pace`: seconds between its looks, at first and at most; the first one sets it."""
        watch = self._watches.setdefault(about, _Watch(*pace))
        watch.watchers += 1
        try:
            yield Watcher(watch, partial(self.now, about, look))
        finally:
            watch.watchers -= 1
            if not watch.watchers:
                del self._watches[about]

    async def _noted(self, about: Hashable, look: Look) -> Job:
        try:
            job = await look()
        except BackendError as error:
            if about in self._watches:
                self._watches[about].note(None, error)
            raise
        if about in self._watches:
            self._watches[about].note(job)
        return job


@dataclass(frozen=True, slots=True)
class Watcher:
    """One of those who wait for a job; it sees what any of them sees."""

    _watch: _Watch
    _look: Look

    async def latest(self) -> Job:
        """The last look while it is younger than the pause between two, else a new one. Raises `BackendError`."""
        if self._watch.job is not None and anyio.current_time() < self._watch.due:
            return self._watch.job
        return await self._look()

    async def following(self) -> Job:
        """The look after the last one, when the pause is over. Raises `BackendError`."""
        looks = self._watch.looks
        await anyio.sleep_until(self._watch.due)
        if self._watch.looks == looks:
            return await self._look()
        if self._watch.error is not None:
            raise self._watch.error
        assert self._watch.job is not None  # a look leaves one of the two
        return self._watch.job
