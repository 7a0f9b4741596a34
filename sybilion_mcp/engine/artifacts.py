"""What the engine found, as the API's artifacts."""

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sybilion_mcp.contract.months import month_of
from sybilion_mcp.engine import backtest
from sybilion_mcp.engine.bands import KEYS, PastForecast, quantiles
from sybilion_mcp.engine.drivers import Lead, Offered, correlations
from sybilion_mcp.engine.models import Floats
from sybilion_mcp.engine.outlook import QUALITY, Outlook, Rung

VERSION = "1.1"
LARGEST = sys.float_info.max


@dataclass(frozen=True, slots=True)
class Target:
    """The series to forecast. `values` are divided by `unit`, so that no square of a value overflows."""

    first_month: int  # as contract.months counts them
    values: Floats
    unit: float
    lowest: float

    def month(self, index: int) -> str:
        """The month `index` months after the first, as YYYY-MM-01."""
        return f"{month_of(self.first_month + index)}-01"


def forecast_json(
    target: Target, outlook: Outlook, offered: Offered, half_life: float, shown: Sequence[Outlook]
) -> bytes:
    """forecast.json; `pipeline_info` tells how the forecast came about. `shown` are the backtest's windows."""
    origin = outlook.forecast.origin
    table = _quantile_rows(target, outlook)
    months = [target.month(origin + step) for step in range(outlook.horizon)]
    series = {
        month: {"forecast": number(value, target.unit), "quantile_forecast": row}
        for month, value, row in zip(months, outlook.forecast.values, table, strict=True)
    }
    return _enveloped(
        {
            "forecast_series": series,
            "forecast_horizon": outlook.horizon,
            "forecast_start": months[0],
            "forecast_end": months[-1],
            "last_valid_data_index": target.month(origin - 1),
            "pipeline_info": {
                **_pipeline_info(outlook, offered, half_life),
                "baseline_backtest_mae": _baseline_mae(target, shown),
            },
        }
    )


def info_json(outlook: Outlook) -> bytes:
    """info.json, which comes with a driverless fallback only."""
    tried = ", ".join(str(rung.horizon) for rung in outlook.ladder)
    message = (
        f"driverless fallback at horizon {outlook.horizon}: at no horizon tried ({tried}) was the rolling-origin "
        f"error at most {QUALITY} times that of the better of last value and seasonal naive"
    )
    return _enveloped({"message": message})


def external_signals_json(target: Target, outlook: Outlook, offered: Offered) -> bytes:
    """external_signals.json: the series behind the forecast, and the caller's own; `{}` when none helps."""
    used = {link.lead for link in outlook.links}
    listed = [(number, lead) for number, lead in enumerate(offered.leads) if number in used or number < offered.kept]
    return _enveloped({lead.id: _driver(target, outlook, one, lead) for one, lead in listed if used})


def backtest_metrics_json(target: Target, shown: Sequence[Outlook], *, with_baseline: bool) -> bytes:
    """backtest_metrics.json over the windows `shown`; on request also what they came to without drivers."""
    data = {}
    for name, inside in backtest.windows([one.forecast.origin for one in shown]).items():
        windows = [one for one in shown if one.forecast.origin in inside]
        data[name] = {
            "metrics": _metrics(target, [one.forecast for one in windows]),
            "tests": {},
            "forecast_start": target.month(windows[0].forecast.origin),
            "forecast_end": target.month(windows[-1].forecast.origin + windows[-1].horizon - 1),
        }
        if with_baseline:
            data[name]["baseline_metrics"] = _metrics(target, [one.baseline for one in windows])
    return _enveloped(data)


def backtest_trajectories_json(target: Target, outlooks: Sequence[Outlook]) -> bytes:
    """backtest_trajectories.json: the past forecasts beside what came, by their start."""
    return _enveloped([_window(target, outlook) for outlook in outlooks])


def encoded(content: object) -> bytes:
    return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()


def number(value: float, unit: float = 1.0) -> float:
    """Six decimals, as the API writes them; below one six significant digits, so that small series survive."""
    if math.isnan(value):
        raise ArithmeticError("a computed value is not a number")
    finite = max(-LARGEST, min(float(value) * unit, LARGEST))
    return round(finite, 6) if abs(finite) >= 1 else float(f"{finite:.6g}")


