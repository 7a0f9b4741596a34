"""Points → months: every problem named at once, with a fix that holds, and nothing repaired unasked."""

import math
import re
from collections.abc import Mapping
from datetime import date, timedelta
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sybilion_mcp.contract.problem import Problem
from sybilion_mcp.intake.findings import CODES
from sybilion_mcp.intake.series import Aggregate, Fill, Monthly, points_of, to_monthly
from tests.timing import cpu_seconds

TODAY = date(2026, 11, 15)


def months(count: int, first: str = "2016-01") -> dict[str, object]:
    """A clean series: 1.0, 2.0, … on the first of each month."""
    year, month = map(int, first.split("-"))
    start = year * 12 + month - 1
    return {f"{at // 12:04d}-{at % 12 + 1:02d}-01": float(at - start + 1) for at in range(start, start + count)}


def days(count: int, first: date = date(2020, 1, 1), step: int = 1) -> dict[str, object]:
    return {(first + timedelta(days=at * step)).isoformat(): float(at) for at in range(count)}


def read(
    series: Mapping[str, object], aggregate: Aggregate = "none", fill: Fill = "none", *, today: date = TODAY
) -> Monthly:
    return to_monthly(points_of(series), aggregate, fill, today)


def codes(monthly: Monthly) -> list[str]:
    return [problem.code for problem in monthly.problems]


def only(monthly: Monthly) -> Problem:
    assert codes(monthly) == [monthly.problems[0].code]
    return monthly.problems[0]


def fix_of(problem: Problem) -> tuple[str, object] | None:
    return None if problem.fix is None else (problem.fix.field, problem.fix.value)


def test_a_clean_series_passes_unchanged() -> None:
    series = months(120)
    monthly = read(series)
    assert monthly.problems == ()
    assert monthly.points == series
    assert monthly.measured == series


def test_points_in_any_order_are_sorted() -> None:
    series = months(24)
    assert list(read(dict(reversed(series.items()))).points) == list(series)


@pytest.mark.parametrize(
    "label",
    ["2021-03", "2021-03-01T00:00", "2021-03-01T00:00:00", "2021-03-01 00:00:00.000", "2021-03-01T00:00:00Z"],
)
def test_a_month_or_a_midnight_is_that_month(label: str) -> None:
    assert read({label: 5}).points == {"2021-03-01": 5.0}


def test_aggregating_and_filling_a_clean_series_changes_nothing() -> None:
    series = months(24)
    for aggregate in ("mean", "sum", "last"):
        assert read(series, aggregate, "linear") == Monthly(points=dict(read(series).points), problems=())


@pytest.mark.parametrize(
    "label", ["2021-02-30", "soon", "", "2021-13-01", "01/03/2021", "2021-03-01T12:00", "20210301"]
)
def test_a_label_that_is_no_date_has_no_fix(label: str) -> None:
    problem = only(read({**months(40), label: 5}))
    assert (problem.code, problem.field, problem.fix) == ("bad_date", f'timeseries["{label}"]', None)


def test_bad_dates_are_one_problem_with_the_months_that_can_be_recognised() -> None:
    problem = only(read({**months(40), "2021-02-30": 5, "2021-04-31": 6, "soon": 7, "later": 8, "x": 9}))
    assert problem.months == ("2021-02", "2021-04")
    assert problem.field == "timeseries"
    assert '"2021-02-30"' in problem.message
    assert "and 2 more" in problem.message


def test_somebody_elses_text_is_shortened_and_stays_on_one_line() -> None:
    problem = only(read({**months(40), 'x"]\n\u202e' * 1000: 5}))
    assert len(problem.message) < 200
    assert problem.message.isprintable()
    assert problem.field.isprintable()


def test_month_ends_are_taken_as_their_months_when_asked() -> None:
    series = {"2021-01-31": 1, "2021-02-28": 2, "2021-03-31": 3}
    found = read(series)
    problem = only(found)
    assert (problem.code, fix_of(problem)) == ("not_first_of_month", ("aggregate", "last"))
    assert problem.months == ("2021-01", "2021-02", "2021-03")
    fixed = read(series, aggregate="last")
    assert fixed.problems == ()
    assert fixed.points == found.points == {"2021-01-01": 1.0, "2021-02-01": 2.0, "2021-03-01": 3.0}


