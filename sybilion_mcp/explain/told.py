"""What is asked and told of a job: as text for a model, and as data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sybilion_mcp.next_step import NextStep


@dataclass(frozen=True, slots=True)
class Asked:
    """What a caller wants to read; `offset` and `limit` count records: rows, steps, series or parts."""

    artifact: str
    view: Literal["summary", "table", "raw"] = "summary"
    offset: int = 0
    limit: int | None = None

    def of(self, total: int) -> range:
        """The records that are asked for."""
        begin = min(self.offset, total)
        return range(begin, total if self.limit is None else min(begin + self.limit, total))


@dataclass(frozen=True, slots=True)
class Told:
    """The text ends with the line of its next step; the data alone says the same."""

    text: str
    data: Mapping[str, object]
    step: NextStep
