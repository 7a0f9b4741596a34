"""What kind of series this is: length, gaps, zeros, season and trend, in one line and as numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from math import fsum, isfinite, log
from typing import Literal

from sybilion_mcp.contract.months import month_index, month_of
from sybilion_mcp.contract.series_rules import INTERMITTENT_ADI, average_demand_interval

_YEAR = 12
_SEASON_MONTHS = 36  # two values of each calendar month remain after the moving average
_TREND_MONTHS = 6
_WEAK, _STRONG = 0.3, 0.6
_WEAK_AND_SHORT = 0.45  # below 48 months, where noise reaches 0.3 in one series of ten
_SHORT_MONTHS = 48
_DIRECTION = 0.5  # correlation of the trend with time, from which it rises or falls
_ROUNDING = 1e-20  # a variance below this share of the squared size is the arithmetic's own

Season = Literal["unknown", "none", "weak", "strong"]
Direction = Literal["unknown", "falling", "flat", "rising"]


@dataclass(frozen=True, slots=True)
class Profile:
    """A monthly series in figures.

    `length` counts the months with a value, `gaps` those without one between `start` and `end` (both YYYY-MM).
    `adi` is months ÷ non-zero months, None when all are zero; `zeros` is a share. The strengths lie in 0–1 and
    are None where the series is too short to measure them (36 months for the season, 6 for the trend).
    """

    length: int
    start: str
    end: str
    gaps: int
    adi: float | None
    zeros: float
    season_strength: float | None
    season: Season
    trend_strength: float | None
    trend: Direction
    minimum: float
    maximum: float
    last_value: float
    constant: bool


def profile(points: Mapping[str, float]) -> Profile:
    """The profile of a non-empty monthly series ("YYYY-MM-01" → finite value). Raises ValueError when it is empty."""
    if not points:
        raise ValueError("an empty series has no profile")
    months = sorted((month_index(date.fromisoformat(label)), value) for label, value in points.items())
    values = [value for _, value in months]
    first, last = months[0][0], months[-1][0]
    adi = average_demand_interval(dict(points))
    season, trend, slope = _strengths(_evenly(months))
    return Profile(
        length=len(values),
        start=month_of(first),
        end=month_of(last),
        gaps=last - first + 1 - len(values),
        adi=adi if isfinite(adi) else None,
        zeros=values.count(0) / len(values),
        season_strength=season,
        season=_season_word(season, last - first + 1),
        trend_strength=trend,
        trend=_trend_word(trend, slope),
        minimum=min(values),
        maximum=max(values),
        last_value=values[-1],
        constant=min(values) == max(values),
    )


def describe(profile: Profile) -> str:
    """One line: "Series 2018-01 … 2026-03, 97 months, 2 gaps, strong yearly season, rising."."""
    parts = [f"Series {profile.start} … {profile.end}", _counted(profile.length, "month")]
    if profile.gaps:
        parts.append(_counted(profile.gaps, "gap"))
    if profile.constant:
        return f"{', '.join([*parts, f'constant at {profile.last_value:g}'])}."
    if profile.adi is not None and profile.adi >= INTERMITTENT_ADI:
        parts.append(f"intermittent ({100 * profile.zeros:.0f} % zeros, ADI {profile.adi:.2f})")
    if profile.season == "unknown":
        parts.append("too short to see a season")
    else:
        parts.append("no yearly season" if profile.season == "none" else f"{profile.season} yearly season")
    if profile.trend != "unknown":
        parts.append("no lasting trend" if profile.trend == "flat" else profile.trend)
    return f"{', '.join(parts)}."


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _evenly(months: Sequence[tuple[int, float]]) -> list[float]:
    """One level per month, gaps on a line between their neighbours.

    A level is the logarithm where the values are positive and at least double, since seasons grow with the values;
    else the value as a share of the largest.
    """
    lowest, highest = min(value for _, value in months), max(value for _, value in months)
    if lowest > 0 and highest / 2 >= lowest:
        levels = [(month, log(value)) for month, value in months]
    else:
        size = max(abs(lowest), abs(highest)) or 1.0
        levels = [(month, value / size) for month, value in months]
    even = [levels[0][1]]
    for (before, start), (month, end) in pairwise(levels):
        steps = month - before
        even.extend(start + (end - start) * step / steps for step in range(1, steps + 1))
    return even


def _strengths(values: Sequence[float]) -> tuple[float | None, float | None, float]:
    """Strength of the season, of the trend, and the trend's correlation with time.

    Classical additive decomposition; strength = 1 − var(remainder) ÷ var(remainder + component) as in Hyndman &
    Athanasopoulos, "Forecasting: Principles and Practice", 4.3, with the season's variance per degree of freedom,
    since a season of 12 means explains a part of any noise.
    """
    if len(values) < _SEASON_MONTHS:
        if len(values) < _TREND_MONTHS:
            return None, None, 0.0
        slope = _with_time(values)
        return None, slope * slope, slope
    half = _YEAR // 2
    trend = [
        (fsum(values[at - half + 1 : at + half]) + (values[at - half] + values[at + half]) / 2) / _YEAR
        for at in range(half, len(values) - half)
    ]
    detrended = [value - level for value, level in zip(values[half:-half], trend, strict=True)]
    means = [fsum(detrended[at::_YEAR]) / len(detrended[at::_YEAR]) for at in range(_YEAR)]
    centre = fsum(means) / _YEAR
    remainder = [value - means[at % _YEAR] + centre for at, value in enumerate(detrended)]
    freedom = (len(detrended) - 1) / (len(detrended) - _YEAR)
    season = _share(_variance(remainder) * freedom, _variance(detrended))
    around = [level + rest for level, rest in zip(trend, remainder, strict=True)]
    return season, _share(_variance(remainder), _variance(around)), _with_time(trend)


def _share(rest: float, whole: float) -> float:
    return min(1.0, max(0.0, 1.0 - rest / whole)) if whole > _ROUNDING else 0.0


def _variance(values: Sequence[float]) -> float:
    mean = fsum(values) / len(values)
    return fsum((value - mean) ** 2 for value in values) / len(values)


def _with_time(values: Sequence[float]) -> float:
    """Correlation with time, −1 … 1; 0 for a constant."""
    middle, mean = (len(values) - 1) / 2, fsum(values) / len(values)
    together = fsum((at - middle) * (value - mean) for at, value in enumerate(values)) / len(values)
    spread = _variance(values) * (len(values) ** 2 - 1) / 12
    return together / spread**0.5 if spread > _ROUNDING else 0.0


def _season_word(strength: float | None, months: int) -> Season:
    if strength is None:
        return "unknown"
    weak = _WEAK if months >= _SHORT_MONTHS else _WEAK_AND_SHORT
    return "strong" if strength >= _STRONG else "weak" if strength >= weak else "none"


def _trend_word(strength: float | None, slope: float) -> Direction:
    if strength is None:
        return "unknown"
    if strength < _WEAK or abs(slope) < _DIRECTION:
        return "flat"
    return "rising" if slope > 0 else "falling"
