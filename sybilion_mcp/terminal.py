"""What the commands say to a person at a terminal, where no tool can be called."""

import sys

from sybilion_mcp import hints
from sybilion_mcp.backends.base import BackendError
from sybilion_mcp.hint_words import WORDS
from sybilion_mcp.hints import Refusal, Subject
from sybilion_mcp.outside import identifier, quoted
from sybilion_mcp.service.desk import Desk

_MEANT = 5  # ids that are named where several begin alike
_AGAIN = "Try again in a while."
_HINTS = {
    "token_missing": "Set SYBILION_API_TOKEN, or SYBILION_API_TOKEN_FILE to a file that holds nothing but the token.",
    "token_rejected": "Check it; a token begins with sk_ops_.",
    "job_not_found": "`sybilion-mcp jobs list` shows the jobs that are remembered here.",
    "artifact_not_found": "`sybilion-mcp jobs show JOB` tells what the job has.",
    "artifact_too_large": "The other artifacts of the job can be read.",
    "unreadable_artifact": "`sybilion-mcp jobs export JOB DIR` writes it as it was sent.",
    "not_ready": "Try again once the job has ended.",
    "job_failed": "`sybilion-mcp jobs show JOB` tells what is known of it.",
    "rate_limited": "Wait a minute, then try again.",
    "upstream_failed": _AGAIN,
    "unavailable": f"{_AGAIN} If it stays, ask the service about your account.",
    "server_error": _AGAIN,
    "timed_out": _AGAIN,
    "unreachable": "Check the network and SYBILION_API_BASE_URL, then try again.",
    "unreadable_answer": "Check SYBILION_API_BASE_URL: a proxy or another site may have answered.",
    "engine_missing": "pip install 'sybilion-mcp[engine]'",
    "internal_error": "If it happens again, report it to the project.",
}
"""In place of the words for a model, which name tools and speak of the user."""


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def complain(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def told(error: Refusal | BackendError) -> str:
    """What went wrong and what to do about it, in a line."""
    failure = hints.explain(error, Subject("read_artifact"))
    for_model = failure.code in WORDS or failure.code in _HINTS
    hint = _HINTS.get(failure.code, "") if for_model else failure.hint
    trace = f" (trace {failure.trace_id})" if failure.trace_id and failure.retryable else ""
    return f"{failure.message} {hint}".strip() + trace


async def meant(desk: Desk, text: str) -> str | None:
    """The only remembered job whose id is this, or begins so; None when there is none. Raises `Refusal` for several."""
    if await desk.store.job(text):
        return text
    found = await desk.store.job_ids(text, _MEANT + 1)
    if len(found) > 1:
        names = ", ".join(identifier(one) for one in found[:_MEANT]) + (", …" if len(found) > _MEANT else "")
        message = f"Several ids begin with {quoted(text)}: {names}."
        raise Refusal("invalid_argument", message, "Write more of the one meant.")
    return found[0] if found else None


def not_remembered(text: str) -> Refusal:
    message = f"No job that is remembered here has the id {quoted(text)}, or one that begins so."
    return Refusal("job_not_found", message)
