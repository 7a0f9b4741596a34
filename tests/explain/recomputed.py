"""What a report on a folder of artifacts has to say, computed from the raw files by other means than the package's.

Windows are lists by position, not by month; quantiles are looked up by their text; ranks are counted, not sorted.
"""

import json
import math
import re
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import Any

JOBS = (
    "fed-ces0500000003",
    "fed-fedfunds",
    "fed-nfci",
    "macro-index-baseline",
    "macro-index-recency-10",
    "potash-recency-04",
    "potash-recency-10",
    "robot-imports",
    "robot-imports-keywords",
    "urea-no-drivers",
)
TODAY = date(2026, 6, 10)
BANDS = {"lower_80": "0.10", "upper_80": "0.90", "lower_90": "0.05", "upper_90": "0.95"}
STUDENT = {Fraction(4, 5): 0.90, Fraction(9, 10): 0.95}
"""Level of a band → the quantile of Student's t that bounds it."""


@dataclass(frozen=True)
class Month:
    day: str
    actual: float
    quantiles: dict[str, float]

    @property
    def miss(self) -> float:
        return self.quantiles["0.50"] - self.actual

    def held(self, low: str, high: str) -> bool:
        return self.quantiles[low] <= self.actual <= self.quantiles[high]


@dataclass(frozen=True)
class PastForecast:
    """One window that counts, and its errors."""

    months: list[Month]
    mae: float
    mape: float
    mase: float
    bias: float
    naive: float
    last: float
    held_80: int
    held_90: int


@dataclass(frozen=True)
class Group:
    """All series of one driver name, spoken for by the strongest."""

    name: str
    importance: float
    direction: float
    lag: int
    correlation: float
    series: int

    @property
    def doubts(self) -> set[str]:
        weight = round(self.importance) if self.importance >= 1 else self.importance
        apart = self.direction * self.correlation < 0
        visible = abs(self.direction) >= 0.005 and abs(self.correlation) >= 0.005
        found = {
            "weak correlation": weight >= 50 and abs(self.correlation) < 0.25,
            "signs disagree": apart and visible,
            "trending quantity": "population" in self.name.lower(),
        }
        return {doubt for doubt, there in found.items() if there}

    @property
    def rank(self) -> tuple[bool, float, float]:
        weight = round(self.importance) if self.importance >= 1 else float(f"{self.importance:.0e}")
        return bool(self.doubts), -weight, -abs(self.correlation)


