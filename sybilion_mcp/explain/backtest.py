"""How good the past forecasts of a job were, recomputed from its trajectories."""

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal

from sybilion_mcp.contract.artifacts import Window, WindowMonth
from sybilion_mcp.explain.grid import MONTHLY, Grid

Verdict = Literal["better", "same", "worse", "unknown"]

BAND_80 = (0.10, 0.90)
BAND_90 = (0.05, 0.95)
SAME = 0.05  # relative errors this close to the rival's are no difference
FEW_WINDOWS = 3
"""Past forecasts, overlapping as they are: from fewer nobody can tell."""
_BEYOND = 10**6  # a month after every other
_SEASONAL_NAIVE, _LAST_VALUE = "seasonal naive", "repeating the last value"


@dataclass(frozen=True, slots=True)
class Held:
    """How many actuals lay inside a band, of how many that had one."""

    held: int
    counted: int

    @property
    def share(self) -> float | None:
        return self.held / self.counted if self.counted else None


@dataclass(frozen=True, slots=True)
class WindowScore:
    """The errors of one past forecast in the series' unit, `mape` in percent; None where meaningless."""

    start: str
    end: str
    months: int
    mae: float
    mape: float | None
    mase: float | None
    bias: float
    last_value_mae: float | None
    seasonal_naive_mae: float | None
    held_80: Held
    held_90: Held


@dataclass(frozen=True, slots=True)
class Skill:
    """The means over the windows that count; `bias` is forecast minus actual.

    `one_sign` is false where actuals lie on both sides of zero, so that `mape` says nothing;
    `rival` is the better of the simple forecasts, `windows_won` in how many windows this one was nearer than it.
    """

    windows: tuple[WindowScore, ...]
    windows_left_out: int
    mae: float | None
    mape: float | None
    mase: float | None
    relative_to_seasonal_naive: float | None
    relative_to_last_value: float | None
    bias: float | None
    held_80: Held
    held_90: Held
    verdict: Verdict
    rival: str | None
    windows_won: int
    one_sign: bool

    @property
    def windows_used(self) -> int:
        return len(self.windows)


def judge(windows: Sequence[Window], history: Mapping[str, float], grid: Grid = MONTHLY) -> Skill:
    """Scores every window without a missing actual against the history (label → value) before its origin."""
    judged = [window for window in windows if counts(window)]
    before = _History(history, grid)
    scores = [_score(window, before) for window in judged]
    actuals = [month.actual for window in judged for month in window.months if month.actual is not None]
    seasonal = _relative([(score.mae, score.seasonal_naive_mae) for score in scores])
    last = _relative([(score.mae, score.last_value_mae) for score in scores])
    verdict, rival = verdict_of(seasonal, last)
    return Skill(
        windows=tuple(scores),
        windows_left_out=len(windows) - len(scores),
        mae=_mean([score.mae for score in scores]),
        mape=_mean([score.mape for score in scores]),
        mase=_mean([score.mase for score in scores]),
        relative_to_seasonal_naive=seasonal,
        relative_to_last_value=last,
        bias=_mean([score.bias for score in scores]),
        held_80=_together([score.held_80 for score in scores]),
        held_90=_together([score.held_90 for score in scores]),
        verdict=verdict,
        rival=rival,
        windows_won=sum(_nearer(score, rival) for score in scores),
        one_sign=min(actuals, default=0.0) >= 0 or max(actuals) <= 0,
    )


def _nearer(score: WindowScore, rival: str | None) -> bool:
    theirs = score.seasonal_naive_mae if rival == _SEASONAL_NAIVE else score.last_value_mae
    return theirs is not None and score.mae < theirs


def counts(window: Window) -> bool:
    """Whether a past forecast can be judged: no actual is missing."""
    return bool(window.months) and all(m.actual is not None and m.forecast is not None for m in window.months)


