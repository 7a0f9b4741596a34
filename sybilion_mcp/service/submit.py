"""Submit: one question, one job. The question is written down before it is asked."""

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from sybilion_mcp.contract.jobs import Job
from sybilion_mcp.contract.option_rules import DEFAULT_RECENCY_FACTOR
from sybilion_mcp.contract.problem import Problem
from sybilion_mcp.contract.request import encode
from sybilion_mcp.contract.rules import check_request
from sybilion_mcp.hints import Refusal
from sybilion_mcp.intake.series import points_of, to_monthly
from sybilion_mcp.next_step import NextStep
from sybilion_mcp.service.account import identify, note_account
from sybilion_mcp.service.arguments import Options, fixes, to_body
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.ledger import reconcile
from sybilion_mcp.service.sending import arrived, being_sent, send
from sybilion_mcp.service.spend import Expectation, account_of, expected_for, over_cap, pass_gate
from sybilion_mcp.service.validate import remember, series_id_of
from sybilion_mcp.store.records import OverCap, StoredSeries, Submission, new_id, timestamp


@dataclass(frozen=True, slots=True)
class Order:
    """What the caller asks for. Either `series_id` or `series` names the numbers."""

    options: Options
    series_id: str | None = None
    series: Mapping[str, object] | None = None
    aux_series_ids: Sequence[str] = ()
    max_cost_eur_cents: int | None = None
    resubmit: bool = False
    backend: str | None = None
    agreed_to: str | None = None
    """The request_hash of what a person agreed to pay for; anything else is not sent."""
    person: bool = False
    """Whether there is one who can be asked: then it is they who agree, whatever limit the caller names."""


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
    await pass_gate(desk, expected, order.max_cost_eur_cents, unasked=order.person and order.agreed_to is None)
    replaces = found.replaced.submission_id if found.replaced else None
    at, high = timestamp(desk.now()), expected.eur_cents[1]
    question = replace(questions[0], replaces=replaces, created_at=at, expected_eur_cents=high)
    try:
        begun = await desk.store.begin_submission(question, cap_eur_cents=desk.settings.spend_cap_eur_cents)
    except OverCap as over:
        raise await over_cap(desk, over.spent, expected) from over
    if not begun:  # another call was faster
        answer = await arrived(desk, question.request_hash)
        if answer is None or answer.job_id is None or answer.submission_id == replaces:
            raise being_sent()
        return await _reused(desk, answer)
    job_id = await send(desk, backend, question)
    return Submitted(job_id, False, question.backend, question.series_id, None, question.created_at, expected)


async def question_of(desk: Desk, order: Order) -> Submission:
    """The order as it would go over the wire, checked, and under the name that the token has by itself."""
    known = await _series(desk, order)
    options = _with_defaults(order.options, known)
    aux = [await _known_series(desk, series_id) for series_id in order.aux_series_ids]
    months = known.points.keys()
    body = to_body(known.points, options, [{m: v for m, v in one.points.items() if m in months} for one in aux])
    errors = [one for one in check_request(body, desk.today()) if one.severity == "error"]
    if errors:
        raise _invalid(errors)
    backend = order.backend or desk.settings.default_backend
    account = "" if backend == "local" else account_of(desk)
    return Submission(
        submission_id=new_id(),
        request_hash=_hash(body, backend, account),
        state="sending",
        backend=backend,
        account=account,
        series_id=known.series_id,
        request=body,
        aux_series_ids=list(order.aux_series_ids),
        driver_names={f"aux_{i}": one.title or one.series_id for i, one in enumerate(aux)},
        job_id=None,
        replaces=None,
        expected_eur_cents=0,
        created_at=timestamp(desk.now()),
    )


async def by_every_name(desk: Desk, question: Submission) -> list[Submission]:
    """The question as each token of the same account would have asked it; as a new one is written down first."""
    if question.backend == "local":
        return [question]
    names = await desk.store.account_names(question.account) or [question.account]
    hashes = [_hash(question.request, question.backend, name) for name in names]
    return [replace(question, account=name, request_hash=one) for name, one in zip(names, hashes, strict=True)]


