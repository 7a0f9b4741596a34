"""One series of any frequency: what the engine says of it, and would have said before."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sybilion_mcp.engine.bands import LEVELS, NORMAL, PastForecast, quantiles
from sybilion_mcp.engine.ensemble import Ensemble, PastMembers, combine, judged
from sybilion_mcp.engine.eomer.smoothing import smoothed
from sybilion_mcp.engine.models import (
    Floats,
    Members,
    autoregression,
    fit,
    forecast,
    is_intermittent,
    last_value,
    takes_log,
    within_reach,
)

MAX_HISTORY = 2000  # older periods add time, not accuracy
MIN_TRAINING = 6  # periods before the first forecast that is looked back at
SMOOTHED_SEASONS = 200  # periods of the longest season that is smoothed; longer ones are waves
MIN_CHANGES = 18  # periods from which on it is told how far changes repeat themselves
SHORT_SEASON = 24
WAVES = 6  # of one season
RIDGE = 1e-3
WEAK_SEASON = 0.03  # of the variance of the changes, beyond chance, below which there is no season
STRONG_SEASON = 0.5  # of the changes, beyond chance, from which on no model without a season is heard
NORMAL_SCORES = np.array(NORMAL)

Say = Callable[[Floats, Sequence[int], int], Mapping[int, Floats]]
"""A series, origins and a horizon → what a model says at each origin, of nothing but what came before."""


@dataclass(frozen=True, slots=True)
class SeriesOutlook:
    """`values` are the periods that count, `ensemble` what follows them; `past` are earlier forecasts, by origin."""

    values: Floats
    ensemble: Ensemble
    past: list[PastForecast]
    lowest: float

    def table(self, levels: Sequence[float]) -> Floats:
        """The quantiles of the forecast: one row for each period, one column for each level."""
        return self._cut(len(self.values), self.ensemble.values, levels)

    def table_of(self, one: PastForecast, levels: Sequence[float]) -> Floats:
        """The quantiles that an earlier forecast would have had."""
        return self._cut(one.origin, one.values, levels)

    def _cut(self, origin: int, point: Floats, levels: Sequence[float]) -> Floats:
        return np.maximum(at_levels(quantiles(self.values, origin, point, self.past), levels), self.lowest)

    @property
    def forecast(self) -> Floats:
        return np.maximum(self.ensemble.values, self.lowest)


def look(values: Floats, horizon: int, seasons: Sequence[int], looks: int) -> SeriesOutlook:
    """The outlook of a gap-free series (scaled to a size of about one); `looks`: past forecasts at most.

    A series that never was below zero is not forecast below it.
    """
    values = values[-MAX_HISTORY:]
    possible = [season for season in seasons if len(values) >= 2 * season + 2]
    origins = past_origins(len(values), horizon, possible, looks)
    before = values[: origins[0]] if origins else values  # what tells which models suit, or they would know too much
    known = [season for season in possible if _shows(before, season)]
    everywhere = [*origins, len(values)]
    said, left_out = _said(values, suited(values, before, known), everywhere, horizon)
    members = {
        at: within_reach(values[:at], horizon, {name: one[at] for name, one in said.items() if at in one}, left_out)
        for at in everywhere
    }
    half_life = float(max(36, 6 * max(known, default=1)))
    judgements = [judged(values, origin, members[origin]) for origin in origins]
    lowest = 0.0 if float(np.min(values)) >= 0 else -np.inf
    past = [_past(values, one, judgements[:number], half_life, lowest) for number, one in enumerate(judgements)]
    ensemble = combine(values, len(values), members[len(values)], judgements, half_life)
    return SeriesOutlook(values, ensemble, past, lowest)


def _said(
    values: Floats, models: Mapping[str, Say], everywhere: Sequence[int], horizon: int
) -> tuple[dict[str, Mapping[int, Floats]], list[str]]:
    """What the models say, and those that say nothing because they raise."""
    said, left_out = {}, []
    for name, say in models.items():
        try:
            with np.errstate(all="ignore"):
                said[name] = say(values, everywhere, horizon)
        except Exception:  # noqa: BLE001 - a model may raise anything; it is named in the result
            left_out.append(name)
    return said, left_out


def past_origins(length: int, horizon: int, seasons: Sequence[int], looks: int) -> list[int]:
    """Where to look back from: evenly spread over the later half, every phase of a season alike.

    Models have seen two rounds of the shortest season before the first one; the last one is the period before now.
    """
    shortest = min(seasons, default=1)
    first = max(MIN_TRAINING, 2 * shortest + 2 if seasons else 0, length // 2, length - looks - 3 * horizon)
    stride = max(1, (length - 1 - first) // max(looks - 1, 1))
    if stride > 1 and any(stride % season == 0 for season in seasons):
        stride -= 1
    found = list(range(length - 1, first - 1, -stride))[:looks]
    return found[::-1]


def suited(values: Floats, before: Floats, seasons: Sequence[int]) -> dict[str, Say]:
    """The models for a series whose season is told by what was `before` the first look back."""
    if len(values) < 4 or np.ptp(values) == 0:
        return {"LastValue": _last}
    smooth = {f"Smoothing season {season}": _smoothing(season) for season in seasons if season <= SMOOTHED_SEASONS}
    waves: dict[str, Say] = {"Waves": _waves(seasons)} if seasons else {}
    repeated: dict[str, Say] = {f"Repeat {season}": _repeating(season) for season in seasons[:1]}
    strong = any(_is_strong(before, season) for season in seasons)
    if is_intermittent(values):
        return {**smooth, **waves, **repeated} if strong else _intermittent()
    plain: dict[str, Say] = {} if strong else {"LastValue": _last, "Smoothing": _smoothing(1), "Changes": _changes}
    found = {**plain, **smooth, **waves, **repeated}
    if takes_log(values):
        found |= {name: _in_logs(say) for name, say in found.items() if say is not _last and name not in repeated}
    return found


def _shows(values: Floats, season: int) -> bool:
    """Whether a season moves the series at all; a long one does so too slowly to be seen in its changes."""
    changes = np.diff(values)
    return season > SHORT_SEASON or explained(changes, np.arange(len(changes)) % season) > WEAK_SEASON


def _is_strong(values: Floats, season: int) -> bool:
    """Whether the season moves the series more than everything else does."""
    changes = np.diff(values)
    return explained(changes, np.arange(len(changes)) % season) > STRONG_SEASON


INTERMITTENT = ("CrostonSBA", "IMAPA", "TSB")


def at_levels(table: Floats, levels: Sequence[float]) -> Floats:
    """A table of the engine's 19 quantiles at other levels: on straight lines between normal scores, and beyond."""
    from statistics import NormalDist

    scores = np.array([NormalDist().inv_cdf(level) for level in levels])
    places = np.clip(np.searchsorted(NORMAL_SCORES, scores) - 1, 0, len(LEVELS) - 2)
    share = (scores - NORMAL_SCORES[places]) / (NORMAL_SCORES[places + 1] - NORMAL_SCORES[places])
    return np.asarray(table[:, places] * (1.0 - share) + table[:, places + 1] * share)