class _History:
    """A series by running number, so that many windows look at what came before each of them at little cost."""

    def __init__(self, history: Mapping[str, float], grid: Grid = MONTHLY) -> None:
        self.index, self._season = grid.index, grid.season
        values = sorted((self.index(label), value) for label, value in history.items())
        self._months = [month for month, _ in values]
        self._values = dict(values)
        changes = [
            abs(value - self._values[month - self._season]) if month - self._season in self._values else None
            for month, value in values
        ]
        self._changes = list(accumulate((change or 0.0 for change in changes), initial=0.0))
        self._counted = list(accumulate((change is not None for change in changes), initial=0))

    def last_value(self, origin: int) -> float | None:
        before = bisect_left(self._months, origin)
        return self._values[self._months[before - 1]] if before else None

    def season_before(self, month: int, origin: int) -> float | None:
        """The value of the same month in the last year that had one by `origin`, at least a year before.

        None without a season: it would be the last value.
        """
        before, season = bisect_left(self._months, origin), self._season
        if not before or season == 1:
            return None
        beyond = max(month - season - self._months[before - 1], 0)
        return self._values.get(month - season - season * -(-beyond // season))

    def seasonal_change(self, origin: int) -> float | None:
        """The mean absolute difference over a season before `origin`."""
        before = bisect_left(self._months, origin)
        return self._changes[before] / self._counted[before] if self._counted[before] else None


def _score(window: Window, history: _History) -> WindowScore:
    origin = history.index(min(window.start, window.months[0].month))
    pairs = [(m.forecast, m.actual) for m in window.months if m.forecast is not None and m.actual is not None]
    errors = [abs(forecast - actual) for forecast, actual in pairs]
    mae = _sure_mean(errors)
    scale = history.seasonal_change(origin)
    naive = [history.season_before(history.index(month.month), origin) for month in window.months]
    return WindowScore(
        start=window.start,
        end=window.end,
        months=len(window.months),
        mae=mae,
        mape=_mean([100 * abs(forecast / actual - 1) for forecast, actual in pairs if actual != 0]),
        mase=mae / scale if scale else None,
        bias=_sure_mean([forecast - actual for forecast, actual in pairs]),
        last_value_mae=_rival_error(window.months, [history.last_value(origin)] * len(pairs)),
        seasonal_naive_mae=_rival_error(window.months, naive),
        held_80=_held(window.months, BAND_80),
        held_90=_held(window.months, BAND_90),
    )


def _rival_error(months: Sequence[WindowMonth], rival: Sequence[float | None]) -> float | None:
    """None unless the rival has a value for every month: both must be judged on the same months."""
    errors = [
        abs(value - month.actual)
        for month, value in zip(months, rival, strict=True)
        if value is not None and month.actual is not None
    ]
    return _sure_mean(errors) if len(errors) == len(months) else None


def seasonal_change(history: Mapping[str, float]) -> float | None:
    """The mean absolute lag-12 difference of a series (month → value)."""
    return _History(history).seasonal_change(_BEYOND)


def _held(months: Sequence[WindowMonth], band: tuple[float, float]) -> Held:
    low, high = band
    inside = [
        month.quantiles[low] <= month.actual <= month.quantiles[high]
        for month in months
        if month.actual is not None and low in month.quantiles and high in month.quantiles
    ]
    return Held(sum(inside), len(inside))


def _together(counts: Sequence[Held]) -> Held:
    return Held(sum(count.held for count in counts), sum(count.counted for count in counts))


def _relative(errors: Sequence[tuple[float, float | None]]) -> float | None:
    """Mean error ÷ the rival's, over the windows that have both; infinite against a perfect rival."""
    ours = _mean([mine for mine, theirs in errors if theirs is not None])
    rival = _mean([theirs for _, theirs in errors])
    if ours is None or rival is None:
        return None
    if rival == 0:
        return 1.0 if ours == 0 else math.inf
    return ours / rival


def verdict_of(seasonal: float | None, last: float | None) -> tuple[Verdict, str | None]:
    """Against the better rival, which is the one we look worse against, by the error relative to each."""
    known = {name: ratio for name, ratio in ((_SEASONAL_NAIVE, seasonal), (_LAST_VALUE, last)) if ratio is not None}
    if not known:
        return "unknown", None
    rival = max(known, key=lambda name: known[name])
    if known[rival] < 1 - SAME:
        return "better", rival
    return ("worse" if known[rival] > 1 + SAME else "same"), rival


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return _sure_mean(known) if known else None


def _sure_mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
