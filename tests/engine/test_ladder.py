"""The ladder: from the soft horizon down to the first that is good, and without drivers when none is."""

import numpy as np
import pytest

from .made_up import Data, driven, months, run, series


def zigzag(count: int = 72, seed: int = 1) -> list[float]:
    """Up for some months, down for some: the next month is easy, the next year hopeless."""
    rng = np.random.default_rng(seed)
    values, step = [100.0], 1.0
    while len(values) < count:
        values.extend(values[-1] + np.cumsum(step + rng.normal(0, 0.1, int(rng.integers(5, 10)))))
        step = -step
    return [float(value) for value in values[:count]]


def reverting(count: int = 72, seed: int = 1) -> list[float]:
    """Each month takes back most of what the one before added: any model beats a naive forecast at any horizon."""
    rng = np.random.default_rng(seed)
    values = rng.normal(0, 1.5, count)
    for month in range(1, count):
        values[month] -= 0.8 * values[month - 1]
    return [float(value) for value in 100 + values]


def climbed(values: list[float], **changes: object) -> tuple[int, Data]:
    """The horizon of the forecast and its pipeline_info, which must agree."""
    artifacts = run(values, **changes)
    forecast = artifacts["forecast.json"]
    info: Data = forecast["pipeline_info"]
    assert forecast["forecast_horizon"] == len(forecast["forecast_series"]) == info["ladder"][-1]["horizon"]
    assert ("info.json" in artifacts) is info["driverless_fallback"]
    return forecast["forecast_horizon"], info


class TestSteps:
    def test_a_series_that_is_good_at_the_top_stays_there(self) -> None:
        horizon, info = climbed(reverting(), soft_horizon=12, hard_horizon=2)

        assert horizon == 12
        assert [rung["good"] for rung in info["ladder"]] == [True]
        assert info["ladder"][0]["relative_error"] < 1
        assert info["driverless_fallback"] is False

    def test_hopeless_long_horizons_are_stepped_down_one_by_one(self) -> None:
        horizon, info = climbed(zigzag(), soft_horizon=12, hard_horizon=1)

        assert 1 < horizon < 12
        assert [rung["horizon"] for rung in info["ladder"]] == list(range(12, horizon - 1, -1))
        assert [rung["good"] for rung in info["ladder"]] == [False] * (12 - horizon) + [True]
        assert info["ladder"][0]["relative_error"] > info["ladder"][-1]["relative_error"]
        assert info["driverless_fallback"] is False

    def test_when_nothing_is_good_it_ends_at_the_hard_horizon(self) -> None:
        horizon, info = climbed(zigzag(), soft_horizon=12, hard_horizon=10)

        assert horizon == 10
        assert [rung["good"] for rung in info["ladder"]] == [False] * 3
        assert (info["driverless_fallback"], info["drivers_in_forecast"]) == (True, False)

    @pytest.mark.parametrize("field", ["soft_horizon", "hard_horizon"])
    def test_a_horizon_alone_is_top_and_bottom(self, field: str) -> None:
        alone = {"soft_horizon": None, "hard_horizon": None, field: 12}

        horizon, info = climbed(zigzag(), **alone)

        assert horizon == 12
        assert [rung["horizon"] for rung in info["ladder"]] == [12]
        assert info["driverless_fallback"] is True

    def test_a_series_too_short_to_judge_stays_at_the_top(self) -> None:
        horizon, info = climbed(zigzag(19), soft_horizon=6, hard_horizon=2)

        assert horizon == 6
        assert info["ladder"] == [{"horizon": 6, "relative_error": None, "good": True}]


def test_the_fallback_takes_the_drivers_away() -> None:
    values = zigzag()
    rng = np.random.default_rng(2)
    ahead = series(np.concatenate([values[3:], values[-1] + rng.normal(0, 1, 3)]) + rng.normal(0, 2.0, 72))
    changes = {"aux_timeseries": [ahead], "soft_horizon": 12}

    artifacts = run(values, **changes)

    info = artifacts["forecast.json"]["pipeline_info"]
    assert info["driverless_fallback"] is True
    assert info["drivers_in_forecast"] is False
    assert artifacts["external_signals.json"] == {}
    assert (
        artifacts["forecast.json"]["forecast_series"]
        == run(values, soft_horizon=12)["forecast.json"]["forecast_series"]
    )


def test_drivers_may_lift_the_horizon() -> None:
    target, aux, _ = driven(3, 6, decoys=0, count=84, noise=0.1)

    horizon, info = climbed(target, aux_timeseries=aux, soft_horizon=6, hard_horizon=1)

    assert horizon == 6
    assert info["drivers_in_forecast"] is True
    assert info["ladder"][0]["relative_error"] < 0.8


def test_the_windows_of_the_backtest_have_the_chosen_horizon() -> None:
    artifacts = run(zigzag(60, 2), soft_horizon=12, hard_horizon=2, backtest=True)

    chosen = artifacts["forecast.json"]["forecast_horizon"]
    windows = artifacts["backtest_trajectories.json"]
    assert chosen < 12
    assert {len(window["forecast_series"]) for window in windows} == {chosen}
    assert windows[-1]["forecast_end"] == months(60)[-1]


def test_a_baseline_is_told_beside_the_forecast() -> None:
    target, aux, _ = driven(4, 3, decoys=0, count=72)

    info = run(target, aux_timeseries=aux)["forecast.json"]["pipeline_info"]

    assert info["ladder"][-1]["relative_error"] < 0.9 * info["baseline_relative_error"]