def _enveloped(data: object) -> bytes:
    return encoded({"version": VERSION, "data": data})


def _pipeline_info(outlook: Outlook, offered: Offered, half_life: float) -> dict[str, object]:
    """How the forecast came about: models and weights, the ladder, and what became of the series `offered`."""
    return {
        "models": {name: number(weight) for name, weight in outlook.ensemble.weights.items()},
        "models_left_out": list(outlook.ensemble.left_out),
        "ladder": [_rung(rung) for rung in outlook.ladder],
        "baseline_relative_error": _rounded(outlook.baseline_rung.relative_error),
        "driverless_fallback": outlook.fell_back,
        "drivers_in_forecast": bool(outlook.links),
        "candidates_offered": len(offered.leads) + len(offered.too_short) + len(offered.same_as_series),
        "candidates_too_short": offered.too_short,
        "candidates_same_as_series": offered.same_as_series,
        "evidence_half_life_months": None if np.isinf(half_life) else number(half_life),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else number(value)


def _rung(rung: Rung) -> dict[str, object]:
    return {"horizon": rung.horizon, "relative_error": _rounded(rung.relative_error), "good": rung.good}


def _driver(target: Target, outlook: Outlook, one: int, lead: Lead) -> dict[str, object]:
    correlation = correlations(target.values, lead, outlook.transform)
    strengths = {link.lag: link.strength for link in outlook.links if link.lead == one}
    best = max(correlation, key=lambda lag: abs(correlation[lag]))
    by_lag = sorted(strengths.items()) or [(best, correlation[best])]
    importance = {f"{lag}.0": number(100.0 * abs(value) if strengths else 0.0) for lag, value in by_lag}
    direction = {f"{lag}.0": number(value) for lag, value in by_lag}
    pearson = {f"lag_{lag}": number(value) for lag, value in correlation.items()}
    horizons = [f"horizon_{step}" for step in range(1, outlook.horizon + 1)]
    return {
        "driver_name": lead.name,
        "importance": {**dict.fromkeys(horizons, importance), "overall": _overall(importance)},
        "direction": {**dict.fromkeys(horizons, direction), "overall": _overall(direction)},
        "pearson_correlation": {**pearson, "overall": _overall(pearson)},
    }


def _overall(values: Mapping[str, float]) -> dict[str, float]:
    found = list(values.values())
    return {"mean": number(sum(found) / len(found)), "min": min(found), "max": max(found)}


def _window(target: Target, outlook: Outlook) -> dict[str, object]:
    fold = backtest.fold(target.values, outlook.forecast)
    months = [target.month(fold.origin + step) for step in range(outlook.horizon)]
    return {
        "forecast_start": months[0],
        "forecast_end": months[-1],
        "metrics": _metrics(target, [outlook.forecast]),
        "forecast_series": {
            month: {
                "actual": number(actual, target.unit),
                "forecast": number(value, target.unit),
                "quantile_forecast": row,
            }
            for month, actual, value, row in zip(
                months, fold.actual, fold.forecast, _quantile_rows(target, outlook), strict=True
            )
        },
    }


def _quantile_rows(target: Target, outlook: Outlook) -> list[dict[str, float]]:
    one: PastForecast = outlook.forecast
    table = np.maximum(quantiles(target.values, one.origin, one.values, outlook.past), target.lowest)
    return [{key: number(value, target.unit) for key, value in zip(KEYS, row, strict=True)} for row in table]


def _metrics(target: Target, forecasts: Sequence[PastForecast]) -> dict[str, float]:
    units = {"MAE": target.unit, "RMSE": target.unit}
    measured = backtest.metrics(target.values, [backtest.fold(target.values, one) for one in forecasts])
    return {name: number(value, units.get(name, 1.0)) for name, value in measured.items()}


def _baseline_mae(target: Target, shown: Sequence[Outlook]) -> float | None:
    return _metrics(target, [one.baseline for one in shown])["MAE"] if shown else None
