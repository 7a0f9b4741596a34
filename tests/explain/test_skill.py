"""The error of past forecasts: every definition on numbers that can be checked by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sybilion_mcp.contract.artifacts import read_backtest_trajectories, read_input
from sybilion_mcp.explain.backtest import Skill, judge

from .made_up import input_of, trajectories_of, window_of

SEASON = [10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 100.0, 110.0, 120.0]
HISTORY = SEASON + [value + 12 for value in SEASON]  # 2024-05 … 2026-04, every lag-12 difference is 12


def skill_of(*windows: dict[str, object], history: list[float] = HISTORY) -> Skill:
    return judge(read_backtest_trajectories(trajectories_of(*windows)), read_input(input_of(history)))


def test_the_numbers_of_one_window_by_hand() -> None:
    """Origin 2026-02: a year ago 100, 110; last value 2026-01 = 102; actuals 112 and 122."""
    skill = skill_of(window_of("2026-02", [(112, 106), (122, 125)], half=4.5))

    assert (skill.windows_used, skill.windows_left_out) == (1, 0)
    assert skill.mae == pytest.approx((6 + 3) / 2)
    assert skill.mape == pytest.approx((100 * 6 / 112 + 100 * 3 / 122) / 2)
    assert skill.mase == pytest.approx(4.5 / 12)
    assert skill.relative_to_seasonal_naive == pytest.approx(4.5 / 12)
    assert skill.relative_to_last_value == pytest.approx(4.5 / ((10 + 20) / 2))
    assert skill.bias == pytest.approx((-6 + 3) / 2)
    assert (skill.held_80.held, skill.held_80.counted) == (1, 2)
    assert (skill.held_90.held, skill.held_90.counted) == (1, 2)
    assert (skill.verdict, skill.rival) == ("better", "seasonal naive")


def test_a_window_with_a_missing_actual_is_left_out_as_a_whole() -> None:
    whole = window_of("2026-01", [(102, 102)])
    stale = window_of("2026-04", [(132, 0), (None, 0)])

    skill = skill_of(whole, stale)

    assert (skill.windows_used, skill.windows_left_out) == (1, 1)
    assert skill.mae == 0


def test_a_window_without_forecasts_or_months_is_left_out() -> None:
    blind = {"forecast_start": "2026-01-01", "forecast_series": {"2026-01-01": {"actual": 102}}}

    assert skill_of(blind, {"forecast_start": "2026-01-01"}).windows_left_out == 2


def test_only_the_history_before_the_origin_is_known_to_the_rivals() -> None:
    """Origin 2025-06: one year of history, 13 months, one lag-12 difference; the last value is 22."""
    skill = skill_of(window_of("2025-06", [(32, 32)]))

    assert skill.windows[0].last_value_mae == pytest.approx(abs(32 - 22))
    assert skill.windows[0].seasonal_naive_mae == pytest.approx(abs(32 - 20))
    assert skill.windows[0].mase == 0


def test_without_a_year_of_history_the_seasonal_rival_is_unknown() -> None:
    skill = skill_of(window_of("2024-08", [(40, 41)]))

    assert (skill.mase, skill.relative_to_seasonal_naive) == (None, None)
    assert skill.relative_to_last_value == pytest.approx(1 / 10)
    assert (skill.verdict, skill.rival) == ("better", "repeating the last value")


def test_beyond_twelve_months_the_season_before_last_stands_in() -> None:
    actual = [(value, value) for value in [12.0] * 13]
    skill = skill_of(window_of("2025-05", actual))

    expected = [abs(12 - value) for value in [*SEASON, SEASON[0]]]
    assert skill.windows[0].seasonal_naive_mae == pytest.approx(sum(expected) / 13)


def test_without_a_series_there_is_no_verdict() -> None:
    skill = skill_of(window_of("2026-02", [(112, 106)]), history=[])

    assert skill.mae == 6
    assert (skill.mase, skill.relative_to_last_value, skill.verdict, skill.rival) == (None, None, "unknown", None)


def test_without_windows_nothing_is_known() -> None:
    skill = skill_of()

    assert (skill.windows_used, skill.mae, skill.mape, skill.bias) == (0, None, None, None)
    assert skill.held_80.share is None
    assert skill.verdict == "unknown"


@pytest.mark.parametrize(
    ("error", "verdict"),
    [(9.4, "better"), (9.5, "same"), (10.0, "same"), (10.5, "same"), (10.6, "worse")],
)
def test_within_five_percent_of_the_better_rival_is_the_same(error: float, verdict: str) -> None:
    """At 2026-02 the last value is off by 10, seasonal naive by 12: the last value is the better rival."""
    skill = skill_of(window_of("2026-02", [(112, 112 + error)]))

    assert (skill.verdict, skill.rival) == (verdict, "repeating the last value")


def test_against_a_rival_without_error_only_a_perfect_forecast_is_the_same() -> None:
    flat = [5.0] * 24
    perfect = skill_of(window_of("2026-02", [(5, 5)]), history=flat)
    close = skill_of(window_of("2026-02", [(5, 5.001)]), history=flat)

    assert (perfect.verdict, perfect.relative_to_last_value, perfect.mase) == ("same", 1.0, None)
    assert (close.verdict, close.relative_to_last_value) == ("worse", math.inf)


def test_months_without_sales_have_no_percentage_error() -> None:
    some = skill_of(window_of("2026-02", [(0, 5), (100, 90)]))
    none = skill_of(window_of("2026-02", [(0, 5)]))

    assert some.mape == pytest.approx(10)
    assert none.mape is None


def test_a_band_counts_only_where_both_of_its_quantiles_are_given() -> None:
    window = {
        "forecast_series": {
            "2026-02-01": {"actual": 112, "quantile_forecast": {"0.1": 100, "0.5": 110, "0.9": 120}},
            "2026-03-01": {"actual": 122, "quantile_forecast": {"0.10": 100, "0.5": 110, "0.90": 120}},
        }
    }
    skill = skill_of(window)

    assert (skill.held_80.held, skill.held_80.counted) == (1, 2)
    assert skill.held_90.counted == 0


values = st.floats(min_value=-1e6, max_value=1e6)


@given(
    history=st.lists(values, max_size=40),
    windows=st.lists(st.lists(st.tuples(st.none() | values, values), min_size=1, max_size=4), max_size=4),
)
def test_whatever_the_numbers_the_score_adds_up(
    history: list[float], windows: list[list[tuple[float | None, float]]]
) -> None:
    skill = skill_of(*(window_of("2026-05", pairs) for pairs in windows), history=history)

    complete = [pairs for pairs in windows if all(actual is not None for actual, _ in pairs)]
    assert skill.windows_used == len(complete)
    assert skill.windows_used + skill.windows_left_out == len(windows)
    assert skill.held_80.held <= skill.held_90.held <= skill.held_90.counted == sum(map(len, complete))
    assert (skill.verdict == "unknown") == (not complete or not history)
    if skill.mae is not None and skill.bias is not None:
        assert abs(skill.bias) <= skill.mae * (1 + 1e-9)
