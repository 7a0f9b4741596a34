"""One way to open a SQLite file that several processes share."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.to_thread
from sqlalchemy import URL, MetaData, event
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import Pool

from sybilion_mcp.store.versions import Migration, bring_up

BUSY_SECONDS = 10.0
"""How long a lock that somebody else holds is waited for, unless said otherwise."""

_PAUSE = 0.01

Done = TypeVar("Done")


async def patiently(attempt: Callable[[], Awaitable[Done]], seconds: float) -> Done:
    """Try again while others have locked the database, at most for so long. Raises what the last attempt raises.

    SQLite itself waits in a thread that nobody can cancel; so it waits shortly, and in between the caller may leave.
    """
    end = anyio.current_time() + seconds
    while True:
        try:
            return await attempt()
        except OperationalError as error:
            if not _is_locked(error) or anyio.current_time() >= end:
                raise
        await anyio.sleep(_PAUSE)  # SQLite does not tell when a lock ends


async def open_sqlite(
    path: Path,
    metadata: MetaData,
    *,
    migrations: Sequence[Migration] = (),
    poolclass: type[Pool] | None = None,
    busy_seconds: float = BUSY_SECONDS,
    patience: float = BUSY_SECONDS,
) -> AsyncEngine:
    """The database at `path`, with its folders and tables made where they are missing, for this user only.

    `migrations` lead from each earlier version to the next; a file of an earlier version is copied before they run.
    `poolclass` replaces SQLAlchemy's usual pool of connections. A lock is waited for up to `patience` seconds now, and
    up to `busy_seconds` by each statement later.
    Raises `Refusal` for a file of a newer version, `OSError`, `sqlite3.Error` and `sqlalchemy.exc.DatabaseError`
    where the file cannot be used.
    """
    await anyio.to_thread.run_sync(_make_private, path)
    await patiently(lambda: anyio.to_thread.run_sync(bring_up, path, metadata, migrations), patience)
    engine = create_async_engine(URL.create("sqlite+aiosqlite", database=str(path)), poolclass=poolclass)
    event.listen(engine.sync_engine, "connect", partial(_prepare, busy_seconds))
    return engine


def _is_locked(error: OperationalError) -> bool:
    return "locked" in str(error.orig)


def _make_private(path: Path) -> None:
    """Make the missing folders (0700) and the file (0600); SQLite gives its side files the mode of the file."""
    for folder in reversed([folder for folder in path.parents if not folder.exists()]):
        folder.mkdir(mode=0o700, exist_ok=True)
    if not path.exists():  # to touch one that is there would make it look new
        path.touch(mode=0o600)


def _prepare(busy_seconds: float, connection: Any, _record: object) -> None:
    """Readers beside one writer, from several processes; a writer waits for another instead of failing."""
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={int(1000 * busy_seconds)}")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA secure_delete=ON")  # what is forgotten is not left in the file
    cursor.close()
