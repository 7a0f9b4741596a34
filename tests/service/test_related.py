"""Other jobs on a series: found by the numbers, read within bounds, and never in the way of a report."""

import logging
import math
import time
from collections.abc import AsyncIterator, Mapping

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sybilion_mcp.explain.report import render_report
from sybilion_mcp.service import sybilion_results
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.reading import MOST_BYTES, MOST_BYTES_OF_OTHERS
from sybilion_mcp.service.related import LOOKED_AT, READ, related, states_of_one_series
from tests.service.finished import SERIES, finished_job
from tests.timing import wall_clock

pytestmark = pytest.mark.anyio

HISTORY = {month[:7]: value for month, value in SERIES.items()}
MINE = "mine"


@pytest.fixture
async def desk(desk: Desk) -> AsyncIterator[Desk]:
    yield desk
    await desk.aclose()


def cut(points: Mapping[str, float], months: int) -> dict[str, float]:
    """The state that many months earlier."""
    return dict(sorted(points.items())[: len(points) - months])


def scaled(factor: float) -> dict[str, float]:
    return {month: round(value * factor, 2) for month, value in SERIES.items()}


async def compared(desk: Desk, job_id: str = MINE) -> list[str]:
    return [one.facts.job_id for one in (await sybilion_results.report(desk, job_id)).others]


