"""Submit: one question, one job. The question is written down before it is asked."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

from sybilion_mcp.contract.jobs import Job
from sybilion_mcp.contract.request import encode
from sybilion_mcp.hints import Refusal
from sybilion_mcp.service.account import identify, note_account
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.ledger import reconcile
from sybilion_mcp.service.orders import Order
from sybilion_mcp.service.sending import arrived, being_sent, send
from sybilion_mcp.service.spend import Expectation, account_of, expected_for, over_cap, pass_gate
from sybilion_mcp.service.wires import wire_of
from sybilion_mcp.store.records import OverCap, Submission, new_id, timestamp


@dataclass(frozen=True, slots=True)
class Submitted:
    """`reused` when this very question was asked before: then nothing was sent and nothing charged."""

    job_id: str
    reused: bool
    backend: str
    series_id: str
    job: Job | None
    submitted_at: str
    expected: Expectation


async def submit(desk: Desk, order: Order) -> Submitted:
    """Make a job for the order, or find the one that answers it already.

    Raises `Refusal` when nothing may be sent or the job is unknown, `BackendError` when the backend makes none.
    """
    asked = await question_of(desk, order)
    if order.agreed_to not in (None, asked.request_hash):
        raise Refusal(
            "spend_refused",
            "The series was described anew while the user was asked; what they agreed to is not what would be sent.",
            "Call again with the same arguments: the user is asked about it as it is now. Nothing was sent.",
        )
    backend = desk.backend(asked.backend)
    questions = await by_every_name(desk, asked)
    found = await reconcile(desk, backend, questions, resubmit=order.resubmit)
    if found.answer is None:
        await identify(desk, backend)
        known, questions = questions, await by_every_name(desk, asked)
        if questions != known:
            found = await reconcile(desk, backend, questions, resubmit=order.resubmit)
    if found.answer is not None:
        await note_account(desk, backend)
        return await _reused(desk, found.answer)
    expected = await expected_for(desk, asked.backend, order.options.driver_limit)
    said_yes = order.agreed_to is not None
    await pass_gate(desk, expected, order.max_cost_eur_cents, unasked=order.person and not said_yes, said_yes=said_yes)
    content = await wire_of(asked.backend).content(desk, asked)
    replaces = found.replaced.submission_id if found.replaced else None
    at, high = timestamp(desk.now()), expected.eur_cents[1]
    question = replace(
        questions[0],
        replaces=replaces,
        created_at=at,
        expected_eur_cents=high,
        request_id=await _request_id(desk, asked, found.replaced),
    )
    try:
        begun = await desk.store.begin_submission(question, cap_eur_cents=desk.settings.spend_cap_eur_cents)
    except OverCap as over:
        raise await over_cap(desk, over.spent, expected) from over
    if not begun:  # another call was faster
        answer = await arrived(desk, question.request_hash)
        if answer is None or answer.job_id is None or answer.submission_id == replaces:
            raise being_sent()
        return await _reused(desk, answer)
    job_id = await send(desk, backend, question, content)
    return Submitted(job_id, False, question.backend, question.series_id, None, question.created_at, expected)


async def question_of(desk: Desk, order: Order) -> Submission:
    """The order as it would be asked, checked, and under the name that the token has by itself."""
    backend = order.backend or desk.settings.default_backend
    asked = await wire_of(backend).asked(desk, order)
    account = account_of(desk, backend)
    submission_id = new_id()
    return Submission(
        submission_id=submission_id,
        request_hash=_hash(asked.request, backend, account),
        state="sending",
        backend=backend,
        account=account,
        series_id=asked.series_id,
        request=asked.request,
        aux_series_ids=list(order.aux_series_ids),
        driver_names=asked.driver_names,
        job_id=None,
        replaces=None,
        expected_eur_cents=0,
        created_at=timestamp(desk.now()),
        request_id=submission_id,
    )


async def _request_id(desk: Desk, question: Submission, replaced: Submission | None) -> str | None:
    """Where the answer to the last one was lost, it is the same wish once more, and goes out under the same id.

    Once a job is known under that id, a service that honours it would answer with that very job.
    """
    lost = replaced.request_id if replaced is not None and replaced.job_id is None else None
    return question.request_id if lost is None or await desk.store.job_known_under(lost) else lost


async def by_every_name(desk: Desk, question: Submission) -> list[Submission]:
    """The question as each token of the same account would have asked it; as a new one is written down first."""
    if not question.account:
        return [question]
    names = await desk.store.account_names(question.account) or [question.account]
    hashes = [_hash(question.request, question.backend, name) for name in names]
    return [replace(question, account=name, request_hash=one) for name, one in zip(names, hashes, strict=True)]


def _hash(request: Mapping[str, object], backend: str, account: str) -> str:
    """What makes two questions the same: everything that is asked, whom, and on whose account."""
    said = {name: value for name, value in request.items() if name not in wire_of(backend).unsaid}
    digest = hashlib.sha256(f"{backend}\0{account}\0".encode())
    digest.update(encode(dict(sorted(said.items()))))
    return digest.hexdigest()


async def _reused(desk: Desk, earlier: Submission) -> Submitted:
    assert earlier.job_id is not None
    stored = await desk.store.job(earlier.job_id)
    job = stored.job if stored else None
    # Nothing is charged again, so nothing is expected either.
    expected = Expectation((0, 0), (0, 0), "already submitted", free=True)
    return Submitted(earlier.job_id, True, earlier.backend, earlier.series_id, job, earlier.created_at, expected)
