"""Triage: how far two simple forecasts were off, computed here a second time, and the advice that follows."""

import math
import random
import time
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sybilion_mcp.service.triage import describe, triage


def monthly(values: Sequence[float]) -> dict[str, float]:
    return {f"{2010 + at // 12}-{at % 12 + 1:02d}-01": value for at, value in enumerate(values)}


def season(count: int, noise: float, level: float = 100.0, seed: int = 1) -> list[float]:
    chance = random.Random(seed)
    return [level + 20 * math.sin(at / 6 * math.pi) + chance.gauss(0, noise) for at in range(count)]


def walk(count: int, step: float, seed: int = 3) -> list[float]:
    chance = random.Random(seed)
    values = [100.0]
    for _ in range(count - 1):
        values.append(values[-1] * math.exp(chance.gauss(0, step)))
    return values


@pytest.mark.parametrize("horizon", [1, 3, 6, 12])
def test_the_errors_are_those_of_the_last_twelve_origins(horizon: int) -> None:
    values = season(120, 5)
    last = seasonal = actual = 0.0
    for origin in range(len(values) - horizon - 11, len(values) - horizon + 1):
        for at in range(origin, origin + horizon):
            last += abs(values[at] - values[origin - 1])
            seasonal += abs(values[at] - values[at - 12])
            actual += abs(values[at])
    found = triage(monthly(values), horizon)
    assert (found.origins, found.horizon) == (12, horizon)
    assert found.last_value_error == pytest.approx(100 * last / actual)
    assert found.seasonal_naive_error == pytest.approx(100 * seasonal / actual)
    assert found.last_value_mae == pytest.approx(last / 12 / horizon)
    assert found.seasonal_naive_mae == pytest.approx(seasonal / 12 / horizon)


def test_a_seasonal_series_is_forecast_here() -> None:
    found = triage(monthly(season(120, 4)), 6)
    assert found.recommendation == "forecast here"
    assert "season" in found.reason
    assert describe(found).startswith("The last 12 times, 6 months ahead: repeating the last value was off by ")


def test_a_series_that_simple_rules_hardly_catch_may_be_worth_paying_for() -> None:
    found = triage(monthly(walk(120, 0.25)), 6)
    assert found.recommendation == "pay for the forecast"
    assert "unknown until a backtest" in found.reason


def test_where_little_is_left_to_gain_nothing_need_be_paid() -> None:
    found = triage(monthly(walk(120, 0.004)), 3)
    assert found.recommendation == "forecast here"
    assert "little is left to gain" in found.reason


def test_a_constant_is_forecast_here() -> None:
    assert triage(monthly([5.0] * 60), 3).recommendation == "forecast here"


def test_mostly_zeros_ask_for_more_data() -> None:
    found = triage(monthly([0.0, 0.0, 3.0, 0.0, 5.0] * 15), 3)
    assert found.recommendation == "collect more data"
    assert "60 %" in found.reason


@pytest.mark.parametrize(("months", "horizon", "needed"), [(39, 3, 40), (59, 6, 60), (97, 12, 120), (5, 3, 40)])
def test_a_short_series_asks_for_more_data(months: int, horizon: int, needed: int) -> None:
    found = triage(monthly(season(months, 1)), horizon)
    assert found.recommendation == "collect more data"
    assert f"needs {needed}" in found.reason


def test_without_an_origin_no_error_is_claimed() -> None:
    found = triage(monthly([1.0] * 14), 6)
    assert (found.origins, found.last_value_error, found.seasonal_naive_error) == (0, None, None)
    assert "No past forecast could be tried" in describe(found)


def test_values_around_zero_get_no_percentage() -> None:
    found = triage(monthly([value - 100 for value in season(120, 4)]), 6)
    assert (found.last_value_error, found.seasonal_naive_error) == (None, None)
    assert found.seasonal_naive_mae is not None
    assert "no percentage" in describe(found)


def test_the_engine_and_its_error_are_not_claimed() -> None:
    for values in (season(120, 4), walk(120, 0.25), walk(120, 0.004)):
        text = describe(triage(monthly(values), 6))
        assert "engine was off" not in text
        assert "will" not in text


@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=80),
    st.integers(1, 12),
)
def test_any_finite_series_gets_an_answer(values: list[float], horizon: int) -> None:
    found = triage(monthly(values), horizon)
    assert 0 <= found.origins <= 12
    assert len(describe(found).splitlines()) == 2
    assert all(error is None or math.isfinite(error) for error in (found.last_value_mae, found.seasonal_naive_mae))


def test_a_hundred_and_twenty_points_take_ten_milliseconds() -> None:
    points = monthly(season(120, 4))
    taken = []
    for _ in range(10):
        start = time.perf_counter()
        triage(points, 12)
        taken.append(time.perf_counter() - start)
    assert min(taken) < 0.01