class TestStatesOfOneSeries:
    @given(st.integers(0, 100), st.integers(0, 12), st.data())
    def test_earlier_states_that_were_revised_in_a_tenth_are_the_series(
        self, cut_off: int, revised: int, data: st.DataObject
    ) -> None:
        earlier = cut(HISTORY, cut_off)
        revised = min(revised, len(earlier) // 20)  # a revision moves two months: the one before, and its own
        places = data.draw(st.lists(st.sampled_from(sorted(earlier)), min_size=revised, max_size=revised))
        changed = earlier | {month: earlier[month] * 1.5 for month in places}

        assert states_of_one_series(changed, HISTORY)
        assert states_of_one_series(HISTORY, changed)

    @given(st.dictionaries(st.sampled_from(sorted(HISTORY)), st.floats(0, 1e6), min_size=40))
    def test_other_numbers_are_another_series(self, other: dict[str, float]) -> None:
        assume(sum(math.isclose(other[month], HISTORY[month]) for month in other) < 5)

        assert not states_of_one_series(other, HISTORY)

    def test_a_year_in_common_is_not_enough(self) -> None:
        months = sorted(HISTORY)
        later = {month: HISTORY[month] for month in months[-12:]} | {f"2027-{n:02}": 1.0 * n for n in range(1, 13)}

        assert not states_of_one_series(later, HISTORY)

    def test_rates_that_stand_still_together_are_two_series(self) -> None:
        """Both at 0.25 for ten years; each moved in its own months."""
        one = dict.fromkeys(HISTORY, 0.25) | dict(zip(sorted(HISTORY)[:8], range(8), strict=False))
        other = dict.fromkeys(HISTORY, 0.25) | dict(zip(sorted(HISTORY)[20:24], range(4), strict=False))

        assert not states_of_one_series(one, other)
        assert states_of_one_series(one, dict(one))

    def test_mostly_zero_demand_of_two_products_is_two_series(self) -> None:
        one = {month: 5.0 * (step % 7 == 0) for step, month in enumerate(HISTORY)}
        other = {month: 5.0 * (step % 7 == 3) for step, month in enumerate(HISTORY)}

        assert not states_of_one_series(one, other)


async def test_a_second_job_on_the_series_is_compared_in_the_report(desk: Desk) -> None:
    await finished_job(desk, "first", error=4.0, recency_factor=0.4)
    await finished_job(desk, MINE, error=8.0, recency_factor=1.0)

    text = render_report(await sybilion_results.report(desk, MINE))

    section = text.partition("## Other jobs on this series\n")[2]
    assert section.startswith("Job first hindcasts better than this one: error 4.00 there, 8.00 here over 10 common")
    assert "recency_factor 0.4 there, 1 here" in section


async def test_earlier_and_later_states_are_found_and_other_series_are_not(desk: Desk) -> None:
    await finished_job(desk, "other", scaled(2))
    await finished_job(desk, "earlier", cut(SERIES, 3))
    series_id = await finished_job(desk, MINE)
    await finished_job(desk, "same", recency_factor=0.9)

    found = await related(desk, series_id, HISTORY)

    assert set(found.same) == {MINE, "same"}
    assert found.other_states == ("earlier",)
    assert await compared(desk) == ["same", "earlier"]
    assert await compared(desk, "earlier") == ["same", MINE]
    assert await compared(desk, "other") == []


async def test_jobs_made_elsewhere_are_known_by_their_own_input(desk: Desk) -> None:
    await finished_job(desk, "dashboard", submitted=False)
    await finished_job(desk, "earlier-dashboard", cut(SERIES, 2), submitted=False)
    await finished_job(desk, MINE)

    assert await compared(desk) == ["dashboard", "earlier-dashboard"]
    assert await compared(desk, "dashboard") == [MINE, "earlier-dashboard"]


async def test_only_completed_jobs_whose_forecast_is_kept_are_compared(desk: Desk) -> None:
    await finished_job(desk, "failed", status="failed")
    await finished_job(desk, "nothing-kept", kept={"forecast.json": None})
    await finished_job(desk, MINE)

    assert await compared(desk) == []


@pytest.mark.parametrize("content", [b"{", b"[]", b"[" * 5000, b" " * (MOST_BYTES_OF_OTHERS + 1)])
async def test_a_damaged_job_is_left_out_and_the_log_says_so(
    desk: Desk, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    await finished_job(desk, "damaged", kept={"forecast.json": content})
    await finished_job(desk, "sound")
    await finished_job(desk, MINE)

    with caplog.at_level(logging.WARNING, "sybilion_mcp.service.related"):
        assert await compared(desk) == ["sound"]

    assert "damaged" in caplog.text
    assert "forecast.json" in caplog.text


async def test_a_damaged_side_file_of_another_job_counts_as_missing(desk: Desk) -> None:
    await finished_job(desk, "other", kept={"backtest_trajectories.json": b"<html>", "input.json": b"\xff"})
    await finished_job(desk, MINE)

    assert "No past window in common" in render_report(await sybilion_results.report(desk, MINE))


async def test_few_jobs_are_read_however_many_there_are_and_the_report_says_so(desk: Desk) -> None:
    for number in range(READ + 3):
        await finished_job(desk, f"job-{number}", recency_factor=number / 10)
    series_id = await finished_job(desk, MINE)

    report = await sybilion_results.report(desk, MINE)

    assert len(report.others) == READ
    assert f"There are more jobs on this series: sybilion://series/{series_id}." in render_report(report)


@wall_clock
async def test_jobs_on_the_very_same_numbers_are_found_however_old(desk: Desk) -> None:
    await finished_job(desk, "old")
    for number in range(LOOKED_AT + 1):
        await finished_job(desk, f"later-{number}", scaled(2 + number), kept={"backtest_trajectories.json": None})
    await finished_job(desk, MINE)

    started = time.perf_counter()
    found = await compared(desk)

    assert found == ["old"]
    assert time.perf_counter() - started < 3  # 0.1 s on a quiet machine


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("external_signals.json", b"{"),
        ("backtest_metrics.json", b"[" * 5000),
        ("backtest_trajectories.json", b"\xff\xfe"),
        ("input.json", b" " * (MOST_BYTES + 1)),
    ],
)
async def test_a_side_file_that_cannot_be_read_is_a_caveat(desk: Desk, name: str, content: bytes) -> None:
    await finished_job(desk, MINE, kept={name: content})

    report = await sybilion_results.report(desk, MINE)

    assert any("Could not be read and is left out: " + name in one.text for one in report.caveats)
    assert name in render_report(report)
