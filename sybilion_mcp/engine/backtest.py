"""Rolling-origin backtests: what the engine would have said, and how wrong it was."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sybilion_mcp.engine.bands import PastForecast
from sybilion_mcp.engine.models import MIN_TRAINING, SEASON, SMALLEST, Floats

MONTHS_OF_ORIGINS = 12
METRIC_WINDOWS = {"6m": 6, "12m": 12}


@dataclass(frozen=True, slots=True)
class Fold:
    """A forecast from the months before `origin`, beside what came."""

    origin: int
    forecast: Floats
    actual: Floats


def window_origins(length: int, horizon: int) -> range:
    """The origins that a backtest shows: the last 12 whose every month has come to pass."""
    last = length - horizon
    return range(max(MIN_TRAINING, last - MONTHS_OF_ORIGINS + 1), last + 1)


def fold(series: Floats, past: PastForecast) -> Fold:
    """The forecast beside the series; every month of it must have come to pass."""
    return Fold(past.origin, past.values, series[past.origin : past.origin + len(past.values)])


def metrics(series: Floats, folds: Sequence[Fold]) -> dict[str, float]:
    """Mean error of folds: MAE and RMSE in units of the series, MAPE in percent, MASE and RMSSE without.

    MASE and RMSSE divide each fold's error by the in-sample error of the seasonal naive forecast before its
    origin. A measure that would divide by zero is left out.
    """
    rows = [_fold_metrics(series, one) for one in folds]
    names = ("MAE", "MAPE", "MASE", "RMSE", "RMSSE")
    columns = {name: [row[name] for row in rows if name in row] for name in names}
    return {name: float(np.mean(values)) for name, values in columns.items() if values}


def windows(origins: Sequence[int]) -> dict[str, list[int]]:
    """The origins within the last 6 and the last 12 months of them, where there are any."""
    found = {}
    for name, months in METRIC_WINDOWS.items():
        inside = [one for one in origins if one > origins[-1] - months]
        if len(inside) > METRIC_WINDOWS["6m"] or (inside and name == "6m"):
            found[name] = inside
    return found


def _fold_metrics(series: Floats, one: Fold) -> dict[str, float]:
    error = np.abs(one.actual - one.forecast)
    history = series[: one.origin]
    lag = SEASON if len(history) > SEASON else 1
    naive = np.abs(history[lag:] - history[:-lag])
    found = {"MAE": float(np.mean(error)), "RMSE": _root_mean_square(error)}
    if np.all(np.abs(one.actual) > SMALLEST):
        found["MAPE"] = 100.0 * float(np.mean(error / np.abs(one.actual)))
    if np.mean(naive) > SMALLEST:
        found["MASE"] = float(np.mean(error) / np.mean(naive))
        found["RMSSE"] = _root_mean_square(error) / _root_mean_square(naive)
    return found


def _root_mean_square(values: Floats) -> float:
    return float(np.sqrt(np.mean(values**2)))
