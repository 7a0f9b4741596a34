"""A damaged, locked, full or forbidden data folder: told as what it is, and nothing that was there is lost."""

import errno
import io
import os
import random
import sqlite3
import sys
import time
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from sybilion_mcp.contract.jobs import Job
from sybilion_mcp.hints import Refusal
from sybilion_mcp.store import database, draft
from sybilion_mcp.store.failures import newer_database, storage_failed
from sybilion_mcp.store.records import StoredSeries
from sybilion_mcp.store.store import Store
from tests.store.full import leave_room
from tests.store.keep import put_artifact
from tests.timing import wall_clock

pytestmark = pytest.mark.anyio

NOISE = random.Random(7).randbytes(3 * 2**20)
SERIES = StoredSeries("s_1", {"2026-01-01": 1.0}, title="Demand")


@pytest.fixture
async def home(tmp_path: Path) -> Path:
    """A data folder in which something is kept."""
    store = Store(tmp_path / "home")
    await store.put_series(SERIES)
    for number in (*range(4), 9):
        await store.put_job(Job.model_validate({"job_id": f"j{number}", "status": "completed"}), "sybilion")
    for number in range(4):
        await put_artifact(store, f"j{number}", "a.json", NOISE[: 2**18])
    await store.aclose()
    return tmp_path / "home"


@pytest.fixture
async def store(home: Path) -> AsyncIterator[Store]:
    store = Store(home)
    yield store
    await store.aclose()


async def refusal_of(store: Store, *, writing: bool = False) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await (put_artifact(store, "j9", "a.json", NOISE) if writing else store.artifact("j0", "a.json"))
    assert caught.value.code == "storage_failed"
    assert caught.value.hint
    return caught.value


def coded(code: int) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError("as SQLite tells it")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    "refusal",
    [
        newer_database("desk.db"),
        storage_failed(PermissionError(errno.EACCES, "no")),
        storage_failed(coded(sqlite3.SQLITE_READONLY)),
        storage_failed(coded(sqlite3.SQLITE_NOTADB)),
        storage_failed(coded(sqlite3.SQLITE_ERROR)),
    ],
    ids=lambda refusal: refusal.message[:40],
)
def test_whoever_is_sent_to_another_folder_is_warned_of_paying_again(refusal: Refusal) -> None:
    assert "SYBILION_MCP_HOME" in refusal.hint
    assert "check the jobs on the dashboard before paying again" in refusal.hint


async def check_all_is_there(home: Path) -> None:
    store = Store(home)
    try:
        assert await store.artifact("j0", "a.json") == NOISE[: 2**18]
        assert await store.series("s_1") == SERIES
    finally:
        await store.aclose()


# Damage


@pytest.mark.parametrize("damage", ["garbage", "cut short", "garbage after the beginning"])
async def test_a_damaged_file_is_told_and_left_as_it_is(home: Path, store: Store, damage: str) -> None:
    file = home / "desk.db"
    sound = file.read_bytes()
    damaged = {
        "garbage": b"this is no database" * 1000,
        "cut short": sound[: len(sound) // 3],
        "garbage after the beginning": sound[:4096] + NOISE[: len(sound) - 4096],
    }[damage]
    file.write_bytes(damaged)

    refusal = await refusal_of(store)

    assert "damaged" in refusal.message
    assert refusal.retry_after_s is None
    assert file.read_bytes() == damaged


async def test_damage_that_shows_later_is_told_too(home: Path, store: Store) -> None:
    await store.series("s_1")
    await store.aclose()
    with closing(sqlite3.connect(home / "desk.db")) as file, file:
        file.execute("UPDATE jobs SET snapshot = '{\"job' WHERE job_id = 'j0'")
        file.execute("UPDATE jobs SET snapshot = '{}' WHERE job_id = 'j1'")

    for job_id in ("j0", "j1"):
        with pytest.raises(Refusal, match="damaged"):
            await store.job(job_id)
    await check_all_is_there(home)


async def test_a_database_of_another_program_is_refused(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "desk.db")) as file, file:
        file.execute("CREATE TABLE series (name TEXT)")
        file.execute("CREATE TABLE artifacts (name TEXT)")
    store = Store(tmp_path)

    refusal = await refusal_of(store)

    assert "not one of this program" in refusal.message
    await store.aclose()


# Locks


