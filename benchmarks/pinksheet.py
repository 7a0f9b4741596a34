"""The embedded engine on 71 commodity prices: rolling origins against single models, and with drivers against without.

    python -m benchmarks.pinksheet [--every N] [--origins N] [--horizons 3 6 12] [--jobs N] [--cache DIR]
    python -m benchmarks.pinksheet --drivers [...]

Each price is its longest stretch without a blank. Origins are spread over the last 10 years of the stretch and are
the same for every method and horizon; a method sees the 240 months before the origin. The engine forecasts each
horizon in a run of its own, without a backtest; the rivals' 12 months begin with their 3 and 6. `--drivers` gives
each run the other 70 prices up to its origin as the user's driver folder. Exit code 1 when a bar is missed.
"""

import argparse
import csv
import hashlib
import json
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TypeVar
from uuid import NAMESPACE_OID, uuid5

from benchmarks.scoring import (
    BAR_80,
    BAR_90,
    Bar,
    Made,
    engine_forecast,
    engine_window,
    figure,
    last_value,
    mean_mase,
    positive,
    print_bars,
    print_table,
    ratio_of_means,
    run_many,
    score,
    seasonal_naive,
    share,
    shared_data,
    window,
)
from sybilion_mcp.contract.option_rules import DEFAULT_RECENCY_FACTOR
from sybilion_mcp.engine.candidate import Candidate
from sybilion_mcp.explain.backtest import WindowScore

LONGEST = 12
HISTORY, LEAST_HISTORY = 240, 120
SPAN = 108  # months from the first origin to the last: with the longest horizon, 10 years
ORIGINS, DRIVER_ORIGINS = 12, 2
ENGINE = "engine"
SINGLE = ("AutoETS", "AutoARIMA", "DynamicOptimizedTheta")
RIVALS = (*SINGLE, "seasonal naive", "last value")
BARS = {3: 0.99, 6: 0.99, 12: 1.00}
DRIVER_BAR = 1.01

Prices = Mapping[str, float]
"""YYYY-MM to a price, in order."""


@dataclass(frozen=True, slots=True)
class Case:
    """A forecast of `horizon` months to be made of the first `origin` months of a series' stretch."""

    series: str
    origin: int
    horizon: int


Answer = TypeVar("Answer")
Scores = Mapping[Case, WindowScore]


