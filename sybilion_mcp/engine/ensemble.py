"""Several models' forecasts into one: weights from how wrong each was before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sybilion_mcp.engine.models import SMALLEST, Floats, Members, is_intermittent

SHARPNESS = 3.0  # a model twice as wrong as another gets an eighth of its weight
PRIOR_ERRORS = 8.0  # months of evidence by which every model starts out as good as the middle one
NEEDED_ERRORS = 12  # months of past errors; fewer tell nothing
TRIM = 0.2  # of the weight at either end, which does not count


@dataclass(frozen=True, slots=True)
class Ensemble:
    """A point forecast (one value per month ahead), and the weight (0–1, together 1) of each model behind it."""

    values: Floats
    weights: Mapping[str, float]
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PastMembers:
    """What the models said from an earlier `origin`, and how wrong that was.

    `errors[row, months]` is the sum of the absolute errors of model `names[row]` over its first `months` months,
    those further ahead counting less.
    """

    origin: int
    members: Members
    names: tuple[str, ...]
    errors: Floats


def judged(series: Floats, origin: int, members: Members) -> PastMembers:
    names = tuple(members.values)
    forecasts = np.array([members.values[name] for name in names])
    actual = series[origin : origin + forecasts.shape[1]]
    errors = np.abs(forecasts[:, : len(actual)] - actual) / distances(len(actual))
    return PastMembers(origin, members, names, np.hstack([np.zeros((len(names), 1)), np.cumsum(errors, axis=1)]))


def distances(months: int) -> Floats:
    """What errors 1, 2, … `months` months ahead are divided by, as they grow with the distance by themselves."""
    return np.asarray(np.sqrt(np.arange(1.0, months + 1.0)))


def combine(series: Floats, origin: int, now: Members, past: Sequence[PastMembers], half_life: float) -> Ensemble:
    """The trimmed weighted mean of what the models say after `origin` months, `now`.

    A model's weight falls with the error of its forecasts in `past`, as far as their outcome was known at `origin`;
    an error `half_life` months old counts half. On intermittent series all weigh the same: there the smallest
    absolute error belongs to a forecast of nothing at all.
    """
    names = tuple(now.values)
    weights = np.ones(len(names))
    if len(names) > 1 and not is_intermittent(series[:origin]):
        weights = _weights(*_past_errors(origin, names, past, half_life))
    weights = weights / np.sum(weights)
    values = trimmed_mean(np.array([now.values[name] for name in names]), weights)
    return Ensemble(values, dict(zip(names, map(float, weights), strict=True)), now.left_out)


def trimmed_mean(rows: Floats, weights: Floats) -> Floats:
    """By column: the mean of what lies between the weighted quantiles TRIM and 1 − TRIM."""
    order = np.argsort(rows, axis=0, kind="stable")
    ranked = np.take_along_axis(rows, order, axis=0)
    upper = np.cumsum(weights[order], axis=0) / np.sum(weights)
    lower = np.vstack([np.zeros(rows.shape[1]), upper[:-1]])
    inside = np.maximum(np.minimum(upper, 1.0 - TRIM) - np.maximum(lower, TRIM), 0.0)
    return np.asarray(np.sum(ranked * inside, axis=0) / np.sum(inside, axis=0))


def _past_errors(
    origin: int, names: tuple[str, ...], past: Sequence[PastMembers], half_life: float
) -> tuple[Floats, Floats]:
    """By model: the mean error, and the months it was measured on."""
    errors, counts = np.zeros(len(names)), np.zeros(len(names))
    rows = {name: row for row, name in enumerate(names)}
    for one in past:
        months = min(origin - one.origin, one.errors.shape[1] - 1)
        recency = 0.5 ** ((origin - one.origin) / half_life)
        if one.names == names:
            errors += recency * one.errors[:, months]
            counts += recency * months
            continue
        for name, sums in zip(one.names, one.errors, strict=True):
            if name in rows:
                errors[rows[name]] += recency * sums[months]
                counts[rows[name]] += recency * months
    return errors / np.maximum(counts, 1e-9), counts


def _weights(errors: Floats, counts: Floats) -> Floats:
    known = counts > 0
    if np.max(counts) < NEEDED_ERRORS:
        return np.ones(len(errors))
    middle = float(np.median(errors[known]))
    expected = (errors * counts + middle * PRIOR_ERRORS) / (counts + PRIOR_ERRORS)
    least = float(np.min(expected))
    if least <= SMALLEST:
        return np.where(expected <= SMALLEST, 1.0, 0.0)
    return np.asarray((expected / least) ** -SHARPNESS)
