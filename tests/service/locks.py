"""Another program that has the database locked."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path


@contextmanager
def locked(home: Path, *, readers: bool = False) -> Iterator[None]:
    """Nobody else can write to desk.db meanwhile; with `readers`, nobody can read it either."""
    with closing(sqlite3.connect(home / "desk.db", isolation_level=None, timeout=20)) as other:
        if readers:
            other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE" if readers else "BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")
