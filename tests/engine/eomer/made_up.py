"""Made-up series of four frequencies."""

from collections.abc import Callable
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

START = datetime(2022, 1, 3)  # a Monday


def _hours(at: Floats, noise: Floats) -> Floats:
    return 100 + 20 * np.sin(2 * np.pi * at / 24) + 8 * ((at // 24) % 7 >= 5) + 3 * noise


def _days(at: Floats, noise: Floats) -> Floats:
    return 50 + 6 * np.isin(at % 7, [5, 6]) + 10 * np.sin(2 * np.pi * at / 365) + 2 * noise


def _weeks(at: Floats, noise: Floats) -> Floats:
    return 200 + 0.2 * at + 30 * np.sin(2 * np.pi * at / 52) + 8 * noise


def _months(at: Floats, noise: Floats) -> Floats:
    return (100 + 0.5 * at) * (1 + 0.2 * np.sin(2 * np.pi * at / 12)) * np.exp(0.04 * noise)


SHAPES: dict[str, tuple[Callable[[Floats, Floats], Floats], int, int]] = {
    "h": (_hours, 500, 24),
    "D": (_days, 400, 14),
    "W-MON": (_weeks, 156, 13),
    "MS": (_months, 96, 12),
}
"""Alias → the shape of a series, its usual length and prediction length."""


def values(alias: str, count: int, seed: int = 0) -> Floats:
    noise = np.random.default_rng(seed).normal(0, 1, count)
    return np.round(SHAPES[alias][0](np.arange(count, dtype=np.float64), noise), 3)


def labels(alias: str, count: int) -> list[str]:
    if alias == "MS":
        return [f"{2016 + at // 12}-{at % 12 + 1:02d}-01" for at in range(count)]
    step = {"h": timedelta(hours=1), "D": timedelta(days=1), "W-MON": timedelta(weeks=1)}[alias]
    shown = "%Y-%m-%d %H:%M" if alias == "h" else "%Y-%m-%d"
    return [(START + at * step).strftime(shown) for at in range(count)]


def series(alias: str, number: int = 3, count: int | None = None) -> dict[str, dict[str, float]]:
    count = count or SHAPES[alias][1]
    return {
        f"{alias} {seed}": dict(zip(labels(alias, count), map(float, values(alias, count, seed)), strict=True))
        for seed in range(number)
    }


def body(alias: str, number: int = 3, count: int | None = None, **options: object) -> dict[str, object]:
    return {"series": series(alias, number, count), "prediction_length": SHAPES[alias][2], **options}
