"""Before money is spent: how far simple forecasts and the free engine were off on this very series, and the advice."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import fsum, inf, isfinite
from typing import Literal

from sybilion_mcp.contract.series_rules import INTERMITTENT_ADI, months_needed
from sybilion_mcp.engine.measured import Hindcast, NotMeasured
from sybilion_mcp.intake.profile import Profile, profile

_YEAR = 12
_ORIGINS = 12
_FEWEST_ORIGINS = 6
_CLOSE = 3.0  # percent: so near that little is left to gain
_FAR = 15.0  # percent: so far that the series' own past says little about the months ahead
_SPARSE = 0.5  # share of zeros
_BETTER = 0.9  # of the better simple rule's error: what is measured here differs by some percent from a backtest's
_WORTH = "in the published jobs they helped 1 series of 5, by 23 %, changed nothing for 2 and made 2 worse"

Recommendation = Literal["forecast here", "pay for the forecast", "collect more data"]
Advice = tuple[Recommendation, str]


@dataclass(frozen=True, slots=True)
class Triage:
    """Errors of two simple forecasts and of the embedded engine at the asked horizon, and advice with its reason.

    The errors are percent: summed absolute error ÷ summed absolute actual over all months of all origins. They are
    None without an origin, and where the actuals change sign or are all zero, so that a percentage says nothing; the
    `…_mae` are in the unit of the series. `origins` are the last months from which `horizon` months could be compared,
    at most 12, the same for all three. Where the engine was not measured, its figures are None, and
    `engine_not_measured` says why if it was asked. The strengths lie in 0–1, None where the series is too short.
    """

    last_value_error: float | None
    seasonal_naive_error: float | None
    last_value_mae: float | None
    seasonal_naive_mae: float | None
    engine_error: float | None
    engine_mae: float | None
    engine_held_80: int | None
    engine_counted_80: int | None
    engine_not_measured: str | None
    origins: int
    horizon: int
    season_strength: float | None
    trend_strength: float | None
    intermittent: bool
    recommendation: Recommendation
    reason: str


@dataclass(frozen=True, slots=True)
class _Errors:
    """Mean absolute errors."""

    last_value: float
    seasonal: float
    actual: float | None  # mean absolute actual, None where a percentage of it says nothing
    engine: float | None = None

    @property
    def simple(self) -> float:
        return min(self.last_value, self.seasonal)

    @property
    def rule(self) -> str:
        """The better of the two simple ones."""
        return "repeating the last value" if self.last_value <= self.seasonal else "the same month a year before"

    def percent(self, error: float) -> float | None:
        percent = 100 * (error / self.actual) if self.actual else inf
        return percent if isfinite(percent) else None


def origins_to_measure(points: Mapping[str, float], horizon: int) -> range:
    """The origins at which the engine's error tells something; none for a series that is too short or constant."""
    origins = _origins(len(points), horizon)
    short = len(points) < months_needed(horizon) or len(origins) < _FEWEST_ORIGINS
    return range(0) if short or min(points.values()) == max(points.values()) else origins


def triage(points: Mapping[str, float], horizon: int, engine: Hindcast | NotMeasured | None = None) -> Triage:
    """Judge a gap-free monthly series ("YYYY-MM-01" → value), 1 to 12 months ahead.

    `engine` is what the embedded engine measured at `origins_to_measure`, if it was asked.
    """
    values = [points[month] for month in sorted(points)]
    origins = _origins(len(values), horizon)
    measured = engine if isinstance(engine, Hindcast) else None
    errors = _measure(values, origins, horizon, measured) if origins else None
    found = profile(points)
    recommendation, reason = _recommend(found, horizon, len(origins), errors)
    return Triage(
        last_value_error=errors.percent(errors.last_value) if errors else None,
        seasonal_naive_error=errors.percent(errors.seasonal) if errors else None,
        last_value_mae=errors.last_value if errors else None,
        seasonal_naive_mae=errors.seasonal if errors else None,
        engine_error=errors.percent(measured.mae) if errors and measured else None,
        engine_mae=measured.mae if measured else None,
        engine_held_80=measured.held_80 if measured else None,
        engine_counted_80=measured.counted_80 if measured else None,
        engine_not_measured=engine.reason if isinstance(engine, NotMeasured) else None,
        origins=len(origins),
        horizon=horizon,
        season_strength=found.season_strength,
        trend_strength=found.trend_strength,
        intermittent=found.adi is None or found.adi >= INTERMITTENT_ADI,
        recommendation=recommendation,
        reason=reason,
    )


