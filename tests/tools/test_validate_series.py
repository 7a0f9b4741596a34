"""validate_series: everything that is wrong with a series at once, before any request, and how to repair it."""

import calendar
import itertools
import json
import math
import random
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp_types import CallToolResult

from benchmarks.validation import WithoutEngine
from sybilion_mcp.server import build_server
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.settings import Settings
from tests.conftest import TODAY, good_series
from tests.tools.host import call as call_tool
from tests.tools.host import data_of, failure_of, text_of

pytestmark = pytest.mark.anyio

TITLE = "Monthly demand for a made-up product in Austria, units"
MARCH, MAY = "2021-03-01", "2022-05-01"

Series = dict[str, Any]


@pytest.fixture(autouse=True)
def no_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is found here is found before any request."""

    def refuse(*_: object) -> None:
        raise AssertionError("validate_series asked a backend")

    monkeypatch.setattr(Desk, "backend", refuse)


@pytest.fixture
def desk(tmp_path: Path, folder: Path) -> Desk:
    """Without the engine, since most of what is found here has nothing to do with it."""
    return WithoutEngine(Settings(home=tmp_path / "home", allow_dirs=(folder,)), today=lambda: TODAY)


async def call(client: Client, **arguments: Any) -> CallToolResult:
    return await call_tool(client, "validate_series", **arguments)


async def check(client: Client, **arguments: Any) -> Series:
    """The structured answer, after the text was seen to be short and to say the same."""
    result = await call(client, **arguments)
    assert not result.is_error, text_of(result)
    answer = data_of(result)
    text = text_of(result)
    assert len(text.encode()) <= 6 * 1024
    assert all(problem["code"] in text for problem in answer["problems"])
    assert text.startswith("Ready" if answer["valid"] else "Not ready")
    assert text.splitlines()[-1].startswith(f"Next: {answer['next']['tool']}(")
    return answer


async def refusal(client: Client, **arguments: Any) -> Series:
    return failure_of(await call(client, **arguments))


def size_of(answer: Series) -> int:
    return len(json.dumps(answer).encode())


def errors_of(answer: Series) -> list[Series]:
    return [problem for problem in answer["problems"] if problem.get("severity") != "warning"]


def daily(first: date, last: date, step: int = 1) -> Series:
    days = (first + timedelta(days=count) for count in range(0, (last - first).days + 1, step))
    return {day.isoformat(): 50.0 + day.day for day in days}


def month_ends(months: int = 120) -> Series:
    def last_day(label: str) -> str:
        year, month = int(label[:4]), int(label[5:7])
        return f"{label[:8]}{calendar.monthrange(year, month)[1]}"

    return {last_day(label): value for label, value in good_series(months).items()}


def sparse(months: int, every: int) -> Series:
    """One month in `every` has a value other than zero."""
    return {label: 5.0 if at % every == 0 else 0.0 for at, label in enumerate(good_series(months))}


def changed(changes: Mapping[str, object], months: int = 132) -> Series:
    return {**good_series(months), **changes}


def without(*labels: str) -> Series:
    return {label: value for label, value in good_series().items() if label not in labels}


@dataclass(frozen=True)
class Case:
    """A series with one thing wrong, and what is to be said about it. `fix` is (argument, value)."""

    code: str
    place: str
    series: Series
    fix: tuple[str, object] | None = None
    months: list[str] | None = None
    arguments: Series = field(default_factory=dict)

    @property
    def said(self) -> Series:
        expected: Series = {"code": self.code, "field": self.place}
        if self.months is not None:
            expected["months"] = self.months
        if self.fix is not None:
            expected["fix"] = {"argument": self.fix[0], "value": self.fix[1]}
        return expected


def asked(code: str, place: str, fix: tuple[str, object] | None = None, **arguments: Any) -> Case:
    return Case(code, place, good_series(), fix, arguments=arguments)


LINEAR, MEAN, LAST = ("fill", "linear"), ("aggregate", "mean"), ("aggregate", "last")

CASES = {
    "soft horizon too long": asked("horizon_out_of_range", "soft_horizon", ("soft_horizon", 12), soft_horizon=13),
    "soft horizon of zero": asked("horizon_out_of_range", "soft_horizon", ("soft_horizon", 1), soft_horizon=0),
    "hard horizon below one": asked("horizon_out_of_range", "hard_horizon", ("hard_horizon", 1), hard_horizon=-3),
    "hard above soft": asked("horizon_order", "hard_horizon", ("hard_horizon", 6), soft_horizon=6, hard_horizon=9),
    "title too short": asked("title_too_short", "title", title="Sales"),
    "title too short in bytes": asked("title_too_short", "title", title="€" * 6),
    "title too long": asked("title_too_long", "title", ("title", "é" * 255), title="é" * 256),
    "description too long": asked(
        "description_too_long", "description", ("description", "x" * 2048), description="x" * 2049
    ),
    "too many keywords": asked("too_many_keywords", "keywords", ("keywords", ["rain"] * 20), keywords=["rain"] * 21),
    "empty keyword": asked("keyword_empty", "keywords[1]", ("keywords", ["rain"]), keywords=["rain", ""]),
    "keyword too long": asked("keyword_too_long", "keywords[0]", ("keywords", ["x" * 255]), keywords=["x" * 256]),
    "no day of the calendar": Case(
        "bad_date", 'series["2021-02-30"]', changed({"2021-02-30": 1.0}), months=["2021-02"]
    ),
    "no date at all": Case("bad_date", 'series["Q3"]', changed({"Q3": 1.0})),
    "month-end dates": Case("not_first_of_month", "series", month_ends(), LAST),
    "one date in the middle": Case(
        "not_first_of_month", f'series["{MARCH[:8]}17"]', without(MARCH) | {f"{MARCH[:8]}17": 5.0}, LAST, ["2021-03"]
    ),
    "a month twice": Case("duplicate_month", f'series["{MARCH}"]', changed({"2021-03": 5.0}), MEAN, ["2021-03"]),
    "daily data": Case("daily_data", "series", daily(date(2015, 1, 1), date(2026, 10, 31)), MEAN),
    "working days": Case(
        "daily_data",
        "series",
        {day: 1.5 for day in daily(date(2015, 1, 1), date(2026, 10, 30)) if date.fromisoformat(day).weekday() < 5},
        MEAN,
    ),
    "weekly data": Case("weekly_data", "series", daily(date(2015, 1, 5), date(2026, 10, 31), step=7), MEAN),
    "a number as text": Case("text_number", f'series["{MARCH}"]', changed({MARCH: "12.5"}), months=["2021-03"]),
    "an ambiguous number as text": Case("text_number", f'series["{MARCH}"]', changed({MARCH: "1,234"})),
    "a word": Case("not_a_number", f'series["{MARCH}"]', changed({MARCH: "n/a"}), months=["2021-03"]),
    "a boolean": Case("not_a_number", f'series["{MARCH}"]', changed({MARCH: True}), months=["2021-03"]),
    "a list": Case("not_a_number", f'series["{MARCH}"]', changed({MARCH: [1]}), months=["2021-03"]),
    "an object": Case("not_a_number", f'series["{MARCH}"]', changed({MARCH: {"value": 1}}), months=["2021-03"]),
    "NaN as text": Case("not_finite", f'series["{MARCH}"]', changed({MARCH: "NaN"}), LINEAR, ["2021-03"]),
    "infinity as text": Case("not_finite", f'series["{MARCH}"]', changed({MARCH: "-Infinity"}), LINEAR, ["2021-03"]),
    "too large a number": Case("not_finite", f'series["{MARCH}"]', changed({MARCH: 10**400}), LINEAR, ["2021-03"]),
    "null": Case("missing_value", "series", changed({MARCH: None, MAY: None}), LINEAR, ["2021-03", "2022-05"]),
    "a gap": Case("missing_month", "series", without(MARCH, MAY), LINEAR, ["2021-03", "2022-05"]),
    "too short for the horizon": Case(
        "too_short", "series", good_series(97), ("soft_horizon", 6), arguments={"soft_horizon": 12}
    ),
    "too short for the hard horizon": Case(
        "too_short", "series", good_series(45), ("hard_horizon", 3), arguments={"hard_horizon": 4}
    ),
    "too short for any": Case("too_short", "series", good_series(39)),
    "stale": Case("stale_series", "series", good_series(last=date(2025, 11, 1)), months=["2025-11"]),
    "intermittent, another horizon": Case(
        "intermittent_horizon", "soft_horizon", sparse(120, 3), ("soft_horizon", 6), arguments={"soft_horizon": 12}
    ),
    "intermittent, too short": Case("intermittent_too_short", "series", sparse(59, 3)),
    "intermittent, too sparse": Case("intermittent_too_sparse", "series", sparse(120, 6)),
    "negative": Case(
        "negative_value",
        f'series["{MARCH}"]',
        changed({MARCH: -1.0, MAY: -2.0}),
        ("strictly_positive", False),
        ["2021-03", "2022-05"],
        {"strictly_positive": True},
    ),
    "empty": Case("empty_series", "series", {}),
    "only nulls": Case("empty_series", "series", dict.fromkeys(good_series(), None)),
}


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in CASES.items()])
class TestOneThingWrong:
    async def test_it_is_said_with_code_field_months_and_fix(self, client: Client, case: Case) -> None:
        answer = await check(client, series=case.series, **({"title": TITLE} | case.arguments))

        assert not answer["valid"]
        (problem,) = [one for one in answer["problems"] if one["code"] == case.code]
        assert {name: problem.get(name) for name in case.said} == case.said
        assert ("fix" in problem) == (case.fix is not None)
        assert size_of(answer) <= 12 * 1024

    async def test_one_round_of_fixes_leaves_nothing_that_a_fix_can_mend(self, client: Client, case: Case) -> None:
        first = await check(client, series=case.series, **({"title": TITLE} | case.arguments))
        assert first["next"]["tool"] == "validate_series"

        second = await check(client, series=case.series, **first["next"]["arguments"])

        assert [one for one in second["problems"] if "fix" in one] == []
        assert second["valid"] == all("fix" in one for one in errors_of(first))


class TestEverythingAtOnce:
    async def test_all_problems_of_numbers_and_options_come_together(self, client: Client) -> None:
        series = without(MARCH) | {MAY: None, "2022-06-01": "7", "2022-07-01": "n/a", "soon": 1.0, "2023-01-01": "inf"}

        answer = await check(
            client,
            series=series,
            soft_horizon=13,
            hard_horizon=14,
            title="Sales",
            description="x" * 3000,
            keywords=["", "x" * 300],
        )

        assert {problem["code"] for problem in answer["problems"]} == {
            "bad_date",
            "text_number",
            "not_a_number",
            "not_finite",
            "missing_value",
            "missing_month",
            "horizon_out_of_range",
            "title_too_short",
            "description_too_long",
            "keyword_empty",
            "keyword_too_long",
        }
        assert answer.get("series_id") is None
        assert answer["next"]["arguments"] == {
            "soft_horizon": 12,
            "hard_horizon": 12,
            "title": "Sales",
            "description": "x" * 2048,
            "keywords": ["x" * 255],
            "fill": "linear",
        }

    async def test_a_ladder_that_is_shortened_twice_ends_where_the_history_allows(self, client: Client) -> None:
        series: Series = good_series(97)
        del series[MARCH]

        first = await check(client, series=series, title=TITLE, soft_horizon=15, hard_horizon=12)
        assert first["next"]["arguments"] == {
            "title": TITLE,
            "soft_horizon": 6,
            "hard_horizon": 6,
            "fill": "linear",
        }

        assert (await check(client, series=series, **first["next"]["arguments"]))["valid"]

    async def test_daily_data_with_holes_is_repaired_in_one_round(self, client: Client) -> None:
        series = daily(date(2020, 1, 1), date(2026, 10, 31))
        series = {day: value for day, value in series.items() if not day.startswith("2023-05")}
        series |= {"2023-07-04": None, "2024-02-03": None}

        first = await check(client, series=series, title=TITLE, soft_horizon=12)
        assert first["next"]["arguments"] == {
            "title": TITLE,
            "soft_horizon": 6,
            "aggregate": "mean",
            "fill": "linear",
        }

        assert (await check(client, series=series, **first["next"]["arguments"]))["valid"]

    @pytest.mark.parametrize("said", [{"aggregate": "sum"}, {"fill": "previous"}])
    async def test_what_was_asked_for_is_asked_again(self, client: Client, said: Series) -> None:
        series = daily(date(2020, 1, 1), date(2026, 10, 31))
        series = {day: value for day, value in series.items() if not day.startswith("2023-05")}

        first = await check(client, series=series, title=TITLE, **said)

        assert first["next"]["arguments"].items() >= said.items()
        assert (await check(client, series=series, **first["next"]["arguments"]))["valid"]

    async def test_nothing_is_repaired_unless_asked(self, client: Client) -> None:
        for series in (without(MARCH), changed({MARCH: None}), month_ends()):
            answer = await check(client, series=series, title=TITLE)
            assert not answer["valid"]
            assert answer.get("series_id") is None


class TestWhatWasAskedFor:
    @pytest.mark.parametrize(("how", "value"), [("mean", 2.0), ("sum", 6.0), ("last", 3.0)])
    async def test_aggregate(self, client: Client, how: str, value: float) -> None:
        series = {f"{month[:8]}{day:02d}": float(day) for month in good_series(60) for day in (1, 2, 3)}

        answer = await check(client, series=series, aggregate=how, title=TITLE)

        assert answer["valid"]
        assert answer["profile"]["last_value"] == value

    @pytest.mark.parametrize(("how", "value"), [("linear", 150.0), ("previous", 100.0), ("zero", 0.0)])
    async def test_fill_is_noted(self, client: Client, how: str, value: float) -> None:
        before, after = sorted(good_series(60))[-3], sorted(good_series(60))[-1]
        gap = sorted(good_series(60))[-2]
        series = {**dict.fromkeys(good_series(60), 100.0), after: 200.0, before: 100.0}
        del series[gap]

        answer = await check(client, series=series, fill=how, title=TITLE)
        same = await check(client, series={**series, gap: value}, title=TITLE)

        assert answer["valid"]
        assert [(one["code"], one["severity"]) for one in answer["problems"]] == [("filled", "warning")]
        assert answer["series_id"] == same["series_id"]


class TestGoodSeries:
    async def test_it_gets_an_id_a_profile_a_triage_and_the_next_step(self, client: Client) -> None:
        answer = await check(client, series=good_series(120), title=TITLE, soft_horizon=12)

        assert (answer["valid"], answer["problems"]) == (True, [])
        assert answer["allowed_horizons"] == list(range(1, 13))
        assert (answer["profile"]["start"], answer["profile"]["end"]) == ("2016-11", "2026-10")
        assert answer["triage"]["horizon"] == 12
        assert answer["next"]["tool"] == "submit_forecast"
        assert answer["next"]["arguments"]["series_id"] == answer["series_id"]
        assert answer["next"]["arguments"]["soft_horizon"] == 12
        assert size_of(answer) <= 4 * 1024

    async def test_the_same_numbers_have_the_same_id_however_they_come(self, client: Client) -> None:
        series = {label: float(round(value)) for label, value in good_series().items()}
        forms: list[object] = [
            series,
            dict(reversed(series.items())),
            {label: int(value) for label, value in series.items()},
            {label[:7]: value for label, value in series.items()},
            json.dumps(series),
        ]

        ids = {(await check(client, series=form, title=TITLE))["series_id"] for form in forms}
        other = await check(client, series={**series, MARCH: 1.0}, title=TITLE)

        assert len(ids) == 1
        assert other["series_id"] not in ids

    async def test_a_driver_series_needs_no_title(self, client: Client) -> None:
        answer = await check(client, series=good_series())

        assert answer["valid"]
        assert [(one["code"], one["severity"]) for one in answer["problems"]] == [("title_missing", "warning")]

    async def test_months_in_the_future_are_only_a_warning(self, client: Client) -> None:
        answer = await check(client, series=good_series(last=date(2027, 2, 1)), title=TITLE)

        assert answer["valid"]
        (warning,) = answer["problems"]
        assert (warning["code"], warning["severity"]) == ("future_month", "warning")
        assert warning["months"] == ["2026-12", "2027-01", "2027-02"]

    async def test_the_current_month_is_not_the_future(self, client: Client) -> None:
        answer = await check(client, series=good_series(last=TODAY.replace(day=1)), title=TITLE)
        assert answer["valid"]
        assert "future_month" not in [one["code"] for one in answer["problems"]]

    async def test_intermittent_demand_without_a_horizon_is_fine(self, client: Client) -> None:
        answer = await check(client, series=sparse(120, 3), title=TITLE)

        assert (answer["valid"], answer["allowed_horizons"]) == (True, [3, 6])
        assert answer["next"]["arguments"]["soft_horizon"] == 6

    async def test_options_with_errors_keep_the_id_of_sound_numbers(self, client: Client) -> None:
        answer = await check(client, series=good_series(), title="Sales")

        assert not answer["valid"]
        assert answer["series_id"] == (await check(client, series=good_series(), title=TITLE))["series_id"]


def wandering(step: float, months: int = 120) -> Series:
    """Changes that nothing in the past foretells."""
    chance = random.Random(3)
    levels = itertools.accumulate((chance.gauss(0, step) for _ in range(months)), initial=4.6)
    return {label: math.exp(level) for label, level in zip(good_series(months), levels, strict=False)}


class TestTriage:
    @pytest.fixture
    def desk(self, tmp_path: Path, executor: Executor) -> Desk:
        return Desk(Settings(home=tmp_path / "home"), today=lambda: TODAY, executor=executor)

    async def test_errors_of_engine_and_simple_rules_come_with_the_advice(self, client: Client) -> None:
        result = await call(client, series=wandering(0.06, 60), title=TITLE, soft_horizon=6)

        found, lines = data_of(result)["triage"], text_of(result).splitlines()
        evidence, advice = lines[-3], lines[-2]
        for name in ("last_value", "seasonal_naive", "engine"):
            assert found[f"{name}_mae"] > 0
            assert f" {found[f'{name}_error']:.1f} %" in evidence
        assert f"held {found['engine_held_80']} of 72 months" in evidence
        assert advice == f"Recommendation: {found['recommendation']}. {found['reason']}"
        assert found["reason"].count(". ") == 0
        assert len((text_of(result) + json.dumps(data_of(result))).encode()) <= 6000

    async def test_the_price_is_told_when_paying_is_advised_and_local_still_comes_first(self, client: Client) -> None:
        result = await call(client, series=wandering(0.3), title=TITLE, soft_horizon=12)

        answer, text = data_of(result), text_of(result)
        assert answer["triage"]["recommendation"] == "pay for the forecast"
        assert "8 to 15 minutes and 2.19 to 3.92 EUR (published jobs of May 2026)" in text
        assert answer["next"]["tool"] == "submit_forecast"
        assert answer["next"]["arguments"].get("backend") is None  # the embedded engine, without a token
        assert len((text + json.dumps(answer)).encode()) <= 6000

    async def test_the_price_is_not_told_where_nobody_could_pay(self, client: Client) -> None:
        assert "EUR" not in text_of(await call(client, series=good_series(60), title=TITLE))

    async def test_with_a_token_the_price_is_told_whatever_the_advice(self, tmp_path: Path, executor: Executor) -> None:
        settings = Settings(home=tmp_path / "home", api_token="sk_ops_x")
        desk = Desk(settings, today=lambda: TODAY, executor=executor)
        async with Client(build_server(settings, desk)) as client:
            result = await call(client, series=good_series(60), title=TITLE)

        assert data_of(result)["triage"]["recommendation"] == "forecast here"
        assert "2.19 to 3.92 EUR" in text_of(result)
        assert data_of(result)["next"]["arguments"]["backend"] == "local"

    async def test_what_was_not_measured_is_said(self, tmp_path: Path) -> None:
        settings = Settings(home=tmp_path / "home")
        async with Client(build_server(settings, WithoutEngine(settings, today=lambda: TODAY))) as client:
            result = await call(client, series=good_series(60), title=TITLE)

        assert "; the embedded engine: not measured, it is not installed." in text_of(result)
        assert data_of(result)["triage"]["engine_mae"] is None


class TestArgumentsAsText:
    async def test_json_text_for_objects_and_lists(self, client: Client) -> None:
        answer = await check(client, series=json.dumps(good_series()), keywords='["rain", "wind"]', title=TITLE)

        assert answer["valid"]

    @pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999"])
    async def test_json_text_may_carry_what_json_cannot(self, client: Client, value: str) -> None:
        text = json.dumps(changed({MARCH: "VALUE"})).replace('"VALUE"', value)

        answer = await check(client, series=text, title=TITLE)

        (problem,) = answer["problems"]
        assert (problem["code"], problem["months"]) == ("not_finite", ["2021-03"])
        assert (await check(client, series=text, **answer["next"]["arguments"]))["valid"]

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
    async def test_a_number_that_is_none_never_counts(self, client: Client, value: float) -> None:
        answer = await check(client, series=changed({MARCH: value}), title=TITLE)

        assert not answer["valid"]
        (problem,) = answer["problems"]
        assert problem["code"] in ("not_finite", "missing_value")  # the protocol writes null for what JSON cannot say
        assert problem["months"] == ["2021-03"]

    @pytest.mark.parametrize("series", ["{not json", "[1, 2]", [1, 2], 5, "2026-10-01"])
    async def test_what_is_no_object_is_refused(self, client: Client, series: object) -> None:
        failure = await refusal(client, series=series)

        assert failure["code"] == "invalid_argument"
        assert "an object of date to number" in failure["message"]

    async def test_an_unknown_argument_is_answered_with_the_closest(self, client: Client) -> None:
        failure = await refusal(client, series=good_series(), horizn=6)

        assert (failure["code"], failure["next"]["arguments"]) == ("unknown_argument", {"soft_horizon": 6})

    @pytest.mark.parametrize("arguments", [{}, {"series": {MARCH: 1.0}, "file": "a.csv"}])
    async def test_either_series_or_file(self, client: Client, arguments: Series) -> None:
        assert (await refusal(client, **arguments))["code"] == "invalid_argument"


def huge_daily() -> Series:
    """2 MiB of daily values."""
    return {day: value + 0.12345678 for day, value in daily(date(1810, 1, 1), date(2026, 10, 31)).items()}


def huge_monthly() -> Series:
    return {f"{year:04d}-{month:02d}-01": 1234.5678 for year in range(2, 9000) for month in range(1, 13)}


def broken_in_hundreds_of_places() -> Series:
    junk: list[object] = ["n/a", "1,5", True, None, [1], "inf", -3.0]
    series = {label: junk[at % len(junk)] for at, label in enumerate(good_series(700))}
    return series | {f"day {number} \u202e\n": 1.0 for number in range(400)}


@pytest.mark.no_cover  # megabytes are slow to trace
class TestSize:
    @pytest.mark.parametrize("make", [huge_daily, huge_monthly, broken_in_hundreds_of_places])
    async def test_the_answer_stays_small(self, client: Client, make: Callable[[], Series]) -> None:
        series = make()
        answer = await check(
            client, series=series, strictly_positive=True, soft_horizon=13, keywords=[""] * 500, title=TITLE
        )

        assert not answer["valid"]
        assert size_of(answer) <= 8 * 1024
        assert len(answer["problems"]) <= 16

    async def test_2_mib_of_daily_data_is_repaired_like_any_other(self, client: Client) -> None:
        series = huge_daily()
        assert len(json.dumps(series)) > 2 * 1024 * 1024

        first = await check(client, series=series, title=TITLE)
        second = await check(client, series=series, **first["next"]["arguments"])

        assert second["valid"]
        assert second["profile"]["length"] == 2602

    async def test_more_than_2_mib_of_months_is_too_large_a_body(self, client: Client) -> None:
        answer = await check(client, series=huge_monthly(), title=TITLE)

        (problem,) = errors_of(answer)
        assert (problem["code"], problem["field"]) == ("body_too_large", "series")

    async def test_long_options_are_not_repeated_without_end(self, client: Client) -> None:
        answer = await check(
            client,
            series=good_series(),
            title="x" * 100_000,
            description="y" * 100_000,
            keywords=["z" * 1000] * 300,
        )

        assert size_of(answer) <= 24 * 1024


class TestFile:
    def csv(self, folder: Path, series: Series, name: str = "demand.csv") -> str:
        file = folder / name
        file.write_text("\n".join(["month,units", *(f"{label},{value}" for label, value in series.items())]))
        return name

    async def test_a_file_gives_the_id_that_its_numbers_give(self, client: Client, folder: Path) -> None:
        name = self.csv(folder, good_series())

        answer = await check(client, file=name, title=TITLE)
        absolute = await check(client, file=str(folder / name), title=TITLE)
        inline = await check(client, series=good_series(), title=TITLE)

        assert answer["valid"]
        assert answer["series_id"] == absolute["series_id"] == inline["series_id"]

    async def test_days_to_add_up_end_with_the_last_whole_month(self, client: Client, folder: Path) -> None:
        start = date(2022, 1, 1)
        days = {str(start + timedelta(days=at)): 10.0 for at in range((date(2026, 11, 9) - start).days + 1)}
        name = self.csv(folder, days)

        answer = await check(client, file=name, aggregate="sum", title=TITLE)

        assert answer["valid"]
        assert answer["profile"]["end"] == "2026-10"
        assert answer["profile"]["last_value"] == 310
        (note,) = answer["problems"]
        assert (note["code"], note["severity"], note["months"]) == ("partial_month", "warning", ["2026-11"])
        assert note["message"].startswith("2026-11 is left out: ")

    async def test_regions_in_a_long_table_are_not_averaged(self, client: Client, folder: Path) -> None:
        rows = [f"{month},{region},{value}" for month, value in good_series().items() for region in "NS"]
        (folder / "long.csv").write_text("\n".join(["month,region,units", *rows]))

        answer = await check(client, file="long.csv", title=TITLE)

        (problem,) = answer["problems"]
        assert not answer["valid"]
        assert problem["code"] == "duplicate_month"
        assert 'told apart by "region"' in problem["message"]
        assert "fix" not in problem
        assert "aggregate" not in answer["next"]["arguments"]
        assert (await check(client, file="long.csv", aggregate="sum", title=TITLE))["problems"] == []

    async def test_the_next_call_names_the_file_again(self, client: Client, folder: Path) -> None:
        name = self.csv(folder, without(MARCH))

        first = await check(client, file=name, value_column="units", title=TITLE)
        assert first["next"]["arguments"] == {
            "file": name,
            "value_column": "units",
            "title": TITLE,
            "fill": "linear",
        }

        assert (await check(client, **first["next"]["arguments"]))["valid"]

    async def test_a_path_outside_is_refused(self, client: Client, folder: Path) -> None:
        outside = folder.parent / "secret.csv"
        outside.write_text("month,units\n2026-10-01,1")
        (folder / "link.csv").symlink_to(outside)

        for path in (str(outside), "../secret.csv", "/etc/passwd", "link.csv"):
            failure = await refusal(client, file=path)
            assert failure["code"] == "file_outside_allowed_folders"
            assert "--allow-dir" in failure["hint"]

    async def test_what_is_missing_too_large_or_too_long_is_refused(self, client: Client, folder: Path) -> None:
        with (folder / "large.csv").open("wb") as large:
            large.truncate(20_000_001)
        (folder / "long.csv").write_text("month,units\n" + "2026-10-01,1\n" * 200_001)

        assert (await refusal(client, file="none.csv"))["code"] == "file_not_found"
        assert (await refusal(client, file="."))["code"] == "file_unreadable"
        assert (await refusal(client, file="large.csv"))["code"] == "file_too_large"
        assert (await refusal(client, file="long.csv"))["code"] == "file_too_many_rows"

    async def test_an_unknown_column_is_refused_with_the_known_ones(self, client: Client, folder: Path) -> None:
        failure = await refusal(client, file=self.csv(folder, good_series()), value_column="unit")

        assert failure["code"] == "column_not_found"
        assert "units" in failure["message"] + failure["hint"]

    async def test_without_an_allowed_folder_there_are_no_files(self, tmp_path: Path) -> None:
        file = tmp_path / "demand.csv"
        file.write_text("month,units\n2026-10-01,1")
        settings = Settings(home=tmp_path / "home")

        async with Client(build_server(settings, Desk(settings))) as bare:
            failure = await refusal(bare, file=str(file))

        assert failure["code"] == "file_outside_allowed_folders"
