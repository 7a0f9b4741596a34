"""What is sent to Eomer: many series as one long table, and the options beside it. Every rule is told at once."""

import csv
import difflib
import io
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sybilion_mcp.contract.frequency import (
    Alias,
    Frequency,
    Irregular,
    clocked,
    grid_of,
    infer,
    parse_alias,
    read_timestamp,
    written,
)
from sybilion_mcp.contract.problem import Fix, Problem, counted
from sybilion_mcp.outside import clean, quoted

DEFAULT_PREDICTION_LENGTH = 24
DEFAULT_PRESET = "chronos_tiny"
PRESETS = (
    "chronos_tiny", "chronos_mini", "chronos_small", "chronos_base", "chronos_large",
    "chronos_bolt_tiny", "chronos_bolt_mini", "chronos_bolt_small", "chronos_bolt_base",
    "bolt_tiny", "bolt_mini", "bolt_small", "bolt_base", "chronos2",
    "fast_training", "medium_quality", "high_quality", "best_quality",
)  # fmt: skip
"""Names that are known to be used with these models; the service may know others."""

ITEM_ID_COLUMN, TIMESTAMP_COLUMN, TARGET_COLUMN = "item_id", "timestamp", "target"
MIN_OBSERVATIONS = 2
MAX_PREDICTION_LENGTH = 1000
MAX_SERIES = 5000
MAX_FORECAST_ROWS = 500_000
MAX_FILE_BYTES = 10 * 1024 * 1024
_LONGEST_ID = 200
_PRESET = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)
_EXPECTED = {"int_type": "a whole number", "string_type": "text", "dict_type": "an object", "list_type": "a list"}
_NAMED = 3

Pair = Annotated[tuple[str, float | None], Field(strict=False)]
"""A timestamp and a number. JSON has no tuples: a list of two is one, its parts are taken strictly."""

Points = Sequence[tuple[str, float | None]]


class EomerRequest(BaseModel):
    """One submit. `series`: id → observations, as timestamp → number or as pairs; everything else has a default."""

    model_config = ConfigDict(strict=True, extra="ignore")

    series: dict[str, dict[str, float | None] | list[Pair]]
    prediction_length: int = DEFAULT_PREDICTION_LENGTH
    presets: str = DEFAULT_PRESET
    freq: str | None = None
    quantile_levels: list[float] | None = None
    explainability: dict[str, object] | None = None
    item_id_column: str = ITEM_ID_COLUMN
    timestamp_column: str = TIMESTAMP_COLUMN
    target_column: str = TARGET_COLUMN

    def points(self, item_id: str) -> Points:
        given = self.series[item_id]
        return list(given.items()) if isinstance(given, dict) else given


@dataclass(frozen=True, slots=True)
class _Series:
    """A series whose timestamps can be read, in the order of time."""

    item_id: str
    stamps: Sequence[datetime]

    @property
    def field(self) -> str:
        return field_of(self.item_id)


def field_of(item_id: str) -> str:
    """A series as problems name it; its id comes from outside."""
    return f"series[{quoted(item_id, 40)}]"


def table_of(request: EomerRequest) -> bytes:
    """The long table: one row for each observation, by series and time. A missing value is an empty cell."""
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow([request.item_id_column, request.timestamp_column, request.target_column])
    read = {item_id: _in_order(request, item_id) for item_id in request.series}
    clock = clocked(at for points in read.values() for at, _ in points)
    for item_id, points in read.items():
        for at, value in points:
            rows.writerow([item_id, written(at, clock=clock), "" if value is None else repr(float(value))])
    return text.getvalue().encode()


def _in_order(request: EomerRequest, item_id: str) -> list[tuple[datetime, float | None]]:
    points = [(read_timestamp(label), value) for label, value in request.points(item_id)]
    return sorted(((at, value) for at, value in points if at is not None), key=lambda point: point[0])


def frequency_of(request: EomerRequest) -> Frequency | None:
    """The frequency that the request names, or that its longest series shows; None when there is none."""
    series = [one for item_id in request.series if (one := _readable(request, item_id)) is not None]
    longest = max(series, key=lambda one: len(one.stamps), default=None)
    found = None if longest is None else _grid(request, longest)
    return found if isinstance(found, Frequency) else None


def check_eomer(body: Mapping[str, object]) -> list[Problem]:
    """Every problem of a body, worst first: what cannot be read, what the options lack, what is wrong in a series."""
    try:
        request = EomerRequest.model_validate(dict(body))
    except ValidationError as error:
        return list(_wrong_types(error))
    return [*_options(request), *_folded(list(_series(request)))]


def check_options(options: Mapping[str, object], series: int) -> list[Problem]:
    """The same for the options alone, of a job of so many series that are known to be sound."""
    try:
        request = EomerRequest.model_validate({**options, "series": {}})
    except ValidationError as error:
        return list(_wrong_types(error))
    return [*_options(request), *_rows(series, request.prediction_length)]


