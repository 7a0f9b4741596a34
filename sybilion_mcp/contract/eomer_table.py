"""The forecast that Eomer answers with: one CSV of all series, read row by row."""

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain, islice
from typing import IO

from sybilion_mcp.contract.artifacts import ArtifactError, Forecast, ForecastMonth
from sybilion_mcp.contract.eomer_files import FORECAST as NAME
from sybilion_mcp.contract.frequency import clocked, read_timestamp, written
from sybilion_mcp.contract.numbers import sane_number
from sybilion_mcp.outside import quoted

MAX_TABLE_BYTES = 100 * 1024 * 1024
MOST_ROWS = 1_000_000
MOST_SERIES = 20_000
MOST_COLUMNS = 200
_LONGEST_LINE = 1_000_000  # bytes
_LOOKED_AT = 50  # rows, to tell columns apart whose names say nothing
_ID_NAMES = ("item_id", "unique_id", "series_id", "series", "item", "id")
_TIME_NAMES = ("timestamp", "ds", "date", "datetime", "time")
_POINT_NAMES = ("mean", "target", "forecast", "prediction", "predictions", "yhat", "value")
_LEVEL = re.compile(r"(?:(?:quantile|q|p)[_ -]?)?(0?\.\d{1,6}|1(?:\.0+)?|0(?:\.0+)?)", re.IGNORECASE | re.ASCII)
_PERCENT = re.compile(r"(?:[qp]_?(\d{1,2})|(\d{1,2}(?:\.\d+)?) ?%)", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True)
class Step:
    """One timestamp ahead; `quantiles` maps a probability to a value and is empty when the table gave none."""

    timestamp: str
    forecast: float
    quantiles: Mapping[float, float]


@dataclass(frozen=True, slots=True)
class SeriesForecast:
    """The steps of one series in the order of time. Its id is text from outside, empty when the table has none."""

    item_id: str
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class ForecastTable:
    """Every series in the table's order.

    `left_out` counts rows without a timestamp or any number; `conflicting` those for a timestamp that another row
    tells something else about, of which the last one counts.
    """

    series: tuple[SeriesForecast, ...]
    levels: tuple[float, ...]
    left_out: int = 0
    conflicting: int = 0

    def of(self, item_id: str) -> SeriesForecast | None:
        return next((one for one in self.series if one.item_id == item_id), None)


@dataclass(frozen=True, slots=True)
class _Columns:
    item: int | None
    time: int
    point: int | None
    levels: Mapping[int, float]


_Told = tuple[float, Mapping[float, float]]
"""A point forecast and its quantiles."""


@dataclass(slots=True)
class _Found:
    """What was read so far: series → timestamp → row."""

    steps: dict[str, dict[datetime, _Told]] = field(default_factory=dict)
    rows: int = 0
    left_out: int = 0
    conflicting: int = 0

    def add(self, item_id: str, at: datetime, told: _Told) -> None:
        of_series = self.steps.setdefault(item_id, {})
        if len(self.steps) > MOST_SERIES:
            raise ArtifactError(f"{NAME}: more than the {MOST_SERIES} series that are read")
        self.conflicting += of_series.get(at, told) != told
        of_series[at] = told

    def series(self) -> Iterator[SeriesForecast]:
        clock = clocked(at for of_series in self.steps.values() for at in of_series)
        for item_id, told in self.steps.items():
            yield SeriesForecast(item_id, tuple(Step(written(at, clock=clock), *told[at]) for at in sorted(told)))


def read_forecast_table(
    content: bytes | IO[bytes],
    item_id_column: str | None = None,
    timestamp_column: str | None = None,
    target_column: str | None = None,
) -> ForecastTable:
    """The table as sent, from memory or from an open file, which is never in memory as a whole.

    The columns are found by the given names, else by usual ones, else by what is in them. Raises `ArtifactError`.
    """
    opened = io.BytesIO(content) if isinstance(content, bytes) else content
    given = (item_id_column, timestamp_column, target_column)
    try:
        rows = (row for row in csv.reader(_lines(opened)) if any(cell.strip() for cell in row))
        header = next(rows, None)
        if header is None:
            raise ArtifactError(f"{NAME}: it is empty")
        return _read([cell.strip() for cell in header], rows, given)
    except (csv.Error, UnicodeError) as error:
        raise ArtifactError(f"{NAME}: it is no CSV in UTF-8") from error


def _lines(opened: IO[bytes]) -> Iterator[str]:
    """The lines of a file of bounded size, one in memory at a time."""
    came = 0
    for line in iter(lambda: opened.readline(_LONGEST_LINE), b""):
        text = line.decode("utf-8" if came else "utf-8-sig")
        came += len(line)
        if came > MAX_TABLE_BYTES:
            raise ArtifactError(f"{NAME}: more than {MAX_TABLE_BYTES} bytes")
        yield text


