"""What the desk remembers: series, submissions, jobs and their artifacts, in one SQLite file that processes share."""

import json
import logging
import sqlite3
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread
from pydantic import ValidationError
from sqlalchemy import and_, func, insert, select, true
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.exc import DatabaseError, IntegrityError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from sybilion_mcp.contract.jobs import Job
from sybilion_mcp.store import remembered, shelf, statements
from sybilion_mcp.store.draft import DamagedArtifact, Draft
from sybilion_mcp.store.failures import storage_failed
from sybilion_mcp.store.migrations import MIGRATIONS
from sybilion_mcp.store.records import (
    KeptArtifact,
    KeptForecast,
    OverCap,
    RememberedJob,
    StoredJob,
    StoredSeries,
    Submission,
    now,
)
from sybilion_mcp.store.sqlite import open_sqlite
from sybilion_mcp.store.tables import artifacts, jobs, metadata, series, submissions

_OPEN = and_(submissions.c.job_id.is_(None), submissions.c.state.in_(("sending", "unknown")))
_UNREADABLE = (OSError, sqlite3.Error, DatabaseError, json.JSONDecodeError, UnicodeError, ValidationError)
"""What comes of a damaged or locked file, a full disk, missing rights, or rows that were not written by a store."""

_log = logging.getLogger(__name__)


