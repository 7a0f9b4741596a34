"""Drivers: which of the caller's series lead the target, by how many months, and what they add to a forecast."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from statistics import NormalDist

import numpy as np

from sybilion_mcp.engine.bands import PastForecast
from sybilion_mcp.engine.models import SEASON, SMALLEST, Floats, takes_log

MAX_LAG = 12
AR_LAGS = 2  # the target's own past explains first; a driver must add to it
MAX_LINKS = 4
CHANCE = 0.02  # probability that pure noise yields any link at all
OUTLIER = 4.0  # robust standard deviations beyond which a change is cut off
SEASONAL_SHARE = 0.3  # share of the variance of changes that months must explain to be taken out
NEEDED_GAIN = 0.02
NEEDED_ERRORS = 12


@dataclass(frozen=True, slots=True)
class Link:
    """Driver number `driver` leads the target by `lag` months.

    `strength` is the correlation left when the target's own past and stronger links are accounted for (−1…1);
    `weight` turns a change of the driver, in its own standard deviations, into a change of the target.
    """

    driver: int
    lag: int
    strength: float
    weight: float


@dataclass(frozen=True, slots=True)
class Driver:
    """What is known of one driver: by lag in months, importance 0–100, direction and correlation −1…1."""

    importance: dict[int, float]
    direction: dict[int, float]
    correlation: dict[int, float]


def describe(series: Floats, aux: Sequence[Floats]) -> list[Driver]:
    """Every driver, in the caller's order. Without a link that leads, it keeps its best lag, with importance 0.

    A link in the same month explains the target, but no forecast can lean on it.
    """
    target = stationary(series)
    changes = [stationary(values) for values in aux]
    links = find_links(target, changes)
    described = []
    for number, driver in enumerate(changes):
        correlation = {lag: _correlation(target[lag:], driver[: len(driver) - lag]) for lag in range(1, MAX_LAG + 1)}
        strengths = {link.lag: link.strength for link in links if link.driver == number and link.lag > 0}
        best = max(correlation, key=lambda lag: abs(correlation[lag]))
        described.append(
            Driver(
                {lag: 100.0 * abs(value) for lag, value in sorted(strengths.items())} or {best: 0.0},
                dict(sorted(strengths.items())) or {best: correlation[best]},
                correlation,
            )
        )
    return described


def stationary(values: Floats) -> Floats:
    """Month-to-month changes (of logarithms on a ratio scale), season and outliers taken out, in standard units."""
    changes = _usual_changes(values)
    deviation = float(np.std(changes))
    return changes / deviation if deviation > SMALLEST else np.zeros_like(changes)


def find_links(target: Floats, drivers: Sequence[Floats]) -> list[Link]:
    """The links that stand out from chance, strongest first: forward selection over all drivers and lags 0–12.

    The bar rises with the number of drivers and lags tried, so that pure noise seldom yields any link (CHANCE).
    """
    rows = len(target) - MAX_LAG
    if not drivers or rows < 2 * MAX_LAG or not np.any(target):
        return []
    keys = list(product(range(len(drivers)), range(MAX_LAG + 1)))
    candidates = np.column_stack([drivers[number][MAX_LAG - lag : MAX_LAG - lag + rows] for number, lag in keys])
    own = [target[MAX_LAG - lag : MAX_LAG - lag + rows] for lag in range(1, AR_LAGS + 1)]
    taken = np.column_stack([np.ones(rows), *own])
    found: list[tuple[int, float]] = []
    while len(found) < MAX_LINKS:
        partial = _partial_correlations(target[MAX_LAG:], candidates, taken)
        best = int(np.argmax(np.abs(partial)))
        if abs(partial[best]) <= _chance_level(len(keys), rows - taken.shape[1]):
            break
        found.append((best, float(partial[best])))
        taken = np.column_stack([taken, candidates[:, best]])
    if not found:
        return []
    weights = np.linalg.lstsq(taken, target[MAX_LAG:], rcond=None)[0][1 + AR_LAGS :]
    return [Link(*keys[best], strength, float(w)) for (best, strength), w in zip(found, weights, strict=True)]


def corrected(series: Floats, aux: Sequence[Floats], base: PastForecast) -> PastForecast:
    """`base` plus what the drivers' changes already known at its origin say about the months ahead."""
    history = series[: base.origin]
    target = stationary(history)
    drivers = [stationary(values[: base.origin]) for values in aux]
    effect = np.zeros(len(base.values))
    for link in find_links(target, drivers):
        known = drivers[link.driver][len(target) - link.lag :] if link.lag else np.empty(0)
        steps = np.zeros(len(effect))
        steps[: len(known)] = known[: len(steps)]
        effect += link.weight * np.cumsum(steps)
    return PastForecast(base.origin, _add(history, base.values, effect * float(np.std(_usual_changes(history)))))


