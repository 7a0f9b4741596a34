"""The codes that the intake can report, and how it shows what others wrote."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sybilion_mcp.intake.findings import CODES, quoted
from sybilion_mcp.intake.series import Aggregate, Fill, Point, to_monthly

TODAY = date(2026, 11, 22)
DAYS = [(f"2021-01-{day:02d}", 1) for day in range(1, 29)]
GAP = [("2021-01-01", 1), ("2021-03-01", 2)]
WEEKS = [("2021-01-04", 1), ("2021-01-11", 2), ("2021-01-18", 3), ("2021-01-25", 4), ("2021-02-01", 5)]


def codes(points: list[tuple[str, object]], aggregate: Aggregate = "none", fill: Fill = "none") -> set[str]:
    found = to_monthly([Point(label, value) for label, value in points], aggregate, fill, TODAY)
    return {problem.code for problem in found.problems}


def test_every_code_that_can_be_reported_is_described_and_every_described_one_can_be_reported() -> None:
    reported = codes([])
    reported |= codes([("x", 1), ("2021-01-01", "5"), ("2021-02-01", True), ("2021-03-01", float("inf"))])
    reported |= codes([("2021-01-01", 1), ("2021-01-01", 2), ("2021-02-28", 3), ("2021-04-01", None)])
    reported |= codes(GAP) | codes(GAP, fill="zero")
    reported |= codes(DAYS) | codes(WEEKS) | codes(DAYS[5:], "mean") | codes([("2026-11-01", 1), ("2026-12-01", 2)])
    reported |= codes([(f"2021-{month:02}-01", 50 if month == 6 else 5) for month in range(1, 13)])
    assert reported == set(CODES)


LABELS = st.dates().map(str) | st.text(max_size=12)
VALUES = st.none() | st.booleans() | st.floats() | st.text(max_size=8) | st.integers() | st.just([])


@given(
    points=st.lists(st.tuples(LABELS, VALUES), max_size=8),
    aggregate=st.sampled_from(["none", "mean", "sum", "last"]),
    fill=st.sampled_from(["none", "zero"]),
)
def test_no_other_code_is_ever_reported(points: list[tuple[str, object]], aggregate: Aggregate, fill: Fill) -> None:
    assert codes(points, aggregate, fill) <= set(CODES)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("unit_price", '"unit_price"'),
        ("a\nb\u202ec", '"a bc"'),
        ("[x](https://example.com)", '"x(https example.com)"'),
        ("<b>`#1|2`</b>", '"b12/b"'),
        (":[//x", '" x"'),
    ],
)
def test_quoted_text_keeps_underscores_and_loses_markup_and_links(text: str, shown: str) -> None:
    assert quoted(text) == shown
