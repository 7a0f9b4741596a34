"""Failures of Eomer: each of its codes and every status has words of its own, and a next step."""

from typing import get_args

import pytest

from sybilion_mcp.backends.base import AnswerError, BackendError, Transport, TransportError
from sybilion_mcp.eomer_words import (
    ACCOUNT_LIMITED,
    EOMER_FAILURES,
    EOMER_LOST,
    EOMER_WORDS,
    UNKNOWN_JOB_FAILURE,
    eomer_code,
    eomer_job_words,
    eomer_words,
)
from sybilion_mcp.hints import CODES, Failure, Subject, code_of, explain
from sybilion_mcp.tools import tools_of

PUBLISHED = (
    "validation_error", "invalid_preset", "file_too_large", "rate_limited", "server_overloaded", "job_not_found",
    "job_not_completed", "auth_failed", "internal_error", "timeout", "pipeline_failed", "storage_error",
    "gpu_offload_unavailable", "connection_not_found", "connector_error", "sandbox_domain_used",
    "sandbox_captcha_failed", "sandbox_dataset_too_large", "sandbox_corporate_email_required",
)  # fmt: skip
PASSING = {
    "rate_limited", "server_overloaded", "job_not_completed", "internal_error", "timeout", "storage_error",
    "gpu_offload_unavailable", "connector_error",
}  # fmt: skip
STATUSES = {
    400: False, 401: False, 403: False, 404: False, 409: True, 413: False, 422: False, 429: True, 500: True, 502: True,
    503: True, 504: True,
}  # fmt: skip
"""Whether the very same call may succeed later."""


def answered(status: int, code: object = None, operation: str = "job") -> AnswerError:
    return AnswerError(operation, status, {"error": "x", "error_code": code} if code else None, None)


def test_the_published_codes_and_no_others_have_words() -> None:
    assert set(EOMER_FAILURES) == set(PUBLISHED)
    assert len(PUBLISHED) == 19


@pytest.mark.parametrize("code", PUBLISHED)
def test_each_code_says_what_happened_what_to_do_and_whether_again(code: str) -> None:
    failure = EOMER_FAILURES[code]

    assert failure.code in (*CODES, ACCOUNT_LIMITED)
    assert (failure.call.retry_after_s is not None) == (code in PASSING)
    for words in (failure.call, failure.job):
        assert words.message.endswith(".")
        assert len(words.hint) > 40
    if code not in PASSING and not code.endswith("too_large") and code != "invalid_preset":
        assert "useless" in failure.call.hint or "the same way" in failure.call.hint
    assert failure.job.next in ("same", "less", "validate")


def test_after_a_refused_preset_the_next_step_is_the_same_call_without_it() -> None:
    arguments = {"series_id": "p_1", "backend": "eomer", "preset": "chronos_gigantic"}

    refused = answered(422, "invalid_preset", "submit")
    refused.backend = "eomer"

    failure = explain(refused, Subject("submit_forecast", arguments))

    assert failure.next is not None
    assert failure.next.tool == "submit_forecast"
    assert failure.next.arguments == {"series_id": "p_1", "backend": "eomer"}


def test_no_two_codes_say_the_same() -> None:
    assert len({one.call.message for one in EOMER_FAILURES.values()}) == len(PUBLISHED)


@pytest.mark.parametrize("status", STATUSES)
def test_a_status_alone_has_words_about_eomer(status: int) -> None:
    error = answered(status)
    code = code_of(error)

    words = eomer_words(error, code)

    assert eomer_code(error) is None
    assert code in EOMER_WORDS
    assert (words.retry_after_s is not None) == STATUSES[status]
    assert "SYBILION" not in words.hint


@pytest.mark.parametrize("status", [200, 400, 404, 422, 500, 503])
@pytest.mark.parametrize("code", PUBLISHED)
def test_the_code_of_the_body_tells_more_than_the_status(status: int, code: str) -> None:
    error = answered(status, code)

    found = eomer_code(error)

    assert found == EOMER_FAILURES[code].code
    assert found is not None
    assert eomer_words(error, found) == EOMER_FAILURES[code].call


