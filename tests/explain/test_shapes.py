"""Every shape that artifacts have been seen in, and some that nobody saw yet: a right report or a clear failure."""

import json
import math
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from sybilion_mcp.contract.artifacts import ArtifactError
from sybilion_mcp.explain.report import (
    Report,
    build_report,
    render_backtest,
    render_drivers,
    render_forecast,
    render_report,
    report_data,
)
from tests.explain.made_up import (
    TODAY,
    changed,
    driver_of,
    facts_of,
    files_of,
    forecast_of,
    input_of,
    metrics_of,
    report_of,
    window_of,
)
from tests.timing import cpu_seconds

SERIES = input_of([100.0 + 10 * math.sin(at * math.pi / 6) + at / 5 for at in range(60)])
HELD = [window_of(f"2025-{month:02}", [(100, 104), (102, 99), (101, 106)]) for month in range(1, 10)]
DRIVERS = [driver_of("Energy - World", 100, 0.8, lag_1=0.5, lag_3=0.9), driver_of("Steel", 40, -0.4, lag_2=-0.4)]
ARTIFACTS = {
    "forecast.json": "forecast",
    "external_signals.json": "drivers",
    "backtest_trajectories.json": "windows",
    "backtest_metrics.json": "metrics",
    "input.json": "series",
}


def full(**given: Any) -> Report:
    known = {"series": SERIES, "windows": HELD, "drivers": DRIVERS, "metrics": metrics_of(MAPE=4.2)}
    return report_of(**{**known, **given})


def full_files() -> dict[str, Any]:
    return files_of(series=SERIES, windows=HELD, drivers=DRIVERS, metrics=metrics_of(MAPE=4.2))


def data_of(report: Report) -> dict[str, Any]:
    return dict(report_data(report))


def everything(report: Report) -> tuple[object, ...]:
    """All that a report says, in every view."""
    views = [render_report(report), render_forecast(report), render_forecast(report, "table"), render_backtest(report)]
    tables = [render_drivers(report), render_drivers(report, "table"), render_backtest(report, "table")]
    return *views, *tables, report_data(report)


class TestForecasts:
    def test_points_alone_get_bands_from_past_errors(self) -> None:
        report = full(forecast=forecast_of([110, 120, 130], half=None))
        rows = data_of(report)["forecast"]

        assert data_of(report)["bands"] == "recalibrated"
        assert [row["forecast"] for row in rows] == [110, 120, 130]
        assert [row["upper_80"] - row["forecast"] for row in rows] == pytest.approx([4, 4, 5])
        assert "The forecast came without bands." in render_report(report)
        assert "given_lower_80" not in render_report(report)

    @pytest.mark.parametrize("windows", [None, [], [window_of("2025-01", [(None, 1.0)])]])
    def test_points_alone_without_past_errors_have_no_bands(self, windows: list[Mapping[str, object]] | None) -> None:
        report = full(forecast=forecast_of([110, 120, 130], half=None), windows=windows)
        data = data_of(report)

        assert data["bands"] == "none"
        assert {row[name] for row in data["forecast"] for name in row if name[:5] in ("lower", "upper")} == {None}
        assert "month,forecast\n2026-05,110" in render_report(report)
        assert "without a band" in render_report(report)

    def test_twelve_points_after_windows_of_three_have_bands_as_far_as_errors_are_known(self) -> None:
        data = data_of(full(forecast=forecast_of(range(110, 122), half=None)))

        assert [row["lower_80"] is None for row in data["forecast"]] == [False] * 3 + [True] * 9

    def test_some_months_with_bands_and_some_without(self) -> None:
        forecast = forecast_of([110, 120, 130])
        del changed(forecast, "data", "forecast_series", "2026-06-01")["quantile_forecast"]
        report = full(forecast=forecast)

        assert data_of(report)["bands"] == "recalibrated"
        assert None not in data_of(report)["forecast"][1].values()
        assert "Some months came without bands." in render_report(report)

    @pytest.mark.parametrize("write", [lambda level: f"{level:.2f}", lambda level: f"{level:g}", str, "{:.4f}".format])
    def test_quantiles_are_found_however_their_keys_are_written(self, write: Any) -> None:
        def rewritten(months: Mapping[str, Any]) -> None:
            for month in months.values():
                given = month["quantile_forecast"]
                month["quantile_forecast"] = {write(float(key)): value for key, value in given.items()}

        files = full_files()
        rewritten(files["forecast.json"]["data"]["forecast_series"])
        for window in files["backtest_trajectories.json"]["data"]:
            rewritten(window["forecast_series"])

        assert everything(build_report(files, facts_of(), TODAY)) == everything(full())

    @pytest.mark.parametrize("value", [None, math.nan, math.inf, "12", True, 1e300])
    def test_a_month_whose_value_is_no_number_takes_the_median_or_is_left_out(self, value: object) -> None:
        with_median, without = forecast_of([110, 120]), forecast_of([110, 120], half=None)
        for forecast in (with_median, without):
            changed(forecast, "data", "forecast_series", "2026-06-01")["forecast"] = value

        assert [row["forecast"] for row in data_of(full(forecast=with_median))["forecast"]] == [110, 120]
        assert [row["forecast"] for row in data_of(full(forecast=without))["forecast"]] == [110]

    @pytest.mark.parametrize(
        "payload",
        [
            None,
            [],
            "text",
            {},
            {"version": "1.1"},
            {"version": "1.1", "data": None},
            {"version": "1.1", "data": {}},
            {"version": "1.1", "data": {"forecast_series": {}}},
            {"version": "1.1", "data": {"forecast_series": []}},
            {"version": "2.0", "data": forecast_of([1.0])["data"]},
        ],
    )
    def test_what_holds_no_forecast_is_a_clear_failure(self, payload: object) -> None:
        with pytest.raises(ArtifactError, match=r"^forecast\.json: "):
            build_report({**full_files(), "forecast.json": payload}, facts_of(), TODAY)

    def test_no_file_is_a_clear_failure(self) -> None:
        with pytest.raises(ArtifactError, match=r"^forecast\.json: missing"):
            build_report({}, facts_of(), TODAY)

    def test_a_forecast_alone_is_a_report(self) -> None:
        data = data_of(report_of())

        assert (data["verdict"], data["bands"], data["drivers"]) == ("unknown", "given", [])
        assert data["skill"]["windows_used"] == 0


