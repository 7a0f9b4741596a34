"""How ids and tables of series are written down, and pages of them that fit an answer."""

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from sybilion_mcp.explain.told import Asked, Told
from sybilion_mcp.next_step import NextStep
from sybilion_mcp.outside import clean, identifier, quoted

if TYPE_CHECKING:
    from sybilion_mcp.explain.eomer.results import Results

MOST_BYTES = 6000
"""Of an answer: its text and its data together where both list rows."""
_AROUND = 300  # bytes that the answer adds to what is told: the id, the part, the next step
_MOST_ROWS = 300  # no answer of that size lists more
_ID_CHARACTERS = 48


def shown_id(item_id: str) -> str:
    """An item id as data; it comes from outside."""
    return clean(item_id, _ID_CHARACTERS)


def quoted_id(item_id: str) -> str:
    return quoted(item_id, _ID_CHARACTERS)


def several(number: int, noun: str) -> str:
    """Counted, with a separator from a thousand on."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def shortened(text: str, most: int) -> str:
    """Outside text as data, in at most so many characters and bytes."""
    made = clean(text, most)
    while (size := len(made.encode())) > most:
        made = clean(made, min(len(made) * most // size, len(made) - 1))
    return made


def fits(told: Told) -> bool:
    """Whether text and data together stay within an answer."""
    return _size(told) <= MOST_BYTES - _AROUND


def fitting(render: Callable[[int], Told], most: int) -> Told:
    """The told with the most rows, up to `most`, that fits; with one row at least where there is one.

    `render` takes how many rows to tell of.
    """
    good, bad = min(1, most), min(most, _MOST_ROWS) + 1
    while bad - good > 1:
        rows = (good + bad) // 2
        good, bad = (rows, bad) if fits(render(rows)) else (good, rows)
    return render(good)


def _size(told: Told) -> int:
    return len(told.text.encode()) + len(json.dumps(told.data, ensure_ascii=False, separators=(",", ":")).encode())


def without_none(data: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in data.items() if value is not None}


def reading(results: "Results", artifact: str, reason: str = "for more (free)", **more: object) -> NextStep:
    """Another part of the same job."""
    job_id = identifier(results.facts.job_id)
    return NextStep("read_artifact", {"job_id": job_id, "artifact": artifact, **more}, reason)


def following(results: "Results", asked: Asked, offset: int, of_all: str) -> NextStep:
    """The next page of what was asked."""
    more: dict[str, object] = {} if asked.view == "summary" else {"view": asked.view}
    more["offset"] = offset
    if asked.limit is not None:
        more["limit"] = asked.limit
    return reading(results, asked.artifact, f"for the next page {of_all}", **more)
