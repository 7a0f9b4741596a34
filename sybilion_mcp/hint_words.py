"""What a failure is told with: our own words by code, in one place, and others where the embedded engine failed."""

from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True, slots=True)
class Words:
    message: str
    hint: str
    next: Literal["again", "status", "local", "validate", "default_preset"] = "again"
    retry_after_s: int | None = None
    local_helps: bool = False


_REJECTED = "The service does not accept the token of {}."
ON_LOCAL = 'The embedded engine needs neither token nor network and is free: submit with backend="local".'

WORDS: dict[str, Words] = {
    "token_missing": Words(
        "The Sybilion API needs a token and none is configured.",
        "Ask the user to set SYBILION_API_TOKEN in the server's environment, or SYBILION_API_TOKEN_FILE to a file that "
        "holds nothing else and that the server may read, and to restart it. Never ask for the token itself.",
        "local",
        local_helps=True,
    ),
    "token_rejected": Words(
        _REJECTED.format("SYBILION_API_TOKEN"),
        "Retrying is useless. Ask the user to check it (a token begins with sk_ops_) and to restart the server.",
        "local",
        local_helps=True,
    ),
    "insufficient_balance": Words(
        "The account's available credit does not cover the hold for this job.",
        "Retrying now is useless. Wait until running jobs settle, ask the user to top up, or make the job cheaper with "
        "driver_limit=0.",
        "local",
        local_helps=True,
    ),
    "job_not_found": Words(
        "No such job: the id is wrong, belongs to another account, or the service no longer keeps it.",
        "Retrying is useless. Check the id with the user; results read through this server before stay readable. "
        "To forecast the series again, submit it; the very same request takes resubmit=true, if the user agrees.",
        "validate",
    ),
    "artifact_not_found": Words(
        "This job has no such artifact.",
        'Read artifact="report", or get_status for the names this job offers.',
        "status",
    ),
    "not_ready": Words(
        "The job is not finished, so its results do not exist yet.",
        "Wait with get_status until it is completed and settled.",
        "status",
        20,
    ),
    "body_too_large": Words(
        "The request is larger than the 2 MiB the service accepts.",
        "Send monthly values only: validate_series with aggregate turns daily or weekly data into months.",
        "validate",
    ),
    "artifact_too_large": Words(
        "The artifact is larger than 100 MiB and was not kept.",
        "Read another artifact; forecast.json is always small.",
        "status",
    ),
    "validation_failed": Words(
        "The request breaks a rule of the service; no job was made and nothing was charged.",
        "Correct the named argument and call again.",
        "validate",
    ),
    "bad_request": Words(
        "The service could not read the request; no job was made.",
        "Retrying the same call is useless. Check the series with validate_series.",
        "validate",
    ),
    "rate_limited": Words(
        "Too many requests within a minute.",
        "Wait a minute, then make the same call once.",
        retry_after_s=60,
    ),
    "too_many_jobs": Words(
        "As many jobs are running as the account may have at once; no job was made.",
        "Wait for one of them to finish with get_status, then submit again.",
        retry_after_s=120,
        local_helps=True,
    ),
    "upstream_failed": Words(
        "A part of the service behind the API failed.",
        "Make the same call again in a while.",
        retry_after_s=30,
    ),
    "unavailable": Words(
        "The service is unavailable, or this feature is not enabled for the account.",
        "Try once more in a few minutes; if it stays, ask the user about the account.",
        retry_after_s=120,
        local_helps=True,
    ),
    "server_error": Words(
        "The service failed with an error of its own.",
        "Make the same call again in a while; if it stays, report the trace id to the service.",
        retry_after_s=30,
    ),
    "unreachable": Words(
        "The service could not be reached.",
        "Check the network and SYBILION_API_BASE_URL, then make the same call again.",
        retry_after_s=15,
        local_helps=True,
    ),
    "timed_out": Words(
        "The service did not answer in time.",
        "Make the same call again in a while.",
        retry_after_s=30,
    ),
    "unreadable_answer": Words(
        "The service answered with something that is not an answer of its API.",
        "Check SYBILION_API_BASE_URL: a proxy or another site may have answered. Then make the same call again.",
        retry_after_s=30,
    ),
    "internal_error": Words(
        "This server failed on something it did not expect; the details are in its log.",
        "Make the same call once more; if it fails again, report it with the log to the project.",
    ),
}

LOCAL_WORDS: dict[str, Words] = {
    "too_many_jobs": Words(
        "The embedded engine holds as many unfinished jobs as it takes; no job was made.",
        "Each takes seconds. Follow the running ones with get_status, then submit again.",
        retry_after_s=15,
    ),
    "unavailable": Words(
        "The embedded engine cannot serve this now.",
        "Make the same call again; if it stays, ask the user to restart the server and to check its data folder "
        "(SYBILION_MCP_HOME).",
        retry_after_s=15,
    ),
    "server_error": Words(
        "The embedded engine failed on something it did not expect.",
        "Make the same call again; if it stays, ask the user to check the data folder (SYBILION_MCP_HOME) and its free "
        "space, and report it to the project.",
        retry_after_s=15,
    ),
    "unreachable": Words(
        "The embedded engine, which runs inside this server, did not take the call.",
        "Make the same call again; if it stays, ask the user to restart the server.",
        retry_after_s=15,
    ),
    "timed_out": Words(
        "The embedded engine did not answer in time: this machine is busy.",
        "Make the same call again in a while; if it stays, ask the user to restart the server.",
        retry_after_s=15,
    ),
    "unreadable_answer": Words(
        "The embedded engine answered with something this server cannot read.",
        "Make the same call again; if it stays, report it to the project: engine and server do not fit together.",
        retry_after_s=15,
    ),
}
"""Where the words for a service over the network would send the user to its account, its address, or back here."""

