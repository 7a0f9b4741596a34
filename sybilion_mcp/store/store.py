"""What the desk remembers: series, submissions, jobs and their artifacts, in one SQLite file that processes share."""

import json
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
from sqlalchemy import Row, and_, case, func, insert, select, true, update
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.exc import DatabaseError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from sybilion_mcp.contract.jobs import Job
from sybilion_mcp.hints import Refusal
from sybilion_mcp.store.records import KeptForecast, OverCap, StoredJob, StoredSeries, Submission, now, timestamp
from sybilion_mcp.store.sqlite import open_sqlite
from sybilion_mcp.store.tables import artifacts, jobs, metadata, series, submissions

_OPEN = and_(submissions.c.job_id.is_(None), submissions.c.state.in_(("sending", "unknown")))
_RIVALRY = timedelta(hours=2)
"""Lost submissions further apart than this cannot have made the same job, however wrong the clock was."""


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

    async def begin_submission(self, new: Submission, *, cap_eur_cents: int | None = None) -> bool:
        """Write a question down before it is asked. False when the same question already stands.

        Raises `OverCap` when its day (UTC) would cost more than the cap with it.
        """
        values = {name: getattr(new, name) for name in Submission.__slots__}
        try:
            async with self._begin(writing=True) as connection:
                if cap_eur_cents is not None and new.expected_eur_cents > 0:
                    spent = int(await connection.scalar(_spent_since(new.created_at[:10])) or 0)
                    if spent + new.expected_eur_cents > cap_eur_cents:
                        raise OverCap(spent)
                if new.replaces is not None:
                    replaced = _set_submission(new.replaces, current=False).where(submissions.c.current)
                    if (await connection.execute(replaced)).rowcount != 1:
                        return False
                await connection.execute(insert(submissions).values(**values, current=True))
        except IntegrityError:
            return False
        return True

    async def accept_submission(self, submission_id: str, job: Job, backend: str) -> bool:
        """The backend made this job for the question. False when it was made for another one."""
        others = update(submissions).where(submissions.c.job_id == job.job_id, submissions.c.state == "adopted")
        mistaken = others.where(submissions.c.submission_id != submission_id)
        try:
            async with self._begin() as connection:
                await connection.execute(mistaken.values(state="unknown", job_id=None))
                await connection.execute(_set_submission(submission_id, state="accepted", job_id=job.job_id))
                await connection.execute(_add_job(job, backend))
        except IntegrityError:
            return False
        return True

    async def adopt_job(self, lost: Submission, job: Job) -> bool:
        """Take a job for the one that a lost submission made.

        False when another submission has it, or when another lost one of the same account, made within two hours
        of this one, may have made it too.
        """
        mine = submissions.c.submission_id == lost.submission_id
        sent = datetime.fromisoformat(lost.created_at)
        rivals = select(func.count()).where(
            ~mine,
            _OPEN,
            submissions.c.backend == lost.backend,
            submissions.c.account == lost.account,
            submissions.c.created_at.between(timestamp(sent - _RIVALRY), timestamp(sent + _RIVALRY)),
        )
        adopted = update(submissions).where(mine, _OPEN).values(state="adopted", job_id=job.job_id)
        try:
            async with self._begin(writing=True) as connection:
                if await connection.scalar(rivals) or (await connection.execute(adopted)).rowcount != 1:
                    return False
                await connection.execute(_add_job(job, lost.backend))
        except IntegrityError:
            return False
        return True

    async def release_job(self, submission_id: str) -> None:
        """The job adopted for the question is another one's: its answer is lost again."""
        released = _set_submission(submission_id, state="unknown", job_id=None)
        async with self._begin() as connection:
            await connection.execute(released.where(submissions.c.state == "adopted"))

    async def reject_submission(self, submission_id: str) -> None:
        """The backend made no job: what it was to replace answers the question again, if there is any."""
        asked = select(submissions).where(submissions.c.submission_id == submission_id)
        rejected = _set_submission(submission_id, state="rejected", current=False).where(_OPEN)
        async with self._begin(writing=True) as connection:
            row = (await connection.execute(asked)).one()
            done = (await connection.execute(rejected)).rowcount == 1
            if done and row.current and row.replaces is not None:
                restored = _set_submission(row.replaces, current=True)
                await connection.execute(restored.where(submissions.c.state != "rejected"))

    async def retire_submission(self, submission_id: str) -> None:
        """Its job came to nothing: what it cost still counts, but the question may be asked again."""
        async with self._begin() as connection:
            await connection.execute(_set_submission(submission_id, current=False))

    async def lose_submission(self, submission_id: str) -> None:
        """The answer never came: whether a job was made is unknown."""
        lost = _set_submission(submission_id, state="unknown").where(submissions.c.state == "sending")
        async with self._begin() as connection:
            await connection.execute(lost)

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

    async def jobs_of_series(self, series_id: str) -> list[str]:
        """The ids of the jobs submitted with these numbers, whatever became of them, newest first."""
        query = select(submissions.c.job_id).where(submissions.c.series_id == series_id)
        made = query.where(submissions.c.job_id.is_not(None)).order_by(submissions.c.created_at.desc())
        async with self._begin() as connection:
            return list(await connection.scalars(made))

    async def kept_forecasts(self, limit: int, series_id: str | None = None) -> list[KeptForecast]:
        """Completed jobs whose forecast is kept, those that were seen last first; of one series, or of all."""
        forecast = select(artifacts.c.name).where(
            artifacts.c.job_id == jobs.c.job_id, artifacts.c.name == "forecast.json"
        )
        completed = func.json_extract(jobs.c.snapshot, "$.status") == "completed"
        query = (
            select(jobs.c.job_id, submissions.c.series_id)
            .select_from(jobs.outerjoin(submissions, submissions.c.job_id == jobs.c.job_id))
            .where(completed, forecast.exists())
            .where(true() if series_id is None else submissions.c.series_id == series_id)
            .order_by(jobs.c.first_seen_at.desc())
            .limit(limit)
        )
        async with self._begin() as connection:
            return [KeptForecast(*row) for row in (await connection.execute(query)).all()]

    async def points_of(self, series_ids: Collection[str]) -> dict[str, Mapping[str, float]]:
        """The numbers of several series, by their ids."""
        query = select(series.c.series_id, series.c.points).where(series.c.series_id.in_(series_ids))
        async with self._begin() as connection:
            return {row.series_id: row.points for row in (await connection.execute(query)).all()}

    async def submitted_job_ids(self) -> frozenset[str]:
        query = select(submissions.c.job_id).where(submissions.c.job_id.is_not(None))
        async with self._begin() as connection:
            return frozenset(await connection.scalars(query))

    async def spent_since(self, since: str) -> int:
        """EUR cents: what settled jobs submitted since then cost, and what the others are expected to."""
        async with self._begin() as connection:
            return int(await connection.scalar(_spent_since(since)) or 0)

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

    async def artifact_sizes(self, job_id: str) -> dict[str, int]:
        """Name → bytes of what is kept of a job; no content is read for it."""
        sizes = select(artifacts.c.name, func.length(artifacts.c.content).label("size"))
        async with self._begin() as connection:
            rows = (await connection.execute(sizes.where(artifacts.c.job_id == job_id))).all()
        return {row.name: row.size for row in rows}

    async def artifacts_named(self, name: str, job_ids: Collection[str], most_bytes: int) -> dict[str, bytes]:
        """One artifact of several jobs, by their ids; larger ones are left out unread."""
        query = select(artifacts.c.job_id, artifacts.c.content).where(
            artifacts.c.name == name, artifacts.c.job_id.in_(job_ids), func.length(artifacts.c.content) <= most_bytes
        )
        async with self._begin() as connection:
            return {row.job_id: row.content for row in (await connection.execute(query)).all()}

    async def artifact_names(self, job_id: str) -> list[str]:
        query = select(artifacts.c.name).where(artifacts.c.job_id == job_id).order_by(artifacts.c.name)
        async with self._begin() as connection:
            return list(await connection.scalars(query))

    @asynccontextmanager
    async def _begin(self, *, writing: bool = False) -> AsyncIterator[AsyncConnection]:
        """`writing`: nobody else writes from the first look on, so that what was read still holds when it is used."""
        with anyio.CancelScope(shield=True):  # a transaction is short, and a connection cut off in the middle is lost
            async with (await self._opened()).begin() as connection:
                if writing:
                    await connection.exec_driver_sql("BEGIN IMMEDIATE")
                yield connection

    async def _opened(self) -> AsyncEngine:
        async with self._opening:
            if self._engine is None:
                try:
                    self._engine = await open_sqlite(self._home / "desk.db", metadata)
                except (OSError, DatabaseError) as error:
                    raise Refusal(
                        "storage_failed",
                        "The data folder of this server cannot be used.",
                        "Ask the user to check SYBILION_MCP_HOME, its rights and the free space, and to restart.",
                    ) from error
            return self._engine


