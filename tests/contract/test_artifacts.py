"""The readers survive every shape that real jobs have, and refuse what is not the artifact."""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sybilion_mcp.contract.artifacts import (
    ArtifactError,
    read_backtest_metrics,
    read_backtest_trajectories,
    read_external_signals,
    read_forecast,
    read_input,
)
from sybilion_mcp.contract.pipeline_info import PipelineInfo, Rung

READERS: dict[str, Callable[[object], object]] = {
    "forecast.json": read_forecast,
    "external_signals.json": read_external_signals,
    "backtest_trajectories.json": read_backtest_trajectories,
    "backtest_metrics.json": read_backtest_metrics,
    "input.json": read_input,
}


def envelope(data: object, version: object = "1.1") -> dict[str, object]:
    return {"version": version, "data": data}


def forecast_of(**months: object) -> dict[str, object]:
    """A forecast artifact; `m2026_05=…` is the entry of 2026-05-01."""
    series = {f"{name[1:].replace('_', '-')}-01": entry for name, entry in months.items()}
    return envelope({"forecast_series": series, "forecast_horizon": len(series)})


def driver(**fields: object) -> dict[str, object]:
    return envelope({"id-1": {"driver_name": "Energy - World", **fields}})


class TestForecast:
    def test_months_come_in_order_with_their_quantiles(self) -> None:
        forecast = read_forecast(
            forecast_of(m2026_06={"forecast": 2}, m2026_05={"forecast": 1, "quantile_forecast": {"0.10": 0.5}})
        )

        assert [month.month for month in forecast.months] == ["2026-05", "2026-06"]
        assert [month.forecast for month in forecast.months] == [1.0, 2.0]
        assert forecast.months[0].quantiles == {0.1: 0.5}
        assert forecast.horizon == 2

    @pytest.mark.parametrize("key", ["0.1", "0.10", "0.100", ".1", "1e-1"])
    def test_a_quantile_is_found_by_its_number_however_it_is_written(self, key: str) -> None:
        forecast = read_forecast(forecast_of(m2026_05={"forecast": 1, "quantile_forecast": {key: 0.5}}))

        assert forecast.months[0].quantiles[0.1] == 0.5

    @pytest.mark.parametrize("entry", [{"forecast": 3}, {"forecast": 3, "quantile_forecast": None}])
    def test_a_month_without_quantiles_has_none(self, entry: dict[str, object]) -> None:
        assert read_forecast(forecast_of(m2026_05=entry)).months[0].quantiles == {}

    def test_a_missing_point_forecast_is_the_median(self) -> None:
        entry = {"forecast": None, "quantile_forecast": {"0.40": 10, "0.60": 14}}

        assert read_forecast(forecast_of(m2026_05=entry)).months[0].forecast == pytest.approx(12)

    def test_a_month_with_neither_point_nor_quantiles_is_left_out(self) -> None:
        forecast = read_forecast(forecast_of(m2026_05={"forecast": 1}, m2026_06=None))

        assert [month.month for month in forecast.months] == ["2026-05"]

    def test_quantiles_that_are_no_probability_or_no_number_are_left_out(self) -> None:
        quantiles = {"0.5": 1, "median": 2, "50": 3, "nan": 4, "0.6": None, "0.7": "text", "0.8": float("nan")}
        forecast = read_forecast(forecast_of(m2026_05={"forecast": 1, "quantile_forecast": quantiles}))

        assert forecast.months[0].quantiles == {0.5: 1.0}

    @pytest.mark.parametrize("version", ["1", "1.0", "1.2", 1, 1.2, None])
    def test_any_minor_version_with_new_fields_reads(self, version: object) -> None:
        payload = envelope(
            {"forecast_series": {"2026-05-01": {"forecast": 1, "new": [1]}}, "last_valid_data_index": "2026-04-01"},
            version,
        )

        assert read_forecast({**payload, "also": "new"}).horizon == 1

    def test_a_forecast_without_any_value_is_refused(self) -> None:
        with pytest.raises(ArtifactError, match=r"forecast\.json: no month carries a forecast"):
            read_forecast(forecast_of(m2026_05={"forecast": None}))


