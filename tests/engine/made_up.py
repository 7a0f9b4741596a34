"""Made-up requests, series and driver folders for the engine's tests."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from sybilion_mcp.contract.artifacts import (
    read_backtest_metrics,
    read_backtest_trajectories,
    read_external_signals,
    read_forecast,
    read_input,
)
from sybilion_mcp.engine.candidate import Candidate
from sybilion_mcp.engine.pipeline import run_pipeline

Data = dict  # the decoded `data` of an artifact
Floats = npt.NDArray[np.float64]

TODAY = date(2026, 6, 15)
TITLE = "A made-up series of monthly numbers"
LONGEST_LAG = 6
STRENGTH = 0.6  # the share of the target's movement that its true driver explains
READABLE = 1e90  # the readers take numbers of 1e100 and beyond for none, and bands reach beyond the series
KEYS = [f"{step / 20:.2f}" for step in range(1, 20)]
READERS: Mapping[str, Callable[[object], object]] = {
    "forecast.json": read_forecast,
    "external_signals.json": read_external_signals,
    "input.json": read_input,
    "backtest_metrics.json": read_backtest_metrics,
    "backtest_trajectories.json": read_backtest_trajectories,
}


@dataclass(frozen=True, slots=True)
class Truth:
    """A target that follows candidate `driver` by `lag` months, in the direction of `sign`, among decoys."""

    target: list[float]
    candidates: tuple[Candidate, ...]
    driver: str
    lag: int
    sign: int


def months(count: int, last: tuple[int, int] = (2026, 5)) -> list[str]:
    """`count` months as YYYY-MM-01, the last one May 2026 unless said otherwise."""
    end = last[0] * 12 + last[1] - 1
    return [f"{index // 12:04d}-{index % 12 + 1:02d}-01" for index in range(end - count + 1, end + 1)]


def series(values: Iterable[float]) -> dict[str, float]:
    numbers = [float(value) for value in values]
    return dict(zip(months(len(numbers)), numbers, strict=True))


def seasonal(count: int = 60, seed: int = 1) -> list[float]:
    """A level that wanders, with a yearly season."""
    rng = np.random.default_rng(seed)
    values = 200 + np.cumsum(rng.normal(0, 2, count)) + 15 * np.sin(np.arange(count) * np.pi / 6)
    return [round(float(value), 4) for value in values]


def walk(count: int = 60, seed: int = 1) -> list[float]:
    """A level that wanders and nothing else: the last value is the best forecast."""
    rng = np.random.default_rng(seed)
    return [float(value) for value in 100 + np.cumsum(rng.normal(0, 1, count))]


def request(values: Iterable[float] | None = None, **changes: object) -> dict[str, object]:
    """A valid body with horizon 3; `changes` replace fields."""
    body: dict[str, object] = {
        "pipeline_version": "v1",
        "frequency": "monthly",
        "recency_factor": 0.5,
        "soft_horizon": 3,
        "timeseries_metadata": {"title": TITLE},
        "timeseries": series(seasonal() if values is None else values),
    }
    return {**body, **changes}


def run(values: Iterable[float] | None = None, folder: Sequence[Candidate] = (), **changes: object) -> dict[str, Data]:
    """The artifacts by name, `data` taken out of its envelope; NaN and infinity would not parse."""

    def refuse(constant: str) -> float:
        raise AssertionError(f"{constant} in an artifact")

    found = run_pipeline(request(values, **changes), folder)
    decoded = {name: json.loads(content, parse_constant=refuse) for name, content in found.items()}
    if max(map(abs, decoded["input.json"]["timeseries"].values())) < READABLE:
        for name in READERS.keys() & decoded.keys():
            READERS[name](decoded[name])
    return {name: content if name == "input.json" else content["data"] for name, content in decoded.items()}


def candidate(name: str, months: Mapping[str, float], **labels: int) -> Candidate:
    return Candidate(name, f"The series {name}", months, **labels)


def driven(
    seed: int, lag: int, decoys: int = 5, count: int = 120, noise: float = 0.5
) -> tuple[list[float], list[dict[str, float]], int]:
    """A target whose changes follow one driver's `lag` months earlier, with the driver's place among the decoys."""
    rng = np.random.default_rng(seed)
    changes = rng.normal(0, 1, (decoys + 1, count + lag))
    place = int(rng.integers(decoys + 1))
    own = -0.9 * changes[place, :count] + rng.normal(0, noise, count)
    target = 300 + np.cumsum(own)
    aux = [series(100 + np.cumsum(row[lag:])) for row in changes]
    return [float(value) for value in target], aux, place


def truth(kind: str, seed: int, count: int = 96, decoys: int = 20) -> Truth:
    """A target with one true driver among `decoys` of all kinds; `kind` is a key of DRIVEN."""
    rng = np.random.default_rng(seed)
    lag, sign = int(rng.integers(1, LONGEST_LAG + 1)), int(rng.choice([-1, 1]))
    own_kind, follow = DRIVEN[kind]
    driver = ALONE[own_kind](rng, count + LONGEST_LAG)
    target = follow(rng, driver, lag, sign)[LONGEST_LAG:]
    rows = [driver[LONGEST_LAG:], *_decoys(rng, decoys, count)]
    order = [int(place) for place in rng.permutation(len(rows))]
    folder = tuple(candidate(f"series_{number}", series(rows[place])) for number, place in enumerate(order))
    return Truth([float(value) for value in target], folder, f"series_{order.index(0)}", lag, sign)


def noise(kind: str, seed: int, count: int = 96, decoys: int = 20) -> Truth:
    """A target that nothing in the folder drives; `kind` is a key of ALONE."""
    rng = np.random.default_rng(seed)
    target = [float(value) for value in ALONE[kind](rng, count)]
    folder = [candidate(f"series_{number}", series(row)) for number, row in enumerate(_decoys(rng, decoys, count))]
    return Truth(target, tuple(folder), "", 0, 0)


def _decoys(rng: np.random.Generator, number: int, count: int) -> list[Floats]:
    return [ALONE[str(rng.choice(list(ALONE)))](rng, count) for _ in range(number)]


def _walk(rng: np.random.Generator, count: int) -> Floats:
    return 100 + np.cumsum(rng.normal(0, 1, count))


def _level(rng: np.random.Generator, count: int) -> Floats:
    values = rng.normal(0, 1, count)
    for month in range(1, count):
        values[month] += 0.7 * values[month - 1]
    return 100 + 5 * values


def _growth(rng: np.random.Generator, count: int) -> Floats:
    return 100 * np.exp(np.cumsum(rng.normal(0.003, 0.02, count)))


def _season(rng: np.random.Generator, count: int) -> Floats:
    return _walk(rng, count) + 5 * np.sin(np.pi / 6 * (np.arange(count) + rng.integers(12)))


def _following(rng: np.random.Generator, movement: Floats, lag: int, sign: int) -> Floats:
    """The movement `lag` months later, and as much of its own as makes the driver explain STRENGTH of it."""
    own = rng.normal(0, np.std(movement) * np.sqrt(1 / STRENGTH - 1), len(movement))
    return np.asarray(own + sign * np.concatenate([np.zeros(lag), movement[:-lag]]))


def _wanders_after(rng: np.random.Generator, driver: Floats, lag: int, sign: int) -> Floats:
    return 300 + np.cumsum(_following(rng, np.diff(driver, prepend=driver[0]), lag, sign))


def _season_after(rng: np.random.Generator, driver: Floats, lag: int, sign: int) -> Floats:
    return _wanders_after(rng, driver, lag, sign) + 4 * np.sin(np.pi / 6 * np.arange(len(driver)))


def _ratio_after(rng: np.random.Generator, driver: Floats, lag: int, sign: int) -> Floats:
    changes = np.diff(np.log(driver), prepend=np.log(driver[0]))
    return 200 * np.exp(np.cumsum(_following(rng, changes, lag, sign)))


def _level_after(rng: np.random.Generator, driver: Floats, lag: int, sign: int) -> Floats:
    return 100 + _following(rng, driver - np.mean(driver), lag, sign)


ALONE = {"walk": _walk, "level": _level, "growth": _growth, "season": _season}
DRIVEN = {
    "walk": ("walk", _wanders_after),
    "level": ("level", _level_after),
    "season": ("walk", _season_after),
    "ratio": ("growth", _ratio_after),
}


def quantile_rows(forecast: Mapping[str, Mapping[str, Mapping[str, float]]]) -> list[list[float]]:
    """The 19 quantiles of each month, by month."""
    return [list(forecast[month]["quantile_forecast"].values()) for month in sorted(forecast)]


def assert_sound(artifacts: Mapping[str, Data]) -> None:
    """What holds for every forecast and every window: 19 quantiles in order, the middle one is the forecast."""
    for table in [artifacts["forecast.json"], *artifacts.get("backtest_trajectories.json", [])]:
        assert table["forecast_series"]
        for entry in table["forecast_series"].values():
            band = entry["quantile_forecast"]
            assert list(band) == KEYS
            assert all(below <= above for below, above in pairwise(band.values()))
            assert band["0.50"] == entry["forecast"]
