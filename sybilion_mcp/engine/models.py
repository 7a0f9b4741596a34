"""The forecasting models: which suit a series, and what each says from one month."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from sybilion_mcp.contract.series_rules import INTERMITTENT_ADI

Floats = npt.NDArray[np.float64]
Fitted = Callable[[Floats, int], Floats]
"""A series that goes on from the fitted one, and months ahead → one value a month."""

Model = Callable[[Floats], Fitted]

SEASON = 12
MIN_SEASONAL = 3 * SEASON  # fewer points do not tell a season from chance
MIN_TRAINING = 18  # months before the first forecast that is looked back at
MAX_HISTORY = 240  # older months add time, not accuracy
MAX_LOG_RATIO = 1e3  # beyond this ratio of largest to smallest value a logarithm exaggerates the small ones
SMALLEST = 1e-12  # the engine works on series scaled to a size of about one: less than this is rounding
REACH = 3.0  # ranges of the whole series that a forecast may lie away from the last value
AR_LAGS = 2
AR_PENALTY = 5.0  # in months of evidence that changes do not repeat themselves
SEASONAL_DOUBT = 0.05  # the share of explained variance at which half of a seasonal pattern is believed

_Choice = Mapping[str, tuple[str, Mapping[str, object]]]  # our name → class in statsforecast.models, its arguments

NONSEASONAL: _Choice = {
    "ExponentialSmoothing": ("AutoETS", {"season_length": 1, "model": "AZN", "damped": True}),
    "ARIMA(1,0,1)": ("ARIMA", {"order": (1, 0, 1)}),
    "ARIMA(1,1,1)": ("ARIMA", {"order": (1, 1, 1)}),
}
SEASONAL: _Choice = {
    "DynamicOptimizedTheta": ("DynamicOptimizedTheta", {"season_length": SEASON}),
    "AutoCES": ("AutoCES", {"season_length": SEASON, "model": "Z"}),
    "AutoETS": ("AutoETS", {"season_length": SEASON, "model": "AZZ", "damped": True}),
    "ARIMA(1,1,1)(1,0,0)": ("ARIMA", {"order": (1, 1, 1), "season_length": SEASON, "seasonal_order": (1, 0, 0)}),
    "ARIMA(0,1,1)(0,1,1)": ("ARIMA", {"order": (0, 1, 1), "season_length": SEASON, "seasonal_order": (0, 1, 1)}),
}
SHORT: _Choice = {"DynamicOptimizedTheta": ("DynamicOptimizedTheta", {"season_length": 1})}
INTERMITTENT: _Choice = {
    "CrostonOptimized": ("CrostonOptimized", {}),
    "CrostonSBA": ("CrostonSBA", {}),
    "IMAPA": ("IMAPA", {}),
    "TSB": ("TSB", {"alpha_d": 0.1, "alpha_p": 0.1}),
}
THOROUGH: _Choice = {
    "AutoARIMA": ("AutoARIMA", {"season_length": SEASON}),
}


@dataclass(frozen=True, slots=True)
class Members:
    """What the models say from one month: name → one value a month ahead. `left_out` said nothing usable."""

    values: Mapping[str, Floats]
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FittedModels:
    """Models fitted to a series from month `start` on, whose values were divided by `scale` for it."""

    start: int
    scale: float
    models: Mapping[str, Fitted]
    left_out: tuple[str, ...]


class _Forecaster(Protocol):
    """What is used of a statsforecast model; not every one has `forward`."""

    def fit(self, y: Floats) -> object: ...
    def forward(self, y: Floats, h: int) -> Mapping[str, Floats]: ...
    def forecast(self, y: Floats, h: int) -> Mapping[str, Floats]: ...


def fit(history: Floats, thorough: Sequence[str] = ()) -> FittedModels:
    """The models that suit `history`, fitted to it. `thorough` names slow ones (keys of THOROUGH) to fit as well.

    A model that raises is left out.
    """
    start = window_start(len(history))
    scale = unit_of(history[start:])
    fitted: dict[str, Fitted] = {}
    left_out = []
    for name, model in _suited(history[start:] / scale, thorough).items():
        try:
            with np.errstate(all="ignore"):
                fitted[name] = model(history[start:] / scale)
        except Exception:  # noqa: BLE001 — a model may raise anything; it is named in the result
            left_out.append(name)
    return FittedModels(start, scale, fitted, tuple(left_out))


def forecast(fitted: FittedModels, history: Floats, horizon: int) -> Members:
    """What each model says after `history`, which begins with the one it was fitted to; at least one is always there.

    A model that raises, or whose forecast is not finite or leaves the reach of the series, is left out.
    """
    scaled = history[fitted.start :] / fitted.scale
    found: dict[str, Floats] = {}
    left_out = list(fitted.left_out)
    for name, model in fitted.models.items():
        try:
            with np.errstate(all="ignore"):
                values = np.asarray(model(scaled, horizon), dtype=np.float64)
        except Exception:  # noqa: BLE001 — as when it is fitted
            left_out.append(name)
            continue
        if values.shape == (horizon,):
            found[name] = values * fitted.scale
        else:
            left_out.append(name)
    return within_reach(history[fitted.start :], horizon, found, left_out)


def within_reach(history: Floats, horizon: int, forecasts: Mapping[str, Floats], left_out: Sequence[str]) -> Members:
    """The forecasts that are finite and do not leave the reach of the series; the last value when none is."""
    reach = REACH * float(np.ptp(history))
    sound = {name: one for name, one in forecasts.items() if np.all(np.abs(one - history[-1]) <= reach)}  # no NaN
    lost = [name for name in forecasts if name not in sound]
    return Members(sound or {"LastValue": last_value(history, horizon)}, (*left_out, *lost))


def window_start(length: int) -> int:
    """The first month that counts: older ones add time, not accuracy."""
    return max(0, length - MAX_HISTORY)


def unit_of(values: Floats) -> float:
    """The power of two (dividing by which is exact) that brings the values, NaN aside, below two in size."""
    largest = float(np.nanmax(np.abs(values)))
    return math.ldexp(1.0, math.frexp(largest)[1] - 1) if largest > 0 else 1.0


def scaled(values: Sequence[float]) -> tuple[Floats, float]:
    """The values brought to a size of about one, and the unit they are in then."""
    numbers = np.array(values, dtype=np.float64)
    unit = unit_of(numbers)
    return numbers / unit, unit


def last_value(history: Floats, horizon: int) -> Floats:
    return np.full(horizon, history[-1])


def seasonal_naive(history: Floats, horizon: int) -> Floats:
    """The same month a year before; the last value where there is no whole year."""
    return np.resize(history[-SEASON:], horizon) if len(history) >= SEASON else last_value(history, horizon)


def is_intermittent(history: Floats) -> bool:
    """Average demand interval (periods ÷ non-zero periods) of at least 1.32."""
    periods = int(np.count_nonzero(history))
    return periods > 0 and len(history) / periods >= INTERMITTENT_ADI


def takes_log(history: Floats) -> bool:
    """Whether the series lives on a ratio scale: all positive, and not spread over too many magnitudes."""
    lowest = float(np.min(history))
    return lowest > 0 and float(np.max(history)) / MAX_LOG_RATIO <= lowest


def seasonal_share(changes: Floats) -> float:
    """The share of the variance of month-to-month changes that the calendar month explains beyond chance, 0–1."""
    total = float(np.var(changes))
    if len(changes) < 3 * SEASON or total == 0:
        return 0.0
    explained = 1.0 - float(np.var(changes - seasonal_means(changes))) / total
    lost = (SEASON - 1) / (len(changes) - 1)  # the share that twelve means explain of pure noise
    return max(0.0, (explained - lost) / (1.0 - lost))


def seasonal_means(changes: Floats) -> Floats:
    """The mean change of its calendar month, for every change."""
    months = np.arange(len(changes)) % SEASON
    return np.array([np.mean(changes[months == month]) for month in range(SEASON)])[months]


def seasonal_autoregression(history: Floats) -> Fitted:
    """Month-to-month changes that partly repeat themselves, around those typical of the calendar month.

    Both are shrunk: the months as far as they do not explain the changes, the repetition towards none.
    """
    changes = np.diff(history)
    share = seasonal_share(changes)
    usual = np.zeros(SEASON)
    if share > 0:
        means = seasonal_means(changes)[:SEASON]
        usual = share / (share + SEASONAL_DOUBT) * (means - np.mean(means))
    weights = _repetition(changes - np.resize(usual, len(changes)))

    def run(later: Floats, horizon: int) -> Floats:
        months = np.resize(usual, len(later) - 1 + horizon)
        left = np.diff(later) - months[:-horizon]
        return np.asarray(later[-1] + np.cumsum(_repeated(left, weights, horizon) + months[-horizon:]))

    return run


def autoregression(history: Floats) -> Fitted:
    """Month-to-month changes that partly repeat themselves, shrunk towards the last value."""
    weights = _repetition(np.diff(history))
    return lambda later, horizon: later[-1] + np.cumsum(_repeated(np.diff(later), weights, horizon))


def _repetition(changes: Floats) -> Floats:
    past = np.column_stack([changes[AR_LAGS - 1 - lag : len(changes) - 1 - lag] for lag in range(AR_LAGS)])
    penalty = AR_PENALTY * float(np.var(changes)) + np.finfo(np.float64).tiny
    return np.asarray(np.linalg.solve(past.T @ past + penalty * np.eye(AR_LAGS), past.T @ changes[AR_LAGS:]))


def _repeated(changes: Floats, weights: Floats, horizon: int) -> Floats:
    path = np.concatenate([changes[-AR_LAGS:], np.empty(horizon)])
    for month in range(AR_LAGS, len(path)):
        path[month] = weights @ path[month - AR_LAGS : month][::-1]
    return path[AR_LAGS:]


def _suited(history: Floats, thorough: Sequence[str]) -> dict[str, Model]:
    if np.ptp(history) == 0:
        return {"LastValue": lambda _: last_value}
    if is_intermittent(history):
        return {name: _statsforecast(*model) for name, model in INTERMITTENT.items()}
    seasonal = SEASONAL if len(history) >= MIN_SEASONAL else SHORT
    slow = {name: THOROUGH[name] for name in thorough if len(history) >= MIN_SEASONAL}
    models: dict[str, Model] = {"Autoregression": autoregression, "SeasonalAutoregression": seasonal_autoregression}
    models |= {name: _statsforecast(*model) for name, model in {**NONSEASONAL, **seasonal, **slow}.items()}
    if takes_log(history):
        models = {name: _in_logs(model) for name, model in models.items()}
        models["SeasonalAutoregression without logarithms"] = seasonal_autoregression
        if seasonal is SEASONAL:
            models["AutoETS without logarithms"] = _statsforecast(*SEASONAL["AutoETS"])
    return models


def _in_logs(model: Model) -> Model:
    def fit_logs(history: Floats) -> Fitted:
        fitted = model(np.log(history))
        return lambda later, horizon: np.exp(fitted(np.log(later), horizon))

    return fit_logs


def _statsforecast(kind: str, arguments: Mapping[str, object]) -> Model:
    """A model of statsforecast by the name of its class, imported with its first use."""

    def fit_one(history: Floats) -> Fitted:
        from statsforecast import models

        forecaster: _Forecaster = getattr(models, kind)(**arguments)
        if not hasattr(forecaster, "forward"):  # quick ones, fitted anew each time
            return lambda later, horizon: forecaster.forecast(y=later, h=horizon)["mean"]
        forecaster.fit(y=history)
        return lambda later, horizon: forecaster.forward(y=later, h=horizon)["mean"]

    return fit_one
