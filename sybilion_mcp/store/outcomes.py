"""What becomes of a submission: the job that it made, or what answers its question where it made none of its own."""

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from sybilion_mcp.contract.jobs import Job
from sybilion_mcp.store import statements
from sybilion_mcp.store.tables import jobs, submissions


async def accept(connection: AsyncConnection, submission_id: str, job: Job, backend: str) -> bool:
    """False where another service calls a job of its own so: that is not this job."""
    others = select(jobs.c.job_id).where(jobs.c.job_id == job.job_id, jobs.c.backend != backend)
    if await connection.scalar(others) is not None:
        return False
    await connection.execute(statements.set_submission(submission_id, state="accepted", job_id=job.job_id))
    await connection.execute(statements.add_job(job, backend))
    return True


async def job_known_under(connection: AsyncConnection, request_id: str) -> bool:
    made = select(submissions.c.job_id).where(submissions.c.request_id == request_id, submissions.c.job_id.is_not(None))
    return await connection.scalar(made.limit(1)) is not None


async def reject(connection: AsyncConnection, submission_id: str, state: str) -> None:
    """What it was to replace answers again, if it stood for its question and nobody knew yet what became of it."""
    row = (await connection.execute(select(submissions).where(submissions.c.submission_id == submission_id))).one()
    rejected = statements.set_submission(submission_id, state=state, current=False).where(statements.OPEN)
    done = (await connection.execute(rejected)).rowcount == 1
    if done and row.current:
        await connection.execute(statements.restore(row.replaces))


async def retire(connection: AsyncConnection, submission_id: str) -> None:
    row = (await connection.execute(select(submissions).where(submissions.c.submission_id == submission_id))).one()
    await connection.execute(statements.set_submission(submission_id, current=False))
    if row.current:
        await connection.execute(statements.restore(row.replaces))


async def give_way(connection: AsyncConnection, submission_id: str, to: str) -> None:
    gone = statements.set_submission(submission_id, state="rejected", current=False)
    await connection.execute(gone.where(statements.OPEN))
    of_question = select(submissions.c.request_hash).where(submissions.c.submission_id == to).scalar_subquery()
    others = update(submissions).where(submissions.c.request_hash == of_question).values(current=False)
    await connection.execute(others)
    await connection.execute(statements.set_submission(to, current=True))
