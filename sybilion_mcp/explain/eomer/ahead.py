"""Where forecasts lead: of one series step by step, and among many those that move most."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from sybilion_mcp.contract.artifacts import Forecast, ForecastMonth
from sybilion_mcp.contract.eomer_table import SeriesForecast, Step
from sybilion_mcp.explain.backtest import BAND_80, Skill, judge
from sybilion_mcp.explain.bands import too_narrow
from sybilion_mcp.explain.eomer.results import Results
from sybilion_mcp.explain.forecast import Outlook, flaws, look_ahead
from sybilion_mcp.explain.grid import Grid

_FEW = 3  # past changes; from fewer nobody knows what is usual


@dataclass(frozen=True, slots=True)
class Move:
    """One series: its place in the table (from 1), its last known value, and its last step ahead.

    `size` is the change between the two ÷ the mean absolute change over as many periods in the past: infinite where
    the past never changed, None where it is not known.
    """

    place: int
    item_id: str
    last_value: float | None
    step: Step
    size: float | None

    @property
    def band(self) -> tuple[float | None, float | None]:
        low, high = BAND_80
        quantiles = self.step.quantiles
        return (quantiles[low], quantiles[high]) if low in quantiles and high in quantiles else (None, None)


def moves(results: Results) -> list[Move]:
    """Every series, the largest move first; those whose past does not tell come last, in the order of the table."""
    grid = results.periods.grid
    found = [_move(place, one, results.history(one.item_id), grid) for place, one in enumerate(results.table.series, 1)]
    return sorted(found, key=lambda one: (one.size is None, -abs(one.size or 0.0)))


def _move(place: int, series: SeriesForecast, history: Mapping[str, float], grid: Grid) -> Move:
    final = series.steps[-1]
    first = grid.index(series.steps[0].timestamp)
    known = {number: value for label, value in history.items() if (number := grid.index(label)) < first}
    if not known:
        return Move(place, series.item_id, None, final, None)
    last = max(known)
    ahead = grid.index(final.timestamp) - last
    changes = [abs(value - known[number - ahead]) for number, value in known.items() if number - ahead in known]
    change = final.forecast - known[last]
    usual = math.fsum(changes) / len(changes) if len(changes) >= _FEW else None
    size = None if usual is None else _ratio(change, usual)
    return Move(place, series.item_id, known[last], final, size)


def _ratio(change: float, usual: float) -> float:
    if usual:
        return change / usual
    return math.copysign(math.inf, change) if change else 0.0


@dataclass(frozen=True, slots=True)
class One:
    """One series with its past forecasts; `skill` has none where the job has no hindcast of it."""

    place: int
    item_id: str
    steps: tuple[Step, ...]
    outlook: Outlook
    skill: Skill


def look_at(results: Results, place: int, today: date) -> One:
    """The series at a place of the table. Its bands are recalibrated where its own hindcast shows that they have to."""
    series, grid = results.table.series[place - 1], results.periods.grid
    history = results.history(series.item_id)
    past = results.past(series.item_id)
    skill = judge(past, history, grid)
    written = results.periods.written
    months = tuple(ForecastMonth(written(one.timestamp), one.forecast, one.quantiles) for one in series.steps)
    forecast = Forecast(months, len(months))
    outlook = look_ahead(forecast, history, (), skill, today, grid)
    sound = all(row.lower_80 is not None for row in outlook.rows) and not any(flaws(outlook.rows, grid.word))
    if past and (not sound or too_narrow(skill)):
        outlook = look_ahead(forecast, history, past, skill, today, grid)
    return One(place, series.item_id, series.steps, outlook, skill)


def widest_band(levels: Sequence[float]) -> tuple[float, float] | None:
    """The outermost two levels that lie evenly around the middle."""
    pairs = [(low, high) for low in levels for high in levels if low < 0.5 and abs(low + high - 1) < 1e-6]
    return min(pairs, default=None)
