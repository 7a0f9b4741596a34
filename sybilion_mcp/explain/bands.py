"""Whether the bands of past forecasts held, and bands that would have: recalibrated from those forecasts' errors."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sybilion_mcp.contract.artifacts import Window
from sybilion_mcp.contract.months import index_of
from sybilion_mcp.explain.backtest import Held, Skill, counts

_SHORTFALL = 0.10  # a band that holds this much less than promised is too narrow
_FEW_MONTHS = 6
_EXCESS = 0.15
_MANY_MONTHS = 24

RANKED = 9
"""Errors from which on both bands are ranks of them, not estimates."""

_STUDENT = {
    0.80: (3.078, 1.886, 1.638),
    0.90: (6.314, 2.920, 2.353, 2.132, 2.015, 1.943, 1.895, 1.860),
}
"""Level of a two-sided band → Student's t for 1, 2, 3 … errors, as far as these are too few to be ranked."""


@dataclass(frozen=True, slots=True)
class HalfWidth:
    """How far the bands reach to either side of the point forecast at one distance, and how many errors say so."""

    of_80: float
    of_90: float
    errors: int


def half_widths(windows: Sequence[Window], index: Callable[[str], int] = index_of) -> tuple[HalfWidth, ...]:
    """Split conformal: for one, two, three … months ahead, from the absolute errors of past forecasts so far ahead.

    From the windows that count; where these are too few to be ranked, from every month whose actual has come. Ends
    before the first distance without an error. Never narrower than for a shorter distance.

    Source: Lei et al., "Distribution-Free Predictive Inference for Regression", 2018.
    """
    whole = [window for window in windows if counts(window)]
    errors = _errors_by_distance(whole if len(whole) >= RANKED else windows, index)
    found: list[HalfWidth] = []
    for distance in range(1, len(errors) + 1):
        if distance not in errors:
            break
        now = [_half_width(errors[distance], level) for level in (0.80, 0.90)]
        before = found[-1] if found else HalfWidth(0.0, 0.0, 0)
        found.append(HalfWidth(max(now[0], before.of_80), max(now[1], before.of_90), len(errors[distance])))
    return tuple(found)


def _errors_by_distance(windows: Sequence[Window], index: Callable[[str], int]) -> dict[int, list[float]]:
    errors: dict[int, list[float]] = {}
    for window in windows:
        origin = index(min([window.start, *(month.month for month in window.months)]))
        for month in window.months:
            if month.actual is not None and month.forecast is not None:
                distance = index(month.month) - origin + 1
                errors.setdefault(distance, []).append(abs(month.actual - month.forecast))
    return errors


def _half_width(errors: Sequence[float], level: float) -> float:
    """The error of the rank that as many new errors stay below; wider by Student's t where there is no such rank."""
    rank = math.ceil(round((len(errors) + 1) * level, 9))
    if rank <= len(errors):
        return sorted(errors)[rank - 1]
    largest = max(errors)
    if largest == 0:
        return 0.0
    root_mean_square = largest * math.sqrt(math.fsum((error / largest) ** 2 for error in errors) / len(errors))
    student = _STUDENT[level][len(errors) - 1]
    return max(largest, student * root_mean_square * math.sqrt(1 + 1 / len(errors)))


def too_narrow(skill: Skill) -> bool:
    """Whether the past windows show bands that hold clearly less than they promise."""
    return _short_of(skill.held_80, 0.80) or _short_of(skill.held_90, 0.90)


def too_wide(skill: Skill) -> bool:
    """Whether the 80 % band held clearly more than it promised, over enough months to tell."""
    held = skill.held_80
    return held.share is not None and held.counted >= _MANY_MONTHS and held.share > 0.80 + _EXCESS


def _short_of(held: Held, promised: float) -> bool:
    return held.share is not None and held.counted >= _FEW_MONTHS and held.share < promised - _SHORTFALL


def held_sentence(skill: Skill, word: str = "month") -> str:
    """How often the bands of past forecasts held, as counted; for a skill with some months that had a band."""
    parts = [
        f"{held.held} of {held.counted} {word}s at {promised} % ({100 * held.share:.0f} %)"
        for promised, held in ((80, skill.held_80), (90, skill.held_90))
        if held.share is not None
    ]
    return f"The bands of past forecasts held {' and '.join(parts)}."