def _past(
    values: Floats, one: PastMembers, before: Sequence[PastMembers], half_life: float, lowest: float
) -> PastForecast:
    """The forecast made of what the models said at one origin, weighted by what was known then."""
    said = combine(values, one.origin, one.members, before, half_life).values
    return PastForecast(one.origin, np.maximum(said, lowest))


def _last(values: Floats, origins: Sequence[int], horizon: int) -> Mapping[int, Floats]:
    return {origin: last_value(values[:origin], horizon) for origin in origins}


def _changes(values: Floats, origins: Sequence[int], horizon: int) -> Mapping[int, Floats]:
    """Changes that partly repeat themselves."""
    enough = [origin for origin in origins if origin >= MIN_CHANGES]
    return {origin: autoregression(values[:origin])(values[:origin], horizon) for origin in enough}


def _repeating(season: int) -> Say:
    return lambda values, origins, horizon: {
        origin: np.resize(values[origin - season : origin], horizon) for origin in origins if origin >= season
    }


def _smoothing(season: int) -> Say:
    """A season is smoothed from where two rounds of it were seen."""

    def say(values: Floats, origins: Sequence[int], horizon: int) -> Mapping[int, Floats]:
        enough = [origin for origin in origins if season == 1 or origin >= 2 * season]
        return smoothed(values, season, enough, horizon) if enough else {}

    return say


