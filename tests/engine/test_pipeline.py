"""From a request to its artifacts: shapes, bands, honest backtests, hostile series."""

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sybilion_mcp.engine.pipeline import run_pipeline

from .made_up import months, quantile_rows, request, seasonal

Data = dict  # the decoded `data` of an artifact

HOSTILE: dict[str, list[float]] = {
    "constant": [7.0] * 60,
    "zero": [0.0] * 60,
    "one spike": [0.0] * 59 + [9.0],
    "one spike long ago": [3.0] * 10 + [900.0] + [3.0] * 49,
    "step": [1.0] * 50 + [1e6] * 10,
    "five values repeated": [1.0, 5.0, 2.0, 8.0, 3.0] * 12,
    "alternating sign": [1.0, -1.0] * 30,
    "tiny": [value * 1e-302 for value in seasonal()],
    "huge": [value * 1e305 for value in seasonal()],
    "huge and both signs": [1.7e308, -1.7e308] * 30,
    "all magnitudes": [10.0**power for power in range(-300, 300, 10)],
    "negative": [-value for value in seasonal()],
    "intermittent": [0.0, 0.0, 4.0, 0.0, 6.0, 0.0] * 10,
    "trailing zeros": [*seasonal(48), *[0.0] * 12],
    "40 points": seasonal(40),
    "13 points": seasonal(13),
    "flat, then one step": [4.0] * 57 + [9.0] * 3,
    "integers": [float(index) for index in range(60)],
}


def run(**arguments: object) -> dict[str, Data]:
    """The artifacts by name, `data` taken out of its envelope; NaN and infinity would not parse."""

    def refuse(constant: str) -> float:
        raise AssertionError(f"{constant} in an artifact")

    decoded = {
        name: json.loads(content, parse_constant=refuse) for name, content in run_pipeline(request(**arguments)).items()
    }
    return {name: content if name == "input.json" else content["data"] for name, content in decoded.items()}


class TestForecast:
    def test_it_has_the_months_after_the_data_and_19_quantiles(self) -> None:
        forecast = run(soft_horizon=6)["forecast.json"]

        expected = months(6, last=(2026, 11))
        assert list(forecast["forecast_series"]) == expected
        assert (forecast["forecast_start"], forecast["forecast_end"]) == (expected[0], expected[-1])
        assert (forecast["forecast_horizon"], forecast["last_valid_data_index"]) == (6, "2026-05-01")
        keys = list(forecast["forecast_series"][expected[0]]["quantile_forecast"])
        assert keys == [f"{step / 20:.2f}" for step in range(1, 20)]

    def test_the_horizon_is_the_top_of_the_ladder(self) -> None:
        both = run(soft_horizon=5, hard_horizon=2)["forecast.json"]
        hard = run(soft_horizon=None, hard_horizon=2)["forecast.json"]

        assert (both["forecast_horizon"], hard["forecast_horizon"]) == (5, 2)

    def test_a_season_is_carried_on(self) -> None:
        values = [100 + 30 * float(np.sin(index * np.pi / 6)) for index in range(120)]

        forecast = run(values=values, soft_horizon=12)["forecast.json"]["forecast_series"]

        assert [month["forecast"] for month in forecast.values()] == pytest.approx(values[:12], abs=3)

    def test_the_median_is_the_forecast_and_bands_widen_with_the_horizon(self) -> None:
        forecast = run(values=seasonal(120), soft_horizon=12)["forecast.json"]["forecast_series"]

        rows = quantile_rows(forecast)
        assert [row[9] for row in rows] == [month["forecast"] for month in forecast.values()]
        assert all(below <= above for row in rows for below, above in pairwise(row))
        ratios = [row[17] / row[1] for row in rows]
        assert all(earlier < later for earlier, later in pairwise(ratios))

    def test_models_used_are_named(self) -> None:
        info = run()["forecast.json"]["pipeline_info"]

        assert "DynamicOptimizedTheta" in info["models"]
        assert info["models_left_out"] == []

    def test_a_model_that_raises_is_left_out_and_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(*_: object, **__: object) -> None:
            raise ValueError("no forecast today")

        monkeypatch.setattr("statsforecast.models.AutoCES.forecast", broken)
        whole = run()["forecast.json"]

        assert whole["pipeline_info"]["models_left_out"] == ["AutoCES"]
        assert len(whole["forecast_series"]) == 3

    def test_sporadic_demand_gets_models_of_its_own(self) -> None:
        info = run(values=HOSTILE["intermittent"])["forecast.json"]["pipeline_info"]

        assert "CrostonSBA" in info["models"]

    def test_strictly_positive_clamps_at_zero(self) -> None:
        values = [float(59 - index) for index in range(60)]
        arguments = {"values": values, "soft_horizon": 6, "backtest": True}

        free = run(**arguments)
        clamped = run(**arguments, strictly_positive=True)

        assert min(map(min, quantile_rows(free["forecast.json"]["forecast_series"]))) < 0
        assert min(map(min, quantile_rows(clamped["forecast.json"]["forecast_series"]))) == 0
        for window in clamped["backtest_trajectories.json"]:
            assert min(map(min, quantile_rows(window["forecast_series"]))) >= 0

    def test_input_is_the_request_without_unknown_fields(self) -> None:
        seen = run(soft_horizon=4, unknown={"a": float("nan")})["input.json"]

        assert seen == request(soft_horizon=4)

    def test_the_same_request_gives_the_same_bytes(self) -> None:
        body = request(backtest=True)

        assert run_pipeline(body) == run_pipeline(body)

    def test_the_order_of_the_months_does_not_matter(self) -> None:
        body = request()
        backwards = {**body, "timeseries": dict(reversed(list(body["timeseries"].items())))}

        assert run_pipeline(body)["forecast.json"] == run_pipeline(backwards)["forecast.json"]


