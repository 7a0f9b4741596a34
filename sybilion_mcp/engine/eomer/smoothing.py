"""Exponential smoothing of many kinds in one pass: what each says at every origin that is asked about."""

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np

from sybilion_mcp.engine.models import Floats

LEVEL = (0.03, 0.1, 0.2, 0.4, 0.7, 1.0)  # of an error, what goes into the level
TREND = ((0.0, 1.0), (0.1, 0.9), (0.25, 0.9), (0.1, 0.98))  # of that into the trend, and what is left of it each period
SEASON = (0.02, 0.1, 0.3)  # of what the level does not take, what goes into the season


def smoothed(values: Floats, season: int, origins: Sequence[int], horizon: int) -> Mapping[int, Floats]:
    """Origin → forecast, each of the kind that was best until then, by the squares of its errors one period ahead.

    `season` is 1 for none, otherwise the number of periods, of which every origin must have seen two rounds.
    """
    kinds = np.array([(a, b, phi, g) for a, (b, phi), g in product(LEVEL, TREND, SEASON if season > 1 else (0.0,))])
    alpha, beta, phi, gamma = kinds.T
    gain, seasonal_gain = alpha * beta, gamma * (1.0 - alpha)
    seasons = np.repeat(_first_season(values, season)[:, None], len(kinds), axis=1)
    level = np.full(len(kinds), np.mean(values[:season]))
    trend, errors = np.zeros(len(kinds)), np.zeros(len(kinds))
    warm, wanted = (2 * season if season > 1 else 1), frozenset(origins)
    found = {}
    for place, value in enumerate(values[: max(origins)]):
        phase = place % season
        level, trend = level + phi * trend, phi * trend
        error = value - level - seasons[phase]
        level, trend = level + alpha * error, trend + gain * error
        seasons[phase] += seasonal_gain * error
        if place >= warm:
            errors += error * error
        if place + 1 in wanted:
            best = int(np.argmin(errors))
            found[place + 1] = _ahead(level[best], trend[best], phi[best], seasons[:, best], place + 1, horizon)
    return found


def _first_season(values: Floats, season: int) -> Floats:
    """The mean distance of each phase from its round, over the first two rounds."""
    if season == 1:
        return np.zeros(1)
    rounds = values[: 2 * season].reshape(2, season)
    return np.asarray(np.mean(rounds - np.mean(rounds, axis=1, keepdims=True), axis=0))


def _ahead(level: float, trend: float, phi: float, seasons: Floats, start: int, horizon: int) -> Floats:
    steps = np.arange(1, horizon + 1)
    return np.asarray(level + trend * np.cumsum(phi**steps) + seasons[(start + steps - 1) % len(seasons)])