class TestPipelineInfo:
    def info_of(self, given: object) -> PipelineInfo | None:
        months = {"2026-05-01": {"forecast": 1}}
        return read_forecast(envelope({"forecast_series": months, "pipeline_info": given})).info

    def test_what_the_embedded_engine_says_is_read(self) -> None:
        ladder = [
            {"horizon": 4, "relative_error": 1.2, "good": False},
            {"horizon": 3, "relative_error": None, "good": True},
        ]
        given = {"driverless_fallback": True, "drivers_in_forecast": False, "ladder": ladder}
        given["baseline_backtest_mae"] = 1.3
        folder = {"candidates_offered": 7, "candidates_too_short": ["a", "b"], "candidates_same_as_series": ["c"]}

        info = self.info_of({**given, **folder, "models": {"x": 1}})

        assert info == PipelineInfo(False, True, (Rung(4, 1.2, False), Rung(3, None, True)), 1.3, 7, ("a", "b"), ("c",))

    @pytest.mark.parametrize("given", [None, [], "text", 3])
    def test_the_api_says_nothing_of_the_kind(self, given: object) -> None:
        assert self.info_of(given) is None

    @pytest.mark.parametrize(
        "given",
        [
            {},
            {"drivers_in_forecast": "yes", "driverless_fallback": 1, "candidates_offered": True},
            {"candidates_offered": -1, "candidates_too_short": {"a": 1}, "ladder": {"horizon": 3}},
            {
                "candidates_offered": 3.0,
                "candidates_same_as_series": "c",
                "candidates_too_short": [1, None],
                "ladder": [None, 3, "x", {}],
            },
            {"candidates_offered": 10**30, "ladder": [{"horizon": 99, "good": True}, {"horizon": True, "good": False}]},
            {"ladder": [{"horizon": 3, "relative_error": 1.0, "good": "no"}]},
        ],
    )
    def test_what_has_another_type_counts_as_not_said(self, given: object) -> None:
        assert self.info_of(given) == PipelineInfo()

    def test_an_error_that_is_no_number_is_left_out(self) -> None:
        info = self.info_of({"ladder": [{"horizon": 3, "relative_error": float("nan"), "good": False}]})

        assert info == PipelineInfo(ladder=(Rung(3, None, False),))


class TestExternalSignals:
    def test_a_full_driver_keeps_the_names_of_the_api(self) -> None:
        payload = driver(
            importance={"horizon_1": {"0.0": 90.0}, "horizon_2": {"0.0": 90.0}, "overall": {"mean": 90.0}},
            direction={"horizon_0": {"0.0": -0.4}, "overall": {"mean": -0.4, "min": -0.4, "max": -0.4}},
            pearson_correlation={"lag_3": -0.2, "lag_1": -0.5, "overall": {"mean": -0.35}},
        )

        (found,) = read_external_signals(payload)

        assert (found.id, found.name) == ("id-1", "Energy - World")
        assert (found.importance, found.direction) == (90.0, -0.4)
        assert list(found.correlation.items()) == [(1, -0.5), (3, -0.2)]
        assert found.importance_by_horizon == {1: 90.0, 2: 90.0}

    def test_no_driver_at_all_is_an_empty_answer(self) -> None:
        assert read_external_signals(envelope({})) == ()
        assert read_external_signals(envelope(None)) == ()

    @pytest.mark.parametrize(
        "fields", [{}, {"importance": None, "direction": None, "pearson_correlation": None}, {"importance": {}}]
    )
    def test_a_driver_may_have_nothing_but_a_name(self, fields: dict[str, object]) -> None:
        (found,) = read_external_signals(driver(**fields))

        assert (found.importance, found.direction, dict(found.correlation)) == (None, None, {})

    @pytest.mark.parametrize("lag", ["0.0", "0", "lag_0"])
    def test_without_overall_the_mean_over_lags_is_taken(self, lag: str) -> None:
        payload = driver(importance={"horizon_1": {lag: 80.0, "3.0": 0.0}, "horizon_2": {lag: 80.0, "3.0": 0.0}})

        assert read_external_signals(payload)[0].importance == pytest.approx(40.0)

    def test_a_lag_counts_once_however_many_horizons_repeat_it(self) -> None:
        payload = driver(direction={"horizon_0": {"0.0": 0.3}, "horizon_1": {"3.0": 0.1}, "horizon_2": {"3.0": 0.1}})

        assert read_external_signals(payload)[0].direction == pytest.approx(0.2)

    def test_overall_may_be_a_bare_number(self) -> None:
        assert read_external_signals(driver(importance={"overall": 12}))[0].importance == 12.0

    def test_a_driver_that_is_null_is_left_out_and_one_without_a_name_has_none(self) -> None:
        (found,) = read_external_signals(envelope({"a": None, "b": {"driver_name": None}}))

        assert (found.id, found.name) == ("b", "")


