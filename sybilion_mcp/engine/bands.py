"""Quantile bands from the errors that earlier forecasts made, by horizon."""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from scipy.special import stdtrit

from sybilion_mcp.engine.models import SMALLEST, Floats, takes_log

LEVELS: tuple[float, ...] = tuple(round(0.05 * step, 2) for step in range(1, 20))
KEYS: tuple[str, ...] = tuple(f"{level:.2f}" for level in LEVELS)
LEAST_GROWTH, MOST_GROWTH = 0.05, 1.0  # exponents of the horizon: bands always widen, at most in proportion
RECENT = 36
LEAST_SHARE = 0.25
NORMAL = np.array([NormalDist().inv_cdf(level) for level in LEVELS])
BEYOND = 1.25
NONE = np.empty(0)
MIDDLE = np.array(LEVELS) == 0.5
FORECASTS_PER_FREEDOM = 9.0  # forecasts from neighbouring months are wrong together
LEAST_FREEDOM = 3.0
ENOUGH = 12  # errors below which the spread of month-to-month changes stands in


@dataclass(frozen=True, slots=True)
class PastForecast:
    """One forecast made after `origin` observations (its first month is `series[origin]`), one value a month."""

    origin: int
    values: Floats


def quantiles(series: Floats, origin: int, point: Floats, past: list[PastForecast]) -> Floats:
    """The 19 quantiles (one row per month ahead) around `point`, a forecast made after `origin` observations.

    Only errors that were known at `origin` count. They are measured in units of the series' local
    month-to-month change, on the ratio scale where the series has one, pooled over the horizons with a spread
    that grows with the horizon, and taken as symmetric. The middle one is the point forecast itself.
    """
    history = series[:origin]
    known = [(forecast, min(len(forecast.values), origin - forecast.origin)) for forecast in past]
    known = [(forecast, months) for forecast, months in known if months > 0]
    ratio = takes_log(history) and bool(np.all(point > 0))
    ratio = ratio and all(bool(np.all(forecast.values[:months] > 0)) for forecast, months in known)
    level, centre = (np.log(history), np.log(point)) if ratio else (history, point)
    now = local_scale(level)
    steps: list[Floats] = []
    sizes: list[Floats] = []
    for forecast, months in known:
        then = local_scale(level[: forecast.origin])
        scale = then if then > SMALLEST else now  # a flat past has no unit of its own
        expected = forecast.values[:months]
        errors = level[forecast.origin : forecast.origin + months] - (np.log(expected) if ratio else expected)
        steps.append(np.arange(1.0, months + 1.0))
        sizes.append(np.abs(errors) / scale if scale > SMALLEST else np.zeros(months))
    growth, offsets = _spread(np.concatenate(steps or [NONE]), np.concatenate(sizes or [NONE]), level)
    horizon = np.arange(1, len(point) + 1)
    farthest = _farthest_moves(level, len(point))[:, None]
    table = centre[:, None] + np.clip(now * horizon[:, None] ** growth * offsets[None, :], -farthest, farthest)
    table = np.exp(table) if ratio else table
    table[:, len(LEVELS) // 2] = point
    return np.maximum.accumulate(table, axis=1)


def _farthest_moves(level: Floats, horizon: int) -> Floats:
    """How far the series ever moved within 1, 2, … `horizon` months: no band reaches much beyond that."""
    moves = [np.max(np.abs(level[step:] - level[:-step]), initial=0.0) for step in range(1, horizon + 1)]
    return np.asarray(BEYOND * np.maximum.accumulate(moves))


def local_scale(level: Floats) -> float:
    """The usual size of a month-to-month change: of the last three years, but not below half of the whole."""
    changes = np.abs(np.diff(level))
    if len(changes) == 0:
        return 0.0
    return float(max(np.mean(changes[-RECENT:]), 0.5 * np.mean(changes)))


def _spread(steps: Floats, sizes: Floats, level: Floats) -> tuple[float, Floats]:
    """How the errors grow with the horizon (an exponent), and their quantiles at one month ahead."""
    if len(sizes) < ENOUGH:
        scale = local_scale(level)
        sizes = np.abs(np.diff(level)) / scale if scale > SMALLEST else np.zeros(1)
        return 0.5, _symmetric(sizes, len(sizes))
    growth = _growth(steps, sizes)
    return growth, _symmetric(sizes / steps**growth, int(np.count_nonzero(steps == 1)))


def _growth(steps: Floats, sizes: Floats) -> float:
    horizons = np.unique(steps)
    means = np.array([np.mean(sizes[steps == step]) for step in horizons])
    counts = np.array([np.count_nonzero(steps == step) for step in horizons], dtype=np.float64)
    positive = means > 0
    if np.count_nonzero(positive) < 2:
        return 0.5
    slope = np.polyfit(np.log(horizons[positive]), np.log(means[positive]), 1, w=np.sqrt(counts[positive]))[0]
    return float(np.clip(slope, LEAST_GROWTH, MOST_GROWTH))


def _symmetric(sizes: Floats, forecasts: int) -> Floats:
    """Quantiles of the errors and their mirror images, the outer ones wider the fewer `forecasts` made them.

    Wider by Student's t distribution against the normal one. Where errors are rare but large, most quantiles would
    be zero: a share of the mean size keeps them apart.
    """
    found = np.quantile(np.concatenate([-sizes, sizes]), LEVELS)
    least = LEAST_SHARE * float(np.mean(sizes)) * NORMAL
    freedom = max(forecasts / FORECASTS_PER_FREEDOM, LEAST_FREEDOM)
    student = np.where(MIDDLE, 1.0, stdtrit(freedom, LEVELS) / np.where(MIDDLE, 1.0, NORMAL))
    return np.asarray(np.where(np.abs(found) < np.abs(least), least, found) * student)