def test_one_date_off_the_first_is_named_by_its_field() -> None:
    assert only(read({"2021-01-01": 1, "2021-02-15": 2})).field == 'timeseries["2021-02-15"]'


@pytest.mark.parametrize(
    ("series", "code"),
    [
        (days(366), "daily_data"),
        ({label: value for label, value in days(366).items() if date.fromisoformat(label).weekday() < 5}, "daily_data"),
        (days(60, step=7), "weekly_data"),
        (days(60, step=14), "weekly_data"),
    ],
    ids=["daily", "working days", "weekly", "fortnightly"],
)
def test_dates_finer_than_months_are_recognised(series: Mapping[str, object], code: str) -> None:
    problem = next(problem for problem in read(series).problems if problem.severity == "error")
    assert (problem.code, fix_of(problem)) == (code, ("aggregate", "mean"))
    assert "sum" in problem.message


def test_a_month_given_twice_is_named() -> None:
    problem = only(read({**months(40), "2016-05": 100, "2017-02": 200}))
    assert (problem.code, fix_of(problem)) == ("duplicate_month", ("aggregate", "mean"))
    assert problem.months == ("2016-05", "2017-02")
    assert "2016-05 and 2017-02" in problem.message


def test_the_fixes_for_one_argument_agree() -> None:
    found = read({"2021-01-31": 1, "2021-02-28": 2, "2021-03-31": 3, "2021-03-30": 5, "2021-05-31": 5})
    assert {fix_of(problem) for problem in found.problems} == {("aggregate", "mean"), ("fill", "linear")}
    assert found.points["2021-03-01"] == 4.0


@pytest.mark.parametrize(("text", "number"), [("12.5", "12.5"), ("1,5", "1.5"), ("12", "12"), ("€ 1,234.50", "1234.5")])
def test_a_number_written_as_text_is_read_out_and_not_taken(text: str, number: str) -> None:
    problem = only(read({**months(40), "2016-05-01": text}))
    assert (problem.code, problem.field, problem.fix, problem.status) == (
        "text_number",
        'timeseries["2016-05-01"]',
        None,
        400,
    )
    assert f"number {number}," in problem.message


def test_a_text_with_two_readings_is_not_guessed() -> None:
    problem = only(read({**months(40), "2016-05-01": "1,234", "2016-06-01": "12.5"}))
    assert problem.code == "text_number"
    assert '"1,234" in 2016-05 can be read in two ways' in problem.message


@pytest.mark.parametrize("value", ["twelve", "n/a", "", "1.2.3", True, [1], {"value": 1}])
def test_what_is_no_number_is_reported(value: object) -> None:
    problem = only(read({**months(40), "2016-05-01": value}))
    assert (problem.code, problem.fix, problem.months) == ("not_a_number", None, ("2016-05",))


def test_a_mark_for_a_missing_value_is_answered_with_null() -> None:
    assert "write null" in only(read({**months(40), "2016-05-01": "n/a"})).message


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**400, "NaN", "-Infinity"])
def test_what_is_not_finite_counts_as_missing(value: object) -> None:
    series = {**months(40), "2016-05-01": value}
    found = read(series)
    problem = only(found)
    assert (problem.code, fix_of(problem)) == ("not_finite", ("fill", "linear"))
    assert found.points["2016-05-01"] == 5.0
    assert codes(read(series, fill="linear")) == ["filled"]


def test_a_null_is_a_missing_value() -> None:
    problem = only(read({**months(40), "2016-05-01": None}))
    assert (problem.code, problem.field, fix_of(problem)) == (
        "missing_value",
        'timeseries["2016-05-01"]',
        ("fill", "linear"),
    )


def test_gaps_name_up_to_six_months_and_count_the_rest() -> None:
    series = months(60)
    for month in range(2, 12):
        del series[f"2018-{month:02d}-01"]
    problem = only(read(series))
    assert (problem.code, problem.field, fix_of(problem)) == ("missing_month", "timeseries", ("fill", "linear"))
    assert problem.months == tuple(f"2018-{month:02d}" for month in range(2, 12))
    assert "2018-07 and 4 more" in problem.message
    assert "2018-08" not in problem.message


