"""The submit rules, row by row of the API's table: what is violated, where, in which months, and what repairs it."""

import json
import math
from collections.abc import Mapping
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sybilion_mcp.contract.problem import Problem
from sybilion_mcp.contract.request import encode
from sybilion_mcp.contract.rules import check_request, first_problem
from sybilion_mcp.contract.series_rules import allowed_horizons, months_needed
from tests.timing import cpu_seconds

from .made_up import (
    FIELDS,
    JSON,
    TODAY,
    Body,
    broken_requests,
    codes,
    dense,
    good_requests,
    put,
    repaired,
    request,
    sparse,
    without,
)

TITLE_FIELD = "timeseries_metadata.title"
KEYWORDS = "timeseries_metadata.keywords"


def only(body: Mapping[str, object], today: date = TODAY) -> Problem:
    """The one problem of a body, which is also the one that the API names."""
    (problem,) = check_request(body, today)
    first = first_problem(body, today)
    assert first is not None
    assert (first.code, first.field, first.status) == (problem.code, problem.field, problem.status)
    return problem


def accepted(body: Mapping[str, object], today: date = TODAY) -> bool:
    found = check_request(body, today)
    assert (first_problem(body, today) is None) == (not found)
    return not found


def offered(problem: Problem) -> tuple[str, object] | None:
    return (problem.fix.field, problem.fix.value) if problem.fix else None


def test_a_good_request_has_no_problem() -> None:
    assert accepted(request())


def test_everything_at_once_in_the_order_of_the_table() -> None:
    body: Body = {
        "pipeline_version": "v2",
        "frequency": "weekly",
        "soft_horizon": 13,
        "hard_horizon": 14,
        "recency_factor": 2,
        "timeseries_metadata": {"title": "short", "description": "x" * 2049, "keywords": [""]},
        "timeseries": {"2020-01-01": 1, "2020-02-02": 2, "2020-02-30": 3, "2020-04-01": math.inf},
        "strictly_positive": True,
        "filters": {"regions": [0], "categories": [10_000], "limit": -1},
        "aux_timeseries": [],
        "max_num_features": 0,
        "optimization_budget": "max",
        "trend_num_classes": 4,
    }
    assert codes(check_request(body, TODAY)) == [
        "unsupported_pipeline_version",
        "unsupported_frequency",
        "horizon_out_of_range",
        "horizon_out_of_range",
        "recency_factor_out_of_range",
        "title_too_short",
        "description_too_long",
        "keyword_empty",
        "not_first_of_month",
        "bad_date",
        "not_finite",
        "missing_month",
        "too_short",
        "stale_series",
        "filter_id_out_of_range",
        "filter_id_out_of_range",
        "driver_limit_out_of_range",
        "aux_count",
        "max_num_features_too_small",
        "unknown_optimization_budget",
        "trend_num_classes_out_of_range",
    ]
    assert first_problem(body, TODAY) == check_request(body, TODAY)[0]


@pytest.mark.parametrize("given", [None, "", "V1", "v1 ", "v2"])
def test_pipeline_version_is_exactly_v1(given: str | None) -> None:
    problem = only(request(pipeline_version=given))
    assert (problem.code, problem.field) == ("unsupported_pipeline_version", "pipeline_version")
    assert offered(problem) == ("pipeline_version", "v1")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("daily", '"daily" is not supported'),
        ("weekly", '"weekly" is not supported'),
        ("Monthly", '"Monthly" is an unknown frequency'),
        ("hourly\n\u202e" * 50, "unknown frequency"),
        (None, "Missing"),
    ],
)
def test_frequency_is_monthly(given: str | None, said: str) -> None:
    problem = only(request(frequency=given))
    assert (problem.code, problem.field) == ("unsupported_frequency", "frequency")
    assert offered(problem) == ("frequency", "monthly")
    assert said in problem.message
    assert problem.message.isprintable()
    assert len(problem.message) < 120