class Store:
    """Opened on first use. Every method is one transaction.

    All raise Refusal `storage_failed` when the file or the disk under it cannot be used.
    """

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
                    spent = int(await connection.scalar(statements.spent_since(new.created_at[:10])) or 0)
                    if spent + new.expected_eur_cents > cap_eur_cents:
                        raise OverCap(spent)
                if new.replaces is not None:
                    replaced = statements.set_submission(new.replaces, current=False).where(submissions.c.current)
                    if (await connection.execute(replaced)).rowcount != 1:
                        return False
                await connection.execute(insert(submissions).values(**values, current=True))
        except IntegrityError:
            return False
        return True

    async def accept_submission(self, submission_id: str, job: Job, backend: str) -> bool:
        """The backend made this job for the question. False when it was made for another one."""
        try:
            async with self._begin() as connection:
                await connection.execute(statements.set_submission(submission_id, state="accepted", job_id=job.job_id))
                await connection.execute(statements.add_job(job, backend))
        except IntegrityError:
            return False
        return True

    async def reject_submission(self, submission_id: str) -> None:
        """The backend made no job: what it was to replace answers the question again, if there is any."""
        asked = select(submissions).where(submissions.c.submission_id == submission_id)
        rejected = statements.set_submission(submission_id, state="rejected", current=False).where(_OPEN)
        async with self._begin(writing=True) as connection:
            row = (await connection.execute(asked)).one()
            done = (await connection.execute(rejected)).rowcount == 1
            if done and row.current:
                await connection.execute(statements.restore(row.replaces))

    async def retire_submission(self, submission_id: str) -> None:
        """Its job came to nothing: what it cost still counts, but what it replaced answers again, or nothing does."""
        asked = select(submissions).where(submissions.c.submission_id == submission_id)
        async with self._begin(writing=True) as connection:
            row = (await connection.execute(asked)).one()
            await connection.execute(statements.set_submission(submission_id, current=False))
            if row.current:
                await connection.execute(statements.restore(row.replaces))

    async def lose_submission(self, submission_id: str) -> None:
        """The answer never came: whether a job was made is unknown."""
        lost = statements.set_submission(submission_id, state="unknown").where(submissions.c.state == "sending")
        async with self._begin() as connection:
            await connection.execute(lost)

    async def current_submission(self, request_hash: str) -> Submission | None:
        query = select(submissions).where(submissions.c.request_hash == request_hash, submissions.c.current)
        async with self._begin() as connection:
            row = (await connection.execute(query)).one_or_none()
        return statements.submission_in(row) if row else None

    async def submission_of(self, job_id: str) -> Submission | None:
        query = select(submissions).where(submissions.c.job_id == job_id, submissions.c.state != "forgotten")
        async with self._begin() as connection:
            row = (await connection.execute(query)).first()
        return statements.submission_in(row) if row else None

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
            .select_from(jobs.outerjoin(submissions, remembered.OF_JOB))
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
            return int(await connection.scalar(statements.spent_since(since)) or 0)

    async def settled_jobs(self, backend: str, account: str, *, drivers: bool, limit: int) -> list[Job]:
        """The completed jobs of an account that were paid for, asked for with or without outside drivers, newest first.

        A job that cost nothing is left out: it says nothing about the price.
        """
        asked = func.coalesce(func.json_extract(submissions.c.request, "$.filters.limit"), -1)
        query = (
            select(jobs.c.snapshot)
            .join(submissions, remembered.OF_JOB)
            .where(submissions.c.backend == backend, submissions.c.account == account)
            .where(func.json_extract(jobs.c.snapshot, "$.status") == "completed")
            .where(func.json_extract(jobs.c.snapshot, "$.eur_cents_final") > 0)
            .where(asked != 0 if drivers else asked == 0)
            .order_by(submissions.c.created_at.desc())
            .limit(limit)
        )
        async with self._begin() as connection:
            return [Job.model_validate(snapshot) for snapshot in await connection.scalars(query)]

    async def put_job(self, job: Job, backend: str) -> None:
        async with self._begin() as connection:
            await connection.execute(statements.put_job(job, backend))

    async def job(self, job_id: str) -> StoredJob | None:
        async with self._begin() as connection:
            row = (await connection.execute(select(jobs).where(jobs.c.job_id == job_id))).one_or_none()
            return StoredJob(Job.model_validate(row.snapshot), row.backend) if row else None

    async def job_ids(self, prefix: str, limit: int) -> list[str]:
        query = select(jobs.c.job_id).where(jobs.c.job_id.startswith(prefix, autoescape=True))
        async with self._begin() as connection:
            return list(await connection.scalars(query.order_by(jobs.c.first_seen_at.desc()).limit(limit)))

    async def remembered_jobs(self, limit: int, status: str | None = None) -> list[RememberedJob]:
        """The jobs that were seen last first, with what is kept of each."""
        async with self._begin() as connection:
            return await remembered.found(connection, limit, status)

    async def forget_job(self, job_id: str) -> bool:
        """Drop a job, its artifacts, and what was asked for it; False when there is none.

        What it cost, or may cost, still counts for its day, and its id still tells it from jobs of lost submissions.
        """
        async with self._begin(writing=True) as connection:
            return await remembered.forget(connection, job_id)

    async def put_artifact(self, job_id: str, name: str, content: bytes) -> None:
        with Draft() as draft:
            await draft.fill(content)
            await self.put_draft(job_id, name, draft)

    async def put_draft(self, job_id: str, name: str, draft: Draft, *, instead: bool = False) -> None:
        """Keep a sealed draft, all of it or nothing. What is kept already stays, unless this comes `instead` of it."""
        async with self._begin(writing=True) as connection:
            if instead:
                await shelf.drop(connection, job_id, name)
            await shelf.put(connection, job_id, name, draft)

    async def artifact(self, job_id: str, name: str) -> bytes | None:
        """All of it, checked; None when it is not kept, or damaged, of which the log tells."""
        return (await self._whole(name, [job_id], None)).get(job_id)

    async def kept_artifact(self, job_id: str, name: str) -> KeptArtifact | None:
        query = select(artifacts).where(artifacts.c.job_id == job_id, artifacts.c.name == name)
        async with self._begin() as connection:
            row = (await connection.execute(query)).one_or_none()
        return KeptArtifact(*row) if row else None

    async def pieces(self, kept: KeptArtifact) -> AsyncIterator[bytes]:
        """The content of an artifact, a mebibyte at a time. Raises `DamagedArtifact`, at the end at the latest."""
        check = shelf.Check(kept.sha256, kept.size)
        for position in range(check.pieces):
            async with self._begin() as connection:
                packed = await shelf.piece(connection, kept, position)
            yield await check.unpacked(packed)
        check.finish()

    async def artifact_sizes(self, job_id: str) -> dict[str, int]:
        """Name → bytes of what is kept of a job; no content is read for it."""
        async with self._begin() as connection:
            return await shelf.sizes(connection, job_id)

    async def artifacts_named(self, name: str, job_ids: Collection[str], most_bytes: int) -> dict[str, bytes]:
        """One artifact of several jobs, by their ids; larger ones are left out unread, damaged ones too."""
        return await self._whole(name, job_ids, most_bytes)

    async def artifact_names(self, job_id: str) -> list[str]:
        return sorted(await self.artifact_sizes(job_id))

    async def _whole(self, name: str, job_ids: Collection[str], most_bytes: int | None) -> dict[str, bytes]:
        async with self._begin() as connection:
            found = await shelf.packed(connection, name, job_ids, most_bytes)
        contents: dict[str, bytes] = {}
        for kept, packed in found.items():
            try:
                contents[kept.job_id] = await anyio.to_thread.run_sync(shelf.whole, kept, packed)
            except DamagedArtifact as error:
                _log.warning("what is kept of %r of job %s is damaged: %s", name, kept.job_id, error)
        return contents

    @asynccontextmanager
    async def _begin(self, *, writing: bool = False) -> AsyncIterator[AsyncConnection]:
        """`writing`: nobody else writes from the first look on, so that what was read still holds when it is used."""
        with anyio.CancelScope(shield=True):  # a transaction is short, and a connection cut off in the middle is lost
            try:
                async with (await self._opened()).begin() as connection:
                    if writing:
                        await connection.exec_driver_sql("BEGIN IMMEDIATE")
                    yield connection
            except (IntegrityError, ProgrammingError):  # a rule of the tables, or a mistake of ours
                raise
            except _UNREADABLE as error:
                raise storage_failed(error) from error

    async def _opened(self) -> AsyncEngine:
        async with self._opening:
            if self._engine is None:
                self._engine = await open_sqlite(self._home / "desk.db", metadata, migrations=MIGRATIONS)
            return self._engine
