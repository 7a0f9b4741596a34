"""Made-up truth: does the engine find the one series that drives a target, and nothing in pure noise?

    python -m benchmarks.drivers [--seeds N] [--jobs N] [--horizon N] [--length N]

Each case is a driver folder of 21 series of all kinds, in random order. In most designs one of them moves the target
1 to 6 months later, up or down, and explains a given share of its movement; the rest of the movement is the target's
own. A case is found when the driver has the greatest importance of all, at its lag, with its sign, and the strongest
plain correlation stands at its lag too. In the last designs nothing drives the target: then `{}` is the right answer.
Exit code 1 when a design misses its bar, which is meant for 50 seeds and rises and falls with their number.
"""

import argparse
import json
import math
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.scoring import Bar, positive, print_bars, print_table, run_many
from sybilion_mcp.contract.months import month_of
from sybilion_mcp.engine.candidate import Candidate

Floats = npt.NDArray[np.float64]

BAR_OF_50 = 45
DECOYS = 20
LONGEST_LAG = 6
FIRST_MONTH = 2014 * 12
FOUND, RIGHT = "found", "nothing, rightly"


@dataclass(frozen=True, slots=True)
class Design:
    """How a target comes about: its kind, and the share of its movement that a driver explains (None: no driver)."""

    target: str
    share: float | None

    @property
    def label(self) -> str:
        return f"{self.target}, noise only" if self.share is None else f"{self.target}, {100 * self.share:.0f} %"


@dataclass(frozen=True, slots=True)
class Case:
    """One target with its folder; `driver` is the id of the one that drives it, empty when none does."""

    target: Floats
    folder: tuple[Candidate, ...]
    driver: str
    lag: int
    sign: int


DESIGNS = (
    *(Design("random walk", share) for share in (0.6, 0.4)),
    *(Design("seasonal walk", share) for share in (0.6, 0.5)),
    *(Design("ratio scale", share) for share in (0.6, 0.4)),
    *(Design("level", share) for share in (0.7, 0.5)),
    Design("white noise", 0.5),
    *(Design(kind, None) for kind in ("random walk", "seasonal walk", "ratio scale", "level", "white noise")),
)


def _walk(rng: np.random.Generator, count: int) -> Floats:
    return 100.0 + np.cumsum(rng.normal(0, 1, count))


def _seasonal_walk(rng: np.random.Generator, count: int) -> Floats:
    return np.asarray(_walk(rng, count) + 4 * np.sin(np.pi / 6 * (np.arange(count) + rng.integers(12))))


def _growth(rng: np.random.Generator, count: int) -> Floats:
    return np.asarray(100.0 * np.exp(np.cumsum(rng.normal(0.003, 0.02, count))))


def _level(rng: np.random.Generator, count: int, persistence: float = 0.7) -> Floats:
    values = rng.normal(0, 1, count)
    for month in range(1, count):
        values[month] += persistence * values[month - 1]
    return 100.0 + 5.0 * values


KINDS: Mapping[str, Callable[[np.random.Generator, int], Floats]] = {
    "random walk": _walk,
    "seasonal walk": _seasonal_walk,
    "ratio scale": _growth,
    "level": _level,
    "white noise": partial(_level, persistence=0.0),
}
DRIVER_KIND = {"seasonal walk": "random walk"}  # the season is the target's own; other drivers are of its kind


def made_up(design: Design, seed: int, length: int) -> Case:
    """The case of this number: the same numbers every time."""
    rng = np.random.default_rng([DESIGNS.index(design), seed])
    lag, sign = int(rng.integers(1, LONGEST_LAG + 1)), int(rng.choice([-1, 1]))
    kinds = list(KINDS.values())
    decoys = [kinds[int(rng.integers(len(kinds)))](rng, length) for _ in range(DECOYS)]
    if design.share is None:
        return Case(KINDS[design.target](rng, length), _folder(rng, decoys, length), "", 0, 0)
    driver = KINDS[DRIVER_KIND.get(design.target, design.target)](rng, length + LONGEST_LAG)
    target = _driven(rng, design.target, driver, design.share, lag, sign)[LONGEST_LAG:]
    return Case(target, _folder(rng, [driver[LONGEST_LAG:], *decoys], length), "0", lag, sign)


