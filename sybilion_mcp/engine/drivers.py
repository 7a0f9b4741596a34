"""Drivers: which series lead the target, and by how many months.

Everything is measured on stationary transforms: month-to-month changes, as suits series that wander, and distances
from a trend, as suits those that return to it. Both are searched; the stronger evidence decides.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from sybilion_mcp.engine.candidate import Candidate
from sybilion_mcp.engine.models import SMALLEST, Floats, takes_log, unit_of, window_start
from sybilion_mcp.engine.stationary import (
    BY_CHANGES,
    BY_DISTANCE,
    MIN_MONTHS,
    Transform,
    correlation,
    on_ratio_scale,
)

Flags = npt.NDArray[np.bool_]
Paths = tuple[tuple[int, int], ...]
"""Series number and lag of each link."""

MAX_LAG = 12
HALF_LIFE = 60.0  # months, at recency_factor 1
OWN_LAGS = 3  # the target's own past explains first; a driver must add to it
CHANCE = 0.02  # probability that pure noise yields any link at all
MEMORY = 6  # months over which autocorrelation makes chance relations larger
TRANSFORMS = (BY_CHANGES, BY_DISTANCE)  # searched both, which gives chance twice as many occasions
SAME = 0.9999  # correlation from which a series is the target itself


@dataclass(frozen=True, slots=True)
class Lead:
    """A series that may lead the target, on the target's months: `values` is NaN where it has none.

    It comes `delay` months late: that many of its last months are not known yet, now and at any earlier origin.
    """

    id: str
    name: str
    values: Floats
    delay: int = 0

    def known_at(self, origin: int) -> Floats:
        """What is known of it after `origin` months of the target; NaN for the rest of them."""
        values = self.values[:origin].copy()
        values[origin - self.delay :] = np.nan
        return values


@dataclass(frozen=True, slots=True)
class Link:
    """Series number `lead` runs `lag` months ahead of the target.

    `strength` is the correlation left when the target's own past and stronger links are accounted for (−1…1).
    """

    lead: int
    lag: int
    strength: float


@dataclass(frozen=True, slots=True)
class Offered:
    """The series to try, the first `kept` of them the caller's own; and the names of those that cannot be tried."""

    leads: list[Lead]
    kept: int
    too_short: list[str]
    same_as_series: list[str]


@dataclass(frozen=True, slots=True)
class Search:
    """What may be found: at most `links`, over the first `kept` series and at most `leads` others.

    Evidence `half_life` months old counts half.
    """

    links: int
    kept: int
    leads: int
    half_life: float


def half_life_months(recency_factor: float) -> float:
    """The age at which evidence counts half: 60 months at recency_factor 1, never at 0."""
    return HALF_LIFE / recency_factor if recency_factor > 0 else math.inf


@dataclass(frozen=True, slots=True)
class Found:
    """The links that stand out from chance, strongest first, and the transform on which they do."""

    transform: Transform
    links: tuple[Link, ...]


def lead_on(months: Sequence[str], candidate: Candidate) -> Lead | None:
    """A series of the driver folder on the target's months; None when it covers too few of them to tell anything."""
    known = [month in candidate.months for month in months]
    delay = known[::-1].index(True) if any(known) else len(known)
    if delay >= MAX_LAG or sum(known) <= MIN_MONTHS:
        return None
    values = np.array([candidate.months.get(month, np.nan) for month in months])
    return Lead(candidate.id, candidate.name, values / unit_of(values), delay)


def is_target(history: Floats, lead: Lead) -> bool:
    """Whether the series is the target itself, under another name or in another unit: it explains nothing."""
    target, same = _side_by_side(history, lead, BY_CHANGES)
    return correlation(target, same) > SAME


def find_links(history: Floats, leads: Sequence[Lead], search: Search) -> Found:
    """The links over all series and lags 0–12, by forward selection.

    `history` and the series begin in the same month; what they have after `history` is not looked at. The bar rises
    with the number of series, lags and transforms tried, so that pure noise seldom yields any link (CHANCE).
    """
    searched = [_search_links(history, leads, search, transform) for transform in TRANSFORMS]
    return max(searched, key=lambda pair: pair[0])[1]


def _search_links(history: Floats, leads: Sequence[Lead], search: Search, transform: Transform) -> tuple[float, Found]:
    """The links on one transform, and how far the first of them stands above the bar (1: on it)."""
    evidence = evidence_of(history, leads, search.half_life, transform)
    if evidence is None:
        return 0.0, Found(transform, ())
    keys = _keys(leads)
    candidates = evidence.lagged(keys)
    taken = evidence.own
    found: list[tuple[int, float]] = []
    first = 0.0
    while sum(keys[one][1] > 0 for one, _ in found) < search.links and len(found) < 2 * search.links:
        partial, bars = _relations(evidence.outcome, candidates, taken, evidence.months)
        allowed = _allowed(keys, [keys[one] for one, _ in found], search)
        margin = np.where(allowed, np.abs(partial) / bars, 0.0)
        best = int(np.argmax(margin))
        if margin[best] <= 1.0:
            break
        first = first or float(margin[best])
        found.append((best, float(partial[best])))
        taken = np.column_stack([taken, candidates[:, best]])
    return first, Found(transform, tuple(Link(*keys[best], strength) for best, strength in found))


def strongest(history: Floats, leads: Sequence[Lead], half_life: float) -> list[float]:
    """By series: the size of its strongest relation with the target 0–12 months later, 0 when chance has such."""
    best = dict.fromkeys(range(len(leads)), 0.0)
    for transform in TRANSFORMS:
        evidence = evidence_of(history, leads, half_life, transform)
        if evidence is not None:
            keys = _keys(leads)
            partial, bars = _relations(evidence.outcome, evidence.lagged(keys), evidence.own, evidence.months)
            for (number, _), size, bar in zip(keys, np.abs(partial), bars, strict=True):
                best[number] = max(best[number], float(size)) if size > bar else best[number]
    return list(best.values())


