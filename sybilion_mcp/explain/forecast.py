"""The months ahead with their bands, and where they lead from the last value."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Literal

from sybilion_mcp.contract.artifacts import Forecast, ForecastMonth, PipelineInfo
from sybilion_mcp.contract.months import month_index, month_of
from sybilion_mcp.contract.request import MAX_HORIZON
from sybilion_mcp.explain.backtest import BAND_80, BAND_90
from sybilion_mcp.explain.wording import MINUS, csv, observed, plain, spoken, step_for

Bands = Literal["given", "recalibrated", "none"]


@dataclass(frozen=True, slots=True)
class ForecastRow:
    """One month: the point forecast, its 80 % and 90 % bands where given, and whether it is already over."""

    month: str
    forecast: float
    lower_80: float | None
    upper_80: float | None
    lower_90: float | None
    upper_90: float | None
    past: bool


@dataclass(frozen=True, slots=True)
class Outlook:
    """`step` is what the numbers are worth rounding to; last month and value are None without a history."""

    rows: tuple[ForecastRow, ...]
    bands: Bands
    last_month: str | None
    last_value: float | None
    step: float
    info: PipelineInfo | None = None

    @property
    def past_months(self) -> int:
        return sum(row.past for row in self.rows)


def look_ahead(forecast: Forecast, history: Mapping[str, float], mae: float | None, today: date) -> Outlook:
    """`history` is month → value, `mae` the error of past forecasts; both decide how finely numbers are written."""
    current = month_of(month_index(today))
    rows = tuple(_row(month, current) for month in forecast.months[:MAX_HORIZON])
    before = [month for month in history if month < rows[0].month]
    last_month = max(before, default=None)
    widths = [row.upper_80 - row.lower_80 for row in rows if row.lower_80 is not None and row.upper_80 is not None]
    narrowest = min((width for width in widths if width > 0), default=0.0)
    return Outlook(
        rows=rows,
        bands="given" if any(row.lower_80 is not None or row.lower_90 is not None for row in rows) else "none",
        last_month=last_month,
        last_value=None if last_month is None else history[last_month],
        step=step_for(max(narrowest, mae or 0.0), [row.forecast for row in rows]),
        info=forecast.info,
    )


def _row(month: ForecastMonth, current: str) -> ForecastRow:
    lower_80, upper_80 = _band(month.quantiles, BAND_80)
    lower_90, upper_90 = _band(month.quantiles, BAND_90)
    return ForecastRow(month.month, month.forecast, lower_80, upper_80, lower_90, upper_90, month.month < current)


def _band(quantiles: Mapping[float, float], band: tuple[float, float]) -> tuple[float | None, float | None]:
    """Half a band is no band."""
    if band[0] in quantiles and band[1] in quantiles:
        return quantiles[band[0]], quantiles[band[1]]
    return None, None


def path(outlook: Outlook) -> str:
    """The forecast in one sentence: from the last value to the last month."""
    final = outlook.rows[-1]
    level = spoken(final.forecast, outlook.step)
    if outlook.last_value is None:
        start = f"The series is forecast at {level} in {final.month}"
    else:
        last = observed(outlook.last_value, outlook.step)
        moved = abs(final.forecast - outlook.last_value) >= outlook.step
        goes = f"to reach {level} in {final.month}{_change(outlook.last_value, final.forecast)}"
        stays = f"to stay near {level} until {final.month}"  # less than the table shows is no change to speak of
        start = f"From {last} in {outlook.last_month} the series is forecast {goes if moved else stays}"
    if final.lower_80 is None or final.upper_80 is None:
        return f"{start}, without a band."
    low, high = spoken(final.lower_80, outlook.step), spoken(final.upper_80, outlook.step)
    return f"{start}, 80 % band {low} to {high}."


def _change(last: float, final: float) -> str:
    """A percentage only between positive levels; across or below zero it says nothing."""
    if last <= 0 or final <= 0 or final > 100 * last:
        return ""
    return f" ({100 * (final / last - 1):+.1f} %)".replace("-", MINUS)


def table(outlook: Outlook) -> str:
    """The months as CSV; the column `past` appears when some month is already over."""
    header = "month,forecast,lower_80,upper_80,lower_90,upper_90"
    rows = []
    for row in outlook.rows:
        values = (row.forecast, row.lower_80, row.upper_80, row.lower_90, row.upper_90)
        rows.append([row.month, *(plain(value, outlook.step) for value in values)])
    if not outlook.past_months:
        return csv(header, rows)
    marks = ["past" if row.past else "" for row in outlook.rows]
    return csv(f"{header},past", [[*row, mark] for row, mark in zip(rows, marks, strict=True)])