KEY_HEADER = "the header X-Sybilion-Api-Key"
"""Where the token of a caller over HTTP comes from."""

HEADER_WORDS: dict[str, Words] = {
    "token_rejected": Words(
        f"The service does not accept the key of {KEY_HEADER}.",
        f"Retrying is useless. Ask the user to check {KEY_HEADER} that their client sends; a key begins with sk_ops_. "
        "Never ask for the key itself.",
        "local",
        local_helps=True,
    ),
    "token_missing": Words(
        "The Sybilion API needs a key, and none came with this request.",
        f"Ask the user to have their client send {KEY_HEADER} with their own key of the Sybilion API. "
        "Never ask for the key itself.",
        "local",
        local_helps=True,
    ),
}
"""Where the words for a token of this server's own would speak of its environment to somebody who has none here."""

CALL_WORDS: dict[str, Words] = {
    "insufficient_balance": Words(
        "The account's available credit does not cover the most that this call may cost; this try was not charged.",
        "Retrying now is useless. Ask for less with a smaller limit, wait until running jobs settle, or ask the user "
        "to top up; get_account shows the balance.",
        "local",
        local_helps=True,
    ),
    "body_too_large": Words(
        "The request is larger than the 2 MiB the service accepts; nothing was charged.",
        "Leave series_id out, so that only the words are sent, or name a shorter series.",
    ),
    "validation_failed": Words(
        "The request breaks a rule of the service; nothing was charged.",
        "Correct the named argument and call again.",
    ),
    "bad_request": Words(
        "The service could not read the request; nothing was charged.",
        "Retrying the same call is useless. Check title, dates, regions and categories.",
        "local",
    ),
}
"""Where the words for a forecast would speak of a job that these calls do not make."""

LOST_CALL = (
    "It may have been charged all the same. When you call again, change no argument: within a day the very same call "
    "goes on under the same request id, and is charged once."
)

LOST_ANSWER = (
    "Whether a job was made is unknown. Call submit_forecast again with the same arguments, without resubmit: it looks "
    "for the job first and never pays twice."
)

NOT_SENT = "Nothing was sent or charged: whose account the token belongs to must be known first."


BILLED_CALLS = ("drivers", "alerts")
"""Operations that answer at once and are charged by what they return."""


def words_of(code: str, backend: str, operation: str = "", credential: str = "") -> Words:
    """The words for a code of the closed list, as they fit the backend that failed, what it was to do, and its token.

    `credential`: where the token comes from.
    """
    if credential == KEY_HEADER and code in HEADER_WORDS:
        return HEADER_WORDS[code]
    words = CALL_WORDS.get(code, WORDS[code]) if operation in BILLED_CALLS else WORDS[code]
    if code == "token_rejected" and credential:
        words = replace(words, message=_REJECTED.format(credential))
    return LOCAL_WORDS.get(code, words) if backend == "local" else words


@dataclass(frozen=True, slots=True)
class JobWords:
    """What became of a job of the embedded engine, and what to do.

    `next`: submit the same, at once or when the server is restarted or the driver folder is repaired; ask for less; or
    check the series.
    `detail`: the engine's own sentence tells more than these words; it is shown as data.
    """

    message: str
    hint: str
    next: Literal["same", "restarted", "repaired", "less", "validate"]
    detail: bool = False


JOB_WORDS: dict[str, JobWords] = {
    "worker_lost": JobWords(
        "The process that computed the job was lost, perhaps for want of memory.",
        "Nothing is known to be wrong with the request: submit the same again. If that is lost too, ask for fewer "
        "driver series, or ask the user to restart the server.",
        "same",
    ),
    "no_worker": JobWords(
        "No process could be started to compute the job.",
        "Nothing is known to be wrong with the request. Ask the user to restart the server and to close other programs "
        "if memory is short; then submit the same again.",
        "restarted",
        detail=True,
    ),
    "engine_stopped": JobWords(
        "The engine ended before the job did, or could not store its outcome.",
        "Nothing is known to be wrong with the request: submit the same again. If that fails too, ask the user to "
        "check the data folder (SYBILION_MCP_HOME) and its free space.",
        "same",
    ),
    "time_budget_exceeded": JobWords(
        "The job ran for longer than one may and was stopped.",
        "The same again would be stopped too. Ask for less: fewer driver series (aux_series_ids, driver_limit; 0 for "
        "none), a shorter history, no optimization_budget.",
        "less",
    ),
    "drivers_unreadable": JobWords(
        "The user's driver folder could not be read.",
        "Ask the user to look with `sybilion-mcp drivers list` and to repair drivers.db in the data folder, or to move "
        "it away and add the series again; then submit the same again. Without drivers: driver_limit=0.",
        "repaired",
        detail=True,
    ),
    "pipeline_failed": JobWords(
        "The forecast could not be computed.",
        "The same request would fail the same way. Check the series with validate_series; if it is sound, this is a "
        "fault of the engine: report it to the project with the detail.",
        "validate",
        detail=True,
    ),
}
"""By the code of a failed job's `pipeline_error`, as the embedded engine gives it."""
