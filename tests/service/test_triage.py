"""Triage: how far simple forecasts and the engine were off, and the advice that follows from what was measured."""

import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sybilion_mcp.engine.measured import Hindcast, NotMeasured
from sybilion_mcp.service.triage import Triage, advice, evidence, origins_to_measure, triage
from tests.timing import cpu_seconds


def monthly(values: Sequence[float]) -> dict[str, float]:
    return {f"{2010 + at // 12}-{at % 12 + 1:02d}-01": value for at, value in enumerate(values)}


def with_engine(values: Sequence[float], horizon: int, share: float) -> Triage:
    """As if the engine had been off by `share` of the better simple rule's error."""
    alone = triage(monthly(values), horizon)
    assert alone.last_value_mae is not None
    assert alone.seasonal_naive_mae is not None
    mae = share * min(alone.last_value_mae, alone.seasonal_naive_mae)
    return triage(monthly(values), horizon, Hindcast(mae, 60, 72))


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


class TestByAll:
    """The engine was measured."""

    def test_the_evidence_names_all_three_errors_and_how_often_the_band_held(self) -> None:
        found = with_engine(season(120, 4), 6, 0.5)

        assert found.engine_mae == pytest.approx((found.seasonal_naive_mae or 0) / 2)
        assert found.engine_error == pytest.approx((found.seasonal_naive_error or 0) / 2)
        assert (found.engine_held_80, found.engine_counted_80, found.engine_not_measured) == (60, 72, None)
        assert evidence(found) == (
            "The last 12 times, 6 months ahead: "
            f"repeating the last value was off by {found.last_value_error:.1f} %, "
            f"the same month a year before by {found.seasonal_naive_error:.1f} %, "
            f"the embedded engine by {found.engine_error:.1f} % (its 80 % band held 60 of 72 months)."
        )

    @pytest.mark.parametrize(
        ("values", "share", "recommended", "because"),
        [
            (walk(120, 0.25), 1.0, "pay for the forecast", "unknown until a backtest"),
            (walk(120, 0.25), 1.6, "pay for the forecast", "does not clearly beat repeating the last value"),
            (walk(120, 0.25), 0.7, "forecast here", "30 % less than repeating the last value, yet still far off"),
            (walk(120, 0.06), 0.7, "forecast here", "30 % less than"),
            (walk(120, 0.06), 1.0, "forecast here", "no less than repeating the last value"),
            (season(120, 6), 0.2, "forecast here", "the free engine was off by only"),
            (walk(120, 0.004), 3.0, "forecast here", "repeating the last value was off by only"),
        ],
        ids=["no better, far", "worse, far", "better, far", "better", "no better", "close", "worse, rule close"],
    )
    def test_the_advice_rests_on_the_engines_error(
        self, values: Sequence[float], share: float, recommended: str, because: str
    ) -> None:
        found = with_engine(values, 6, share)

        assert found.recommendation == recommended
        assert because in found.reason

    def test_what_drivers_add_is_not_promised(self) -> None:
        found = with_engine(walk(120, 0.25), 6, 1.0)

        assert "1 series of 5, by 23 %, changed nothing for 2 and made 2 worse" in found.reason

    def test_values_around_zero_are_compared_in_their_unit(self) -> None:
        found = with_engine([value - 100 for value in season(120, 4)], 6, 0.5)

        assert found.engine_error is None
        assert found.recommendation == "forecast here"
        assert f"the embedded engine by {found.engine_mae:.4g} (no percentage" in evidence(found)