class TestBacktest:
    def test_windows_are_the_last_twelve_whose_months_have_all_come(self) -> None:
        windows = run(values=seasonal(120), soft_horizon=6, backtest=True)["backtest_trajectories.json"]

        assert [window["forecast_start"] for window in windows] == months(120)[103:115]
        assert windows[-1]["forecast_end"] == months(120)[-1]

    def test_actuals_are_the_series_own(self) -> None:
        values = seasonal(60)
        truth = dict(zip(months(60), values, strict=True))

        for window in run(values=values, backtest=True)["backtest_trajectories.json"]:
            for month, entry in window["forecast_series"].items():
                assert entry["actual"] == pytest.approx(truth[month])

    def test_nothing_after_its_origin_reaches_a_window(self) -> None:
        values = seasonal(60)
        changed = [*values[:50], *[value * 3 for value in values[50:]]]

        before, after = (
            {
                window["forecast_start"]: window
                for window in run(values=one, backtest=True)["backtest_trajectories.json"]
            }
            for one in (values, changed)
        )

        for start in months(60)[46:51]:
            one, other = (
                {month: entry["quantile_forecast"] for month, entry in windows[start]["forecast_series"].items()}
                for windows in (before, after)
            )
            assert one == other

    def test_metrics_can_be_recomputed_from_the_windows(self) -> None:
        values = seasonal(72)
        index = {month: place for place, month in enumerate(months(72))}
        artifacts = run(values=values, backtest=True)

        errors, scaled = [], []
        for window in artifacts["backtest_trajectories.json"]:
            entries = window["forecast_series"].values()
            error = np.mean([abs(entry["actual"] - entry["quantile_forecast"]["0.50"]) for entry in entries])
            history = np.array(values[: index[window["forecast_start"]]])
            errors.append(error)
            scaled.append(error / np.mean(np.abs(history[12:] - history[:-12])))
        metrics = artifacts["backtest_metrics.json"]
        assert set(metrics) == {"6m", "12m"}
        assert set(metrics["12m"]["metrics"]) == {"MAE", "MAPE", "MASE", "RMSE", "RMSSE"}
        assert metrics["12m"]["metrics"]["MAE"] == pytest.approx(np.mean(errors), rel=1e-4)
        assert metrics["12m"]["metrics"]["MASE"] == pytest.approx(np.mean(scaled), rel=1e-4)
        assert metrics["6m"]["metrics"]["MAE"] == pytest.approx(np.mean(errors[-6:]), rel=1e-4)

    def test_bands_hold_roughly_what_they_promise(self) -> None:
        held = []
        for seed in range(8):
            for window in run(values=seasonal(90, seed), backtest=True)["backtest_trajectories.json"]:
                for entry in window["forecast_series"].values():
                    band = entry["quantile_forecast"]
                    held.append(band["0.10"] <= entry["actual"] <= band["0.90"])

        assert 0.7 <= np.mean(held) <= 0.95


class TestHostileSeries:
    @pytest.mark.parametrize("name", HOSTILE)
    def test_artifacts_are_finite_and_bands_monotone(self, name: str) -> None:
        artifacts = run(values=HOSTILE[name], backtest=True)

        tables = [artifacts["forecast.json"], *artifacts["backtest_trajectories.json"]]
        for table in tables:
            for row in quantile_rows(table["forecast_series"]):
                assert all(below <= above for below, above in pairwise(row))

    def test_1200_points_are_taken(self) -> None:
        assert run(values=seasonal(1200), soft_horizon=12)["forecast.json"]["forecast_horizon"] == 12

    @pytest.mark.parametrize("name", ["constant", "zero"])
    def test_a_constant_series_stays_what_it_is(self, name: str) -> None:
        value = HOSTILE[name][0]

        forecast = run(values=HOSTILE[name], backtest=True)["forecast.json"]["forecast_series"]

        assert {number for row in quantile_rows(forecast) for number in row} == {value}

    def test_a_level_shift_leaves_bands_open(self) -> None:
        forecast = run(values=HOSTILE["flat, then one step"], backtest=True)["forecast.json"]["forecast_series"]

        assert all(row[0] < row[9] < row[18] for row in quantile_rows(forecast))

    def test_a_small_series_keeps_its_digits(self) -> None:
        plain = run(values=seasonal())["forecast.json"]["forecast_series"]
        tiny = run(values=[value * 2.0**-60 for value in seasonal()])["forecast.json"]["forecast_series"]

        assert [month["forecast"] * 2.0**60 for month in tiny.values()] == pytest.approx(
            [month["forecast"] for month in plain.values()], rel=1e-5
        )

    @given(
        st.lists(
            st.one_of(
                st.floats(allow_nan=False, allow_infinity=False),
                st.floats(-1e3, 1e3),
                st.sampled_from([0.0, 0.0, 1.0, -0.0, 5e-324, 1.7976931348623157e308]),
            ),
            min_size=40,
            max_size=60,
        )
    )
    @settings(max_examples=25, deadline=None)
    def test_any_finite_numbers_give_finite_artifacts(self, values: list[float]) -> None:
        forecast = run(values=values)["forecast.json"]["forecast_series"]

        for row in quantile_rows(forecast):
            assert all(below <= above for below, above in pairwise(row))