class TestHorizon:
    @pytest.mark.parametrize("name", ["soft_horizon", "hard_horizon"])
    @pytest.mark.parametrize("months_ahead", [1, 12])
    def test_one_of_the_two_from_1_to_12_is_enough(self, name: str, months_ahead: int) -> None:
        assert accepted({**without(request(), "soft_horizon"), name: months_ahead})

    @pytest.mark.parametrize(("given", "nearest"), [(0, 1), (-7, 1), (13, 12), (10**30, 12)])
    @pytest.mark.parametrize("name", ["soft_horizon", "hard_horizon"])
    def test_outside_the_nearest_is_offered(self, name: str, given: int, nearest: int) -> None:
        problem = only({**without(request(), "soft_horizon"), name: given})
        assert (problem.code, problem.field) == ("horizon_out_of_range", name)
        assert offered(problem) == (name, nearest)

    @pytest.mark.parametrize(("count", "longest"), [(40, 3), (60, 6), (120, 12)])
    def test_without_one_the_longest_that_the_history_allows_is_offered(self, count: int, longest: int) -> None:
        problem = only(without(request(timeseries=dense(count)), "soft_horizon"))
        assert (problem.code, problem.field) == ("horizon_missing", "soft_horizon")
        assert offered(problem) == ("soft_horizon", longest)

    @pytest.mark.parametrize("hard", [1, 5, 6])
    def test_the_foot_of_the_ladder_may_reach_its_top(self, hard: int) -> None:
        assert accepted(request(hard_horizon=hard))

    def test_the_foot_may_not_stand_higher_than_the_top(self) -> None:
        problem = only(request(hard_horizon=7))
        assert (problem.code, problem.field) == ("horizon_order", "hard_horizon")
        assert offered(problem) == ("hard_horizon", 6)


class TestRecencyFactor:
    @pytest.mark.parametrize("given", [0, 0.0, 0.5, 1, 1.0])
    def test_from_0_to_1(self, given: float) -> None:
        assert accepted(request(recency_factor=given))

    @pytest.mark.parametrize(
        ("given", "nearest"), [(-0.001, 0), (1.001, 1), (5, 1), (math.inf, 1), (-math.inf, 0), (math.nan, 0.5)]
    )
    def test_outside_the_nearest_is_offered(self, given: float, nearest: float) -> None:
        problem = only(request(recency_factor=given))
        assert (problem.code, problem.field) == ("recency_factor_out_of_range", "recency_factor")
        assert offered(problem) == ("recency_factor", nearest)

    def test_it_is_required(self) -> None:
        problem = only(without(request(), "recency_factor"))
        assert (problem.code, offered(problem)) == ("recency_factor_missing", ("recency_factor", 0.5))


class TestTitle:
    @pytest.mark.parametrize("title", ["x" * 20, "€" * 7, "é" * 10, " " * 20, "x" * 511, "é" * 255, "€" * 170])
    def test_20_to_511_bytes_of_utf8_not_trimmed(self, title: str) -> None:
        assert accepted(put(request(), TITLE_FIELD, title))

    @pytest.mark.parametrize("title", ["", "Sales", "x" * 19, "€" * 6, "é" * 9])
    def test_too_short_only_the_user_can_repair(self, title: str) -> None:
        problem = only(put(request(), TITLE_FIELD, title))
        assert (problem.code, problem.field, problem.fix) == ("title_too_short", TITLE_FIELD, None)
        assert f"has {len(title.encode())} bytes" in problem.message

    @pytest.mark.parametrize("title", ["x" * 512, "é" * 256, "€" * 171, "x" * 510 + "é"])
    def test_too_long_the_longest_beginning_that_fits_is_offered(self, title: str) -> None:
        problem = only(put(request(), TITLE_FIELD, title))
        assert (problem.code, problem.field) == ("title_too_long", TITLE_FIELD)
        assert problem.fix is not None
        assert title.startswith(str(problem.fix.value))
        assert 508 <= len(str(problem.fix.value).encode()) <= 511

    @pytest.mark.parametrize(
        "body",
        [request(timeseries_metadata={}), request(timeseries_metadata=None), without(request(), "timeseries_metadata")],
    )
    def test_it_is_required(self, body: Body) -> None:
        problem = only(body)
        assert (problem.code, problem.field, problem.fix) == ("title_missing", TITLE_FIELD, None)


