"""From a failure to what happened, why, and what to do next.

The codes are a closed list (`CODES`). `code_of` is the one table from a backend's answer to a code, `hint_words`
the one place that writes about it. Only our own words are used: an API's sentence tells causes apart, it is never
quoted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from sybilion_mcp.backends.base import (
    AnswerError,
    BackendError,
    TooLargeError,
    TransportError,
    may_be_done,
    outcome_unknown,
)
from sybilion_mcp.backends.origin import ElsewhereError
from sybilion_mcp.contract.problem import Problem
from sybilion_mcp.contract.request import is_request_field
from sybilion_mcp.eomer_words import (
    ACCOUNT_LIMITED,
    EOMER_LOST,
    EOMER_OPTIONS,
    MONTHLY_ON_LOCAL,
    eomer_code,
    eomer_words,
)
from sybilion_mcp.hint_words import BILLED_CALLS, LOST_ANSWER, LOST_CALL, NOT_SENT, ON_LOCAL, WORDS, Words, words_of
from sybilion_mcp.next_step import NextStep
from sybilion_mcp.outside import identifier


class Refusal(Exception):
    """Something we refuse ourselves, before any request: a code of the closed list, what happened, what to do.

    A code that a backend's answer can have too brings its own words. `next` is the call to make instead; without
    it the same call is named again, with `changes` made to its arguments; None leaves one out.
    """

    def __init__(
        self,
        code: str,
        message: str = "",
        hint: str = "",
        *,
        next: NextStep | None = None,
        changes: Mapping[str, object] | None = None,
        problems: Sequence[Problem] = (),
        retry_after_s: int | None = None,
        trace_id: str | None = None,
    ) -> None:
        words = WORDS.get(code)
        self.code = code
        self.message = message or (words.message if words else "")
        self.hint = hint or (words.hint if words else "")
        super().__init__(self.message)
        self.next = next
        self.changes = changes or {}
        self.problems = tuple(problems)
        self.retry_after_s = retry_after_s
        self.trace_id = trace_id


class About(Exception):
    """A failure of a call of which more is known than its arguments: what they may be written as from now on."""

    def __init__(self, error: BackendError | Refusal, arguments: Mapping[str, object]) -> None:
        super().__init__(str(error))
        self.error = error
        self.arguments = arguments


@dataclass(frozen=True, slots=True)
class Failure:
    """What a tool answers instead of a result. `retryable`: the very same call may succeed later."""

    code: str
    message: str
    hint: str
    next: NextStep | None = None
    retryable: bool = False
    retry_after_s: int | None = None
    trace_id: str | None = None
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Subject:
    """What the failed call was about: the tool, and its arguments without the numbers."""

    tool: str
    arguments: Mapping[str, object] = field(default_factory=dict)

    @property
    def job_id(self) -> str:
        return str(self.arguments.get("job_id", ""))


_REFUSALS = (
    "read_only", "spend_refused", "submission_unknown", "series_not_found", "job_failed", "invalid_argument",
    "unknown_argument", "unknown_tool", "engine_missing", "extra_missing", "unreadable_artifact",
    "file_outside_allowed_folders", "file_not_found", "file_too_large", "file_unreadable", "file_too_many_rows",
    "file_exists", "column_not_found", "column_ambiguous", "sheet_not_found", "sheet_ambiguous", "ambiguous_dates",
    "ambiguous_number", "storage_failed", "secret_in_text", "artifact_elsewhere", ACCOUNT_LIMITED,
)  # fmt: skip

CODES: tuple[str, ...] = (*WORDS, *_REFUSALS)


def explain(error: BackendError | Refusal, subject: Subject) -> Failure:
    """The failure to show for an error, with a next step that fits what was called."""
    if isinstance(error, Refusal):
        return _explain_refusal(error, subject)
    code = code_of(error)
    words = _words(error, code)
    lost = error.operation == "submit" and outcome_unknown(error)
    hint = (EOMER_LOST if error.backend == "eomer" else LOST_ANSWER) if lost else words.hint
    if error.operation == "account" and subject.tool == "submit_forecast":
        hint = f"{NOT_SENT} {hint}"
    if words.local_helps and subject.tool == "submit_forecast" and not lost:
        hint = f"{hint} {MONTHLY_ON_LOCAL if error.backend == 'eomer' else ON_LOCAL}"
    if error.operation in BILLED_CALLS and error.backend != "local" and (error.after_lost or may_be_done(error)):
        hint = f"{hint} {LOST_CALL}"
    return Failure(
        code,
        f"{words.message} {error.last_seen}".strip() if words.retry_after_s is not None else words.message,
        hint,
        _timed(_useful(_next("find" if lost else words.next, subject), hint, subject), words.retry_after_s),
        retryable=words.retry_after_s is not None,
        retry_after_s=words.retry_after_s,
        trace_id=_trace_id(error),
        problems=_api_problems(error),
    )


def _words(error: BackendError, code: str) -> Words:
    if error.backend == "eomer":
        return eomer_words(error, code)
    return words_of(code, error.backend, error.operation, error.credential)


def unexpected(subject: Subject) -> Failure:
    """The failure for a bug of ours: nothing of the exception is shown."""
    words = WORDS["internal_error"]
    return Failure("internal_error", words.message, words.hint, _next("find", subject))


def _explain_refusal(error: Refusal, subject: Subject) -> Failure:
    words = WORDS.get(error.code)
    unknown = error.code == "submission_unknown"
    then = _next("find" if unknown else words.next if words else "again", subject)
    if error.changes:
        said = {**subject.arguments, **error.changes}
        then = NextStep(subject.tool, {name: value for name, value in said.items() if value is not None})
    elif "is useless" in error.hint:
        then = _useful(then, error.hint, subject)
    elif then == NextStep(subject.tool, subject.arguments) and error.retry_after_s is None:
        then = replace(then, reason="once that is done")  # as it was made the call fails again
    return Failure(
        error.code,
        error.message,
        error.hint,
        _timed(error.next or then, error.retry_after_s),
        retryable=error.retry_after_s is not None,
        retry_after_s=error.retry_after_s,
        trace_id=_trace_id(error),
        problems=error.problems,
    )


def _useful(step: NextStep, hint: str, subject: Subject) -> NextStep:
    """Where retrying is useless, the very same call is no next step."""
    if "is useless" in hint and step == NextStep(subject.tool, subject.arguments):
        return NextStep("validate_series", reason="with the numbers or the file")
    return step


def _timed(step: NextStep, seconds: int | None) -> NextStep:
    """A step that has to wait says how long, unless it waits by itself."""
    if seconds is None or "wait_seconds" in step.arguments:
        return step
    return replace(step, reason=f"{step.reason} in {seconds} s".strip())


def code_of(error: BackendError) -> str:
    """The one table from what a backend did to a code."""
    if isinstance(error, ElsewhereError):
        return "artifact_elsewhere"
    if error.backend == "eomer" and (code := eomer_code(error)) is not None:
        return code
    if isinstance(error, TransportError):
        return error.kind
    if isinstance(error, TooLargeError):
        return "artifact_too_large" if error.operation == "artifact" else "unreadable_answer"
    if not isinstance(error, AnswerError):
        return "internal_error"
    text = error.text.lower()
    match error.status:
        case 400 | 405:
            return "bad_request"
        case 401:
            return "token_missing" if "missing" in text else "token_rejected"
        case 403:
            return "token_rejected"
        case 402:
            return "insufficient_balance"
        case 404 if error.operation == "artifact":
            return "artifact_not_found"
        case 404 if error.operation == "job":
            return "job_not_found"
        case 409:
            return "not_ready"
        case 413:
            return "artifact_too_large" if error.operation == "artifact" else "body_too_large"
        case 422:
            return "validation_failed"
        case 429:
            return "too_many_jobs" if "concurrent" in text else "rate_limited"
        case 502 | 504:
            return "upstream_failed"
        case 503:
            return "unavailable"
        case status if status >= 500:
            return "server_error"
        case _:
            return "unreadable_answer"


_WITH_BACKEND = ("submit_forecast", "rank_drivers", "get_alerts")
_WITHOUT_A_SERIES = ("rank_drivers", "get_alerts", "find_filters", "list_jobs", "get_account")


def _next(kind: str, subject: Subject) -> NextStep:
    arguments = dict(subject.arguments)
    match kind:
        case "status" if subject.job_id:
            return NextStep("get_status", {"job_id": subject.job_id})
        case "local" if str(arguments.get("series_id", "")).startswith("p_"):
            return NextStep("validate_series", reason='with one monthly series, which backend="local" takes')
        case "local" if subject.tool in _WITH_BACKEND:
            kept = {name: value for name, value in arguments.items() if name not in EOMER_OPTIONS}
            return NextStep(subject.tool, {**kept, "backend": "local"})
        case "default_preset":
            return NextStep(subject.tool, {name: value for name, value in arguments.items() if name != "preset"})
        case "validate" | "local" if subject.tool in _WITHOUT_A_SERIES:
            return NextStep(subject.tool, arguments)
        case "validate" | "local":
            named = {"backend": "eomer"} if arguments.get("backend") == "eomer" else {}
            return NextStep("validate_series", named, "with the numbers or the file")
        case "find":  # a job may have been made: resubmit would make a second one
            return NextStep(subject.tool, {name: value for name, value in arguments.items() if name != "resubmit"})
        case _:
            return NextStep(subject.tool, arguments)


_CALL_FIELDS = ("title", "description", "keywords", "regions", "categories", "limit", "date_from", "date_to")


def _trace_id(error: BackendError | Refusal) -> str | None:
    """The id to report a failure with. It comes from outside, so only what ids are made of is taken over."""
    trace_id = getattr(error, "trace_id", None)
    return identifier(trace_id) or None if isinstance(trace_id, str) else None


def _api_problems(error: BackendError) -> tuple[Problem, ...]:
    """The field a 422 names. Its sentence is outside text, so only the field is taken over, and only a known one."""
    details = (error.body or {}).get("details") if isinstance(error, AnswerError) else None
    if not isinstance(details, list):
        return ()
    fields = [one["field"] for one in details[:1] if isinstance(one, dict) and isinstance(one.get("field"), str)]
    refused = "The service refuses this value."
    if error.operation in BILLED_CALLS:  # their tools say `limit` where a forecast says `driver_limit`
        fields = [name.rpartition(".")[2].partition("[")[0] for name in fields]
        return tuple(Problem("validation_failed", name, refused) for name in fields if name in _CALL_FIELDS)
    return tuple(Problem("validation_failed", name, refused) for name in fields if is_request_field(name))
