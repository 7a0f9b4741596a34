"""A forecast request → its artifacts. Pure: no clock, no randomness, no files; the same request, the same bytes."""

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sybilion_mcp.contract.request import ForecastRequest
from sybilion_mcp.engine import backtest, drivers
from sybilion_mcp.engine.bands import KEYS, PastForecast, quantiles
from sybilion_mcp.engine.models import Ensemble, Floats, forecast

VERSION = "1.1"
LARGEST = sys.float_info.max


@dataclass(frozen=True, slots=True)
class Run:
    """What a request comes to: the final forecast, and the earlier ones its bands rest on.

    `series` and everything computed from it is divided by `unit`, so that no square of a value overflows.
    """

    first_month: str
    unit: float
    series: Floats
    horizon: int
    final: PastForecast
    past: list[PastForecast]
    ensemble: Ensemble
    drivers: list[drivers.Driver]
    driven: bool
    lowest: float


def run_pipeline(body: Mapping[str, object]) -> dict[str, bytes]:
    """File name → JSON. The body must have passed the submit rules."""
    request = ForecastRequest.model_validate(dict(body))
    run = _run(request)
    artifacts: dict[str, object] = {
        "forecast.json": _envelope(_forecast_data(run)),
        "external_signals.json": _envelope(_driver_data(run)),
        "input.json": request.model_dump(exclude_unset=True),
    }
    if request.backtest:
        folds = [
            backtest.fold(run.series, past)
            for past in run.past
            if past.origin in backtest.window_origins(len(run.series), run.horizon)
        ]
        artifacts["backtest_metrics.json"] = _envelope(_metrics_data(run, folds))
        artifacts["backtest_trajectories.json"] = _envelope([_window_data(run, one) for one in folds])
    return {name: _encode(content) for name, content in artifacts.items()}


def _run(request: ForecastRequest) -> Run:
    assert request.timeseries
    assert request.top_horizon
    months = sorted(request.timeseries)
    series, unit = _scaled(request.timeseries, months)
    aux = _aux(request, months)
    horizon = request.top_horizon
    lowest = 0.0 if request.strictly_positive else -np.inf
    ensemble = forecast(series, horizon)
    origins = backtest.calibration_origins(len(series), horizon, backtest=bool(request.backtest))
    past = backtest.rolling_forecasts(series, horizon, origins, fast=not request.backtest)
    plain = [*past, PastForecast(len(series), ensemble.values)]
    final, driven = plain, False
    if aux:
        with_drivers = [drivers.corrected(series, aux, one) for one in plain]
        decisions = [drivers.choose(series, plain, with_drivers, one.origin) for one in plain]
        final = [pair[use] for *pair, use in zip(plain, with_drivers, decisions, strict=True)]
        driven = decisions[-1]
    clamped = [PastForecast(one.origin, np.maximum(one.values, lowest)) for one in final]
    described = drivers.describe(series, aux) if aux else []
    return Run(months[0], unit, series, horizon, clamped[-1], clamped[:-1], ensemble, described, driven, lowest)


def _aux(request: ForecastRequest, months: Sequence[str]) -> list[Floats]:
    """The caller's own drivers; `filters.limit` 0 means none."""
    if request.filters is not None and request.filters.limit == 0:
        return []
    return [_scaled(one, months)[0] for one in request.aux_timeseries or ()]


def _scaled(timeseries: Mapping[str, float], months: Sequence[str]) -> tuple[Floats, float]:
    """The values divided by a power of two (which is exact), below two in size; and that power."""
    values = np.array([timeseries[month] for month in months], dtype=np.float64)
    largest = float(np.max(np.abs(values)))
    unit = math.ldexp(1.0, math.frexp(largest)[1] - 1) if largest > 0 else 1.0
    return values / unit, unit


