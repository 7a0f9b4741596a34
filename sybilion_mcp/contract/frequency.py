"""Regular time steps: read from timestamps or from a pandas alias, and counted with. Without pandas.

Timestamps are naive: one that names a zone is taken to UTC.
"""

import re
from calendar import monthrange
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Literal

Unit = Literal["month_start", "month_end", "business", "second"]

DAY = 86_400
WEEK = 7 * DAY
_EPOCH = datetime(1970, 1, 1)  # a Thursday
_STAMP = re.compile(
    r"\d{4}(?:-\d{2}(?:-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}(?::?\d{2})?)?)?)?)?", re.ASCII
)
_ALIAS = re.compile(r"([1-9]\d{0,4})?([A-Za-z]{1,3})(?:-([A-Za-z]{3}))?", re.ASCII)
_WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_PLAIN: dict[str, tuple[Unit, int]] = {  # as pandas writes them now, and wrote them before version 2.2
    "MS": ("month_start", 1),
    "ME": ("month_end", 1),
    "M": ("month_end", 1),
    "B": ("business", 1),
    "D": ("second", DAY),
    "h": ("second", 3600),
    "H": ("second", 3600),
    "min": ("second", 60),
    "T": ("second", 60),
    "s": ("second", 1),
    "S": ("second", 1),
}
_ANCHORED: dict[str, tuple[Unit, int]] = {
    "QS": ("month_start", 3),
    "QE": ("month_end", 3),
    "Q": ("month_end", 3),
    "YS": ("month_start", 12),
    "AS": ("month_start", 12),
    "YE": ("month_end", 12),
    "Y": ("month_end", 12),
    "A": ("month_end", 12),
}
_SURE_GAPS = 3  # gaps of one size that are no chance, whatever the size


@dataclass(frozen=True, slots=True)
class Frequency:
    """A grid of timestamps: every `step` units, those whose number leaves `phase` when divided by `step`."""

    unit: Unit
    step: int
    phase: int = 0

    def index(self, at: datetime) -> int | None:
        """The number of a timestamp on the grid, one more for each period; None when it is not on it."""
        number = _number(self.unit, at)
        return None if number is None or number % self.step != self.phase else number // self.step

    def at(self, index: int) -> datetime:
        """The timestamp of that number. Raises `OverflowError` beyond the calendar."""
        return _stamp(self.unit, index * self.step + self.phase)

    @property
    def alias(self) -> str:
        """As pandas 2.2 and later write it: MS, QS, D, W-MON, h, 15min."""
        if self.unit == "business":
            return "B"
        if self.unit == "second":
            return self._clock_alias()
        end = self.unit == "month_end"
        letter = "E" if end else "S"
        for months, name in ((12, "Y"), (3, "Q")):
            if self.step == months:
                usual = self.phase == (months - 1 if end else 0)
                return f"{name}{letter}" if usual else f"{name}{letter}-{_MONTHS[self.phase]}"
        return f"{self.step if self.step > 1 else ''}M{letter}"

    def _clock_alias(self) -> str:
        if self.step % WEEK == 0:
            weeks = self.step // WEEK
            return f"{weeks if weeks > 1 else ''}W-{_WEEKDAYS[(self.phase // DAY + 3) % 7]}"
        for seconds, name in ((DAY, "D"), (3600, "h"), (60, "min")):
            if self.step % seconds == 0:
                times = self.step // seconds
                return f"{times if times > 1 else ''}{name}"
        return f"{self.step if self.step > 1 else ''}s"

    @property
    def seasons(self) -> tuple[int, ...]:
        """Periods after which such a series may repeat itself, the shortest first; empty where nothing is usual."""
        known = {
            ("month_start", 1): (12,),
            ("month_end", 1): (12,),
            ("month_start", 3): (4,),
            ("month_end", 3): (4,),
            ("business", 1): (5,),
            ("second", DAY): (7, 365),
            ("second", WEEK): (52,),
            ("second", 3600): (24, 168),
        }
        return known.get((self.unit, self.step), ())

    @property
    def word(self) -> str:
        """One period, for people."""
        words = {
            ("month_start", 1): "month",
            ("month_end", 1): "month",
            ("month_start", 3): "quarter",
            ("month_end", 3): "quarter",
            ("month_start", 12): "year",
            ("month_end", 12): "year",
            ("business", 1): "business day",
            ("second", DAY): "day",
            ("second", WEEK): "week",
            ("second", 3600): "hour",
        }
        return words.get((self.unit, self.step), f"period of {self.alias}")


@dataclass(frozen=True, slots=True)
class Alias:
    """`anchor`: the weekday (0 is Monday), or the number of the month divided by `step`; None: any."""

    unit: Unit
    step: int
    anchor: int | None = None


@dataclass(frozen=True, slots=True)
class Irregular:
    """No frequency: the timestamps lie on no grid, or are too few to tell on which."""

    reason: Literal["irregular", "ambiguous"]


