"""The arithmetic between dates and months: how regular dates are, aggregation, filling."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import MAXYEAR, date, timedelta
from itertools import pairwise
from typing import Literal

from sybilion_mcp.contract.months import month_index, month_of

_DAILY = 3  # days between dates at most, by their median: daily, working days, every other day
_WEEKLY = 16  # one or two weeks
_REGULAR = 3  # different dates, at least, before a rhythm can be seen
_HOLIDAYS = 3  # days that a daily series may begin late in its first month


@dataclass(frozen=True, slots=True)
class Rhythm:
    """How dates lie in months: one each, several by accident ("repeated"), or several by a daily or weekly rhythm.

    `step` is the median number of days between two different dates, 0 when there is one only.
    """

    kind: Literal["monthly", "repeated", "daily", "weekly"]
    step: int

    @property
    def regular(self) -> bool:
        return self.kind in ("daily", "weekly")


@dataclass(frozen=True, slots=True)
class Cell:
    """A month: its value (None without any), how many points it was given and how many of them hold a number.

    `value` is None with numbers counted when their sum is too large for a number.
    """

    value: float | None
    given: int
    counted: int


def rhythm_of(days: Sequence[date]) -> Rhythm:
    different = sorted(set(days))
    steps = sorted((after - before).days for before, after in pairwise(different))
    step = steps[len(steps) // 2] if steps else 0
    if len({month_index(day) for day in different}) == len(days):
        return Rhythm("monthly", step)
    if len(different) < _REGULAR or step > _WEEKLY:
        return Rhythm("repeated", step)
    return Rhythm("daily" if step <= _DAILY else "weekly", step)


def aggregated(
    days: Sequence[date], values: Sequence[float | None], how: Literal["mean", "sum", "last"]
) -> dict[int, Cell]:
    """Month → cell, in order. Points without a number count as given only."""
    groups: dict[int, list[float | None]] = {}
    for index in sorted(range(len(days)), key=days.__getitem__):
        groups.setdefault(month_index(days[index]), []).append(values[index])
    return {month: _cell(group, how) for month, group in groups.items()}


def _cell(group: Sequence[float | None], how: Literal["mean", "sum", "last"]) -> Cell:
    numbers = [value for value in group if value is not None]
    if not numbers or how == "last" or len(numbers) == 1:
        return Cell(numbers[-1] if numbers else None, len(group), len(numbers))
    try:
        value = math.fsum(numbers) if how == "sum" else math.fsum(numbers) / len(numbers)
    except OverflowError:  # fsum raises where a sum would be infinite
        value = math.inf if how == "sum" else math.fsum(number / len(numbers) for number in numbers)
    return Cell(value if math.isfinite(value) else None, len(group), len(numbers))


def incomplete_edges(days: Sequence[date], rhythm: Rhythm) -> tuple[int, ...]:
    """The first and the last month of daily or weekly dates, where the rhythm has more dates in them."""
    first, last = min(days), max(days)
    working_week = rhythm.kind == "daily" and all(day.weekday() < 5 for day in days)
    late = _HOLIDAYS if rhythm.kind == "daily" else 0
    begins_late = first.day > rhythm.step + late + (2 if working_week else 0)
    ends_early = last.year < MAXYEAR and month_index(_next(last, rhythm.step, working_week)) == month_index(last)
    months = {month_index(first): begins_late, month_index(last): ends_early}
    if month_index(first) == month_index(last):
        months = {month_index(first): begins_late or ends_early}
    return tuple(month for month, incomplete in months.items() if incomplete)


def without_sum(days: Sequence[date], rhythm: Rhythm, edges: Sequence[int], today: date) -> tuple[int, ...]:
    """Those of the incomplete `edges` whose sum says nothing of a month; one that lacks but days at its end does."""
    last = max(days)
    ends = month_index(last)
    end = last + timedelta(days=min(rhythm.step + _HOLIDAYS, (date.max - last).days))
    missing = ends == month_index(today) or month_index(end) == ends
    return tuple(month for month in edges if month != ends or month == month_index(min(days)) or missing)


def _next(day: date, step: int, working_week: bool) -> date:
    after = day + timedelta(days=step)
    while working_week and after.weekday() >= 5:
        after += timedelta(days=1)
    return after


def gap_free(numbers: Mapping[int, float], how: Literal["linear", "previous", "zero"]) -> dict[int, float]:
    """Every month from the first to the last of `numbers`, the absent ones filled; nothing is extended."""
    months = sorted(numbers)
    whole = {months[0]: numbers[months[0]]}
    for before, after in pairwise(months):
        for month in range(before + 1, after):
            whole[month] = _between(numbers, before, month, after, how)
        whole[after] = numbers[after]
    return whole


def _between(
    numbers: Mapping[int, float], before: int, month: int, after: int, how: Literal["linear", "previous", "zero"]
) -> float:
    if how == "zero":
        return 0.0
    if how == "previous":
        return numbers[before]
    share = (month - before) / (after - before)
    return numbers[before] * (1 - share) + numbers[after] * share


def spacing(months: Sequence[int]) -> int | None:
    """The number of months between all neighbours when it is the same one everywhere, such as 3 for quarters."""
    steps = {after - before for before, after in pairwise(months)}
    return steps.pop() if len(steps) == 1 else None


def wire_date(month: int) -> str:
    """ "2021-03-01" of a running month number: the only date of a month that the API takes."""
    return f"{month_of(month)}-01"
