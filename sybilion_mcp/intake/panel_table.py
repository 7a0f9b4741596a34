"""What is read of a file with many series, and which of its columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Rows = Mapping[str, Sequence[tuple[str, object]]]
"""Id of a series → its timestamps and values, in the order of the source."""


@dataclass(frozen=True, slots=True)
class PanelColumns:
    """Which columns are meant; None: the only one that can be."""

    dates: str | None = None
    values: str | None = None
    ids: str | None = None


@dataclass(frozen=True, slots=True)
class PanelTable:
    """`left_out`: the columns of a wide table that hold neither dates nor numbers."""

    rows: Rows
    left_out: tuple[str, ...] = ()
