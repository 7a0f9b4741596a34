"""Standing: what the desk itself knows of a question that was asked before. Nothing is written, no backend asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sybilion_mcp.service.desk import Desk
from sybilion_mcp.store.records import StoredJob, Submission

Verdict = Literal["nothing", "answer", "replaced", "unseen", "gone", "lost", "guessed"]


@dataclass(frozen=True, slots=True)
class Standing:
    """What there is for a question: its `answer`, or else the submission that a new one is to take the place of."""

    answer: Submission | None = None
    replaced: Submission | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a question under one name of its account.

    `verdict` is about `submission`: it answers; a resubmit takes its place; nobody has seen its end, so that it answers
    a resubmit too unless it came to nothing; its service no longer knew its job; its answer was lost; or a former
    version guessed which job is its own.
    `fallen`: the submissions before it whose jobs came to nothing, the latest first.
    """

    verdict: Verdict
    submission: Submission | None
    fallen: tuple[Submission, ...]


async def known_of(desk: Desk, request_hash: str, *, resubmit: bool) -> Known:
    fallen: list[Submission] = []
    one = await desk.store.current_submission(request_hash)
    while one is not None:
        stored = await desk.store.job(one.job_id) if one.job_id is not None else None
        if one.state == "adopted" or stored is None or stored.job.status not in ("failed", "canceled"):
            return Known(_verdict(one, stored, resubmit=resubmit), one, tuple(fallen))
        fallen.append(one)
        one = await desk.store.replaced_submission(one.replaces) if one.replaces is not None else None
    return Known("nothing", None, tuple(fallen))


def _verdict(one: Submission, stored: StoredJob | None, *, resubmit: bool) -> Verdict:
    if one.job_id is None:
        return "lost"
    if one.state == "adopted":
        return "guessed"
    if not resubmit:
        return "gone" if stored is not None and stored.gone_at else "answer"
    free_to_ask_again = one.backend == "local" and one.replaces is None  # else this may be the same wish once more
    return "replaced" if free_to_ask_again or (stored is not None and stored.job.finished) else "unseen"


async def peek(desk: Desk, questions: Sequence[Submission], *, resubmit: bool) -> Standing | None:
    """What stands for a question, given under each name of its account; None where only its backend can tell."""
    replaced = None
    for question in questions:
        known = await known_of(desk, question.request_hash, resubmit=resubmit)
        if known.verdict == "answer":
            return Standing(answer=known.submission)
        if known.verdict == "replaced":
            replaced = replaced or known.submission
        elif known.verdict != "nothing":
            return None
    return None if await described_otherwise(desk, questions) else Standing(replaced=replaced)


async def described_otherwise(desk: Desk, questions: Sequence[Submission]) -> list[Submission]:
    """Paid questions whose answers were lost and that differ from this one only in how the series is described.

    A series that is validated anew makes another question of the very same arguments.
    """
    first = questions[0]
    if first.backend == "local":
        return []
    lost = await desk.store.open_submissions(first.backend, [one.account for one in questions])
    hashes, asked = {one.request_hash for one in questions}, _undescribed(first.request)
    alike = [one for one in lost if one.request_hash not in hashes and _undescribed(one.request) == asked]
    return [one for one in alike if await _stands(desk, one)]


async def _stands(desk: Desk, one: Submission) -> bool:
    current = await desk.store.current_submission(one.request_hash)
    return current is not None and current.submission_id == one.submission_id


def _undescribed(request: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in request.items() if name != "timeseries_metadata"}
