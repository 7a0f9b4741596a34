"""What a series is like, in words and tables: its trend, its season, its calendar, and how past forecasts did."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import numpy as np

from sybilion_mcp.contract.frequency import DAY, WEEK, Frequency
from sybilion_mcp.engine.bands import PastForecast
from sybilion_mcp.engine.eomer.outlook import SeriesOutlook, explained
from sybilion_mcp.engine.models import Floats, last_value

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
TOLD = 0.05  # the share of the movement from which on a pattern is worth a word
BAND = (0.1, 0.9)
WINDOWS = 12

Label = Callable[[datetime], str]


@dataclass(frozen=True, slots=True)
class Pattern:
    """How much of a movement goes with a label, 0–1, and by how much each label differs.

    The season's is the movement around the trend, the calendar's what the season leaves of it.

    `effects` are in units of the series, by label; `counts` are the observations of each.
    """

    name: str
    share: float
    effects: Mapping[str, float]
    counts: Mapping[str, int]

    @property
    def highest(self) -> str:
        return max(self.effects, key=lambda label: self.effects[label])

    @property
    def lowest(self) -> str:
        return min(self.effects, key=lambda label: self.effects[label])


@dataclass(frozen=True, slots=True)
class Trend:
    """The mean of the last `periods` beside that of as many before."""

    periods: int
    before: float
    after: float
    direction: Literal["rising", "falling", "level"]


@dataclass(frozen=True, slots=True)
class Hindcast:
    """Past forecasts whose every period has come: `windows` of them, errors in units of the series."""

    windows: int
    mae: float
    mae_last_value: float
    mae_repeat: float | None
    held_80: int
    counted_80: int


@dataclass(frozen=True, slots=True)
class Portrait:
    """One series; what is None could not be told, for the reason that the job gives."""

    level: float
    positive: bool
    trend: Trend
    season: Pattern | None
    calendar: Pattern | None
    hindcast: Hindcast | None


def portray(values: Floats, stamps: Sequence[datetime], grid: Frequency, outlook: SeriesOutlook) -> Portrait:
    """`values` at `stamps`, with what the engine said of their end."""
    seasons = [one for one in grid.seasons if len(values) >= 2 * one]
    season, longest = (min(seasons), max(seasons)) if seasons else (0, 7)
    named, dated = season_label(grid), calendar_label(grid)
    seasonal = _pattern(*named, values - _smooth(values, season), stamps) if named and season else None
    left = values - _smooth(values, longest)
    if named and seasonal:  # what is left may go with the calendar
        left = left - np.array([seasonal.effects[named[1](at)] for at in stamps])
    return Portrait(
        level=float(np.mean(values[-max(season, 12) :])),
        positive=bool(np.min(values) > 0),
        trend=_trend(values, season),
        season=seasonal,
        calendar=_pattern(*dated[:2], left, stamps) if dated and stamps[-1] - stamps[0] >= dated[2] else None,
        hindcast=hindcast(outlook, grid.seasons[:1]),
    )


def season_label(grid: Frequency) -> tuple[str, Label] | None:
    """What the phases of the season are called."""
    if grid.unit in ("month_start", "month_end"):
        names: dict[int, tuple[str, Label]] = {
            1: ("month", lambda at: MONTHS[at.month - 1]),
            3: ("quarter", lambda at: f"Q{(at.month + 2) // 3}"),
        }
        return names.get(grid.step)
    if grid.unit == "business" or grid.step == DAY:
        return "weekday", lambda at: WEEKDAYS[at.weekday()]
    if grid.step == WEEK:
        return "month", lambda at: MONTHS[at.month - 1]
    return ("hour", lambda at: f"{at.hour:02d}:00") if grid.step == 3600 else None


def calendar_label(grid: Frequency) -> tuple[str, Label, timedelta] | None:
    """What else the calendar may tell of such a series, and the time it takes to see it twice."""
    if grid.unit == "business" or grid == Frequency("second", DAY, grid.phase):
        return "month", lambda at: MONTHS[at.month - 1], timedelta(days=730)
    if grid.unit == "second" and grid.step == 3600:
        return "weekday", lambda at: WEEKDAYS[at.weekday()], timedelta(days=14)
    if grid.unit in ("month_start", "month_end") and grid.step == 1:
        return "number of working days", _working_days, timedelta(days=1000)
    return None


def hindcast(outlook: SeriesOutlook, seasons: Sequence[int]) -> Hindcast | None:
    """How the engine's own past forecasts did; None when not one of them has come to its end."""
    values = outlook.values
    over = windows(outlook)
    if not over:
        return None
    errors: list[list[float]] = [[], [], []]
    held = 0
    for one in over:
        actual = values[one.origin : one.origin + len(one.values)]
        said = [one.values, last_value(values[: one.origin], len(actual))]
        said += [np.resize(values[one.origin - m : one.origin], len(actual)) for m in seasons if one.origin >= m]
        for place, forecast in enumerate(said):
            errors[place].append(float(np.mean(np.abs(actual - forecast))))
        table = outlook.table_of(one, BAND)
        held += int(np.count_nonzero((table[:, 0] <= actual) & (actual <= table[:, 1])))
    repeat = float(np.mean(errors[2])) if len(errors[2]) == len(over) else None
    return Hindcast(
        len(over), float(np.mean(errors[0])), float(np.mean(errors[1])), repeat, held, len(over) * len(over[0].values)
    )


def windows(outlook: SeriesOutlook) -> list[PastForecast]:
    """The last past forecasts whose every period has come."""
    return [one for one in outlook.past if one.origin + len(one.values) <= len(outlook.values)][-WINDOWS:]


def _trend(values: Floats, season: int) -> Trend:
    periods = max(1, min(max(season, len(values) // 4), len(values) // 2))
    before, after = float(np.mean(values[-2 * periods : -periods])), float(np.mean(values[-periods:]))
    usual = float(np.std(values[-2 * periods :])) or 1.0
    moved = (after - before) / usual
    return Trend(periods, before, after, "level" if abs(moved) < 0.25 else "rising" if moved > 0 else "falling")


def _smooth(values: Floats, window: int) -> Floats:
    """The moving mean over a round of the season; at the ends over what there is of it."""
    half = max(window // 2, 1)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    places = np.arange(len(values))
    low, high = np.maximum(places - half, 0), np.minimum(places + half + window % 2, len(values))
    return np.asarray((sums[high] - sums[low]) / (high - low))


def _pattern(name: str, label: Label, around: Floats, stamps: Sequence[datetime]) -> Pattern | None:
    labels = [label(at) for at in stamps]
    known = sorted(set(labels), key=_in_order)
    if len(known) < 2:
        return None
    groups = [known.index(one) for one in labels]
    counts = np.bincount(groups)
    means = np.bincount(groups, weights=around) / counts
    effects = dict(zip(known, map(float, means), strict=True))
    return Pattern(name, explained(around, groups), effects, dict(zip(known, map(int, counts), strict=True)))


def _in_order(label: str) -> tuple[int, str]:
    """Months and weekdays in their order, everything else by its name."""
    for names in (MONTHS, WEEKDAYS):
        if label in names:
            return names.index(label), ""
    return 0, label


def _working_days(at: datetime) -> str:
    first = at.replace(day=1)
    days = [first + timedelta(days=day) for day in range(31)]
    return str(sum(day.weekday() < 5 for day in days if day.month == at.month))
