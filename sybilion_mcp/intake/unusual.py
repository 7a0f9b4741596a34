"""Single values that lie far from what their neighbours and their season say, as a slipped decimal point makes them."""

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

_LEAST = 9  # values from which it can be told what is usual
_SIDE = 3  # values before and after that a value is held against
_YEAR = 12
_FACTOR = 4.0  # times, or one of so many parts of, what is expected
_FACTOR_ALONE = 7.0  # the same where no other year tells what is usual in the month
_SPREADS = 6.0  # median distances of all values from theirs
_SLIP = 0.15  # of a decimal place: 7 to 14 times is a slip by one
_PLACES = 3
_HUGE = 700.0  # a ratio whose logarithm is larger is no number


@dataclass(frozen=True, slots=True)
class Unusual:
    """`ratio` to what neighbours and season say; `in_size`: to the next largest size, where values are negative too.

    `slip`: by how many places the decimal point seems to have slipped, 0 when it does not look so.
    """

    month: int
    value: float
    ratio: float
    slip: int = 0
    in_size: bool = False


def unusual_values(numbers: Mapping[int, float]) -> list[Unusual]:
    """The values (running month number → number) that stand out alone, in order of months.

    A step to another level, a peak of several months, and a season are usual; so is anything in a series that is
    short or mostly zero. Zeros are left aside.
    """
    months = sorted(month for month, value in numbers.items() if value)
    if len(months) < max(_LEAST, len(numbers) / 2):
        return []
    values = [numbers[month] for month in months]
    return _far_in_ratio(months, values) if min(values) > 0 else _far_in_size(months, values)


def _far_in_size(months: Sequence[int], values: Sequence[float]) -> list[Unusual]:
    """Changes and balances jump by nature: only what dwarfs every other value is told."""
    *_, second, largest = sorted(map(abs, values))
    at = next(at for at, value in enumerate(values) if abs(value) == largest)
    far = second and largest / second >= _FACTOR
    return [Unusual(months[at], values[at], largest / second, in_size=True)] if far else []


def _far_in_ratio(months: Sequence[int], values: Sequence[float]) -> list[Unusual]:
    levels = [math.log(value) for value in values]
    alone = [_alone(_before(levels, at), _after(levels, at), level) for at, level in enumerate(levels)]
    if max(map(abs, alone)) < math.log(_FACTOR):
        return []
    seasons = _by_season(months, alone)
    usual = _SPREADS * _spread(months, levels)
    found = []
    for month, value, apart in zip(months, values, alone, strict=True):
        if abs(apart) < math.log(_FACTOR):
            continue
        others = _without(seasons[month % _YEAR], apart)
        rest = _nearest(apart, apart - median(others)) if others else apart
        if abs(rest) >= max(usual, math.log(_FACTOR if others else _FACTOR_ALONE)):
            found.append(Unusual(month, value, math.exp(max(-_HUGE, min(rest, _HUGE))), _slip(rest)))
    return found


def _before(levels: Sequence[float], at: int) -> Sequence[float]:
    return levels[max(0, at - _SIDE) : at]


def _after(levels: Sequence[float], at: int) -> Sequence[float]:
    return levels[at + 1 : at + 1 + _SIDE]


def _alone(before: Sequence[float], after: Sequence[float], level: float) -> float:
    """How far a level lies from both of its sides, where it lies on one side of both and no neighbour is like it."""
    apart = _nearest(*(level - median(side) for side in (before, after) if side))
    beside = [*before[-1:], *after[:1]]
    return 0.0 if any(abs(level - one) < abs(apart) / 2 for one in beside) else apart


def _nearest(*distances: float) -> float:
    return min(distances, key=abs) if min(distances) > 0 or max(distances) < 0 else 0.0


def _spread(months: Sequence[int], levels: Sequence[float]) -> float:
    """The median distance of the levels from those around them, after the season."""
    around = [level - median([*_before(levels, at), *_after(levels, at)]) for at, level in enumerate(levels)]
    season = {name: median(ranked) if len(ranked) > 2 else 0.0 for name, ranked in _by_season(months, around).items()}
    return median(abs(one - season[month % _YEAR]) for month, one in zip(months, around, strict=True))


def _by_season(months: Sequence[int], distances: Sequence[float]) -> dict[int, list[float]]:
    """Calendar month → its distances, sorted."""
    found: dict[int, list[float]] = {}
    for distance, month in sorted(zip(distances, months, strict=True)):
        found.setdefault(month % _YEAR, []).append(distance)
    return found


def _without(ranked: Sequence[float], one: float) -> list[float]:
    at = bisect_left(ranked, one)
    return [*ranked[:at], *ranked[at + 1 :]]


def _slip(distance: float) -> int:
    places = distance / math.log(10)
    nearest = round(places)
    return nearest if abs(places - nearest) <= _SLIP and abs(nearest) <= _PLACES else 0
