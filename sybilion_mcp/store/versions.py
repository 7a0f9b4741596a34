"""Which version of its tables a database has (`PRAGMA user_version`), and the way to the present one."""

import glob
import os
import secrets
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path

from sqlalchemy import URL, Connection, MetaData, NullPool, create_engine
from sqlalchemy.schema import CreateIndex, CreateTable

from sybilion_mcp.store.failures import newer_database

ATTEMPT_SECONDS = 0.1
"""That SQLite itself waits for a lock; who opens the file tries again."""

Migration = Callable[[Connection], None]
"""From one version to the next, inside the transaction that it is given."""


def bring_up(path: Path, metadata: MetaData, migrations: Sequence[Migration]) -> None:
    """Make what is missing in the file, and bring one of an earlier version to the present one, which is their number.

    All or nothing, by one process at a time. Raises `Refusal` for a newer version, which is not touched.
    """
    url = URL.create("sqlite", database=str(path))
    engine = create_engine(url, poolclass=NullPool, connect_args={"timeout": ATTEMPT_SECONDS})
    with engine.connect() as connection:
        if _version(connection, path, len(migrations)) == len(migrations) and _complete(connection, metadata):
            return
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        found = _version(connection, path, len(migrations))  # another process may have been faster
        if found < len(migrations) and _names(connection):
            with _backup(path, found):
                for migrate in migrations[found:]:
                    migrate(connection)
                _finish(connection, metadata, len(migrations))
        else:
            _finish(connection, metadata, len(migrations))


def _finish(connection: Connection, metadata: MetaData, version: int) -> None:
    for table in metadata.sorted_tables:
        connection.execute(CreateTable(table, if_not_exists=True))
        for index in table.indexes:
            connection.execute(CreateIndex(index, if_not_exists=True))
    connection.exec_driver_sql(f"PRAGMA user_version={version}")
    connection.commit()


def _version(connection: Connection, path: Path, newest: int) -> int:
    found = int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())
    if found > newest:
        raise newer_database(path.name)
    return found


def _complete(connection: Connection, metadata: MetaData) -> bool:
    indexes = {str(index.name) for table in metadata.sorted_tables for index in table.indexes}
    return {table.name for table in metadata.sorted_tables} | indexes <= _names(connection)


def _names(connection: Connection) -> set[str]:
    return set(connection.exec_driver_sql("SELECT name FROM sqlite_master").scalars())


@contextmanager
def _backup(path: Path, version: int) -> Iterator[None]:
    """A copy of the file as others see it, beside it and for its user only; taken away again if the work fails."""
    _clear_drafts(path)  # of a process that was killed: whoever brings the file up is alone
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}.part")
    try:
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(draft)) as copy:
            source.backup(copy)
        backup = _publish(draft, path, version)
    finally:
        _clear_drafts(path)
    try:
        yield
    except BaseException:  # no version came of it, whatever ended it
        backup.unlink(missing_ok=True)
        raise


def _clear_drafts(path: Path) -> None:
    """With the journal that SQLite leaves beside one for which there was no room."""
    for left in path.parent.glob(f"{glob.escape(path.name)}.*.part*"):
        left.unlink(missing_ok=True)


def backups(path: Path) -> list[Path]:
    """The copies of earlier versions that lie beside the file."""
    return sorted(path.parent.glob(f"{glob.escape(path.name)}.v*.bak"))


def _publish(draft: Path, path: Path, version: int) -> Path:
    """Give the copy a name that no earlier one has: desk.db.v0.bak, desk.db.v0.2.bak."""
    for number in count(1):
        name = path.with_name(f"{path.name}.v{version}.{'' if number == 1 else f'{number}.'}bak")
        try:
            name.touch(mode=0o600, exist_ok=False)
        except FileExistsError:
            continue
        return draft.replace(name)
    raise AssertionError("numbers do not end")
