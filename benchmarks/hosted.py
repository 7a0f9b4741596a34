"""The embedded engine against the hosted service, on the windows of real jobs of the service.

    python -m benchmarks.hosted [--every N] [--jobs N] [--backtest]

Every usable window (no actual is missing; the hosted forecast is its median) is forecast again by the engine from
the series cut just before it, without any driver. A series that several jobs forecast counts once, with the mean
over these jobs. Exit code 1 when a bar is missed.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

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
    percent,
    positive,
    print_bars,
    print_table,
    run_many,
    score,
    seasonal_naive,
    share,
    shared_data,
    window,
)
from sybilion_mcp.contract.artifacts import Window, read_backtest_trajectories, read_input
from sybilion_mcp.contract.option_rules import DEFAULT_RECENCY_FACTOR
from sybilion_mcp.explain.backtest import WindowScore, judge

METHODS = ("engine", "hosted", "seasonal naive", "last value")


@dataclass(frozen=True, slots=True)
class Target:
    """A series (YYYY-MM → value) and the usable windows that all hosted jobs on it share: one list per job."""

    name: str
    series: Mapping[str, float]
    strictly_positive: bool
    jobs: tuple[tuple[Window, ...], ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The scores by method on one target; those of `hosted` are of all its jobs."""

    target: Target
    scores: Mapping[str, Sequence[WindowScore]]

    def mase(self, method: str) -> float:
        return mean_mase(self.scores[method])

    @property
    def ratio(self) -> float:
        return self.mase("engine") / self.mase("hosted")

    def held(self, method: str, band: int) -> float | None:
        return share([one.held_80 if band == 80 else one.held_90 for one in self.scores[method]])


def read_targets(folder: Path, every: int) -> list[Target]:
    """The jobs of a folder by series; `every` second, third … window only."""
    found: dict[tuple[tuple[str, float], ...], list[tuple[str, Mapping[str, object], list[Window]]]] = {}
    for job in sorted(path for path in folder.iterdir() if path.is_dir()):
        given = next(path for name in ("input.json", "submit_payload.json") if (path := job / name).is_file())
        body = json.loads(given.read_text(encoding="utf-8"))
        series = read_input(body)
        payload = json.loads((job / "backtest_trajectories.json").read_text(encoding="utf-8"))
        windows = [one for one in read_backtest_trajectories(payload) if judge([one], series).windows]
        found.setdefault(tuple(series.items()), []).append((job.name, body, windows))
    targets = []
    for items, jobs in found.items():
        starts = sorted(set.intersection(*({one.start for one in windows} for _, _, windows in jobs)))[::every]
        kept = tuple(tuple(one for one in windows if one.start in starts) for _, _, windows in jobs)
        positive = any(body.get("strictly_positive") is True for _, body, _ in jobs)
        name = jobs[0][0] if len(jobs) == 1 else f"{jobs[0][0]} (+{len(jobs) - 1})"
        targets.append(Target(name, dict(items), positive, kept))
    return targets


def request(target: Target, one: Window, *, backtest: bool) -> dict[str, object]:
    """What a user would have asked just before the window."""
    history = {f"{month}-01": value for month, value in target.series.items() if month < one.start}
    return {
        "timeseries": history,
        "recency_factor": DEFAULT_RECENCY_FACTOR,
        "soft_horizon": len(one.months),
        "strictly_positive": target.strictly_positive,
        "backtest": backtest,
    }