def test_a_description_has_at_most_2048_bytes() -> None:
    field = "timeseries_metadata.description"
    assert accepted(put(request(), field, "é" * 1024))

    problem = only(put(request(), field, "é" * 1024 + "x"))

    assert (problem.code, problem.field) == ("description_too_long", field)
    assert offered(problem) == (field, "é" * 1024)


class TestKeywords:
    @pytest.mark.parametrize("keywords", [[], ["rain"] * 20, ["x" * 255], ["é" * 127], [" "]])
    def test_at_most_20_of_1_to_255_bytes(self, keywords: list[str]) -> None:
        assert accepted(put(request(), KEYWORDS, keywords))

    def test_more_than_20_the_first_20_are_offered(self) -> None:
        words = [f"word {number}" for number in range(21)]
        problem = only(put(request(), KEYWORDS, words))
        assert (problem.code, problem.field) == ("too_many_keywords", KEYWORDS)
        assert offered(problem) == (KEYWORDS, words[:20])

    def test_an_empty_one_is_named_by_its_position_and_dropped(self) -> None:
        problem = only(put(request(), KEYWORDS, ["rain", "", "wind", ""]))
        assert (problem.code, problem.field) == ("keyword_empty", f"{KEYWORDS}[1]")
        assert offered(problem) == (KEYWORDS, ["rain", "wind"])
        assert "1 more" in problem.message

    @pytest.mark.parametrize(("word", "kept"), [("x" * 256, "x" * 255), ("é" * 128, "é" * 127)])
    def test_one_that_is_too_long_is_cut(self, word: str, kept: str) -> None:
        problem = only(put(request(), KEYWORDS, ["rain", word]))
        assert (problem.code, problem.field) == ("keyword_too_long", f"{KEYWORDS}[1]")
        assert offered(problem) == (KEYWORDS, ["rain", kept])

    def test_the_first_wrong_one_comes_first_and_one_fix_mends_all(self) -> None:
        body = put(request(), KEYWORDS, ["x" * 256, *["rain"] * 20, ""])
        found = check_request(body, TODAY)
        assert codes(found) == ["too_many_keywords", "keyword_too_long", "keyword_empty"]
        assert accepted(repaired(body, found[:1]))


