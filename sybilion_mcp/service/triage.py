"""Before money is spent: how far simple forecasts were off on this very series, and what that suggests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from typing import Literal

from sybilion_mcp.contract.series_rules import months_needed
from sybilion_mcp.intake.profile import profile

_YEAR = 12
_ORIGINS = 12
_FEWEST_ORIGINS = 6
_CLOSE = 3.0  # percent: so near that little is left to gain
_FAR = 15.0  # percent: so far that the series' own past says little about the months ahead
_SPARSE = 0.5  # share of zeros

Recommendation = Literal["forecast here", "pay for the forecast", "collect more data"]


@dataclass(frozen=True, slots=True)
class Triage:
    """Errors of two simple forecasts at the asked horizon, and a recommendation with its reason.

    The errors are percent: summed absolute error ÷ summed absolute actual over all months of all origins. They are
    None without an origin, and where the actuals change sign or are all zero, so that a percentage says nothing;
    `last_value_mae` and `seasonal_naive_mae` are in the unit of the series. `origins` are the last months from
    which `horizon` months could be compared, at most 12.
    """

    last_value_error: float | None
    seasonal_naive_error: float | None
    last_value_mae: float | None
    seasonal_naive_mae: float | None
    origins: int
    horizon: int
    recommendation: Recommendation
    reason: str


@dataclass(frozen=True, slots=True)
class _Errors:
    last_value: float
    seasonal: float
    actual: float | None  # mean absolute actual, None where a percentage of it says nothing

    def percent(self, error: float) -> float | None:
        return 100 * error / self.actual if self.actual else None


def triage(points: Mapping[str, float], horizon: int) -> Triage:
    """Compare the simple forecasts of a gap-free monthly series ("YYYY-MM-01" → value), 1 to 12 months ahead."""
    values = [points[month] for month in sorted(points)]
    origins = range(max(_YEAR, len(values) - horizon - _ORIGINS + 1), len(values) - horizon + 1)
    errors = _measure(values, origins, horizon) if origins else None
    recommendation, reason = _recommend(points, horizon, len(origins), errors)
    return Triage(
        last_value_error=errors.percent(errors.last_value) if errors else None,
        seasonal_naive_error=errors.percent(errors.seasonal) if errors else None,
        last_value_mae=errors.last_value if errors else None,
        seasonal_naive_mae=errors.seasonal if errors else None,
        origins=len(origins),
        horizon=horizon,
        recommendation=recommendation,
        reason=reason,
    )


def describe(triage: Triage) -> str:
    """Two lines: what was measured, and the recommendation with its reason."""
    advice = f"Recommendation: {triage.recommendation}. {triage.reason}"
    if triage.last_value_mae is None or triage.seasonal_naive_mae is None:
        return f"No past forecast could be tried: too few months for horizon {triage.horizon}.\n{advice}"
    last = _off(triage.last_value_error, triage.last_value_mae)
    seasonal = _off(triage.seasonal_naive_error, triage.seasonal_naive_mae)
    when = f"The last {triage.origins} times, {triage.horizon} months ahead" if triage.origins > 1 else "Once"
    return f"{when}: repeating the last value was off by {last}, the same month a year before by {seasonal}.\n{advice}"


def _measure(values: Sequence[float], origins: range, horizon: int) -> _Errors:
    """Mean absolute errors over all steps of all origins; an origin is the number of months known then."""
    steps = [(origin, origin + step) for origin in origins for step in range(horizon)]
    share = 1 / len(steps)  # before the sum, so that huge values do not overflow
    actuals = [values[at] for _, at in steps]
    one_sign = min(actuals) >= 0 or max(actuals) <= 0
    return _Errors(
        last_value=fsum(_apart(values[at], values[origin - 1], share) for origin, at in steps),
        seasonal=fsum(_apart(values[at], values[at - _YEAR], share) for origin, at in steps),
        actual=fsum(abs(value) * share for value in actuals) if one_sign else None,
    )


def _apart(actual: float, forecast: float, share: float) -> float:
    return abs(actual * share - forecast * share)


def _recommend(
    points: Mapping[str, float], horizon: int, origins: int, errors: _Errors | None
) -> tuple[Recommendation, str]:
    needed = months_needed(horizon)
    if len(points) < needed or errors is None or origins < _FEWEST_ORIGINS:
        return "collect more data", f"{len(points)} months are too few for horizon {horizon}, which needs {needed}."
    found = profile(points)
    if found.constant:
        return "forecast here", "The series never changed: there is nothing to explain, and repeating it costs nothing."
    if found.zeros > _SPARSE:
        share = f"{100 * found.zeros:.0f} %"
        return "collect more data", f"{share} of the months are zero: a longer history or coarser totals come first."
    best = min(errors.last_value, errors.seasonal)
    rule = "repeating the last value" if errors.last_value <= errors.seasonal else "the same month a year before"
    percent = errors.percent(best)
    if percent is None:
        return "forecast here", "Percent errors say nothing for this series: see first what the free backtest shows."
    if percent <= _CLOSE:
        return (
            "forecast here",
            f"Already {rule} was off by only {percent:.1f} %: little is left to gain from a paid run.",
        )
    if percent >= _FAR and found.season != "strong":
        reason = (
            f"Even {rule} was off by {percent:.1f} %: simple rules catch little of this series, outside drivers may "
            "catch more. Whether they do is unknown until a backtest; run the free engine first, for comparison."
        )
        return "pay for the forecast", reason
    return "forecast here", _free_first(found.season, rule, percent)


def _free_first(season: str, rule: str, percent: float) -> str:
    start = "The free engine models the strong season" if season == "strong" else "The free engine has a rule to beat"
    return f"{start}: {rule} was off by {percent:.1f} %. Pay when outside drivers are the question."


def _off(percent: float | None, mae: float) -> str:
    return f"{mae:.4g} (no percentage: the values change sign or are zero)" if percent is None else f"{percent:.1f} %"