class TestDrivers:
    def test_names_alone_come_last_and_are_called_that(self) -> None:
        report = full(drivers=[{"driver_name": "Bare"}, *DRIVERS, {"driver_name": "Bare"}])

        assert [driver["name"] for driver in data_of(report)["drivers"]] == ["Energy - World", "Steel", "Bare"]
        assert data_of(report)["drivers"][-1] == {
            "name": "Bare",
            "importance": None,
            "direction": None,
            "lag": None,
            "correlation": None,
            "series": 2,
            "doubts": ["name only"],
        }
        assert '"Bare",,,,,2,name only' in render_report(report)

    def test_only_names(self) -> None:
        report = full(drivers=[{"driver_name": "Bare"}, {"driver_name": "Other"}])

        assert [driver["doubts"] for driver in data_of(report)["drivers"]] == [["name only"], ["name only"]]
        assert "Every driver that carries weight is doubtful." in render_report(report)

    @pytest.mark.parametrize(
        ("missing", "doubts"),
        [
            (["importance"], ["no importance given"]),
            (["direction"], []),
            (["pearson_correlation"], ["no correlation given"]),
            (["direction", "pearson_correlation"], ["no correlation given"]),
        ],
    )
    @pytest.mark.parametrize("empty", ["left out", None, {}])
    def test_what_a_driver_lacks_is_said_and_not_made_up(
        self, missing: Sequence[str], doubts: list[str], empty: object
    ) -> None:
        driver = {name: value for name, value in DRIVERS[0].items() if name not in missing}
        if empty != "left out":
            driver |= dict.fromkeys(missing, empty)
        (shown,) = data_of(full(drivers=[driver]))["drivers"]

        names = {
            "importance": ["importance"],
            "direction": ["direction"],
            "pearson_correlation": ["lag", "correlation"],
        }
        absent = [name for one in missing for name in names[one]]
        assert [name for name, value in shown.items() if value is None] == [name for name in shown if name in absent]
        assert shown["doubts"] == doubts

    def test_a_direction_under_its_horizon_alone(self) -> None:
        driver = {**DRIVERS[0], "direction": {"horizon_0": {"0.0": -0.25, "1.0": -0.75}}}

        assert data_of(full(drivers=[driver]))["drivers"][0]["direction"] == -0.5

    @pytest.mark.parametrize("data", [{}, None])
    def test_no_driver_at_all(self, data: object) -> None:
        report = build_report({**full_files(), "external_signals.json": {"data": data}}, facts_of(), TODAY)

        assert data_of(report)["drivers"] == []
        assert "No external driver was found: the forecast rests on the series alone." in render_report(report)

    def test_drivers_without_weight_are_counted(self) -> None:
        report = full(drivers=[driver_of(f"Idle {at}", 0, 0.5, lag_1=0.5) for at in range(5)])

        assert "## Drivers (5 groups of 5 series; 5 without weight)" in render_report(report)
        assert data_of(report)["drivers"] == []

    def test_ten_thousand_drivers(self) -> None:
        report = full(drivers=[driver_of(f"Name {at % 900}", at % 100, 0.5, lag_1=0.5) for at in range(10_000)])

        assert len(render_report(report).encode()) <= 6000
        assert "(900 groups of 10000 series; 9 without weight)" in render_report(report)


