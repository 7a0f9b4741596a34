"""One way to open a SQLite file that several processes share."""

from pathlib import Path
from typing import Any

import anyio
from sqlalchemy import MetaData, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.schema import CreateIndex, CreateTable


async def open_sqlite(path: Path, metadata: MetaData) -> AsyncEngine:
    """The database at `path`, with its folder and tables made where they are missing."""
    await anyio.Path(path.parent).mkdir(parents=True, exist_ok=True, mode=0o700)
    engine = create_async_engine(f"sqlite+aiosqlite:///{path}")
    event.listen(engine.sync_engine, "connect", _prepare)
    async with engine.begin() as connection:
        for table in metadata.sorted_tables:  # IF NOT EXISTS: two processes may open a new file at once
            await connection.execute(CreateTable(table, if_not_exists=True))
            for index in table.indexes:
                await connection.execute(CreateIndex(index, if_not_exists=True))
    return engine


def _prepare(connection: Any, _record: object) -> None:
    """Readers beside one writer, from several processes; a writer waits for another instead of failing."""
    cursor = connection.cursor()
    cursor.execute("PRAGMA busy_timeout=10000")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()
