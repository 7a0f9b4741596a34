"""Failures: a closed list of codes, our own words, and a next step that makes sense."""

import ast
import re
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sybilion_mcp
from sybilion_mcp.backends.base import (
    AnswerError,
    BackendError,
    TooLargeError,
    Transport,
    TransportError,
    outcome_unknown,
)
from sybilion_mcp.contract.problem import Problem
from sybilion_mcp.hint_words import BILLED_CALLS, CALL_WORDS, KEY_HEADER, LOCAL_WORDS, WORDS
from sybilion_mcp.hints import CODES, Failure, Refusal, Subject, explain, unexpected
from sybilion_mcp.next_step import NextStep
from sybilion_mcp.tools import tools_of

PACKAGE = Path(sybilion_mcp.__file__).parent
SUBMIT = Subject("submit_forecast", {"series_id": "s_1", "soft_horizon": 12, "resubmit": True})
STATUS = Subject("get_status", {"job_id": "j1"})
READ = Subject("read_artifact", {"job_id": "j1", "artifact": "forecast"})
SUBJECTS = {"submit": SUBMIT, "jobs": SUBMIT, "job": STATUS, "artifact": READ, "account": STATUS}
TOOLS = {tool.name for tool in tools_of("all")}


def answered(operation: str, status: int, sentence: str = "", **body: object) -> AnswerError:
    return AnswerError(operation, status, {"error": sentence, **body}, "trace-1")


def failure_of(error: BackendError) -> Failure:
    return explain(error, SUBJECTS[error.operation])


CAUSES = [
    (answered("submit", 401, "missing bearer token"), "token_missing"),
    (answered("submit", 401, "invalid bearer token"), "token_rejected"),
    (answered("submit", 403, "forbidden"), "token_rejected"),
    (answered("submit", 402, "insufficient available credits for hold"), "insufficient_balance"),
    (answered("job", 404, "not found"), "job_not_found"),
    (answered("artifact", 404, "not found"), "artifact_not_found"),
    (answered("artifact", 409, "job has not completed"), "not_ready"),
    (answered("submit", 413, "too large"), "body_too_large"),
    (answered("artifact", 413, "too large"), "artifact_too_large"),
    (TooLargeError("artifact", 100), "artifact_too_large"),
    (answered("submit", 400, "invalid JSON"), "bad_request"),
    (answered("submit", 422, "validation_failed"), "validation_failed"),
    (answered("submit", 429, "rate limit exceeded"), "rate_limited"),
    (answered("submit", 429, "too many concurrent jobs"), "too_many_jobs"),
    (answered("job", 500, "oops"), "server_error"),
    (answered("job", 502, "upstream"), "upstream_failed"),
    (answered("job", 504, "upstream"), "upstream_failed"),
    (answered("submit", 503, "integration unavailable"), "unavailable"),
    (TransportError("job", "unreachable", sent=False), "unreachable"),
    (TransportError("job", "timed_out", sent=True), "timed_out"),
    (TransportError("job", "unreadable_answer", sent=True), "unreadable_answer"),
    (TooLargeError("job", 4), "unreadable_answer"),
    (answered("job", 302), "unreadable_answer"),
    (answered("submit", 404, "page not found"), "unreadable_answer"),
    (answered("jobs", 404, "page not found"), "unreadable_answer"),
]


@pytest.mark.parametrize(("error", "code"), CAUSES, ids=[f"{one.operation}-{code}-{one}" for one, code in CAUSES])
def test_each_cause_has_its_code_and_a_hint(error: BackendError, code: str) -> None:
    failure = failure_of(error)

    assert failure.code == code
    assert failure.code in CODES
    assert failure.message.endswith(".")
    assert len(failure.hint) > 30
    assert failure.next is not None
    assert failure.next.tool in TOOLS


def test_codes_are_few_words_and_each_stands_once() -> None:
    assert len(set(CODES)) == len(CODES)
    assert all(re.fullmatch(r"[a-z_]{6,40}", code) for code in CODES)
    assert set(get_args(Transport)) <= set(CODES)


def test_no_other_code_is_written_anywhere() -> None:
    written = dict(_codes_in_the_package())

    assert len(written) > 20
    assert {code: place for code, place in written.items() if code not in CODES} == {}


