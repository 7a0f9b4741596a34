"""desk.db as what stores use: transactions that wait for others in bounds, and failures that are told."""

import json
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from pydantic import ValidationError
from sqlalchemy.exc import DatabaseError, IntegrityError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from sybilion_mcp.store.failures import emptied_database, storage_failed
from sybilion_mcp.store.migrations import MIGRATIONS
from sybilion_mcp.store.sqlite import BUSY_SECONDS, open_sqlite, patiently
from sybilion_mcp.store.tables import metadata
from sybilion_mcp.store.versions import backups

_UNREADABLE = (OSError, sqlite3.Error, DatabaseError, json.JSONDecodeError, UnicodeError, ValidationError)
"""What comes of a damaged or locked file, a full disk, missing rights, or rows that were not written by a store."""
READING_SECONDS = 3.0
"""For a lock that keeps even readers out: such ones are short, or held for long."""
MAKING_SECONDS = 10.0
"""An empty file older than this is none that somebody is just making."""
_CONNECTIONS = 15
"""At once: as many as the engine gives without waiting, which could not be cancelled."""
_STATEMENT_SECONDS = 0.1
"""For a lock, in a thread that cannot be cancelled."""


class Database:
    """Opened on first use. Raises Refusal `storage_failed` when the file or the disk under it cannot be used."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._engine: AsyncEngine | None = None
        self._places = anyio.Semaphore(_CONNECTIONS)

    async def aclose(self) -> None:
        if self._engine is not None:
            await self._engine.dispose()
            self._engine = None

    def backups(self) -> list[Path]:
        """The copies of earlier versions that lie beside the file."""
        return backups(self._path)

    @asynccontextmanager
    async def begin(self, *, writing: bool = False, patience: float | None = None) -> AsyncIterator[AsyncConnection]:
        """One transaction. `writing`: nobody else writes from its beginning on, so that what was read still holds.

        `patience`: seconds to wait for others who have the file locked. Only this waiting can be cancelled.
        """
        usual = BUSY_SECONDS if writing else READING_SECONDS
        try:
            connection = await patiently(lambda: self._begun(writing), usual if patience is None else patience)
            with anyio.CancelScope(shield=True):  # it is short, and a connection cut off in the middle is lost
                try:
                    yield connection
                    await connection.commit()
                finally:
                    await _closed(connection, self._places)
        except (IntegrityError, ProgrammingError):  # a rule of the tables, or a mistake of ours
            raise
        except _UNREADABLE as error:
            raise storage_failed(error) from error

    async def _begun(self, writing: bool) -> AsyncConnection:
        """A connection in its place. Raises `OperationalError` when others do not let it read or write."""
        await self._places.acquire()
        try:
            return await _connected(await self._opened(), writing)
        except BaseException:  # also cancelled: the place is free again
            self._places.release()
            raise

    async def _opened(self) -> AsyncEngine:
        """Several may open the file at once, as processes do."""
        if self._engine is not None:
            return self._engine
        await self._refuse_emptied()
        return self._first(
            await open_sqlite(
                self._path, metadata, migrations=MIGRATIONS, busy_seconds=_STATEMENT_SECONDS, patience=0.0
            )
        )

    async def _refuse_emptied(self) -> None:
        """SQLite takes an empty file for a new database. It is one only while another process is just making it."""
        try:
            found = await anyio.Path(self._path).stat()
        except OSError:  # there is none yet; what else may be wrong shows when it is opened
            return
        if found.st_size == 0 and abs(time.time() - found.st_mtime) > MAKING_SECONDS:
            raise emptied_database()

    def _first(self, engine: AsyncEngine) -> AsyncEngine:
        """The engine of whoever was first is that of all; one that nobody has connected holds nothing."""
        if self._engine is None:
            self._engine = engine
        return self._engine


async def _closed(connection: AsyncConnection, places: anyio.Semaphore) -> None:
    try:
        await connection.close()
    finally:
        places.release()


async def _connected(engine: AsyncEngine, writing: bool) -> AsyncConnection:
    """A connection that others let read or write. Raises `OperationalError` when they do not."""
    with anyio.CancelScope(shield=True):
        connection = await engine.connect()
        try:
            await connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "PRAGMA schema_version")
        except BaseException:  # nobody else knows of the connection
            await connection.close()
            raise
    return connection
