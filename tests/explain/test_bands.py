"""Bands that hold: when the service's own are kept, when they are recalibrated, and from what."""

import json
import math
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sybilion_mcp.contract.artifacts import Window, read_backtest_trajectories
from sybilion_mcp.explain.bands import half_widths
from sybilion_mcp.explain.report import Report, render_forecast, render_report, report_data
from tests.explain.made_up import forecast_of, input_of, month_after, report_of, trajectories_of, window_of

JOBS = 10
HELD = [window_of(month_after("2025-01", at), [(100.0, 101.0)]) for at in range(11)]


def full(**given: Any) -> Report:
    return report_of(**{"series": input_of([100.0] * 36), "windows": HELD, **given})


def data_of(report: Report) -> dict[str, Any]:
    return dict(report_data(report))


def windows_of(*errors_by_window: Sequence[float | None]) -> tuple[Window, ...]:
    """Past forecasts of 100 that were off by so much; None: the month has not come."""
    made = [
        window_of(month_after("2024-01", at), [(None if error is None else 100.0 + error, 100.0) for error in errors])
        for at, errors in enumerate(errors_by_window)
    ]
    return read_backtest_trajectories(trajectories_of(*made))


class TestHalfWidths:
    def test_they_are_the_errors_of_the_rank_that_a_new_error_stays_below(self) -> None:
        widths = half_widths(windows_of(*[[float(error)] for error in range(1, 12)]))

        assert [(one.of_80, one.of_90, one.errors) for one in widths] == [(10.0, 11.0, 11)]

    def test_each_distance_has_its_own_and_none_is_narrower_than_a_shorter_one(self) -> None:
        widths = half_widths(windows_of(*[[4.0, 1.0, 9.0]] * 9))

        assert [one.of_80 for one in widths] == [4.0, 4.0, 9.0]

    def test_months_that_have_not_come_count_for_nothing_and_those_before_them_do(self) -> None:
        widths = half_widths(windows_of([1.0, 2.0], [1.0, None], [1.0, None]))

        assert [one.errors for one in widths] == [3, 1]

    def test_windows_that_reach_beyond_the_data_are_left_out_once_enough_others_count(self) -> None:
        widths = half_widths(windows_of(*[[1.0, 2.0]] * 9, [5.0, None]))

        assert [(one.errors, one.of_80) for one in widths] == [(9, 1.0), (9, 2.0)]

    @pytest.mark.parametrize(
        ("errors", "level_80", "level_90"), [(1, 4.353, 8.929), (2, 2.310, 3.576), (3, 1.891, 2.717)]
    )
    def test_few_errors_are_widened_as_students_t_asks(self, errors: int, level_80: float, level_90: float) -> None:
        (width,) = half_widths(windows_of(*[[1.0]] * errors))

        assert (width.of_80, width.of_90) == pytest.approx((level_80, level_90), rel=1e-3)

    def test_without_a_past_error_there_are_none(self) -> None:
        assert half_widths(()) == ()
        assert half_widths(windows_of([None, None])) == ()

    @given(st.lists(st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3), min_size=1, max_size=20))
    def test_the_90_band_is_never_inside_the_80_band_and_both_grow(self, errors: list[list[float | None]]) -> None:
        widths = half_widths(windows_of(*errors))

        assert all(0 <= one.of_80 <= one.of_90 < math.inf for one in widths)
        assert [one.of_80 for one in widths] == sorted(one.of_80 for one in widths)


