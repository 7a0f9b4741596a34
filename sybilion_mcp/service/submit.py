"""Submit: one question, one job. The question is written down before it is asked."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import anyio

from sybilion_mcp.backends.base import Backend, BackendError
from sybilion_mcp.contract.jobs import Job
from sybilion_mcp.contract.option_rules import DEFAULT_RECENCY_FACTOR
from sybilion_mcp.contract.problem import Problem
from sybilion_mcp.contract.request import encode
from sybilion_mcp.contract.rules import check_request
from sybilion_mcp.hints import Refusal, outcome_unknown
from sybilion_mcp.intake.series import points_of, to_monthly
from sybilion_mcp.next_step import NextStep
from sybilion_mcp.service.arguments import Options, fixes, to_body
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.spend import Expectation, expectation, pass_gate
from sybilion_mcp.service.validate import remember
from sybilion_mcp.store.records import StoredSeries, Submission, new_id, now

LOST_AFTER = timedelta(minutes=2)
"""A submit whose answer never came and whose job shows in no list after this time made no job."""


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

    Raises `Refusal` before anything is sent, `BackendError` when the backend does not accept it.
    """
    question = await _question(desk, order)
    backend = desk.backend(question.backend)
    standing, found = await _standing(desk, backend, question)
    if standing is not None and (found or not order.resubmit):  # what resubmit asked for may be what was found
        return await _reused(desk, standing)
    expected = expectation(question.backend, order.options.driver_limit)
    await pass_gate(desk, expected, order.max_cost_eur_cents)
    if not await desk.store.begin_submission(question, replacing=standing):
        raise _being_sent()
    job_id = await _send(desk, backend, question, replaced=standing)
    return Submitted(job_id, False, question.backend, question.series_id, None, question.created_at, expected)


async def _question(desk: Desk, order: Order) -> Submission:
    """The order as it would go over the wire, checked."""
    known = await _series(desk, order)
    options = _with_defaults(order.options, known)
    aux = [await _known_series(desk, series_id) for series_id in order.aux_series_ids]
    months = known.points.keys()
    body = to_body(known.points, options, [{m: v for m, v in one.points.items() if m in months} for one in aux])
    errors = [one for one in check_request(body, desk.today()) if one.severity == "error"]
    if errors:
        raise _invalid(errors)
    backend = order.backend or desk.settings.default_backend
    expected = expectation(backend, options.driver_limit)
    return Submission(
        submission_id=new_id(),
        request_hash=_hash(body, backend, desk),
        state="sending",
        backend=backend,
        series_id=known.series_id,
        request=body,
        aux_series_ids=list(order.aux_series_ids),
        driver_names={f"aux_{i}": one.title or one.series_id for i, one in enumerate(aux)},
        job_id=None,
        expected_eur_cents=expected.eur_cents[1],
        created_at=now(),
    )


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


def _hash(body: Mapping[str, object], backend: str, desk: Desk) -> str:
    """What makes two questions the same: everything that is asked, whom, and on whose account."""
    token = desk.settings.api_token
    hosted = (desk.settings.api_base_url, token.get_secret_value().strip() if token else "")
    account = "\0".join(hosted) if backend != "local" else ""
    digest = hashlib.sha256(backend.encode())
    for part in (account.encode(), encode(dict(sorted(body.items())))):
        digest.update(b"\0" + hashlib.sha256(part).digest())
    return digest.hexdigest()


async def _send(desk: Desk, backend: Backend, question: Submission, replaced: Submission | None) -> str:
    try:
        accepted = await backend.submit(dict(question.request))
    except BackendError as error:
        if outcome_unknown(error):
            await desk.store.lose_submission(question.submission_id)
        else:
            await desk.store.reject_submission(question.submission_id, restoring=replaced)
        raise
    except BaseException:  # cancelled or crashed on the way: the request may have arrived
        with anyio.CancelScope(shield=True):
            await desk.store.lose_submission(question.submission_id)
        raise
    with anyio.CancelScope(shield=True):
        job = Job(job_id=accepted.job_id, status="queued", created_at=now())
        await desk.store.accept_submission(question.submission_id, job, backend.name)
    return accepted.job_id


async def _standing(desk: Desk, backend: Backend, question: Submission) -> tuple[Submission | None, bool]:
    """The submission that answers this question already, and whether its lost job was found only now.

    Failed and canceled jobs do not stand in the way.
    """
    earlier = await desk.store.current_submission(question.request_hash)
    if earlier is None:
        return None, False
    if earlier.job_id is None:
        return await _reconciled(desk, backend, earlier), True
    stored = await desk.store.job(earlier.job_id)
    if stored is not None and stored.job.status in ("failed", "canceled"):
        await desk.store.retire_submission(earlier.submission_id)
        return None, False
    return earlier, False


async def _reconciled(desk: Desk, backend: Backend, lost: Submission) -> Submission | None:
    """Look for the job of a submit whose answer never came. None when there is certainly none."""
    sent = datetime.fromisoformat(lost.created_at)
    recent = await backend.recent_jobs()
    known = await desk.store.submitted_job_ids()
    found = [job for job in recent if job.job_id not in known and _since(job, sent)]
    if len(found) == 1:
        await desk.store.accept_submission(lost.submission_id, found[0], backend.name)
        return replace(lost, state="accepted", job_id=found[0].job_id)
    if not found and datetime.now(UTC) - sent > LOST_AFTER:
        await desk.store.reject_submission(lost.submission_id, restoring=None)
        return None
    raise _being_sent()


def _since(job: Job, sent: datetime) -> bool:
    """Whether a job can stem from a submit sent then; clocks may differ by half a minute."""
    return job.created is None or job.created > sent - timedelta(seconds=30)


def _being_sent() -> Refusal:
    return Refusal(
        "submission_unknown",
        "This very question was sent before and its answer has not arrived; whether a job exists is being found out.",
        "Do not set resubmit. Call again with the same arguments in half a minute.",
        retry_after_s=30,
    )


async def _reused(desk: Desk, earlier: Submission) -> Submitted:
    assert earlier.job_id is not None
    stored = await desk.store.job(earlier.job_id)
    job = stored.job if stored else None
    # Nothing is charged again, so nothing is expected either.
    expected = Expectation((0, 0), (0, 0), "already submitted")
    return Submitted(earlier.job_id, True, earlier.backend, earlier.series_id, job, earlier.created_at, expected)
