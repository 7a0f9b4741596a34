"""What is told when the database or the disk under it does not do what it should."""

import errno
import logging
import sqlite3

from sybilion_mcp.hints import Refusal

_BEFORE_PAYING = "check the jobs on the dashboard before paying again"

_log = logging.getLogger(__name__)

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_RIGHTS = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_AUTH)
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def storage_failed(error: Exception) -> Refusal:
    """What to say about an error of the database, of its rows, or of the system; the log has its own words."""
    cause = getattr(error, "orig", None) or error
    _log.warning("the data folder cannot be used: %s: %s", type(cause).__name__, cause)
    if isinstance(cause, OSError):
        return _no_room() if cause.errno in _NO_ROOM else _unusable()
    if not isinstance(cause, sqlite3.Error):  # a row that nobody can read
        return _damaged()
    code = (getattr(cause, "sqlite_errorcode", None) or 0) & 0xFF  # the low byte is the kind of error
    if code in _DAMAGED or "decode to UTF-8" in str(cause):
        return _damaged()
    if code in _BUSY:
        return _locked()
    if code == sqlite3.SQLITE_FULL:
        return _no_room()
    if code == sqlite3.SQLITE_IOERR:
        return _no_disk()
    return _unusable() if code in _NO_RIGHTS else _foreign()


def newer_database(name: str) -> Refusal:
    return Refusal(
        "storage_failed",
        f"A newer version of sybilion-mcp made {name} in the data folder; nothing was changed.",
        "Upgrade sybilion-mcp, or set SYBILION_MCP_HOME to another folder, which starts without the earlier jobs: "
        f"{_BEFORE_PAYING}.",
    )


def emptied_database() -> Refusal:
    return _damaged("empty (0 bytes), which no database in use is")


def _damaged(how: str = "damaged") -> Refusal:
    return Refusal(
        "storage_failed",
        f"The database desk.db in the data folder is {how}; it was left as it is.",
        "Put a copy made earlier in its place, or move it aside (SYBILION_MCP_HOME names the folder). Without it "
        f"nobody here knows what was submitted before: {_BEFORE_PAYING}.",
    )


def _locked() -> Refusal:
    return Refusal(
        "storage_failed",
        "Another program has locked the database desk.db in the data folder; nothing was changed.",
        "Try again in a moment; if it stays, end the program that has the file open.",
        retry_after_s=5,
    )


def _no_room() -> Refusal:
    return Refusal(
        "storage_failed",
        "There is no room left for the data of this server; what was there is unharmed.",
        "Free space on the disk of the data folder (SYBILION_MCP_HOME) and on that of temporary files, then try again.",
    )


def _no_disk() -> Refusal:
    return Refusal(
        "storage_failed",
        "The disk of the data folder failed to read or write; what was kept before was not changed.",
        "Check the free space and the health of the disk of SYBILION_MCP_HOME, then try again.",
    )


def _unusable() -> Refusal:
    return Refusal(
        "storage_failed",
        "The data folder cannot be opened or written to.",
        "SYBILION_MCP_HOME must name a folder that the user of this server may write to. Correct that and try again. "
        f"Another folder knows nothing of the earlier jobs: {_BEFORE_PAYING}.",
    )


def _foreign() -> Refusal:
    return Refusal(
        "storage_failed",
        "The database desk.db in the data folder is not one of this program; it was left as it is.",
        "Set SYBILION_MCP_HOME to a folder of its own, or move desk.db aside, then try again. If jobs were submitted "
        f"from another folder: {_BEFORE_PAYING}.",
    )