@pytest.mark.parametrize("code", ["brand_new", 7, ["auth_failed"], {"a": 1}, ""])
def test_an_unknown_code_leaves_it_to_the_status(code: object) -> None:
    assert eomer_code(answered(503, code)) is None
    assert eomer_words(answered(503, code), "unavailable") == EOMER_WORDS["unavailable"]


@pytest.mark.parametrize("kind", get_args(Transport))
def test_what_never_arrived_is_looked_for_at_eomer(kind: Transport) -> None:
    words = eomer_words(TransportError("job", kind, sent=True), kind)

    assert "Eomer" in words.message
    assert words.retry_after_s is not None


def test_a_missing_file_is_no_missing_job() -> None:
    assert eomer_code(answered(404, "job_not_found", "artifact")) == "artifact_not_found"


def test_a_failed_job_has_words_whatever_its_code() -> None:
    assert eomer_job_words("timeout").next == "less"
    assert eomer_job_words("storage_error").next == "same"
    assert eomer_job_words("validation_error").next == "validate"
    for code in (None, "", "brand_new"):
        assert eomer_job_words(code) is UNKNOWN_JOB_FAILURE


def test_another_failure_falls_back_on_the_common_words() -> None:
    assert eomer_words(BackendError("job", "x"), "internal_error").message


# As a tool tells it


PANEL = {"series_id": "p_0123456789ab", "preset": "chronos_small", "backend": "eomer"}
SUBJECTS = {
    "submit": Subject("submit_forecast", PANEL),
    "job": Subject("get_status", {"job_id": "j1"}),
    "artifact": Subject("read_artifact", {"job_id": "j1"}),
}
TOOLS = {tool.name for tool in tools_of("core")}


def told(error: BackendError) -> Failure:
    error.backend = "eomer"
    return explain(error, SUBJECTS[error.operation])


@pytest.mark.parametrize("operation", SUBJECTS)
@pytest.mark.parametrize("code", PUBLISHED)
def test_each_code_is_told_with_a_hint_and_a_step_that_fit(code: str, operation: str) -> None:
    failure = told(answered(422, code, operation))

    assert failure.code in CODES
    assert failure.retryable == (code in PASSING and failure.code != "artifact_not_found")
    assert (failure.retry_after_s is None) == (not failure.retryable)
    assert failure.hint
    assert "SYBILION" not in failure.message + failure.hint
    assert failure.next is not None
    assert failure.next.tool in TOOLS
    if "useless" in failure.hint:
        assert failure.next.tool != SUBJECTS[operation].tool


@pytest.mark.parametrize("operation", SUBJECTS)
@pytest.mark.parametrize("status", STATUSES)
def test_each_status_is_told_with_a_hint_and_a_step_that_fit(status: int, operation: str) -> None:
    failure = told(answered(status, None, operation))

    assert failure.code in CODES
    assert "SYBILION" not in failure.message + failure.hint
    assert failure.next is not None
    assert failure.next.tool in TOOLS


def test_many_series_are_never_sent_on_to_the_engine_that_takes_one() -> None:
    failure = told(answered(401, "auth_failed", "submit"))

    assert failure.next is not None
    assert failure.next.tool == "validate_series"
    monthly = Subject("submit_forecast", {**PANEL, "series_id": "s_0123456789ab"})
    here = explain(answered(401, "auth_failed", "submit"), monthly).next
    assert here is not None
    assert here.arguments == {"series_id": "s_0123456789ab", "backend": "local"}


def test_a_lost_submit_is_told_in_terms_of_eomer() -> None:
    failure = told(TransportError("submit", "timed_out", sent=True))

    assert failure.hint == EOMER_LOST
    assert failure.next is not None
    assert failure.next.arguments == PANEL
