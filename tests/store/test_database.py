"""Waiting for a database that others have locked: as long as one is ready to, also to open it, and among many."""

import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import anyio
import pytest

from sybilion_mcp.contract.jobs import Job
from sybilion_mcp.hints import Refusal
from sybilion_mcp.store import database
from sybilion_mcp.store.store import Store
from tests.service.locks import locked
from tests.timing import wall_clock

pytestmark = pytest.mark.anyio

SLACK = 1.5
"""Seconds for all that is not waiting, on a busy machine."""


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """On a data folder that has been used; not opened yet."""
    store = Store(tmp_path)
    await store.job_ids("", 1)
    await store.aclose()
    yield store
    await store.aclose()


def seen(number: int) -> Job:
    return Job(job_id=f"j{number}", status="queued")


async def told(work: Callable[[], Awaitable[object]]) -> float:
    """Seconds until it is said that the database is locked."""
    began = time.monotonic()
    with pytest.raises(Refusal) as caught:
        await work()
    assert "locked" in caught.value.message
    return time.monotonic() - began


async def test_a_database_that_was_emptied_is_not_taken_for_a_new_one(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "desk.db"
    file.write_bytes(b"")
    long_ago = time.time() - 2 * database.MAKING_SECONDS
    os.utime(file, (long_ago, long_ago))

    for _ in range(2):
        with pytest.raises(Refusal) as caught:
            await store.job("j1")
        assert caught.value.code == "storage_failed"
        assert "empty (0 bytes)" in caught.value.message
        assert "check the jobs on the dashboard before paying again" in caught.value.hint
    assert file.stat().st_size == 0


async def test_an_empty_file_that_is_just_being_made_becomes_a_database(tmp_path: Path) -> None:
    (tmp_path / "desk.db").touch()
    store = Store(tmp_path)

    assert await store.job("j1") is None
    await store.aclose()


@wall_clock
async def test_a_reader_waits_no_longer_where_the_file_is_to_be_opened(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "READING_SECONDS", 0.5)

    with locked(tmp_path, readers=True):
        took = await told(lambda: store.job("j1"))

    assert 0.5 <= took < 0.5 + SLACK
    assert await store.job("j1") is None


@wall_clock
async def test_many_readers_wait_no_longer_than_one(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "READING_SECONDS", 0.5)
    waited: list[float] = []

    async def read() -> None:
        waited.append(await told(lambda: store.job("j1")))

    with locked(tmp_path, readers=True):
        async with anyio.create_task_group() as group:
            for _ in range(30):
                group.start_soon(read)

    assert len(waited) == 30
    assert max(waited) < 0.5 + SLACK


@wall_clock
async def test_who_has_little_patience_has_little_to_open_the_file_too(store: Store, tmp_path: Path) -> None:
    with locked(tmp_path, readers=True):
        took = await told(lambda: store.put_job(seen(1), "sybilion", patience=0.2))

    assert 0.2 <= took < 0.2 + SLACK


@wall_clock
@pytest.mark.parametrize("opened", [True, False])
async def test_many_writers_who_wait_are_cancelled_at_once(store: Store, tmp_path: Path, opened: bool) -> None:
    if opened:
        await store.job_ids("", 1)
    with locked(tmp_path, readers=not opened):
        with anyio.move_on_after(0.3):
            async with anyio.create_task_group() as group:
                for number in range(100):
                    group.start_soon(store.put_job, seen(number), "sybilion")
                ended = anyio.current_effective_deadline()
        took = anyio.current_time() - ended

    assert took < 0.4
    assert await store.job_ids("j", 200) == []


async def test_many_writers_who_wait_all_write_in_the_end(store: Store, tmp_path: Path) -> None:
    async with anyio.create_task_group() as group:
        with locked(tmp_path):
            for number in range(100):
                group.start_soon(store.put_job, seen(number), "sybilion")
            await anyio.wait_all_tasks_blocked()

    assert len(await store.job_ids("j", 200)) == 100