class Truth:
    """The raw files of one folder, and what follows from them."""

    def __init__(self, folder: Path) -> None:
        self.raw: dict[str, Any] = {file.name: json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))}
        self.status: dict[str, Any] = self.raw.pop("status.json", {})
        self.request: dict[str, Any] = self.raw["input.json"]
        self.forecast: dict[str, Any] = self.raw["forecast.json"]["data"]["forecast_series"]
        self.dates, self.values = zip(*sorted(self.request["timeseries"].items()), strict=True)
        self.metrics: dict[str, float] = self.raw["backtest_metrics.json"]["data"]["12m"]["metrics"]

    @cached_property
    def windows(self) -> list[PastForecast]:
        given = [list(one["forecast_series"].items()) for one in self.raw["backtest_trajectories.json"]["data"]]
        whole = [window for window in given if all(month["actual"] is not None for _, month in window)]
        return [
            self._scored([Month(day, m["actual"], m["quantile_forecast"]) for day, m in window]) for window in whole
        ]

    def _scored(self, months: list[Month]) -> PastForecast:
        origin = self.dates.index(months[0].day)
        past, actuals = self.values[:origin], self.values[origin : origin + len(months)]
        assert all(math.isclose(a, month.actual) for a, month in zip(actuals, months, strict=True))
        season = statistics.fmean(abs(b - a) for a, b in zip(past, past[12:], strict=False))
        mae = statistics.fmean(abs(month.miss) for month in months)
        return PastForecast(
            months=months,
            mae=mae,
            mape=statistics.fmean(100 * abs(month.miss) / abs(month.actual) for month in months),
            mase=mae / season,
            bias=statistics.fmean(month.miss for month in months),
            naive=statistics.fmean(abs(a - self.values[origin + k - 12]) for k, a in enumerate(actuals)),
            last=statistics.fmean(abs(a - past[-1]) for a in actuals),
            held_80=sum(month.held("0.10", "0.90") for month in months),
            held_90=sum(month.held("0.05", "0.95") for month in months),
        )

    @cached_property
    def skill(self) -> dict[str, float]:
        windows = self.windows
        mae = statistics.fmean(one.mae for one in windows)
        return {
            "windows_used": len(windows),
            "windows_left_out": len(self.raw["backtest_trajectories.json"]["data"]) - len(windows),
            "mae": mae,
            "mape": statistics.fmean(one.mape for one in windows),
            "mase": statistics.fmean(one.mase for one in windows),
            "relative_to_seasonal_naive": mae / statistics.fmean(one.naive for one in windows),
            "relative_to_last_value": mae / statistics.fmean(one.last for one in windows),
            "bias": statistics.fmean(one.bias for one in windows),
            "coverage_80": self.held[0] / self.counted,
            "coverage_90": self.held[1] / self.counted,
        }

    @property
    def held(self) -> tuple[int, int]:
        return sum(one.held_80 for one in self.windows), sum(one.held_90 for one in self.windows)

    @property
    def counted(self) -> int:
        return sum(len(one.months) for one in self.windows)

    @property
    def verdict(self) -> str:
        ratio = max(self.skill["relative_to_seasonal_naive"], self.skill["relative_to_last_value"])
        return "better" if ratio < 0.95 else "worse" if ratio > 1.05 else "same"

    @property
    def windows_won(self) -> int:
        """In how many windows the forecast was nearer than the better of the two simple ones."""
        naive = self.skill["relative_to_seasonal_naive"] > self.skill["relative_to_last_value"]
        return sum(one.mae < (one.naive if naive else one.last) for one in self.windows)

    @cached_property
    def yearly_change(self) -> float:
        return statistics.fmean(abs(b - a) for a, b in zip(self.values, self.values[12:], strict=False))

    @property
    def months_ahead(self) -> list[str]:
        return sorted(self.forecast)

    def delivered(self, day: str) -> dict[str, float]:
        quantiles = self.forecast[day]["quantile_forecast"]
        return {name: quantiles[key] for name, key in BANDS.items()}

    @property
    def unreliable(self) -> bool:
        """Whether the bands as delivered held too rarely, or cannot be right."""
        bands = [self.delivered(day) for day in self.months_ahead]
        one_band = [band["lower_80"] == band["lower_90"] and band["upper_80"] == band["upper_90"] for band in bands]
        inside = [
            band[f"lower_{level}"] <= self.forecast[day]["forecast"] <= band[f"upper_{level}"]
            for day, band in zip(self.months_ahead, bands, strict=True)
            for level in (80, 90)
        ]
        rare = self.skill["coverage_80"] < 0.70 or self.skill["coverage_90"] < 0.80
        return rare or any(one_band) or not all(inside)

    @cached_property
    def recalibrated(self) -> dict[str, dict[str, float]]:
        """The forecast ± its past errors, above zero where the series is, and nowhere narrower than delivered."""
        widths = half_widths([[month.miss for month in window.months] for window in self.windows])
        found = {}
        for day, (of_80, of_90) in zip(self.months_ahead, widths, strict=False):
            point, given = self.forecast[day]["forecast"], self.delivered(day)
            lowest = min(0.0, point) if min(self.values) >= 0 else float("-inf")
            lower_80 = min(max(point - of_80, lowest), given["lower_80"])
            lower_90 = min(max(point - of_90, lowest), given["lower_90"], lower_80)
            upper_80 = max(point + of_80, given["upper_80"])
            upper_90 = max(point + of_90, given["upper_90"], upper_80)
            found[day] = {"lower_80": lower_80, "upper_80": upper_80, "lower_90": lower_90, "upper_90": upper_90}
        return found

    def bands(self, day: str) -> dict[str, float]:
        """The bands to rely on."""
        return self.recalibrated[day] if self.unreliable else self.delivered(day)

    @cached_property
    def groups(self) -> list[Group]:
        """Every name, in no order."""
        by_name: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for entry in self.raw["external_signals.json"]["data"].values():
            by_name[entry["driver_name"]].append(entry)
        return [_group(name, entries) for name, entries in by_name.items()]

    @property
    def weighty(self) -> list[Group]:
        """The groups with weight, in the order of a report."""
        return sorted((group for group in self.groups if group.importance != 0), key=lambda group: group.rank)

    @property
    def series(self) -> int:
        return len(self.raw["external_signals.json"]["data"])


def _group(name: str, entries: Sequence[dict[str, Any]]) -> Group:
    strongest = max(entries, key=lambda entry: (entry["importance"]["overall"]["mean"], abs(_link(entry)[1])))
    lag, correlation = _link(strongest)
    return Group(
        name=name,
        importance=strongest["importance"]["overall"]["mean"],
        direction=strongest["direction"]["overall"]["mean"],
        lag=lag,
        correlation=correlation,
        series=len(entries),
    )


def _link(entry: dict[str, Any]) -> tuple[int, float]:
    lags = {int(k[4:]): r for k, r in entry["pearson_correlation"].items() if re.fullmatch(r"lag_\d+", k)}
    return max(sorted(lags.items()), key=lambda item: abs(item[1]))


def half_widths(misses: Sequence[Sequence[float]]) -> list[tuple[float, float]]:
    """How far the 80 % and the 90 % band reach, by months ahead, from the errors of past forecasts."""
    reach = max(map(len, misses), default=0)
    columns = [[abs(window[ahead]) for window in misses if ahead < len(window)] for ahead in range(reach)]
    widths: list[tuple[float, float]] = []
    for errors in takewhile(bool, columns):
        before = widths[-1] if widths else (0.0, 0.0)
        now = [half_width(errors, level) for level in STUDENT]
        widths.append((max(before[0], now[0]), max(before[1], now[1])))
    return widths


def half_width(errors: Sequence[float], level: Fraction) -> float:
    """The smallest error that at least ⌈(n+1)·level⌉ of the errors do not pass; Student's t when n is too small."""
    n = len(errors)
    needed = -(-(n + 1) * level.numerator // level.denominator)
    reached = [one for one in errors if sum(other <= one for other in errors) >= needed]
    if reached:
        return min(reached)
    from scipy.stats import t

    spread = math.sqrt(sum(error * error for error in errors) / n * (1 + 1 / n))
    return max(max(errors), float(t.ppf(STUDENT[level], n)) * spread)