class TestWhen:
    def test_bands_that_held_are_kept(self) -> None:
        assert data_of(full(forecast=forecast_of([100.0])))["bands"] == "given"
        assert "As delivered" not in render_report(full(forecast=forecast_of([100.0])))

    def test_bands_that_held_too_rarely_are_recalibrated_beside_the_originals(self) -> None:
        windows = [window_of(month_after("2025-01", at), [(100.0, 140.0)], half=9) for at in range(11)]
        report = full(forecast=forecast_of([110], half=9), windows=windows)

        (row,) = data_of(report)["forecast"]
        text = render_report(report)
        assert data_of(report)["bands"] == "recalibrated"
        assert (row["lower_80"], row["upper_80"]) == (70, 150)
        assert "80 % band 70 to 150 (recalibrated)" in text
        assert "month,given_lower_80,given_upper_80,given_lower_90,given_upper_90\n2026-05,102,118,101,119" in text
        assert "given_lower_80" in render_forecast(report)

    def test_bands_that_are_missing_are_made(self) -> None:
        windows = [window_of(month_after("2025-01", at), [(100.0, 105.0)]) for at in range(11)]
        report = full(forecast=forecast_of([110], half=None), windows=windows)

        (row,) = data_of(report)["forecast"]
        assert data_of(report)["bands"] == "recalibrated"
        assert (row["lower_90"], row["upper_90"]) == (105, 115)
        assert "As delivered" not in render_report(report)
        assert "The forecast came without bands." in data_of(report)["caveats"]

    def test_they_are_nowhere_narrower_than_delivered(self) -> None:
        windows = [window_of(month_after("2025-01", at), [(100.0, 102.0)], half=1) for at in range(11)]
        report = full(forecast=forecast_of([110], half=90), windows=windows)

        (row,) = data_of(report)["forecast"]
        assert (row["lower_80"], row["upper_80"]) == (30, 190)

    def test_beyond_the_past_forecasts_there_is_no_band_and_that_is_said(self) -> None:
        windows = [window_of(month_after("2025-01", at), [(100.0, 105.0)]) for at in range(11)]
        report = full(forecast=forecast_of([110, 120], half=None), windows=windows)

        assert data_of(report)["forecast"][1]["lower_80"] is None
        assert "Beyond 1 month no past error is known, so there is no band." in render_report(report)

    def test_a_forecast_that_begins_beyond_every_past_error_keeps_the_bands_it_has(self) -> None:
        windows = [window_of(month_after("2025-01", at), [(100.0, 140.0)]) for at in range(11)]
        late = full(forecast=forecast_of([110], half=9, first="2026-07"), windows=windows)

        assert data_of(late)["bands"] == "given"
        assert data_of(late)["forecast"][0]["lower_80"] == 102
        assert "its bands stay as delivered" in render_report(late)
        assert "The forecast leaves out the 2 months after the data." in render_report(late)

    def test_a_series_that_never_was_below_zero_gets_no_band_there(self) -> None:
        windows = [window_of(month_after("2025-01", at), [(100.0, 300.0)]) for at in range(11)]
        below = full(forecast=forecast_of([110], half=9), windows=windows, series=input_of([-1.0, *[100.0] * 35]))
        above = full(forecast=forecast_of([110], half=9), windows=windows)

        assert data_of(above)["forecast"][0]["lower_90"] == 0
        assert data_of(below)["forecast"][0]["lower_90"] == -90

    def test_a_past_without_errors_says_nothing_of_a_width(self) -> None:
        windows = [window_of(month_after("2025-01", at), [(100.0, 100.0)]) for at in range(11)]

        assert data_of(full(forecast=forecast_of([110], half=None), windows=windows))["bands"] == "none"


def test_on_real_jobs_bands_recalibrated_without_a_window_hold_in_it(shared_data: Path) -> None:
    """Each past forecast in turn as the forecast of a job that knows only the others."""
    held, given_held, counted = 0, 0, 0
    folders = sorted((shared_data / "sybilion-jobs").iterdir())
    assert len(folders) == JOBS
    for folder in folders:
        windows = json.loads((folder / "backtest_trajectories.json").read_text())["data"]
        series = json.loads((folder / "input.json").read_text())
        whole = [one for one in windows if None not in [month["actual"] for month in one["forecast_series"].values()]]
        for left_out in whole:
            months = left_out["forecast_series"]
            report = full(
                forecast={"version": "1.1", "data": {"forecast_series": months}},
                windows=[one for one in windows if one is not left_out],
                series=series,
                today=date(2026, 6, 1),
            )
            for row, month in zip(data_of(report)["forecast"], months.values(), strict=True):
                quantiles = month["quantile_forecast"]
                held += row["lower_80"] <= month["actual"] <= row["upper_80"]
                given_held += quantiles["0.10"] <= month["actual"] <= quantiles["0.90"]
                counted += 1

    assert given_held / counted < 0.65
    assert 0.75 <= held / counted <= 0.86, f"{held} of {counted}"