def _folder(rng: np.random.Generator, rows: Sequence[Floats], length: int) -> tuple[Candidate, ...]:
    """In random order; the id is the place in `rows`."""
    order = [int(one) for one in rng.permutation(len(rows))]
    return tuple(Candidate(f"{one}", f"series {one}", _by_month(rows[one], length)) for one in order)


def _by_month(values: Floats, length: int) -> dict[str, float]:
    return {f"{month_of(FIRST_MONTH + month)}-01": float(values[month]) for month in range(length)}


def _driven(rng: np.random.Generator, kind: str, driver: Floats, share: float, lag: int, sign: int) -> Floats:
    if kind in ("level", "white noise"):
        return np.asarray(100.0 + _moved(rng, driver - np.mean(driver), share, lag, sign))
    if kind == "ratio scale":
        changes = np.diff(np.log(driver), prepend=math.log(driver[0]))
        return np.asarray(200.0 * np.exp(np.cumsum(_moved(rng, changes, share, lag, sign))))
    season = 4 * np.sin(np.pi / 6 * np.arange(len(driver))) if kind == "seasonal walk" else 0.0
    changes = np.diff(driver, prepend=driver[0])
    return np.asarray(300.0 + np.cumsum(_moved(rng, changes, share, lag, sign)) + season)


def _moved(rng: np.random.Generator, movement: Floats, share: float, lag: int, sign: int) -> Floats:
    own = rng.normal(0, np.std(movement) * math.sqrt(1 / share - 1), len(movement))
    return np.asarray(own + sign * np.concatenate([np.zeros(lag), movement[:-lag]]))


def outcome(one: tuple[Design, int], length: int, horizon: int) -> str:
    """What the engine made of one case, in a few words."""
    from sybilion_mcp.engine.pipeline import run_pipeline

    case = made_up(*one, length)
    body = {
        "pipeline_version": "v1",
        "frequency": "monthly",
        "recency_factor": 0.5,
        "soft_horizon": horizon,
        "timeseries_metadata": {"title": "A made-up series of monthly numbers"},
        "timeseries": _by_month(case.target, length),
    }
    signals = json.loads(run_pipeline(body, case.folder)["external_signals.json"])["data"]
    if not case.driver:
        return "a driver" if signals else RIGHT
    if not signals:
        return "nothing"
    first = max(signals, key=lambda name: signals[name]["importance"]["overall"]["mean"])
    return _judged(case, signals[first]) if first == case.driver else "another"


def _judged(case: Case, driver: Mapping[str, Any]) -> str:
    weights = driver["importance"]["horizon_1"]
    plain = {key: abs(value) for key, value in driver["pearson_correlation"].items() if key != "overall"}
    heaviest = int(float(max(weights, key=weights.__getitem__)))
    strongest = int(max(plain, key=plain.__getitem__).removeprefix("lag_"))
    if (heaviest, strongest) != (case.lag, case.lag):
        return "another lag"
    return FOUND if driver["direction"]["overall"]["mean"] * case.sign > 0 else "another sign"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=positive, default=50, metavar="N", help="cases of each design (default 50)")
    parser.add_argument("--jobs", type=positive, default=2, metavar="N", help="processes (default 2)")
    parser.add_argument("--horizon", type=positive, default=6, metavar="N", help="months to forecast (default 6)")
    parser.add_argument("--length", type=positive, default=120, metavar="N", help="months of each series (default 120)")
    options = parser.parse_args(arguments)
    cases = [(design, seed) for design in DESIGNS for seed in range(options.seeds)]
    outcomes = run_many(partial(outcome, length=options.length, horizon=options.horizon), cases, options.jobs)
    by_design: dict[Design, Counter[str]] = {design: Counter() for design in DESIGNS}
    for (design, _), found in zip(cases, outcomes, strict=True):
        by_design[design][found] += 1
    rows = [(one.label, str(_right(counts)), _others(counts)) for one, counts in by_design.items()]
    print_table(("target, explained", f"right of {options.seeds}", "otherwise"), rows)
    bar = math.ceil(BAR_OF_50 / 50 * options.seeds)
    met = print_bars([Bar(one.label, _right(counts), low=bar, digits=0) for one, counts in by_design.items()])
    return not met


def _right(counts: Counter[str]) -> int:
    return counts[FOUND] + counts[RIGHT]


def _others(counts: Counter[str]) -> str:
    return ", ".join(f"{what} {number}" for what, number in counts.most_common() if what not in (FOUND, RIGHT))


if __name__ == "__main__":
    sys.exit(main())
