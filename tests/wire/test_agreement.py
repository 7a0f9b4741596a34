"""The embedded API over HTTP and the local check: the same verdict and the same first field."""

import asyncio
import itertools
import json
import re
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sybilion_mcp.contract.problem import Problem
from sybilion_mcp.contract.request import MAX_BODY_BYTES
from sybilion_mcp.contract.rules import check_request, first_problem
from sybilion_mcp.engine.app import build_app
from tests.contract.made_up import TODAY, VIOLATIONS, Body, broken_requests, good_requests, put, request

CODES = {
    "aux_count", "aux_dates_differ", "bad_date", "body_too_large", "description_too_long", "driver_limit_out_of_range",
    "empty_series", "filter_id_out_of_range", "horizon_missing", "horizon_order", "horizon_out_of_range",
    "intermittent_horizon", "intermittent_too_short", "intermittent_too_sparse", "keyword_empty", "keyword_too_long",
    "max_num_features_too_small", "missing_month", "negative_value", "not_finite", "not_first_of_month",
    "recency_factor_missing", "recency_factor_out_of_range", "stale_series", "title_missing", "title_too_long",
    "title_too_short", "too_many_keywords", "too_short", "trend_num_classes_out_of_range",
    "unknown_optimization_budget", "unsupported_frequency", "unsupported_pipeline_version", "wrong_type",
}  # fmt: skip

SENTENCE = re.compile(r'invalid request body: field "(?P<field>.*?)": .*', re.DOTALL)


class Idle(Executor):
    """Takes every job and runs none."""

    def submit(self, *_: Any, **__: Any) -> Future[Any]:
        return Future()


def verdict_of(response: httpx.Response) -> tuple[int, str | None]:
    """The status, and the field that the answer names."""
    answer = response.json()
    match response.status_code:
        case 202:
            return 202, None
        case 422:
            assert answer["error"] == "validation_failed"
            (detail,) = answer["details"]
            return 422, detail["field"]
        case 400:
            sentence = SENTENCE.fullmatch(answer["error"])
            assert sentence, answer
            return 400, sentence["field"]
        case status:
            return status, "body"


def expected(problem: Problem | None) -> tuple[int, str | None]:
    return (202, None) if problem is None else (problem.status, problem.field)


def with_embedded_api(folder: Path, run: Callable[[Callable[[Body], httpx.Response]], None]) -> None:
    """Run a test with a function that posts a body to the embedded API, all in one event loop.

    Every post is one of an account of its own, since no account may have many unfinished jobs.
    """
    app = build_app(folder, today=lambda: TODAY, executor=Idle())
    accounts = itertools.count()

    async def post(body: Body) -> httpx.Response:
        content = json.dumps(body, separators=(",", ":"))  # ASCII, so that half a surrogate pair arrives as such
        headers = {"authorization": f"Bearer sk_ops_agreement_{next(accounts)}"}
        return await client.post("/api/v1/forecasts", content=content, headers=headers)

    with asyncio.Runner() as runner:
        transport = httpx.ASGITransport(app)
        client = httpx.AsyncClient(transport=transport, base_url="http://engine")
        try:
            run(lambda body: runner.run(asyncio.wait_for(post(body), 30)))
        finally:
            runner.run(client.aclose())
            runner.run(app.state.engine.aclose())


@pytest.mark.no_cover  # other tests cover the rules; here their number counts
def test_both_agree_on_2000_generated_requests(tmp_path: Path) -> None:
    seen: Counter[str] = Counter()
    verdicts: Counter[int] = Counter()

    def run(post: Callable[[Body], httpx.Response]) -> None:
        @settings(max_examples=2000, deadline=None, derandomize=True, database=None)
        @given(st.one_of(good_requests(), broken_requests(1), broken_requests(), broken_requests()))
        def agree(body: Body) -> None:
            problem = first_problem(body, TODAY)
            verdict = verdict_of(post(body))
            assert verdict == expected(problem)
            seen.update({one.code for one in check_request(body, TODAY)})
            verdicts[verdict[0]] += 1

        agree()

    with_embedded_api(tmp_path, run)

    assert verdicts.total() >= 2000
    assert verdicts[202] >= verdicts.total() / 10
    assert set(seen) >= CODES - {"body_too_large"}


def test_both_agree_on_the_size_of_a_body(tmp_path: Path) -> None:
    def of(size: int, **changes: object) -> Body:
        body = request(pad="", **changes)
        return {**body, "pad": "x" * (size - len(json.dumps(body, separators=(",", ":"))))}

    def run(post: Callable[[Body], httpx.Response]) -> None:
        for body in (of(MAX_BODY_BYTES), of(MAX_BODY_BYTES + 1), of(MAX_BODY_BYTES + 1, backtest="yes")):
            assert verdict_of(post(body)) == expected(first_problem(body, TODAY))

    with_embedded_api(tmp_path, run)


@pytest.mark.parametrize("name", sorted(VIOLATIONS))
def test_each_violation_alone_is_refused_at_least_once(name: str) -> None:
    """The generator breaks what it says it breaks, so that the agreement is about something."""
    found: list[Problem | None] = []

    @settings(max_examples=60, deadline=None, derandomize=True, database=None)
    @given(good_requests(), VIOLATIONS[name])
    def collect(body: Body, change: Callable[[Body], Body]) -> None:
        found.append(first_problem(change(body), TODAY))

    collect()

    assert any(problem is not None for problem in found)


def test_a_field_that_only_the_caller_can_have_written_comes_back_as_it_was(tmp_path: Path) -> None:
    labels = ["soon", 'a "quoted" day', "\ud800", "x\u202e\n", "2026-02-30"]

    def run(post: Callable[[Body], httpx.Response]) -> None:
        for label in labels:
            body = put(request(), "timeseries", {label: 1.0})
            assert verdict_of(post(body)) == (422, f'timeseries["{label}"]')

    with_embedded_api(tmp_path, run)
