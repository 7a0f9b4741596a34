"""A disk that is nearly full, as SQLite sees it."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sybilion_mcp.store import sqlite


def leave_room(monkeypatch: pytest.MonkeyPatch, home: Path, pages: int) -> None:
    """From the next opening on, desk.db can grow by so many pages (4 KiB each) and no further."""
    prepare = sqlite._prepare
    with closing(sqlite3.connect(home / "desk.db")) as file:
        (size,) = file.execute("PRAGMA page_count").fetchone()

    def prepare_full(busy_seconds: float, connection: Any, record: object) -> None:
        prepare(busy_seconds, connection, record)
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA max_page_count={size + pages}")
        cursor.close()

    monkeypatch.setattr(sqlite, "_prepare", prepare_full)
