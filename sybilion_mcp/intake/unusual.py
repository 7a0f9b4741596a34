"""Single values that lie far from what their neighbours and their season say, as a slip of the pen makes them."""

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
_LOW = 3.5  # median shares by which values lie off theirs: as far below as it must be at least
_FACTOR_CALM = 2.2  # the same in a series that is this calm otherwise:
_SPREADS_CALM = 12.0
_NEXT_CALM = 2.0  # and stands out at most so many times less anywhere else
_RARE = 16  # values above zero for each that is not, for that one to be odd
_CLEAR = 0.25  # of what is usual around it: as low as values above zero may come there
_SLIP = 0.15  # of a decimal place: 7 to 14 times is a slip by one
_PLACES = 3
_HUGE = 700.0  # a ratio whose logarithm is larger is no number


@dataclass(frozen=True, slots=True)
class Unusual:
    """`ratio` to what neighbours and season say; `in_size`: to the next largest size, where values are negative too.

    `slip`: by how many places the decimal point seems to have slipped, 0 when it does not look so. `around`: what is
    usual around a value that is not above zero, where the others are; a ratio says nothing then.
    """

    month: int
    value: float
    ratio: float
    slip: int = 0
    in_size: bool = False
    around: float | None = None


def unusual_values(numbers: Mapping[int, float]) -> list[Unusual]:
    """The values (running month number → number) that stand out alone, in order of months.

    A step to another level, a peak of several months, and a season are usual; so is anything in a series that is
    short or mostly zero. Zeros are left aside, unless one stands alone among values clearly above it.
    """
    odd = _not_above_zero(numbers)
    told = {one.month for one in odd}
    rest = {month: value for month, value in numbers.items() if month not in told}
    months = sorted(month for month, value in rest.items() if value)
    if len(months) < max(_LEAST, len(rest) / 2):
        return []
    values = [rest[month] for month in months]
    if min(values) < 0:
        return _far_in_size(months, values)
    return sorted([*odd, *_far_in_ratio(months, values, calm=len(values) == len(rest))], key=lambda one: one.month)


def _not_above_zero(numbers: Mapping[int, float]) -> list[Unusual]:
    """Zeros and negative values that are rare, alone, in no season, and far below all that is around them."""
    odd = [month for month in sorted(numbers) if numbers[month] <= 0]
    months = [month for month in sorted(numbers) if numbers[month] > 0]
    if not odd or len(months) < _RARE * len(odd) or len({month % _YEAR for month in odd}) < len(odd):
        return []
    values = [numbers[month] for month in months]
    apart = sorted(map(abs, _around(values)))
    usual = max(_SPREADS * median(apart), _NEXT_CALM * apart[len(apart) * 9 // 10])
    found = []
    for month in odd:
        at = bisect_left(months, month)
        near = values[max(0, at - _SIDE) : at + _SIDE]
        around = median(near)
        like = [value for same, value in zip(months, values, strict=True) if same % _YEAR == month % _YEAR]
        beside = {month - 1, month + 1}.intersection(odd)
        if not beside and min(*near, *like) >= _CLEAR * around and around >= usual:
            found.append(Unusual(month, numbers[month], 0.0, around=around))
    return found


def _far_in_size(months: Sequence[int], values: Sequence[float]) -> list[Unusual]:
    """Changes and balances jump by nature: only what dwarfs every other value is told."""
    *_, second, largest = sorted(map(abs, values))
    at = next(at for at, value in enumerate(values) if abs(value) == largest)
    far = second and largest / second >= _FACTOR
    return [Unusual(months[at], values[at], largest / second, in_size=True)] if far else []


def _far_in_ratio(months: Sequence[int], values: Sequence[float], *, calm: bool) -> list[Unusual]:
    levels = [math.log(value) for value in values]
    alone = [_alone(_before(levels, at), _after(levels, at), level) for at, level in enumerate(levels)]
    if max(map(abs, alone)) < math.log(_FACTOR_CALM):
        return []
    seasons = _by_season(months, alone)
    spread = _spread(months, levels)
    lowest = _LOW * median(abs(math.expm1(min(apart, 1.0))) for apart in _around(levels))
    found = []
    for month, value, apart in zip(months, values, alone, strict=True):
        if abs(apart) < math.log(_FACTOR):
            continue
        others = _without(seasons[month % _YEAR], apart)
        rest = _beside_season(apart, others)
        if rest < 0 and -math.expm1(rest) < lowest:  # values that vary this much come near zero by themselves
            continue
        if abs(rest) >= max(_SPREADS * spread, math.log(_FACTOR if others else _FACTOR_ALONE)):
            found.append(Unusual(month, value, math.exp(max(-_HUGE, min(rest, _HUGE))), _slip(rest)))
    if calm and not found:
        found = _several_times(months, values, levels, alone, spread)
    return found


def _several_times(
    months: Sequence[int], values: Sequence[float], levels: Sequence[float], alone: Sequence[float], spread: float
) -> list[Unusual]:
    """The one value of a calm series that is several times its neighbours, and stands out as no other does."""
    at = max(range(len(alone)), key=alone.__getitem__)
    others = [apart for other, apart in enumerate(alone) if other != at and (months[other] - months[at]) % _YEAR == 0]
    rest = _beside_season(alone[at], others)
    following = max(abs(apart) for other, apart in enumerate(_around(levels)) if other != at)
    least = max(_SPREADS_CALM * spread, math.log(_FACTOR_CALM), _NEXT_CALM * following)
    return [Unusual(months[at], values[at], math.exp(min(rest, _HUGE)))] if others and rest >= least else []


def _beside_season(apart: float, others: Sequence[float]) -> float:
    """How far it lies from its neighbours and from how far the same month of `others` lies from theirs."""
    return _nearest(apart, apart - median(others)) if others else apart


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


def _around(values: Sequence[float]) -> list[float]:
    """How far each lies from the median of those on both of its sides."""
    return [value - median([*_before(values, at), *_after(values, at)]) for at, value in enumerate(values)]


def _spread(months: Sequence[int], levels: Sequence[float]) -> float:
    """The median distance of the levels from those around them, after the season."""
    around = _around(levels)
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
