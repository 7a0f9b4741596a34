"""The forecasting models: an ensemble over statsforecast, and what stands in for it on short or flat series."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from sybilion_mcp.contract.series_rules import INTERMITTENT_ADI

Floats = npt.NDArray[np.float64]
Model = Callable[[Floats, int], Floats]

SEASON = 12
MIN_SEASONAL = 3 * SEASON  # fewer points do not tell a season from chance
MAX_HISTORY = 240  # older months add time, not accuracy
MAX_LOG_RATIO = 1e3  # beyond this ratio of largest to smallest value a logarithm exaggerates the small ones
SMALLEST = 1e-12  # the engine works on series scaled to a size of about one: less than this is rounding


@dataclass(frozen=True, slots=True)
class Ensemble:
    """A point forecast (one value per month ahead) and the models behind it, by name."""

    values: Floats
    used: tuple[str, ...]
    left_out: tuple[str, ...]


class _Forecaster(Protocol):
    """The one method of a statsforecast model that is used here."""

    def forecast(self, y: Floats, h: int) -> Mapping[str, Floats]: ...


def forecast(history: Floats, horizon: int, *, fast: bool = False) -> Ensemble:
    """The median of the models suited to `history`, always finite; `fast` leaves out the slow ones.

    A model that raises, or whose forecast is not finite or leaves the reach of the series, is left out.
    """
    scale = float(np.max(np.abs(history)))
    scaled = history[-MAX_HISTORY:] / scale if scale > 0 else np.zeros(1)
    reach = 3.0 * float(np.ptp(scaled))
    forecasts: dict[str, Floats] = {}
    left_out = []
    suited = _suited(scaled, fast=fast)
    for name, model in suited.items():
        try:
            with np.errstate(all="ignore"):
                values = np.asarray(model(scaled, horizon), dtype=np.float64)
        except Exception:  # noqa: BLE001 - a model may raise anything; it is named in the result
            left_out.append(name)
            continue
        if np.all(np.abs(values - scaled[-1]) <= reach):  # false for a NaN too
            forecasts[name] = values
        else:
            left_out.append(name)
    if not forecasts:
        forecasts["LastValue"] = last_value(scaled, horizon)
    median = np.median(np.array(list(forecasts.values())), axis=0) * scale
    return Ensemble(median, tuple(forecasts), tuple(left_out))


def last_value(history: Floats, horizon: int) -> Floats:
    return np.full(horizon, history[-1])


def is_intermittent(history: Floats) -> bool:
    """Average demand interval (periods ÷ non-zero periods) of at least 1.32."""
    periods = int(np.count_nonzero(history))
    return periods > 0 and len(history) / periods >= INTERMITTENT_ADI


def takes_log(history: Floats) -> bool:
    """Whether the series lives on a ratio scale: all positive, and not spread over too many magnitudes."""
    lowest = float(np.min(history))
    return lowest > 0 and float(np.max(history)) / MAX_LOG_RATIO <= lowest


def _suited(history: Floats, *, fast: bool) -> dict[str, Model]:
    if np.ptp(history) == 0:
        return {"LastValue": last_value}
    if is_intermittent(history):
        return {"CrostonOptimized": _croston, "CrostonSBA": _croston_sba, "IMAPA": _imapa, "TSB": _tsb}
    season = SEASON if len(history) >= MIN_SEASONAL else 1
    wrap = _in_logs if takes_log(history) else _as_it_is
    models = {
        "DynamicOptimizedTheta": wrap(_theta(season)),
        "AutoCES": wrap(_ces(season)),
        "Autoregression": wrap(autoregression),
        "NonseasonalETS": _ets(1, "ZZN"),
    }
    if not fast:
        models["AutoETS"] = wrap(_ets(season, "ZZZ" if season > 1 else "ZZN"))
    return models


def autoregression(history: Floats, horizon: int, lags: int = 2) -> Floats:
    """Month-to-month changes that partly repeat themselves, shrunk towards the last value."""
    changes = np.diff(history)
    past = np.column_stack([changes[lags - 1 - lag : len(changes) - 1 - lag] for lag in range(lags)])
    penalty = 5.0 * float(np.var(changes)) + np.finfo(np.float64).tiny
    weights = np.linalg.solve(past.T @ past + penalty * np.eye(lags), past.T @ changes[lags:])
    path = np.concatenate([changes[-lags:], np.empty(horizon)])
    for month in range(lags, len(path)):
        path[month] = weights @ path[month - lags : month][::-1]
    return np.asarray(history[-1] + np.cumsum(path[lags:]))


def _as_it_is(model: Model) -> Model:
    return model


def _in_logs(model: Model) -> Model:
    return lambda history, horizon: np.exp(model(np.log(history), horizon))


def _run(forecaster: _Forecaster, history: Floats, horizon: int) -> Floats:
    return forecaster.forecast(y=history, h=horizon)["mean"]


def _ets(season: int, model: str) -> Model:
    from statsforecast.models import AutoETS

    return lambda history, horizon: _run(AutoETS(season_length=season, model=model, damped=True), history, horizon)


def _theta(season: int) -> Model:
    from statsforecast.models import DynamicOptimizedTheta

    return lambda history, horizon: _run(DynamicOptimizedTheta(season_length=season), history, horizon)


def _ces(season: int) -> Model:
    from statsforecast.models import AutoCES

    return lambda history, horizon: _run(
        AutoCES(season_length=season, model="Z" if season > 1 else "N"), history, horizon
    )


def _croston(history: Floats, horizon: int) -> Floats:
    from statsforecast.models import CrostonOptimized

    return _run(CrostonOptimized(), history, horizon)


def _croston_sba(history: Floats, horizon: int) -> Floats:
    from statsforecast.models import CrostonSBA

    return _run(CrostonSBA(), history, horizon)


def _imapa(history: Floats, horizon: int) -> Floats:
    from statsforecast.models import IMAPA

    return _run(IMAPA(), history, horizon)


def _tsb(history: Floats, horizon: int) -> Floats:
    from statsforecast.models import TSB

    return _run(TSB(alpha_d=0.1, alpha_p=0.1), history, horizon)