class TestSeries:
    @pytest.mark.parametrize(
        "body", [request(timeseries={}), request(timeseries=None), without(request(), "timeseries")]
    )
    def test_it_is_required_and_not_empty(self, body: Body) -> None:
        problem = only(body)
        assert (problem.code, problem.field, problem.fix) == ("empty_series", "timeseries", None)

    @pytest.mark.parametrize(
        "label",
        [
            "2021-02-30", "2021-13-01", "2021-3-01", "2021-03", "2021/03/01", "01-03-2021", "2021-03-01T00:00:00",
            "2021-03-01 ", "٢٠٢١-٠٣-٠١", "20210301", "0000-01-01", "", "March",
        ],
    )  # fmt: skip
    def test_a_label_that_is_no_date_of_the_calendar(self, label: str) -> None:
        problem = only(request(timeseries={**dense(), label: 1.0}))
        assert (problem.code, problem.field, problem.fix) == ("bad_date", f'timeseries["{label}"]', None)

    def test_a_date_that_is_not_the_first_of_its_month(self) -> None:
        problem = only(request(timeseries={**dense(), "2021-03-31": 1.0}))
        assert (problem.code, problem.field) == ("not_first_of_month", 'timeseries["2021-03-31"]')
        assert (problem.months, problem.fix) == (("2021-03",), None)

    @pytest.mark.parametrize(
        ("labels", "expected"),
        [
            (("2021-03-15", "2021-03-99"), ["not_first_of_month", "bad_date"]),
            (("2021-03-15", "2020-03-99"), ["bad_date", "not_first_of_month"]),
        ],
    )
    def test_the_earliest_wrong_date_comes_first(self, labels: tuple[str, str], expected: list[str]) -> None:
        assert codes(check_request(request(timeseries=dense() | dict.fromkeys(labels, 1.0)), TODAY)) == expected

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
    def test_a_value_that_is_not_finite(self, value: float) -> None:
        problem = only(request(timeseries=dense() | {"2024-02-01": value, "2023-07-01": value}))
        assert (problem.code, problem.field) == ("not_finite", 'timeseries["2023-07-01"]')
        assert problem.months == ("2023-07", "2024-02")

    def test_every_missing_month_is_named_the_first_gap_first(self) -> None:
        series = {day: value for day, value in dense(130).items() if day[:7] not in ("2021-03", "2021-04", "2024-12")}
        problem = only(request(timeseries=series))
        assert (problem.code, problem.field) == ("missing_month", "timeseries")
        assert problem.months == ("2021-03", "2021-04", "2024-12")
        assert "2021-03" in problem.message

    def test_the_order_of_the_dates_in_the_body_does_not_matter(self) -> None:
        assert accepted(request(timeseries=dict(reversed(dense().items()))))

    @pytest.mark.parametrize("count", [39, 40, 59, 60, 119, 120])
    @pytest.mark.parametrize("horizon", range(1, 13))
    def test_the_length_that_a_horizon_needs(self, count: int, horizon: int) -> None:
        needed = 40 if horizon <= 3 else 60 if horizon <= 6 else 120
        assert months_needed(horizon) == needed
        assert accepted(request(timeseries=dense(count), soft_horizon=horizon)) == (count >= needed)

    @pytest.mark.parametrize(("count", "longest"), [(40, 3), (59, 3), (60, 6), (119, 6)])
    def test_too_short_for_the_horizon_the_longest_allowed_one_is_offered(self, count: int, longest: int) -> None:
        problem = only(request(timeseries=dense(count), soft_horizon=12))
        assert (problem.code, problem.field) == ("too_short", "timeseries")
        assert offered(problem) == ("soft_horizon", longest)
        assert f"{120 - count} more" in problem.message

    def test_too_short_for_any_forecast_no_argument_helps(self) -> None:
        problem = only(request(timeseries=dense(39), soft_horizon=1))
        assert (problem.code, problem.field, problem.fix) == ("too_short", "timeseries", None)
        assert "1 more" in problem.message

    def test_the_longer_of_the_two_horizons_counts(self) -> None:
        body = request(timeseries=dense(119), soft_horizon=3, hard_horizon=12)
        assert "too_short" not in codes(check_request(body, TODAY))  # once hard_horizon no longer exceeds soft_horizon
        assert codes(check_request(body, TODAY)) == ["horizon_order"]

        alone = only(without(request(timeseries=dense(119), hard_horizon=7), "soft_horizon"))
        assert (alone.code, offered(alone)) == ("too_short", ("hard_horizon", 6))

    def test_shortening_the_ladder_lowers_its_foot_as_well(self) -> None:
        body = request(timeseries=dense(97), soft_horizon=12, hard_horizon=9)
        found = check_request(body, TODAY)
        assert [offered(problem) for problem in found] == [("soft_horizon", 6), ("hard_horizon", 6)]
        assert accepted(repaired(body, found))