def evidence(triage: Triage) -> str:
    """One line: what was measured, and what was not."""
    if triage.last_value_mae is None or triage.seasonal_naive_mae is None:
        return f"No past forecast could be tried: too few months for horizon {triage.horizon}."
    ahead = f"{triage.horizon} month{'s' if triage.horizon > 1 else ''} ahead"
    when = f"The last {triage.origins} times, {ahead}" if triage.origins > 1 else f"Once, {ahead}"
    last = _off(triage.last_value_error, triage.last_value_mae)
    seasonal = _off(triage.seasonal_naive_error, triage.seasonal_naive_mae)
    simple = f"{when}: repeating the last value was off by {last}, the same month a year before by {seasonal}"
    if triage.engine_mae is not None:
        held = f"its 80 % band held {triage.engine_held_80} of {triage.engine_counted_80} months"
        return f"{simple}, the embedded engine by {_off(triage.engine_error, triage.engine_mae)} ({held})."
    if triage.engine_not_measured:
        return f"{simple}; the embedded engine: not measured, {triage.engine_not_measured}."
    return f"{simple}."


def advice(triage: Triage) -> str:
    """One line: the recommendation with its reason."""
    return f"Recommendation: {triage.recommendation}. {triage.reason}"


def _origins(months: int, horizon: int) -> range:
    """An origin is the number of months known then."""
    return range(max(_YEAR, months - horizon - _ORIGINS + 1), months - horizon + 1)


def _measure(values: Sequence[float], origins: range, horizon: int, engine: Hindcast | None) -> _Errors:
    """Mean absolute errors over all steps of all origins."""
    steps = [(origin, origin + step) for origin in origins for step in range(horizon)]
    share = 1 / len(steps)  # before the sum, so that huge values do not overflow
    actuals = [values[at] for _, at in steps]
    one_sign = min(actuals) >= 0 or max(actuals) <= 0
    return _Errors(
        last_value=fsum(_apart(values[at], values[origin - 1], share) for origin, at in steps),
        seasonal=fsum(_apart(values[at], values[at - _YEAR], share) for origin, at in steps),
        actual=fsum(abs(value) * share for value in actuals) if one_sign else None,
        engine=engine.mae if engine else None,
    )


def _apart(actual: float, forecast: float, share: float) -> float:
    return abs(actual * share - forecast * share)


def _recommend(found: Profile, horizon: int, origins: int, errors: _Errors | None) -> Advice:
    needed = months_needed(horizon)
    if found.length < needed or errors is None or origins < _FEWEST_ORIGINS:
        return "collect more data", f"{found.length} months are too few for horizon {horizon}, which needs {needed}."
    if found.constant:
        return "forecast here", "The series never changed: there is nothing to explain, and repeating it costs nothing."
    if found.zeros > _SPARSE:
        share = f"{100 * found.zeros:.0f} %"
        return "collect more data", f"{share} of the months are zero: a longer history or coarser totals come first."
    simple, engine = errors.percent(errors.simple), errors.percent(errors.engine or 0.0)
    if simple is None or engine is None:
        return "forecast here", "Percent errors say nothing for this series: see first what the free backtest shows."
    if errors.engine is None:
        return _by_simple_rules(found, errors.rule, simple)
    return _by_all(errors.rule, simple, engine)


def _by_simple_rules(found: Profile, rule: str, simple: float) -> Advice:
    """Advice where the engine was not measured."""
    if simple <= _CLOSE:
        return "forecast here", _near(rule, simple)
    if simple >= _FAR and found.season != "strong":
        reason = (
            f"By simple rules alone, the better of which was off by {simple:.1f} %, the series' own past says little; "
            f"what outside drivers add is unknown until a backtest ({_WORTH})."
        )
        return "pay for the forecast", reason
    start = "models the strong season" if found.season == "strong" else "has a rule to beat"
    return (
        "forecast here",
        f"The free engine {start}: {rule} was off by {simple:.1f} %; pay when outside drivers are the question.",
    )


def _by_all(rule: str, simple: float, engine: float) -> Advice:
    best = min(simple, engine)
    if best <= _CLOSE:
        return "forecast here", _near("the free engine" if engine < simple else rule, best)
    if engine <= _BETTER * simple:
        less = f"{100 * (1 - engine / simple):.0f} % less than {rule}"
        still = ", yet still far off: pay if" if engine >= _FAR else "; pay only when"
        reason = f"The free engine was off by {engine:.1f} %, {less}{still} outside drivers are the question."
        return "forecast here", reason
    if best >= _FAR:
        reason = (
            f"The free engine ({engine:.1f} % off) does not clearly beat {rule} ({simple:.1f} %): what may "
            f"add are outside drivers, and whether they do is unknown until a backtest ({_WORTH})."
        )
        return "pay for the forecast", reason
    how = f"hardly less than {rule}" if engine < simple else f"no less than {rule}"
    reason = (
        f"The free engine was off by {engine:.1f} %, {how} ({simple:.1f} %): start with it, as it costs nothing; "
        "pay only when outside drivers are the question."
    )
    return "forecast here", reason


def _near(who: str, percent: float) -> str:
    return f"Already {who} was off by only {percent:.1f} %: little is left to gain from a paid run."


def _off(percent: float | None, mae: float) -> str:
    return f"{mae:.4g} (no percentage: the values change sign or are zero)" if percent is None else f"{percent:.1f} %"