def _folded(problems: Sequence[Problem]) -> list[Problem]:
    """What is wrong with many series in one way is named of the first ones, and counted."""
    times = Counter(one.code for one in problems)
    seen: Counter[str] = Counter()
    kept = []
    for one in problems:
        seen[one.code] += 1
        if seen[one.code] < _NAMED or times[one.code] <= _NAMED:
            kept.append(one)
        elif seen[one.code] == _NAMED:
            kept.append(replace(one, message=counted(one.message, times[one.code] - _NAMED + 1)))
    return kept


def _wrong_types(error: ValidationError) -> Iterator[Problem]:
    details = error.errors(include_url=False, include_context=False, include_input=False)
    for detail in {detail["loc"][:2]: detail for detail in reversed(details)}.values():
        name = str(detail["loc"][0])
        field = name if len(detail["loc"]) == 1 or name != "series" else field_of(str(detail["loc"][1]))
        missing = "is missing." if detail["type"] == "missing" else None
        expected = _EXPECTED.get(detail["type"], "timestamps with numbers" if name == "series" else "of another type")
        yield Problem("wrong_type", field, f"{name} {missing}" if missing else f"Must be {expected}.")


def _options(request: EomerRequest) -> Iterator[Problem]:
    length = request.prediction_length
    if not 1 <= length <= MAX_PREDICTION_LENGTH:
        nearest = min(max(length, 1), MAX_PREDICTION_LENGTH)
        message = f"Must be from 1 to {MAX_PREDICTION_LENGTH} periods, not {length}."
        yield Problem("bad_prediction_length", "prediction_length", message, Fix("prediction_length", nearest))
    yield from _preset(request.presets)
    if request.freq is not None and parse_alias(request.freq) is None:
        message = f"{quoted(request.freq, 20)} is no pandas alias; D, h, W-MON, MS, ME, QS, YS, B and 15min are."
        yield Problem("bad_freq", "freq", message, Fix("freq", None))
    levels = request.quantile_levels or []
    if any(not 0 < level < 1 for level in levels):
        yield Problem("bad_quantile_levels", "quantile_levels", "Each must lie between 0 and 1, such as 0.1.")
    columns = [request.item_id_column, request.timestamp_column, request.target_column]
    if len(set(columns)) < len(columns) or not all(name.strip() and name.isprintable() for name in columns):
        message = "The three columns need names, each another."
        yield Problem("bad_columns", "item_id_column", message)


def _preset(name: str) -> Iterator[Problem]:
    if not _PRESET.fullmatch(name):
        message = f"{quoted(name, 40)} is no name of a preset; {DEFAULT_PRESET} is the default."
        yield Problem("bad_preset", "presets", message, Fix("presets", DEFAULT_PRESET))
    elif name not in PRESETS:
        close = difflib.get_close_matches(name, PRESETS, 1)
        fix = Fix("presets", close[0]) if close else None
        message = f"{quoted(name, 40)} is not among the known presets; the service may refuse it."
        yield Problem("unknown_preset", "presets", message, fix, severity="warning")


def _series(request: EomerRequest) -> Iterator[Problem]:
    if not request.series:
        yield Problem("empty_series", "series", "There is no series.")
        return
    if len(request.series) > MAX_SERIES:
        message = f"{len(request.series)} series; at most {MAX_SERIES} go into one job. Submit them in parts."
        yield Problem("too_many_series", "series", message)
        return
    readable = []
    for item_id in request.series:
        yield from _of_one(request, item_id)
        if (one := _readable(request, item_id)) is not None:
            readable.append(one)
    yield from _steps(request, readable)
    yield from _size(request)


def _of_one(request: EomerRequest, item_id: str) -> Iterator[Problem]:
    """What is wrong with a series whatever the others are like."""
    field = field_of(item_id)
    if not item_id.strip() or len(item_id) > _LONGEST_ID or not item_id.isprintable():
        message = f"The id of a series must have 1 to {_LONGEST_ID} visible characters."
        yield Problem("bad_item_id", field, message)
    elif item_id != item_id.strip():
        message = "The id of a series must not begin or end with white space."
        yield Problem("bad_item_id", field, message)
    points = request.points(item_id)
    if len(points) < MIN_OBSERVATIONS:
        message = f"{len(points)} observations; each series needs at least {MIN_OBSERVATIONS}."
        yield Problem("too_short", field, message)
    read = {label: read_timestamp(label) for label, _ in points}
    bad = [label for label, at in read.items() if at is None]
    if bad:
        message = "Not a timestamp written 2024-03-01 or 2024-03-01 13:00."
        yield Problem("bad_timestamp", f"{field}[{quoted(bad[0], 40)}]", counted(message, len(bad)))
    stamps = sorted(at for label, _ in points if (at := read[label]) is not None)
    twice = sorted({written(after) for before, after in pairwise(stamps) if before == after})
    if twice:
        message = f"{_some(twice)} stand{'s' if len(twice) == 1 else ''} there more than once."
        yield Problem("duplicate_timestamp", field, message, months=tuple(twice))
    empty = [label for label, value in points if value is None and read[label] is not None]
    if empty:
        fix = Fix("fill", "linear") if len(empty) < len(points) else None
        yield Problem("missing_value", field, f"No value at {_some(empty)}.", fix, months=tuple(empty))
    infinite = [label for label, value in points if value is not None and read[label] and not math.isfinite(value)]
    if infinite:
        yield Problem("not_finite", field, counted("The value is not finite.", len(infinite)), months=tuple(infinite))


