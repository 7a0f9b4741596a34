"""What the engine says after so many months of a series: the whole of it, for the forecast and for its backtest."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from sybilion_mcp.engine.bands import PastForecast
from sybilion_mcp.engine.driven import DrivenModels, fit_driven, forecast_driven, helps
from sybilion_mcp.engine.drivers import Lead, Link, Paths, Search, find_links
from sybilion_mcp.engine.ensemble import NEEDED_ERRORS, Ensemble, PastMembers, combine, judged
from sybilion_mcp.engine.models import (
    MIN_SEASONAL,
    MIN_TRAINING,
    SEASON,
    FittedModels,
    Floats,
    Members,
    fit,
    forecast,
    last_value,
    seasonal_naive,
)
from sybilion_mcp.engine.stationary import BY_CHANGES, Transform

QUALITY = 1.05  # a run is good when its error is at most this multiple of the better naive forecast's
FEW_EARLIER = 24  # earlier months to learn from, at least, where the series has as many


@dataclass(frozen=True, slots=True)
class Rung:
    """One horizon of the ladder: its error as a multiple of the better naive forecast's (None: not known)."""

    horizon: int
    relative_error: float | None

    @property
    def good(self) -> bool:
        return self.relative_error is None or self.relative_error <= QUALITY


@dataclass(frozen=True, slots=True)
class Outlook:
    """A forecast of `horizon` months, and what it rests on.

    `past` are forecasts from earlier months with the same links, fitted at most a year before each; `links` are those
    the forecast uses, if any. `baseline` is what the engine says without drivers, `baseline_rung` its past error.
    """

    horizon: int
    forecast: PastForecast
    past: list[PastForecast]
    ensemble: Ensemble
    links: tuple[Link, ...]
    transform: Transform
    ladder: tuple[Rung, ...]
    baseline: PastForecast
    baseline_rung: Rung

    @property
    def fell_back(self) -> bool:
        """No horizon met the quality rule: driverless, at the bottom of the ladder."""
        return not any(rung.good for rung in self.ladder)


@dataclass(frozen=True, slots=True)
class Basis:
    """What a run rests on: which series lead by how much, on which transform; no paths: the series alone."""

    paths: Paths
    transform: Transform


DRIVERLESS = Basis((), BY_CHANGES)


@dataclass(frozen=True, slots=True)
class _Run:
    """What an ensemble says from one month, and said earlier."""

    ensemble: Ensemble
    past: list[PastForecast]


@dataclass(frozen=True, slots=True)
class Effort:
    """How much search: earlier months to learn from, links at most, and slow models to try."""

    origins: int = 60
    links: int = 4
    thorough: tuple[str, ...] = ()


