"""What the desk remembers: series, submissions, jobs and their artifacts, in one SQLite file that processes share."""

import json
import logging
from collections.abc import AsyncIterator, Collection, Mapping
from pathlib import Path

from sqlalchemy import func, insert, or_, select
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.exc import IntegrityError

from sybilion_mcp.contract.jobs import Job
from sybilion_mcp.store import accounts, outcomes, remembered, shelf, statements
from sybilion_mcp.store.calls import Calls
from sybilion_mcp.store.catalogues import Catalogues
from sybilion_mcp.store.database import Database
from sybilion_mcp.store.draft import PACKING, DamagedArtifact, Draft
from sybilion_mcp.store.job_list import JobList
from sybilion_mcp.store.panels import Panels
from sybilion_mcp.store.records import (
    KeptArtifact,
    KeptForecast,
    OverCap,
    RememberedJob,
    Spent,
    StoredJob,
    StoredSeries,
    Submission,
    now,
)
from sybilion_mcp.store.sqlite import BUSY_SECONDS
from sybilion_mcp.store.tables import artifacts, jobs, series, submissions

_log = logging.getLogger(__name__)


class Store:
    """Opened on first use. Every method is one transaction.

    All raise Refusal `storage_failed` when the file or the disk under it cannot be used.
    """

    def __init__(self, home: Path) -> None:
        self._database = Database(home / "desk.db")
        self._begin = self._database.begin
        self.calls = Calls(self._begin)
        self.catalogues = Catalogues(self._begin)
        self.job_list = JobList(self._begin)
        self.panels = Panels(self._begin)

    async def aclose(self) -> None:
        await self._database.aclose()

    def backups(self) -> list[Path]:
        """Copies of the database as it was before an upgrade; what is forgotten since is still in them."""
        return self._database.backups()

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
        async with self._begin(writing=True) as connection:
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

    async def accept_submission(
        self, submission_id: str, job: Job, backend: str, *, patience: float = BUSY_SECONDS
    ) -> bool:
        """The backend made this job for the question. False when it was made for another one."""
        try:
            async with self._begin(writing=True, patience=patience) as connection:
                return await outcomes.accept(connection, submission_id, job, backend)
        except IntegrityError:
            return False

    async def job_known_under(self, request_id: str) -> bool:
        """Whether a submission that was sent under this id made a job."""
        async with self._begin() as connection:
            return await outcomes.job_known_under(connection, request_id)

    async def reject_submission(
        self, submission_id: str, *, paid: bool = False, patience: float = BUSY_SECONDS
    ) -> None:
        """The backend made no job: what it was to replace answers the question again, if there is any.

        `paid`: it may have made one that came to nothing; what that may have cost still counts.
        """
        async with self._begin(writing=True, patience=patience) as connection:
            await outcomes.reject(connection, submission_id, "fallen" if paid else "rejected")

    async def give_way(self, submission_id: str, to: str) -> None:
        """Its answer was the job of another submission of the same question, which answers it from now on."""
        async with self._begin(writing=True) as connection:
            await outcomes.give_way(connection, submission_id, to)

    async def retire_submission(self, submission_id: str) -> None:
        """Its job came to nothing: what it cost still counts, but what it replaced answers again, or nothing does."""
        async with self._begin(writing=True) as connection:
            await outcomes.retire(connection, submission_id)

    async def lose_submission(self, submission_id: str, *, patience: float = BUSY_SECONDS) -> None:
        """The answer never came: whether a job was made is unknown."""
        lost = statements.set_submission(submission_id, state="unknown").where(submissions.c.state == "sending")
        async with self._begin(writing=True, patience=patience) as connection:
            await connection.execute(lost)

    async def miss_submission(self, submission_id: str, at: str) -> str:
        """Its job was looked for and not found; when that was so first. A time still to come is none."""
        missed = submissions.c.missed_at
        noted = statements.set_submission(submission_id, missed_at=at).where(or_(missed.is_(None), missed > at))
        async with self._begin(writing=True) as connection:
            await connection.execute(noted)
            first = await connection.scalar(select(missed).where(submissions.c.submission_id == submission_id))
        return str(first or at)

    async def open_submissions(self, backend: str, accounts: Collection[str]) -> list[Submission]:
        """Those of which nobody knows yet whether a job was made, whether or not they stand for a question."""
        query = select(submissions).where(statements.OPEN, submissions.c.backend == backend)
        async with self._begin() as connection:
            rows = await connection.execute(query.where(submissions.c.account.in_(accounts)))
            return [statements.submission_in(row) for row in rows]

    async def doubt_submission(self, submission_id: str) -> None:
        """The job that a former version took for the answer is that of another question."""
        doubted = statements.set_submission(submission_id, state="unknown", job_id=None)
        async with self._begin(writing=True) as connection:
            await connection.execute(doubted.where(submissions.c.state == "adopted"))

    async def current_submission(self, request_hash: str) -> Submission | None:
        query = select(submissions).where(submissions.c.request_hash == request_hash, submissions.c.current)
        async with self._begin() as connection:
            row = (await connection.execute(query)).one_or_none()
        return statements.submission_in(row) if row else None

    async def replaced_submission(self, submission_id: str) -> Submission | None:
        """What stands again when the submission that replaced it goes; None when it does not either."""
        query = select(submissions).where(submissions.c.submission_id == submission_id)
        async with self._begin() as connection:
            row = (await connection.execute(query.where(statements.MAY_STAND))).one_or_none()
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
        async with self._begin() as connection:
            return await remembered.kept_forecasts(connection, limit, series_id)

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

    async def paid_and_reserved(self, since: str) -> Spent:
        """The same, told apart."""
        async with self._begin() as connection:
            return Spent(*(await connection.execute(statements.paid_and_reserved(since))).one())

    async def account_names(self, token: str) -> list[str]:
        """Where questions of a token's (a hash's) account may stand, the account's name first; none if unknown."""
        async with self._begin() as connection:
            return await accounts.names(connection, token)

    async def learn_account(self, token: str, user: str, service: str) -> None:
        """Remember for good whose a token is: an account that is known already keeps its name."""
        async with self._begin(writing=True) as connection:
            await accounts.learn(connection, token, user, service)

    async def knows_accounts(self, service: str) -> bool:
        async with self._begin() as connection:
            return await accounts.any_at(connection, service)

    async def settled_jobs(self, backend: str, account: str, *, drivers: bool, limit: int) -> list[Job]:
        """The completed jobs of an account that were paid for, asked for with or without outside drivers, newest first.

        A job that cost nothing is left out: it says nothing about the price.
        """
        asked = func.coalesce(func.json_extract(submissions.c.request, "$.filters.limit"), -1)
        query = (
            select(jobs.c.snapshot)
            .join(submissions, remembered.OF_JOB)
            .where(submissions.c.backend == backend)
            .where(or_(submissions.c.account == account, submissions.c.account.in_(accounts.tokens_beside(account))))
            .where(func.json_extract(jobs.c.snapshot, "$.status") == "completed")
            .where(func.json_extract(jobs.c.snapshot, "$.eur_cents_final") > 0)
            .where(asked != 0 if drivers else asked == 0)
            .order_by(submissions.c.created_at.desc())
            .limit(limit)
        )
        async with self._begin() as connection:
            return [Job.model_validate(snapshot) for snapshot in await connection.scalars(query)]

    async def put_job(self, job: Job, backend: str, *, anew: bool = True, patience: float = BUSY_SECONDS) -> bool:
        """Write down what is seen of a job. Not `anew`: False when it is not remembered, as one forgotten meanwhile.

        `patience` in seconds, for a lock.
        """
        async with self._begin(writing=True, patience=patience) as connection:
            if not (anew or await shelf.is_remembered(connection, job.job_id)):
                return False
            await connection.execute(statements.put_job(job, backend))
        return True

    async def lose_job(self, job_id: str, *, patience: float = BUSY_SECONDS) -> None:
        """Its backend does not know it any longer; of a job that is finished or kept that is nothing new."""
        async with self._begin(writing=True, patience=patience) as connection:
            await connection.execute(statements.lose_job(job_id))

    async def job(self, job_id: str) -> StoredJob | None:
        async with self._begin() as connection:
            row = (await connection.execute(select(jobs).where(jobs.c.job_id == job_id))).one_or_none()
            return statements.job_in(row) if row else None

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

    async def put_draft(
        self, job_id: str, name: str, draft: Draft, *, instead: bool = False, patience: float = BUSY_SECONDS
    ) -> bool:
        """Keep a sealed draft, all of it or nothing; False when its job is not remembered, or not any more.

        What is kept already stays, unless this comes `instead` of it. `patience` in seconds, for a lock.
        """
        async with self._begin(writing=True, patience=patience) as connection:
            if not await shelf.is_remembered(connection, job_id):
                return False
            if instead:
                await shelf.drop(connection, job_id, name)
            await shelf.put(connection, job_id, name, draft)
        return True

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
                contents[kept.job_id] = await PACKING.run(shelf.whole, kept, packed)
            except DamagedArtifact as error:
                _log.warning("what is kept of %r of job %s is damaged: %s", name, kept.job_id, error)
        return contents
