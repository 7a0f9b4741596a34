"""The forecast of one series and of many: right numbers, in pages that reach everything."""

import csv
import json
from itertools import takewhile
from typing import Any

import pytest

from sybilion_mcp.explain.eomer.results import Results, UnknownSeries
from sybilion_mcp.explain.told import Told
from tests.explain.eomer.made_up import TODAY, ask, data_of, day, history, many, one, results_of, windows_of

MOST = 6000


def rows_of(told: Told, header: str) -> list[dict[str, str]]:
    """The rows below the line that begins so."""
    lines = told.text.splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith(header))
    commas = lines[start].count(",")
    rows = takewhile(lambda line: line.count(",") == commas and not line.startswith("Next: "), lines[start:])
    return list(csv.DictReader(rows))


def size_of(told: Told) -> int:
    return len(told.text.encode()) + len(json.dumps({**told.data, "next": told.step.data}, separators=(",", ":")))


def pages_from(results: Results, artifact: str, **more: Any) -> list[Told]:
    """This page and all that the next steps lead to, as long as they lead to the same part."""
    pages = [ask(results, artifact, **more)]
    while "offset" in pages[-1].step.arguments:
        arguments = dict(pages[-1].step.arguments)
        assert arguments.pop("job_id") == "j1"
        pages.append(ask(results, str(arguments.pop("artifact")), **arguments))
        assert len(pages) < 200
    return pages


class TestOneSeries:
    def test_says_where_it_goes_and_lists_every_step_with_its_band(self) -> None:
        told = ask(one(), "forecast")

        assert told.text.startswith(f"From 102 units on {day(-1)} the series is forecast to reach")
        rows = rows_of(told, "timestamp,")
        assert [row["timestamp"] for row in rows] == [day(0), day(1), day(2)]
        assert [float(row["upper_80"]) - float(row["forecast"]) for row in rows] == pytest.approx([1.2] * 3)
        assert data_of(told)["last_value"] == 102.0
        assert [step["forecast"] for step in data_of(told)["forecast"]] == [103.0, 104.0, 105.0]

    def test_as_a_table_it_has_every_level(self) -> None:
        rows = rows_of(ask(one(), "forecast", view="table"), "timestamp,")

        assert list(rows[0]) == ["timestamp", "forecast", "q0.1", "q0.5", "q0.9"]

    def test_without_an_80_percent_band_the_widest_is_shown_and_named(self) -> None:
        told = ask(one(levels=(0.25, 0.5, 0.75)), "forecast")

        assert list(rows_of(told, "timestamp,")[0]) == ["timestamp", "forecast", "lower_50", "upper_50"]
        assert "without an 80 % band" in told.text
        assert data_of(told)["bands"] == "none"

    def test_without_quantiles_it_says_so(self) -> None:
        told = ask(one(levels=()), "forecast")

        assert list(rows_of(told, "timestamp,")[0]) == ["timestamp", "forecast"]
        assert "without quantiles" in told.text

    def test_of_a_thousand_steps_each_is_on_one_page(self) -> None:
        results = results_of({"shop": [float(step) for step in range(1000)]}, panel={"shop": history(100.0)})

        pages = pages_from(results, "forecast")

        assert [row["timestamp"] for page in pages for row in rows_of(page, "timestamp,")] == list(
            map(day, range(1000))
        )
        assert max(map(size_of, pages)) <= MOST

    def test_a_limit_is_kept_and_repeated(self) -> None:
        told = ask(one(), "forecast", limit=2)

        assert len(rows_of(told, "timestamp,")) == 2
        assert told.step.arguments == {"job_id": "j1", "artifact": "forecast", "offset": 2, "limit": 2}

    def test_past_steps_are_marked(self) -> None:
        told = ask(results_of({"shop": [1.0, 2.0]}, panel={"shop": history(1.0)}), "forecast")
        assert "past" not in told.text
        assert TODAY.isoformat() < day(0)

    def test_an_offset_beyond_the_end_has_no_rows(self) -> None:
        told = ask(one(), "forecast", offset=99)

        assert data_of(told)["forecast"] == []
        assert told.text.splitlines()[-1].startswith("Next: read_artifact(")


