"""Rows as somebody wrote them → many series of one frequency, with everything that is wrong named at once.

Nothing is repaired unless it was asked for; `fill` is the only repair.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from sybilion_mcp.contract.eomer_request import EomerRequest, check_eomer, field_of, frequency_of
from sybilion_mcp.contract.frequency import Frequency, clocked, read_timestamp, written
from sybilion_mcp.contract.problem import Problem, counted
from sybilion_mcp.intake.monthly import gap_free
from sybilion_mcp.intake.numbers import plain_number
from sybilion_mcp.intake.panel_table import Rows
from sybilion_mcp.intake.series import Fill
from sybilion_mcp.outside import quoted

ONLY_SERIES = "series"
"""The id of a series that comes alone and without one."""
MOST_FILLED = 100_000
"""Values in all series together: a mistyped year makes gaps without end."""

Numbers = dict[str, list[tuple[str, float | None]]]


@dataclass(frozen=True, slots=True)
class Panel:
    """`series`: id → timestamp → number, in the order of time, as after the fill that was asked for.

    Empty, and without a `frequency`, while a series has errors.
    """

    series: Mapping[str, Mapping[str, float]]
    frequency: Frequency | None
    problems: tuple[Problem, ...]


def inline_rows(series: Mapping[str, object]) -> Rows:
    """A series (date → number), or several (id → date → number)."""
    if series and all(isinstance(one, Mapping) for one in series.values()):
        return {item_id: list(points.items()) for item_id, points in series.items() if isinstance(points, Mapping)}
    return {ONLY_SERIES: list(series.items())}


def to_panel(rows: Rows, fill: Fill, options: Mapping[str, object]) -> Panel:
    """`options` are those of the request beside the series; what is wrong with them is told as well."""
    numbers, problems = _numbers(rows)
    if fill != "none":
        numbers, filled = _filled(numbers, fill)
        problems += filled
    body = {"series": numbers, **options}
    problems += [_not_again(one, fill) for one in check_eomer(body)]
    if any(one.severity == "error" and _is_of_series(one) for one in problems):
        return Panel({}, None, tuple(problems))
    series = _in_order(numbers)
    frequency = frequency_of(EomerRequest.model_validate({"series": series}))
    return Panel(series, frequency, tuple(problems))


def _not_again(problem: Problem, fill: Fill) -> Problem:
    """A fill that was asked for and did not help is not offered again."""
    return replace(problem, fix=None) if fill != "none" and problem.fix and problem.fix.field == "fill" else problem


def _is_of_series(problem: Problem) -> bool:
    return problem.field.partition("[")[0] == "series"


def _in_order(numbers: Numbers) -> dict[str, dict[str, float]]:
    """Each timestamp in the one way it is written."""
    read = {label: at for points in numbers.values() for label, _ in points if (at := read_timestamp(label))}
    clock = clocked(read.values())
    text = {label: written(at, clock=clock) for label, at in read.items()}
    return {
        item_id: dict(sorted((text[label], value) for label, value in points if value is not None))
        for item_id, points in numbers.items()
    }


def _numbers(rows: Rows) -> tuple[Numbers, list[Problem]]:
    """The values as numbers, None where none is known, and what only the writer can correct."""
    texts: list[tuple[str, str, object]] = []
    foreign: list[tuple[str, str, object]] = []
    numbers: Numbers = {}
    for item_id, points in rows.items():
        numbers[item_id] = []
        for label, value in points:
            number = _number(value)
            if number is None and not _is_nothing(value):
                plain = plain_number(value) if isinstance(value, str) else None
                (foreign if plain is None else texts).append((item_id, label, value))
                number = 0.0 if plain is None else plain  # so that it does not count as missing as well
            numbers[item_id].append((label, number))
    problems = []
    if texts:
        problems.append(_told("text_number", "is a number written as text: give it without quotes.", texts))
    if foreign:
        problems.append(_told("not_a_number", "is no number, or can be read in two ways.", foreign))
    return numbers, problems


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:  # an integer of JSON has no limit
        return math.inf
    return None if math.isnan(number) else number


def _is_nothing(value: object) -> bool:
    if isinstance(value, float):
        return math.isnan(value)
    return value is None or (isinstance(value, str) and value.strip().lower() in ("", "nan", "null"))


def _told(code: str, message: str, found: Sequence[tuple[str, str, object]]) -> Problem:
    item_id, label, value = found[0]
    at = read_timestamp(label)
    place = f" at {written(at)}" if at else ""
    text = counted(f"{quoted(str(value), 40)}{place} {message}", len(found))
    return Problem(code, field_of(item_id), text, status=400)


def _filled(numbers: Numbers, how: Fill) -> tuple[Numbers, list[Problem]]:
    """Every period between a series' first number and its last one; what lies outside of them is left out."""
    assert how != "none"
    known: Numbers = {
        item_id: [(label, value) for label, value in points if value is not None] for item_id, points in numbers.items()
    }
    grid = frequency_of(_request(known))
    if grid is None:
        return numbers, []
    clock = clocked(at for points in known.values() for label, _ in points if (at := read_timestamp(label)))
    indexed = {item_id: dict(_indexed(grid, points)) for item_id, points in known.items()}
    missing = sum(max(one) - min(one) + 1 - len(one) for one in indexed.values() if one)
    if missing > MOST_FILLED:
        return numbers, [_too_many(missing)]
    inside = outside = 0
    whole: Numbers = {}
    for item_id, at_index in indexed.items():
        if len(at_index) < len(known[item_id]) or not at_index:  # the check tells what is wrong
            whole[item_id] = numbers[item_id]
            continue
        full = gap_free(at_index, how)
        inside += len(full) - len(at_index)
        outside += _outside(grid, numbers[item_id], at_index)
        whole[item_id] = [(written(grid.at(index), clock=clock), value) for index, value in full.items()]
    return whole, _what_was_filled(inside, outside, how)


def _too_many(missing: int) -> Problem:
    message = (
        f"{_values(missing)} lie between the first and the last timestamps of the series; at most {MOST_FILLED:,} are "
        "filled. Look for a mistyped year, or give the series in parts."
    )
    return Problem("file_too_large", "series", message, status=413)


def _request(series: Numbers) -> EomerRequest:
    return EomerRequest.model_validate({"series": series})


def _indexed(grid: Frequency, points: Sequence[tuple[str, float | None]]) -> Iterator[tuple[int, float]]:
    for label, value in points:
        at = read_timestamp(label)
        index = None if at is None else grid.index(at)
        if index is not None and value is not None:
            yield index, value


def _outside(grid: Frequency, points: Sequence[tuple[str, float | None]], known: Mapping[int, float]) -> int:
    """How many rows without a value lie before the first number or after the last one."""
    first, last = min(known), max(known)
    stamps = [at for label, value in points if value is None and (at := read_timestamp(label))]
    return sum(not first < index < last for at in stamps if (index := grid.index(at)) is not None)


def _what_was_filled(inside: int, outside: int, how: Fill) -> list[Problem]:
    way = {"linear": "on a line between their neighbours", "previous": "to the value before", "zero": "to 0"}[how]
    said = [f'fill="{how}" set {_values(inside)} {way}'] if inside else []
    said += [f"{_values(outside)} at the ends left out: nothing lies on one side"] if outside else []
    return [Problem("filled", "series", f"{'; '.join(said)}.", severity="warning")] if said else []


def _values(count: int) -> str:
    return "1 missing value" if count == 1 else f"{count:,} missing values"
