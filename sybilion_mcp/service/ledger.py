"""The ledger: what stands for a question, and what becomes of one whose answer was lost.

Rather nothing is decided than a wrong job taken for the answer, or a second one paid.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from math import isclose

import anyio

from sybilion_mcp.backends.base import AnswerError, Backend, BackendError
from sybilion_mcp.contract.artifacts import ArtifactError, read_input
from sybilion_mcp.contract.jobs import Job
from sybilion_mcp.hints import Refusal, outcome_unknown
from sybilion_mcp.next_step import NextStep
from sybilion_mcp.outside import identifier
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.follow import current
from sybilion_mcp.store.records import Submission, now

LOST_AFTER = timedelta(minutes=2)
"""A submit whose answer never came and whose job shows in no list after this time made no job."""
NEAR = timedelta(hours=1)
"""As long as an unknown job was made this close to a lost submit, it may be its job: clocks are that wrong at most."""
CLAIM = (timedelta(minutes=-2), timedelta(minutes=10))
"""When the job of a lost submit was made, seen from its sending; clocks differ by a minute or two."""
COMPARED = 20
"""Among more unknown jobs than that, none is read to tell whose it is."""
NAMED = 3


@dataclass(frozen=True, slots=True)
class Standing:
    """What there is for a question: its `answer`, or else the submission that a new one is to take the place of."""

    answer: Submission | None = None
    replaced: Submission | None = None


async def standing(desk: Desk, backend: Backend, request_hash: str, *, resubmit: bool) -> Standing:
    """What stands for this question. Failed and canceled jobs do not; an unfinished one does even for `resubmit`.

    Raises `Refusal` while nobody can tell.
    """
    earlier = await desk.store.current_submission(request_hash)
    if earlier is None:
        return Standing()
    if earlier.job_id is None:
        return await _of_lost(desk, backend, earlier, resubmit=resubmit)
    stored = await desk.store.job(earlier.job_id)
    if earlier.state == "adopted" and stored and await _made_by(desk, backend, stored.job, earlier) is False:
        await desk.store.release_job(earlier.submission_id)
        return await standing(desk, backend, request_hash, resubmit=resubmit)
    if stored is not None and stored.job.status in ("failed", "canceled"):
        await desk.store.retire_submission(earlier.submission_id)
        return Standing()
    if resubmit and await _over(desk, earlier.job_id):
        return Standing(replaced=earlier)
    return Standing(answer=earlier)


async def send(desk: Desk, backend: Backend, question: Submission) -> str:
    """Ask what is written down already; the id of its job. Raises `BackendError` when there is none, or none known."""
    try:
        accepted = await backend.submit(dict(question.request))
    except BackendError as error:
        if outcome_unknown(error):
            await desk.store.lose_submission(question.submission_id)
        else:
            await desk.store.reject_submission(question.submission_id)
        raise
    except BaseException:  # cancelled or crashed on the way: the request may have arrived
        with anyio.CancelScope(shield=True):
            await desk.store.lose_submission(question.submission_id)
        raise
    with anyio.CancelScope(shield=True):
        job = Job(job_id=accepted.job_id, status="queued", created_at=now())
        if not await desk.store.accept_submission(question.submission_id, job, backend.name):
            await desk.store.lose_submission(question.submission_id)  # the id of a job that answers something else
            raise being_sent()
    return accepted.job_id


def being_sent() -> Refusal:
    return Refusal(
        "submission_unknown",
        "This very question was sent before and its answer has not arrived; whether a job exists is being found out.",
        "Do not set resubmit. Call again with the same arguments in half a minute.",
        retry_after_s=30,
    )


async def _of_lost(desk: Desk, backend: Backend, lost: Submission, *, resubmit: bool) -> Standing:
    """Look for the job of a submit whose answer never came."""
    sent = datetime.fromisoformat(lost.created_at)
    early = datetime.now(UTC) - sent <= LOST_AFTER
    if early and lost.state == "sending":
        raise being_sent()
    recent = await backend.recent_jobs(sent - NEAR)
    candidates = await _candidates(desk, backend, recent or [], lost)
    taken = _likely(candidates, sent) if recent is not None else None
    if taken is not None and await desk.store.adopt_job(lost, taken):
        return Standing(answer=replace(lost, state="adopted", job_id=taken.job_id))
    if early:
        raise being_sent()
    if recent is not None and not candidates:  # certainly none: what it was to replace may stand again
        await desk.store.reject_submission(lost.submission_id)
        return await standing(desk, backend, lost.request_hash, resubmit=resubmit)
    if resubmit:
        return Standing(replaced=lost)
    raise _cannot_tell([job for job, _ in candidates])


async def _candidates(
    desk: Desk, backend: Backend, recent: Sequence[Job], lost: Submission
) -> list[tuple[Job, bool | None]]:
    """The jobs that the lost submission may have made, each with what its content says about that."""
    sent = datetime.fromisoformat(lost.created_at)
    known = await desk.store.submitted_job_ids()
    unknown = [job for job in recent if job.job_id not in known]
    near = [job for job in unknown if job.created is None or abs(job.created - sent) <= NEAR]
    few = len(near) <= COMPARED
    judged = [(job, await _made_by(desk, backend, job, lost) if few else None) for job in near]
    return [(job, verdict) for job, verdict in judged if verdict is not False]


def _likely(candidates: Sequence[tuple[Job, bool | None]], sent: datetime) -> Job | None:
    """The one job whose content is ours, or the only candidate there is while it has no content yet."""
    ours = [job for job, verdict in candidates if verdict] or [job for job, _ in candidates]
    if len(ours) != 1 or ours[0].created is None or not CLAIM[0] <= ours[0].created - sent <= CLAIM[1]:
        return None
    confirmed = (ours[0], True) in candidates
    return ours[0] if confirmed or ours[0].status != "completed" else None


async def _made_by(desk: Desk, backend: Backend, job: Job, lost: Submission) -> bool | None:
    """Whether a job was made for these numbers. None: nobody can tell, or not before it is completed."""
    if job.status != "completed":
        return None
    try:
        kept = await desk.store.artifact(job.job_id, "input.json")
        content = await backend.artifact(job.job_id, "input.json") if kept is None else kept
        theirs = read_input(json.loads(content))
    except (BackendError, ArtifactError, ValueError, RecursionError):
        return None
    ours = read_input(lost.request)
    common = ours.keys() & theirs.keys()
    if not common or any(not isclose(ours[month], theirs[month], rel_tol=1e-6, abs_tol=1e-12) for month in common):
        return False
    return True if ours.keys() == theirs.keys() else None


async def _over(desk: Desk, job_id: str) -> bool:
    """Whether nothing more will come of a job; the backend is asked when it was unfinished at the last look."""
    try:
        return (await current(desk, job_id)).job.finished
    except AnswerError as error:
        if error.status == 404:  # the service does not keep it any longer
            return True
        raise


def _cannot_tell(candidates: Sequence[Job]) -> Refusal:
    names = [identifier(job.job_id) for job in candidates[:NAMED]]
    if not names:
        return Refusal(
            "submission_unknown",
            "This very question was sent before, its answer was lost, and the account has too many jobs to find it.",
            "Look for its job on the dashboard. If there is none and the user agrees to pay, call again with "
            "resubmit=true.",
        )
    more = f" and {len(candidates) - NAMED} more" if len(candidates) > NAMED else ""
    return Refusal(
        "submission_unknown",
        f"This very question was sent before and its answer was lost; its job may be {', '.join(names)}{more}.",
        "Follow them with get_status. If none is it and the user agrees to pay again, call again with resubmit=true.",
        next=NextStep("get_status", {"job_id": names[0]}),
    )
