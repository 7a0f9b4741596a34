"""What becomes of a submission that made no job, or none of its own, and what answers its question instead."""

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from sybilion_mcp.store import statements
from sybilion_mcp.store.tables import submissions


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