def _with_defaults(options: Options, known: StoredSeries) -> Options:
    """What the caller does not say comes from the validated series, then from our own defaults.

    Silence and a default said aloud ask the same question, so they become the same request.
    """
    keywords = options.keywords if options.keywords is not None else known.keywords
    positive = known.strictly_positive if options.strictly_positive is None else options.strictly_positive
    return replace(
        options,
        title=options.title or known.title,
        description=options.description or known.description or None,
        keywords=keywords or None,
        strictly_positive=positive or None,
        regions=options.regions or None,
        categories=options.categories or None,
        recency_factor=DEFAULT_RECENCY_FACTOR if options.recency_factor is None else options.recency_factor,
        backtest=True if options.backtest is None else options.backtest,
    )


async def _series(desk: Desk, order: Order) -> StoredSeries:
    if order.series_id is not None and order.series is not None:
        raise Refusal(
            "invalid_argument",
            "Give series_id or series, not both.",
            "series_id names numbers that validate_series has seen; series is an object of date to number.",
        )
    if order.series_id is not None:
        return await _known_series(desk, order.series_id)
    if order.series is None:
        raise Refusal(
            "invalid_argument",
            "Neither series_id nor series was given.",
            "Call validate_series first and pass the series_id it answers.",
            next=NextStep("validate_series"),
        )
    monthly = to_monthly(points_of(order.series), "none", "none", desk.today())
    errors = [one for one in monthly.problems if one.severity == "error"]
    if errors:
        raise Refusal(
            "validation_failed",
            "The series has problems; nothing was sent.",
            "Repair it with validate_series, then submit the series_id it answers.",
            next=NextStep("validate_series", fixes(errors)),
            problems=errors,
        )
    series_id = await remember(desk, monthly.points, order.options)
    return await _known_series(desk, series_id)


async def kept_as(desk: Desk, order: Order) -> str | None:
    """The series_id under which the numbers of an order are remembered by now, where it brought them itself."""
    if order.series is None or order.series_id is not None:
        return None
    series_id = series_id_of(to_monthly(points_of(order.series), "none", "none", desk.today()).points)
    with suppress(Refusal):  # that the store cannot be used now is no news: the call failed
        return series_id if await desk.store.series(series_id) else None
    return None


async def _known_series(desk: Desk, series_id: str) -> StoredSeries:
    known = await desk.store.series(series_id)
    if known is None:
        raise Refusal(
            "series_not_found",
            "No series is remembered under this series_id.",
            "Call validate_series with the numbers or the file again; the same numbers give the same series_id.",
            next=NextStep("validate_series"),
        )
    return known


def _invalid(errors: list[Problem]) -> Refusal:
    fixable = all(one.fix for one in errors)
    hint = "Call again with the values offered." if fixable else "Correct what is named and call again."
    return Refusal(
        "validation_failed",
        "The request breaks a rule of the service; nothing was sent.",
        hint,
        changes=fixes(errors),
        problems=errors,
    )


def _hash(body: Mapping[str, object], backend: str, account: str) -> str:
    """What makes two questions the same: everything that is asked, whom, and on whose account."""
    digest = hashlib.sha256(f"{backend}\0{account}\0".encode())
    digest.update(encode(dict(sorted(body.items()))))
    return digest.hexdigest()


async def _reused(desk: Desk, earlier: Submission) -> Submitted:
    assert earlier.job_id is not None
    stored = await desk.store.job(earlier.job_id)
    job = stored.job if stored else None
    # Nothing is charged again, so nothing is expected either.
    expected = Expectation((0, 0), (0, 0), "already submitted", free=True)
    return Submitted(earlier.job_id, True, earlier.backend, earlier.series_id, job, earlier.created_at, expected)