class TestRecency:
    @pytest.mark.parametrize(
        ("today", "last", "fresh"),
        [
            (date(2026, 11, 22), "2025-12-01", True),
            (date(2026, 11, 22), "2025-11-01", False),
            (date(2026, 12, 1), "2025-12-01", True),
            (date(2026, 12, 2), "2025-12-01", False),
            (date(2024, 2, 29), "2023-03-01", True),
            (date(2024, 2, 29), "2023-02-01", False),
            (date(2026, 11, 22), "2026-11-01", True),
            (date(2026, 11, 22), "2027-06-01", True),
        ],
    )
    def test_the_last_value_lies_within_the_past_12_months(self, today: date, last: str, fresh: bool) -> None:
        body = request(timeseries=dense(120, last[:7]))
        if fresh:
            assert accepted(body, today)
        else:
            problem = only(body, today)
            assert (problem.code, problem.field, problem.fix) == ("stale_series", "timeseries", None)
            assert problem.months == (last[:7],)


class TestIntermittentDemand:
    @pytest.mark.parametrize(("count", "non_zero"), [(132, 100), (66, 50), (99, 75), (60, 12), (120, 24)])
    @pytest.mark.parametrize("top", [3, 6])
    def test_accepted_at_3_and_6_from_adi_1_32_to_a_fifth_non_zero(self, count: int, non_zero: int, top: int) -> None:
        assert accepted(request(timeseries=sparse(count, non_zero), soft_horizon=top))

    @pytest.mark.parametrize(("top", "offer"), [(1, 3), (2, 3), (4, 6), (5, 6), (7, 6), (12, 6)])
    def test_from_adi_1_32_on_the_ladder_starts_at_3_or_6(self, top: int, offer: int) -> None:
        just_below = request(timeseries=sparse(132, 101), soft_horizon=top)
        assert accepted(just_below)

        problem = only(request(timeseries=sparse(132, 100), soft_horizon=top))

        assert (problem.code, problem.field) == ("intermittent_horizon", "soft_horizon")
        assert offered(problem) == ("soft_horizon", offer)

    def test_the_top_of_the_ladder_counts_not_its_foot(self) -> None:
        assert accepted(request(timeseries=sparse(132, 100), soft_horizon=6, hard_horizon=2))
        problem = only(without(request(timeseries=sparse(132, 100), hard_horizon=2), "soft_horizon"))
        assert (problem.code, offered(problem)) == ("intermittent_horizon", ("hard_horizon", 3))

    def test_a_history_of_60_months_is_needed(self) -> None:
        problem = only(request(timeseries=sparse(59, 40), soft_horizon=3))
        assert (problem.code, problem.field, problem.fix) == ("intermittent_too_short", "timeseries", None)

    @pytest.mark.parametrize("non_zero", [11, 1, 0])
    def test_a_fifth_of_the_months_is_not_zero(self, non_zero: int) -> None:
        problem = only(request(timeseries=sparse(60, non_zero), soft_horizon=3))
        assert (problem.code, problem.field, problem.fix) == ("intermittent_too_sparse", "timeseries", None)

    def test_zero_is_strict(self) -> None:
        tiny = {day: value or 1e-300 for day, value in sparse(132, 20).items()}
        assert accepted(request(timeseries=tiny, soft_horizon=12))
        negative_zero = {day: value or -0.0 for day, value in sparse(132, 20).items()}
        assert not accepted(request(timeseries=negative_zero, soft_horizon=12))

    @pytest.mark.parametrize(
        ("series", "allowed"),
        [
            (dense(39), ()),
            (dense(40), (1, 2, 3)),
            (dense(60), (1, 2, 3, 4, 5, 6)),
            (dense(120), tuple(range(1, 13))),
            (sparse(132, 100), (3, 6)),
            (sparse(59, 40), ()),
            (sparse(60, 11), ()),
            ({}, ()),
        ],
    )
    def test_the_allowed_horizons_are_the_ones_that_are_accepted(
        self, series: dict[str, float], allowed: tuple[int, ...]
    ) -> None:
        assert allowed_horizons(series) == allowed
        assert all(accepted(request(timeseries=series, soft_horizon=top)) == (top in allowed) for top in range(1, 13))


