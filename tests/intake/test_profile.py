"""The kind of a series: season, trend, gaps and zeros, measured and in one line."""

import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sybilion_mcp.intake.profile import describe, profile
from tests.timing import cpu_seconds


def monthly(values: Sequence[float], year: int = 2016) -> dict[str, float]:
    return {f"{year + at // 12}-{at % 12 + 1:02d}-01": value for at, value in enumerate(values)}


def noise(count: int, size: float, seed: int = 1) -> list[float]:
    chance = random.Random(seed)
    return [chance.gauss(0, size) for _ in range(count)]


def wave(at: int) -> float:
    return math.sin(at / 6 * math.pi)


def test_range_length_and_gaps_are_counted() -> None:
    points = monthly([5.0, 7.0, 6.0, 9.0, 8.0, 7.0])
    del points["2016-03-01"]
    found = profile(points)
    assert (found.start, found.end, found.length, found.gaps) == ("2016-01", "2016-06", 5, 1)
    assert (found.minimum, found.maximum, found.last_value, found.constant) == (5.0, 9.0, 7.0, False)


def test_the_order_of_the_points_does_not_matter() -> None:
    points = monthly(noise(60, 5))
    assert profile(dict(reversed(points.items()))) == profile(points)


def test_an_empty_series_has_no_profile() -> None:
    with pytest.raises(ValueError, match="empty"):
        profile({})


def test_a_strong_season_on_a_rising_line() -> None:
    points = monthly([100 + at + 20 * wave(at) + rest for at, rest in enumerate(noise(97, 3))], 2018)
    found = profile(points)
    assert (found.season, found.trend) == ("strong", "rising")
    assert describe(found) == "Series 2018-01 … 2026-01, 97 months, strong yearly season, rising."


def test_gaps_are_said() -> None:
    points = monthly([100 - at + 20 * wave(at) for at in range(99)], 2018)
    del points["2021-03-01"], points["2021-04-01"]
    assert describe(profile(points)) == "Series 2018-01 … 2026-03, 97 months, 2 gaps, strong yearly season, falling."


@pytest.mark.parametrize("count", [40, 60, 120])
def test_noise_is_hardly_ever_taken_for_season_or_trend(count: int) -> None:
    found = [profile(monthly([100 + rest for rest in noise(count, 10, seed)])) for seed in range(100)]
    assert sum(one.season == "none" for one in found) >= 92
    assert sum(one.trend == "flat" for one in found) >= 92


def test_a_season_that_grows_with_the_values_is_seen() -> None:
    points = monthly([100 * 1.03**at * (1 + 0.2 * wave(at)) for at in range(120)])
    assert profile(points).season == "strong"


def test_a_season_half_hidden_by_noise_is_weak() -> None:
    assert profile(monthly([10 * wave(at) + rest for at, rest in enumerate(noise(120, 8))])).season == "weak"


def test_a_short_series_claims_no_season() -> None:
    found = profile(monthly([1.0, 2.0, 3.0, 4.0, 5.0, 7.0, 6.0]))
    assert (found.season, found.season_strength, found.trend) == ("unknown", None, "rising")
    assert "too short to see a season" in describe(found)
    assert profile(monthly([1.0, 2.0])).trend == "unknown"


def test_zeros_are_counted_as_intermittent_demand() -> None:
    found = profile(monthly([0.0, 0.0, 3.0, 0.0, 5.0] * 12))
    assert (found.zeros, found.adi) == (0.6, 2.5)
    assert "intermittent (60 % zeros, ADI 2.50)" in describe(found)


@pytest.mark.parametrize(("value", "adi"), [(5.0, 1.0), (0.0, None)])
def test_a_constant_is_called_constant(value: float, adi: float | None) -> None:
    found = profile(monthly([value] * 60))
    assert (found.constant, found.adi) == (True, adi)
    assert describe(found) == f"Series 2016-01 … 2020-12, 60 months, constant at {value:g}."


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=80))
def test_any_finite_series_has_a_profile_with_strengths_from_0_to_1(values: list[float]) -> None:
    found = profile(monthly(values))
    for strength in (found.season_strength, found.trend_strength):
        assert strength is None or 0 <= strength <= 1
    assert describe(found).startswith("Series 2016-01")


@given(st.lists(st.floats(-1e6, 1e6), min_size=36, max_size=60), st.integers(-3, 3))
def test_strengths_do_not_depend_on_the_unit(values: list[float], power: int) -> None:
    scaled = profile(monthly([value * 2.0 ** (10 * power) for value in values]))
    assert scaled.season_strength == pytest.approx(profile(monthly(values)).season_strength, abs=1e-6)


def test_a_hundred_and_twenty_points_take_a_millisecond() -> None:
    points = monthly(noise(120, 10))
    assert cpu_seconds(lambda: profile(points), rounds=10) < 0.002  # a millisecond, and another for a slow machine
