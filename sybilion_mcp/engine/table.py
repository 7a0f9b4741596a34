"""The engine's job table: one SQLite file that several processes may use at once."""

import json
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import NullPool

from sybilion_mcp.contract.jobs import JobStatus
from sybilion_mcp.engine.accounts import Accounts, settle, timestamp
from sybilion_mcp.engine.answers import PipelineError
from sybilion_mcp.engine.schema import ARTIFACTS, JOBS, METADATA
from sybilion_mcp.engine.terms import Terms
from sybilion_mcp.store.sqlite import open_sqlite

UNFINISHED = ("queued", "running")


class TooManyJobs(Exception):
    """The account has as many unfinished jobs as it may have."""


@dataclass(frozen=True, slots=True)
class JobRow:
    """One job as it is stored; times are RFC 3339 in UTC."""

    id: str
    account: str
    status: JobStatus
    created_at: str
    settled_at: str | None
    eur_cents_final: int | None
    pipeline_error: PipelineError | None


@dataclass(frozen=True, slots=True)
class Claim:
    """A job this process may run now."""

    id: str
    request: str


@dataclass(frozen=True, slots=True)
class JobQuery:
    """A page of one account's jobs. `sort` is one of `answers.JobSort`."""

    page: int = 1
    limit: int = 50
    sort: str = "created_at"
    descending: bool = True
    status: str | None = None
    pipeline_type: str | None = None


