"""Databases of other versions: older ones are copied and brought up, newer ones are left alone."""

import random
import re
import sqlite3
import stat
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any

import anyio
import pytest
from sqlalchemy import Connection

from sybilion_mcp.engine.app import build_app
from sybilion_mcp.hints import Refusal
from sybilion_mcp.store.migrations import MIGRATIONS
from sybilion_mcp.store.store import Store
from tests.store.former import guess, version_0
from tests.store.keep import put_artifact

pytestmark = pytest.mark.anyio

LARGE = random.Random(1).randbytes(5 * 2**19)
ARTIFACTS = {"a.json": b'{"version": "1.1"}', "empty.json": b"", "large.bin": LARGE}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    version_0(folder / "desk.db", ARTIFACTS)
    return folder


@pytest.fixture
async def opened(home: Path) -> AsyncIterator[Callable[[], Store]]:
    stores: list[Store] = []

    def open_store() -> Store:
        stores.append(Store(home))
        return stores[-1]

    yield open_store
    for store in stores:
        await store.aclose()


def ask(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as file:
        return file.execute(sql).fetchall()


def names(home: Path, pattern: str = "*") -> set[str]:
    return {one.name for one in home.glob(pattern)}


async def check_everything_is_there(store: Store) -> None:
    for name, content in ARTIFACTS.items():
        assert await store.artifact("j1", name) == content
    assert await store.artifact_sizes("j1") == {name: len(content) for name, content in ARTIFACTS.items()}
    stored, series = await store.job("j1"), await store.series("s_1")
    assert stored is not None
    assert series is not None
    assert (stored.job.eur_cents_final, dict(series.points)) == (61, {"2026-01-01": 1.5})
    assert await store.spent_since("2026-08-01") == 61


async def test_a_file_of_the_first_version_is_brought_up_with_all_it_holds(
    home: Path, opened: Callable[[], Store]
) -> None:
    store = opened()

    await check_everything_is_there(store)
    await put_artifact(store, "j1", "new.json", b"new")

    assert await opened().artifact("j1", "new.json") == b"new"
    assert ask(home / "desk.db", "PRAGMA user_version") == [(len(MIGRATIONS),)]
    assert ask(home / "desk.db", "SELECT sha256 FROM artifacts WHERE name = 'empty.json'")[0] != ("",)


async def test_it_becomes_what_a_new_file_is(home: Path, opened: Callable[[], Store], tmp_path: Path) -> None:
    await opened().job_ids("", 1)
    new = Store(tmp_path / "new")
    await new.job_ids("", 1)
    await new.aclose()

    def tables(folder: Path) -> dict[str, str]:
        rows = ask(folder / "desk.db", "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
        return {name: re.sub(r'[\s"]', "", sql).lower() for name, sql in rows}

    assert tables(home) == tables(tmp_path / "new")


async def test_a_guess_of_the_first_version_keeps_its_job_until_it_is_checked(
    home: Path, opened: Callable[[], Store]
) -> None:
    guess(home / "desk.db")
    store = opened()

    await check_everything_is_there(store)
    known = await store.submission_of("j1")
    assert known is not None
    assert known.state == "adopted"


async def test_what_it_was_before_lies_beside_it_for_its_user_only(home: Path, opened: Callable[[], Store]) -> None:
    await opened().job_ids("", 1)

    backup = home / "desk.db.v0.bak"
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert dict(ask(backup, "SELECT name, content FROM artifacts")) == ARTIFACTS
    assert ask(backup, "PRAGMA user_version") == [(0,)]
    assert not names(home, "*.part*")


async def test_an_earlier_backup_stays(home: Path, opened: Callable[[], Store]) -> None:
    (home / "desk.db.v0.bak").write_text("of another time")

    await opened().job_ids("", 1)

    assert (home / "desk.db.v0.bak").read_text() == "of another time"
    assert (
        dict(ask(home / "desk.db.v0.2.bak", "SELECT name, length(content) FROM artifacts")).keys() == ARTIFACTS.keys()
    )


async def test_changes_that_are_only_in_the_log_of_the_database_are_in_the_backup(
    home: Path, opened: Callable[[], Store]
) -> None:
    with closing(sqlite3.connect(home / "desk.db")) as other:
        other.execute("INSERT INTO artifacts VALUES ('j2', 'late.json', x'00')")
        other.commit()
        await opened().job_ids("", 1)

    assert ask(home / "desk.db.v0.bak", "SELECT name FROM artifacts WHERE job_id = 'j2'") == [("late.json",)]
    assert await opened().artifact("j2", "late.json") == b"\x00"


async def test_a_migration_that_fails_leaves_the_file_as_it_was(
    home: Path, opened: Callable[[], Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    *earlier, last = MIGRATIONS

    def fails(connection: Connection) -> None:
        last(connection)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("sybilion_mcp.store.database.MIGRATIONS", (*earlier, fails))
        with pytest.raises(Refusal) as refused:
            await opened().job_ids("", 1)

    assert refused.value.code == "storage_failed"
    assert "no room" in refused.value.message
    assert ask(home / "desk.db", "PRAGMA user_version") == [(0,)]
    assert dict(ask(home / "desk.db", "SELECT name, content FROM artifacts")) == ARTIFACTS
    assert names(home) == {"desk.db"}
    await check_everything_is_there(opened())


PROCESS = """
import sys, anyio, pathlib
from sybilion_mcp.store.store import Store

async def main():
    store = Store(pathlib.Path(sys.argv[1]))
    print("ready", flush=True)
    sys.stdin.readline()
    assert await store.artifact("j1", "a.json") is not None
    await store.aclose()

anyio.run(main)
"""


async def test_processes_that_open_an_older_file_at_once_bring_it_up_once(
    home: Path, opened: Callable[[], Store]
) -> None:
    async with AsyncExitStack() as stack:
        command = [sys.executable, "-W", "error", "-c", PROCESS, str(home)]
        processes = [await stack.enter_async_context(await anyio.open_process(command, stderr=None)) for _ in range(3)]
        with anyio.fail_after(60):
            for process in processes:
                assert process.stdout is not None
                await process.stdout.receive()
            for process in processes:
                assert process.stdin is not None
                await process.stdin.send(b"go\n")
            assert [await process.wait() for process in processes] == [0, 0, 0]

    await check_everything_is_there(opened())
    assert names(home, "*.bak") == {"desk.db.v0.bak"}


@pytest.mark.parametrize("journal", ["WAL", "DELETE"])
async def test_a_newer_file_is_refused_and_not_touched(home: Path, opened: Callable[[], Store], journal: str) -> None:
    with closing(sqlite3.connect(home / "desk.db")) as file:
        file.execute(f"PRAGMA user_version={len(MIGRATIONS) + 1}")
        file.execute(f"PRAGMA journal_mode={journal}")
    before = (home / "desk.db").read_bytes()

    with pytest.raises(Refusal) as refused:
        await opened().job_ids("", 1)

    assert refused.value.code == "storage_failed"
    assert "newer version" in refused.value.message
    assert "SYBILION_MCP_HOME" in refused.value.hint
    assert (home / "desk.db").read_bytes() == before
    assert names(home) == {"desk.db"}


async def test_a_newer_file_of_the_engine_is_refused_too(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "engine.db")) as file:
        file.execute("PRAGMA user_version=1")
    engine = build_app(tmp_path).state.engine

    with pytest.raises(Refusal, match="newer version"):
        await engine.look()

    await engine.aclose()


FULL = """
import resource, sys, anyio, pathlib
from sybilion_mcp.hints import Refusal
from sybilion_mcp.store.store import Store

async def main():
    store = Store(pathlib.Path(sys.argv[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20))
    try:
        await store.job_ids("", 1)
    except Refusal as refusal:
        print(refusal.code)
    await store.aclose()

anyio.run(main)
"""


async def test_a_copy_for_which_there_is_no_room_leaves_nothing_behind(home: Path, opened: Callable[[], Store]) -> None:
    command = [sys.executable, "-W", "error", "-c", FULL, str(home)]
    with anyio.fail_after(60):
        done = await anyio.run_process(command, stderr=None)

    assert done.stdout.split() == [b"storage_failed"]
    assert not names(home, "*.part*") | names(home, "*journal*") | names(home, "*.bak")
    await check_everything_is_there(opened())


async def test_what_a_killed_process_left_is_cleared_away(home: Path, opened: Callable[[], Store]) -> None:
    for left in ("desk.db.0123456789abcdef.part", "desk.db.0123456789abcdef.part-journal"):
        (home / left).write_text("half a copy")

    await opened().job_ids("", 1)

    assert not names(home, "*.part*")
