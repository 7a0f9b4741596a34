"""Follow: what a job does, until it is finished or the caller's patience ends."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import anyio

from sybilion_mcp.backends.base import AnswerError, Backend, BackendError, TooLargeError
from sybilion_mcp.contract.jobs import Job, is_job_id
from sybilion_mcp.hint_words import words_of
from sybilion_mcp.hints import Refusal
from sybilion_mcp.next_step import NextStep
from sybilion_mcp.outside import identifier
from sybilion_mcp.service.arguments import options_of
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.spend import Expectation, expectation
from sybilion_mcp.store.records import StoredJob, Submission

MAX_WAIT_SECONDS = 45
KEEPING_SECONDS = 15
"""For the results of a job that has just finished; what does not come in time is fetched at the next look."""
MAX_ARTIFACTS = 20
"""Kept of one job; the API knows six."""
NAMED = 5
"""Unfinished jobs that are told by name."""
_UNFINISHED_SINCE = timedelta(days=7)
_PACE = {"local": (0.1, 1.0)}
HOSTED_PACE = (2.0, 10.0)

Progress = Callable[[Job, float], Awaitable[None]]
"""Called with the job and the seconds since it was made, after every look at an unfinished job."""


@dataclass(frozen=True, slots=True)
class Followed:
    """`elapsed_s`: seconds from submission to settlement, or to now; `artifacts` are names.

    `again` are the arguments of a submit_forecast that asks the same; empty for jobs that another desk submitted.
    """

    job: Job
    backend: str
    elapsed_s: float | None
    artifacts: tuple[str, ...]
    expected: Expectation
    again: Mapping[str, object]


async def follow(desk: Desk, job_id: str, wait_seconds: float, progress: Progress) -> Followed:
    """Look at the job, and again with growing pauses until it is finished or `wait_seconds` are over.

    Raises `BackendError` when the first look fails; a later one that fails ends the waiting with what is known.
    """
    deadline = anyio.current_time() + wait_seconds
    known = await current(desk, job_id)
    job = known.job
    pause, longest = _PACE.get(known.backend, HOSTED_PACE)
    with suppress(BackendError), anyio.CancelScope(deadline=deadline):
        while not job.finished:
            await progress(job, elapsed_seconds(job) or 0.0)
            await anyio.sleep(pause)
            pause = min(pause * 1.5, longest)
            job = await look(desk, desk.backend(known.backend), job_id)
    with anyio.CancelScope(deadline=max(deadline, anyio.current_time() + KEEPING_SECONDS)):
        await keep(desk, job, known.backend)
    return await _followed(desk, job, known.backend)


async def current(desk: Desk, job_id: str) -> StoredJob:
    """The job as it is known when it is finished, else as its backend describes it now.

    Raises `Refusal` for what cannot be an id, `BackendError` when the backend does not answer.
    """
    if not is_job_id(job_id):
        raise Refusal("job_not_found")
    stored = await desk.store.job(job_id)
    if stored is not None and stored.job.finished:
        return stored
    backend = desk.backend(stored.backend if stored else None)
    return StoredJob(await look(desk, backend, job_id), backend.name)


async def look(desk: Desk, backend: Backend, job_id: str) -> Job:
    job = await backend.job(job_id)
    await desk.store.put_job(job, backend.name)
    return job


async def keep(desk: Desk, job: Job, backend: str) -> None:
    """Download what a finished job offers and is not kept yet. What is kept needs no backend any more.

    What cannot be had now is left out: the next look tries again, and reading it by name says why.
    """
    if not job.finished or not job.artifacts:
        return
    kept = set(await desk.store.artifact_names(job.job_id))
    for name in [one.name for one in job.artifacts[:MAX_ARTIFACTS] if one.name not in kept]:
        try:
            content = await desk.backend(backend).artifact(job.job_id, name)
        except (BackendError, Refusal) as error:
            if _only_this_one(error):
                continue
            return
        await desk.store.put_artifact(job.job_id, name, content)


def _only_this_one(error: BackendError | Refusal) -> bool:
    """Whether the other artifacts may still be had: this one is too large, or listed and gone since."""
    return isinstance(error, TooLargeError) or (isinstance(error, AnswerError) and error.status in (404, 413))


def elapsed_seconds(job: Job) -> float | None:
    if job.created is None:
        return None
    return max(((job.ended or datetime.now(UTC)) - job.created).total_seconds(), 0.0)


async def _followed(desk: Desk, job: Job, backend: str) -> Followed:
    names = set(await desk.store.artifact_names(job.job_id)) | {one.name for one in job.artifacts[:MAX_ARTIFACTS]}
    submission = await desk.store.submission_of(job.job_id)
    limit = options_of(submission.request).get("driver_limit") if submission else None
    expected = expectation(backend, limit if isinstance(limit, int) else None)
    again = asked_again(submission) if submission else {}
    return Followed(job, backend, elapsed_seconds(job), tuple(sorted(names)), expected, again)


def asked_again(submission: Submission) -> dict[str, object]:
    """The arguments that ask the same of the same backend; title and keywords are remembered with the series."""
    aux = {"aux_series_ids": list(submission.aux_series_ids)} if submission.aux_series_ids else {}
    return {
        "series_id": submission.series_id,
        **options_of(submission.request),
        **aux,
        "backend": submission.backend,
    }


async def engine_full(desk: Desk) -> Refusal:
    """What to say when the embedded engine takes no more jobs, with those it has. Raises `BackendError`."""
    words = words_of("too_many_jobs", "local")
    recent = await desk.backend("local").recent_jobs(datetime.now(UTC) - _UNFINISHED_SINCE) or []
    unfinished = sorted((job for job in recent if not job.finished), key=lambda job: job.created_at or "")
    names = [identifier(job.job_id) for job in unfinished]
    if not names:  # they ended meanwhile
        return Refusal("too_many_jobs", words.message, words.hint, retry_after_s=words.retry_after_s)
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return Refusal(
        "too_many_jobs",
        words.message,
        f"{words.hint} Unfinished, the oldest first: {', '.join(names[:NAMED])}{more}.",
        next=NextStep("get_status", {"job_id": names[0], "wait_seconds": words.retry_after_s}, "then submit again"),
        retry_after_s=words.retry_after_s,
    )
