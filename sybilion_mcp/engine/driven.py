"""Forecasts with drivers: the models forecast what the drivers do not explain, the drivers add their part."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sybilion_mcp.engine.bands import PastForecast
from sybilion_mcp.engine.drivers import Lead, Paths, evidence_of
from sybilion_mcp.engine.ensemble import NEEDED_ERRORS, distances
from sybilion_mcp.engine.models import (
    SMALLEST,
    FittedModels,
    Floats,
    Members,
    fit,
    forecast,
    takes_log,
    window_start,
    within_reach,
)
from sybilion_mcp.engine.stationary import Transform, persistence

NEEDED_GAIN = 0.02


@dataclass(frozen=True, slots=True)
class Weight:
    """What one unit of a driver, or of its logarithm, adds to the target."""

    value: float
    in_logs: bool


@dataclass(frozen=True, slots=True)
class DrivenModels:
    """Models fitted to what is left of a series, from month `start` on, without the drivers' part by `weights`."""

    start: int
    leads: Sequence[Lead]
    weights: Mapping[tuple[int, int], Weight]
    transform: Transform
    in_logs: bool
    models: FittedModels


def fit_driven(
    history: Floats,
    leads: Sequence[Lead],
    paths: Paths,
    transform: Transform,
    half_life: float,
    thorough: Sequence[str],
) -> DrivenModels | None:
    """None when `history` is too short to tell what the drivers contribute."""
    weights = path_weights(history, leads, paths, transform, half_life)
    if weights is None:
        return None
    start = window_start(len(history))
    in_logs = takes_log(history[start:])
    part = contributions(range(start, len(history)), leads, weights, transform, 0)
    return DrivenModels(
        start, leads, weights, transform, in_logs, fit(_without(history[start:], part, in_logs), thorough)
    )


def forecast_driven(fitted: DrivenModels, history: Floats, horizon: int) -> Members:
    """What each model says after `history`, which begins with the one it was fitted to, with the drivers' part."""
    span = range(fitted.start, len(history))
    with np.errstate(all="ignore"):  # a driver whose logarithm ceases to exist makes every forecast unusable
        part = contributions(span, fitted.leads, fitted.weights, fitted.transform, horizon)
        rest = forecast(fitted.models, _without(history[fitted.start :], part[: len(span)], fitted.in_logs), horizon)
        ahead = part[len(span) :]
        values = {name: one * np.exp(ahead) if fitted.in_logs else one + ahead for name, one in rest.values.items()}
    return within_reach(history[fitted.start :], horizon, values, rest.left_out)


def contributions(
    span: range, leads: Sequence[Lead], weights: Mapping[tuple[int, int], Weight], transform: Transform, ahead: int
) -> Floats:
    """What drivers have added to each month of `span` and, as far as is known, add to the `ahead` months after.

    `weights` are those of `path_weights`. In units of the series, or of its logarithm on a ratio scale. Unknown months
    of a driver are taken as a return to the usual: at once for changes, at its own pace for distances from a trend.
    """
    total = np.zeros(len(span) + ahead)
    for (number, lag), weight in weights.items():
        lead = leads[number]
        known = transform.of(lead.known_at(span.stop)[span.start :], weight.in_logs)[: len(span) - lead.delay]
        pace = 0.0 if transform.changes else persistence(known)
        rest = known[-1] * pace ** np.arange(1, ahead + lead.delay + 1)
        total[lag:] += weight.value * np.concatenate([known, rest])[: len(total) - lag]
    return np.cumsum(total) if transform.changes else total


def path_weights(
    history: Floats, leads: Sequence[Lead], paths: Paths, transform: Transform, half_life: float
) -> dict[tuple[int, int], Weight] | None:
    """What each driver adds to the target, by least squares; None when there is too little to tell."""
    used = sorted({number for number, _ in paths})
    evidence = evidence_of(history, [leads[number] for number in used], half_life, transform)
    if evidence is None:
        return None
    columns = evidence.lagged([(used.index(number), lag) for number, lag in paths])
    together = np.column_stack([evidence.own, columns])
    found = np.linalg.lstsq(together, evidence.outcome, rcond=None)[0][evidence.own.shape[1] :]
    weights = {}
    for (number, lag), one in zip(paths, found, strict=True):
        size, in_logs = evidence.spreads[used.index(number)], evidence.in_logs[used.index(number)]
        weights[number, lag] = Weight(float(one) * evidence.spread / size if size > SMALLEST else 0.0, in_logs)
    return weights


def helps(
    series: Floats,
    plain: Sequence[PastForecast],
    driven: Sequence[PastForecast],
    origin: int,
    paths: Paths,
) -> bool:
    """Whether the drivers found at `origin` lower the error of earlier forecasts whose outcome was known then.

    Their weights were estimated before each of those forecasts, but which they are was chosen with what came after.
    They must lower the whole error, in which months further ahead count less, and by NEEDED_GAIN that of the months
    they reach, as far ahead as they lead.
    """
    reach = max(lag for _, lag in paths)
    errors = np.array([_known_errors(series, *pair, origin, reach) for pair in zip(plain, driven, strict=True)])
    if len(errors) == 0:
        return False
    months, without, with_drivers, reached_without, reached_with = errors.sum(axis=0)
    lower = with_drivers < without and reached_with < (1.0 - NEEDED_GAIN) * reached_without
    return bool(months >= NEEDED_ERRORS and lower)


def _without(history: Floats, part: Floats, in_logs: bool) -> Floats:
    return history * np.exp(-part) if in_logs else history - part


def _known_errors(
    series: Floats, plain: PastForecast, driven: PastForecast, origin: int, reach: int
) -> tuple[float, ...]:
    actual = series[plain.origin : min(origin, plain.origin + len(plain.values))]
    farther = distances(len(actual))
    without = np.abs(actual - plain.values[: len(actual)]) / farther
    with_drivers = np.abs(actual - driven.values[: len(actual)]) / farther
    parts = (without, with_drivers, without[:reach], with_drivers[:reach])
    return float(len(actual)), *(float(np.sum(part)) for part in parts)
