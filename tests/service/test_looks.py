"""Looks are shared: one at a time, for as long as somebody waits, and whoever leaves disturbs nobody."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import anyio
import pytest

from sybilion_mcp.backends.base import BackendError
from sybilion_mcp.contract.jobs import Job
from sybilion_mcp.service.looks import Looks

pytestmark = pytest.mark.anyio

FAR = (600.0, 600.0)
NEAR = (0.02, 0.02)


@dataclass
class Backend:
    """Answers when it is told to; `looks` counts what it was asked, `ended` what came to an end."""

    looks: int = 0
    ended: int = 0
    status: str = "running"
    error: BackendError | None = None
    asked: anyio.Event = field(default_factory=anyio.Event)
    answers: anyio.Event = field(default_factory=anyio.Event)

    async def look(self) -> Job:
        self.looks += 1
        self.asked.set()
        try:
            await self.answers.wait()
            if self.error is not None:
                raise self.error
            return Job(job_id="j1", status=self.status)
        finally:
            self.ended += 1


@pytest.fixture
def backend() -> Backend:
    return Backend()


@pytest.fixture(autouse=True)
async def nothing_left_behind() -> AsyncIterator[None]:
    yield
    assert [task for task in asyncio.all_tasks() if task.get_name().startswith("shared ")] == []


@dataclass
class Caller:
    """One of many who ask; it can leave."""

    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    outcome: object = None

    async def __call__(self, asking: Callable[[], Awaitable[object]]) -> None:
        with self.scope:
            try:
                self.outcome = await asking()
            except BackendError as error:
                self.outcome = error


async def many(
    number: int, asking: Callable[[], Awaitable[object]], then: Callable[[list[Caller]], object]
) -> list[Caller]:
    """That many callers at once; when all of them wait, `then` happens."""
    callers = [Caller() for _ in range(number)]
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            for caller in callers:
                group.start_soon(caller, asking)
            await anyio.wait_all_tasks_blocked()
            then(callers)
    return callers


async def test_many_at_once_are_one_look(backend: Backend) -> None:
    looks = Looks()

    callers = await many(100, lambda: looks.now("j1", backend.look), lambda _: backend.answers.set())

    assert backend.looks == 1
    assert {caller.outcome.status for caller in callers} == {"running"}


async def test_who_comes_later_has_a_look_of_its_own(backend: Backend) -> None:
    looks = Looks()
    backend.answers.set()

    await looks.now("j1", backend.look)
    await looks.now("j1", backend.look)

    assert backend.looks == 2


async def test_jobs_do_not_share(backend: Backend) -> None:
    looks = Looks()
    backend.answers.set()

    async with anyio.create_task_group() as group:
        for about in (("local", "j1"), ("sybilion", "j1"), ("sybilion", "j2")):
            group.start_soon(looks.now, about, backend.look)

    assert backend.looks == 3


@pytest.mark.parametrize("leaving", [slice(0, 1), slice(1, 2), slice(0, 99), slice(1, 100)])
async def test_who_leaves_disturbs_nobody(backend: Backend, leaving: slice) -> None:
    def leave(callers: list[Caller]) -> None:
        for caller in callers[leaving]:
            caller.scope.cancel()
        asyncio.get_running_loop().call_later(0.01, backend.answers.set)

    looks = Looks()
    callers = await many(100, lambda: looks.now("j1", backend.look), leave)

    stayed = [caller for caller in callers if caller not in callers[leaving]]
    assert backend.looks == 1
    assert all(isinstance(caller.outcome, Job) for caller in stayed)
    assert all(caller.outcome is None for caller in callers[leaving])


async def test_the_last_to_leave_ends_the_look(backend: Backend) -> None:
    looks = Looks()

    def leave(callers: list[Caller]) -> None:
        for caller in callers:
            caller.scope.cancel()

    callers = await many(100, lambda: looks.now("j1", backend.look), leave)

    assert (backend.looks, backend.ended) == (1, 1)
    assert {caller.outcome for caller in callers} == {None}
    backend.answers.set()
    assert (await looks.now("j1", backend.look)).status == "running"


async def test_a_look_that_nobody_waits_for_may_not_even_begin(backend: Backend) -> None:
    """Given a caller that leaves before the look has begun."""
    looks = Looks()
    backend.answers.set()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await looks.now("j1", backend.look)

    assert scope.cancelled_caught
    assert (await looks.now("j1", backend.look)).status == "running"


async def test_an_error_reaches_all_and_then_there_is_a_new_look(backend: Backend) -> None:
    looks = Looks()
    backend.error = BackendError("job", "down")

    callers = await many(100, lambda: looks.now("j1", backend.look), lambda _: backend.answers.set())

    assert backend.looks == 1
    assert {caller.outcome for caller in callers} == {backend.error}
    backend.error = None
    assert (await looks.now("j1", backend.look)).status == "running"


async def test_a_late_joiner_gets_the_last_look_while_it_is_young(backend: Backend) -> None:
    looks = Looks()
    backend.answers.set()

    with looks.watching("j1", backend.look, FAR) as first:
        await first.latest()
        with looks.watching("j1", backend.look, FAR) as late:
            assert await late.latest() == await first.latest()
            assert backend.looks == 1
    with looks.watching("j1", backend.look, FAR) as later:  # nobody waited any more
        await later.latest()
    assert backend.looks == 2


async def test_watchers_share_every_look_and_see_it_at_once(backend: Backend) -> None:
    looks = Looks()

    async def wait() -> list[str]:
        with looks.watching("j1", backend.look, NEAR) as watcher:
            seen = [await watcher.latest()]
            while len(seen) < 5:
                seen.append(await watcher.following())
        return [job.status for job in seen]

    callers = await many(100, wait, lambda _: backend.answers.set())

    assert backend.looks == 5
    assert {tuple(caller.outcome) for caller in callers} == {("running",) * 5}


async def test_a_failing_look_reaches_all_watchers(backend: Backend) -> None:
    looks = Looks()

    async def wait() -> Job:
        with looks.watching("j1", backend.look, NEAR) as watcher:
            await watcher.latest()
            backend.error = BackendError("job", "down")
            return await watcher.following()

    callers = await many(100, wait, lambda _: backend.answers.set())

    assert backend.looks == 2
    assert {caller.outcome for caller in callers} == {backend.error}


async def test_watchers_see_what_others_looked_for(backend: Backend) -> None:
    looks = Looks()
    backend.answers.set()

    with anyio.fail_after(5), looks.watching("j1", backend.look, NEAR) as watcher:
        await watcher.latest()
        async with anyio.create_task_group() as group:
            found: list[Job] = []

            async def follow() -> None:
                found.append(await watcher.following())

            group.start_soon(follow)
            await anyio.lowlevel.checkpoint()
            backend.status = "completed"
            await looks.now("j1", backend.look)

    assert (backend.looks, found[0].status) == (2, "completed")


async def test_the_pauses_grow_and_belong_to_the_job(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a clock that moves only when somebody sleeps."""
    looks, pauses, at = Looks(), list[float](), [0.0]
    backend.answers.set()

    async def sleep_until(deadline: float) -> None:
        pauses.append(deadline - at[0])
        at[0] = deadline

    monkeypatch.setattr(anyio, "current_time", lambda: at[0])
    monkeypatch.setattr(anyio, "sleep_until", sleep_until)
    with looks.watching("j1", backend.look, (2.0, 10.0)) as first:
        await first.latest()
        await first.following()
        with looks.watching("j1", backend.look, (2.0, 10.0)) as late:
            await late.latest()
            for _ in range(4):
                await late.following()

    assert pauses == pytest.approx([2.0, 3.0, 4.5, 6.75, 10.0])