def test_one_gap_is_named_by_its_field() -> None:
    series = months(40)
    del series["2017-03-01"]
    assert only(read(series)).field == 'timeseries["2017-03-01"]'


def test_quarters_are_recognised_and_the_invention_is_named() -> None:
    series = {f"{2010 + at // 4}-{at % 4 * 3 + 1:02d}-01": at for at in range(40)}
    assert "invent 2 of 3" in only(read(series)).message


@pytest.mark.parametrize(("fill", "values"), [("linear", [2.0, 3.0]), ("previous", [1.0, 1.0]), ("zero", [0.0, 0.0])])
def test_filling_acts_inside_the_range_and_says_so(fill: Fill, values: list[float]) -> None:
    found = read({"2020-12": None, "2021-01": 1, "2021-02": None, "2021-04": 4, "2021-05": None}, fill=fill)
    assert list(found.points.values()) == [1.0, *values, 4.0]
    assert next(iter(found.points)) == "2021-01-01"
    note = only(found)
    assert (note.code, note.severity) == ("filled", "warning")
    assert note.months == ("2020-12", "2021-02", "2021-03", "2021-05")
    assert "2021-02 and 2021-03" in note.message
    assert "2020-12 and 2021-05 left out" in note.message
    assert found.measured == {"2021-01-01": 1.0, "2021-04-01": 4.0}


def test_missing_values_at_the_ends_are_left_out_by_the_fix() -> None:
    found = read({"2020-12": None, "2021-01": 1, "2021-02": 2, "2021-03": None})
    assert "leaves 2020-12 and 2021-03 out" in only(found).message
    assert list(found.points) == ["2021-01-01", "2021-02-01"]


@pytest.mark.parametrize("series", [{}, {"soon": 1}, {"2021-01": None}, {"2021-01": "x", "2021-02": math.nan}])
def test_a_series_without_any_value_is_empty_and_nothing_is_offered(series: Mapping[str, object]) -> None:
    found = read(series)
    assert found.points == {}
    assert codes(found)[-1] == "empty_series"
    assert all(problem.fix is None for problem in found.problems)
    assert codes(read(series, fill="linear")) == codes(found)


def test_future_months_are_a_warning_counted_from_the_current_month() -> None:
    note = only(read(months(3, first="2026-11")))
    assert (note.code, note.severity, note.months) == ("future_month", "warning", ("2026-12", "2027-01"))


@pytest.mark.parametrize("aggregate", ["mean", "last"])
def test_the_months_that_daily_data_do_not_cover_are_a_warning(aggregate: Aggregate) -> None:
    found = read(days(80, first=date(2020, 1, 10)), aggregate=aggregate)
    note = only(found)
    assert (note.code, note.severity, note.months) == ("partial_month", "warning", ("2020-01", "2020-03"))
    assert list(found.points) == ["2020-01-01", "2020-02-01", "2020-03-01"]


def test_the_sum_of_a_part_of_a_month_is_left_out_and_said() -> None:
    found = read(days(66, first=date(2020, 1, 10)), aggregate="sum")
    note = only(found)
    assert (note.code, note.severity, note.months) == ("partial_month", "warning", ("2020-01", "2020-03"))
    assert note.message.startswith("2020-01 and 2020-03 are left out: ")
    assert list(found.points) == ["2020-02-01"]


@pytest.mark.parametrize("step", [1, 7])
def test_the_current_month_has_no_sum_yet(step: int) -> None:
    series = {day: 1.0 for day in days(800, first=date(2025, 1, 1), step=step) if day <= "2026-11-21"}
    found = read(series, aggregate="sum", today=date(2026, 11, 22))
    assert list(found.points)[-1] == "2026-10-01"
    assert only(found).months == ("2026-11",)


def test_a_month_that_is_over_and_lacks_its_last_days_keeps_its_sum() -> None:
    series = {day: 1.0 for day in days(800, first=date(2025, 1, 1)) if day <= "2026-03-29"}
    found = read(series, aggregate="sum")
    assert list(found.points)[-1] == "2026-03-01"
    assert "do not cover all of 2026-03" in only(found).message


