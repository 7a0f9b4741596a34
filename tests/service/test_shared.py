"""Shared work goes on for as long as somebody waits, and nothing is left of it."""

import asyncio
import gc
from collections.abc import AsyncIterator

import anyio
import pytest

from sybilion_mcp.service.shared import Shared

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
async def nothing_left_behind() -> AsyncIterator[None]:
    yield
    assert [task for task in asyncio.all_tasks() if task.get_name().startswith("shared ")] == []


async def test_all_get_one_outcome_and_who_comes_later_another() -> None:
    shared, may_end = Shared(), anyio.Event()
    begun, outcomes = [0], list[int]()

    async def work() -> int:
        begun[0] += 1
        number = begun[0]
        await may_end.wait()
        return number

    async def ask() -> None:
        outcomes.append(await shared.once("x", work))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            may_end.set()
        await ask()

    assert outcomes == [1, 1, 1, 2]


async def test_what_is_shielded_in_it_ends_as_it_would_and_who_comes_meanwhile_begins_anew() -> None:
    shared, begun, may_end = Shared(), anyio.Event(), anyio.Event()
    done: list[str] = []

    async def first() -> str:
        with anyio.CancelScope(shield=True):
            begun.set()
            await may_end.wait()
            done.append("first")
        await anyio.lowlevel.checkpoint()
        raise AssertionError("nobody waits any more")

    async def second() -> str:
        return "second"

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(shared.once, "x", first)
            await begun.wait()
            group.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                await anyio.wait_all_tasks_blocked()
                assert await shared.once("x", second) == "second"
                may_end.set()

    assert done == ["first"]


async def test_an_error_of_work_that_was_left_complains_to_nobody(caplog: pytest.LogCaptureFixture) -> None:
    async def fails() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            raise RuntimeError("while it ended")

    with anyio.move_on_after(0):
        await Shared().once("x", fails)

    assert caplog.text == ""


async def test_a_failure_that_comes_as_the_last_one_leaves_troubles_nobody() -> None:
    complaints: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, said: complaints.append(str(said["message"])))
    shared, may_end = Shared(), anyio.Event()

    async def work() -> None:
        await may_end.wait()
        raise ValueError("too late")

    async def cancelled_as_it_fails() -> None:
        asking = asyncio.create_task(shared.once("x", work))
        await anyio.wait_all_tasks_blocked()
        [under_way] = [task for task in asyncio.all_tasks() if task.get_name() == "shared x"]
        under_way.add_done_callback(lambda _: asking.cancel())
        may_end.set()
        await asyncio.wait({asking})
        assert asking.cancelled()

    with anyio.fail_after(5):
        await cancelled_as_it_fails()
    gc.collect()

    assert complaints == []
