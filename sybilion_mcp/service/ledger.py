"""The ledger: what stands for a question, and what becomes of one whose answer was lost.

Rather nothing is decided than a wrong job taken for the answer, or a second one paid.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import isclose

import anyio

from sybilion_mcp.backends.base import AnswerError, Backend, BackendError, TooLargeError
from sybilion_mcp.contract.artifacts import ArtifactError, read_input
from sybilion_mcp.contract.jobs import FINAL_STATUSES, Job
from sybilion_mcp.hints import Refusal, outcome_unknown
from sybilion_mcp.next_step import NextStep
from sybilion_mcp.outside import identifier
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.follow import current
from sybilion_mcp.store.records import Submission, timestamp

LOST_AFTER = timedelta(minutes=2)
"""A submit whose answer never came and whose job shows in no list after this time made no job."""
SENT_WITHIN = timedelta(seconds=30)
"""What is written down leaves this soon or not at all: then it has arrived, or is given up, before `LOST_AFTER`."""
NEAR = timedelta(hours=26)
"""A job made this close to a lost submit may be its job: clocks set to another time zone are that wrong."""
COMPARED = 20
"""Of more jobs than that, only those made closest to the submit are read to tell whose they are."""
NAMED = 3
DEFAULTS: Mapping[str, object] = {
    "soft_horizon": None,
    "hard_horizon": None,
    "backtest": False,
    "strictly_positive": False,
    "recency_factor": None,
    "aux_timeseries": None,
    "filters.limit": None,
    "filters.regions": None,
    "filters.categories": None,
    "timeseries_metadata.title": None,
    "timeseries_metadata.description": None,
    "timeseries_metadata.keywords": None,
}
"""What a request may say beside its numbers, and what silence means."""
DECISIVE = frozenset({"soft_horizon", "hard_horizon", "backtest", "strictly_positive", "recency_factor"})
"""What a service repeats as it was sent: where one of these is said on both sides and differs, another was asked."""


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
    if stored is not None and stored.job.status in ("failed", "canceled"):
        await desk.store.retire_submission(earlier.submission_id)
        return Standing()
    if resubmit and await _over(desk, earlier.job_id):
        return Standing(replaced=earlier)
    return Standing(answer=earlier)


async def send(desk: Desk, backend: Backend, question: Submission) -> str:
    """Ask what is written down already; the id of its job. Raises `BackendError` when there is none, or none known."""
    if desk.now() - datetime.fromisoformat(question.created_at) > SENT_WITHIN:
        # This process slept meanwhile, and another one may take the question for lost at any moment.
        await desk.store.reject_submission(question.submission_id)
        raise being_sent()
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
        job = Job(job_id=accepted.job_id, status="queued", created_at=timestamp(desk.now()))
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
    """Look for the job of a submit whose answer never came. Only its content proves that it is the one."""
    sent = datetime.fromisoformat(lost.created_at)
    recent = await backend.recent_jobs(sent - NEAR)
    found = await _compared(desk, backend, recent or [], lost)
    # A list says less of a job than the job itself: not settled to us, it is looked at before it is read.
    ours = [job.model_copy(update={"settled": False}) for job, verdict in found if verdict]
    if ours and await desk.store.accept_submission(lost.submission_id, ours[0], backend.name):
        return Standing(answer=replace(lost, state="accepted", job_id=ours[0].job_id))
    candidates = [job for job, _ in found if job.status not in ("failed", "canceled")]
    unfinished = [job for job in candidates if not await _has_all(backend, job)]
    if unfinished:
        raise _being_reconciled(unfinished)
    if desk.now() - sent <= LOST_AFTER:
        raise being_sent()
    if recent is not None and not candidates:  # none, or none that answers: what it was to replace may stand again
        await desk.store.reject_submission(lost.submission_id)
        return await standing(desk, backend, lost.request_hash, resubmit=resubmit)
    if resubmit:
        return Standing(replaced=lost)
    raise _cannot_tell(candidates)


async def _compared(
    desk: Desk, backend: Backend, recent: Sequence[Job], lost: Submission
) -> list[tuple[Job, bool | None]]:
    """The jobs that the lost submission may have made, nearest first, with what their contents say about that."""
    sent = datetime.fromisoformat(lost.created_at)
    known = await desk.store.submitted_job_ids()
    apart = {job.job_id: abs(job.created - sent) if job.created else NEAR for job in recent}
    unknown = [job for job in recent if job.job_id not in known and apart[job.job_id] <= NEAR]
    found: list[tuple[Job, bool | None]] = []
    for place, job in enumerate(sorted(unknown, key=lambda job: apart[job.job_id])):
        verdict = await _made_by(backend, job, lost) if place < COMPARED else None
        if verdict is not False:
            found.append((job, verdict))
        if verdict:
            break
    return found


async def _made_by(backend: Backend, job: Job, lost: Submission) -> bool | None:
    """Whether a job was made for this request. None: nobody can tell, or not before it is completed."""
    if job.status != "completed":
        return None
    try:
        return _same(lost.request, json.loads(await backend.artifact(job.job_id, "input.json")))
    except AnswerError as error:
        if error.status >= 500 or error.status in (401, 403, 429):  # the next call may learn more
            raise
        return None
    except (TooLargeError, ArtifactError, ValueError, RecursionError):
        return None


def _same(asked: Mapping[str, object], made: Mapping[str, object]) -> bool | None:
    """Whether a job's input is what was asked. None: its numbers are, and not everything else. Raises `ArtifactError`.

    A service may write an option in a way of its own, so that no other difference proves another question.
    """
    ours, theirs = read_input(asked), read_input(made)
    common = ours.keys() & theirs.keys()
    if not common or any(not isclose(ours[month], theirs[month], rel_tol=1e-6, abs_tol=1e-12) for month in common):
        return False
    data = made.get("data")
    here, there = _said(asked), _said(data if "timeseries" not in made and isinstance(data, dict) else made)
    differing = {name for name, silence in DEFAULTS.items() if here.get(name, silence) != there.get(name, silence)}
    if here.get("filters.limit") is None and there.get("filters.limit") != 0:
        differing.discard("filters.limit")  # a service writes down its own where none was asked for
    limits = (here.get("filters.limit"), there.get("filters.limit"))
    if "filters.limit" in differing and 0 in limits and limits[1] is not None:
        return False  # with drivers, and without
    if any(name in here and name in there for name in differing & DECISIVE):
        return False
    return None if differing or ours.keys() != theirs.keys() else True


def _said(body: Mapping[str, object]) -> dict[str, object]:
    """What a request says beside the numbers, by its path; null and what is empty say nothing, false and 0 do."""
    said: dict[str, object] = {}
    for name, value in body.items():
        if name != "timeseries":
            said |= {f"{name}.{key}": one for key, one in value.items()} if isinstance(value, dict) else {name: value}
    return {name: one for name, one in said.items() if one is not None and one != "" and one != [] and one != {}}


async def _has_all(backend: Backend, job: Job) -> bool:
    """Whether a job can be read, or never will be: artifacts come with settlement, of which a list need not tell."""
    if job.status == "completed" and not job.settled:
        try:
            return (await backend.job(job.job_id)).finished
        except AnswerError as error:
            if error.status == 404:
                return True
            raise
    return job.status in FINAL_STATUSES


async def _over(desk: Desk, job_id: str) -> bool:
    """Whether nothing more will come of a job; the backend is asked when it was unfinished at the last look."""
    try:
        return (await current(desk, job_id)).job.finished
    except AnswerError as error:
        if error.status == 404:  # the service does not keep it any longer
            return True
        raise


def _being_reconciled(unfinished: Sequence[Job]) -> Refusal:
    return Refusal(
        "submission_unknown",
        f"This very question was sent before and its answer was lost; it is being reconciled. "
        f"{_named(unfinished)} may be its job: that shows once it is completed.",
        "Do not set resubmit. Call again with the same arguments in two minutes: it looks again and never pays twice. "
        "get_status tells how far a job is.",
        retry_after_s=120,
    )


def _named(jobs: Sequence[Job]) -> str:
    names = ", ".join(identifier(job.job_id) for job in jobs[:NAMED])
    return f"{names} and {len(jobs) - NAMED} more" if len(jobs) > NAMED else names


def _cannot_tell(candidates: Sequence[Job]) -> Refusal:
    if not candidates:
        return Refusal(
            "submission_unknown",
            "This very question was sent before, its answer was lost, and the account has too many jobs to find it.",
            "Look for its job on the dashboard. If there is none and the user agrees to pay, call again with "
            "resubmit=true.",
        )
    return Refusal(
        "submission_unknown",
        f"This very question was sent before and its answer was lost; its job may be {_named(candidates)}.",
        "Follow them with get_status. If none is it and the user agrees to pay again, call again with resubmit=true.",
        next=NextStep("get_status", {"job_id": identifier(candidates[0].job_id)}),
    )
