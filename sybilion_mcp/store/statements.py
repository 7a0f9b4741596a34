"""Statements and rows that several methods of the store share."""

from typing import Any

from sqlalchemy import Row, and_, case, func, literal, or_, select, true, update
from sqlalchemy.dialects.sqlite import insert as upsert

from sybilion_mcp.contract.jobs import FINAL_STATUSES, Job
from sybilion_mcp.store.records import StoredJob, Submission, now
from sybilion_mcp.store.tables import artifacts, calls, jobs, submissions

MAY_STAND = submissions.c.state.not_in(("rejected", "fallen", "forgotten"))
"""Of a submission: it answers its question again when what replaced it goes."""
OPEN = and_(submissions.c.job_id.is_(None), submissions.c.state.in_(("sending", "unknown")))
"""Of a submission: nobody knows yet what became of it."""


def set_submission(submission_id: str, **values: object) -> Any:
    return update(submissions).where(submissions.c.submission_id == submission_id).values(**values)


def restore(submission_id: str | None) -> Any:
    """What was replaced answers its question again; nothing happens where there is none, or none that may."""
    restored = set_submission(submission_id or "", current=True)
    return restored.where(MAY_STAND)


_FINAL = func.json_extract(jobs.c.snapshot, "$.eur_cents_final")
_SETTLED = func.json_extract(jobs.c.snapshot, "$.settled") == 1
BOOKED = case((and_(_SETTLED, _FINAL >= 0), _FINAL), (submissions.c.expected_eur_cents < _FINAL, _FINAL))
"""EUR cents that a job counts with; null where what was expected counts: not settled, it may still cost that."""


def spent_since(since: str) -> Any:
    cost = func.coalesce(BOOKED, submissions.c.expected_eur_cents)
    joined = submissions.outerjoin(jobs, jobs.c.job_id == submissions.c.job_id)
    query = select(func.coalesce(func.sum(cost), 0)).select_from(joined)
    jobs_cost = query.where(submissions.c.created_at >= since, submissions.c.state != "rejected")
    called = func.sum(func.coalesce(calls.c.eur_cents, calls.c.expected_eur_cents))
    calls_cost = select(func.coalesce(called, 0)).where(calls.c.created_at >= since, calls.c.state != "refused")
    return select(jobs_cost.scalar_subquery() + calls_cost.scalar_subquery())


def paid_and_reserved(since: str) -> Any:
    """EUR cents and a number: what is known to be paid, what counts for the other jobs, how many these are, and what
    counts for calls without an answer.

    Of a forgotten job there is nothing more to learn: what it counts with is as good as paid.
    """
    joined = submissions.outerjoin(jobs, jobs.c.job_id == submissions.c.job_id)
    known = func.coalesce(or_(and_(_SETTLED, _FINAL >= 0), submissions.c.state == "forgotten"), False)
    cost = func.coalesce(BOOKED, submissions.c.expected_eur_cents)
    sums = (case((known, cost), else_=0), case((known, 0), else_=cost), case((or_(known, cost == 0), 0), else_=1))
    query = select(*(func.coalesce(func.sum(one), 0).label(name) for name, one in zip("pro", sums, strict=True)))
    of_submissions = query.select_from(joined).where(submissions.c.created_at >= since)
    of_jobs = of_submissions.where(submissions.c.state != "rejected").subquery()
    answered = calls.c.eur_cents.is_not(None)
    paid, bound = case((answered, calls.c.eur_cents), else_=0), case((answered, 0), else_=calls.c.expected_eur_cents)
    both = select(func.coalesce(func.sum(paid), 0).label("p"), func.coalesce(func.sum(bound), 0).label("r"))
    of_calls = both.where(calls.c.created_at >= since, calls.c.state != "refused").subquery()
    one_row = of_jobs.join(of_calls, true())
    return select(of_jobs.c.p + of_calls.c.p, of_jobs.c.r, of_jobs.c.o, of_calls.c.r).select_from(one_row)


def lose_job(job_id: str) -> Any:
    """Note since when its backend does not know an unfinished job any longer; a later look at it drops that note."""
    status = func.json_extract(jobs.c.snapshot, "$.status")
    settled = func.coalesce(func.json_extract(jobs.c.snapshot, "$.settled"), 0)
    unfinished = or_(status.not_in(FINAL_STATUSES), and_(status == "completed", settled == 0))
    unnoted = func.json_extract(jobs.c.snapshot, "$.gone_at").is_(None)
    kept = select(artifacts.c.name).where(artifacts.c.job_id == jobs.c.job_id)
    noted = update(jobs).values(snapshot=func.json_set(jobs.c.snapshot, "$.gone_at", now()))
    return noted.where(jobs.c.job_id == job_id, unfinished, unnoted, ~kept.exists())


def add_job(job: Job, backend: str) -> Any:
    """Who looked at the job already knows more about it than who made or found it."""
    snapshot = _seen(job)
    row = upsert(jobs).values(job_id=job.job_id, backend=backend, snapshot=snapshot, first_seen_at=now())
    return row.on_conflict_do_nothing()


def put_job(job: Job, backend: str) -> Any:
    """What is seen of a job, unless more is known: an answer may arrive after a younger one."""
    snapshot = _seen(job)
    row = upsert(jobs).values(job_id=job.job_id, backend=backend, snapshot=snapshot, first_seen_at=now())
    known = jobs.c.snapshot
    goes_on = func.json_extract(known, "$.status").not_in(FINAL_STATUSES)
    settles = func.coalesce(func.json_extract(known, "$.settled"), 0) == 0
    costless = func.json_extract(known, "$.eur_cents_final").is_(None)
    not_less = and_(
        or_(goes_on, literal(job.status in FINAL_STATUSES)),
        or_(settles, literal(job.settled)),
        or_(costless, literal(job.eur_cents_final is not None)),
    )
    return row.on_conflict_do_update(set_={"snapshot": snapshot}, where=not_less)


def _seen(job: Job) -> dict[str, Any]:
    """The job as its backend describes it, and when it was seen so (`seen_at`, UTC)."""
    return {**job.model_dump(mode="json"), "seen_at": now()}


def job_in(row: Row[Any]) -> StoredJob:
    seen = row.snapshot
    return StoredJob(Job.model_validate(seen), row.backend, seen.get("seen_at"), seen.get("gone_at"))


def submission_in(row: Row[Any]) -> Submission:
    return Submission(**{name: getattr(row, name) for name in Submission.__slots__})
