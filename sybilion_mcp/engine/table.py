"""The engine's job table: one SQLite file that several processes may use at once."""

import json
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import NullPool

from sybilion_mcp.store.sqlite import open_sqlite

UNFINISHED = ("queued", "running")
SORTABLE = ("id", "created_at", "settled_at", "eur_cents_final")

_metadata = sa.MetaData()
_jobs = sa.Table(
    "jobs",
    _metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("account", sa.Text, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("created_at", sa.Text, nullable=False),
    sa.Column("settled_at", sa.Text),
    sa.Column("eur_cents_final", sa.Integer),
    sa.Column("pipeline_error", sa.Text),
    sa.Column("request", sa.Text, nullable=False),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("lease_until", sa.Float, nullable=False),  # seconds since the epoch; 0 = free to take
    sa.Column("attempts", sa.Integer, nullable=False),  # always 0; files of the former version demand a value
)
_artifacts = sa.Table(
    "artifacts",
    _metadata,
    sa.Column("job_id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("content", sa.LargeBinary, nullable=False),
)
sa.Index("jobs_by_account", _jobs.c.account, _jobs.c.created_at)
sa.Index("jobs_by_status", _jobs.c.status, _jobs.c.lease_until)


class TooManyJobs(Exception):
    """The account has as many unfinished jobs as it may have."""


@dataclass(frozen=True, slots=True)
class JobRow:
    """One job as it is stored; times are RFC 3339 in UTC."""

    id: str
    account: str
    status: str
    created_at: str
    settled_at: str | None
    eur_cents_final: int | None
    pipeline_error: Mapping[str, str] | None


@dataclass(frozen=True, slots=True)
class Claim:
    """A job this process may run now."""

    id: str
    request: str


@dataclass(frozen=True, slots=True)
class JobQuery:
    """A page of one account's jobs. `sort` is one of SORTABLE."""

    page: int = 1
    limit: int = 50
    sort: str = "created_at"
    descending: bool = True
    status: str | None = None
    pipeline_type: str | None = None


class JobTable:
    """Jobs and artifacts in `path`, once it is opened.

    `owner` names this process: what it holds a lease on, it alone may settle.
    """

    def __init__(self, path: Path, lease_seconds: float, clock: Callable[[], float] = time.time) -> None:
        self.owner = uuid.uuid4().hex
        self._path = path
        self._lease = lease_seconds
        self._clock = clock
        self._opened: AsyncEngine | None = None
        self._silent_since: dict[str, float] = {}  # running jobs whose lease ran out, and when that was first seen

    async def open(self) -> None:
        """Create what is missing; safe when several processes start at once."""
        # Connections live as long as one call: nothing is left open when a loop ends without aclose().
        self._opened = await open_sqlite(self._path, _metadata, poolclass=NullPool)

    @property
    def _engine(self) -> AsyncEngine:
        assert self._opened is not None, "open() comes first"
        return self._opened

    async def add(self, account: str, request: str, max_unfinished: int) -> Claim:
        """Store a new queued job, leased to this process.

        Raises `TooManyJobs` when the account has `max_unfinished` already; counted and stored in one statement, so
        that processes which add at the same time keep to it together.
        """
        job_id = str(uuid.uuid4())
        values: dict[str, object] = {
            "id": job_id,
            "account": account,
            "status": "queued",
            "created_at": _timestamp(),
            "request": request,
            "owner": self.owner,
            "lease_until": self._clock() + self._lease,
            "attempts": 0,
        }
        unfinished = sa.select(sa.func.count()).select_from(_jobs)
        unfinished = unfinished.where(_jobs.c.account == account, _jobs.c.status.in_(UNFINISHED))
        row = sa.select(*(sa.literal(value) for value in values.values()))
        row = row.where(unfinished.scalar_subquery() < max_unfinished)
        async with self._engine.begin() as connection:
            added = await connection.execute(sa.insert(_jobs).from_select(list(values), row))
        if not added.rowcount:
            raise TooManyJobs(f"{max_unfinished} jobs are queued or running")
        return Claim(job_id, request)

    async def get(self, account: str, job_id: str) -> JobRow | None:
        statement = sa.select(_jobs).where(_jobs.c.id == job_id, _jobs.c.account == account)
        async with self._engine.connect() as connection:
            row = (await connection.execute(statement)).one_or_none()
        return None if row is None else _job_row(row)

    async def page(self, account: str, query: JobQuery) -> tuple[list[JobRow], int]:
        """The jobs of one page, and how many there are on all pages."""
        wanted = [_jobs.c.account == account]
        if query.status is not None:
            wanted.append(_jobs.c.status == query.status)
        if query.pipeline_type not in (None, "forecast"):
            wanted.append(sa.false())
        column = _jobs.c[query.sort]
        order = (column.desc(), _jobs.c.id.desc()) if query.descending else (column.asc(), _jobs.c.id.asc())
        rows = sa.select(_jobs).where(*wanted).order_by(*order)
        rows = rows.limit(query.limit).offset((query.page - 1) * query.limit)
        count = sa.select(sa.func.count()).select_from(_jobs).where(*wanted)
        async with self._engine.connect() as connection:
            found = [_job_row(row) for row in await connection.execute(rows)]
            total = (await connection.execute(count)).scalar_one()
        return found, total

    async def take_over(self, working_on: Sequence[str], error: Mapping[str, str]) -> list[Claim]:
        """What became of jobs whose lease ran out: the queued ones are claimed, each by one process only; the running
        ones fail with `error`. The jobs this process is `working_on` are left out.
        """
        now = self._clock()
        lapsed = (_jobs.c.lease_until < now, _jobs.c.id.not_in(working_on))
        found = sa.select(_jobs.c.id, _jobs.c.status).where(_jobs.c.status.in_(UNFINISHED), *lapsed)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(found)).all()
        await self._fail_silent([row.id for row in rows if row.status == "running"], now, error)
        taken = [await self._take(row.id, now) for row in rows if row.status == "queued"]
        return [claim for claim in taken if claim is not None]

    async def _take(self, job_id: str, now: float) -> Claim | None:
        swap = (
            sa.update(_jobs)
            .where(_jobs.c.id == job_id, _jobs.c.status == "queued", _jobs.c.lease_until < now)
            .values(owner=self.owner, lease_until=now + self._lease)
            .returning(_jobs.c.request)
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
        silent = sa.update(_jobs).where(_jobs.c.id.in_(gone), _jobs.c.status == "running", _jobs.c.lease_until < now)
        async with self._engine.begin() as connection:
            await connection.execute(silent.values(**_settled("failed"), pipeline_error=json.dumps(error)))

    async def mark_running(self, job_id: str) -> bool:
        """Whether it is this process's to run; another one may have taken it while this one was silent."""
        return await self._update_mine([job_id], status="running") > 0

    async def renew(self, job_ids: Sequence[str]) -> None:
        """Keep the leases of the jobs this process still works on."""
        await self._update_mine(job_ids, lease_until=self._clock() + self._lease)

    async def release(self, job_ids: Sequence[str]) -> None:
        """Give unfinished jobs back: whoever looks next takes them over."""
        await self._update_mine(job_ids, status="queued", lease_until=0.0)

    async def complete(self, job_id: str, artifacts: Mapping[str, bytes]) -> None:
        """Settle a job with its artifacts, unless another process has settled it meanwhile."""
        rows = [{"job_id": job_id, "name": name, "content": content} for name, content in artifacts.items()]
        async with self._engine.begin() as connection:
            settled = await connection.execute(self._mine([job_id]).values(_settled("completed")))
            if settled.rowcount:
                await connection.execute(sa.insert(_artifacts), rows)

    async def fail(self, job_id: str, error: Mapping[str, str]) -> None:
        await self._update_mine([job_id], **_settled("failed"), pipeline_error=json.dumps(error))

    async def artifact_sizes(self, job_id: str) -> dict[str, int]:
        """Name → size in bytes, by name."""
        size = sa.func.length(_artifacts.c.content)
        statement = sa.select(_artifacts.c.name, size).where(_artifacts.c.job_id == job_id)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(statement.order_by(_artifacts.c.name))).all()
        return {row[0]: row[1] for row in rows}

    async def artifact(self, job_id: str, name: str) -> bytes | None:
        statement = sa.select(_artifacts.c.content).where(_artifacts.c.job_id == job_id, _artifacts.c.name == name)
        async with self._engine.connect() as connection:
            content: bytes | None = (await connection.execute(statement)).scalar_one_or_none()
        return content

    async def aclose(self) -> None:
        if self._opened is not None:
            await self._opened.dispose()

    def _mine(self, job_ids: Sequence[str]) -> sa.Update:
        return sa.update(_jobs).where(
            _jobs.c.id.in_(job_ids), _jobs.c.owner == self.owner, _jobs.c.status.in_(UNFINISHED)
        )

    async def _update_mine(self, job_ids: Sequence[str], **values: object) -> int:
        async with self._engine.begin() as connection:
            return (await connection.execute(self._mine(job_ids).values(values))).rowcount


def _settled(status: str) -> dict[str, object]:
    # The embedded engine is free: the final price is known, and it is nothing.
    return {"status": status, "settled_at": _timestamp(), "eur_cents_final": 0, "lease_until": 0.0}


def _timestamp() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


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