def _set_submission(submission_id: str, **values: object) -> Any:
    return update(submissions).where(submissions.c.submission_id == submission_id).values(**values)


def _spent_since(since: str) -> Any:
    final = func.json_extract(jobs.c.snapshot, "$.eur_cents_final")
    cost = case((final >= 0, final), else_=submissions.c.expected_eur_cents)
    joined = submissions.outerjoin(jobs, jobs.c.job_id == submissions.c.job_id)
    query = select(func.coalesce(func.sum(cost), 0)).select_from(joined)
    return query.where(submissions.c.created_at >= since, submissions.c.state != "rejected")


def _add_job(job: Job, backend: str) -> Any:
    """Who looked at the job already knows more about it than who made or found it."""
    snapshot = job.model_dump(mode="json")
    row = upsert(jobs).values(job_id=job.job_id, backend=backend, snapshot=snapshot, first_seen_at=now())
    return row.on_conflict_do_nothing()


def _put_job(job: Job, backend: str) -> Any:
    snapshot = job.model_dump(mode="json")
    row = upsert(jobs).values(job_id=job.job_id, backend=backend, snapshot=snapshot, first_seen_at=now())
    return row.on_conflict_do_update(set_={"snapshot": snapshot})


def _submission(row: Row[Any]) -> Submission:
    return Submission(**{name: getattr(row, name) for name in Submission.__slots__})
