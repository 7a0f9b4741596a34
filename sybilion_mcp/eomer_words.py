"""What a failure of Eomer is told with: by its own error code where it gives one, else by the status of its answer."""

from collections.abc import Mapping
from dataclasses import dataclass

from sybilion_mcp.backends.base import AnswerError, BackendError
from sybilion_mcp.hint_words import WORDS, JobWords, Words

ACCOUNT_LIMITED = "account_limited"
"""The one code of the closed list that only Eomer's failures have."""

EOMER_OPTIONS = ("preset", "quantile_levels", "explainability")
"""Arguments that only Eomer takes."""
MONTHLY_ON_LOCAL = 'The embedded engine forecasts one monthly series for free: submit it with backend="local".'

_AGAIN = "Nothing is known to be wrong with the request: submit the same again in a while."
_ACCOUNT = "Retrying is useless. Ask the user to settle it with Eomer, or forecast here for free instead."
_KEY = (
    "Retrying is useless. Ask the user to check EOMER_API_KEY and to restart the server. Never ask for the key itself."
)
_PARTS = "Send fewer series or a shorter history in one job, and the rest in another."

EOMER_LOST = (
    "Whether a job was made is unknown, and Eomer lists no jobs, so that none can be looked for. Tell the user. Only "
    "if they accept that a second job may be made and charged, call submit_forecast again with resubmit=true."
)
"""Instead of the hint, where a submit may have made a job."""


@dataclass(frozen=True, slots=True)
class EomerFailure:
    """A failure by Eomer's own code: our code for it and what to say of a call, and of a job that failed with it."""

    code: str
    call: Words
    job: JobWords


def _passing(code: str, message: str, hint: str, seconds: int, job_hint: str = _AGAIN) -> EomerFailure:
    """What passes by itself: the very same call, or job, may succeed later."""
    words = Words(message, hint, retry_after_s=seconds, local_helps=True)
    return EomerFailure(code, words, JobWords(message, job_hint, "same", detail=True))


def _lasting(code: str, message: str, hint: str, job_hint: str = "", *, local: bool = False) -> EomerFailure:
    """What stays until something is changed: the series, or the account."""
    words = Words(message, hint, "local" if local else "validate", local_helps=local)
    return EomerFailure(code, words, JobWords(message, job_hint or hint, "validate", detail=True))


_OTHER_PRESET = 'Call again without preset, or with preset="chronos_tiny" or "chronos_small".'

_LESS = JobWords(
    "The job took longer than Eomer allows.",
    "The same again would most likely take as long. Ask for less: fewer series, a shorter history, a smaller preset.",
    "less",
    detail=True,
)

EOMER_FAILURES: Mapping[str, EomerFailure] = {
    "validation_error": _lasting(
        "validation_failed",
        "Eomer refuses the series or an option; no forecast was made.",
        "Retrying the same is useless. Check the series with validate_series, correct what it names, and call again.",
    ),
    "invalid_preset": EomerFailure(
        "validation_failed",
        Words("Eomer does not know the preset; no job was made.", _OTHER_PRESET, "default_preset"),
        JobWords("Eomer does not know the preset; no job was made.", _OTHER_PRESET, "validate", detail=True),
    ),
    "file_too_large": _lasting("body_too_large", "The table is larger than Eomer takes; no job was made.", _PARTS),
    "rate_limited": _passing(
        "rate_limited",
        "Eomer takes no more requests of this account for now.",
        "Wait a minute, then make the same call once.",
        60,
        "Wait a minute, then submit the same once.",
    ),
    "server_overloaded": _passing(
        "unavailable", "Eomer has more work than it can do.", "Make the same call again in a few minutes.", 120
    ),
    "job_not_found": EomerFailure(
        "job_not_found",
        Words(
            "Eomer knows no such job: the id is wrong, belongs to another account, or the job is no longer kept.",
            "Retrying is useless. Check the id with the user; results read through this server before stay readable.",
            "validate",
        ),
        JobWords("Eomer lost the job while it worked on it.", _AGAIN, "same", detail=True),
    ),
    "job_not_completed": EomerFailure(
        "not_ready",
        Words(
            "The job is not completed, so its results do not exist yet.",
            "Wait with get_status until it is completed.",
            "status",
            20,
        ),
        JobWords("The job ended before it was completed.", _AGAIN, "same", detail=True),
    ),
    "auth_failed": _lasting("token_rejected", "Eomer does not accept the configured key.", _KEY, local=True),
    "internal_error": _passing(
        "server_error",
        "Eomer failed with an error of its own.",
        "Make the same call again in a while; if it stays, report the trace id to Eomer.",
        30,
    ),
    "timeout": EomerFailure(
        "timed_out",
        Words("Eomer did not finish in time.", "Wait a minute, then make the same call again once.", retry_after_s=60),
        _LESS,
    ),
    "pipeline_failed": _lasting(
        "job_failed",
        "Eomer could not compute the forecast.",
        "The same would most likely fail the same way. Check the series with validate_series; another preset may help.",
    ),
    "storage_error": _passing(
        "upstream_failed",
        "Eomer could not read or write a file of the job.",
        "Make the same call again in a minute; if it stays, report the trace id to Eomer.",
        60,
    ),
    "gpu_offload_unavailable": _passing(
        "unavailable",
        "The machines that Eomer computes large presets on are not available.",
        'Make the same call again in some minutes, or use the smaller preset="chronos_tiny", which needs none.',
        300,
        'Submit the same again in some minutes, or with the smaller preset="chronos_tiny", which needs none.',
    ),
    "connection_not_found": _lasting(
        "validation_failed",
        "Eomer knows no such connection to a storage.",
        "Retrying is useless. Submit the series themselves, which needs no connection; or ask the user to set one up.",
    ),
    "connector_error": _passing(
        "upstream_failed",
        "The storage behind a connection of Eomer did not do what was asked.",
        "Make the same call again in a minute; if it stays, ask the user to check the connection in Eomer.",
        60,
        "Submit the same again; if that fails too, ask the user to check the connection in Eomer.",
    ),
    "sandbox_domain_used": _lasting(
        ACCOUNT_LIMITED, "Eomer's free trial was used up by somebody with the same mail domain.", _ACCOUNT, local=True
    ),
    "sandbox_captcha_failed": _lasting(
        ACCOUNT_LIMITED,
        "Eomer's free trial wants a person to pass a captcha, which no program can.",
        "Retrying is useless. Ask the user to sign in to Eomer in a browser, or forecast here for free instead.",
        local=True,
    ),
    "sandbox_dataset_too_large": _lasting(
        "body_too_large", "The table is larger than Eomer's free trial takes; no job was made.", _PARTS, local=True
    ),
    "sandbox_corporate_email_required": _lasting(
        ACCOUNT_LIMITED, "Eomer's free trial is for accounts with a company's mail address only.", _ACCOUNT, local=True
    ),
}
"""Eomer's error code → what to tell."""

