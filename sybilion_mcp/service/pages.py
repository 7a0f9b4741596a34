"""Raw artifacts in pages that never split a record."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sybilion_mcp.outside import visible_json

PAGE_BYTES = 2600
"""Of records in one answer: they stand in its text and in its data."""

_LONGEST = 200
"""Characters shown of what is longer than a page; written as JSON, a character has up to six bytes."""

_DEEPEST = 16
"""Levels that are opened; what the API sends has five."""

Record = tuple[str, object]


@dataclass(frozen=True, slots=True)
class Page:
    """`records` from `offset` on: where a value stands in the artifact, and the value. `next_offset` None: the last."""

    records: tuple[Record, ...]
    offset: int
    total: int
    next_offset: int | None


def page(payload: object, offset: int, limit: int | None) -> Page:
    """As many records from `offset` on as fit, at most `limit`; always at least one while there are any."""
    every = list(_records("", payload))
    taken: list[Record] = []
    room = PAGE_BYTES
    for record in every[offset : None if limit is None else offset + limit]:
        room -= _size(record)
        if taken and room < 0:
            break
        taken.append(record)
    end = offset + len(taken)
    return Page(tuple(taken), offset, len(every), end if end < len(every) else None)


def line(record: Record) -> str:
    path, value = record
    return f"{path} = {visible_json(value, compact=True)}"


def _records(path: str, value: object, depth: int = 0) -> Iterator[Record]:
    """The value itself when it fits a page, else its parts. The envelope is always opened."""
    opened = path in ("", "data") and isinstance(value, dict | list) and bool(value)
    if not opened and _size((path, value)) <= PAGE_BYTES:
        yield path, value
    elif depth == _DEEPEST:
        yield path[:_LONGEST], "nested too deeply to be shown; write the artifact to a file with save_to"
    elif isinstance(value, dict):
        for name, one in value.items():
            yield from _records(_below(path, str(name)), one, depth + 1)
    elif isinstance(value, list):
        for position, one in enumerate(value):
            yield from _records(f"{path}[{position}]", one, depth + 1)
    else:  # a single text longer than a page, or a path that is
        yield path[:_LONGEST], f"{str(value)[:_LONGEST]}…"


def _below(path: str, name: str) -> str:
    """The path of a part; a name that is no plain word is written as JSON, so that it cannot be taken for more."""
    if not re.fullmatch(r"[\w-]+", name):
        return f"{path}[{visible_json(name)}]"
    return f"{path}.{name}" if path else name


def _size(record: Record) -> int:
    return len(line(record).encode()) + 1
