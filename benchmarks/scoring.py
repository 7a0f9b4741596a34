"""What the benchmarks share: forecasts of the engine and their scores, many of them at once, and tables.

Errors and bands are counted by `explain.backtest.judge`, the code behind every report: MASE is a window's mean
absolute error ÷ the mean absolute lag-12 difference of the history before its origin, the 80 % band lies between
the quantiles 0.10 and 0.90, the 90 % band between 0.05 and 0.95.
"""

import json
import math
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

from sybilion_mcp.contract.artifacts import ForecastMonth, Window, WindowMonth, read_forecast
from sybilion_mcp.engine.candidate import Candidate
from sybilion_mcp.engine.worker import SINGLE_THREADED
from sybilion_mcp.explain.backtest import Held, WindowScore, judge

Case = TypeVar("Case")
Result = TypeVar("Result")

SEASON = 12
BAR_80, BAR_90 = (0.75, 0.87), (0.86, 0.95)


@dataclass(frozen=True, slots=True)
class Made:
    """What the engine answered, whether drivers entered it, and the seconds it took."""

    months: tuple[ForecastMonth, ...]
    driven: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class Bar:
    """A figure beside the range it promises to stay in; None stands for one that could not be measured."""

    label: str
    value: float | None
    low: float = -math.inf
    high: float = math.inf
    digits: int = 3

    @property
    def met(self) -> bool:
        return self.value is not None and self.low <= self.value <= self.high


def shared_data(name: str) -> Path:
    """A folder of ../shared/data; where the machine has none, say so and end well."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data" / name
    if not folder.is_dir():
        print(f"skipped: the folder ../shared/data/{name} is not on this machine")
        sys.exit(0)
    return folder


def positive(text: str) -> int:
    """A command line's number of at least 1."""
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def engine_forecast(request: Mapping[str, object], candidates: Sequence[Candidate] = ()) -> Made:
    """One run of the engine in this process."""
    from sybilion_mcp.engine.pipeline import run_pipeline

    start = time.perf_counter()
    artifacts = run_pipeline(request, candidates)
    seconds = time.perf_counter() - start
    forecast = read_forecast(json.loads(artifacts["forecast.json"]))
    return Made(forecast.months, forecast.info is not None and bool(forecast.info.drivers_in_forecast), seconds)


def seasonal_naive(values: Sequence[float], horizon: int) -> list[float]:
    """The value of the same month a year before; `horizon` is at most 12."""
    return list(values[-SEASON:][:horizon])


def last_value(values: Sequence[float], horizon: int) -> list[float]:
    return [values[-1]] * horizon


def window(actual: Mapping[str, float], values: Iterable[float]) -> Window:
    """Point forecasts beside what came (YYYY-MM → value, in order)."""
    months = [WindowMonth(month, actual[month], value, {}) for month, value in zip(actual, values, strict=True)]
    return Window(months[0].month, months[-1].month, tuple(months))


def engine_window(actual: Mapping[str, float], made: Made) -> Window:
    """The engine's forecast, with its quantiles, beside what came."""
    months = [WindowMonth(one.month, actual[one.month], one.forecast, one.quantiles) for one in made.months]
    assert len(months) == len(actual), "the engine answered another horizon than the one asked for"
    return Window(months[0].month, months[-1].month, tuple(months))


def score(one: Window, history: Mapping[str, float]) -> WindowScore:
    """`history` (YYYY-MM → value) may go on after the window's start: only what lies before it counts."""
    return judge([one], history).windows[0]


def mean_mase(scores: Iterable[WindowScore]) -> float:
    """Over the windows whose history moves at all; NaN when none does."""
    known = [one.mase for one in scores if one.mase is not None]
    return statistics.fmean(known) if known else math.nan


def share(counts: Iterable[Held]) -> float | None:
    """The months that a band held ÷ the months that had one, pooled."""
    found = list(counts)
    counted = sum(one.counted for one in found)
    return sum(one.held for one in found) / counted if counted else None


def ratio_of_means(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float]:
    """The ratio of two means over the same series, and its standard error as if these were drawn at random."""
    ratio = statistics.fmean(ours) / statistics.fmean(theirs)
    if len(ours) < 2:
        return ratio, math.nan
    left = [mine - ratio * other for mine, other in zip(ours, theirs, strict=True)]
    return ratio, statistics.stdev(left) / math.sqrt(len(left)) / statistics.fmean(theirs)


def run_many(function: Callable[[Case], Result], cases: Sequence[Case], jobs: int) -> list[Result]:
    """`function` of every case, in order, over `jobs` fresh processes of one thread each."""
    os.environ.update(dict.fromkeys(SINGLE_THREADED, "1"))  # the workers inherit it and load numpy after it
    results = []
    with ProcessPoolExecutor(min(jobs, len(cases)) or 1, mp_context=get_context("spawn")) as pool:
        for result in pool.map(function, cases):
            results.append(result)
            if sys.stderr.isatty():
                print(f"\r{len(results)} of {len(cases)} ", end="", file=sys.stderr, flush=True)
    if sys.stderr.isatty():
        print("\r" + " " * 30 + "\r", end="", file=sys.stderr)
    return results


def figure(value: float | None, digits: int = 3) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.0f} %"


def print_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """The first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    for row in (heads, *rows):
        rest = (f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))
        print("  ".join((f"{row[0]:<{widths[0]}}", *rest)).rstrip())
    print()


def print_bars(bars: Sequence[Bar]) -> bool:
    """Each figure beside its bar; whether all are met."""
    rows = [(bar.label, figure(bar.value, bar.digits), _range(bar), "met" if bar.met else "MISSED") for bar in bars]
    print_table(("figure", "value", "bar", ""), rows)
    return all(bar.met for bar in bars)


def _range(bar: Bar) -> str:
    low, high = f"{bar.low:.{bar.digits}f}", f"{bar.high:.{bar.digits}f}"
    if math.isinf(bar.low):
        return f"≤ {high}"
    return f"≥ {low}" if math.isinf(bar.high) else f"{low}–{high}"
