"""What the desk remembers: series, submissions, jobs and their artifacts, in one SQLite file that processes share."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from sybilion_mcp.contract.jobs import Job
from sybilion_mcp.store.records import StoredJob, StoredSeries, Submission, now
from sybilion_mcp.store.sqlite import open_sqlite
from sybilion_mcp.store.tables import artifacts, jobs, metadata, series, submissions


class Store:
    """Opened on first use. Every method is one transaction."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._engine: AsyncEngine | None = None
        self._opening = anyio.Lock()

    async def aclose(self) -> None:
        if self._engine is not None:
            await self._engine.dispose()
            self._engine = None

    async def put_series(self, one: StoredSeries) -> None:
        """Remember a series; what is now said about it replaces what was said before, silence does not."""
        said: dict[str, object] = {
            "title": one.title,
            "description": one.description,
            "strictly_positive": one.strictly_positive,
        }
        said["keywords"] = None if one.keywords is None else list(one.keywords)
        details = {name: value for name, value in said.items() if value is not None}
        row = upsert(series).values(series_id=one.series_id, points=dict(one.points), details=details, created_at=now())
        merged = func.json_patch(series.c.details, json.dumps(details))
        async with self._begin() as connection:
            await connection.execute(row.on_conflict_do_update(set_={"details": merged}))

    async def series(self, series_id: str) -> StoredSeries | None:
        async with self._begin() as connection:
            row = (await connection.execute(select(series).where(series.c.series_id == series_id))).one_or_none()
        return StoredSeries(row.series_id, row.points, **row.details) if row else None

    async def series_ids(self, prefix: str, limit: int) -> list[str]:
        query = select(series.c.series_id).where(series.c.series_id.startswith(prefix, autoescape=True))
        async with self._begin() as connection:
            return list(await connection.scalars(query.order_by(series.c.created_at.desc()).limit(limit)))

    async def begin_submission(self, new: Submission, *, replacing: Submission | None) -> bool:
        """Write a question down before it is asked. False when the same question already stands."""
        values = {name: getattr(new, name) for name in Submission.__slots__}
        try:
            async with self._begin() as connection:
                if replacing is not None:
                    await connection.execute(_set_submission(replacing.submission_id, current=False))
                await connection.execute(insert(submissions).values(**values, current=True))
        except IntegrityError:
            return False
        return True

    async def accept_submission(self, submission_id: str, job: Job, backend: str) -> None:
        """The backend made this job for the question."""
        async with self._begin() as connection:
            await connection.execute(_set_submission(submission_id, state="accepted", job_id=job.job_id))
            await connection.execute(_put_job(job, backend))

    async def reject_submission(self, submission_id: str, *, restoring: Submission | None) -> None:
        """The backend made no job: what it was to replace answers the question again, if there is any."""
        async with self._begin() as connection:
            await connection.execute(_set_submission(submission_id, state="rejected", current=False))
            if restoring is not None:
                await connection.execute(_set_submission(restoring.submission_id, current=True))

    async def retire_submission(self, submission_id: str) -> None:
        """Its job came to nothing: what it cost still counts, but the question may be asked again."""
        async with self._begin() as connection:
            await connection.execute(_set_submission(submission_id, current=False))

    async def lose_submission(self, submission_id: str) -> None:
        """The answer never came: whether a job was made is unknown."""
        async with self._begin() as connection:
            await connection.execute(_set_submission(submission_id, state="unknown"))

    async def current_submission(self, request_hash: str) -> Submission | None:
        query = select(submissions).where(submissions.c.request_hash == request_hash, submissions.c.current)
        async with self._begin() as connection:
            row = (await connection.execute(query)).one_or_none()
        return _submission(row) if row else None

    async def submission_of(self, job_id: str) -> Submission | None:
        query = select(submissions).where(submissions.c.job_id == job_id)
        async with self._begin() as connection:
            row = (await connection.execute(query)).first()
        return _submission(row) if row else None

    async def submissions_of_series(self, series_id: str) -> list[Submission]:
        query = select(submissions).where(submissions.c.series_id == series_id, submissions.c.job_id.is_not(None))
        async with self._begin() as connection:
            rows = (await connection.execute(query.order_by(submissions.c.created_at.desc()))).all()
        return [_submission(row) for row in rows]

    async def submitted_job_ids(self) -> frozenset[str]:
        query = select(submissions.c.job_id).where(submissions.c.job_id.is_not(None))
        async with self._begin() as connection:
            return frozenset(await connection.scalars(query))

    async def spent_since(self, since: str) -> int:
        """EUR cents: what settled jobs submitted since then cost, and what the others are expected to."""
        cost = func.coalesce(func.json_extract(jobs.c.snapshot, "$.eur_cents_final"), submissions.c.expected_eur_cents)
        joined = submissions.outerjoin(jobs, jobs.c.job_id == submissions.c.job_id)
        query = select(func.coalesce(func.sum(cost), 0)).select_from(joined)
        async with self._begin() as connection:
            total = await connection.scalar(
                query.where(submissions.c.created_at >= since, submissions.c.state != "rejected")
            )
        return int(total or 0)

    async def put_job(self, job: Job, backend: str) -> None:
        async with self._begin() as connection:
            await connection.execute(_put_job(job, backend))

    async def job(self, job_id: str) -> StoredJob | None:
        async with self._begin() as connection:
            row = (await connection.execute(select(jobs).where(jobs.c.job_id == job_id))).one_or_none()
        return StoredJob(Job.model_validate(row.snapshot), row.backend) if row else None

    async def job_ids(self, prefix: str, limit: int) -> list[str]:
        query = select(jobs.c.job_id).where(jobs.c.job_id.startswith(prefix, autoescape=True))
        async with self._begin() as connection:
            return list(await connection.scalars(query.order_by(jobs.c.first_seen_at.desc()).limit(limit)))

    async def put_artifact(self, job_id: str, name: str, content: bytes) -> None:
        row = upsert(artifacts).values(job_id=job_id, name=name, content=content)
        async with self._begin() as connection:
            await connection.execute(row.on_conflict_do_nothing())

    async def artifact(self, job_id: str, name: str) -> bytes | None:
        query = select(artifacts.c.content).where(artifacts.c.job_id == job_id, artifacts.c.name == name)
        async with self._begin() as connection:
            content: bytes | None = await connection.scalar(query)
        return content

    async def artifact_names(self, job_id: str) -> list[str]:
        query = select(artifacts.c.name).where(artifacts.c.job_id == job_id).order_by(artifacts.c.name)
        async with self._begin() as connection:
            return list(await connection.scalars(query))

    @asynccontextmanager
    async def _begin(self) -> AsyncIterator[AsyncConnection]:
        with anyio.CancelScope(shield=True):  # a transaction is short, and a connection cut off in the middle is lost
            async with (await self._opened()).begin() as connection:
                yield connection

    async def _opened(self) -> AsyncEngine:
        async with self._opening:
            if self._engine is None:
                self._engine = await open_sqlite(self._home / "desk.db", metadata)
            return self._engine


def _set_submission(submission_id: str, **values: object) -> Any:
    return update(submissions).where(submissions.c.submission_id == submission_id).values(**values)


def _put_job(job: Job, backend: str) -> Any:
    snapshot = job.model_dump(mode="json")
    row = upsert(jobs).values(job_id=job.job_id, backend=backend, snapshot=snapshot, first_seen_at=now())
    return row.on_conflict_do_update(set_={"snapshot": snapshot})


def _submission(row: Row[Any]) -> Submission:
    return Submission(**{name: getattr(row, name) for name in Submission.__slots__})
