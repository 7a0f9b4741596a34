"""Database files that only their user can read, from the first moment, and that many may open at once."""

import asyncio
import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, insert

from sybilion_mcp.engine.app import build_app
from sybilion_mcp.store.sqlite import open_sqlite

pytestmark = pytest.mark.anyio

METADATA = MetaData()
THINGS = Table("things", METADATA, Column("id", Integer))


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    return {one.name: stat.S_IMODE(one.stat().st_mode) for one in folder.rglob("*")}


async def test_folders_and_files_that_are_made_are_for_their_user_only(tmp_path: Path) -> None:
    engine = await open_sqlite(tmp_path / "new" / "deep" / "a ?%#.db", METADATA)
    async with engine.begin() as connection:
        await connection.execute(insert(THINGS).values(id=1))
    found = modes(tmp_path)
    await engine.dispose()

    assert (found.pop("new"), found.pop("deep")) == (0o700, 0o700)
    assert "a ?%#.db-wal" in found
    assert set(found.values()) == {0o600}


async def test_the_file_is_private_before_sqlite_opens_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, int]] = []
    connect: Callable[..., sqlite3.Connection] = sqlite3.connect

    def noted(*arguments: Any, **options: Any) -> sqlite3.Connection:
        seen.append(modes(tmp_path))
        return connect(*arguments, **options)

    monkeypatch.setattr("sqlite3.dbapi2.connect", noted)
    await (await open_sqlite(tmp_path / "a.db", METADATA)).dispose()

    assert seen[0] == {"a.db": 0o600}


async def test_a_folder_that_was_there_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir(mode=0o755)
    await (await open_sqlite(tmp_path / "mine" / "a.db", METADATA)).dispose()

    assert modes(tmp_path)["mine"] == 0o755


async def test_the_jobs_of_the_engine_are_private_too(tmp_path: Path) -> None:
    engine = build_app(tmp_path / "home" / "sandbox").state.engine
    await engine.look()
    found = modes(tmp_path)
    await engine.aclose()

    assert found["home"] == found["sandbox"] == 0o700
    assert found["engine.db"] == 0o600


async def test_many_who_open_a_new_file_at_once_all_succeed(tmp_path: Path) -> None:
    for number in range(20):
        path = tmp_path / str(number) / "desk.db"

        opened = await asyncio.gather(*(open_sqlite(path, METADATA) for _ in range(4)))

        for engine in opened:
            await engine.dispose()
