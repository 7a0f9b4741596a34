"""Two jobs on one series beside each other, as figures; `compare` puts them into words.

They are judged on the same past windows and actuals only. Where one of them was made with earlier data, the other
one knows what came of its forecast.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sybilion_mcp.contract.artifacts import ForecastMonth, Window
from sybilion_mcp.explain.backtest import BAND_80, FEW_WINDOWS, SAME, Held, Verdict
from sybilion_mcp.explain.differences import differences
from sybilion_mcp.explain.drivers import Drivers
from sybilion_mcp.explain.facts import JobFacts
from sybilion_mcp.explain.results import Results
from sybilion_mcp.explain.wording import counted, step_for

_STRONGEST = 12


@dataclass(frozen=True, slots=True)
class Errors:
    """Mean absolute errors in the series' unit, over the past windows that both jobs have, on the same actuals."""

    windows: int
    there: float
    here: float
    month_by_month: bool  # the past forecasts themselves are the same

    @property
    def ratio(self) -> float:
        """There ÷ here; infinite where only this job made none."""
        if self.here == 0:
            return 1.0 if self.there == 0 else math.inf
        return self.there / self.here

    @property
    def verdict(self) -> Verdict:
        """How the other job hindcasts against this one."""
        if self.windows < FEW_WINDOWS:
            return "unknown"
        if self.here > (1 + SAME) * self.there:  # the same from either side
            return "better"
        return "worse" if self.there > (1 + SAME) * self.here else "same"


@dataclass(frozen=True, slots=True)
class Overlap:
    """The drivers in use: groups with weight on either side, and how many of the strongest here are so there too."""

    there: int
    here: int
    strongest: int
    common: int
    equal: bool


@dataclass(frozen=True, slots=True)
class Ending:
    """Both point forecasts for the last month that both have; `step` is what they are worth rounding to."""

    month: str
    there: float
    here: float
    step: float


@dataclass(frozen=True, slots=True)
class Record:
    """What came of a forecast made with earlier data: the months that have come since, counted and measured.

    `mae` and that of repeating the last value are in the series' unit, `mape` is in percent.
    """

    whose: Literal["there", "here"]
    months: int
    forecast_months: int
    mae: float
    mape: float | None
    last_value_mae: float
    held_80: Held


@dataclass(frozen=True, slots=True)
class Comparison:
    """One other job ("there") beside the reported one ("here"); None for what cannot be compared.

    `facts` are those of the other job, `series_id` is the series of the reported one where it is known.
    """

    facts: JobFacts
    series_id: str | None
    asked: tuple[str, ...]
    asked_known: bool
    errors: Errors | None
    overlap: Overlap | None
    ending: Ending | None
    record: Record | None
    same_backend: bool

    @property
    def newer(self) -> bool:
        """Whether the other job knows what came of this one's forecast."""
        return self.record is not None and self.record.whose == "here"

    @property
    def without_drivers(self) -> bool:
        """Whether the other job is this one without its drivers: nothing else was asked differently."""
        drivers = self.overlap is not None and self.overlap.here > 0 and self.overlap.there == 0
        return drivers and self.same_backend and all(one.startswith("driver_limit ") for one in self.asked)

    @property
    def clearly_better(self) -> bool:
        """Whether the other job hindcasts better by more than the 5 % that are no difference, over enough windows."""
        return self.errors is not None and self.errors.verdict == "better"


def compare(this: Results, others: Sequence[Results]) -> tuple[Comparison, ...]:
    """The others, each against this one, in the order given."""
    return tuple(_compared(this, other) for other in others)


def best(comparisons: Sequence[Comparison]) -> Comparison | None:
    """The other job that hindcasts best, if one does clearly better than this one."""
    better = [one for one in comparisons if one.clearly_better]
    return min(better, key=lambda one: one.errors.ratio if one.errors else math.inf, default=None)


def _compared(this: Results, other: Results) -> Comparison:
    asked = (
        *_data_differences(other, this),
        *differences(other.facts.request, this.facts.request),
        *_delivered(other, this),
    )
    return Comparison(
        facts=other.facts,
        series_id=series_id if isinstance(series_id := this.facts.again.get("series_id"), str) else None,
        asked=asked,
        asked_known=bool(other.facts.request and this.facts.request),
        errors=_errors(other, this),
        overlap=_overlap(other, this),
        ending=_ending(other, this),
        record=_record("there", other, this.history) or _record("here", this, other.history),
        same_backend=other.facts.backend == this.facts.backend,
    )


def _data_differences(there: Results, here: Results) -> Iterator[str]:
    if not there.history or not here.history:
        return
    theirs, ours = (min(there.history), max(there.history)), (min(here.history), max(here.history))
    if theirs[0] != ours[0]:
        yield f"data {theirs[0]} to {theirs[1]} there, {ours[0]} to {ours[1]} here"
    elif theirs[1] != ours[1]:
        yield f"data to {theirs[1]} there, {ours[1]} here"
    common = there.history.keys() & here.history.keys()
    if revised := sum(not _equal(there.history[month], here.history[month]) for month in common):
        yield f"{revised} of {len(common)} common months with other values"


