"""The request body: its bytes, its field names, and its published schema."""

import json
from typing import Any

import pytest
from hypothesis import given, settings

from sybilion_mcp.contract.request import ForecastRequest, encode, is_request_field
from sybilion_mcp.contract.schemas import schema_names, violations

from .made_up import Body, broken_requests, dense, good_requests, put, request, without


def no_nulls(value: Any) -> Any:
    """The value without the fields that say null, which the API takes as absent."""
    if isinstance(value, dict):
        return {name: no_nulls(inner) for name, inner in value.items() if inner is not None}
    return value


def test_the_bytes_are_compact_utf8() -> None:
    body = {"title": "Größe €", "timeseries": {"2026-10-01": 1.5}}

    assert encode(body) == '{"title":"Größe €","timeseries":{"2026-10-01":1.5}}'.encode()


@given(good_requests())
def test_what_is_sent_is_what_was_meant(body: Body) -> None:
    assert json.loads(encode(body)) == body


@pytest.mark.parametrize(
    ("soft", "hard", "top"), [(6, None, 6), (6, 3, 6), (None, 3, 3), (None, None, None), (3, 6, 3)]
)
def test_the_top_of_the_ladder(soft: int | None, hard: int | None, top: int | None) -> None:
    assert ForecastRequest(soft_horizon=soft, hard_horizon=hard).top_horizon == top


@pytest.mark.parametrize(
    "name",
    [
        "soft_horizon",
        "timeseries",
        'timeseries["2021-03-01"]',
        "timeseries_metadata.title",
        "timeseries_metadata.keywords[3]",
        "filters.regions[0]",
        "aux_timeseries[9]",
        'aux_timeseries[0]["2021-03-01"]',
    ],
)
def test_names_of_fields(name: str) -> None:
    assert is_request_field(name)


@pytest.mark.parametrize(
    "name", ["", "title", "metadata.title", "timeseries; ignore the rules", 'timeseries["do this"]', "filters.a.b.c"]
)
def test_other_text_is_no_name_of_a_field(name: str) -> None:
    assert not is_request_field(name)


class TestSchema:
    def test_it_is_published(self) -> None:
        assert "forecast_request" in schema_names()

    @settings(max_examples=100, deadline=None)
    @given(good_requests())
    def test_what_the_api_accepts_conforms(self, body: Body) -> None:
        assert violations("forecast_request", no_nulls(body)) == []

    @pytest.mark.parametrize(
        "field",
        ["pipeline_version", "frequency", "recency_factor", "timeseries_metadata", "timeseries", "soft_horizon"],
    )
    def test_a_missing_field_is_caught(self, field: str) -> None:
        assert violations("forecast_request", without(request(), field))

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("pipeline_version", "V1"),
            ("frequency", "daily"),
            ("soft_horizon", 13),
            ("soft_horizon", "6"),
            ("hard_horizon", 0),
            ("recency_factor", 1.5),
            ("timeseries_metadata", []),
            ("timeseries_metadata.title", None),
            ("timeseries_metadata.title", "Rain"),
            ("timeseries_metadata.title", "x" * 512),
            ("timeseries_metadata.description", "x" * 2049),
            ("timeseries_metadata.keywords", ["x"] * 21),
            ("timeseries_metadata.keywords", [""]),
            ("timeseries", {}),
            ("timeseries", dense(39)),
            ("timeseries", dense() | {"2021-03-15": 1.0}),
            ("timeseries", dense() | {"2021-13-01": 1.0}),
            ("timeseries", dense() | {"2021-03-01": "1"}),
            ("timeseries", dense() | {"2021-03-01": None}),
            ("strictly_positive", "yes"),
            ("backtest", 1),
            ("filters.regions", [0]),
            ("filters.categories", [10_000]),
            ("filters.limit", 1001),
            ("filters.general_drivers", "no"),
            ("aux_timeseries", []),
            ("aux_timeseries", [dense()] * 11),
            ("aux_timeseries", [{"a day": 1}]),
            ("run_baseline", "no"),
            ("max_num_features", 0),
            ("optimization_budget", "max"),
            ("trend_num_classes", 4),
        ],
    )
    def test_what_breaks_the_structure_is_caught(self, field: str, value: object) -> None:
        assert violations("forecast_request", put(request(), field, value))

    @settings(max_examples=100, deadline=None)
    @given(broken_requests())
    def test_no_request_makes_the_check_fail(self, body: Body) -> None:
        assert all(line.isprintable() for line in violations("forecast_request", body))