def _readable(request: EomerRequest, item_id: str) -> _Series | None:
    stamps = {at for label, _ in request.points(item_id) if (at := read_timestamp(label)) is not None}
    return _Series(item_id, sorted(stamps)) if len(stamps) >= MIN_OBSERVATIONS else None


def _steps(request: EomerRequest, series: Sequence[_Series]) -> Iterator[Problem]:
    """All series of one job must have one frequency: that of the longest one, unless it is named."""
    if not series or (request.freq is not None and parse_alias(request.freq) is None):
        return
    longest = max(series, key=lambda one: len(one.stamps))
    grid = _grid(request, longest)
    if isinstance(grid, Irregular):
        yield _no_grid(grid, longest)
        return
    for one in series:
        if grid is None:
            message = f"{quoted(request.freq or '', 20)} does not fit {written(one.stamps[0])}."
            yield Problem("freq_differs", one.field, message, Fix("freq", None))
            return
        yield from _on_grid(grid, one)
    ahead = max(len(one.stamps) for one in series)
    if 1 <= ahead < request.prediction_length <= MAX_PREDICTION_LENGTH:
        message = f"{request.prediction_length} periods are more than the longest series has ({ahead})."
        yield Problem("longer_than_history", "prediction_length", message, severity="warning")


def _grid(request: EomerRequest, longest: _Series) -> Frequency | Irregular | None:
    alias: Alias | None = parse_alias(request.freq) if request.freq is not None else None
    return infer(longest.stamps) if alias is None else grid_of(alias, longest.stamps[0])


def _no_grid(grid: Irregular, longest: _Series) -> Problem:
    first, last = written(longest.stamps[0]), written(longest.stamps[-1])
    if grid.reason == "ambiguous":
        message = f"Too few timestamps ({first} … {last}) to tell how far apart they are."
        return Problem("ambiguous_frequency", longest.field, message)
    message = (
        f"The timestamps ({first} … {last}) are not equally far apart. Months need their first (or all their last) "
        "day, weeks one weekday, hours the full hour; aggregate to regular periods first."
    )
    return Problem("irregular_frequency", longest.field, message)


def _on_grid(grid: Frequency, one: _Series) -> Iterator[Problem]:
    numbers = [grid.index(at) for at in one.stamps]
    off = [written(at) for at, number in zip(one.stamps, numbers, strict=True) if number is None]
    if off:
        message = f"{_some(off)} {'is' if len(off) == 1 else 'are'} not on the grid of the others ({grid.alias})."
        yield Problem("mixed_frequency", one.field, message, months=tuple(off))
        return
    known = [number for number in numbers if number is not None]
    gone = known[-1] - known[0] + 1 - len(known)
    if gone:
        first = next(before + 1 for before, after in pairwise(known) if after > before + 1)
        more = "" if gone == 1 else f" and {gone - 1} more"
        message = f"No value for the {grid.word} {written(grid.at(first))}{more}."
        yield Problem("missing_period", one.field, message, Fix("fill", "linear"), months=(written(grid.at(first)),))


def longest_horizon(series: int) -> int:
    """The most periods that one job of so many series may forecast."""
    return min(max(MAX_FORECAST_ROWS // max(series, 1), 1), MAX_PREDICTION_LENGTH)


def _rows(series: int, length: int) -> Iterator[Problem]:
    if 1 <= length <= MAX_PREDICTION_LENGTH and series * length > MAX_FORECAST_ROWS:
        told = f"{series * length:,} rows would be forecast; at most {MAX_FORECAST_ROWS:,} are."
        message = f"{told} Fewer periods, or fewer series."
        yield Problem("too_many_rows", "prediction_length", message, Fix("prediction_length", longest_horizon(series)))


def _size(request: EomerRequest) -> Iterator[Problem]:
    yield from _rows(len(request.series), request.prediction_length)
    size = len(table_of(request))
    if size > MAX_FILE_BYTES:
        message = f"The table has {size:,} bytes; at most {MAX_FILE_BYTES:,} are sent. Submit the series in parts."
        yield Problem("file_too_large", "series", message, status=413)


def _some(labels: Sequence[str]) -> str:
    named = ", ".join(clean(label, 40) for label in labels[:_NAMED])
    return f"{named} and {len(labels) - _NAMED} more" if len(labels) > _NAMED else named