class TestStrictlyPositive:
    def test_zero_is_allowed(self) -> None:
        assert accepted(request(timeseries=dense() | {"2024-02-01": 0.0}, strictly_positive=True))

    @pytest.mark.parametrize("flag", [False, None])
    def test_negative_values_are_fine_unless_it_is_set(self, flag: bool | None) -> None:
        assert accepted(request(timeseries=dense() | {"2024-02-01": -1.0}, strictly_positive=flag))

    def test_negative_values_are_named_the_first_as_the_field(self) -> None:
        series = dense() | {"2024-02-01": -1.5, "2023-07-01": -2.5}
        problem = only(request(timeseries=series, strictly_positive=True))
        assert (problem.code, problem.field) == ("negative_value", 'timeseries["2023-07-01"]')
        assert problem.months == ("2023-07", "2024-02")
        assert "-2.5" in problem.message
        assert offered(problem) == ("strictly_positive", False)


class TestFilters:
    @pytest.mark.parametrize("name", ["regions", "categories"])
    def test_ids_from_1_to_9999(self, name: str) -> None:
        field = f"filters.{name}"
        assert accepted(put(request(), field, [1, 9999]))
        assert accepted(put(request(), field, []))

        problem = only(put(request(), field, [7, 0, 9999, 10_000]))

        assert (problem.code, problem.field) == ("filter_id_out_of_range", f"{field}[1]")
        assert offered(problem) == (field, [7, 9999])

    @pytest.mark.parametrize("limit", [0, 1, 1000, None])
    def test_limit_from_0_to_1000(self, limit: int | None) -> None:
        assert accepted(put(request(), "filters.limit", limit))

    @pytest.mark.parametrize("limit", [1001, 5000, 10**30])
    def test_of_a_limit_above_the_most_is_offered(self, limit: int) -> None:
        problem = only(put(request(), "filters.limit", limit))
        assert (problem.code, problem.field) == ("driver_limit_out_of_range", "filters.limit")
        assert offered(problem) == ("filters.limit", 1000)

    @pytest.mark.parametrize("limit", [-1, -(10**30)])
    def test_below_nothing_is_offered_since_the_nearest_means_no_drivers(self, limit: int) -> None:
        problem = only(put(request(), "filters.limit", limit))
        assert (problem.code, problem.field, problem.fix) == ("driver_limit_out_of_range", "filters.limit", None)
        assert "0 asks for no drivers at all" in problem.message

    @pytest.mark.parametrize("flag", [True, False])
    def test_general_drivers_is_a_flag(self, flag: bool) -> None:
        assert accepted(put(request(), "filters.general_drivers", flag))


class TestAuxTimeseries:
    @pytest.mark.parametrize("count", [1, 10])
    def test_1_to_10_with_the_dates_of_the_series(self, count: int) -> None:
        assert accepted(request(aux_timeseries=[dense()] * count))

    @pytest.mark.parametrize("count", [0, 11])
    def test_none_or_more_than_10(self, count: int) -> None:
        problem = only(request(aux_timeseries=[dense()] * count))
        assert (problem.code, problem.field, problem.fix) == ("aux_count", "aux_timeseries", None)

    @pytest.mark.parametrize("other", [dense(119), dense(121), dense(120, "2026-09"), {}])
    def test_other_dates_are_named_by_position(self, other: dict[str, float]) -> None:
        problem = only(request(aux_timeseries=[dense(), other]))
        assert (problem.code, problem.field, problem.fix) == ("aux_dates_differ", "aux_timeseries[1]", None)

    def test_every_value_is_finite(self) -> None:
        problem = only(request(aux_timeseries=[dense(), dense() | {"2024-02-01": math.nan}]))
        assert (problem.code, problem.field) == ("not_finite", 'aux_timeseries[1]["2024-02-01"]')
        assert problem.months == ("2024-02",)

    def test_it_may_be_negative(self) -> None:
        assert accepted(request(strictly_positive=True, aux_timeseries=[dict.fromkeys(dense(), -1.0)]))


