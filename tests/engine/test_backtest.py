"""The backtest shows what the engine would have said: exactly, and from what was known then."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from sybilion_mcp.engine.candidate import Candidate

from .made_up import Data, candidate, driven, months, run, seasonal, series, walk

SHORT = 66


def windows(values: Sequence[float], folder: Sequence[Candidate] = (), **changes: object) -> dict[str, Data]:
    """The windows by the month they begin in: their forecasts and bands, by month."""
    found = run(values, folder, backtest=True, **changes)["backtest_trajectories.json"]
    return {window["forecast_start"]: said(window["forecast_series"]) for window in found}


def said(forecast: Mapping[str, Data]) -> Data:
    """What was forecast, without what came."""
    return {month: (entry["forecast"], entry["quantile_forecast"]) for month, entry in forecast.items()}


def cut(months: Mapping[str, float], before: str) -> dict[str, float]:
    return {month: value for month, value in months.items() if month < before}


class TestWindows:
    def test_they_are_the_last_twelve_whose_months_have_all_come(self) -> None:
        found = run(seasonal(80), soft_horizon=6, backtest=True)["backtest_trajectories.json"]

        assert [window["forecast_start"] for window in found] == months(80)[63:75]
        assert found[-1]["forecast_end"] == months(80)[-1]

    def test_actuals_are_the_series_own(self) -> None:
        values = seasonal(60)
        truth = series(values)

        for window in run(values, backtest=True)["backtest_trajectories.json"]:
            for month, entry in window["forecast_series"].items():
                assert entry["actual"] == pytest.approx(truth[month])

    def test_a_short_series_has_as_many_as_it_can(self) -> None:
        artifacts = run(walk(26), backtest=True)

        assert 0 < len(artifacts["backtest_trajectories.json"]) < 12
        assert "6m" in artifacts["backtest_metrics.json"]


class TestReplay:
    """A window is what the engine answers when asked at its origin, with everything cut there."""

    @pytest.mark.parametrize("values", [seasonal(SHORT), walk(SHORT)], ids=["season", "walk"])
    def test_without_drivers(self, values: list[float]) -> None:
        target = series(values)
        shown = windows(values, soft_horizon=4)

        for start in (min(shown), max(shown)):
            again = run(soft_horizon=4, timeseries=cut(target, start))["forecast.json"]
            assert said(again["forecast_series"]) == shown[start]

    @pytest.mark.parametrize("late", [0, 2], ids=["in time", "two months late"])
    def test_with_a_folder(self, late: int) -> None:
        target, aux, _ = driven(8, 4, decoys=1, count=72)
        all_months = months(72)
        folder = [
            candidate(f"s{number}", cut(one, all_months[72 - late] if late else "2100"))
            for number, one in enumerate(aux)
        ]
        shown = windows(target, folder)

        for place in (61, 69):
            start = all_months[place]
            known = [candidate(one.id, cut(one.months, all_months[place - late])) for one in folder]
            again = run(folder=known, timeseries=cut(series(target), start))["forecast.json"]
            assert again["pipeline_info"]["drivers_in_forecast"] is True
            assert said(again["forecast_series"]) == shown[start]

    def test_with_aux_series_and_one_that_is_too_young_at_first(self) -> None:
        target, aux, _ = driven(8, 3, decoys=0, count=80)
        young = candidate("young", dict(list(series(walk(80, 5)).items())[80 - 44 :]))
        shown = windows(target, [young], aux_timeseries=aux)

        for start in (months(80)[66], months(80)[77]):
            known = [candidate("young", cut(young.months, start))]
            changes = {"aux_timeseries": [cut(aux[0], start)], "timeseries": cut(series(target), start)}
            assert said(run(folder=known, **changes)["forecast.json"]["forecast_series"]) == shown[start]


class TestNoFuture:
    """Values after a window's origin do not change it."""

    @pytest.mark.parametrize("factor", [1e6, -1.0])
    def test_of_the_target(self, factor: float) -> None:
        values = seasonal(SHORT)
        origin = SHORT - 8
        changed = [*values[:origin], *[value * factor for value in values[origin:]]]

        before, after = windows(values), windows(changed)

        for start in months(SHORT)[origin - 4 : origin + 1]:
            assert after[start] == before[start]

    @pytest.mark.parametrize(("in_folder", "factor"), [(False, 1e6), (True, 0.0)], ids=["aux", "folder"])
    def test_of_a_driver(self, in_folder: bool, factor: float) -> None:
        target, aux, _ = driven(5, 2, decoys=0, count=62)
        start = months(62)[-8]

        def window(one: Mapping[str, float]) -> Data:
            if in_folder:
                return windows(target, [candidate("a", one)])[start]
            return windows(target, aux_timeseries=[one])[start]

        changed = {month: value * (factor if month >= start else 1) for month, value in aux[0].items()}
        assert window(changed) == window(aux[0]) != windows(target)[start]


class TestMetrics:
    @pytest.mark.parametrize("length", [72, 30], ids=["years", "months"])
    def test_each_window_s_can_be_recomputed(self, length: int) -> None:
        values = np.array(seasonal(length))
        index = {month: place for place, month in enumerate(months(length))}

        for window in run(values, backtest=True)["backtest_trajectories.json"]:
            expected = recomputed(window, values[: index[window["forecast_start"]]])
            assert window["metrics"] == pytest.approx(expected, rel=1e-4)

    def test_those_of_6_and_12_months_are_their_means(self) -> None:
        artifacts = run(seasonal(72), backtest=True)

        metrics = artifacts["backtest_metrics.json"]
        found = artifacts["backtest_trajectories.json"]
        assert set(metrics) == {"6m", "12m"}
        for name, inside in (("6m", found[-6:]), ("12m", found)):
            assert set(metrics[name]["metrics"]) == {"MAE", "MAPE", "MASE", "RMSE", "RMSSE"}
            for measure, value in metrics[name]["metrics"].items():
                assert value == pytest.approx(np.mean([one["metrics"][measure] for one in inside]), rel=1e-4)
            assert metrics[name]["forecast_start"] == inside[0]["forecast_start"]
            assert metrics[name]["forecast_end"] == inside[-1]["forecast_end"]

    def test_a_baseline_stands_beside_them(self) -> None:
        target, aux, _ = driven(4, 3, decoys=0, count=62)

        driven_run = run(target, aux_timeseries=aux, backtest=True, run_baseline=True)["backtest_metrics.json"]
        plain = run(target, backtest=True)["backtest_metrics.json"]

        for name in ("6m", "12m"):
            assert driven_run[name]["baseline_metrics"] == plain[name]["metrics"] != driven_run[name]["metrics"]
            assert "baseline_metrics" not in plain[name]

    def test_a_measure_that_would_divide_by_zero_is_left_out(self) -> None:
        metrics = run([0.0] * 60, backtest=True)["backtest_metrics.json"]["12m"]["metrics"]

        assert metrics == {"MAE": 0.0, "RMSE": 0.0}


def recomputed(window: Data, history: np.ndarray) -> dict[str, float]:
    """A window's metrics from its own months and the series before it."""
    entries = window["forecast_series"].values()
    actual = np.array([entry["actual"] for entry in entries])
    error = np.abs(actual - [entry["forecast"] for entry in entries])
    naive = np.abs(history[12:] - history[:-12])
    mae, rmse = np.mean(error), np.sqrt(np.mean(error**2))
    return {
        "MAE": mae,
        "RMSE": rmse,
        "MAPE": 100 * np.mean(error / np.abs(actual)),
        "MASE": mae / np.mean(naive),
        "RMSSE": rmse / np.sqrt(np.mean(naive**2)),
    }
