"""Periods of every kind: how they are counted, written, and when they are over."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta

import pytest

from sybilion_mcp.contract.eomer_table import ForecastTable, SeriesForecast, Step
from sybilion_mcp.explain.eomer.periods import Panel, Periods, periods_of
from sybilion_mcp.explain.eomer.report import told
from sybilion_mcp.explain.eomer.results import read_results
from sybilion_mcp.explain.facts import JobFacts
from sybilion_mcp.explain.told import Asked
from tests.engine.eomer.made_up import SHAPES, labels, series
from tests.explain.eomer.made_up import data_of
from tests.timing import cpu_seconds


def periods(stamps: list[str], panel: Panel | None = None) -> Periods:
    steps = tuple(Step(stamp, 1.0, {}) for stamp in stamps)
    return periods_of(ForecastTable((SeriesForecast("a", steps),), ()), panel)


def panel_of(alias: str, points: Mapping[str, float]) -> Panel:
    return Panel({"a": points}, alias)


@pytest.mark.parametrize(
    ("alias", "stamps", "season", "word", "label", "at"),
    [
        ("MS", ["2026-11-01", "2026-12-01", "2027-01-01"], 12, "month", "month", "in"),
        ("ME", ["2026-11-30", "2026-12-31", "2027-01-31"], 12, "month", "month", "in"),
        ("QS", ["2026-10-01", "2027-01-01", "2027-04-01"], 4, "quarter", "timestamp", "on"),
        ("W-MON", ["2026-11-23", "2026-11-30", "2026-12-07"], 52, "week", "timestamp", "on"),
        ("D", ["2026-11-23", "2026-11-24", "2026-11-25"], 7, "day", "timestamp", "on"),
        ("h", ["2026-11-22 23:00", "2026-11-23 00:00", "2026-11-23 01:00"], 24, "hour", "timestamp", "at"),
        ("15min", ["2026-11-22 23:30", "2026-11-22 23:45", "2026-11-23 00:00"], 1, "period", "timestamp", "at"),
    ],
)
def test_a_frequency_tells_season_word_and_label(
    alias: str, stamps: list[str], season: int, word: str, label: str, at: str
) -> None:
    for panel in (None, panel_of(alias, {stamps[0]: 1.0})):
        found = periods(stamps, panel)

        assert (found.alias, found.grid.season, found.grid.word, found.label, found.grid.at) == (
            alias, season, word, label, at,
        )  # fmt: skip
        numbers = [found.grid.index(found.written(stamp)) for stamp in stamps]
        assert numbers == list(range(numbers[0], numbers[0] + 3))


def test_timestamps_on_no_grid_are_counted_one_by_one() -> None:
    found = periods(["2026-11-01", "2026-11-02 07:13", "2026-11-17 05:17"])

    assert found.alias is None
    assert [found.grid.index(stamp) for stamp in ("2026-11-01", "2026-11-02 07:13", "2026-11-17 05:17")] == [0, 1, 2]
    assert found.grid.index("2026-11-09") == 1
    assert found.grid.season == 1


@pytest.mark.parametrize(
    ("stamps", "over"),
    [
        (["2026-10-01", "2026-11-01", "2026-12-01"], [True, False, False]),
        (["2026-10-31", "2026-11-30", "2026-12-31"], [True, False, False]),
        (["2026-11-20", "2026-11-21", "2026-11-22"], [True, True, False]),
        (["2026-11-09", "2026-11-16", "2026-11-23"], [True, False, False]),
        (["2026-11-21 22:00", "2026-11-21 23:00", "2026-11-22 00:00"], [True, True, False]),
    ],
)
def test_a_period_is_past_once_it_has_ended(stamps: list[str], over: list[bool]) -> None:
    found = periods(stamps)

    assert [found.grid.over(found.written(stamp), date(2026, 11, 22)) for stamp in stamps] == over


@pytest.mark.parametrize("alias", SHAPES)
def test_a_whole_report_speaks_in_the_periods_of_its_series(alias: str) -> None:
    count, ahead = SHAPES[alias][1:]
    known = series(alias, 1)
    stamps = labels(alias, count + ahead)[count:]
    table = "\n".join(["item_id,timestamp,mean,0.1,0.9", *(f"{alias} 0,{stamp},10,9,11" for stamp in stamps)])
    facts = JobFacts("j1", "Made-up visitors, persons", "eomer", None, None, {})

    results = read_results({"forecast.csv": table.encode()}, facts, Panel(known, alias))
    shown = told(results, Asked("report"), date(2020, 1, 1))

    last = labels(alias, count)[-1]
    assert f"input to {last[:7] if alias == 'MS' else last}" in shown.text
    assert "Past forecasts" not in shown.text
    assert len(data_of(shown)["forecast"]) == ahead


def test_hours_of_a_month_are_read_in_little_time() -> None:
    start = datetime(2026, 1, 1)
    stamps = [(start + timedelta(hours=hour)).strftime("%Y-%m-%d %H:%M") for hour in range(5000)]
    found = periods(stamps[-24:], panel_of("h", dict.fromkeys(stamps[:-24], 1.0)))

    assert found.grid.index(stamps[-1]) - found.grid.index(stamps[0]) == 4999


def test_counting_beside_a_grid_takes_no_time_per_timestamp() -> None:
    known = [str(datetime(2000, 1, 1) + timedelta(minutes=7 * step + step % 3))[:16] for step in range(5000)]
    beside = [str(datetime(2000, 1, 1) + timedelta(minutes=5 * step + 1))[:16] for step in range(5000)]
    found = periods(known)

    spent = cpu_seconds(lambda: [found.grid.index(stamp) for stamp in beside])

    assert spent < 0.5