class TestPastForecasts:
    def test_all_windows_reach_beyond_the_data(self) -> None:
        report = full(windows=[window_of("2026-03", [(100, 101), (None, 102)]) for _ in range(3)])
        data = data_of(report)

        assert (data["skill"]["windows_used"], data["skill"]["windows_left_out"]) == (0, 3)
        assert {value for name, value in data["skill"].items() if not name.startswith("windows")} == {None}
        assert data["verdict"] == "unknown"
        assert "No past window can be used: each misses an actual." in render_report(report)

    def test_one_window_is_told_with_its_numbers_and_as_a_rough_guide(self) -> None:
        report = full(windows=[window_of("2025-01", [(100, 104), (102, 99)])])
        data = data_of(report)

        assert (data["skill"]["windows_used"], data["skill"]["mae"], data["skill"]["bias"]) == (1, 3.5, 0.5)
        assert "1 of 1 past window count" in render_report(report)
        assert "Only 1 past window could be used" in render_report(report)

    def test_windows_of_twelve_months(self) -> None:
        windows = [window_of(f"2024-{month:02}", [(100, 103)] * 12) for month in range(1, 12)]
        report = full(windows=windows, forecast=forecast_of([110] * 12, half=None))

        assert [row["upper_80"] for row in data_of(report)["forecast"]] == [113] * 12
        assert "11 of 11 past windows count" in render_report(report)

    @pytest.mark.parametrize("name", ["backtest_trajectories.json", "backtest_metrics.json"])
    @pytest.mark.parametrize("data", [{}, None])
    def test_an_empty_backtest_is_none(self, name: str, data: object) -> None:
        report = build_report({**full_files(), name: {"version": "1.1", "data": data}}, facts_of(), TODAY)

        assert data_of(report)["skill"]["windows_used"] == (0 if "trajectories" in name else 9)
        assert "The service reports" not in render_report(report)

    def test_metrics_of_one_span_only(self) -> None:
        metrics = {"version": "1.1", "data": {"6m": {"metrics": {"MAPE": 99.0}}}}

        assert "MAPE 99.0 %" in render_report(full(metrics=metrics))


class TestVersions:
    @pytest.mark.parametrize("version", ["1.2", "1.10", "1", 1, 1.2, None])
    def test_another_minor_version_with_new_fields_says_the_same(self, version: object) -> None:
        def grown(value: Any) -> Any:
            if isinstance(value, list):
                return [grown(one) for one in value]
            if not isinstance(value, dict) or all(isinstance(one, float | int) for one in value.values()):
                return value
            named = {name: grown(one) for name, one in value.items()}
            by_name = all(key[0].isdigit() or key.startswith("id-") for key in value)  # new months would be no field
            return named if by_name and value else {**named, "new_field": {"deep": [1, {"x": None}]}, "flag": True}

        files = full_files()
        newer = {name: {**grown(content), "version": version} for name, content in files.items()}
        newer["input.json"]["timeseries"] = files["input.json"]["timeseries"]

        report = build_report({**newer, "anything.json": [1, 2]}, facts_of(), TODAY)
        assert everything(report) == everything(full())

    @pytest.mark.parametrize("name", [name for name in ARTIFACTS if name not in ("forecast.json", "input.json")])
    @pytest.mark.parametrize("broken", [{"version": "2.0", "data": {}}, [], "text", 5, None, {"version": "1.1"}])
    def test_a_file_that_is_another_format_is_named_and_left_out(self, name: str, broken: object) -> None:
        report = build_report({**full_files(), name: broken}, facts_of(), TODAY)
        without = full(**{ARTIFACTS[name]: None})

        told = [caveat for caveat in data_of(report)["caveats"] if caveat.startswith("Could not be read and is left")]
        assert len(told) == 1
        assert f"{name}: " in told[0]
        assert told[0] in render_report(report)
        assert {**data_of(report), "caveats": []} == {**data_of(without), "caveats": []}


