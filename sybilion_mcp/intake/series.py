"""Points as somebody wrote them → one value per month, with everything that is wrong named at once.

Nothing is repaired unless it was asked for. A problem is reported, then the reading goes on with the series as
it would be after the offered fix, so that one round of fixes removes every fixable problem.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Literal

from sybilion_mcp.contract.months import month_index
from sybilion_mcp.contract.problem import Fix, Problem
from sybilion_mcp.intake import findings
from sybilion_mcp.intake.dates import calendar_date
from sybilion_mcp.intake.monthly import (
    Cell,
    Rhythm,
    aggregated,
    gap_free,
    incomplete_edges,
    rhythm_of,
    wire_date,
    without_sum,
)
from sybilion_mcp.intake.numbers import decimal_of, plain_number
from sybilion_mcp.intake.unusual import unusual_values

Aggregate = Literal["none", "mean", "sum", "last"]
Fill = Literal["none", "linear", "previous", "zero"]

_ENDLESS = frozenset({"nan", "inf", "infinity", "+inf", "-inf", "+infinity", "-infinity"})
_MONTH_OF_LABEL = re.compile(r"([0-9]{4}-(?:0[1-9]|1[0-2]))(?![0-9])")


@dataclass(frozen=True, slots=True)
class Point:
    """One row of a source: the label as written there, and the value as it came."""

    label: str
    value: object


@dataclass(frozen=True, slots=True)
class Monthly:
    """A series with one value per month.

    `points` maps "YYYY-MM-01" to the value, in order and without a gap, as they are after every offered fix.
    `invented` holds the months of `points` whose value was filled in, whether asked for or only offered.
    """

    points: dict[str, float]
    problems: tuple[Problem, ...]
    invented: frozenset[str] = frozenset()

    @property
    def measured(self) -> dict[str, float]:
        """The points without the invented ones: what the source really holds."""
        return {month: value for month, value in self.points.items() if month not in self.invented}


@dataclass(slots=True)
class _Reading:
    """The points that have a date, and the places where something is wrong."""

    days: list[date] = field(default_factory=list)
    values: list[float | None] = field(default_factory=list)
    bad_labels: list[str] = field(default_factory=list)
    text: dict[date, str] = field(default_factory=dict)
    foreign: dict[date, object] = field(default_factory=dict)
    endless: set[date] = field(default_factory=set)
    null: set[date] = field(default_factory=set)

    def take(self, point: Point) -> None:
        day = calendar_date(point.label)
        if day is None:
            self.bad_labels.append(point.label)
        else:
            self.days.append(day)
            self.values.append(self._number(day, point.value))

    def _number(self, day: date, value: object) -> float | None:
        """The value as a finite number, or None after a note of what is wrong with it."""
        if isinstance(value, float | int) and not isinstance(value, bool):
            try:
                number = float(value)
            except OverflowError:  # an integer of JSON has no limit
                number = math.inf
            if math.isfinite(number):
                return number
            self.endless.add(day)
        elif value is None:
            self.null.add(day)
        elif isinstance(value, str):
            return self._of_text(day, value)
        else:
            self.foreign[day] = value
        return None

    def _of_text(self, day: date, text: str) -> float | None:
        number = plain_number(text)
        if number is not None or decimal_of(text) is not None:
            self.text[day] = text
        elif text.strip().lower() in _ENDLESS:
            self.endless.add(day)
        else:
            self.foreign[day] = text
        return number


def points_of(series: Mapping[str, object]) -> list[Point]:
    """The points of an inline series (label → value)."""
    return [Point(label, value) for label, value in series.items()]


def trimmed(points: Sequence[Point]) -> list[Point]:
    """The points without those before the first and after the last value, as a column of a wider table has them."""
    dated = [(calendar_date(point.label), point) for point in points]
    days = [day for day, point in dated if day is not None and not _is_absent(point.value)]
    if not days:
        return [point for point in points if not _is_absent(point.value)]
    first, last = min(days), max(days)
    return [point for day, point in dated if (not _is_absent(point.value) if day is None else first <= day <= last)]


def _is_absent(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def to_monthly(points: Sequence[Point], aggregate: Aggregate, fill: Fill, today: date, apart: str = "") -> Monthly:
    """The monthly series and all of its problems, with the codes of `findings.CODES`. `today` is a UTC date.

    `apart`: the columns by which several points of one date are told apart, quoted.

    It never raises for what the points hold. Where a date or a value cannot be read and no fix exists, the series
    goes on without it.
    """
    read = _read(points)
    problems = _label_problems(read.bad_labels)
    if not read.days:
        what = "no point with a date" if points else "no point"
        return Monthly({}, (*problems, findings.empty(what)))
    rhythm = rhythm_of(read.days)
    if apart and aggregate != "sum":
        problems.append(findings.several_series(apart, _repeated(read.days), aggregate))
    elif aggregate == "none":
        problems += _date_problems(read.days, rhythm)
    cells = aggregated(read.days, read.values, _method(aggregate, rhythm))
    edges = incomplete_edges(read.days, rhythm) if rhythm.regular else ()
    gone = without_sum(read.days, rhythm, edges, today) if aggregate == "sum" and len(cells) > len(edges) else ()
    numbers = {month: cell.value for month, cell in cells.items() if cell.value is not None and month not in gone}
    problems += _value_problems(read, cells) + _absence_problems(read, cells, numbers, fill)
    if not numbers:
        return Monthly({}, (*problems, findings.empty("no value that is a number")))
    whole = gap_free(numbers, "linear" if fill == "none" else fill)
    partial = findings.partial_months(cells, edges, gone)
    problems += [partial] if partial else []
    problems += _warnings(whole, _beyond_doubt(read, rhythm, cells, edges), today, regular=rhythm.regular)
    invented = frozenset(wire_date(month) for month in whole if month not in numbers)
    return Monthly({wire_date(month): value for month, value in whole.items()}, tuple(problems), invented)


def _warnings(whole: Iterable[int], sure: Mapping[int, float], today: date, *, regular: bool) -> list[Problem]:
    """What is odd about months and values that can be read. `sure` are the values that nothing else explains."""
    last, current = max(whole), month_index(today)
    over = regular or last != current or month_index(today + timedelta(days=1)) > current
    unfinished = None if over else findings.not_over(last, today)
    later = [month for month in whole if month > current]
    future = findings.future_months(later, today) if later else None
    far = unusual_values(sure)
    unusual = findings.unusual(far) if far else None
    return [warning for warning in (unfinished, future, unusual) if warning is not None]


def _beyond_doubt(read: _Reading, rhythm: Rhythm, cells: Mapping[int, Cell], edges: Iterable[int]) -> dict[int, float]:
    """The values of months of which nothing else is told that would explain a wrong one."""
    told = {*edges, *map(month_index, read.text)}
    told |= {month for month, cell in cells.items() if cell.given > 1 and not rhythm.regular}
    return {month: cell.value for month, cell in cells.items() if cell.value is not None and month not in told}


def _read(points: Iterable[Point]) -> _Reading:
    read = _Reading()
    for point in points:
        read.take(point)
    return read


def _method(aggregate: Aggregate, rhythm: Rhythm) -> Literal["mean", "sum", "last"]:
    """What was asked for, or else what the fix will ask for."""
    if aggregate == "none":
        return "last" if rhythm.kind == "monthly" else "mean"
    return aggregate


def _label_problems(labels: Sequence[str]) -> list[Problem]:
    if not labels:
        return []
    months = [found[1] for label in labels if (found := _MONTH_OF_LABEL.match(label))]
    return [findings.bad_dates(labels, months)]


def _date_problems(days: Sequence[date], rhythm: Rhythm) -> list[Problem]:
    if rhythm.regular:
        return [findings.too_fine(days, rhythm)]
    problems = []
    if rhythm.kind == "repeated":
        problems.append(findings.duplicates(_repeated(days)))
    off = sorted(day for day in days if day.day != 1)
    if off:
        how: Literal["mean", "last"] = "last" if rhythm.kind == "monthly" else "mean"
        problems.append(findings.not_first(off, len(days), how))
    return problems


def _repeated(days: Sequence[date]) -> list[int]:
    given = Counter(month_index(day) for day in days)
    return sorted(month for month, times in given.items() if times > 1)


def _value_problems(read: _Reading, cells: Mapping[int, Cell]) -> list[Problem]:
    """What only the writer can correct."""
    problems = []
    if read.text:
        problems.append(findings.text_numbers(read.text))
    if read.foreign:
        problems.append(findings.not_numbers(read.foreign))
    too_large = [month for month, cell in cells.items() if cell.value is None and cell.counted]
    if too_large:
        problems.append(findings.sum_too_large(too_large))
    return problems


def _absence_problems(
    read: _Reading, cells: Mapping[int, Cell], numbers: Mapping[int, float], fill: Fill
) -> list[Problem]:
    """Months and points without a value: errors while nothing is filled, else one note of what was filled."""
    first, last = (min(numbers), max(numbers)) if numbers else (0, -1)
    fix = Fix("fill", "linear") if numbers else None
    gaps = [month for month in range(first, last + 1) if month not in cells]
    null = _without_numbers(read.null, cells)
    if fill != "none" and numbers:
        absent = sorted({*gaps, *null, *_without_numbers(read.endless, cells)})
        inside = [month for month in absent if first < month < last]
        outside = [month for month in absent if not first < month < last]
        return [findings.filled(inside, outside, fill)] if absent else []
    problems = [findings.not_finite(read.endless, fix)] if read.endless else []
    if null:
        outside = [month for month in null if not first < month < last]
        problems.append(findings.missing_values(null, outside, fix))
    if gaps:
        problems.append(findings.missing_months(gaps, list(numbers), fix))
    return problems


def _without_numbers(days: Iterable[date], cells: Mapping[int, Cell]) -> list[int]:
    """The months of the days that hold no number at all."""
    return sorted({month for day in days if not cells[month := month_index(day)].counted})
