"""Crowded: a backend that takes no more jobs just now, and which of them are in the way."""

from contextlib import suppress
from datetime import datetime, timedelta
from math import ceil

import anyio

from sybilion_mcp.backends.base import BackendError
from sybilion_mcp.contract.jobs import Job
from sybilion_mcp.eomer_words import EOMER_WORDS
from sybilion_mcp.hint_words import ON_LOCAL, words_of
from sybilion_mcp.hints import Refusal, code_of
from sybilion_mcp.next_step import NextStep
from sybilion_mcp.outside import identifier
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.follow import MAX_WAIT_SECONDS, elapsed_seconds, expected_of, job_time
from sybilion_mcp.service.naming import first_of
from sybilion_mcp.service.spend import Expectation

NAMED = 5
"""Unfinished jobs that are told by name."""
LISTING_SECONDS = 10.0
"""For finding them; a failure without names comes sooner than one with them."""
_UNFINISHED_SINCE = timedelta(days=2)
_SOONEST = 15
"""Seconds until a caller may submit again where too many jobs run, at least."""


def is_too_many_jobs(error: BackendError) -> bool:
    return code_of(error) == "too_many_jobs"


async def too_many_jobs(desk: Desk, backend: str, trace_id: str | None = None) -> Refusal:
    """What to say when a backend takes no more jobs: those that run, the oldest first, and when to come back."""
    words = EOMER_WORDS["too_many_jobs"] if backend == "eomer" else words_of("too_many_jobs", backend)
    hint = f"{words.hint} {ON_LOCAL}" if words.local_helps else words.hint
    unfinished = await _unfinished(desk, backend)
    if not unfinished:  # they ended meanwhile, or cannot be told
        return Refusal("too_many_jobs", words.message, hint, retry_after_s=words.retry_after_s, trace_id=trace_id)
    told = first_of([_named(job, backend, desk.now()) for job in unfinished], NAMED)
    oldest = unfinished[0]
    expected = await expected_of(desk, backend, await desk.store.submission_of(oldest.job_id))
    seconds = _until_done(expected, elapsed_seconds(oldest, desk.now()) or 0.0)
    wait = {"job_id": identifier(oldest.job_id), "wait_seconds": min(seconds, MAX_WAIT_SECONDS)}
    return Refusal(
        "too_many_jobs",
        words.message,
        f"{hint} Unfinished, the oldest first: {told}.",
        next=NextStep("get_status", wait, f"until it is finished, usually {_soon(seconds)}; only then submit again"),
        retry_after_s=seconds,
        trace_id=trace_id,
    )


async def _unfinished(desk: Desk, backend: str) -> list[Job]:
    """The account's jobs that still run, the oldest first; none when they cannot be told."""
    with suppress(BackendError), anyio.move_on_after(LISTING_SECONDS):
        since = desk.now() - _UNFINISHED_SINCE
        recent = await desk.backend(backend).recent_jobs(since) or []
        return sorted((job for job in recent if not job.finished), key=lambda job: job.created or since)
    return []


def _named(job: Job, backend: str, now: datetime) -> str:
    """Its id, and how long it runs where that matters: on the embedded engine each takes seconds."""
    seconds = elapsed_seconds(job, now)
    age = "" if seconds is None or backend == "local" else f" ({job_time(seconds)})"
    return f"{identifier(job.job_id)}{age}"


def _until_done(expected: Expectation, elapsed_s: float) -> int:
    """Seconds until a job is probably done, from the middle of the usual range."""
    low, high = expected.seconds
    return max(int((low + high) / 2 - elapsed_s), ceil(high / 30), _SOONEST)


def _soon(seconds: int) -> str:
    return f"in {job_time(seconds)}"
