"""The months ahead with their bands, and where they lead from the last value."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Literal

from sybilion_mcp.contract.artifacts import Forecast, ForecastMonth, Window
from sybilion_mcp.contract.pipeline_info import PipelineInfo
from sybilion_mcp.explain.backtest import BAND_80, BAND_90, Skill
from sybilion_mcp.explain.bands import RANKED, HalfWidth, half_widths, too_narrow
from sybilion_mcp.explain.grid import MONTHLY, Grid
from sybilion_mcp.explain.wording import MINUS, Speech, counted, csv, observed, plain, step_for

_TENTH = 0.1  # percent: where the numbers are worth this much, so is a decimal
_PART_OF_BAND = 0.05

Bands = Literal["given", "recalibrated", "none"]


@dataclass(frozen=True, slots=True)
class ForecastRow:
    """One month: the point forecast, its 80 % and 90 % bands where there are any, and whether it is already over."""

    month: str
    forecast: float
    lower_80: float | None
    upper_80: float | None
    lower_90: float | None
    upper_90: float | None
    past: bool


@dataclass(frozen=True, slots=True)
class Outlook:
    """`rows` carry the bands to rely on, `delivered` those of the service; the same unless `bands` is "recalibrated".

    `half_widths` are what recalibrated bands are made of. `step` is what the numbers are worth rounding to; last month
    and value are None without a history.
    """

    rows: tuple[ForecastRow, ...]
    delivered: tuple[ForecastRow, ...]
    bands: Bands
    half_widths: tuple[HalfWidth, ...]
    last_month: str | None
    last_value: float | None
    step: float
    info: PipelineInfo | None = None

    @property
    def past_months(self) -> int:
        return sum(row.past for row in self.rows)

    @property
    def any_delivered(self) -> bool:
        return _kind_of(self.delivered) == "given"

    @property
    def changed(self) -> bool:
        """Whether recalibration made any band another than delivered."""
        return self.rows != self.delivered


def look_ahead(
    forecast: Forecast,
    history: Mapping[str, float],
    windows: Sequence[Window],
    skill: Skill,
    today: date,
    grid: Grid = MONTHLY,
) -> Outlook:
    """`history` is month → value; `windows` and `skill` are the past forecasts: they tell what bands are worth.

    On another grid, labels of its periods stand for months throughout.
    """
    delivered = tuple(_row(month, grid.over(month.month, today)) for month in forecast.months[: grid.most])
    last_month = max((month for month in history if month < delivered[0].month), default=None)
    before = grid.index(last_month) if last_month else grid.index(delivered[0].month) - 1
    errors = half_widths(windows, grid.index) if _unreliable(delivered, skill) else ()
    told = any(width.of_90 > 0 for width in errors)  # a past without errors says nothing of a width
    if not told or grid.index(delivered[0].month) - before > len(errors):  # nor one that reaches no month of these
        errors = ()
    floor = 0.0 if history and min(history.values()) >= 0 else -math.inf
    rows = tuple(_recalibrated(row, grid.index(row.month) - before, errors, floor) for row in delivered)
    rows = rows if errors else delivered
    return Outlook(
        rows=rows,
        delivered=delivered,
        bands="recalibrated" if errors else _kind_of(delivered),
        half_widths=errors,
        last_month=last_month,
        last_value=None if last_month is None else history[last_month],
        step=step_for(max(_narrowest(rows), skill.mae or 0.0), [row.forecast for row in rows]),
        info=forecast.info,
    )


def _kind_of(delivered: Sequence[ForecastRow]) -> Bands:
    return "given" if any(row.lower_80 is not None or row.lower_90 is not None for row in delivered) else "none"


def _narrowest(rows: Sequence[ForecastRow]) -> float:
    widths = [row.upper_80 - row.lower_80 for row in rows if row.lower_80 is not None and row.upper_80 is not None]
    return min((width for width in widths if width > 0), default=0.0)


def _unreliable(delivered: Sequence[ForecastRow], skill: Skill) -> bool:
    """Whether bands are missing somewhere, cannot be right, or held too rarely in the past."""
    missing = any(row.lower_80 is None or row.lower_90 is None for row in delivered)
    return missing or too_narrow(skill) or any(True for _ in flaws(delivered))


def _recalibrated(row: ForecastRow, distance: int, errors: Sequence[HalfWidth], floor: float) -> ForecastRow:
    """As wide as past errors that far ahead, and never narrower than delivered; no band where no error is known.

    `distance` is the number of months since the last one of the data.
    """
    if distance > len(errors):
        return replace(row, lower_80=None, upper_80=None, lower_90=None, upper_90=None)
    width = errors[distance - 1]
    lower_80, upper_80 = _around(row.forecast, width.of_80, (row.lower_80, row.upper_80), floor)
    lower_90, upper_90 = _around(row.forecast, width.of_90, (row.lower_90, row.upper_90), floor)
    return replace(
        row,
        lower_80=lower_80,
        upper_80=upper_80,
        lower_90=min(lower_80, lower_90),
        upper_90=max(upper_80, upper_90),
    )


def _around(
    forecast: float, half_width: float, delivered: tuple[float | None, float | None], floor: float
) -> tuple[float, float]:
    """A series that never was below `floor` is not said to get there, unless its forecast or its own band does."""
    lower = forecast if delivered[0] is None else delivered[0]
    upper = forecast if delivered[1] is None else delivered[1]
    lowest = max(forecast - half_width, min(floor, forecast))
    return min(lowest, lower), max(forecast + half_width, upper)


def flaws(rows: Sequence[ForecastRow], word: str = "month") -> Iterator[str]:
    """What cannot be right about the bands, whatever came."""
    with_80 = [row for row in rows if row.lower_80 is not None and row.upper_80 is not None]
    crossed = [row.month for row in rows if _crossed(row)]
    if crossed:
        yield f"The bands as delivered are crossed or leave out their own point forecast in {_months(crossed, word)}."
    empty = [row.month for row in with_80 if row.lower_80 == row.upper_80]
    if empty:
        yield f"The 80 % band as delivered has no width in {_months(empty, word)}."
    same = [r.month for r in with_80 if (r.lower_80, r.upper_80) == (r.lower_90, r.upper_90)]
    if same and same != empty:
        yield f"The 80 % and the 90 % band as delivered are one and the same in {_months(same, word)}."


def _crossed(row: ForecastRow) -> bool:
    return any(
        low is not None and high is not None and not low <= row.forecast <= high
        for low, high in ((row.lower_80, row.upper_80), (row.lower_90, row.upper_90))
    )


def _months(months: Sequence[str], word: str) -> str:
    return months[0] if len(months) == 1 else f"{len(months)} {word}s ({months[0]} to {months[-1]})"


def _row(month: ForecastMonth, past: bool) -> ForecastRow:
    lower_80, upper_80 = _band(month.quantiles, BAND_80)
    lower_90, upper_90 = _band(month.quantiles, BAND_90)
    return ForecastRow(month.month, month.forecast, lower_80, upper_80, lower_90, upper_90, past)


def _band(quantiles: Mapping[float, float], band: tuple[float, float]) -> tuple[float | None, float | None]:
    """Half a band is no band."""
    if band[0] in quantiles and band[1] in quantiles:
        return quantiles[band[0]], quantiles[band[1]]
    return None, None


def path(outlook: Outlook, unit: str | None, at: str = "in") -> str:
    """The forecast in one sentence: from the last value to the last month. `at` stands before a month."""
    speech, final, step = Speech(unit), outlook.rows[-1], outlook.step
    level = speech.level(final.forecast, step)
    if outlook.last_value is None:
        start = f"The series is forecast at {speech.with_unit(level)} {at} {final.month}"
    else:
        # One digit more than a forecast: this was observed.
        last = speech.with_unit(observed(speech.level(outlook.last_value, step / 10)))
        goes = f"to reach {level} {at} {final.month}{_change(outlook.last_value, final.forecast, step, unit)}"
        stays = f"to stay near {level} until {final.month}"
        start = f"From {last} {at} {outlook.last_month} the series is forecast {goes if _moves(outlook) else stays}"
    if final.lower_80 is None or final.upper_80 is None:
        return f"{start}, without a band."
    low, high = speech.level(final.lower_80, step), speech.level(final.upper_80, step)
    return f"{start}, 80 % band {low} to {high}{_recalibration(outlook)}."


def _recalibration(outlook: Outlook) -> str:
    if outlook.rows[-1] == outlook.delivered[-1] or outlook.bands != "recalibrated":
        return ""
    fewest = min(width.errors for width in outlook.half_widths)
    return (
        " (recalibrated)" if fewest >= RANKED else f" (roughly recalibrated, from as few as {counted(fewest, 'error')})"
    )


def _moves(outlook: Outlook) -> bool:
    """Less than the table shows, or a small part of the band, is no change to speak of."""
    final = outlook.rows[-1]
    band = 0.0 if final.lower_80 is None or final.upper_80 is None else final.upper_80 - final.lower_80
    assert outlook.last_value is not None
    return abs(final.forecast - outlook.last_value) >= max(outlook.step, _PART_OF_BAND * band)


def _change(last: float, final: float, step: float, unit: str | None) -> str:
    """A percentage only between positive levels; across or below zero, and of percentages, it says nothing."""
    if last <= 0 or final <= 0 or final > 100 * last or unit == "percent":
        return ""
    decimals = 1 if 100 * step / last <= _TENTH else 0
    return f" ({100 * (final / last - 1):+.{decimals}f} %)".replace("-", MINUS)


def table(outlook: Outlook) -> str:
    """The months as CSV; bands where there are any, and the column `past` when some month is already over."""
    header, columns = "month,forecast", 1
    if outlook.bands != "none":
        header, columns = f"{header},lower_80,upper_80,lower_90,upper_90", 5
    rows = []
    for row in outlook.rows:
        values = (row.forecast, row.lower_80, row.upper_80, row.lower_90, row.upper_90)[:columns]
        rows.append([row.month, *(plain(value, outlook.step) for value in values)])
    if not outlook.past_months:
        return csv(header, rows)
    marks = ["past" if row.past else "" for row in outlook.rows]
    return csv(f"{header},past", [[*row, mark] for row, mark in zip(rows, marks, strict=True)])


def delivered_table(outlook: Outlook) -> str:
    """The bands as the service gave them, as CSV, for the months where others are shown."""
    step = min(outlook.step, step_for(_narrowest(outlook.delivered), [row.forecast for row in outlook.delivered]))
    rows = []
    for row, shown in zip(outlook.delivered, outlook.rows, strict=True):
        values = (row.lower_80, row.upper_80, row.lower_90, row.upper_90)
        if row != shown:
            rows.append([row.month, *(plain(value, step) for value in values)])
    return csv("month,given_lower_80,given_upper_80,given_lower_90,given_upper_90", rows)