def _forecast_data(run: Run) -> dict[str, object]:
    table = _quantile_table(run, run.final)
    months = [_month(run, len(run.series) + step) for step in range(run.horizon)]
    return {
        "forecast_series": {
            month: {"forecast": _number(value, run.unit), "quantile_forecast": row}
            for month, value, row in zip(months, run.final.values, table, strict=True)
        },
        "forecast_horizon": run.horizon,
        "forecast_start": months[0],
        "forecast_end": months[-1],
        "last_valid_data_index": _month(run, len(run.series) - 1),
        "pipeline_info": {
            "models": list(run.ensemble.used),
            "models_left_out": list(run.ensemble.left_out),
            "drivers_in_forecast": run.driven,
        },
    }


def _driver_data(run: Run) -> dict[str, object]:
    horizons = [f"horizon_{step}" for step in range(1, run.horizon + 1)]
    data: dict[str, object] = {}
    for number, driver in enumerate(run.drivers):
        importance = {f"{lag}.0": _number(value) for lag, value in driver.importance.items()}
        direction = {f"{lag}.0": _number(value) for lag, value in driver.direction.items()}
        correlation = {f"lag_{lag}": _number(value) for lag, value in driver.correlation.items()}
        data[f"aux_{number}"] = {
            "driver_name": f"aux_{number}",
            "importance": {**dict.fromkeys(horizons, importance), "overall": _overall(importance)},
            "direction": {**dict.fromkeys(horizons, direction), "overall": _overall(direction)},
            "pearson_correlation": {**correlation, "overall": _overall(correlation)},
        }
    return data


def _metrics_data(run: Run, folds: list[backtest.Fold]) -> dict[str, object]:
    return {
        name: {
            "metrics": _metrics(run, inside),
            "tests": {},
            "forecast_start": _month(run, inside[0].origin),
            "forecast_end": _month(run, inside[-1].origin + run.horizon - 1),
        }
        for name, inside in backtest.windows(folds).items()
    }


def _window_data(run: Run, one: backtest.Fold) -> dict[str, object]:
    table = _quantile_table(run, PastForecast(one.origin, one.forecast))
    months = [_month(run, one.origin + step) for step in range(run.horizon)]
    return {
        "forecast_start": months[0],
        "forecast_end": months[-1],
        "metrics": _metrics(run, [one]),
        "forecast_series": {
            month: {
                "actual": _number(actual, run.unit),
                "forecast": _number(value, run.unit),
                "quantile_forecast": row,
            }
            for month, actual, value, row in zip(months, one.actual, one.forecast, table, strict=True)
        },
    }


def _quantile_table(run: Run, one: PastForecast) -> list[dict[str, float]]:
    earlier = [past for past in run.past if past.origin < one.origin]
    table = np.maximum(quantiles(run.series, one.origin, one.values, earlier), run.lowest)
    return [{key: _number(value, run.unit) for key, value in zip(KEYS, row, strict=True)} for row in table]


def _month(run: Run, index: int) -> str:
    """The month `index` months after the first, as YYYY-MM-01."""
    year, month = divmod(int(run.first_month[:4]) * 12 + int(run.first_month[5:7]) - 1 + index, 12)
    return f"{year:04d}-{month + 1:02d}-01"


def _overall(values: Mapping[str, float]) -> dict[str, float]:
    found = list(values.values())
    return {"mean": _number(sum(found) / len(found)), "min": min(found), "max": max(found)}


def _metrics(run: Run, folds: list[backtest.Fold]) -> dict[str, float]:
    units = {"MAE": run.unit, "RMSE": run.unit}
    measured = backtest.metrics(run.series, folds)
    return {name: _number(value, units.get(name, 1.0)) for name, value in measured.items()}


def _number(value: float, unit: float = 1.0) -> float:
    """Six decimals, as the API writes them; below one six significant digits, so that small series survive."""
    finite = max(-LARGEST, min(float(value) * unit, LARGEST))
    return round(finite, 6) if abs(finite) >= 1 else float(f"{finite:.6g}")


def _envelope(data: object) -> dict[str, object]:
    return {"version": VERSION, "data": data}


def _encode(content: object) -> bytes:
    return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()