def _delivered(there: Results, here: Results) -> Iterator[str]:
    """Where the same horizon was asked for, and another one came."""
    theirs, ours = len(there.forecast.months), len(here.forecast.months)
    asked = there.facts.request.get("soft_horizon") == here.facts.request.get("soft_horizon")
    if theirs != ours and asked:
        yield f"{counted(theirs, 'month')} delivered there, {ours} here"


def _errors(there: Results, here: Results) -> Errors | None:
    theirs, ours = _usable(there), _usable(here)
    pairs = [(theirs[span], ours[span]) for span in theirs.keys() & ours.keys()]
    pairs = [(one, other) for one, other in pairs if _same_actuals(one[0], other[0])]
    if not pairs:
        return None
    return Errors(
        windows=len(pairs),
        there=math.fsum(mae for (_, mae), _ in pairs) / len(pairs),
        here=math.fsum(mae for _, (_, mae) in pairs) / len(pairs),
        month_by_month=all(_same_forecasts(one, other) for (one, _), (other, _) in pairs),
    )


def _usable(results: Results) -> dict[tuple[str, str], tuple[Window, float]]:
    """The windows that count, by start and end, each with its mean absolute error."""
    errors = {(score.start, score.end): score.mae for score in results.skill.windows}
    spans = {(window.start, window.end): window for window in results.windows or ()}
    return {span: (spans[span], mae) for span, mae in errors.items()}


def _same_actuals(one: Window, other: Window) -> bool:
    return _same(
        {month.month: month.actual for month in one.months}, {month.month: month.actual for month in other.months}
    )


def _same_forecasts(one: Window, other: Window) -> bool:
    return _same(
        {month.month: month.forecast for month in one.months}, {month.month: month.forecast for month in other.months}
    )


def _same(one: Mapping[str, float | None], other: Mapping[str, float | None]) -> bool:
    """The same months with the same numbers; a missing number is the same as none."""
    return one.keys() == other.keys() and all(
        value is not None and (rival := other[month]) is not None and _equal(value, rival)
        for month, value in one.items()
    )


def _equal(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-12)


def _overlap(there: Results, here: Results) -> Overlap | None:
    if there.drivers is None or here.drivers is None:
        return None
    theirs, ours = _in_use(there, there.drivers), _in_use(here, here.drivers)
    strongest = ours[:_STRONGEST]
    return Overlap(
        there=len(theirs),
        here=len(ours),
        strongest=len(strongest),
        common=len(set(strongest) & set(theirs[:_STRONGEST])),
        equal=set(theirs) == set(ours),
    )


def _in_use(results: Results, drivers: Drivers) -> list[str]:
    """The names of the groups with weight, the strongest first; none where the forecast was made without them."""
    info = results.forecast.info
    if info is not None and info.drivers_in_forecast is False:
        return []
    ranked = sorted(drivers.groups, key=lambda group: (-(group.importance or 0), -abs(group.correlation or 0)))
    return list(dict.fromkeys(group.name for group in ranked))


def _ending(there: Results, here: Results) -> Ending | None:
    theirs = {month.month: month.forecast for month in there.forecast.months}
    ours = {month.month: month.forecast for month in here.forecast.months}
    month = max(theirs.keys() & ours.keys(), default=None)
    if month is None:
        return None
    uncertainty = here.skill.mae or there.skill.mae
    return Ending(month, theirs[month], ours[month], step_for(uncertainty, [theirs[month], ours[month]]))


def _record(whose: Literal["there", "here"], made: Results, since: Mapping[str, float]) -> Record | None:
    """What came of a forecast, by a history that reaches beyond its own data; None when that does not."""
    last = max(made.history, default=None)
    if last is None:
        return None
    come = [month for month in made.forecast.months if month.month > last and month.month in since]
    if not come:
        return None
    pairs = [(month.forecast, since[month.month]) for month in come]
    shares = [abs(forecast / actual - 1) for forecast, actual in pairs if actual != 0]
    return Record(
        whose=whose,
        months=len(come),
        forecast_months=len(made.forecast.months),
        mae=_mean([abs(forecast - actual) for forecast, actual in pairs]),
        mape=100 * _mean(shares) if shares else None,
        last_value_mae=_mean([abs(made.history[last] - actual) for _, actual in pairs]),
        held_80=_held(come, since),
    )


def _held(come: Sequence[ForecastMonth], since: Mapping[str, float]) -> Held:
    low, high = BAND_80
    inside = [
        month.quantiles[low] <= since[month.month] <= month.quantiles[high]
        for month in come
        if low in month.quantiles and high in month.quantiles
    ]
    return Held(sum(inside), len(inside))


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