UNKNOWN_JOB_FAILURE = JobWords(
    "Eomer could not finish the job, for a reason that this server has no words for.",
    "Look at what the service says. Check the series with validate_series; if it is sound, submit it again once.",
    "validate",
    detail=True,
)

EOMER_WORDS: Mapping[str, Words] = {
    "token_missing": Words(
        "Eomer needs a key and none is configured.",
        "Ask the user to set EOMER_API_KEY in the server's environment and to restart it. Never ask for the key.",
        "local",
        local_helps=True,
    ),
    "token_rejected": EOMER_FAILURES["auth_failed"].call,
    "insufficient_balance": Words(
        "Eomer wants to be paid before it goes on.",
        "Retrying now is useless. Ask the user about the account at Eomer.",
        "local",
        local_helps=True,
    ),
    "job_not_found": EOMER_FAILURES["job_not_found"].call,
    "artifact_not_found": Words(
        "This job has no such file, or Eomer no longer keeps it.",
        "Retrying is useless. get_status names the files that the job offers.",
        "status",
    ),
    "artifact_elsewhere": Words(
        "The file lies on another host than Eomer's API; it was not fetched, as no address is followed elsewhere.",
        'Retrying is useless. Read artifact="forecast" or "report"; for the file itself, ask the user to get it.',
        "status",
    ),
    "not_ready": EOMER_FAILURES["job_not_completed"].call,
    "body_too_large": EOMER_FAILURES["file_too_large"].call,
    "artifact_too_large": Words(
        "The file is larger than 100 MiB and was not kept.", "Read the forecast or another file of the job.", "status"
    ),
    "validation_failed": EOMER_FAILURES["validation_error"].call,
    "bad_request": Words(
        "Eomer could not read the request; no job was made.",
        "Retrying the same call is useless. Check the series with validate_series.",
        "validate",
    ),
    "rate_limited": EOMER_FAILURES["rate_limited"].call,
    "too_many_jobs": Words(
        "As many jobs are running at Eomer as the account may have at once; no job was made.",
        "Wait for one of them to finish with get_status, then submit again.",
        retry_after_s=120,
        local_helps=True,
    ),
    "upstream_failed": Words(
        "Something between this server and Eomer failed, or Eomer is just waking up.",
        "Make the same call again in a minute.",
        retry_after_s=60,
    ),
    "unavailable": Words(
        "Eomer is not available now.",
        "Make the same call again in a few minutes; if it stays, ask the user to look at Eomer's status.",
        retry_after_s=120,
        local_helps=True,
    ),
    "server_error": EOMER_FAILURES["internal_error"].call,
    "unreachable": Words(
        "Eomer could not be reached.",
        "Check the network and EOMER_API_BASE_URL, then make the same call again.",
        retry_after_s=30,
        local_helps=True,
    ),
    "timed_out": Words(
        "Eomer did not answer in time; after a pause its first answer takes up to a minute.",
        "Make the same call again in a minute.",
        retry_after_s=60,
    ),
    "unreadable_answer": Words(
        "What answered is not Eomer's API.",
        "Check EOMER_API_BASE_URL: a proxy or another site may have answered. Then make the same call again.",
        retry_after_s=30,
    ),
}
"""By a code of the closed list, where Eomer gives no code of its own, or one that is not known."""


def eomer_failure(error: BackendError) -> EomerFailure | None:
    """What is told of an answer by the error code in its body; None without one that is known."""
    code = (error.body or {}).get("error_code") if isinstance(error, AnswerError) else None
    return EOMER_FAILURES.get(code) if isinstance(code, str) else None


def eomer_code(error: BackendError) -> str | None:
    """A code of the closed list for Eomer's own; None where the status has to tell."""
    found = eomer_failure(error)
    if found is None:
        return None
    return "artifact_not_found" if (found.code, error.operation) == ("job_not_found", "artifact") else found.code


def eomer_words(error: BackendError, code: str) -> Words:
    """The words for a failure of Eomer whose code of the closed list is `code`."""
    found = eomer_failure(error)
    if found is not None and found.code == code:
        return found.call
    return EOMER_WORDS.get(code) or WORDS[code]


def eomer_job_words(error_code: str | None) -> JobWords:
    """The words for a job that failed with this code of Eomer's, be it none or one that is not known."""
    found = EOMER_FAILURES.get(error_code or "")
    return found.job if found else UNKNOWN_JOB_FAILURE
