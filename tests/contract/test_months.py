"""Months in their three forms: a date on the wire, YYYY-MM for people, a number for arithmetic."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sybilion_mcp.contract.months import month_index, month_of, months_before, parse_wire_date


@given(st.dates())
def test_a_date_of_the_calendar_is_read(day: date) -> None:
    assert parse_wire_date(day.isoformat()) == day


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2021-02-29",
        "2021-00-01",
        "2021-3-1",
        "20210301",
        "2021-W09-1",
        "2021-03-01T00:00",
        "٢٠٢١-٠٣-٠١",
        "2021-03-01\n",
    ],
)
def test_anything_else_is_no_date(text: str) -> None:
    assert parse_wire_date(text) is None


@given(st.dates(max_value=date(9999, 11, 30)))
def test_neighbouring_months_differ_by_one(day: date) -> None:
    following = date(day.year + day.month // 12, day.month % 12 + 1, 1)
    assert month_index(following) - month_index(day) == 1
    assert month_of(month_index(day)) == day.isoformat()[:7]


@pytest.mark.parametrize(
    ("day", "months", "before"),
    [
        (date(2026, 11, 22), 12, date(2025, 11, 22)),
        (date(2024, 2, 29), 12, date(2023, 2, 28)),
        (date(2026, 3, 31), 1, date(2026, 2, 28)),
        (date(2024, 3, 30), 1, date(2024, 2, 29)),
        (date(2026, 5, 31), 1, date(2026, 4, 30)),
        (date(2026, 1, 31), 1, date(2025, 12, 31)),
        (date(2026, 1, 15), 0, date(2026, 1, 15)),
    ],
)
def test_months_before(day: date, months: int, before: date) -> None:
    assert months_before(day, months) == before


@given(st.dates(min_value=date(3, 1, 1)), st.integers(0, 24))
def test_months_before_goes_back_by_months_and_never_to_a_later_day(day: date, months: int) -> None:
    before = months_before(day, months)
    assert month_index(day) - month_index(before) == months
    assert day.day - 3 <= before.day <= day.day
