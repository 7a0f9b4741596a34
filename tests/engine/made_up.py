"""Made-up requests and series for the engine's tests."""

from collections.abc import Iterable, Mapping
from datetime import date

import numpy as np

TODAY = date(2026, 6, 15)
TITLE = "A made-up series of monthly numbers"


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


def driven(seed: int, lag: int, decoys: int = 5, count: int = 120) -> tuple[list[float], list[dict[str, float]], int]:
    """A target whose changes follow one driver's `lag` months earlier, with the driver's place among the decoys."""
    rng = np.random.default_rng(seed)
    changes = rng.normal(0, 1, (decoys + 1, count + lag))
    place = int(rng.integers(decoys + 1))
    own = -0.9 * changes[place, :count] + rng.normal(0, 0.5, count)
    target = 300 + np.cumsum(own)
    aux = [series(100 + np.cumsum(row[lag:])) for row in changes]
    return [float(value) for value in target], aux, place


def quantile_rows(forecast: Mapping[str, Mapping[str, Mapping[str, float]]]) -> list[list[float]]:
    """The 19 quantiles of each month, by month."""
    return [list(forecast[month]["quantile_forecast"].values()) for month in sorted(forecast)]
