"""Made-up forecast requests: good ones, ones with a single thing wrong, and any mixture of both."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from hypothesis import strategies as st

from sybilion_mcp.contract.problem import Problem

TODAY = date(2026, 11, 22)
TITLE = "Made-up monthly sales of umbrellas, thousand pieces"

Body = dict[str, Any]


def months(count: int, last: str = "2026-10") -> list[str]:
    """`count` first days of months, as they go over the wire."""
    end = int(last[:4]) * 12 + int(last[5:]) - 1
    return [f"{index // 12:04d}-{index % 12 + 1:02d}-01" for index in range(end - count + 1, end + 1)]


def dense(count: int = 120, last: str = "2026-10") -> dict[str, float]:
    """A positive series with a yearly season."""
    return {
        month: round(100 + 0.2 * step + 20 * math.sin(step * math.pi / 6), 2)
        for step, month in enumerate(months(count, last))
    }


def sparse(count: int, non_zero: int, last: str = "2026-10") -> dict[str, float]:
    """A series of `count` months of which `non_zero`, evenly spread, are not zero."""
    kept = {step * count // non_zero for step in range(non_zero)} if non_zero else set()
    return {month: 7.0 if step in kept else 0.0 for step, month in enumerate(months(count, last))}


def request(**changes: object) -> Body:
    """A body the API accepts, horizon 6; `changes` replace whole fields."""
    body: Body = {
        "pipeline_version": "v1",
        "frequency": "monthly",
        "recency_factor": 0.5,
        "soft_horizon": 6,
        "timeseries_metadata": {"title": TITLE},
        "timeseries": dense(),
    }
    return {**body, **changes}


def put(body: Body, field: str, value: object) -> Body:
    """A copy of the body with one field, named as the API does, set: `filters.limit`."""
    owner, _, name = field.rpartition(".")
    if not owner:
        return {**body, name: value}
    inside = body.get(owner)
    return {**body, owner: {**(inside if isinstance(inside, dict) else {}), name: value}}


def without(body: Body, field: str) -> Body:
    return {name: value for name, value in body.items() if name != field}


def repaired(body: Body, problems: Iterable[Problem]) -> Body:
    """What a caller gets who makes every offered change at once."""
    for problem in problems:
        if problem.fix:
            body = put(body, problem.fix.field, problem.fix.value)
    return body


def codes(problems: Iterable[Problem]) -> list[str]:
    return [problem.code for problem in problems]


# Generated requests ---------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)

FIELDS = (
    "pipeline_version", "frequency", "soft_horizon", "hard_horizon", "recency_factor", "timeseries_metadata",
    "timeseries_metadata.title", "timeseries_metadata.description", "timeseries_metadata.keywords", "timeseries",
    "strictly_positive", "backtest", "filters", "filters.regions", "filters.categories", "filters.limit",
    "filters.general_drivers", "aux_timeseries", "run_baseline", "max_num_features", "optimization_budget",
    "trend_num_classes",
)  # fmt: skip

Change = Callable[[Body], Body]


def _set(field: str, *values: object) -> st.SearchStrategy[Change]:
    return st.sampled_from(values).map(lambda value: lambda body: put(body, field, value))


def _drop(*fields: str) -> st.SearchStrategy[Change]:
    return st.sampled_from(fields).map(lambda field: lambda body: without(body, field))


def _no_horizon(body: Body) -> Body:
    return without(without(body, "soft_horizon"), "hard_horizon")


def _series_change(change: Callable[[dict[str, object], int], Mapping[str, object]]) -> st.SearchStrategy[Change]:
    """A change of the series at a drawn position; nothing where there is no series to change."""

    def at(position: int) -> Change:
        def apply(body: Body) -> Body:
            series = body.get("timeseries")
            return put(body, "timeseries", dict(change(dict(series), position))) if isinstance(series, dict) else body

        return apply

    return st.integers(0, 10_000).map(at)


def _at(series: Mapping[str, object], position: int) -> str:
    return sorted(series)[position % len(series)] if series else "2026-10-01"


def _with_value(value: object) -> Callable[[dict[str, object], int], Mapping[str, object]]:
    return lambda series, position: {**series, _at(series, position): value}


def _with_date(write: Callable[[str], str]) -> Callable[[dict[str, object], int], Mapping[str, object]]:
    def change(series: dict[str, object], position: int) -> Mapping[str, object]:
        moved = _at(series, position)
        return {write(month) if month == moved else month: value for month, value in series.items()}

    return change


def _without_month(series: dict[str, object], position: int) -> Mapping[str, object]:
    gone = _at(series, position)
    return {month: value for month, value in series.items() if month != gone}


def _aux(count: int, spoil: Callable[[dict[str, object], int], Mapping[str, object]] | None = None) -> Change:
    def apply(body: Body) -> Body:
        series = body.get("timeseries")
        dates = series if isinstance(series, dict) else {}
        drivers: list[Mapping[str, object]] = [dict.fromkeys(dates, 1.5) for _ in range(count)]
        if drivers and spoil:
            drivers[-1] = spoil(dict(drivers[-1]), 7)
        return put(body, "aux_timeseries", drivers)

    return apply


def _negative(series: dict[str, object], position: int) -> Mapping[str, object]:
    return {**series, _at(series, position): -3.5, _at(series, position + 31): -0.0}


VIOLATIONS: dict[str, st.SearchStrategy[Change]] = {
    "version": _set("pipeline_version", "V1", "v2", "", 1, None),
    "frequency": _set("frequency", "daily", "weekly", "Monthly", "hourly\n", "", None, 12),
    "missing": _drop(
        "pipeline_version", "frequency", "soft_horizon", "recency_factor", "timeseries_metadata", "timeseries"
    ),
    "horizon": _set("soft_horizon", 0, -1, 13, 10**30, "6", 6.0, True),
    "no horizon": st.just(_no_horizon),
    "foot": _set("hard_horizon", 0, 7, 12, 13, -4, "3", 2.5),
    "recency": _set("recency_factor", -0.01, 1.01, 7, math.nan, math.inf, "0.5", True, None),
    "title": _set(
        "timeseries_metadata.title", None, "", "x" * 19, "x" * 512, "é" * 256, "€" * 171, "\ud800" * 30, 7, ["x" * 30]
    ),
    "description": _set("timeseries_metadata.description", "x" * 2049, "é" * 1025, 1),
    "keywords": _set(
        "timeseries_metadata.keywords", ["x"] * 21, ["a", ""], ["x" * 256], ["é" * 128, ""], "rain", ["a", 1], [""] * 30
    ),
    "bad date": _series_change(_with_date(lambda day: f"{day[:7]}-32")),
    "loose date": _series_change(_with_date(lambda day: day.replace("-", "/"))),
    "not a first": _series_change(_with_date(lambda day: f"{day[:7]}-28")),
    "not finite": _series_change(_with_value(math.inf)),
    "nan": _series_change(_with_value(math.nan)),
    "text value": _series_change(_with_value("12.5")),
    "null value": _series_change(_with_value(None)),
    "huge value": _series_change(_with_value(10**400)),
    "gap": _series_change(_without_month),
    "series": _set("timeseries", {}, [], None, "2026-10-01", {"2026-10-01": 1}),
    "stale": _set("timeseries", dense(120, "2025-11"), dense(60, "2024-02")),
    "short": _set("timeseries", dense(39), dense(59), dense(40), dense(119)),
    "sparse": _set("timeseries", sparse(59, 40), sparse(120, 23), sparse(60, 0), sparse(72, 12), sparse(132, 100)),
    "negative": st.tuples(_series_change(_negative), _set("strictly_positive", True, False, "yes")).map(
        lambda both: lambda body: both[1](both[0](body))
    ),
    "region": _set("filters.regions", [0], [1, 10_000, -3], ["1"], 5, [1.5]),
    "category": _set("filters.categories", [0, 1], [10**9], [None]),
    "driver limit": _set("filters.limit", -1, 1001, "100", 5.5),
    "filters": _set("filters", [], "none", 3),
    "flags": st.sampled_from(("backtest", "run_baseline", "filters.general_drivers")).flatmap(
        lambda field: _set(field, "true", 1, [])
    ),
    "aux count": st.sampled_from((_aux(0), _aux(11))),
    "aux dates": st.sampled_from((_aux(2, _without_month), _aux(1, _with_date(lambda day: f"{day[:7]}-02")))),
    "aux values": st.sampled_from((_aux(3, _with_value(math.inf)), _aux(1, _with_value("1")))),
    "features": _set("max_num_features", 0, -5, "3", 1.5),
    "budget": _set("optimization_budget", "max", "", "LOW", 1),
    "classes": _set("trend_num_classes", 1, 4, "2", 2.0),
}
"""What can go wrong → a change that makes it so."""

GOOD_CHANGES: dict[str, st.SearchStrategy[Change]] = {
    "recency": _set("recency_factor", 0, 1, 0.0, 1.0, 0.25),
    "title": _set("timeseries_metadata.title", "x" * 20, "€" * 7, "é" * 255, " " * 20, "x" * 511),
    "description": _set("timeseries_metadata.description", "", "é" * 1024, None),
    "keywords": _set("timeseries_metadata.keywords", [], ["é" * 127], ["rain"] * 20, None),
    "flags": st.sampled_from(("backtest", "run_baseline", "strictly_positive")).flatmap(
        lambda field: _set(field, True, False, None)
    ),
    "filters": _set("filters", None, {}, {"regions": [1, 9999], "categories": [], "limit": 0, "general_drivers": True}),
    "aux": st.sampled_from((_aux(1), _aux(10))),
    "features": _set("max_num_features", 1, 500, None),
    "budget": _set("optimization_budget", "none", "low", "mid", "high", None),
    "classes": _set("trend_num_classes", 2, 3, None),
    "unknown": _set("a_field_of_tomorrow", 1, {"nested": []}, "text"),
}
"""Changes that leave a request acceptable."""

_SERIES_FOR: Sequence[tuple[dict[str, float], tuple[int, ...]]] = (
    (dense(40), (1, 2, 3)),
    (dense(40, "2025-12"), (1, 2, 3)),
    (dense(60), (4, 5, 6)),
    (dense(120), (7, 11, 12)),
    (dense(123, "2027-02"), (1, 6, 12)),
    (sparse(60, 12), (3, 6)),
    (sparse(132, 100), (3, 6)),
    (sparse(120, 91), (7, 12)),
)


@st.composite
def good_requests(draw: st.DrawFn) -> Body:
    """Requests that the API accepts, near the edges of its rules."""
    series, horizons = draw(st.sampled_from(_SERIES_FOR))
    soft = draw(st.sampled_from(horizons))
    body = request(timeseries=series, soft_horizon=soft)
    hard = draw(st.none() | st.integers(1, soft))
    if hard is not None:
        body["hard_horizon"] = hard
    if draw(st.booleans()) and hard == soft:
        body = without(body, "soft_horizon")
    return _changed(draw, body, GOOD_CHANGES, 3)


@st.composite
def broken_requests(draw: st.DrawFn, most: int = 4) -> Body:
    """Requests with one to `most` things wrong, alone and in combination."""
    return _changed(draw, draw(good_requests()), VIOLATIONS, most, fewest=1)


def _changed(
    draw: st.DrawFn, body: Body, changes: Mapping[str, st.SearchStrategy[Change]], most: int, fewest: int = 0
) -> Body:
    names = draw(st.lists(st.sampled_from(sorted(changes)), min_size=fewest, max_size=most, unique=True))
    for name in names:
        body = draw(changes[name])(body)
    return body