def choose(series: Floats, plain: list[PastForecast], driven: list[PastForecast], origin: int) -> bool:
    """Whether the drivers lowered the error of the forecasts whose outcome was known at `origin`."""
    errors = np.array([_known_errors(series, pair, origin) for pair in zip(plain, driven, strict=True)])
    count, without, with_drivers = errors.sum(axis=0) if len(errors) else (0.0, 0.0, 0.0)
    return bool(count >= NEEDED_ERRORS and with_drivers < (1.0 - NEEDED_GAIN) * without)


def _known_errors(series: Floats, pair: tuple[PastForecast, PastForecast], origin: int) -> tuple[float, float, float]:
    plain, driven = pair
    months = max(0, min(len(plain.values), origin - plain.origin))
    actual = series[plain.origin : plain.origin + months]
    without = float(np.sum(np.abs(actual - plain.values[:months])))
    return float(months), without, float(np.sum(np.abs(actual - driven.values[:months])))


def _add(history: Floats, values: Floats, effect: Floats) -> Floats:
    if takes_log(history) and np.all(values > 0):
        return values * np.exp(effect)
    return values + effect


def _usual_changes(values: Floats) -> Floats:
    """Changes around their mean, on the ratio scale where the series has one, without season and outliers."""
    changes = _without_season(np.diff(np.log(values) if takes_log(values) else values))
    middle = float(np.median(changes))
    spread = 1.4826 * float(np.median(np.abs(changes - middle)))
    if spread > 0:
        changes = np.clip(changes, middle - OUTLIER * spread, middle + OUTLIER * spread)
    return np.asarray(changes - np.mean(changes))


def _without_season(changes: Floats) -> Floats:
    months = np.arange(len(changes)) % SEASON
    if len(changes) < 3 * SEASON:
        return changes
    means = np.array([np.mean(changes[months == month]) for month in range(SEASON)])
    adjusted = changes - means[months]
    total = float(np.var(changes))
    lost = (SEASON - 1) / (len(changes) - 1)  # the share that months explain by chance
    explained = 1.0 - float(np.var(adjusted)) / total if total > 0 else 0.0
    return adjusted if explained > lost + SEASONAL_SHARE * (1.0 - lost) else changes


def _partial_correlations(target: Floats, candidates: Floats, taken: Floats) -> Floats:
    basis = np.linalg.qr(taken)[0]
    left = target - basis @ (basis.T @ target)
    others = candidates - basis @ (basis.T @ candidates)
    norms = np.linalg.norm(others, axis=0)
    usable = norms > 1e-6 * np.sqrt(len(target))  # what is already taken leaves nothing but rounding
    scale = np.where(usable, norms, np.inf) * (float(np.linalg.norm(left)) or np.inf)
    return np.clip((others.T @ left) / scale, -1.0, 1.0)


def _chance_level(tried: int, freedom: int) -> float:
    """The correlation that the best of `tried` unrelated candidates exceeds with probability CHANCE."""
    limit = NormalDist().inv_cdf(1.0 - CHANCE / (2.0 * tried))
    return float(np.tanh(limit / np.sqrt(max(freedom - 2, 1))))


def _correlation(left: Floats, right: Floats) -> float:
    if len(left) < 3 or np.ptp(left) == 0 or np.ptp(right) == 0:
        return 0.0
    return float(np.clip(np.corrcoef(left, right)[0, 1], -1.0, 1.0))