def test_days_of_one_month_alone_keep_their_sum() -> None:
    assert read(days(10, first=date(2026, 3, 5)), aggregate="sum").points == {"2026-03-01": sum(range(10))}


@pytest.mark.parametrize("label", ["2026-11-01", "2026-11-30"])
def test_a_current_month_that_is_not_over_is_a_warning(label: str) -> None:
    series = months(5, first="2026-06") | {label: 9.0}
    found = read(series, "last", today=date(2026, 11, 22))
    note = only(found)
    assert (note.code, note.severity, note.months) == ("partial_month", "warning", ("2026-11",))
    assert "2026-11 is not over yet" in note.message
    assert found.points["2026-11-01"] == 9.0
    assert read(series, aggregate="last", today=date(2026, 11, 30)).problems == ()


@pytest.mark.parametrize("first", [date(2020, 1, 1), date(2021, 5, 1)], ids=["holiday", "weekend"])
def test_working_days_cover_a_month_that_begins_or_ends_without_one(first: date) -> None:
    series = {
        label: value
        for label, value in days(31 + 365, first=first).items()
        if date.fromisoformat(label).weekday() < 5 and label[5:] != "01-01"
    }
    last = max(series)
    whole = {label: value for label, value in series.items() if label[:7] < last[:7]}
    assert read(whole, aggregate="mean").problems == ()


def test_weekly_data_up_to_the_last_week_cover_their_months() -> None:
    assert read(days(52, first=date(2021, 1, 4), step=7), aggregate="mean").problems == ()


def test_days_without_a_value_are_left_out_of_their_month_and_said() -> None:
    series = days(91)
    series["2020-02-10"] = None
    found = read(series, aggregate="mean")
    note = only(found)
    assert (note.code, note.months) == ("partial_month", ("2020-02",))
    assert found.points["2020-02-01"] == fmean(at for at in range(31, 60) if at != 40)


def test_days_missing_inside_a_month_are_no_gap() -> None:
    series = {label: value for label, value in days(91).items() if label[8:] != "17"}
    found = read(series, aggregate="sum")
    assert found.problems == ()
    assert found.points["2020-01-01"] == float(sum(at for at in range(31) if at != 16))


def test_a_sum_beyond_all_numbers_is_reported() -> None:
    found = read({"2021-01-01": 1.7e308, "2021-01-02": 1.7e308, "2021-02-01": 1.0}, aggregate="sum")
    assert codes(found) == ["not_finite"]
    assert fix_of(found.problems[0]) is None
    assert read({"2021-01-01": 1.7e308, "2021-01-02": 1.7e308}, aggregate="mean").points == {"2021-01-01": 1.7e308}


def test_everything_is_reported_in_one_call() -> None:
    series = months(60)
    del series["2018-03-01"]
    series |= {"2017-01-01": "12.5", "2017-02-01": None, "2017-03-01": math.nan, "2017-04-01": [], "2017-05": 3}
    series |= {"2021-02-30": 1, "2027-01-01": 61}
    assert codes(read(series)) == [
        "bad_date",
        "duplicate_month",
        "text_number",
        "not_a_number",
        "not_finite",
        "missing_value",
        "missing_month",
        "future_month",
    ]


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["12.5", "1,234", "NaN", "n/a", "1e999"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=3,
)
DATES = st.dates(date(1990, 1, 1), date(2030, 12, 31))
LABELS = (
    DATES.map(date.isoformat)
    | DATES.map(lambda day: day.isoformat()[:7])
    | DATES.map(lambda day: f"{day.isoformat()[:7]}-01")
    | st.dates().map(date.isoformat)
    | st.sampled_from(["2021-02-30", "0000-01-01", "9999-12-31", "soon"])
    | st.text(max_size=12)
)
SERIES = st.dictionaries(LABELS, JSON_VALUES, max_size=40)
AGGREGATES = st.sampled_from(["none", "mean", "sum", "last"])
FILLS = st.sampled_from(["none", "linear", "previous", "zero"])