@cache
def sheet() -> Mapping[str, Prices]:
    """Every price, without its blanks."""
    with (shared_data("pinksheet") / "monthly_prices.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    names = [name for name in rows[0] if name != "month"]
    return {name: {row["month"][:7]: float(row[name]) for row in rows if row[name]} for name in names}


@cache
def stretch(series: str) -> Prices:
    """The longest stretch without a blank."""
    return max(_stretches(sheet()[series]), key=len)


def _stretches(prices: Prices) -> Iterator[Prices]:
    """The parts without a missing month, in order."""
    part: dict[str, float] = {}
    before = ""
    for month, price in prices.items():
        if part and month != _following(before):
            yield part
            part = {}
        part[month] = price
        before = month
    if part:
        yield part


def _following(month: str) -> str:
    return f"{int(month[:4]) + 1:04d}-01" if month.endswith("-12") else f"{month[:5]}{int(month[5:]) + 1:02d}"


def history(case: Case) -> Prices:
    """What a method sees."""
    return dict(list(stretch(case.series).items())[max(0, case.origin - HISTORY) : case.origin])


def actual(case: Case) -> Prices:
    return dict(list(stretch(case.series).items())[case.origin : case.origin + case.horizon])


def cases(every: int, origins: int, horizons: Sequence[int]) -> list[Case]:
    """Those of `every` second, third … series; the last origin is the last with 12 months after it."""
    found = []
    for series in list(sheet())[::every]:
        last = len(stretch(series)) - LONGEST
        first = max(LEAST_HISTORY, last - SPAN)
        steps = max(1, origins - 1)
        chosen = {last - (last - first) * step // steps for step in range(origins)} if first <= last else set()
        found += [Case(series, origin, horizon) for origin in sorted(chosen) for horizon in horizons]
    return found


def engine(case: Case, *, drivers: bool = False) -> Made:
    request = {
        "timeseries": {f"{month}-01": price for month, price in history(case).items()},
        "recency_factor": DEFAULT_RECENCY_FACTOR,
        "soft_horizon": case.horizon,
        "strictly_positive": True,
        "backtest": False,
    }
    return engine_forecast(request, candidates(case) if drivers else ())


def candidates(case: Case) -> list[Candidate]:
    """The other prices as far as they were known at the origin, each its latest stretch without a blank."""
    first = next(iter(actual(case)))
    found = []
    for name, prices in sheet().items():
        known = {month: price for month, price in prices.items() if month < first}
        if name != case.series and known:
            *_, latest = _stretches(known)
            months = {f"{month}-01": price for month, price in latest.items()}
            found.append(Candidate(str(uuid5(NAMESPACE_OID, name)), name, months))
    return found


def rivals(case: Case, folder: Path | None = None) -> Mapping[str, Sequence[float]]:
    """The single models' forecasts of the case; kept in `folder`, where there is one, for they do not change."""
    import statsforecast

    values = list(history(case).values())
    asked = json.dumps([statsforecast.__version__, SINGLE, case.horizon, values])
    kept = None if folder is None else folder / f"{hashlib.sha256(asked.encode()).hexdigest()[:32]}.json"
    if kept is not None and kept.is_file():
        found: dict[str, list[float]] = json.loads(kept.read_text(encoding="utf-8"))
        return found
    found = _single_models(values, case.horizon)
    if kept is not None:
        part = kept.with_suffix(".part")
        part.write_text(json.dumps(found), encoding="utf-8")
        part.replace(kept)
    return found


def _single_models(values: Sequence[float], horizon: int) -> dict[str, list[float]]:
    import numpy as np
    from statsforecast import models

    series = np.array(values)
    return {
        name: getattr(models, name)(season_length=12).forecast(y=series, h=horizon)["mean"].tolist() for name in SINGLE
    }


def rival_scores(asked: Sequence[Case], jobs: int, folder: Path | None) -> dict[str, Scores]:
    """By method; each single model runs once per origin."""
    longest = sorted({Case(case.series, case.origin, LONGEST) for case in asked}, key=lambda one: one.series)
    made = run_many(partial(rivals, folder=folder), longest, jobs)
    forecasts = {(case.series, case.origin): found for case, found in zip(longest, made, strict=True)}
    scores: dict[str, dict[Case, WindowScore]] = {name: {} for name in RIVALS}
    for case in asked:
        before, after = history(case), actual(case)
        values = list(before.values())
        rows = {
            **{name: found[: case.horizon] for name, found in forecasts[case.series, case.origin].items()},
            "seasonal naive": seasonal_naive(values, case.horizon),
            "last value": last_value(values, case.horizon),
        }
        for name, row in rows.items():
            scores[name][case] = score(window(after, row), before)
    return dict(scores)


def engine_scores(asked: Sequence[Case], made: Sequence[Made]) -> Scores:
    return {case: score(engine_window(actual(case), one), history(case)) for case, one in zip(asked, made, strict=True)}


def by_series(scores: Scores, horizon: int) -> dict[str, float]:
    """Mean MASE over the origins of each series, of those whose history moves."""
    found: dict[str, list[WindowScore]] = {}
    for case, one in scores.items():
        if case.horizon == horizon:
            found.setdefault(case.series, []).append(one)
    means = {series: mean_mase(of_series) for series, of_series in found.items()}
    return {series: mean for series, mean in means.items() if not math.isnan(mean)}


def compare(asked: Sequence[Case], horizons: Sequence[int], jobs: int, folder: Path | None) -> list[Bar]:
    """The engine against the rivals: prints a table for each horizon."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    scores, rival_seconds = _timed(lambda: rival_scores(asked, jobs, folder))
    made, engine_seconds = _timed(lambda: run_many(engine, asked, jobs))
    scores = {ENGINE: engine_scores(asked, made), **scores}
    bars = [bar for horizon in horizons for bar in _print_horizon(scores, horizon)]
    print(
        f"{len(asked)} engine runs took {engine_seconds:.0f} s ({statistics.median(one.seconds for one in made):.2f} s"
        f" median) and the rivals {rival_seconds:.0f} s"
        f"{', kept ones read,' if folder else ''} on {jobs} processes.\n"
        "MASE is the mean over series of the mean over their origins. The best single model is chosen in hindsight,\n"
        "for each horizon; the ± is one standard error over series, too small where prices move together.\n"
    )
    return bars


def _print_horizon(scores: Mapping[str, Scores], horizon: int) -> list[Bar]:
    means = {name: by_series(found, horizon) for name, found in scores.items()}
    single = min(RIVALS, key=lambda name: statistics.fmean(means[name].values()))
    ours, best = means[ENGINE], list(means[single].values())
    rows = []
    for name, found in means.items():
        ratio, error = ratio_of_means(list(found.values()), best)
        beaten = sum(ours[series] < found[series] for series in ours)
        relative = figure(ratio) + (f" ± {figure(error)}" if name != single else " (best)")
        better = "" if name == ENGINE else f"{beaten} of {len(ours)}"
        rows.append((name, figure(statistics.fmean(found.values())), relative, better))
    print(f"{horizon} months ahead, {len(ours)} series")
    print_table(("method", "MASE", "÷ best single model", "series on which the engine is better"), rows)
    mine = [one for case, one in scores[ENGINE].items() if case.horizon == horizon]
    bars = [
        Bar(f"{horizon} months: 80 % band holds", share(one.held_80 for one in mine), *BAR_80),
        Bar(f"{horizon} months: 90 % band holds", share(one.held_90 for one in mine), *BAR_90),
    ]
    ratio = ratio_of_means(list(ours.values()), best)[0]
    return [Bar(f"{horizon} months: MASE ÷ {single}", ratio, high=BARS.get(horizon, 1.0)), *bars]


def compare_drivers(asked: Sequence[Case], horizons: Sequence[int], jobs: int) -> list[Bar]:
    """The engine with the other prices as driver folder against the same runs without it."""
    without, plain_seconds = _timed(lambda: run_many(engine, asked, jobs))
    made, seconds = _timed(lambda: run_many(partial(engine, drivers=True), asked, jobs))
    driven = {case for case, one in zip(asked, made, strict=True) if one.driven}
    plain, with_drivers = engine_scores(asked, without), engine_scores(asked, made)
    bars = [bar for horizon in horizons for bar in _print_drivers(plain, with_drivers, driven, horizon)]
    print(
        f"{len(asked)} runs took {plain_seconds:.0f} s without and {seconds:.0f} s with drivers "
        f"({statistics.median(one.seconds for one in made):.2f} s median) on {jobs} processes.\n"
        "Many of these prices are near relatives of each other (four crude oils, four rices), more than a user's\n"
        "folder would be; the ± is one standard error over series.\n"
    )
    return bars


def _print_drivers(plain: Scores, driven: Scores, entered: set[Case], horizon: int) -> list[Bar]:
    before, after = by_series(plain, horizon), by_series(driven, horizon)
    ratios = sorted((after[name] / before[name], name) for name in before if before[name] > 0)
    logs = [math.log(ratio) for ratio, _ in ratios if ratio > 0]
    mean = math.exp(statistics.fmean(logs))
    error = mean * statistics.stdev(logs) / math.sqrt(len(logs)) if len(logs) > 1 else math.nan
    runs = [case for case in entered if case.horizon == horizon]
    total = sum(case.horizon == horizon for case in plain)
    better = [pair for pair in ratios if pair[0] < 1]
    worse = [pair for pair in reversed(ratios) if pair[0] > 1]
    print(
        f"{horizon} months ahead, {len(ratios)} series: MASE with drivers ÷ without\n"
        f"geometric mean  {figure(mean)} ± {figure(error)}\n"
        f"drivers entered {len(runs)} of {total} runs, on {len({case.series for case in runs})} series\n"
        f"better          {len(better)} series: {_named(better)}\n"
        f"worse           {len(worse)} series: {_named(worse)}\n"
    )
    held = [one for case, one in driven.items() if case.horizon == horizon]
    return [
        Bar(f"{horizon} months: with ÷ without drivers", mean, high=DRIVER_BAR),
        Bar(f"{horizon} months: 80 % band holds", share(one.held_80 for one in held), *BAR_80),
        Bar(f"{horizon} months: 90 % band holds", share(one.held_90 for one in held), *BAR_90),
    ]


def _named(ratios: Sequence[tuple[float, str]]) -> str:
    """The farthest four."""
    return "; ".join(f"{name} {figure(ratio, 2)}" for ratio, name in ratios[:4]) or "none"


def _timed(work: Callable[[], Answer]) -> tuple[Answer, float]:
    start = time.perf_counter()
    return work(), time.perf_counter() - start


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=positive, default=1, metavar="N", help="every N-th series only")
    parser.add_argument(
        "--origins", type=positive, metavar="N", help=f"per series ({ORIGINS}; {DRIVER_ORIGINS} for drivers)"
    )
    parser.add_argument("--horizons", type=int, nargs="+", choices=range(1, LONGEST + 1), default=list(BARS))
    parser.add_argument("--jobs", type=positive, default=2, metavar="N", help="processes (default 2)")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="keep the rivals' forecasts here")
    parser.add_argument("--drivers", action="store_true", help="with the other prices as drivers against without")
    options = parser.parse_args(arguments)
    origins = options.origins or (DRIVER_ORIGINS if options.drivers else ORIGINS)
    asked = cases(options.every, origins, options.horizons)
    if options.drivers:
        bars = compare_drivers(asked, options.horizons, options.jobs)
    else:
        bars = compare(asked, options.horizons, options.jobs, options.cache)
    return not print_bars(bars)


if __name__ == "__main__":
    sys.exit(main())
