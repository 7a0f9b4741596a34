"""Validation as a service: what one round of fixes does to any series, what is remembered, and how long it takes."""

import asyncio
import json
import math
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.validation import CASES, WithoutEngine, measure
from sybilion_mcp.engine.jobs import Engine
from sybilion_mcp.service import embedded
from sybilion_mcp.service.arguments import Options, fixes
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.validate import Aggregate, Fill, Validation, validate
from sybilion_mcp.settings import Settings
from tests.conftest import TODAY, good_series, known_hindcast

TITLE = "Monthly demand for a made-up product in Austria, units"

Series = dict[str, Any]


def daily(months: int, step: int = 1) -> Series:
    last = date(2026, 10, 31)
    return {(last - timedelta(days=at)).isoformat(): float(at % 50) for at in range(0, round(months * 30.44), step)}


def weekly(months: int) -> Series:
    return daily(months, 7)


def ends(months: int) -> Series:
    """One value a month, on its 28th."""
    return {f"{label[:8]}28": value for label, value in good_series(months).items()}


def sparse(months: int) -> Series:
    """Every third month is zero, so that demand is intermittent."""
    return {label: at % 3 for at, label in enumerate(good_series(months))}


RHYTHMS: tuple[Callable[[int], Mapping[str, object]], ...] = (good_series, ends, sparse, daily, weekly)
LENGTHS = (1, 2, 30, 40, 45, 60, 97, 120, 140)
VALUES: tuple[object, ...] = (
    None, math.nan, math.inf, "NaN", "12.5", "1,234", "n/a", "", True, [1], {}, -5.0, 0, 0.0, 10**400, 1e308, -1e308,
)  # fmt: skip
LABELS = ("2021-02-30", "Q3", "", "2021-03", "2021-03-15", "2029-01-01", "1950-01-01", "2021-03-01T00:00:00", "x" * 500)


@st.composite
def raw_series(draw: st.DrawFn) -> Series:
    """A series as people send it: some rhythm, with holes, odd values and odd labels."""
    months = draw(st.sampled_from(LENGTHS))
    series = dict(draw(st.sampled_from(RHYTHMS))(months))
    labels = list(series)
    places = st.integers(0, len(labels) - 1)
    for at in draw(st.lists(places, max_size=5)):
        series.pop(labels[at], None)
    odd = draw(st.dictionaries(places, st.sampled_from(VALUES), max_size=5))
    series |= {labels[at]: value for at, value in odd.items()}
    return series | dict.fromkeys(draw(st.lists(st.sampled_from(LABELS), max_size=2)), 3.0)


OPTIONS = st.builds(
    Options,
    title=st.sampled_from((None, TITLE, "Sales", "é" * 300)),
    description=st.sampled_from((None, "x" * 3000)),
    keywords=st.sampled_from((None, ["rain"], [""] * 25, ["x" * 300])),
    soft_horizon=st.none() | st.integers(-1, 14),
    hard_horizon=st.none() | st.integers(-1, 14),
    strictly_positive=st.sampled_from((None, True, False)),
)


def with_a_desk(home: Path, run: Callable[[Callable[..., Validation]], None]) -> None:
    """Run a test with a function that validates on one desk, in one event loop."""
    desk = WithoutEngine(Settings(home=home), today=lambda: TODAY)
    with asyncio.Runner() as runner:

        def check(series: Series, arguments: dict[str, Any]) -> Validation:
            how = cast("Aggregate", arguments.get("aggregate", "none"))
            fill = cast("Fill", arguments.get("fill", "none"))
            options = Options(**{name: value for name, value in arguments.items() if name not in ("aggregate", "fill")})
            return runner.run(validate(desk, series, aggregate=how, fill=fill, options=options))

        try:
            run(check)
        finally:
            runner.run(desk.aclose())


def test_one_round_of_fixes_leaves_none_of_the_fixable_problems(tmp_path: Path) -> None:
    def run(check: Callable[..., Validation]) -> None:
        @settings(max_examples=400, deadline=None)
        @given(
            raw_series(),
            OPTIONS,
            st.sampled_from(("none", "mean", "sum", "last")),
            st.sampled_from(("none", "linear", "previous", "zero")),
        )
        def one_round(series: Series, options: Options, aggregate: str, fill: str) -> None:
            arguments = {**options.given(), "aggregate": aggregate, "fill": fill}
            before = check(series, arguments)

            after = check(series, {**arguments, **fixes(before.problems)})

            assert [one for one in after.problems if one.fix] == []
            errors = [one for one in before.problems if one.severity == "error"]
            assert after.valid == all(one.fix for one in errors)
            assert before.valid == (not errors)
            assert (before.profile is None) == (after.profile is None)
            assert before.triage is None or 1 <= before.triage.horizon <= 12

        one_round()

    with_a_desk(tmp_path, run)