def outcome(target: Target, made: Sequence[Made]) -> Outcome:
    scores: dict[str, list[WindowScore]] = {method: [] for method in METHODS}
    for one, answer in zip(target.jobs[0], made, strict=True):
        actual = {month.month: month.actual for month in one.months if month.actual is not None}
        before = [value for month, value in target.series.items() if month < one.start]
        rows = {
            "engine": engine_window(actual, answer),
            "seasonal naive": window(actual, seasonal_naive(before, len(actual))),
            "last value": window(actual, last_value(before, len(actual))),
        }
        for method, row in rows.items():
            scores[method].append(score(row, target.series))
    scores["hosted"] = [score(one, target.series) for job in target.jobs for one in job]
    return Outcome(target, scores)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=positive, default=1, metavar="N", help="every N-th window only")
    parser.add_argument("--jobs", type=positive, default=2, metavar="N", help="processes (default 2)")
    parser.add_argument("--backtest", action="store_true", help="ask the engine for a backtest too, which is slower")
    options = parser.parse_args(arguments)
    targets = read_targets(shared_data("sybilion-jobs"), options.every)
    requests = [request(target, one, backtest=options.backtest) for target in targets for one in target.jobs[0]]
    made = run_many(engine_forecast, requests, options.jobs)
    answers = iter(made)
    outcomes = [outcome(target, [next(answers) for _ in target.jobs[0]]) for target in targets]
    _print_targets(outcomes)
    met = print_bars(_bars(outcomes))
    seconds = [one.seconds for one in made]
    simple = _mean_mase(outcomes, "last value") / _mean_mase(outcomes, "hosted")
    print(
        f"Repeating the last value comes to {simple:.3f} on the first figure.\n"
        f"Engine: {len(seconds)} runs {'with' if options.backtest else 'without'} backtest, "
        f"{statistics.median(seconds):.2f} s median, {max(seconds):.2f} s at most.\n"
        "The engine saw the series alone, the hosted service also what drivers it had found. A small sample: windows\n"
        "of one series overlap, and all lie within about a year, so expect other figures on other series and years."
    )
    return not met


def _print_targets(outcomes: Sequence[Outcome]) -> None:
    print("Mean MASE over the windows of each series, and the share of months that the bands held\n")
    rows = [
        [
            one.target.name,
            str(len(one.target.jobs[0])),
            *(figure(one.mase(method)) for method in METHODS),
            figure(one.ratio, 2),
        ]
        for one in outcomes
    ]
    means = [figure(_mean_mase(outcomes, method)) for method in METHODS]
    total = str(sum(len(one.target.jobs[0]) for one in outcomes))
    ratio = figure(_mean_mase(outcomes, "engine") / _mean_mase(outcomes, "hosted"), 2)
    rows.append(["geometric mean", total, *means, ratio])
    print_table(["series (+ jobs on the same)", "windows", *METHODS, "engine ÷ hosted"], rows)
    bands = [(method, band) for band in (80, 90) for method in METHODS[:2]]
    held = [[one.target.name, *(percent(one.held(method, band)) for method, band in bands)] for one in outcomes]
    held.append(["all months", *(percent(_pooled(outcomes, method, band)) for method, band in bands)])
    print_table(["band holds", *(f"{method} {band} %" for method, band in bands)], held)


def _mean_mase(outcomes: Sequence[Outcome], method: str) -> float:
    return statistics.geometric_mean(one.mase(method) for one in outcomes)


def _bars(outcomes: Sequence[Outcome]) -> list[Bar]:
    ratios = [one.ratio for one in outcomes]
    better = sum(ratio < 1 for ratio in ratios)
    return [
        Bar("MASE engine ÷ hosted, geometric mean over series", statistics.geometric_mean(ratios), high=0.75),
        Bar(f"series on which the engine is better, of {len(ratios)}", better, low=5, digits=0),
        Bar("engine's 80 % band holds", _pooled(outcomes, "engine", 80), *BAR_80),
        Bar("engine's 90 % band holds", _pooled(outcomes, "engine", 90), *BAR_90),
    ]


def _pooled(outcomes: Sequence[Outcome], method: str, band: int) -> float | None:
    """Over months, those of a series counted once however many jobs forecast it."""
    weighted = [(one.held(method, band), sum(len(w.months) for w in one.target.jobs[0])) for one in outcomes]
    known = [(held, months) for held, months in weighted if held is not None]
    return sum(held * months for held, months in known) / sum(months for _, months in known) if known else None


if __name__ == "__main__":
    sys.exit(main())
