"""One way to open a SQLite file that several processes share."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio.to_thread
import stamina
from sqlalchemy import URL, MetaData, event
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import Pool

from sybilion_mcp.store.versions import BUSY_SECONDS, Migration, bring_up


async def open_sqlite(
    path: Path, metadata: MetaData, *, migrations: Sequence[Migration] = (), poolclass: type[Pool] | None = None
) -> AsyncEngine:
    """The database at `path`, with its folders and tables made where they are missing, for this user only.

    `migrations` lead from each earlier version to the next; a file of an earlier version is copied before they run.
    `poolclass` replaces SQLAlchemy's usual pool of connections. Raises `Refusal` for a file of a newer version,
    `OSError`, `sqlite3.Error` and `sqlalchemy.exc.DatabaseError` where the file cannot be used.
    """
    await anyio.to_thread.run_sync(_make_private, path)
    async for attempt in stamina.retry_context(on=_is_locked, attempts=None, timeout=BUSY_SECONDS, wait_initial=0.01):
        with attempt:
            await anyio.to_thread.run_sync(bring_up, path, metadata, migrations)
    engine = create_async_engine(URL.create("sqlite+aiosqlite", database=str(path)), poolclass=poolclass)
    event.listen(engine.sync_engine, "connect", _prepare)
    return engine


def _is_locked(error: Exception) -> bool:
    """SQLite does not wait where two processes switch a new file to write-ahead logging at once."""
    return isinstance(error, OperationalError) and "locked" in str(error.orig)


def _make_private(path: Path) -> None:
    """Make the missing folders (0700) and the file (0600); SQLite gives its side files the mode of the file."""
    for folder in reversed([folder for folder in path.parents if not folder.exists()]):
        folder.mkdir(mode=0o700, exist_ok=True)
    path.touch(mode=0o600)


def _prepare(connection: Any, _record: object) -> None:
    """Readers beside one writer, from several processes; a writer waits for another instead of failing."""
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={int(1000 * BUSY_SECONDS)}")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()