@pytest.mark.anyio
async def test_sound_numbers_are_remembered_with_what_was_said_about_them(desk: Desk) -> None:
    found = await validate(desk, good_series(), options=Options(title=TITLE, keywords=["rain"]))

    assert found.series_id is not None
    known = await desk.store.series(found.series_id)
    assert known is not None
    assert known.points == good_series()
    assert (known.title, list(known.keywords or ())) == (TITLE, ["rain"])
    await desk.aclose()


@pytest.mark.anyio
async def test_triage_looks_as_far_ahead_as_the_repaired_request_would(desk: Desk) -> None:
    for asked, horizon in ((None, 6), (0, 1), (4, 4), (40, 6)):
        found = await validate(desk, good_series(97), options=Options(title=TITLE, soft_horizon=asked))
        assert found.triage is not None
        assert found.triage.horizon == horizon
    await desk.aclose()


@pytest.mark.anyio
class TestEngine:
    async def test_its_past_errors_are_measured_where_the_simple_rules_are(self, desk: Desk) -> None:
        found = await validate(desk, good_series(60), options=Options(title=TITLE, soft_horizon=6))

        expected = known_hindcast(tuple(good_series(60).values()), 6, tuple(range(43, 55)), False)
        assert found.triage is not None
        assert (found.triage.engine_mae, found.triage.engine_not_measured) == (expected.mae, None)
        assert (found.triage.engine_held_80, found.triage.engine_counted_80) == (expected.held_80, 72)
        await desk.aclose()

    async def test_it_is_not_asked_about_what_tells_nothing(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        def unwanted(*_: object, **__: object) -> None:
            raise AssertionError("a hindcast of nothing")

        monkeypatch.setattr(Engine, "hindcast", unwanted)
        wrong = good_series(60) | {"2024-01-01": None}
        for series in (good_series(39), dict.fromkeys(good_series(60), 5.0), wrong):
            found = await validate(desk, series, options=Options(title=TITLE))
            assert found.triage is None or found.triage.engine_not_measured is None
        await desk.aclose()

    async def test_where_it_is_not_installed_that_is_said(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(embedded, "find_spec", lambda _: None)

        found = await validate(desk, good_series(60), options=Options(title=TITLE))

        assert found.triage is not None
        assert found.triage.engine_not_measured == "it is not installed"
        await desk.aclose()

    async def test_triage_and_jobs_share_one_engine(self, desk: Desk) -> None:
        first = desk.engine
        desk.backend("local")

        assert first is not None
        assert desk.engine is first is desk.local_app().state.engine
        await desk.aclose()
        assert desk.engine is not first
        await desk.aclose()


def test_the_engine_is_measured_in_a_process_of_its_own_which_ends_with_the_desk(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", APART, str(tmp_path)], capture_output=True, text=True, timeout=90, cwd=ROOT, check=False
    )

    assert done.returncode == 0, done.stderr
    measured, heavy, left = json.loads(done.stdout)
    assert measured is not None
    assert (heavy, left) == ([], 0)


ROOT = Path(__file__).parents[2]
APART = """
import asyncio, json, multiprocessing, sys
from pathlib import Path
from sybilion_mcp.service.arguments import Options
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.validate import validate
from sybilion_mcp.settings import Settings
from tests.conftest import TODAY, good_series

async def main():
    desk = Desk(Settings(home=Path(sys.argv[1])), today=lambda: TODAY)
    found = await validate(desk, good_series(60), options=Options(soft_horizon=3))
    heavy = [name for name in ("numpy", "pandas", "scipy", "statsforecast") if name in sys.modules]
    await desk.aclose()
    print(json.dumps([found.triage.engine_mae, heavy, len(multiprocessing.active_children())]))

asyncio.run(main())
"""


@pytest.mark.parametrize("name", CASES)
def test_120_points_are_checked_in_milliseconds(name: str) -> None:
    series, options = CASES[name]

    taken = asyncio.run(measure(series, options, runs=50))

    assert statistics.median(taken) <= 25
