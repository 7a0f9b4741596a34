"""The bands: in order, as wide as the past was wrong, never collapsed without need."""

from collections.abc import Sequence

import numpy as np
import pytest

from .made_up import assert_sound, driven, quantile_rows, run, seasonal, walk

LAST_STEP = [4.0] * 57 + [9.0] * 3


def rows(values: Sequence[float], **changes: object) -> np.ndarray:
    """The quantiles of the forecast, one row for each month ahead."""
    return np.array(quantile_rows(run(values, **changes)["forecast.json"]["forecast_series"]))


class TestShape:
    def test_19_quantiles_in_order_around_the_forecast(self) -> None:
        artifacts = run(seasonal(72), soft_horizon=12, backtest=True)

        assert_sound(artifacts)
        assert len(artifacts["backtest_trajectories.json"]) == 12

    @pytest.mark.parametrize("values", [seasonal(72), walk(72)], ids=["season", "walk"])
    def test_they_widen_with_the_horizon(self, values: list[float]) -> None:
        found = rows(values, soft_horizon=12)

        widths = np.log(found[:, 17] / found[:, 1])
        assert np.all(np.diff(widths) > 0)

    def test_a_noisier_series_has_wider_ones(self) -> None:
        calm, wild = (rows([100 + size * (value - 100) for value in walk(60)]) for size in (1, 5))

        assert np.all(wild[:, 17] - wild[:, 1] > 3 * (calm[:, 17] - calm[:, 1]))

    def test_a_driver_that_helps_narrows_them(self) -> None:
        target, aux, _ = driven(4, 3, decoys=0, count=72, noise=0.2)

        plain, with_driver = rows(target), rows(target, aux_timeseries=aux)

        assert np.all(with_driver[:, 17] - with_driver[:, 1] < 0.9 * (plain[:, 17] - plain[:, 1]))


FALLING = [float(47 - index) for index in range(48)]


class TestPositive:
    def test_strictly_positive_clamps_at_zero(self) -> None:
        free = run(FALLING, soft_horizon=6, backtest=True)
        clamped = run(FALLING, soft_horizon=6, backtest=True, strictly_positive=True)

        assert min(map(min, quantile_rows(free["forecast.json"]["forecast_series"]))) < 0
        assert min(map(min, quantile_rows(clamped["forecast.json"]["forecast_series"]))) == 0
        for window in clamped["backtest_trajectories.json"]:
            assert min(map(min, quantile_rows(window["forecast_series"]))) >= 0
        assert_sound(clamped)

    def test_it_leaves_alone_what_is_far_above_zero(self) -> None:
        assert np.array_equal(rows(seasonal(48)), rows(seasonal(48), strictly_positive=True))

    def test_a_ratio_scale_stays_above_zero_by_itself(self) -> None:
        rng = np.random.default_rng(3)
        values = [float(value) for value in np.exp(np.cumsum(rng.normal(0, 0.25, 60)))]

        assert np.all(rows(values, soft_horizon=12) > 0)


class TestFlatness:
    @pytest.mark.parametrize("value", [7.0, 0.0, -3.0, 1e-300, 1e300])
    def test_a_constant_series_stays_what_it_is(self, value: float) -> None:
        assert rows([value] * 60) == pytest.approx(value, rel=1e-5, abs=0)

    @pytest.mark.parametrize(
        "values",
        [
            [100.0, *[100.0] * 40, 101.0, *[100.0] * 18],
            [100.0 + 0.001 * (index % 2) for index in range(60)],
            [100.0] * 59 + [100.5],
            LAST_STEP,
        ],
        ids=["one odd month", "hardly moving", "moved at the end", "a step at the end"],
    )
    def test_a_nearly_constant_one_keeps_open_bands(self, values: list[float]) -> None:
        found = rows(values, backtest=True)

        assert np.all(found[:, 0] < found[:, 9])
        assert np.all(found[:, 9] < found[:, 18])

    def test_a_rare_jump_does_not_leave_the_middle_empty(self) -> None:
        values = [10.0 + 5.0 * (index // 12) for index in range(60)]

        found = rows(values)

        assert np.all(np.diff(found, axis=1) > 0)


class TestLevelShift:
    def test_a_shift_long_ago_is_not_expected_every_month(self) -> None:
        calm = walk(72)
        shifted = [value + 200 * (index >= 20) for index, value in enumerate(calm)]

        found = rows(shifted)

        assert found[:, 9] == pytest.approx(np.full(3, shifted[-1]), abs=10)
        assert np.all(found[:, 17] - found[:, 1] < 200)

    def test_a_fresh_one_moves_them_and_keeps_them_bounded(self) -> None:
        values = [value + 200 * (index >= 66) for index, value in enumerate(walk(72))]

        found = rows(values)

        assert np.all(found[:, 1] < values[-1])
        assert np.all(values[-1] < found[:, 17])
        assert np.all(np.abs(found - values[-1]) < 600)

    def test_no_band_reaches_much_beyond_what_ever_happened(self) -> None:
        values = walk(60)
        reach = max(values) - min(values)

        found = rows(values, soft_horizon=12)

        assert np.all(np.abs(found - found[:, 9:10]) < 2 * reach)


@pytest.mark.parametrize("kind", ["season", "walk"])
def test_they_hold_roughly_what_they_promise(kind: str) -> None:
    make = {"season": seasonal, "walk": walk}[kind]
    held = []
    for seed in range(3):
        for window in run(make(78, seed), backtest=True)["backtest_trajectories.json"]:
            for entry in window["forecast_series"].values():
                band = entry["quantile_forecast"]
                held.append(band["0.10"] <= entry["actual"] <= band["0.90"])

    assert 0.65 <= np.mean(held) <= 0.97
