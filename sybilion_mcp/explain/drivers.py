"""The drivers, grouped by name, the sound ones first, each doubt named."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sybilion_mcp.contract.artifacts import Driver
from sybilion_mcp.explain.wording import csv, signed
from sybilion_mcp.outside import clean, quoted

_HIGH_IMPORTANCE = 50  # of 100
_WEAK_CORRELATION = 0.25
_VISIBLE = 0.005  # a sign that two decimals do not show is no sign
_TRENDING = re.compile(
    r"\b(?:populations?(?!\s+ratio)|inhabitants|demograph\w*|life expectancy|fertility rate|urbani[sz]ation)\b",
    re.IGNORECASE,
)


LISTED = 12
"""Groups that a report names."""


@dataclass(frozen=True, slots=True)
class DriverGroup:
    """All series of one name; the measures are those of the strongest. `name` is outside text, already clean."""

    name: str
    importance: float | None
    direction: float | None
    lag: int | None
    correlation: float | None
    series: int
    doubts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Drivers:
    """`groups` in order, sound ones first; groups without weight are only counted."""

    groups: tuple[DriverGroup, ...]
    weightless_groups: int
    series: int
    same_at_every_horizon: bool

    @property
    def group_count(self) -> int:
        return len(self.groups) + self.weightless_groups

    @property
    def sound(self) -> tuple[DriverGroup, ...]:
        return tuple(group for group in self.groups if not group.doubts)


def group_drivers(drivers: Sequence[Driver], titles: Mapping[str, str]) -> Drivers:
    """`titles` gives the caller's own names of its auxiliary series, by the API's: "aux_0" → title."""
    by_name: dict[str, list[Driver]] = {}
    for driver in drivers:
        by_name.setdefault(driver.name.strip(), []).append(driver)
    groups = [_group(name, series, titles) for name, series in by_name.items()]
    listed = [group for group in groups if group.importance != 0]
    return Drivers(
        groups=tuple(sorted(listed, key=_rank)),
        weightless_groups=len(groups) - len(listed),
        series=len(drivers),
        same_at_every_horizon=_same_at_every_horizon(drivers),
    )


def _group(name: str, series: Sequence[Driver], titles: Mapping[str, str]) -> DriverGroup:
    strongest = max(series, key=_strength)
    lag, correlation = _strongest_lag(strongest)
    importance = None if strongest.importance is None else _worth(strongest.importance)
    return DriverGroup(
        name=_title(name, titles),
        importance=importance,
        direction=strongest.direction,
        lag=lag,
        correlation=correlation,
        series=len(series),
        doubts=_doubts(f"{name} {titles.get(name, '')}", importance, strongest.direction, correlation),
    )


def _strength(driver: Driver) -> tuple[float, float]:
    _, correlation = _strongest_lag(driver)
    return (-1.0 if driver.importance is None else driver.importance, abs(correlation or 0.0))


def _strongest_lag(driver: Driver) -> tuple[int | None, float | None]:
    if not driver.correlation:
        return None, None
    lag = max(driver.correlation, key=lambda lag: abs(driver.correlation[lag]))
    return lag, driver.correlation[lag]


def _worth(importance: float) -> float:
    """Whole points are all the precision there is; a trace of weight stays above zero."""
    return round(importance) if importance >= 1 else float(f"{importance:.1g}")


def _title(name: str, titles: Mapping[str, str]) -> str:
    title = clean(titles.get(name, ""), 60)
    return f"{title} ({clean(name, 12)})" if title else clean(name) or "unnamed"


def _doubts(name: str, importance: float | None, direction: float | None, correlation: float | None) -> tuple[str, ...]:
    if importance is None and direction is None and correlation is None:
        return ("name only",)
    doubts = []
    if importance is None:
        doubts.append("no importance given")
    elif importance >= _HIGH_IMPORTANCE and correlation is not None and abs(correlation) < _WEAK_CORRELATION:
        doubts.append("weak correlation")
    elif importance >= _HIGH_IMPORTANCE and correlation is None:
        doubts.append("no correlation given")
    if _disagree(direction, correlation):
        doubts.append("signs disagree")
    if _TRENDING.search(name):
        doubts.append("trending quantity")
    return tuple(doubts)


def _disagree(direction: float | None, correlation: float | None) -> bool:
    if direction is None or correlation is None:
        return False
    return direction * correlation < 0 and min(abs(direction), abs(correlation)) >= _VISIBLE


def _rank(group: DriverGroup) -> tuple[bool, float, float]:
    """Sound before doubtful, then by importance as it is shown, then by the size of the correlation."""
    importance = -1 if group.importance is None else group.importance
    return bool(group.doubts), -importance, -abs(group.correlation or 0.0)


def _same_at_every_horizon(drivers: Sequence[Driver]) -> bool:
    several = [d.importance_by_horizon.values() for d in drivers if len(d.importance_by_horizon) > 1]
    return bool(several) and all(len(set(values)) == 1 for values in several)


def chosen(drivers: Drivers, rows: int) -> tuple[DriverGroup, ...]:
    """The groups worth `rows` rows: two thirds for the sound ones, the rest for doubtful ones, gaps filled."""
    sound, doubtful = drivers.sound, drivers.groups[len(drivers.sound) :]
    few_doubtful = min(len(doubtful), max(rows // 3, rows - len(sound)))
    return sound[: rows - few_doubtful] + doubtful[:few_doubtful]


def table(groups: Sequence[DriverGroup]) -> str:
    """The groups as CSV: importance 0–100, direction and correlation −1…1, lag in months."""
    return csv("name,importance,direction,lag,correlation,series,doubt", [_cells(group) for group in groups])


def _cells(group: DriverGroup) -> list[str]:
    return [
        quoted(group.name, 80),
        "" if group.importance is None else f"{group.importance:g}",
        signed(group.direction),
        "" if group.lag is None else str(group.lag),
        signed(group.correlation),
        str(group.series),
        "; ".join(group.doubts),
    ]