@pytest.mark.parametrize(
    ("field", "good", "bad", "code", "offer"),
    [
        ("max_num_features", [1, 10_000, None], [0, -1], "max_num_features_too_small", 1),
        (
            "optimization_budget",
            ["none", "low", "mid", "high", None],
            ["", "Low", "max"],
            "unknown_optimization_budget",
            "none",
        ),
        ("trend_num_classes", [2, 3, None], [1, 4, -2], "trend_num_classes_out_of_range", 2),
        ("backtest", [True, False, None], [], "", None),
        ("run_baseline", [True, False, None], [], "", None),
    ],
)
def test_the_other_options(field: str, good: list[object], bad: list[object], code: str, offer: object) -> None:
    assert all(accepted(request(**{field: value})) for value in good)
    for value in bad:
        problem = only(request(**{field: value}))
        assert (problem.code, problem.field, offered(problem)) == (code, field, (field, offer))


@pytest.mark.parametrize(
    ("field", "value", "where"),
    [
        ("pipeline_version", 1, "pipeline_version"),
        ("frequency", ["monthly"], "frequency"),
        ("soft_horizon", "6", "soft_horizon"),
        ("soft_horizon", 6.0, "soft_horizon"),
        ("hard_horizon", True, "hard_horizon"),
        ("recency_factor", "0.5", "recency_factor"),
        ("recency_factor", True, "recency_factor"),
        ("timeseries_metadata", "title", "timeseries_metadata"),
        ("timeseries_metadata.title", 5, "timeseries_metadata.title"),
        ("timeseries_metadata.title", "\ud800" * 30, "timeseries_metadata.title"),
        ("timeseries_metadata.keywords", "rain", "timeseries_metadata.keywords"),
        ("timeseries_metadata.keywords", ["rain", 5], "timeseries_metadata.keywords[1]"),
        ("timeseries", [1, 2], "timeseries"),
        ("timeseries", {"2026-10-01": "1.5"}, 'timeseries["2026-10-01"]'),
        ("timeseries", {"2026-10-01": None}, 'timeseries["2026-10-01"]'),
        ("timeseries", {"2026-10-01": True}, 'timeseries["2026-10-01"]'),
        ("timeseries", {"2026-10-01": 10**400}, 'timeseries["2026-10-01"]'),
        ("strictly_positive", 1, "strictly_positive"),
        ("backtest", "true", "backtest"),
        ("filters", [], "filters"),
        ("filters.regions", [1, "2"], "filters.regions[1]"),
        ("filters.limit", 10.5, "filters.limit"),
        ("filters.general_drivers", 0, "filters.general_drivers"),
        ("aux_timeseries", {}, "aux_timeseries"),
        ("aux_timeseries", [{}, 5], "aux_timeseries[1]"),
        ("aux_timeseries", [{"2026-10-01": "1"}], 'aux_timeseries[0]["2026-10-01"]'),
        ("run_baseline", "no", "run_baseline"),
        ("max_num_features", "3", "max_num_features"),
        ("optimization_budget", 3, "optimization_budget"),
        ("trend_num_classes", 2.0, "trend_num_classes"),
    ],
)
def test_a_wrong_json_type_is_400_and_comes_before_every_rule(field: str, value: object, where: str) -> None:
    problem = only(put(request(), field, value))
    assert (problem.code, problem.field, problem.status, problem.fix) == ("wrong_type", where, 400, None)

    worse = put(request(pipeline_version="v2"), field, value)
    first = first_problem(worse, TODAY)
    assert first is not None
    assert (first.field, first.status) == (where, 400)
    if field != "pipeline_version":
        assert "unsupported_pipeline_version" in codes(check_request(worse, TODAY))


def test_every_wrong_type_is_told() -> None:
    body = put(put(request(backtest="yes"), "filters.regions", ["a"]), "timeseries", dense() | {"2024-02-01": "1"})
    found = check_request(body, TODAY)
    assert [problem.field for problem in found] == ['timeseries["2024-02-01"]', "backtest", "filters.regions[0]"]