class JobTable:
    """Jobs and artifacts in `path`, once it is opened.

    `owner` names this process: what it holds a lease on, it alone may settle. With `terms` there are `accounts` that
    pay for their jobs, and settled jobs may be gone after a while.
    """

    def __init__(
        self, path: Path, lease_seconds: float, clock: Callable[[], float] = time.time, terms: Terms | None = None
    ) -> None:
        self.owner = uuid.uuid4().hex
        self.accounts = Accounts(lambda: self._engine, terms.credit_eur_cents, clock) if terms else None
        self._retention = terms.retention_seconds if terms else None
        self._path = path
        self._lease = lease_seconds
        self._clock = clock
        self._opened: AsyncEngine | None = None
        self._silent_since: dict[str, float] = {}  # running jobs whose lease ran out, and when that was first seen

    async def open(self) -> None:
        """Create what is missing; safe when several processes start at once."""
        # Connections live as long as one call: nothing is left open when a loop ends without aclose().
        self._opened = await open_sqlite(self._path, METADATA, poolclass=NullPool)

    @property
    def _engine(self) -> AsyncEngine:
        assert self._opened is not None, "open() comes first"
        return self._opened

    async def add(self, account: str, request: str, max_unfinished: int, hold: int = 0) -> Claim:
        """Store a new queued job, leased to this process, with what is held for it where there are accounts.

        Raises `TooManyJobs` when the account has `max_unfinished` already; counted and stored in one statement, so
        that processes which add at the same time keep to it together. Raises `InsufficientCredits` after that.
        """
        job_id = str(uuid.uuid4())
        values: dict[str, object] = {
            "id": job_id,
            "account": account,
            "status": "queued",
            "created_at": timestamp(self._clock()),
            "request": request,
            "owner": self.owner,
            "lease_until": self._clock() + self._lease,
            "attempts": 0,
        }
        unfinished = sa.select(sa.func.count()).select_from(JOBS)
        unfinished = unfinished.where(JOBS.c.account == account, JOBS.c.status.in_(UNFINISHED))
        row = sa.select(*(sa.literal(value) for value in values.values()))
        row = row.where(unfinished.scalar_subquery() < max_unfinished)
        async with self._engine.begin() as connection:
            added = await connection.execute(sa.insert(JOBS).from_select(list(values), row))
            if not added.rowcount:
                raise TooManyJobs(f"{max_unfinished} jobs are queued or running")
            if self.accounts is not None:
                await self.accounts.hold(connection, account, job_id, hold)
        return Claim(job_id, request)

    async def get(self, account: str, job_id: str) -> JobRow | None:
        statement = sa.select(JOBS).where(JOBS.c.id == job_id, *self._visible(account))
        async with self._engine.connect() as connection:
            row = (await connection.execute(statement)).one_or_none()
        return None if row is None else _job_row(row)

    async def page(self, account: str, query: JobQuery) -> tuple[list[JobRow], int]:
        """The jobs of one page, and how many there are on all pages."""
        wanted = self._visible(account)
        if query.status is not None:
            wanted.append(JOBS.c.status == query.status)
        if query.pipeline_type not in (None, "forecast"):
            wanted.append(sa.false())
        column = JOBS.c[query.sort]
        order = (column.desc(), JOBS.c.id.desc()) if query.descending else (column.asc(), JOBS.c.id.asc())
        rows = sa.select(JOBS).where(*wanted).order_by(*order)
        rows = rows.limit(query.limit).offset((query.page - 1) * query.limit)
        count = sa.select(sa.func.count()).select_from(JOBS).where(*wanted)
        async with self._engine.connect() as connection:
            found = [_job_row(row) for row in await connection.execute(rows)]
            total = (await connection.execute(count)).scalar_one()
        return found, total

    async def take_over(self, working_on: Sequence[str], error: Mapping[str, str]) -> list[Claim]:
        """What became of jobs whose lease ran out: the queued ones are claimed, each by one process only; the running
        ones fail with `error`. The jobs this process is `working_on` are left out.
        """
        now = self._clock()
        lapsed = (JOBS.c.lease_until < now, JOBS.c.id.not_in(working_on))
        found = sa.select(JOBS.c.id, JOBS.c.status).where(JOBS.c.status.in_(UNFINISHED), *lapsed)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(found)).all()
        await self._fail_silent([row.id for row in rows if row.status == "running"], now, error)
        taken = [await self._take(row.id, now) for row in rows if row.status == "queued"]
        return [claim for claim in taken if claim is not None]

    async def _take(self, job_id: str, now: float) -> Claim | None:
        swap = (
            sa.update(JOBS)
            .where(JOBS.c.id == job_id, JOBS.c.status == "queued", JOBS.c.lease_until < now)
            .values(owner=self.owner, lease_until=now + self._lease)
            .returning(JOBS.c.request)
        )
        async with self._engine.begin() as connection:
            row = (await connection.execute(swap)).one_or_none()
        return None if row is None else Claim(job_id, row.request)

    async def _fail_silent(self, job_ids: Sequence[str], now: float, error: Mapping[str, str]) -> None:
        """Settle as failed what is silent for half a lease since it was first seen so.

        A machine that wakes up finds every lease run out, and a failure is final: the living get time to renew.
        """
        self._silent_since = {job_id: self._silent_since.get(job_id, now) for job_id in job_ids}
        gone = [job_id for job_id, since in self._silent_since.items() if now - since >= self._lease / 2]
        if not gone:
            return
        silent = sa.update(JOBS).where(JOBS.c.id.in_(gone), JOBS.c.status == "running", JOBS.c.lease_until < now)
        await self._settle(silent.values(**self._settled("failed"), pipeline_error=json.dumps(error)))

    async def mark_running(self, job_id: str) -> bool:
        """Whether it is this process's to run; another one may have taken it while this one was silent."""
        return await self._update_mine([job_id], status="running") > 0

    async def renew(self, job_ids: Sequence[str]) -> None:
        """Keep the leases of the jobs this process still works on."""
        await self._update_mine(job_ids, lease_until=self._clock() + self._lease)

    async def release(self, job_ids: Sequence[str]) -> None:
        """Give unfinished jobs back: whoever looks next takes them over."""
        await self._update_mine(job_ids, status="queued", lease_until=0.0)

    async def complete(self, job_id: str, artifacts: Mapping[str, bytes], eur_cents: int = 0) -> None:
        """Settle a job with its artifacts and, at most, what is held; unless another process has settled it."""
        rows = [{"job_id": job_id, "name": name, "content": content} for name, content in artifacts.items()]
        await self._settle(self._mine([job_id]).values(self._settled("completed")), rows, eur_cents)

    async def fail(self, job_id: str, error: Mapping[str, str]) -> None:
        """Settle a job that costs nothing, unless another process has settled it meanwhile."""
        await self._settle(self._mine([job_id]).values(**self._settled("failed"), pipeline_error=json.dumps(error)))

    async def artifact_sizes(self, job_id: str) -> dict[str, int]:
        """Name → size in bytes, by name."""
        size = sa.func.length(ARTIFACTS.c.content)
        statement = sa.select(ARTIFACTS.c.name, size).where(ARTIFACTS.c.job_id == job_id)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(statement.order_by(ARTIFACTS.c.name))).all()
        return {row[0]: row[1] for row in rows}

    async def artifact(self, job_id: str, name: str) -> bytes | None:
        statement = sa.select(ARTIFACTS.c.content).where(ARTIFACTS.c.job_id == job_id, ARTIFACTS.c.name == name)
        async with self._engine.connect() as connection:
            content: bytes | None = (await connection.execute(statement)).scalar_one_or_none()
        return content

    async def aclose(self) -> None:
        if self._opened is not None:
            await self._opened.dispose()

    async def _settle(
        self, statement: sa.Update, artifacts: Sequence[Mapping[str, object]] = (), eur_cents: int = 0
    ) -> None:
        """One transaction: the jobs that the statement finds unfinished, their artifacts, what is held and charged."""
        async with self._engine.begin() as connection:
            for job_id in (await connection.execute(statement.returning(JOBS.c.id))).scalars().all():
                if artifacts:
                    await connection.execute(sa.insert(ARTIFACTS), artifacts)
                await settle(connection, job_id, eur_cents, self._clock())

    def _settled(self, status: str) -> dict[str, object]:
        # Free unless something is held: the final price is known, and it is nothing.
        return {"status": status, "settled_at": timestamp(self._clock()), "eur_cents_final": 0, "lease_until": 0.0}

    def _visible(self, account: str) -> list[sa.ColumnElement[bool]]:
        """The account's own jobs, but for those settled too long ago."""
        own = [JOBS.c.account == account]
        if self._retention is None:
            return own
        since = timestamp(self._clock() - self._retention)
        return [*own, sa.or_(JOBS.c.settled_at.is_(None), JOBS.c.settled_at > since)]

    def _mine(self, job_ids: Sequence[str]) -> sa.Update:
        return sa.update(JOBS).where(JOBS.c.id.in_(job_ids), JOBS.c.owner == self.owner, JOBS.c.status.in_(UNFINISHED))

    async def _update_mine(self, job_ids: Sequence[str], **values: object) -> int:
        async with self._engine.begin() as connection:
            return (await connection.execute(self._mine(job_ids).values(values))).rowcount


def _job_row(row: sa.Row[tuple[object, ...]]) -> JobRow:
    error = row.pipeline_error
    return JobRow(
        row.id,
        row.account,
        row.status,
        row.created_at,
        row.settled_at,
        row.eur_cents_final,
        None if error is None else json.loads(error),
    )