@dataclass(frozen=True)
class Forecaster:
    """The engine on one series (scaled to a size of about one), with the series that may lead it.

    What was computed for an origin is kept: backtest and forecast share most of it.
    """

    series: Floats
    top: int
    lowest: float
    leads: Sequence[Lead]
    search: Search
    effort: Effort
    _fitted: dict[tuple[int, Basis], FittedModels | DrivenModels] = field(default_factory=dict)
    _judged: dict[tuple[int, Basis], PastMembers] = field(default_factory=dict)

    def outlook(self, origin: int, horizons: Sequence[int]) -> Outlook:
        """The forecast after `origin` months at the first of `horizons` (falling) whose run is good."""
        plain = self._run(origin, DRIVERLESS)
        found = find_links(self.series[:origin], self.leads, self.search)
        links = tuple(link for link in found.links if link.lag)  # the same month is not known ahead
        paths = tuple(sorted((link.lead, link.lag) for link in links))
        driven = self._run(origin, Basis(paths, found.transform)) if links else plain
        run = driven if links and helps(self.series, plain.past, driven.past, origin, paths) else plain
        ladder = self._climb_down(run.past, origin, horizons)
        if not ladder[-1].good:
            run = plain
        used = links if run is driven else ()
        horizon = ladder[-1].horizon
        return Outlook(
            horizon=horizon,
            forecast=self._cut(PastForecast(origin, run.ensemble.values), horizon),
            past=[self._cut(one, horizon) for one in run.past],
            ensemble=run.ensemble,
            links=used,
            transform=found.transform,
            ladder=ladder,
            baseline=self._cut(PastForecast(origin, plain.ensemble.values), horizon),
            baseline_rung=self._rung(plain.past, origin, horizon),
        )

    def hindcast(self, origins: Sequence[int]) -> list[PastForecast]:
        """What the engine would have said without drivers at `origins` (rising), fitted at most a year before each.

        Before them come the earlier forecasts from which a run at the first of them would have learnt; an origin with
        too short a past is left out.
        """
        learning = self._first_earlier(origins[0])
        _, past = self._look_back(range(learning, origins[-1] + 1), DRIVERLESS)
        return [self._cut(one, self.top) for one in past]

    def _run(self, origin: int, basis: Basis) -> _Run:
        members, past = self._look_back(range(self._first_earlier(origin), origin), basis)
        now = self._say(self._fit(origin, basis), origin)
        return _Run(combine(self.series, origin, now, members, self.search.half_life), past)

    def _look_back(self, origins: range, basis: Basis) -> tuple[list[PastMembers], list[PastForecast]]:
        """What the models said at each of `origins`, and the forecast made of it, weighted by what was known then."""
        members = [self._judged_at(origin, basis) for origin in origins]
        half_life = self.search.half_life
        past = [
            PastForecast(one.origin, combine(self.series, one.origin, one.members, members[:number], half_life).values)
            for number, one in enumerate(members)
        ]
        return members, past

    def _first_earlier(self, origin: int) -> int:
        """The earliest month to learn from; before the models knew seasons only where there are few others."""
        seasoned = min(MIN_SEASONAL, origin - FEW_EARLIER)
        return max(MIN_TRAINING, seasoned, origin - self.effort.origins)

    def _judged_at(self, origin: int, basis: Basis) -> PastMembers:
        """What the models said at an earlier origin, as fitted at most a year before it: fitting takes the time."""
        if (origin, basis) not in self._judged:
            anchor = max(MIN_TRAINING, origin - origin % SEASON)
            if (anchor, basis) not in self._fitted:
                self._fitted[anchor, basis] = self._fit(anchor, basis)
            members = self._say(self._fitted[anchor, basis], origin)
            self._judged[origin, basis] = judged(self.series, origin, members)
        return self._judged[origin, basis]

    def _fit(self, anchor: int, basis: Basis) -> FittedModels | DrivenModels:
        history = self.series[:anchor]
        thorough = self.effort.thorough
        if not basis.paths:
            return fit(history, thorough)
        driven = fit_driven(history, self.leads, basis.paths, basis.transform, self.search.half_life, thorough)
        return driven or fit(history, thorough)

    def _say(self, fitted: FittedModels | DrivenModels, origin: int) -> Members:
        if isinstance(fitted, DrivenModels):
            return forecast_driven(fitted, self.series[:origin], self.top)
        return forecast(fitted, self.series[:origin], self.top)

    def _climb_down(self, past: Sequence[PastForecast], origin: int, horizons: Sequence[int]) -> tuple[Rung, ...]:
        rungs: list[Rung] = []
        for horizon in horizons:
            rungs.append(self._rung(past, origin, horizon))
            if rungs[-1].good:
                break
        return tuple(rungs)

    def _rung(self, past: Sequence[PastForecast], origin: int, horizon: int) -> Rung:
        """The error of earlier forecasts, `horizon` months each, beside that of the better naive one."""
        errors = np.zeros(3)
        months = 0
        for one in past:
            actual = self.series[one.origin : min(origin, one.origin + horizon)]
            history = self.series[: one.origin]
            rivals = (one.values, last_value(history, self.top), seasonal_naive(history, self.top))
            errors += [float(np.sum(np.abs(actual - values[: len(actual)]))) for values in rivals]
            months += len(actual)
        rival = min(errors[1:])
        return Rung(horizon, float(errors[0] / rival) if months >= NEEDED_ERRORS and rival > 0 else None)

    def _cut(self, one: PastForecast, horizon: int) -> PastForecast:
        return PastForecast(one.origin, np.maximum(one.values[:horizon], self.lowest))