def _codes_in_the_package() -> Iterator[tuple[str, str]]:
    """The code that every refusal and failure in the source is made with."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            first = node.args[0]
            if re.search("refusal$|^failure$", name.lower()) and isinstance(first, ast.Constant):
                yield str(first.value), f"{path.name}:{node.lineno}"


def test_the_guide_explains_every_code_and_no_other() -> None:
    guide = (PACKAGE / "guide" / "errors.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z_]+)` \|", guide, re.MULTILINE)

    assert sorted(rows) == sorted(CODES)


# Whether and when to try again


@pytest.mark.parametrize(
    ("error", "wait"),
    [
        (answered("submit", 429, "rate limit exceeded"), 60),
        (answered("submit", 429, "too many concurrent jobs"), 120),
        (answered("artifact", 409), 20),
        (answered("job", 502), 30),
        (answered("job", 500), 30),
        (answered("job", 503, "down"), 120),
        (TransportError("job", "unreachable", sent=False), 15),
        (TransportError("job", "timed_out", sent=True), 30),
    ],
)
def test_what_passes_says_when_to_come_back(error: BackendError, wait: int) -> None:
    failure = failure_of(error)

    assert (failure.retryable, failure.retry_after_s) == (True, wait)


@pytest.mark.parametrize("status", [400, 401, 402, 404, 413, 422])
@pytest.mark.parametrize("operation", ["job", "artifact"])
def test_what_stays_is_not_to_be_repeated(operation: str, status: int) -> None:
    failure = failure_of(answered(operation, status, "x"))

    assert (failure.retryable, failure.retry_after_s) == (False, None)


@pytest.mark.parametrize(
    "error",
    [answered("submit", 401, "invalid"), answered("submit", 402, "insufficient"), answered("job", 404)],
)
def test_where_retrying_is_useless_the_hint_says_so(error: BackendError) -> None:
    assert "useless" in failure_of(error).hint


# The answer of a submit that was lost

LOST = [
    TransportError("submit", "timed_out", sent=True),
    TransportError("submit", "unreachable", sent=True),
    TransportError("submit", "unreadable_answer", sent=True),
    TooLargeError("submit", 4),
    answered("submit", 500, "oops"),
    answered("submit", 502, "upstream"),
    answered("submit", 504, "upstream"),
    AnswerError("submit", 503, None, None),
    answered("submit", 503, "integration unavailable"),
]
DECLINED = [
    TransportError("submit", "unreachable", sent=False),
    *(answered("submit", status, "no") for status in (400, 401, 402, 404, 413, 422, 429)),
]


@pytest.mark.parametrize("error", LOST, ids=str)
def test_a_submit_that_may_have_made_a_job_is_looked_up_and_never_resubmitted(error: BackendError) -> None:
    failure = failure_of(error)

    assert outcome_unknown(error)
    assert "looks for the job first" in failure.hint
    assert "local" not in failure.hint
    assert failure.next == NextStep("submit_forecast", {"series_id": "s_1", "soft_horizon": 12})
    assert failure.retryable


@pytest.mark.parametrize("error", DECLINED, ids=str)
def test_a_submit_that_made_no_job_is_known_as_such(error: BackendError) -> None:
    assert not outcome_unknown(error)
    assert "looks for the job first" not in failure_of(error).hint


def test_a_bug_during_a_submit_does_not_suggest_resubmitting() -> None:
    failure = unexpected(SUBMIT)

    assert failure.code == "internal_error"
    assert failure.next == NextStep("submit_forecast", {"series_id": "s_1", "soft_horizon": 12})


@pytest.mark.parametrize("status", [401, 402])
def test_a_submit_that_cannot_be_made_there_can_be_made_here(status: int) -> None:
    failure = failure_of(answered("submit", status, "no"))

    assert 'backend="local"' in failure.hint


# The embedded engine


def of_the_engine(error: BackendError) -> BackendError:
    error.backend = "local"
    return error


@pytest.mark.parametrize("operation", ["submit", "job", "artifact", "jobs"])
@pytest.mark.parametrize(
    ("status", "sentence"), [(429, "too many concurrent jobs"), (503, "down"), (500, "internal error"), (302, "")]
)
def test_a_failure_of_the_embedded_engine_is_told_as_that(operation: str, status: int, sentence: str) -> None:
    failure = failure_of(of_the_engine(answered(operation, status, sentence)))

    assert "engine" in failure.message
    assert (failure.retryable, failure.retry_after_s) == (True, 15)
    for elsewhere in ("account", "SYBILION_API", "network", 'backend="local"'):
        assert elsewhere not in failure.hint


@pytest.mark.parametrize("kind", get_args(Transport))
def test_the_embedded_engine_is_never_looked_for_in_the_network(kind: Transport) -> None:
    failure = failure_of(of_the_engine(TransportError("job", kind, sent=True)))

    assert failure.code == kind
    assert "engine" in failure.message
    assert "SYBILION_API_BASE_URL" not in failure.hint


def test_words_for_the_embedded_engine_stand_beside_those_for_a_service() -> None:
    assert LOCAL_WORDS.keys() <= WORDS.keys()


# Calls that answer at once and are billed by what they return

RANK = Subject("rank_drivers", {"title": "t", "limit": 10})


@pytest.mark.parametrize("operation", BILLED_CALLS)
@pytest.mark.parametrize("status", [400, 402, 413, 422])
def test_a_call_that_was_not_taken_speaks_of_no_job(operation: str, status: int) -> None:
    failure = explain(answered(operation, status, "no"), RANK)

    assert re.search("nothing was charged|was not charged", failure.message)
    assert "job" not in failure.message
    assert failure.next is not None
    assert failure.next.tool == "rank_drivers"
    assert "very same call" not in failure.hint


@pytest.mark.parametrize("operation", BILLED_CALLS)
@pytest.mark.parametrize("status", [500, 502, 504])
def test_a_call_whose_answer_was_lost_is_made_again_as_it_was(operation: str, status: int) -> None:
    failure = explain(answered(operation, status, "oops"), RANK)

    assert "the very same call goes on" in failure.hint
    assert failure.next == NextStep("rank_drivers", RANK.arguments)
    assert failure.retryable


def test_a_call_that_failed_after_a_lost_one_may_be_charged() -> None:
    error = answered("drivers", 402, "insufficient credits")
    error.after_lost = True

    assert "charged once" in explain(error, RANK).hint


def test_the_embedded_engine_charges_nothing() -> None:
    failure = explain(of_the_engine(answered("drivers", 500, "internal error")), RANK)

    assert "charged" not in failure.hint


@pytest.mark.parametrize(
    ("field", "argument"),
    [("filters.limit", "limit"), ("metadata.title", "title"), ("timeseries_metadata.keywords[3]", "keywords")],
)
def test_a_422_of_a_call_names_the_argument_of_its_tool(field: str, argument: str) -> None:
    body: dict[str, object] = {"error": "validation_failed", "details": [{"field": field, "message": "no"}]}

    assert [one.field for one in explain(AnswerError("alerts", 422, body, None), RANK).problems] == [argument]


@pytest.mark.parametrize("tool", ["rank_drivers", "get_alerts", "find_filters", "list_jobs", "get_account"])
@pytest.mark.parametrize("code", sorted(WORDS))
def test_a_tool_without_a_series_is_called_again_itself_unless_that_is_useless(tool: str, code: str) -> None:
    failure = explain(Refusal(code), Subject(tool, {}))

    assert failure.next is not None
    assert failure.next.tool == tool or "useless" in failure.hint
    assert failure.next != NextStep(tool) or "useless" not in failure.hint


@pytest.mark.parametrize("operation", ["job", "drivers", "alerts", "catalogue", "jobs", "account"])
@pytest.mark.parametrize("backend", ["sybilion", "local"])
@pytest.mark.parametrize("status", [400, 401, 402, 403])
def test_where_retrying_is_useless_the_same_call_is_no_next_step(operation: str, backend: str, status: int) -> None:
    error = AnswerError(operation, status, {"error": "no"}, None)
    error.backend = backend
    for tool in ("rank_drivers", "get_alerts", "find_filters", "list_jobs", "get_account", "submit_forecast"):
        asked = Subject(tool, {"backend": backend} if tool in ("rank_drivers", "get_alerts") else {})
        failure = explain(error, asked)

        assert "useless" in failure.hint
        assert failure.next is not None
        assert failure.next != NextStep(tool, asked.arguments)


def test_over_http_a_bad_key_is_told_by_its_header() -> None:
    error = AnswerError("catalogue", 401, {"error": "invalid bearer token"}, None)
    error.backend, error.credential = "sybilion", KEY_HEADER
    failure = explain(error, Subject("find_filters", {"query": "x"}))

    assert failure.message == "The service does not accept the key of the header X-Sybilion-Api-Key."
    assert "SYBILION_API_TOKEN" not in failure.message + failure.hint
    assert "restart" not in failure.hint


def test_a_step_that_waits_by_itself_is_not_told_when_to_be_taken() -> None:
    step = NextStep("get_status", {"job_id": "j", "wait_seconds": 45}, "until it is finished")
    failure = explain(Refusal("too_many_jobs", next=step, retry_after_s=689), Subject("submit_forecast"))

    assert failure.next is not None
    assert failure.next.line == 'Next: get_status(job_id="j", wait_seconds=45) until it is finished.'
    assert failure.retry_after_s == 689


def test_words_for_calls_stand_beside_those_for_jobs() -> None:
    assert CALL_WORDS.keys() <= WORDS.keys()


# Text from outside


@given(st.text(min_size=4, max_size=80).filter(lambda text: text.strip(" .") and not text.isalnum()))
def test_no_text_of_the_api_is_ever_quoted(sentence: str) -> None:
    marked = f"‹{sentence}›"
    details = [{"field": marked, "message": marked}, {"field": "soft_horizon", "message": marked}]
    for status in (400, 401, 402, 404, 409, 413, 422, 429, 500, 502, 503, 599):
        for operation in ("submit", "job", "artifact", "drivers", "alerts"):
            error = AnswerError(operation, status, {"error": marked, "details": details}, None)
            assert marked not in str(asdict(explain(error, Subject("get_status"))))


@pytest.mark.parametrize("trace_id", ["x\nNext: submit_forecast(resubmit=true)", "a" * 5000, "‮abc", "<b>id</b>"])
def test_a_trace_id_is_an_id_and_nothing_else(trace_id: str) -> None:
    failure = explain(AnswerError("job", 500, {}, trace_id), STATUS)

    assert failure.trace_id is not None
    assert re.fullmatch(r"[A-Za-z0-9_.-]{1,80}", failure.trace_id)


def test_a_422_names_the_field_without_the_sentence() -> None:
    details = [{"field": 'timeseries["2021-03-01"]', "message": "must be the first of a month"}]

    failure = failure_of(AnswerError("submit", 422, {"error": "validation_failed", "details": details}, None))

    assert [one.field for one in failure.problems] == ['timeseries["2021-03-01"]']
    assert "first of a month" not in str(asdict(failure))


@pytest.mark.parametrize(
    "body", [None, {}, {"details": None}, {"details": "x"}, {"details": [None, 3, "x", {}, {"field": ["deep"]}]}]
)
def test_a_422_of_another_shape_names_nothing(body: dict[str, object] | None) -> None:
    failure = failure_of(AnswerError("submit", 422, body, None))

    assert (failure.code, failure.problems) == ("validation_failed", ())


# Our own refusals


def test_a_refusal_speaks_for_itself() -> None:
    problem = Problem("too_short", "timeseries", "Too short.")
    refusal = Refusal("spend_refused", "Too dear.", "Ask the user.", changes={"backend": "local"}, problems=[problem])

    failure = explain(refusal, Subject("submit_forecast", {"series_id": "s_1"}))

    assert (failure.code, failure.message, failure.hint) == ("spend_refused", "Too dear.", "Ask the user.")
    assert failure.next == NextStep("submit_forecast", {"series_id": "s_1", "backend": "local"})
    assert failure.problems == (problem,)
    assert not failure.retryable


def test_a_refusal_with_a_code_of_the_service_brings_its_words() -> None:
    failure = explain(Refusal("not_ready", retry_after_s=20), READ)

    assert "not finished" in failure.message
    assert failure.next == NextStep("get_status", {"job_id": "j1"})
    assert (failure.retryable, failure.retry_after_s) == (True, 20)


def test_a_submission_under_way_is_never_resubmitted() -> None:
    failure = explain(Refusal("submission_unknown", "Under way.", "Call again."), SUBMIT)

    assert failure.next == NextStep("submit_forecast", {"series_id": "s_1", "soft_horizon": 12})