async def test_a_lock_that_outlasts_our_patience_is_told_and_passes(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.2)
    store = Store(home)
    await store.series("s_1")
    with closing(sqlite3.connect(home / "desk.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")

        refusal = await refusal_of(store, writing=True)

        assert "locked" in refusal.message
        assert refusal.retry_after_s is not None
        assert await store.artifact("j0", "a.json") is not None
        other.execute("ROLLBACK")

    await put_artifact(store, "j9", "a.json", NOISE)
    assert await store.artifact("j9", "a.json") == NOISE
    await store.aclose()


@wall_clock
@pytest.mark.parametrize("work", ["series", "artifact", "open"])
async def test_waiting_for_a_lock_can_be_cancelled(home: Path, work: str) -> None:
    store = Store(home)
    if work != "open":
        await store.series("s_1")
    with closing(sqlite3.connect(home / "desk.db", isolation_level=None)) as other:
        if work == "open":
            other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        with anyio.move_on_after(0.3):
            await (store.put_series(SERIES) if work != "artifact" else put_artifact(store, "j9", "a.json", NOISE))
        took = time.monotonic() - began
        other.execute("ROLLBACK")

    assert took < 0.8
    await store.aclose()
    await check_all_is_there(home)


async def test_a_reader_that_is_kept_out_is_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "READING_SECONDS", 0.2)
    with closing(sqlite3.connect(home / "desk.db", isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        store = Store(home)

        refusal = await refusal_of(store)

        assert "locked" in refusal.message
        other.execute("ROLLBACK")
    await store.aclose()
    await check_all_is_there(home)


# Room


async def test_a_disk_without_room_is_told_and_what_is_there_stays_readable(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_room(monkeypatch, home, pages=10)
    store = Store(home)

    refusal = await refusal_of(store, writing=True)

    assert "no room" in refusal.message
    assert await store.artifact_sizes("j9") == {}
    await put_artifact(store, "j9", "small.json", b"{}")
    assert await store.artifact("j9", "small.json") == b"{}"
    await store.aclose()
    await check_all_is_there(home)


LIMITED = """
import random, resource, sys, anyio, pathlib
from sybilion_mcp.hints import Refusal
from sybilion_mcp.store.store import Store
from tests.store.keep import put_artifact

async def main():
    home = pathlib.Path(sys.argv[1])
    store = Store(home)
    assert await store.series("s_1") is not None
    most = (home / "desk.db").stat().st_size + 2**17
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    try:
        await put_artifact(store, "j9", "a.json", random.randbytes(3 * 2**20))
    except Refusal as refusal:
        print(refusal.code, refusal.message)
    assert await store.artifact("j9", "a.json") is None
    assert await store.artifact("j0", "a.json") is not None
    await store.aclose()

anyio.run(main)
"""


async def test_a_file_that_cannot_grow_is_told_and_what_is_there_stays_readable(home: Path) -> None:
    command = [sys.executable, "-W", "error", "-c", LIMITED, str(home)]
    with anyio.fail_after(60):
        done = await anyio.run_process(command, stderr=None)

    assert done.stdout.startswith(b"storage_failed ")
    await check_all_is_there(home)


async def test_a_draft_that_finds_no_room_says_so(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.BytesIO):
        def write(self, _: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(draft, "SpooledTemporaryFile", lambda **_: Full())

    assert "no room" in (await refusal_of(store, writing=True)).message
    assert await store.artifact("j9", "a.json") is None


# Rights


def forbid(home: Path, *, emptied: bool) -> None:
    """Take the right to write away, and before that everything or only the same right to the files."""
    for one in home.iterdir():
        if emptied:
            one.unlink()
        else:
            one.chmod(0o400)
    home.chmod(0o500)
    if os.access(home, os.W_OK):
        pytest.skip("nothing is forbidden to this user")


def allow(home: Path) -> None:
    home.chmod(0o700)
    for one in home.iterdir():
        one.chmod(0o600)


@pytest.mark.parametrize("written", [True, False])
async def test_a_home_that_may_not_be_written_to_is_told(home: Path, written: bool) -> None:
    forbid(home, emptied=not written)
    store = Store(home)
    try:
        refusal = await refusal_of(store, writing=True)
    finally:
        await store.aclose()
        allow(home)

    assert "cannot be opened or written to" in refusal.message
    if written:
        await check_all_is_there(home)


@pytest.mark.parametrize("place", ["file", "below a file", "kernel"])
async def test_a_home_that_can_be_no_folder_is_told(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("a text")
    home = {"file": tmp_path / "file", "below a file": tmp_path / "file" / "home", "kernel": Path("/proc/no/home")}
    store = Store(home[place])

    refusal = await refusal_of(store)

    assert "SYBILION_MCP_HOME must name a folder" in refusal.hint
    assert (tmp_path / "file").read_text() == "a text"
    await store.aclose()


async def test_a_store_that_could_not_be_opened_can_be_later(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("in the way")
    store = Store(tmp_path / "home")
    await refusal_of(store)

    (tmp_path / "home").unlink()

    assert await store.artifact("j0", "a.json") is None
    await store.aclose()