class TestBacktestTrajectories:
    def window(self, **entry: object) -> dict[str, object]:
        return envelope([{"forecast_series": {"2025-04-01": entry}}])

    def test_the_median_is_the_forecast(self) -> None:
        payload = self.window(actual=5, forecast=9, quantile_forecast={"0.50": 4.0, "0.90": 6.0})
        (window,) = read_backtest_trajectories(payload)

        assert (window.months[0].actual, window.months[0].forecast) == (5.0, 4.0)

    @pytest.mark.parametrize(
        ("entry", "expected"),
        [
            ({"quantile_forecast": {"0.45": 1.0, "0.55": 2.0}}, 1.5),
            ({"quantile_forecast": {"0.2": 0.0, "0.6": 4.0}}, 3.0),
            ({"quantile_forecast": {"0.45": 1.0, "0.55": 2.0}, "forecast": 7}, 7.0),
            ({"forecast": 7}, 7.0),
            ({"quantile_forecast": {"0.6": 1.0}}, None),
            ({}, None),
        ],
    )
    def test_without_a_median_it_is_the_point_forecast_or_interpolated(
        self, entry: dict[str, object], expected: float | None
    ) -> None:
        forecast = read_backtest_trajectories(self.window(actual=1, **entry))[0].months[0].forecast

        assert forecast == (None if expected is None else pytest.approx(expected))

    @pytest.mark.parametrize("entry", [{"actual": None, "forecast": 1}, {"forecast": 1}, None])
    def test_an_actual_may_be_missing(self, entry: object) -> None:
        payload = envelope([{"forecast_series": {"2025-04-01": entry}}])

        assert read_backtest_trajectories(payload)[0].months[0].actual is None

    def test_windows_come_by_start_and_take_missing_dates_from_their_months(self) -> None:
        late = {"forecast_start": "2025-09-01", "forecast_end": "2025-10-01", "forecast_series": {}}
        early = {"forecast_series": {"2025-05-01": {"actual": 1}, "2025-04-01": {"actual": 1}}}

        windows = read_backtest_trajectories(envelope([late, None, early]))

        assert [(w.start, w.end) for w in windows] == [("2025-04", "2025-05"), ("2025-09", "2025-10")]

    @pytest.mark.parametrize("data", [None, {}, []])
    def test_no_windows_are_no_windows(self, data: object) -> None:
        assert read_backtest_trajectories(envelope(data)) == ()


class TestMetricsAndInput:
    def test_metrics_by_span(self) -> None:
        payload = envelope({"12m": {"metrics": {"MAE": 1, "MASE": None}, "tests": {}}, "24m": {"metrics": None}})

        assert read_backtest_metrics(payload) == {"12m": {"MAE": 1.0}, "24m": {}}
        assert read_backtest_metrics(envelope(None)) == {}

    def test_the_series_by_month_in_order_without_nulls(self) -> None:
        body = {"timeseries": {"2026-02-01": 2, "2026-01-01": 1, "2026-03-01": None}, "frequency": "monthly"}

        assert list(read_input(body).items()) == [("2026-01", 1.0), ("2026-02", 2.0)]
        assert read_input(envelope(body)) == read_input(body)


class TestRefusals:
    @pytest.mark.parametrize("artifact", READERS)
    @pytest.mark.parametrize("payload", [None, [], "text", 3, True, {}, {"version": "1.1"}, {"data": "text"}])
    def test_what_is_not_the_artifact_is_refused_by_its_name(self, artifact: str, payload: object) -> None:
        with pytest.raises(ArtifactError, match=artifact.replace(".", r"\.")):
            READERS[artifact](payload)

    @pytest.mark.parametrize("artifact", [name for name in READERS if name != "input.json"])
    @pytest.mark.parametrize("version", ["2.0", 2, "0.9", "", True])
    def test_another_major_version_is_refused(self, artifact: str, version: object) -> None:
        with pytest.raises(ArtifactError, match="version"):
            READERS[artifact](envelope({}, version))

    @pytest.mark.parametrize("date", ["May 2026", "2026-13-01", "2026", "01-05-2026", "2026-05-1"])
    def test_a_key_that_is_no_date_is_refused(self, date: str) -> None:
        with pytest.raises(ArtifactError, match="is not a date"):
            read_forecast(envelope({"forecast_series": {date: {"forecast": 1}}}))

    def test_the_message_shows_outside_text_short_and_on_one_line(self) -> None:
        key = "x\n\u202eevil" + "y" * 5000
        with pytest.raises(ArtifactError) as refusal:
            read_forecast(envelope({"forecast_series": {key: {"forecast": 1}}}))

        assert len(str(refusal.value)) < 200
        assert str(refusal.value).isprintable()


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
known_keys = ("2026-05-01", "forecast_series", "forecast", "quantile_forecast", "0.5", "0.10", "actual", "timeseries")
driver_keys = ("driver_name", "importance", "direction", "pearson_correlation", "overall", "mean", "horizon_1", "0.0")
keys = st.text(max_size=6) | st.sampled_from([*known_keys, *driver_keys, "forecast_start", "lag_3", "metrics", "12m"])
documents = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=5), max_leaves=25
)


@pytest.mark.parametrize("artifact", READERS)
@given(data=documents)
def test_whatever_comes_a_reader_answers_or_refuses(artifact: str, data: object) -> None:
    for payload in (data, envelope(data), envelope({"forecast_series": data}), envelope({"a": data})):
        with suppress(ArtifactError):
            READERS[artifact](payload)


@pytest.mark.parametrize("artifact", READERS)
def test_every_real_file_reads(shared_data: Path, artifact: str) -> None:
    files = sorted(shared_data.glob(f"sybilion-jobs/*/{artifact}"))

    assert len(files) == 10
    for file in files:
        assert READERS[artifact](json.loads(file.read_text())) is not None