def _intermittent() -> dict[str, Say]:
    """The engine's models for intermittent demand, all fitted at once: there is no season in them."""
    fitted: dict[int, Members] = {}

    def one(name: str) -> Say:
        def say(values: Floats, origins: Sequence[int], horizon: int) -> Mapping[int, Floats]:
            for origin in origins:
                if origin not in fitted:
                    fitted[origin] = forecast(fit(values[:origin]), values[:origin], horizon)
            return {origin: fitted[origin].values[name] for origin in origins if name in fitted[origin].values}

        return say

    return {name: one(name) for name in INTERMITTENT}


def _waves(seasons: Sequence[int]) -> Say:
    """A straight line with waves of every season, fitted anew at each origin; the last distance from it fades."""

    def say(values: Floats, origins: Sequence[int], horizon: int) -> Mapping[int, Floats]:
        columns = _wave_columns(np.arange(len(values) + horizon, dtype=np.float64), seasons)
        found = {}
        for origin in origins:
            if origin > 2 * max(seasons):
                found[origin] = _continued(columns[: origin + horizon], values[:origin])
        return found

    return say


def _wave_columns(places: Floats, seasons: Sequence[int]) -> Floats:
    columns = [np.ones(len(places)), places / len(places)]
    for number, season in enumerate(seasons):
        for wave in range(1, min(season // 2, WAVES) + 1):
            if number == 0 or (wave * seasons[0]) % season:  # a wave that a shorter season has already
                turns = 2.0 * np.pi * wave * places / season
                columns += [np.sin(turns), np.cos(turns)]
    return np.column_stack(columns)


def _continued(columns: Floats, values: Floats) -> Floats:
    known = columns[: len(values)]
    penalty = RIDGE * len(values) * np.eye(known.shape[1])
    weights = np.linalg.solve(known.T @ known + penalty, known.T @ values)
    left = values - known @ weights
    size = float(left[:-1] @ left[:-1])
    fading = float(np.clip(left[1:] @ left[:-1] / size, 0.0, 0.98)) if size > 0 else 0.0
    horizon = len(columns) - len(values)
    return np.asarray(columns[len(values) :] @ weights + left[-1] * fading ** np.arange(1, horizon + 1))


def explained(values: Floats, groups: npt.ArrayLike) -> float:
    """The share of the variance of `values` that their groups (0, 1, …) explain beyond chance, 0–1."""
    place = np.asarray(groups, dtype=np.int64)
    counts = np.bincount(place)
    total, kinds = float(np.var(values)), int(np.count_nonzero(counts))
    if total == 0 or len(values) <= kinds + 1:
        return 0.0
    means = (np.bincount(place, weights=values) / np.maximum(counts, 1))[place]
    share, lost = 1.0 - float(np.var(values - means)) / total, (kinds - 1) / (len(values) - 1)
    return max(0.0, (share - lost) / (1.0 - lost))


def _in_logs(say: Say) -> Say:
    def in_logs(values: Floats, origins: Sequence[int], horizon: int) -> Mapping[int, Floats]:
        return {origin: np.exp(one) for origin, one in say(np.log(values), origins, horizon).items()}

    return in_logs