def correlations(history: Floats, lead: Lead, transform: Transform) -> dict[int, float]:
    """Lag in months (1–12) → plain correlation of the transforms where both are known, −1…1."""
    target, driver = _side_by_side(history, lead, transform)
    return {lag: correlation(target[lag:], driver[: len(driver) - lag]) for lag in range(1, MAX_LAG + 1)}


@dataclass(frozen=True, slots=True)
class Evidence:
    """Target and drivers side by side, in standard units, each row weighted by how recent it is.

    `months` is how many equally weighted rows that is worth; `spreads` are the standard deviations taken out of the
    series, and `in_logs` tells which were taken as logarithms. A month that is not known counts as a usual one.
    """

    outcome: Floats
    own: Floats
    drivers: Sequence[Floats]
    recency: Floats
    months: float
    spread: float
    spreads: Sequence[float]
    in_logs: Sequence[bool]

    def lagged(self, keys: Sequence[tuple[int, int]]) -> Floats:
        """One column for each (series, lag)."""
        rows = len(self.outcome)
        columns = [self.drivers[number][MAX_LAG - lag : MAX_LAG - lag + rows] for number, lag in keys]
        return np.column_stack(columns) * self.recency[:, None]


def _keys(leads: Sequence[Lead]) -> list[tuple[int, int]]:
    """Every series with every lag at which it is known."""
    return [(number, lag) for number, lead in enumerate(leads) for lag in range(lead.delay, MAX_LAG + 1)]


def evidence_of(history: Floats, leads: Sequence[Lead], half_life: float, transform: Transform) -> Evidence | None:
    """None when there is too little of it, or none."""
    first = window_start(len(history))
    skip = transform.unknown
    target = transform.of(history[first:], takes_log(history[first:]))[skip:]
    rows = len(target) - MAX_LAG
    spread = float(np.std(target))
    if not leads or rows < 2 * MAX_LAG or spread <= SMALLEST:
        return None
    levels = [lead.known_at(len(history))[first:] for lead in leads]
    in_logs = [on_ratio_scale(level) for level in levels]
    drivers = [transform.of(level, logs)[skip:] for level, logs in zip(levels, in_logs, strict=True)]
    spreads = [float(np.std(driver)) for driver in drivers]
    scaled = [driver / size if size > SMALLEST else driver for driver, size in zip(drivers, spreads, strict=True)]
    recency = np.sqrt(0.5 ** (np.arange(rows - 1, -1, -1) / half_life))
    target = target / spread
    past = [target[MAX_LAG - lag : MAX_LAG - lag + rows] for lag in range(1, OWN_LAGS + 1)]
    own = np.column_stack([np.ones(rows), *past]) * recency[:, None]
    months = float(np.sum(recency**2) ** 2 / np.sum(recency**4))
    return Evidence(target[MAX_LAG:] * recency, own, scaled, recency, months, spread, spreads, in_logs)


def _side_by_side(history: Floats, lead: Lead, transform: Transform) -> tuple[Floats, Floats]:
    """Target and series over the months that have both, from the first change on."""
    level = lead.known_at(len(history))
    known = np.flatnonzero(np.isfinite(level))
    if len(known) == 0:
        return np.empty(0), np.empty(0)
    both = slice(int(known[0]), int(known[-1]) + 1)
    pair = history[both], level[both]
    target, driver = (transform.of(one, takes_log(one))[transform.unknown :] for one in pair)
    return target, driver


def _allowed(keys: Sequence[tuple[int, int]], found: Sequence[tuple[int, int]], search: Search) -> Flags:
    """Once as many others lead as may, only their other lags may follow, and the kept series.

    A series that moves in the same month (lag 0) explains, so that it is not mistaken for one that leads, but no
    forecast can lean on it: it counts for nothing.
    """
    others = {number for number, lag in found if lag and number >= search.kept}
    return np.array(
        [not lag or number < search.kept or len(others) < search.leads or number in others for number, lag in keys]
    )


def _relations(outcome: Floats, candidates: Floats, taken: Floats, months: float) -> tuple[Floats, Floats]:
    """By candidate: the partial correlation, and the size that the best of as many unrelated ones seldom reaches."""
    basis = np.linalg.qr(taken)[0]
    left = outcome - basis @ (basis.T @ outcome)
    others = candidates - basis @ (basis.T @ candidates)
    norms = np.linalg.norm(others, axis=0)
    scale = np.where(norms > 1e-6 * np.sqrt(len(outcome)), norms, np.inf)  # else nothing but rounding is left
    size = float(np.linalg.norm(left)) or np.inf
    partial = np.clip((others.T @ left) / (scale * size), -1.0, 1.0)
    excess = np.ones(len(partial))
    for lag in range(1, MEMORY + 1):  # Bartlett: two autocorrelated series agree by chance more often
        of_target = float(left[lag:] @ left[:-lag]) / size**2
        excess += 2.0 * of_target * np.sum(others[lag:] * others[:-lag], axis=0) / scale**2
    limit = NormalDist().inv_cdf(1.0 - CHANCE / (2.0 * len(TRANSFORMS) * candidates.shape[1]))
    freedom = max(months - taken.shape[1] - 2.0, 1.0)
    return partial, np.asarray(np.tanh(limit * np.sqrt(np.maximum(excess, 1.0) / freedom)))
