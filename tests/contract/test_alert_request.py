"""Requests for alerts: every problem at once for us, the first one for the API."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sybilion_mcp.contract.alert_request import check_alert_request, first_alert_problem

TITLE = "Copper price, London, USD per tonne"


def body(**said: Any) -> dict[str, Any]:
    return {"metadata": {"title": TITLE}, "context_enriched": False, **said}


def test_a_sound_request_has_no_problem() -> None:
    sound = body(date_from="2026-01-01", date_to="2026-01-01", filters={"regions": [1], "limit": 25})

    assert check_alert_request(sound) == []
    assert first_alert_problem(sound) is None


@pytest.mark.parametrize(
    ("said", "field", "status"),
    [
        ({"metadata": None}, "metadata.title", 422),
        ({"metadata": {"title": "Copper"}}, "metadata.title", 422),
        ({"metadata": {"title": TITLE, "keywords": [""]}}, "metadata.keywords[0]", 422),
        ({"metadata": {"title": 7}}, "metadata.title", 400),
        ({"metadata": "x"}, "metadata", 400),
        ({"context_enriched": None}, "context_enriched", 422),
        ({"context_enriched": "yes"}, "context_enriched", 400),
        ({"date_from": "2026-02-30"}, "date_from", 422),
        ({"date_to": "yesterday"}, "date_to", 422),
        ({"date_from": "2026-02-01", "date_to": "2026-01-01"}, "date_to", 422),
        ({"filters": {"limit": 1001}}, "filters.limit", 422),
        ({"filters": {"categories": [10000]}}, "filters.categories[0]", 422),
    ],
)
def test_what_is_wrong_is_named_as_this_request_calls_it(said: dict[str, Any], field: str, status: int) -> None:
    problem = first_alert_problem(body(**said))

    assert problem is not None
    assert (problem.field, problem.status) == (field, status)
    assert [one.field for one in check_alert_request(body(**said))] == [field]


def test_every_problem_is_named_at_once_with_its_fix() -> None:
    problems = check_alert_request({"metadata": {"title": "x" * 600}, "filters": {"limit": 2000}, "date_from": "x"})

    assert [one.field for one in problems] == ["metadata.title", "filters.limit", "context_enriched", "date_from"]
    assert [one.fix.field for one in problems if one.fix] == ["metadata.title", "filters.limit"]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(["metadata", "context_enriched", "date_from", "date_to", "filters", "other"])


@given(st.dictionaries(NAMES, VALUES, max_size=6))
def test_whatever_is_sent_is_judged(sent: dict[str, Any]) -> None:
    problems = check_alert_request(sent)

    first = first_alert_problem(sent)
    assert (first is None) == (problems == [])
    assert first is None or first.field == problems[0].field
