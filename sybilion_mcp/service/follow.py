"""Follow: what a job does, until it is finished or the caller's patience ends."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from math import ceil

import anyio

from sybilion_mcp.backends.base import AnswerError, Backend, BackendError, TransportError
from sybilion_mcp.contract.eomer_files import DOCUMENT
from sybilion_mcp.contract.jobs import JOB_STATUSES, Job, is_job_id
from sybilion_mcp.hints import Refusal
from sybilion_mcp.next_step import NextStep
from sybilion_mcp.service import whose
from sybilion_mcp.service.arguments import options_of
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.keeping import keep, keep_anew, kept_names, note_gone, write_down
from sybilion_mcp.service.looks import Look, Watcher
from sybilion_mcp.service.spend import Expectation, account_of, expected_for
from sybilion_mcp.store.records import StoredJob, Submission

MAX_WAIT_SECONDS = 45
"""What a caller may ask for. Some hosts give a call up after a minute."""
WAITING_SECONDS = 40.0
"""Of what was asked for: an answer comes before `MAX_WAIT_SECONDS`, whatever it has to look for or to keep."""
ANSWER_SECONDS = 43.0
"""For the first look, the waiting and the keeping together; the rest is for the store."""
KEEPING_SECONDS = 15
"""For the results of a job that has just finished; what does not come in time is fetched at the next look."""
LOOKING_AGAIN_SECONDS = 10.0
"""For a look that is made for the case that there is more to see by now."""
DELIVERING_SECONDS = 24 * 3600
"""For as long as Eomer says that it still delivers a completed job."""
_ON_ITS_WAY = frozenset({"pending", "queued", "running", "in_progress"})
LOCAL_PACE = (0.1, 1.0)
HOSTED_PACE = (2.0, 10.0)
_LONGEST_PAUSE = 60
"""Seconds until a caller is to look again, at most."""


@dataclass(frozen=True, slots=True)
class Running:
    """An unfinished job, and what such jobs usually take."""

    job: Job
    expected: Expectation


Progress = Callable[[Running, float], Awaitable[None]]
"""Called after every look at an unfinished job. The seconds since it was made grow from call to call."""


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

    @property
    def poll_after_s(self) -> int | None:
        """When to look again; None when nothing more will happen."""
        return None if self.job.finished else poll_after(self.expected, self.elapsed_s or 0.0)


async def follow(desk: Desk, job_id: str, wait_seconds: float, progress: Progress) -> Followed:
    """Look at the job, and again with growing pauses until it is finished or `wait_seconds` are over.

    All who wait for a job share its looks. Raises `BackendError` when the first look fails; a later one that fails
    ends the waiting with what is known.
    """
    began = anyio.current_time()
    until, end = began + min(wait_seconds, WAITING_SECONDS), began + ANSWER_SECONDS
    known = await _known(desk, job_id)
    job = known.job
    if job is not None and job.finished:
        job = (await _ended(desk, StoredJob(job, known.backend))).job
    else:
        backend = desk.backend(known.backend)
        pace = LOCAL_PACE if known.backend == "local" else HOSTED_PACE
        look = looking(desk, backend, job_id, remembered=job is not None)
        with desk.looks.watching((known.backend, job_id), look, pace) as watcher:
            job = await _first(watcher, known, end)
            with suppress(BackendError), desk.waits.until(until):
                while not job.finished:
                    waited = anyio.current_time() - began
                    elapsed_s = max(elapsed_seconds(job, desk.now()) or 0.0, waited)
                    await progress(Running(job, known.expected), elapsed_s)
                    job = await watcher.following()
    with anyio.CancelScope(deadline=min(end, max(until, anyio.current_time() + KEEPING_SECONDS))):
        await keep(desk, job, known.backend)
    return await _followed(desk, job, known)


@dataclass(frozen=True, slots=True)
class _Known:
    """What the desk knows of a job without asking its backend."""

    job: Job | None
    backend: str
    submission: Submission | None
    expected: Expectation
    seen_at: str | None = None

    @property
    def last_seen(self) -> str:
        if self.job is None or self.job.status not in JOB_STATUSES:
            return ""
        at = f" ({self.seen_at[:16].replace('T', ' ')} UTC)" if self.seen_at else ""
        return f"When last seen{at} the job was {self.job.status}."


async def _known(desk: Desk, job_id: str) -> _Known:
    """Read once for all who ask at the same time. Raises `Refusal` for what cannot be an id."""
    if not is_job_id(job_id):
        raise Refusal("job_not_found")

    async def read() -> _Known:
        stored = await desk.store.job(job_id) or await whose.found(desk, job_id)
        submission = await desk.store.submission_of(job_id)
        backend = stored.backend if stored else desk.settings.default_backend
        expected = await expected_of(desk, backend, submission)
        if stored is None:
            return _Known(None, backend, submission, expected)
        return _Known(stored.job, backend, submission, expected, stored.seen_at)

    return await desk.shared.once(("known", job_id), read)


async def _first(watcher: Watcher, known: _Known, end: float) -> Job:
    """The look that a caller came for. Raises `BackendError`, also when it has not come in the end."""
    try:
        with anyio.CancelScope(deadline=end):
            return await watcher.latest()
        error = TransportError("job", "timed_out", sent=True)
        error.backend = known.backend
        raise error
    except BackendError as error:
        error.last_seen = known.last_seen
        raise


def poll_after(expected: Expectation, elapsed_s: float) -> int:
    """Seconds until another look is worth it: many while the end is far, fewer when it is near, more when overdue."""
    low, high = expected.seconds
    near = max(high / 60, 1.0)
    seconds = 2 * near if elapsed_s > high else max((low - elapsed_s) / 2, near)
    return min(ceil(seconds), _LONGEST_PAUSE)


async def current(desk: Desk, job_id: str) -> StoredJob:
    """The job as it is known when it is finished, else as its backend describes it now.

    Raises `Refusal` for what cannot be an id, `BackendError` when the backend does not answer.
    """
    if not is_job_id(job_id):
        raise Refusal("job_not_found")
    stored = await desk.store.job(job_id) or await whose.found(desk, job_id)
    if stored is not None and stored.job.finished:
        return await _ended(desk, stored)
    backend = desk.backend(stored.backend if stored else None)
    look = looking(desk, backend, job_id, remembered=stored is not None)
    job = await desk.looks.now((backend.name, job_id), look)
    return StoredJob(job, backend.name)


async def _ended(desk: Desk, stored: StoredJob) -> StoredJob:
    """A finished job as it is known, after one more look where it is completed and there is nothing of it yet, or it
    is on its way elsewhere.

    What it made may be listed late; should that look fail, what is known stays.
    """
    job, delivering = stored.job, _delivering(stored.job, desk.now())
    if job.status != "completed" or (not delivering and (job.artifacts or await kept_names(desk, job))):
        return stored
    with suppress(BackendError, Refusal), anyio.move_on_after(LOOKING_AGAIN_SECONDS):
        backend = desk.backend(stored.backend)
        look = looking(desk, backend, job.job_id, remembered=True)
        found = await desk.looks.now((backend.name, job.job_id), look)
        if delivering and found.more != job.more:
            await keep_anew(desk, found, backend.name, DOCUMENT)
        return StoredJob(found, backend.name)
    return stored


def _delivering(job: Job, now: datetime) -> bool:
    """Whether Eomer still brings what a job made to where it was ordered to; a day later nothing more is expected."""
    since = job.ended or job.created
    status = job.more.delivery_status if job.more else None
    if since is None or (status or "").lower() not in _ON_ITS_WAY:
        return False
    return (now - since).total_seconds() < DELIVERING_SECONDS


def looking(desk: Desk, backend: Backend, job_id: str, *, remembered: bool) -> Look:
    """Looks at a job and writes down what is seen, as long as it is not forgotten between two of them."""

    async def look() -> Job:
        nonlocal remembered
        try:
            job = await backend.job(job_id)
        except AnswerError as error:
            if error.status == 404 and remembered:
                if await _of_another_token(desk, backend, job_id):
                    raise _another_token(desk, job_id) from error
                await note_gone(desk, job_id)
            raise
        remembered = await write_down(desk, job, backend.name, anew=not remembered) or remembered
        return job

    return look


async def _of_another_token(desk: Desk, backend: Backend, job_id: str) -> bool:
    """Whether a job was submitted from here with a token that is not known to be of the same account."""
    submission = await desk.store.submission_of(job_id) if backend.name == "sybilion" else None
    token = account_of(desk)
    return submission is not None and submission.account not in (token, *await desk.store.account_names(token))


def _another_token(desk: Desk, job_id: str) -> Refusal:
    where = "the header" if desk.over_http else desk.settings.token_variable
    return Refusal(
        "job_not_found",
        "This job was made with another token, and the service does not show it to the one configured now.",
        f"It is not lost, so do not submit it again. Ask the user for the token that it was made with, in {where}; "
        "results that were read before stay readable.",
        next=NextStep("get_status", {"job_id": job_id}, "once that is done"),
    )


def elapsed_seconds(job: Job, now: datetime) -> float | None:
    if job.finished and job.ended is None and job.more is not None:
        return job.more.elapsed_seconds
    if job.created is None:
        return None
    return max(((job.ended or now) - job.created).total_seconds(), 0.0)


async def _followed(desk: Desk, job: Job, known: _Known) -> Followed:
    names = await desk.shared.once(("kept", job.job_id), partial(kept_names, desk, job))
    again = asked_again(known.submission) if known.submission else {}
    elapsed_s = elapsed_seconds(job, desk.now())
    return Followed(job, known.backend, elapsed_s, tuple(sorted(names)), known.expected, again)


async def expected_of(desk: Desk, backend: str, submission: Submission | None) -> Expectation:
    """What a job costs and takes, by what is known of how it was submitted."""
    limit = options_of(submission.request).get("driver_limit") if submission else None
    return await expected_for(desk, backend, limit if isinstance(limit, int) else None)


def asked_again(submission: Submission) -> dict[str, object]:
    """The arguments that ask the same of the same backend; title and keywords are remembered with the series."""
    aux = {"aux_series_ids": list(submission.aux_series_ids)} if submission.aux_series_ids else {}
    return {
        "series_id": submission.series_id,
        **options_of(submission.request),
        **aux,
        "backend": submission.backend,
    }


def job_time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
