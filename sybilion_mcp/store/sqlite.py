"""One way to open a SQLite file that several processes share."""

from pathlib import Path
from typing import Any

import anyio.to_thread
from sqlalchemy import URL, MetaData, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import Pool
from sqlalchemy.schema import CreateIndex, CreateTable


async def open_sqlite(path: Path, metadata: MetaData, *, poolclass: type[Pool] | None = None) -> AsyncEngine:
    """The database at `path`, with its folders and tables made where they are missing, for this user only.

    `poolclass` replaces SQLAlchemy's usual pool of connections.
    """
    await anyio.to_thread.run_sync(_make_private, path)
    engine = create_async_engine(URL.create("sqlite+aiosqlite", database=str(path)), poolclass=poolclass)
    event.listen(engine.sync_engine, "connect", _prepare)
    async with engine.begin() as connection:
        for table in metadata.sorted_tables:  # IF NOT EXISTS: two processes may open a new file at once
            await connection.execute(CreateTable(table, if_not_exists=True))
            for index in table.indexes:
                await connection.execute(CreateIndex(index, if_not_exists=True))
    return engine


def _make_private(path: Path) -> None:
    """Make the missing folders (0700) and the file (0600); SQLite gives its side files the mode of the file."""
    for folder in reversed([folder for folder in path.parents if not folder.exists()]):
        folder.mkdir(mode=0o700, exist_ok=True)
    path.touch(mode=0o600)


def _prepare(connection: Any, _record: object) -> None:
    """Readers beside one writer, from several processes; a writer waits for another instead of failing."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA busy_timeout=10000")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()
