"""How the labels of a series are counted: months, or periods of any other length."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from sybilion_mcp.contract.months import index_of, month_index, month_of
from sybilion_mcp.contract.request import MAX_HORIZON


@dataclass(frozen=True, slots=True)
class Grid:
    """`index` numbers a label, one more for each period; `season` periods after, a series may repeat itself.

    `over` says whether the period of a label has ended before a day. `word` is one period for people, `at` the word
    before a label in a sentence; of a forecast, `most` periods are read.
    """

    index: Callable[[str], int]
    season: int
    over: Callable[[str, date], bool]
    word: str
    at: str
    most: int


def _month_over(month: str, today: date) -> bool:
    return month < month_of(month_index(today))


MONTHLY = Grid(index_of, 12, _month_over, "month", "in", MAX_HORIZON)
