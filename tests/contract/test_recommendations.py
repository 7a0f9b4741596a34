"""What services answer, read leniently: rankings, alerts, catalogues, accounts and charges."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sybilion_mcp.contract.account import Account, UsagePage
from sybilion_mcp.contract.catalogue import Catalogue
from sybilion_mcp.contract.recommendations import Alerts, DriverRanking


def test_a_ranking_keeps_what_can_be_read() -> None:
    drivers: list[Any] = [{"hash_id": "h", "driver_name": "Oil", "score": 1, "new": 1}, None, {"score": "high"}]
    ranking = DriverRanking.model_validate({"status": "success", "data": {"drivers": drivers}})

    assert [(one.driver_name, one.score) for one in ranking.drivers] == [("Oil", 1.0), (None, None)]


@pytest.mark.parametrize("body", [{"data": None}, {"data": {"drivers": None}}, {"data": {"drivers": []}}])
def test_a_ranking_of_nothing_is_empty(body: dict[str, Any]) -> None:
    assert DriverRanking.model_validate(body).drivers == []


@pytest.mark.parametrize("body", [{}, {"drivers": []}, {"data": {}}, {"data": []}, {"error": "x"}])
def test_what_is_no_ranking_is_none(body: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        DriverRanking.model_validate(body)


def test_alerts_keep_what_can_be_read() -> None:
    alerts: list[Any] = [
        {"name": "Oil", "pct_change": -3, "trending": None, "news": [3, {"title": "t"}]},
        {"news": None},
    ]
    read = Alerts.model_validate({"alerts": alerts}).alerts

    assert [(one.pct_change, one.trending, len(one.news)) for one in read] == [(-3.0, False, 1), (None, False, 0)]
    assert Alerts.model_validate({"alerts": None}).alerts == []
    with pytest.raises(ValidationError):
        Alerts.model_validate({"error": "x"})


def test_a_catalogue_needs_ids_and_names() -> None:
    items = [{"id": 1, "name": "World", "code": "W"}, {"id": "x", "name": "y"}, {"id": 2}, {"id": 3, "name": ""}]

    assert [one.id for one in Catalogue.model_validate({"items": items}).items] == [1]


@pytest.mark.parametrize(("tier", "read"), [(2, "2"), ("pro", "pro"), (None, None), (True, None), ({}, None)])
def test_a_tier_may_be_a_number_or_a_name(tier: object, read: str | None) -> None:
    assert Account.model_validate({"api_usage_tier": tier}).api_usage_tier == read


def test_what_is_held_is_what_the_balance_lacks() -> None:
    account = Account.model_validate({"balance_eur_cents": 340, "available_eur_cents": 114})

    assert account.held_eur_cents == 226
    assert Account.model_validate({"balance_eur_cents": 340}).held_eur_cents is None


def test_charges_keep_what_can_be_read() -> None:
    events = [
        {"id": 7, "endpoint": "drivers", "units": 3, "eur_cents_charged": 12, "created_at": "2026-11-22T10:00:00Z"}
    ]
    page = UsagePage.model_validate({"usage_events": [*events, None, {"id": "x", "units": -1}]})

    assert [(one.id, one.units, one.eur_cents_charged) for one in page.usage_events] == [
        ("7", 3, 12),
        ("x", None, None),
    ]
    assert page.usage_events[0].created is not None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.dictionaries(st.sampled_from(["name", "pct_change", "trending", "news"]), JSON), max_size=3))
def test_alerts_of_any_shape_are_read(alerts: list[Any]) -> None:
    read = Alerts.model_validate({"alerts": alerts})

    assert len(read.alerts) == len(alerts)
    assert Alerts.model_validate(read.model_dump(mode="json")) == read


@given(st.dictionaries(st.sampled_from([*Account.model_fields, "role"]), JSON))
def test_an_account_of_any_shape_is_read(account: dict[str, Any]) -> None:
    Account.model_validate(account)