@lru_cache(1 << 14)  # many series have the same timestamps
def read_timestamp(text: str) -> datetime | None:
    """2024, 2024-03, 2024-03-01, 2024-03-01 13:30[:15[.5]], also with T, Z or an offset; None for anything else."""
    text = text.strip()
    if not _STAMP.fullmatch(text):
        return None
    try:
        read = datetime.fromisoformat(f"{text}-01-01"[:10] if len(text) < 10 else text)
        return read.astimezone(UTC).replace(tzinfo=None) if read.tzinfo else read
    except (ValueError, OverflowError):
        return None


def written(at: datetime, *, clock: bool = False) -> str:
    """A timestamp as it is written everywhere: only the date at midnight, unless `clock`; seconds where there are any.

    Of timestamps that stand in one column, all have a clock or none has: see `clocked`.
    """
    if not clock and not clocked([at]):
        return at.date().isoformat()
    return at.isoformat(" ", "minutes" if at.second == at.microsecond == 0 else "auto")


def clocked(stamps: Iterable[datetime]) -> bool:
    """Whether any of them is not at midnight."""
    return any(at.hour or at.minute or at.second or at.microsecond for at in stamps)


def parse_alias(alias: str) -> Alias | None:
    """What a pandas alias says, old or new; None for one that is not known."""
    match = _ALIAS.fullmatch(alias.strip())
    if match is None:
        return None
    times, name, anchor = int(match[1] or 1), match[2], (match[3] or "").upper()
    if name == "W" and (anchor or "SUN") in _WEEKDAYS:
        return Alias("second", times * WEEK, _WEEKDAYS.index(anchor) if anchor else None)
    if name in _ANCHORED and (not anchor or anchor in _MONTHS):
        unit, months = _ANCHORED[name]
        return Alias(unit, times * months, _MONTHS.index(anchor) % months if anchor and times == 1 else None)
    if name in _PLAIN and not anchor and (name != "B" or times == 1):
        unit, step = _PLAIN[name]
        return Alias(unit, times * step)
    return None


def infer(stamps: Sequence[datetime]) -> Frequency | Irregular:
    """The frequency of rising timestamps, at least two; some may be missing, but fewer than half of the periods."""
    found = next(_fitting(stamps), None)
    if found is None:
        return Irregular("ambiguous" if len(stamps) <= _SURE_GAPS else "irregular")
    return found


def grid_of(alias: Alias, first: datetime) -> Frequency | None:
    """The grid that an alias and the first timestamp describe; None when the timestamp cannot be on it."""
    number = _number(alias.unit, first)
    if number is None:
        return None
    found = first.weekday() if alias.unit == "second" else number % alias.step
    if alias.anchor is not None and found != alias.anchor:
        return None
    return Frequency(alias.unit, alias.step, number % alias.step)


def _fitting(stamps: Sequence[datetime]) -> Iterator[Frequency]:
    units: tuple[Unit, ...] = ("month_start", "month_end", "business", "second")
    for unit in units:
        numbers = [number for at in stamps if (number := _number(unit, at)) is not None]
        gaps = Counter(after - before for before, after in pairwise(numbers))
        if len(numbers) < len(stamps) or not gaps or min(gaps) < 1:
            continue
        step, times = min(gaps.items(), key=lambda gap: (-gap[1], gap[0]))
        whole = all(gap % step == 0 for gap in gaps) and 2 * times >= len(numbers) - 1
        if whole and _plausible(unit, step, times, stamps):
            yield Frequency(unit, step, numbers[0] % step)


def _plausible(unit: Unit, step: int, times: int, stamps: Sequence[datetime]) -> bool:
    if unit == "business":  # five days of one week are simply days
        return step == 1 and (stamps[-1] - stamps[0]).days > 4
    if unit == "second":
        return step == DAY or step in (WEEK, 2 * WEEK) or (step < DAY and DAY % step == 0) or times >= _SURE_GAPS
    return step in (1, 3, 12) or times >= 2 or step in (2, 4, 6)


def _number(unit: Unit, at: datetime) -> int | None:
    """How many units a timestamp lies after the first one of all; None where the unit has no such timestamp."""
    if at.microsecond:
        return None
    if unit == "second":
        return round((at - _EPOCH).total_seconds())
    midnight = at.hour == at.minute == at.second == 0
    if unit == "business":
        days = (at - _EPOCH).days + 3  # since a Monday
        return days // 7 * 5 + days % 7 if midnight and at.weekday() < 5 else None
    day = 1 if unit == "month_start" else monthrange(at.year, at.month)[1]
    return at.year * 12 + at.month - 1 if midnight and at.day == day else None


def _stamp(unit: Unit, number: int) -> datetime:
    if unit == "second":
        return _EPOCH + timedelta(seconds=number)
    if unit == "business":
        return _EPOCH + timedelta(days=number // 5 * 7 + number % 5 - 3)
    year, month = divmod(number, 12)
    if not 1 <= year <= 9999:
        raise OverflowError("beyond the calendar")
    day = 1 if unit == "month_start" else monthrange(year, month + 1)[1]
    return datetime(year, month + 1, day)