def test_unknown_fields_are_ignored() -> None:
    assert accepted(put(request(a_field_of_tomorrow=[1]), "filters.new", "x"))


def test_2_mib_is_the_largest_body_and_more_is_413_before_everything_else() -> None:
    def of(size: int) -> Body:
        padding = size - len(encode(request(pad="")))
        return request(pad="x" * padding)

    assert accepted(of(2 * 1024 * 1024))

    problem = only(of(2 * 1024 * 1024 + 1))
    assert (problem.code, problem.field, problem.status, problem.fix) == ("body_too_large", "body", 413, None)
    first = first_problem({**of(2 * 1024 * 1024 + 1), "backtest": "yes"}, TODAY)
    assert first is not None
    assert first.status == 413


def test_many_places_make_one_problem() -> None:
    spoilt = dict.fromkeys(dense(600), -1.0)
    body = put(request(timeseries=spoilt, strictly_positive=True), KEYWORDS, [""] * 500)
    found = check_request(put(body, "filters.regions", [0] * 500), TODAY)
    assert codes(found) == ["too_many_keywords", "keyword_empty", "negative_value", "filter_id_out_of_range"]
    assert len(found[2].months) == 600
    assert all(len(problem.message) < 200 for problem in found)


def test_two_problems_that_change_one_argument_offer_the_same_value() -> None:
    found = check_request(request(timeseries=sparse(60, 40), soft_horizon=15), TODAY)
    assert codes(found) == ["horizon_out_of_range", "too_short"]
    assert [offered(problem) for problem in found] == [("soft_horizon", 6)] * 2


@settings(max_examples=300, deadline=None)
@given(good_requests())
def test_generated_good_requests_are_accepted(body: Body) -> None:
    assert accepted(body)


@settings(max_examples=600, deadline=None)
@given(broken_requests())
def test_one_round_of_fixes_leaves_none_of_the_fixable_problems(body: Body) -> None:
    before = check_request(body, TODAY)

    after = check_request(repaired(body, before), TODAY)

    assert [problem for problem in after if problem.fix] == []
    assert set(codes(after)) <= set(codes([problem for problem in before if not problem.fix]))
    assert codes(check_request(repaired(body, before + after), TODAY)) == codes(after)


@settings(max_examples=300, deadline=None)
@given(broken_requests())
def test_the_first_problem_is_the_first_of_all_and_fits_on_a_line(body: Body) -> None:
    found = check_request(body, TODAY)
    first = first_problem(body, TODAY)

    assert (first is None) == (not found)
    if first is not None:
        assert (first.code, first.field, first.status) == (found[0].code, found[0].field, found[0].status)
    for problem in found:
        assert problem.message.isprintable()
        assert 0 < len(problem.message) < 250
        assert problem.severity == "error"


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=12), JSON, max_size=8), st.dates())
def test_no_json_makes_the_check_fail(fields: dict[str, Any], today: date) -> None:
    nested: Body = {}
    for field, value in fields.items():
        nested = put(nested, field, value)

    found = check_request(nested, today)

    assert (first_problem(nested, today) is None) == (not found)


def test_neither_does_what_json_can_hardly_carry() -> None:
    deep: Any = 1
    for _ in range(5000):
        deep = [deep]
    hardly: list[Any] = [deep, "\ud800", {"\ud800": 1}, 10**400, [[]] * 10_000]
    for value in hardly:
        for field in FIELDS:
            check_request(put(request(), field, value), TODAY)


def test_a_body_full_of_text_numbers_is_checked_in_a_moment() -> None:
    series = dict.fromkeys((f"{year:04d}-{month:02d}-01" for year in range(1, 5000) for month in range(1, 13)), "1")
    assert len(json.dumps(series)) < 2 * 1024 * 1024
    found: list[Problem] = []
    assert cpu_seconds(lambda: found.extend(check_request(request(timeseries=series), TODAY))) < 5
    assert len(found) == len(series)