def monthly(series: SeriesForecast) -> Forecast | None:
    """The same as a monthly forecast, when every step is a month of its own."""
    months = tuple(ForecastMonth(one.timestamp[:7], one.forecast, one.quantiles) for one in series.steps)
    days = {one.timestamp[7:] for one in series.steps}
    starts = days == {"-01"} or (all(len(day) == 3 and day >= "-28" for day in days) and days != {"-28"})
    return Forecast(months, len(months)) if starts and len({one.month for one in months}) == len(months) else None


def _read(header: Sequence[str], rows: Iterator[list[str]], given: Sequence[str | None]) -> ForecastTable:
    if len(header) > MOST_COLUMNS:
        raise ArtifactError(f"{NAME}: {len(header)} columns are more than the {MOST_COLUMNS} that are read")
    first = list(islice(rows, _LOOKED_AT))
    columns = _columns(header, first, given)
    found = _Found()
    for row in chain(first, rows):
        found.rows += 1
        if found.rows > MOST_ROWS:
            raise ArtifactError(f"{NAME}: more than the {MOST_ROWS} rows that are read")
        _add(found, columns, row)
    if not found.steps:
        raise ArtifactError(f"{NAME}: no row carries a timestamp and a forecast")
    return ForecastTable(
        tuple(found.series()), tuple(sorted(set(columns.levels.values()))), found.left_out, found.conflicting
    )


def _add(found: _Found, columns: _Columns, row: Sequence[str]) -> None:
    at = read_timestamp(_cell(row, columns.time))
    quantiles = {
        level: number for column, level in columns.levels.items() if (number := _number(_cell(row, column))) is not None
    }
    point = None if columns.point is None else _number(_cell(row, columns.point))
    if point is None:
        point = median(quantiles)
    if at is None or point is None:
        found.left_out += 1
        return
    found.add(_cell(row, columns.item), at, (point, quantiles))


def median(quantiles: Mapping[float, float]) -> float | None:
    """The quantile 0.5, or the straight line between its neighbours; None when it lies outside of them."""
    below = max((level for level in quantiles if level <= 0.5), default=None)
    above = min((level for level in quantiles if level >= 0.5), default=None)
    if below is None or above is None:
        return None
    share = (0.5 - below) / (above - below) if above > below else 0.0
    return quantiles[below] * (1 - share) + quantiles[above] * share


def _columns(header: Sequence[str], rows: Sequence[Sequence[str]], given: Sequence[str | None]) -> _Columns:
    levels = {place: level for place, name in enumerate(header) if (level := level_of(name)) is not None}
    rest = [place for place, name in enumerate(header) if place not in levels and not _is_row_number(name)]
    item_name, time_name, point_name = given
    time = _named(header, rest, (time_name, *_TIME_NAMES))
    if time is None:
        time = next((place for place in rest if _all(rows, place, lambda cell: read_timestamp(cell) is not None)), None)
    if time is None:
        raise ArtifactError(f"{NAME}: no column of timestamps among {_shown(header)}")
    rest = [place for place in rest if place != time]
    item = _named(header, rest, (item_name, *_ID_NAMES))
    point = _named(header, [place for place in rest if place != item], ("mean", point_name, *_POINT_NAMES))
    unnamed = [place for place in rest if place not in (item, point)]
    if point is None:
        numeric = [place for place in unnamed if _all(rows, place, lambda cell: _number(cell) is not None)]
        point = numeric[-1] if numeric and (item is not None or len(unnamed) > 1) else None
    if item is None:
        item = next((place for place in unnamed if place != point), None)
    if point is None and not levels:
        raise ArtifactError(f"{NAME}: no column of forecasts among {_shown(header)}")
    return _Columns(item, time, point, levels)


def level_of(name: str) -> float | None:
    """The probability that a column is named by: 0.1, .10, q0.1, p10, 10%."""
    name = name.strip()
    if match := _LEVEL.fullmatch(name):
        level = float(match[1])
    elif match := _PERCENT.fullmatch(name):
        level = float(match[1] or match[2]) / 100
    else:
        return None
    return round(level, 6) if 0 < round(level, 6) < 1 else None


def _named(header: Sequence[str], among: Sequence[int], names: Iterable[str | None]) -> int | None:
    """The first column of those with the first of these names, whatever their case."""
    lowered = {header[place].lower(): place for place in reversed(among)}
    return next((lowered[name.lower()] for name in names if name and name.lower() in lowered), None)


def _is_row_number(name: str) -> bool:
    """A table written with its index has a column of row numbers without a name."""
    return not name or name.lower().startswith("unnamed:")


def _all(rows: Sequence[Sequence[str]], place: int, holds: Callable[[str], bool]) -> bool:
    cells = [cell for row in rows if (cell := _cell(row, place))]
    return bool(cells) and all(map(holds, cells))


def _cell(row: Sequence[str], place: int | None) -> str:
    return row[place].strip() if place is not None and place < len(row) else ""


def _number(cell: str) -> float | None:
    try:
        return sane_number(float(cell)) if len(cell) <= 64 and "_" not in cell else None
    except ValueError:
        return None


def _shown(header: Sequence[str]) -> str:
    more = f" and {len(header) - 6} more" if len(header) > 6 else ""
    return ", ".join(quoted(name, 40) for name in header[:6]) + more