@settings(deadline=None)  # two dates can lie ten thousand years apart
@given(series=SERIES, aggregate=AGGREGATES, fill=FILLS)
def test_any_mapping_yields_problems_and_never_an_exception(
    series: dict[str, object], aggregate: Aggregate, fill: Fill
) -> None:
    found = read(series, aggregate, fill)
    assert len(set(codes(found))) <= len(CODES)
    assert set(codes(found)) <= set(CODES)
    assert all(problem.message.isprintable() and len(problem.message) < 500 for problem in found.problems)
    assert all(math.isfinite(value) for value in found.points.values())
    assert all(re.fullmatch(r"[0-9]{4}-[0-9]{2}-01", month) for month in found.points)
    positions = [int(month[:4]) * 12 + int(month[5:7]) for month in found.points]
    assert positions == list(range(positions[0], positions[0] + len(positions))) if positions else not found.measured


@settings(deadline=None)  # two dates can lie ten thousand years apart
@given(series=SERIES, aggregate=AGGREGATES, fill=FILLS)
def test_one_round_of_fixes_leaves_nothing_to_fix(series: dict[str, object], aggregate: Aggregate, fill: Fill) -> None:
    first = read(series, aggregate, fill)
    offered = [problem.fix for problem in first.problems if problem.fix is not None]
    fixes = {fix.field: fix.value for fix in offered}
    assert len({(fix.field, fix.value) for fix in offered}) == len(fixes)
    second = read(series, fixes.get("aggregate", aggregate), fixes.get("fill", fill))  # type: ignore[arg-type]  # by field
    assert [problem for problem in second.problems if problem.fix is not None] == []
    assert second.points == first.points
    assert {
        code for code, problem in zip(codes(second), second.problems, strict=True) if problem.severity == "error"
    } <= set(codes(first))


@given(
    st.dictionaries(st.dates(date(2020, 1, 1), date(2020, 12, 31)), st.floats(-1e9, 1e9), min_size=1),
    st.sampled_from(["mean", "sum", "last"]),
)
def test_aggregation_equals_an_independent_computation(values: dict[date, float], aggregate: Aggregate) -> None:
    found = read({day.isoformat(): value for day, value in values.items()}, aggregate, "none")
    told = {month for problem in found.problems if problem.code == "partial_month" for month in problem.months}
    for month in {day.month for day in values}:
        if aggregate == "sum" and f"2020-{month:02d}-01" not in found.points:
            assert f"2020-{month:02d}" in told
            continue
        inside = [values[day] for day in sorted(values) if day.month == month]
        expected = {"mean": sum(inside) / len(inside), "sum": sum(inside), "last": inside[-1]}[aggregate]
        assert found.points[f"2020-{month:02d}-01"] == pytest.approx(expected, rel=1e-9, abs=1e-3)


@settings(max_examples=30)
@given(st.sets(st.integers(1, 58)), FILLS)
def test_whatever_is_missing_inside_is_filled_between_its_neighbours(gone: set[int], fill: Fill) -> None:
    series = {label: value for at, (label, value) in enumerate(months(60).items()) if at not in gone}
    found = read(series, fill=fill)
    if fill in ("none", "linear"):
        assert found.points == pytest.approx(months(60))
    assert found.invented == set(months(60)) - set(series)


def test_a_hundred_and_twenty_points_take_two_milliseconds() -> None:
    points = points_of({**months(120), "2020-05-01": None, "2021-02-30": 5})
    assert cpu_seconds(lambda: to_monthly(points, "none", "none", TODAY), rounds=40) < 0.002


def test_a_forged_year_does_not_make_a_long_answer() -> None:
    found = read({"2021-01-01": 1, "9999-12-01": 2})
    assert codes(found) == ["missing_month", "future_month"]
    assert all(len(problem.months) <= 120 and len(problem.message) < 250 for problem in found.problems)


def test_two_megabytes_of_daily_points_take_a_second() -> None:
    points = points_of(days(90_000, first=date(1700, 1, 1)))
    assert cpu_seconds(lambda: to_monthly(points, "none", "none", TODAY), rounds=2) < 1.0
