"""From a request to its artifacts: their shape, and what each field of the request does to them."""

import json

import numpy as np
import pytest

from sybilion_mcp.engine.pipeline import run_pipeline

from .made_up import KEYS, Data, driven, months, quantile_rows, request, run, seasonal, walk

BUDGETS = ("none", "low", "mid", "high")


class TestForecast:
    def test_it_has_the_months_after_the_data_and_19_quantiles(self) -> None:
        forecast = run(walk(), soft_horizon=6)["forecast.json"]

        expected = months(6, last=(2026, 11))
        assert list(forecast["forecast_series"]) == expected
        assert (forecast["forecast_start"], forecast["forecast_end"]) == (expected[0], expected[-1])
        assert (forecast["forecast_horizon"], forecast["last_valid_data_index"]) == (6, "2026-05-01")
        for entry in forecast["forecast_series"].values():
            assert list(entry["quantile_forecast"]) == KEYS

    def test_a_season_is_carried_on(self) -> None:
        values = [100 + 30 * float(np.sin(index * np.pi / 6)) for index in range(84)]

        forecast = run(values, soft_horizon=12)["forecast.json"]["forecast_series"]

        assert [month["forecast"] for month in forecast.values()] == pytest.approx(values[:12], abs=5)

    def test_a_trend_is_carried_on(self) -> None:
        values = [100 + 2 * index + value for index, value in enumerate(walk(72))]

        forecast = run(values, soft_horizon=6)["forecast.json"]["forecast_series"]

        assert list(forecast.values())[5]["forecast"] > values[-1] + 4

    def test_models_used_are_named_with_their_weights(self) -> None:
        info = run()["forecast.json"]["pipeline_info"]

        assert "DynamicOptimizedTheta" in info["models"]
        assert sum(info["models"].values()) == pytest.approx(1.0, abs=1e-4)
        assert info["models_left_out"] == []

    def test_a_small_series_keeps_its_digits(self) -> None:
        plain, tiny = (
            run([value * unit for value in seasonal()])["forecast.json"]["forecast_series"] for unit in (1, 2.0**-60)
        )

        assert [month["forecast"] * 2.0**60 for month in tiny.values()] == pytest.approx(
            [month["forecast"] for month in plain.values()], rel=1e-5
        )


class TestArtifacts:
    def test_they_are_those_of_the_api(self) -> None:
        values = [2.0 * index + value for index, value in enumerate(walk(48))]

        assert set(run(values)) == {"forecast.json", "external_signals.json", "input.json"}
        assert set(run(values, backtest=True)) == {
            "forecast.json",
            "external_signals.json",
            "input.json",
            "backtest_metrics.json",
            "backtest_trajectories.json",
        }

    def test_input_is_the_request_without_unknown_fields(self) -> None:
        assert run(soft_horizon=4, unknown={"a": 1})["input.json"] == request(soft_horizon=4)

    def test_without_drivers_there_are_none(self) -> None:
        assert run()["external_signals.json"] == {}

    def test_each_is_json_in_an_envelope_with_a_version(self) -> None:
        for name, content in run_pipeline(request(backtest=True)).items():
            envelope = json.loads(content)
            assert name == "input.json" or set(envelope) == {"version", "data"}


class TestBudget:
    """More effort: a longer look back, slower models, more links."""

    @pytest.fixture(scope="class")
    @staticmethod
    def infos() -> dict[str, Data]:
        """By budget: how the forecast of a driven series came about."""
        target, aux, _ = driven(4, 3, decoys=1, count=60)
        found = {}
        for budget in BUDGETS:
            artifacts = run(target, aux_timeseries=aux, optimization_budget=budget)
            found[budget] = artifacts["forecast.json"]["pipeline_info"]
        return found

    def test_all_give_a_driven_forecast(self, infos: dict[str, Data]) -> None:
        assert all(info["drivers_in_forecast"] and info["models"] for info in infos.values())

    def test_slow_models_join_from_the_middle_on(self, infos: dict[str, Data]) -> None:
        models = {budget: set(info["models"]) for budget, info in infos.items()}

        assert models["none"] == models["low"]
        assert "AutoARIMA" in models["mid"] - models["low"]
        assert models["high"] >= models["mid"]

    def test_without_one_it_is_none(self) -> None:
        assert run(optimization_budget="none")["forecast.json"] == run()["forecast.json"]

    def test_a_longer_look_back_changes_the_weights(self) -> None:
        none, low = (
            run(walk(110), optimization_budget=budget)["forecast.json"]["pipeline_info"]["models"]
            for budget in ("none", "low")
        )

        assert set(none) == set(low)
        assert none != low

    def test_a_slow_model_that_fails_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(*_: object, **__: object) -> None:
            raise ValueError("no forecast today")

        monkeypatch.setattr("statsforecast.models.AutoARIMA.fit", broken)

        info = run(walk(48), optimization_budget="mid")["forecast.json"]["pipeline_info"]

        assert info["models_left_out"] == ["AutoARIMA"]


class TestBaseline:
    """The error without drivers stands beside that of the forecast, asked for or not."""

    def test_asking_for_it_leaves_the_forecast_as_it_is(self) -> None:
        target, aux, _ = driven(4, 3, decoys=0, count=60)

        plain, both = (run(target, aux_timeseries=aux, run_baseline=wanted) for wanted in (False, True))

        assert both["external_signals.json"] == plain["external_signals.json"] != {}
        assert both["forecast.json"] == plain["forecast.json"]

    def test_without_drivers_it_is_the_forecast_itself(self) -> None:
        info = run(walk(48), run_baseline=True)["forecast.json"]["pipeline_info"]

        assert info["baseline_relative_error"] == info["ladder"][-1]["relative_error"]


def test_recency_weighs_the_errors_of_models() -> None:
    remembering, forgetting = (
        run(walk(96), recency_factor=factor)["forecast.json"]["pipeline_info"]["models"] for factor in (0.0, 1.0)
    )

    assert set(remembering) == set(forgetting)
    assert remembering != forgetting


def test_the_forecast_does_not_depend_on_the_backtest() -> None:
    plain, tested = (run(seasonal(), backtest=wanted)["forecast.json"] for wanted in (False, True))
    assert plain["pipeline_info"].pop("baseline_backtest_mae") is None
    assert tested["pipeline_info"].pop("baseline_backtest_mae") > 0

    assert quantile_rows(tested["forecast_series"]) == quantile_rows(plain["forecast_series"])
    assert tested == plain
