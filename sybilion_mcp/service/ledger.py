"""The ledger: what stands for a question, and what becomes of one whose answer was lost.

Rather nothing is decided than a wrong job taken for the answer, or a second one paid.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from sybilion_mcp.backends.base import AnswerError, Backend
from sybilion_mcp.contract.jobs import FINAL_STATUSES, Job
from sybilion_mcp.eomer_words import EOMER_LOST
from sybilion_mcp.hints import Refusal
from sybilion_mcp.next_step import NextStep
from sybilion_mcp.outside import identifier
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.follow import current
from sybilion_mcp.service.naming import first_of
from sybilion_mcp.service.proof import INPUT, MAX_INPUT_BYTES, made_by, repeats
from sybilion_mcp.service.sending import ASKED, BEING_ASKED, arrived, being_sent, on_its_way
from sybilion_mcp.service.spend import ON_LOCAL
from sybilion_mcp.service.standing import Standing, described_otherwise, known_of
from sybilion_mcp.store.records import Submission, timestamp

LOST_AFTER = timedelta(minutes=2)
"""A submit whose job shows in no list, and in none this much later either, made no job."""
NEAR = timedelta(hours=26)
"""A job made this close to a lost submit may be its job: clocks set to another time zone are that wrong."""
AHEAD = timedelta(minutes=5)
"""What was sent later than this from now was sent by a wrong clock."""
COMPARED = 20
"""Of more jobs than that, only those made closest to the submit are read to tell whose they are."""
_NAMED = 3
_OTHERWISE = "The same numbers and options were sent before under another title, description or keywords"
_OTHERWISE_NOW = "The same numbers and options are being sent under another title, description or keywords"


async def reconcile(desk: Desk, backend: Backend, questions: Sequence[Submission], *, resubmit: bool) -> Standing:
    """What stands for a question, given under each name of its account; what is unclear is looked into, and noted.

    Failed and canceled jobs do not stand. Raises `Refusal` while nobody can tell.
    """
    replaced = None
    for question in questions:
        found = await _reconciled(desk, backend, question.request_hash, resubmit=resubmit)
        if found.answer is not None:
            return found
        replaced = replaced or found.replaced
    for lost in await described_otherwise(desk, questions):
        try:
            if on_its_way(desk, lost):
                now = await arrived(desk, lost.request_hash)
                if now is None or now.job_id is not None:  # nothing was lost: it is a question of its own
                    continue
            found = await _reconciled(desk, backend, lost.request_hash, resubmit=resubmit)
        except Refusal as refusal:
            refusal.message = refusal.message.replace(ASKED, _OTHERWISE).replace(BEING_ASKED, _OTHERWISE_NOW)
            raise
        if found.answer is not None:
            raise _found_otherwise(str(found.answer.job_id))
    return Standing(replaced=replaced)


async def _reconciled(desk: Desk, backend: Backend, request_hash: str, *, resubmit: bool) -> Standing:
    known = await known_of(desk, request_hash, resubmit=resubmit)
    for one in known.fallen:
        await desk.store.retire_submission(one.submission_id)
    if known.submission is None:
        return Standing()
    match known.verdict:
        case "lost":
            return await _of_lost(desk, backend, known.submission, resubmit=resubmit)
        case "guessed":
            return await _of_guessed(desk, backend, known.submission, resubmit=resubmit)
        case "unseen":
            return await _of_unseen(desk, backend, known.submission)
        case "gone":
            return await _of_gone(desk, known.submission)
        case "replaced":
            return Standing(replaced=known.submission)
        case _:
            return Standing(answer=known.submission)


async def _of_unseen(desk: Desk, backend: Backend, unseen: Submission) -> Standing:
    """To a resubmit a job answers too until somebody has seen its end: it may be the same wish once more."""
    try:
        job = (await current(desk, str(unseen.job_id))).job
    except AnswerError as error:
        if error.status == 404:  # the service does not keep it any longer
            return Standing(replaced=unseen)
        raise
    if job.status not in ("failed", "canceled"):
        return Standing(answer=unseen)
    await desk.store.retire_submission(unseen.submission_id)
    return await _reconciled(desk, backend, unseen.request_hash, resubmit=True)


async def _of_gone(desk: Desk, gone: Submission) -> Standing:
    """Its job was unknown to the service when it was last looked at; it is looked at once more, under this token."""
    job_id = str(gone.job_id)
    try:
        await current(desk, job_id)
    except AnswerError as error:
        if error.status != 404:
            raise
        if gone.backend == "local":
            return Standing(replaced=gone)
        raise _forgotten_by_the_service(job_id, gone.backend) from error
    return Standing(answer=gone)


async def _of_lost(desk: Desk, backend: Backend, lost: Submission, *, resubmit: bool) -> Standing:
    """Look for the job of a submit whose answer never came. Only its content proves that it is the one."""
    if on_its_way(desk, lost):
        await arrived(desk, lost.request_hash)
        return await _reconciled(desk, backend, lost.request_hash, resubmit=resubmit)
    recent = await backend.recent_jobs(_sent_at(desk, lost) - NEAR)
    found = await _compared(desk, backend, recent or [], lost)
    # A list says less of a job than the job itself: not settled to us, it is looked at before it is read.
    ours = [job.model_copy(update={"settled": False}) for job, verdict in found if verdict]
    if ours and await desk.store.accept_submission(lost.submission_id, ours[0], backend.name):
        return Standing(answer=replace(lost, state="accepted", job_id=ours[0].job_id))
    candidates = [job for job, _ in found if job.status not in ("failed", "canceled")]
    unfinished = [job for job in candidates if not await _has_all(backend, job)]
    if unfinished:
        raise _being_reconciled(unfinished)
    if not await _missed_for_long(desk, backend, lost):
        raise being_sent()
    if recent is not None and not candidates:  # none, or none that answers: what it was to replace may stand again
        paid = any(not (job.settled and job.eur_cents_final == 0) for job, _ in found)
        await desk.store.reject_submission(lost.submission_id, paid=paid)
        return await _reconciled(desk, backend, lost.request_hash, resubmit=resubmit)
    if resubmit:
        return Standing(replaced=lost)
    raise _cannot_tell(candidates) if backend.name != "eomer" else _nobody_can_tell()


async def _missed_for_long(desk: Desk, backend: Backend, lost: Submission) -> bool:
    """Whether an earlier look, long enough ago, found no answer either.

    Both looks by the service's clock, where it shows one: that of this computer may have jumped in between.
    """
    now = desk.now() + backend.ahead
    first = await desk.store.miss_submission(lost.submission_id, timestamp(now))
    return datetime.fromisoformat(timestamp(now)) - datetime.fromisoformat(first) >= LOST_AFTER


def _sent_at(desk: Desk, lost: Submission) -> datetime:
    """When it left; where our clock was ahead by then, nobody knows, and the first look counts instead."""
    now, sent = desk.now(), datetime.fromisoformat(lost.created_at)
    if sent <= now + AHEAD:
        return sent
    return min(now, datetime.fromisoformat(lost.missed_at)) if lost.missed_at else now


async def _compared(
    desk: Desk, backend: Backend, recent: Sequence[Job], lost: Submission
) -> list[tuple[Job, bool | None]]:
    """The jobs that the lost submission may have made, nearest first, with what their contents say about that."""
    known = await desk.store.submitted_job_ids()
    accounts = await desk.store.account_names(lost.account) or [lost.account]
    others = [one for one in await desk.store.open_submissions(backend.name, accounts) if one.request != lost.request]
    apart = {job.job_id: _apart(desk, backend, job, lost) for job in recent}
    unknown = [job for job in recent if job.job_id not in known and apart[job.job_id] <= NEAR]
    found: list[tuple[Job, bool | None]] = []
    for place, job in enumerate(sorted(unknown, key=lambda job: apart[job.job_id])):
        rivals = [one.request for one in others if _apart(desk, backend, job, one) <= NEAR]
        verdict = await made_by(backend, job, lost.request, rivals) if place < COMPARED else None
        if verdict is not False:
            found.append((job, verdict))
        if verdict:
            break
    return found


def _apart(desk: Desk, backend: Backend, job: Job, lost: Submission) -> timedelta:
    """Between a submit and the making of a job. Clocks of our own may have been wrong by then, and still be."""
    sent = _sent_at(desk, lost)
    return min(abs(job.created - sent), abs(job.created - sent - backend.ahead)) if job.created else NEAR


async def _of_guessed(desk: Desk, backend: Backend, guessed: Submission, *, resubmit: bool) -> Standing:
    """A former version took a job for the answer because it was the only one near: now what it was asked decides."""
    job = Job(job_id=str(guessed.job_id), status="completed")
    kept = (await desk.store.artifacts_named(INPUT, [job.job_id], MAX_INPUT_BYTES)).get(job.job_id)
    verdict = repeats(kept, guessed.request) if kept is not None else await made_by(backend, job, guessed.request)
    if verdict is None:
        if resubmit:
            return Standing(replaced=guessed)
        raise _cannot_tell([job])
    if verdict:
        await desk.store.accept_submission(guessed.submission_id, job, backend.name)
    else:
        await desk.store.doubt_submission(guessed.submission_id)
    return await _reconciled(desk, backend, guessed.request_hash, resubmit=resubmit)


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


def _being_reconciled(unfinished: Sequence[Job]) -> Refusal:
    return Refusal(
        "submission_unknown",
        f"{ASKED} and its answer was lost; it is being reconciled. "
        f"{_told(unfinished)} may be its job: that shows once it is completed.",
        "Do not set resubmit. Call again with the same arguments in two minutes: it looks again and never pays twice. "
        "get_status tells how far a job is.",
        retry_after_s=120,
    )


def _told(jobs: Sequence[Job]) -> str:
    return first_of([identifier(job.job_id) for job in jobs], _NAMED)


def _cannot_tell(candidates: Sequence[Job]) -> Refusal:
    if not candidates:
        return Refusal(
            "submission_unknown",
            f"{ASKED}, its answer was lost, and the account has too many jobs to find it.",
            "Look for its job on the dashboard. If there is none and the user agrees to pay, call again with "
            "resubmit=true.",
        )
    return Refusal(
        "submission_unknown",
        f"{ASKED} and its answer was lost; its job may be {_told(candidates)}.",
        "Follow them with get_status. If none is it and the user agrees to pay again, call again with resubmit=true.",
        next=NextStep("get_status", {"job_id": identifier(candidates[0].job_id)}),
    )


def _nobody_can_tell() -> Refusal:
    return Refusal("submission_unknown", f"{ASKED} and its answer was lost.", EOMER_LOST)


def _forgotten_by_the_service(job_id: str, backend: str) -> Refusal:
    message = (
        f"This very question was sent before, and the service no longer knows its job {identifier(job_id)}; nothing of "
        "it is kept here. Nothing was sent."
    )
    again = "If the user agrees to pay anew, call again with resubmit=true"
    if backend == "eomer":
        return Refusal("job_not_found", message, f"Only Eomer knows whether it was charged. {again}.")
    hint = f'Whether it was charged is on the dashboard. {again}; backend="local" is free.'
    return Refusal("job_not_found", message, hint, changes=ON_LOCAL)


def _found_otherwise(job_id: str) -> Refusal:
    return Refusal(
        "submission_unknown",
        f"{_OTHERWISE}; that answer was lost and is found now: job {identifier(job_id)}. Nothing was sent.",
        "Do not set resubmit. Use that job; only if the user wants to pay for one with the new description as well, "
        "call again with the same arguments.",
        next=NextStep("get_status", {"job_id": identifier(job_id)}),
    )
