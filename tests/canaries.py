"""Secrets for tests, how they may be written, and whether something tells them."""

import sqlite3
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote, unquote_to_bytes

import anyio.to_thread

TOKEN = "sk_ops_CANARY0123456789"
OTHER = "session-canary-0123456789"
"""A secret that does not look like one."""
EOMER = "eomer-canary-0123456789"
Disguise = Callable[[str], str]


def percent(text: str) -> str:
    """Every character of it, as no library would."""
    return "".join(f"%{ord(one):02x}" for one in text)


def escaped(text: str) -> str:
    return "".join(f"\\u{ord(one):04x}" for one in text)


DISGUISES: dict[str, Disguise] = {
    "percent-encoded": percent,
    "twice": lambda text: quote(percent(text)),
    "in part": lambda text: text.replace("_", "%5F").replace("-", "%2d"),
    "escaped": escaped,
    "begun with a capital": lambda text: text[0].upper() + text[1:],
}
"""As services, logs and URIs may write it."""
UNSEEN: dict[str, Disguise] = {
    "in wide letters": lambda text: "".join(chr(ord(one) + 0xFEE0) for one in text),
    "with what nobody sees in it": lambda text: "\u200b".join(text),
}
"""As it may have been pasted."""


def stored(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


async def in_databases(folder: Path) -> bytes:
    """Every value in every table of every database, unpacked where it is compressed."""
    return await anyio.to_thread.run_sync(
        lambda: b"\n".join(one for path in folder.rglob("*.db") for one in values(path))
    )


def values(path: Path) -> Iterator[bytes]:
    with closing(sqlite3.connect(path)) as database:
        for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for row in database.execute(f'SELECT * FROM "{table}"'):
                for value in row:
                    yield unpacked(value) if isinstance(value, bytes) else str(value).encode()


def unpacked(content: bytes) -> bytes:
    try:
        return zlib.decompress(content)
    except zlib.error:
        return content


def tells(text: str | bytes, secret: str) -> bool:
    """Whether anything can be read of what makes the secret one: in any case, encoded, or with its beginning cut."""
    read = text if isinstance(text, bytes) else text.encode(errors="replace")
    core = secret.removeprefix("sk_ops_").removeprefix("session-").encode()
    plain = (read, unquote_to_bytes(read), unquote_to_bytes(unquote_to_bytes(read)))
    return any(core.lower() in one.lower() for one in plain) or escaped(core.decode()).encode() in read