class TestBySimpleRules:
    """The engine was not measured."""

    def test_a_seasonal_series_is_forecast_here(self) -> None:
        found = triage(monthly(season(120, 4)), 6)
        assert found.recommendation == "forecast here"
        assert "season" in found.reason
        assert evidence(found).startswith("The last 12 times, 6 months ahead: repeating the last value was off by ")

    def test_a_series_that_simple_rules_hardly_catch_may_be_worth_paying_for(self) -> None:
        found = triage(monthly(walk(120, 0.25)), 6)
        assert found.recommendation == "pay for the forecast"
        assert "unknown until a backtest" in found.reason
        assert "By simple rules alone" in found.reason

    def test_where_little_is_left_to_gain_nothing_need_be_paid(self) -> None:
        found = triage(monthly(walk(120, 0.004)), 3)
        assert found.recommendation == "forecast here"
        assert "little is left to gain" in found.reason

    @pytest.mark.parametrize("values", [season(120, 4), walk(120, 0.25), walk(120, 0.004)])
    def test_why_it_was_not_measured_is_said_and_nothing_is_claimed(self, values: Sequence[float]) -> None:
        found = triage(monthly(values), 6, NotMeasured("it is busy with other work"))

        assert (found.engine_error, found.engine_mae, found.engine_held_80, found.engine_counted_80) == (None,) * 4
        assert found.engine_not_measured == "it is busy with other work"
        assert evidence(found).endswith("; the embedded engine: not measured, it is busy with other work.")
        assert "engine was off" not in found.reason


class TestKind:
    def test_strengths_and_intermittency_are_measured(self) -> None:
        seasonal, sparse = triage(monthly(season(120, 4)), 6), triage(monthly([0.0, 0.0, 3.0, 0.0, 5.0] * 15), 3)

        assert seasonal.season_strength is not None
        assert seasonal.season_strength > 0.9
        assert seasonal.trend_strength is not None
        assert (seasonal.intermittent, sparse.intermittent) == (False, True)
        assert triage(monthly(season(35, 1)), 3).season_strength is None


class TestWorthMeasuring:
    @pytest.mark.parametrize(("months", "horizon"), [(40, 3), (60, 6), (120, 12), (119, 6)])
    def test_the_origins_are_those_of_the_simple_rules(self, months: int, horizon: int) -> None:
        origins = origins_to_measure(monthly(season(months, 4)), horizon)

        assert len(origins) == triage(monthly(season(months, 4)), horizon).origins == 12
        assert origins[-1] == months - horizon

    @pytest.mark.parametrize(
        ("values", "horizon"), [([5.0] * 60, 3), (season(39, 1), 3), (season(97, 1), 12), ([1.0], 1)]
    )
    def test_a_constant_and_a_short_series_tell_nothing(self, values: Sequence[float], horizon: int) -> None:
        assert len(origins_to_measure(monthly(values), horizon)) == 0


def test_a_constant_is_forecast_here() -> None:
    assert triage(monthly([5.0] * 60), 3).recommendation == "forecast here"


def test_mostly_zeros_ask_for_more_data() -> None:
    found = triage(monthly([0.0, 0.0, 3.0, 0.0, 5.0] * 15), 3, Hindcast(1.0, 30, 36))
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
    assert "No past forecast could be tried" in evidence(found)


def test_values_around_zero_get_no_percentage() -> None:
    found = triage(monthly([value - 100 for value in season(120, 4)]), 6)
    assert (found.last_value_error, found.seasonal_naive_error) == (None, None)
    assert found.seasonal_naive_mae is not None
    assert "no percentage" in evidence(found)


@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=80),
    st.integers(1, 12),
    st.none() | st.just(NotMeasured("it failed")) | st.builds(Hindcast, st.floats(0, 1e308), st.just(30), st.just(36)),
)
def test_any_finite_series_gets_an_answer_whose_reason_is_one_sentence(
    values: list[float], horizon: int, engine: Hindcast | NotMeasured | None
) -> None:
    found = triage(monthly(values), horizon, engine if origins_to_measure(monthly(values), horizon) else None)
    assert 0 <= found.origins <= 12
    assert len(evidence(found).splitlines()) == len(advice(found).splitlines()) == 1
    assert found.reason.endswith(".")
    assert ". " not in found.reason
    errors = (found.last_value_mae, found.seasonal_naive_mae, found.last_value_error, found.engine_error)
    assert all(error is None or math.isfinite(error) for error in errors)


def test_a_hundred_and_twenty_points_take_ten_milliseconds() -> None:
    points = monthly(season(120, 4))
    assert cpu_seconds(lambda: triage(points, 12), rounds=10) < 0.01
