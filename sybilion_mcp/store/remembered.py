"""The jobs that are remembered, and what is left of one that is forgotten."""

from sqlalchemy import and_, delete, func, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from sybilion_mcp.store import shelf, statements
from sybilion_mcp.store.records import KeptForecast, RememberedJob
from sybilion_mcp.store.tables import artifacts, jobs, submissions

OF_JOB = and_(submissions.c.job_id == jobs.c.job_id, submissions.c.state != "forgotten")


async def found(connection: AsyncConnection, limit: int, status: str | None) -> list[RememberedJob]:
    title = func.json_extract(submissions.c.request, "$.timeseries_metadata.title").label("title")
    wanted = true() if status is None else func.json_extract(jobs.c.snapshot, "$.status") == status
    query = select(jobs, title).select_from(jobs.outerjoin(submissions, OF_JOB)).where(wanted)
    rows = (await connection.execute(query.order_by(jobs.c.first_seen_at.desc()).limit(limit))).all()
    return [
        RememberedJob(
            statements.job_in(row),
            row.first_seen_at,
            row.title,
            await shelf.sizes(connection, row.job_id),
        )
        for row in rows
    ]


async def kept_forecasts(connection: AsyncConnection, limit: int, series_id: str | None) -> list[KeptForecast]:
    forecast = select(artifacts.c.name).where(artifacts.c.job_id == jobs.c.job_id, artifacts.c.name == "forecast.json")
    completed = func.json_extract(jobs.c.snapshot, "$.status") == "completed"
    query = (
        select(jobs.c.job_id, submissions.c.series_id)
        .select_from(jobs.outerjoin(submissions, OF_JOB))
        .where(completed, forecast.exists())
        .where(true() if series_id is None else submissions.c.series_id == series_id)
        .order_by(jobs.c.first_seen_at.desc())
        .limit(limit)
    )
    return [KeptForecast(*row) for row in (await connection.execute(query)).all()]


async def forget(connection: AsyncConnection, job_id: str) -> bool:
    """Of a submission remain its day, its account, its job's id and the money."""
    cost = select(statements.BOOKED).where(jobs.c.job_id == job_id).correlate(submissions).scalar_subquery()
    of_job = update(submissions).where(submissions.c.job_id == job_id)
    booked = of_job.values(expected_eur_cents=func.coalesce(cost, submissions.c.expected_eur_cents))
    await connection.execute(booked)
    standing = select(submissions.c.replaces).where(submissions.c.job_id == job_id, submissions.c.current)
    replaced = (await connection.execute(standing)).scalar_one_or_none()
    forgotten = of_job.where(submissions.c.state != "forgotten")
    emptied = forgotten.values(
        state="forgotten",
        current=False,
        request_hash="",
        series_id="",
        request={},
        aux_series_ids=[],
        driver_names={},
    )
    asked = (await connection.execute(emptied)).rowcount
    await connection.execute(statements.restore(replaced))
    await shelf.drop(connection, job_id)
    seen = (await connection.execute(delete(jobs).where(jobs.c.job_id == job_id))).rowcount
    return asked + seen > 0
