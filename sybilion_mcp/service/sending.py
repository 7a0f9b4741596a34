"""Sending: what is written down is asked. From then on a job may exist that costs money: its id is never lost."""

from collections.abc import Awaitable
from contextlib import suppress
from datetime import datetime, timedelta

import anyio

from sybilion_mcp.backends.base import Backend, BackendError, TransportError, outcome_unknown
from sybilion_mcp.contract.jobs import Job
from sybilion_mcp.hints import Refusal
from sybilion_mcp.next_step import NextStep
from sybilion_mcp.outside import identifier
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.store.records import Submission, timestamp

SENT_WITHIN = timedelta(seconds=30)
"""What is written down leaves this soon or not at all, whatever the computer does meanwhile."""
WAITED_SECONDS = 3.0
"""For the answer to the same question that another call is sending."""
LOOK_SECONDS = 0.25
"""Between two looks at what that call has written down."""
ASKED = "This very question was sent before"
BEING_ASKED = "This very question is being sent by another call"
_LAST_SECONDS = 0.1
"""For a locked database, when something else has ended the call already."""


async def send(desk: Desk, backend: Backend, question: Submission, content: dict[str, object]) -> str:
    """Ask what is written down already, in the `content` that is sent for it; the id of its job.

    Raises `BackendError` when there is none, or none known, and `Refusal` when the job cannot be written down.
    """
    desk.sending.add(question.submission_id)
    try:
        job_id = await _sent(desk, backend, question, content)
        await _accept(desk, backend, question, job_id)
    finally:
        desk.sending.discard(question.submission_id)
        desk.sent.add(question.submission_id)
    return job_id


def on_its_way(desk: Desk, one: Submission) -> bool:
    """Whether a call is just sending it, here or in another process: then nothing is lost."""
    if one.job_id is not None or one.submission_id in desk.sent:
        return False
    age = desk.now() - datetime.fromisoformat(one.created_at)
    return one.submission_id in desk.sending or (one.state == "sending" and abs(age) <= SENT_WITHIN)


async def arrived(desk: Desk, request_hash: str) -> Submission | None:
    """What stands for a question once no call is sending it any more. Raises `Refusal` when that takes too long."""
    end = anyio.current_time() + WAITED_SECONDS
    while (one := await desk.store.current_submission(request_hash)) is not None and on_its_way(desk, one):
        if anyio.current_time() >= end:
            raise _on_its_way()
        await anyio.sleep(LOOK_SECONDS)  # it may be another process that sends, and tells nobody
    # Read anew: it may have arrived between being read and being asked about.
    return await desk.store.current_submission(request_hash)


async def _sent(desk: Desk, backend: Backend, question: Submission, content: dict[str, object]) -> str:
    def in_time() -> bool:
        return desk.now() - datetime.fromisoformat(question.created_at) <= SENT_WITHIN

    lost = question.submission_id
    try:
        return (await backend.submit(content, in_time, request_id=question.request_id)).job_id
    except BackendError as error:
        if outcome_unknown(error):
            await _if_possible(desk.store.lose_submission(lost, patience=_LAST_SECONDS))
            raise
        await _if_possible(desk.store.reject_submission(lost, patience=_LAST_SECONDS))
        if isinstance(error, TransportError) and not in_time():
            # This process slept meanwhile, and another one may have taken the question for lost at any moment.
            raise being_sent() from error
        raise
    except BaseException:  # cancelled or crashed on the way: the request may have arrived
        await _if_possible(desk.store.lose_submission(lost, patience=_LAST_SECONDS))
        raise


async def _accept(desk: Desk, backend: Backend, question: Submission, job_id: str) -> None:
    job = Job(job_id=job_id, status="queued", created_at=timestamp(desk.now()))
    submission_id = question.submission_id
    try:
        ours = await desk.store.accept_submission(submission_id, job, backend.name)
    except Refusal as refusal:
        raise _not_written_down(job_id) from refusal
    except BaseException:  # cancelled while it waited for others
        last = desk.store.accept_submission(submission_id, job, backend.name, patience=_LAST_SECONDS)
        await _if_possible(last)
        raise
    if not ours:  # the id of a job that answers something else, or what this was to take the place of
        theirs = await desk.store.submission_of(job_id)
        if theirs is not None and theirs.request_hash == question.request_hash:
            await desk.store.give_way(submission_id, theirs.submission_id)
            return
        await _if_possible(desk.store.lose_submission(submission_id, patience=_LAST_SECONDS))
        raise being_sent()


async def _if_possible(noting: Awaitable[object]) -> None:
    """What cannot be noted stays `sending`, which means the same as `unknown`: the next call finds out.

    A failure of the store, which its log tells, must not take the place of what ended the call.
    """
    with anyio.CancelScope(shield=True), suppress(Refusal):
        await noting


def _on_its_way() -> Refusal:
    return Refusal(
        "submission_unknown",
        f"{BEING_ASKED}; its answer is on the way.",
        "Do not set resubmit. Call again with the same arguments in 5 s: its job answers them.",
        retry_after_s=5,
    )


def being_sent() -> Refusal:
    return Refusal(
        "submission_unknown",
        f"{ASKED} and its answer has not arrived; whether a job exists is being found out.",
        "Do not set resubmit. Call again with the same arguments in half a minute.",
        retry_after_s=30,
    )


def _not_written_down(job_id: str) -> Refusal:
    return Refusal(
        "submission_unknown",
        f"The job is made: {identifier(job_id)}. The database in the data folder cannot be used now, so that "
        "it is not written down here.",
        "Do not submit this again and do not set resubmit: tell the user the id and follow the job with get_status.",
        next=NextStep("get_status", {"job_id": identifier(job_id)}),
    )