MEASURE = """
import re, sys
from datetime import date
from pathlib import Path

from sybilion_mcp.contract.artifacts import ArtifactError
from sybilion_mcp.explain.report import render_drivers, render_report
from sybilion_mcp.service.folders import report_of_folder

def peak():  # of this process alone: what getrusage tells begins with its parent's
    return int(re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024

small, large = map(Path, sys.argv[1:])
render_drivers(report_of_folder(small, date(2026, 5, 20)), "table")
before = peak()
try:
    print(render_report(report_of_folder(large, date(2026, 5, 20))))
except ArtifactError as error:
    print(error)
print(peak() - before)
"""


@pytest.mark.no_cover  # memory is measured in a process of its own
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of a process is read from /proc")
class TestSize:
    MOST = 60 * 2**20

    def told(self, folder: Path, name: str, content: bytes, size: int = 0) -> tuple[str, int]:
        """What is said of a folder with a large file in it, and the bytes that saying it took at most."""
        folders = [folder / "small" / "job", folder / "large" / "job"]
        for made in folders:
            made.mkdir(parents=True)
            for file, payload in full_files().items():
                (made / file).write_text(json.dumps(payload))
        with (folders[1] / name).open("wb") as file:
            file.write(content)
            file.truncate(max(size, len(content)))
        command = [sys.executable, "-c", MEASURE, *map(str, folders)]
        shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout.rstrip("\n")
        text, _, taken = shown.rpartition("\n")
        return text, int(taken)

    @pytest.mark.parametrize("name", [name for name in ARTIFACTS if name != "forecast.json"])
    def test_a_file_of_100_mb_is_left_out_unread(self, tmp_path: Path, name: str) -> None:
        text, taken = self.told(tmp_path, name, b'{"version": "1.1", "data": {', 100_000_000)

        assert taken <= self.MOST
        assert "## Forecast" in text
        assert f"Could not be read and is left out: {name}: " in text
        assert "MiB" in text

    def test_without_a_forecast_that_can_be_read_100_mb_are_a_clear_failure(self, tmp_path: Path) -> None:
        text, taken = self.told(tmp_path, "forecast.json", b'{"version": "1.1", "data": {', 100_000_000)

        assert taken <= self.MOST
        assert text.startswith("forecast.json: ")
        assert "MiB" in text

    @pytest.mark.parametrize("cell", [b"{},", b"[],", b"[[]],", b'"\xc3\xa9a",', b"1.5,"])
    def test_the_densest_file_that_is_read_fits_too(self, tmp_path: Path, cell: bytes) -> None:
        begin, end = b'{"version": "1.1", "note": [', b'0], "data": {}}'
        cells = cell * ((2 * 2**20 - len(begin) - len(end)) // len(cell))
        text, taken = self.told(tmp_path, "external_signals.json", begin + cells + end)

        assert taken <= self.MOST * 1.5
        assert "No external driver was found" in text

    def test_names_by_the_ten_thousand(self, tmp_path: Path) -> None:
        drivers = {str(at): {"driver_name": f"n{at}"} for at in range(50_000)}
        content = json.dumps({"version": "1.1", "data": drivers}, separators=(",", ":")).encode()
        text, taken = self.told(tmp_path, "external_signals.json", content)

        assert taken <= self.MOST * 1.5
        assert "(50000 groups of 50000 series)" in text
        assert len(text.encode()) <= 6000


class TestMalice:
    """What nobody sends by accident must not stop a server, nor the report on another job."""

    def test_windows_thousands_of_years_ahead_cost_no_time(self) -> None:
        far = [window_of("9990-01", [(100, 104)]) for _ in range(500)]

        reports: list[Report] = []
        assert cpu_seconds(lambda: reports.append(full(windows=far))) < 2
        assert reports[0].skill.windows_used == 500

    def test_more_windows_than_anybody_made_are_not_read(self) -> None:
        text = render_report(full(windows=[window_of("2025-01", [(100, 104)])] * 501))

        assert "backtest_trajectories.json: 501 windows are more than the 500 that are read" in text

    def test_more_months_than_anybody_saw_are_not_read(self) -> None:
        text = render_report(full(series=input_of([1.0] * 5001)))

        assert "input.json: 5001 months are more than the 5000 that are read" in text

    @pytest.mark.parametrize("trace", [1e-206, -5e-324])
    def test_ratios_to_a_trace_overflow_nothing(self, trace: float) -> None:
        report = full(windows=[window_of("2025-01", [(trace, 9e99)])] * 7)

        assert all(math.isfinite(value) for value in data_of(report)["skill"].values() if value is not None)
        assert render_report(report)

    def test_an_option_with_hundreds_of_digits_is_told_shortly(self) -> None:
        text = render_report(full(drivers=[], series={**SERIES, "recency_factor": 10**400}))

        assert "A lower recency_factor (here out of range)" in text
