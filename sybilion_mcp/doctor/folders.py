"""The data folder, the driver folder and the allowed folders. Nothing here is written to."""

import os
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from sybilion_mcp.doctor.finding import Finding, ok, problem, warning
from sybilion_mcp.store.migrations import MIGRATIONS

SCARCE_BYTES = 1_000_000_000
SPENT_BYTES = 100_000_000
CHECKED_BYTES = 64_000_000
"""A database up to this size is read through; a larger one takes too long."""

_ELSEWHERE = "Name another folder in SYBILION_MCP_HOME, or give this user the right to write there."


def check_home(home: Path) -> Iterator[Finding]:
    """The data folder: whether it can be written, what lies in it, and how much room there is."""
    there = _nearest(home)
    if not there.is_dir():
        yield problem("data folder", f"{there} is no folder", "Name a folder in SYBILION_MCP_HOME.")
        return
    if not os.access(there, os.W_OK | os.X_OK):
        yield problem("data folder", f"{there} cannot be written to", _ELSEWHERE)
    elif there != home:
        yield ok("data folder", f"{home} is made at the first use")
    else:
        yield ok("data folder", str(home))
    yield _room(there)
    database = home / "desk.db"
    if database.is_file():
        yield _database(database)
        yield from _backups(home)


def _nearest(path: Path) -> Path:
    """The folder itself, or the nearest one above it that is there."""
    return next((folder for folder in (path, *path.parents) if folder.exists()), path)


def _room(folder: Path) -> Finding:
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return warning("free space", "nobody can tell", "See whether the disk of the data folder is there.")
    message = f"{free / 1e9:.1f} GB free at {folder}"
    if free < SPENT_BYTES:
        return problem("free space", message, "Make room: results that do not fit are not kept.")
    if free < SCARCE_BYTES:
        return warning("free space", message, "Make room; `sybilion-mcp jobs forget` drops results you need no more.")
    return ok("free space", message)


def _database(path: Path) -> Finding:
    """Its version against ours, its pages, and who may read it."""
    try:
        with _look_into(path) as connection:
            version = int(connection.execute("PRAGMA user_version").fetchone()[0])
            small = path.stat().st_size <= CHECKED_BYTES
            sound = not small or connection.execute("PRAGMA quick_check(1)").fetchone()[0] == "ok"
    except (sqlite3.Error, OSError) as error:
        told = "is in use by another process" if "locked" in str(error) else "cannot be read as a database"
        return problem("database", f"{path} {told}", "Try again; if it stays, restore a backup or move it away.")
    if not sound:
        return problem("database", f"{path} is damaged", "Restore a backup, or move it away to begin anew.")
    if version > len(MIGRATIONS):
        known = f"version {version}, this program knows {len(MIGRATIONS)}"
        return problem("database", f"{path} has {known}", "Install the newer sybilion-mcp that made it.")
    if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
        return warning("database", f"others may read {path}", f"Run: chmod 600 '{path}'")
    later = "" if version == len(MIGRATIONS) else f", brought to {len(MIGRATIONS)} at the next start, after a copy"
    checked = "sound" if small else "too large to be read through here"
    return ok("database", f"desk.db, version {version}{later}, {checked}")


@contextmanager
def _look_into(path: Path) -> Iterator[sqlite3.Connection]:
    """For reading only, without leaving a file beside it: a database that nobody has open is taken as it stands.

    One whose process ended in the middle is read in a copy, for SQLite makes its index anew; a large one without what
    was written last.
    """
    log, index = (path.with_name(f"{path.name}{end}") for end in ("-wal", "-shm"))
    as_it_stands = not log.exists()
    with ExitStack() as stack:
        if log.exists() and not index.exists():
            as_it_stands = path.stat().st_size > CHECKED_BYTES
            if not as_it_stands:
                folder = stack.enter_context(TemporaryDirectory())
                path, _ = (Path(shutil.copy(one, folder)) for one in (path, log))
        uri = f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' if as_it_stands else ''}"
        yield stack.enter_context(closing(sqlite3.connect(uri, uri=True, timeout=1)))


def _backups(home: Path) -> Iterator[Finding]:
    kept = sorted(home.glob("desk.db.v*.bak"))
    if kept:
        size = sum(one.stat().st_size for one in kept) / 1e6
        names = ", ".join(one.name for one in kept[:3])
        action = "Delete them once all works: they still hold what was forgotten since."
        yield warning("backups", f"{len(kept)} from before a migration, {size:.1f} MB: {names}", action)


def check_drivers(file: Path) -> Finding:
    """The driver folder of the embedded engine."""
    if not file.exists():
        return ok("driver folder", "empty; `sybilion-mcp drivers add FILE` puts series into it")
    try:
        with _look_into(file) as connection:
            count = int(connection.execute("SELECT count(*) FROM drivers").fetchone()[0])
    except (sqlite3.Error, OSError):
        return problem("driver folder", f"{file} cannot be read", "Move it away and add your series again.")
    return ok("driver folder", f"{count} series in {file}")


def check_allowed(folders: tuple[Path, ...]) -> Iterator[Finding]:
    """The folders whose files a caller may use."""
    if not folders:
        yield ok("allowed folders", "none: no files are read or written (--allow-dir DIR allows one)")
    for given in folders:
        yield _allowed(given.expanduser().absolute())


def _allowed(folder: Path) -> Finding:
    check = "allowed folders"
    if not folder.is_dir():
        return problem(check, f"{folder} is not there, or no folder", "Make it, or take it out of the settings.")
    if not os.access(folder, os.R_OK | os.X_OK):
        return problem(check, f"{folder} cannot be read", "Give this user the right to read it.")
    if folder == Path(folder.anchor) or folder == Path.home():
        return warning(check, f"{folder} is very wide: an agent may use every file below it", "Allow a smaller one.")
    written = "" if os.access(folder, os.W_OK) else " (for reading: it cannot be written to)"
    return ok(check, f"{folder}{written}")