class TestManySeries:
    def test_the_largest_moves_come_first_whatever_their_scale(self) -> None:
        told = ask(many(), "forecast")

        moved = [row["item_id"] for row in rows_of(told, "no,item_id")]
        assert len(moved) == 10
        assert set(moved[:5]) == {f"store {number:03d}" for number in (99, 199, 299, 399, 499)}
        assert "500 series, 7 steps ahead" in told.text
        assert "move = change from the last value to the last step" in told.text

    def test_a_move_is_told_in_usual_changes(self) -> None:
        panel = {"still": dict.fromkeys(history(5.0), 5.0), "lively": history(100.0), "short": {day(-1): 7.0}}
        told = ask(results_of({"short": [9.0], "still": [6.0], "lively": [108.0]}, panel=panel), "forecast")

        # One step ahead: each day differs from the one before by 2, and 108 is 6 away from 102.
        assert {row["item_id"]: row["move"] for row in rows_of(told, "no,")} == {
            "still": "over 1000",
            "lively": "+3.00",
            "short": "",
        }
        assert [row["item_id"] for row in rows_of(told, "no,")] == ["still", "lively", "short"]

    def test_500_series_are_all_reached_in_answers_of_6_kb(self) -> None:
        results = many()

        pages = pages_from(results, "forecast")

        listed = [row["item_id"] for page in pages for row in rows_of(page, "no,item_id")]
        assert sorted(listed) == sorted(one.item_id for one in results.table.series)
        assert max(map(size_of, pages)) <= MOST
        in_data = [row[1] for page in pages for row in data_of(page)["series"]["rows"]]
        assert in_data == listed

    def test_each_series_can_be_read_by_id_and_by_number(self) -> None:
        results = many()

        by_id, by_number = ask(results, "forecast/store 007"), ask(results, "forecast/#8")

        assert by_id.text == by_number.text
        assert len(data_of(by_id)["forecast"]) == 7
        assert by_id.step.arguments["artifact"] == "forecast"

    def test_an_id_wins_over_a_number_and_slashes_are_part_of_it(self) -> None:
        results = results_of({"a/b": [1.0], "#1": [2.0]}, panel={})

        assert data_of(ask(results, "forecast/a/b"))["forecast"][0]["forecast"] == 1.0
        assert data_of(ask(results, "forecast/#1"))["forecast"][0]["forecast"] == 2.0
        assert data_of(ask(results, "forecast/#2"))["forecast"][0]["forecast"] == 2.0

    @pytest.mark.parametrize("asked", ["nobody", "#0", "#501", "", "#x"])
    def test_an_unknown_series_is_refused_with_the_way_to_name_one(self, asked: str) -> None:
        with pytest.raises(UnknownSeries, match="from #1 to #500"):
            ask(many(), f"forecast/{asked}")

    def test_ids_that_look_the_same_are_told_apart_by_number_only(self) -> None:
        results = results_of({"a\u200bb": [1.0], "a\u200cb": [2.0]}, panel={})

        with pytest.raises(UnknownSeries, match="Several"):
            ask(results, "forecast/ab")
        assert data_of(ask(results, "forecast/#2"))["forecast"][0]["forecast"] == 2.0

    def test_without_the_series_moves_are_unknown_and_said_to_be(self) -> None:
        results = results_of({"b": [1.0], "a": [2.0]})
        told = ask(results, "forecast")

        assert [row["item_id"] for row in rows_of(told, "no,")] == ["b", "a"]
        assert "last values are not known" in told.text
        assert "not at hand" in ask(results, "report").text


class TestWhatWasSent:
    def test_comes_back_row_by_row_in_pages(self) -> None:
        panel = {f"s{number}": history(float(number)) for number in range(30)}
        results = results_of({name: [1.0] for name in panel}, panel=panel)

        pages = pages_from(results, "input")

        rows = [row for page in pages for row in data_of(page)["rows"]]
        assert rows == [[name, label, value] for name, points in panel.items() for label, value in points.items()]
        assert max(map(size_of, pages)) <= MOST

    def test_of_one_series_alone(self) -> None:
        told = ask(many(), "input/store 003")

        assert {row[0] for row in data_of(told)["rows"]} == {"store 003"}

    def test_is_not_at_hand_for_jobs_made_elsewhere(self) -> None:
        assert "not at hand" in ask(results_of({"a": [1.0]}), "input").text


class TestPastForecasts:
    def test_of_one_series_are_judged_against_simple_rivals(self) -> None:
        told = ask(one(windows=windows_of({"shop": 0.25})), "backtest")

        assert "4 of 4 past windows count. Median forecast off by 0.250 units" in told.text
        assert data_of(told)["skill"]["mae"] == 0.25
        assert data_of(told)["skill"]["coverage_80"] == 1.0
        assert data_of(told)["verdict"] == "better"
        assert "8 of 8 days at 80 %" in told.text

    def test_bands_that_did_not_hold_are_recalibrated_and_shown_beside_the_originals(self) -> None:
        results = one(windows=windows_of({"shop": 5.0}))
        told = ask(results, "forecast")

        assert data_of(told)["bands"] == "recalibrated"
        assert "The bands of past forecasts held 0 of 8 days at 80 % (0 %)" in told.text
        assert "As delivered:\ntimestamp,given_lower_80,given_upper_80" in told.text
        assert data_of(told)["forecast"][0]["upper_80"] >= 103.0 + 5.0

    def test_a_job_without_a_hindcast_says_that_nobody_knows(self) -> None:
        told = ask(one(), "backtest")

        assert "no hindcast: how good such forecasts are is not known" in told.text
        assert data_of(told)["verdict"] == "unknown"

    def test_of_many_series_are_told_together_and_one_by_one_in_pages(self) -> None:
        names = [f"s{number:03d}" for number in range(300)]
        results = results_of(
            {name: [100.0, 101.0] for name in names},
            panel={name: history(100.0) for name in names},
            windows=windows_of({name: 0.2 if place < 200 else 9.0 for place, name in enumerate(names)}),
        )
        pages = pages_from(results, "backtest")

        assert "1,200 past forecasts of 300 of 300 series count." in pages[0].text
        assert "200 series did better, 100 worse, 0 about as well" in pages[0].text
        assert [row["item_id"] for page in pages for row in rows_of(page, "no,item_id")] == names
        assert max(map(size_of, pages)) <= MOST
        assert data_of(pages[0])["verdict"] == "better"

    def test_one_past_forecast_a_row(self) -> None:
        told = ask(one(windows=windows_of({"shop": 0.25})), "backtest", view="table")

        rows = rows_of(told, "start,")
        assert [row["steps"] for row in rows] == ["2"] * 4
        assert {float(row["mae"]) for row in rows} == {0.25}
