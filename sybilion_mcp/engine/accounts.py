"""What an account of the sandbox has, holds and paid. Money in EUR cents, times as RFC 3339 text in UTC.

Everything is read from and written to the jobs' own file, each change in one transaction with what it is for, so
that several processes on one folder neither charge twice nor let an account spend more than it has.
"""

import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from sybilion_mcp.engine.schema import ANSWERS, CHARGES, CREDITS, HOLDS, JOBS
from sybilion_mcp.engine.terms import CREDIT_DAYS

FORECAST = "forecast"  # the endpoint that a job is charged under
ANSWER_SECONDS = 24 * 3600.0  # that an answer is known by its request id

_DAY = 24 * 3600.0
_COLUMNS = {"eur_cents_charged": "eur_cents", "credits_charged": "eur_cents"}  # a credit is a cent


class InsufficientCredits(Exception):
    """The account has `have` left, and needs `need`."""

    def __init__(self, need: int, have: int) -> None:
        super().__init__(f"need {need}, have {have}")
        self.need, self.have = need, have


class OtherQuestion(Exception):
    """A request id came again with another body."""


@dataclass(frozen=True, slots=True)
class Balance:
    """The one credit of an account, and what became of it."""

    credit_id: str
    credit: int
    granted_at: str
    expires_at: str
    remaining: int
    held: int

    @property
    def available(self) -> int:
        return max(self.remaining - self.held, 0)


@dataclass(frozen=True, slots=True)
class Charge:
    id: int
    endpoint: str
    units: int
    eur_cents: int
    created_at: str
    job_id: str | None


@dataclass(frozen=True, slots=True)
class UsageQuery:
    """A page of one account's charges. `sort` is one of `answers.UsageSort`."""

    page: int = 1
    limit: int = 50
    sort: str = "id"
    descending: bool = True


@dataclass(frozen=True, slots=True)
class Call:
    """A billed call. `asked` is a hash of its body; with a `request_id` it is charged once, however often it comes."""

    account: str
    endpoint: str
    request_id: str | None
    asked: str


def timestamp(seconds: float) -> str:
    """Seconds since the epoch as RFC 3339; later is greater."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Accounts:
    """The accounts in an opened engine.db; each begins with `credit` at the first look."""

    def __init__(
        self, database: Callable[[], AsyncEngine], credit: int, clock: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._credit = credit
        self._clock = clock

    async def balance(self, account: str) -> Balance:
        async with self._writing() as connection:
            return await self._balance(connection, account)

    async def hold(self, connection: AsyncConnection, account: str, job_id: str, eur_cents: int) -> None:
        """Set money aside for a new job, in the transaction that writes it. Raises `InsufficientCredits`."""
        await self._check(connection, account, eur_cents)
        row = {"job_id": job_id, "account": account, "eur_cents": eur_cents}
        await connection.execute(sa.insert(HOLDS).values(row))

    async def answered(self, call: Call) -> str | None:
        """The answer that was given to the same call. Raises `OtherQuestion`."""
        async with self._database().connect() as connection:
            return await self._answered(connection, call)

    async def check(self, account: str, eur_cents: int) -> None:
        """Raises `InsufficientCredits` when the account has not got so much left."""
        async with self._writing() as connection:
            await self._check(connection, account, eur_cents)

    async def charge(self, call: Call, units: int, eur_cents: int, content: str) -> str:
        """Charge for an answer and return it; the one that was given meanwhile to the same call, at no charge.

        Raises `InsufficientCredits` and `OtherQuestion`; nothing is charged then.
        """
        async with self._writing() as connection:
            known = await self._answered(connection, call)
            if known is not None:
                return known
            if eur_cents:
                await self._check(connection, call.account, eur_cents)
                await _write_charge(connection, call.account, call.endpoint, units, eur_cents, timestamp(self._clock()))
            if call.request_id is not None:
                await self._remember(connection, call, content)
        return content

    async def usage(self, account: str, query: UsageQuery) -> tuple[list[Charge], int]:
        """The charges of one page, and how many there are on all pages."""
        column = CHARGES.c[_COLUMNS.get(query.sort, query.sort)]
        order = (column.desc(), CHARGES.c.id.desc()) if query.descending else (column.asc(), CHARGES.c.id.asc())
        rows = sa.select(CHARGES).where(CHARGES.c.account == account).order_by(*order)
        rows = rows.limit(query.limit).offset((query.page - 1) * query.limit)
        count = sa.select(sa.func.count()).select_from(CHARGES).where(CHARGES.c.account == account)
        async with self._database().connect() as connection:
            found = [_charge(row) for row in await connection.execute(rows)]
            total = (await connection.execute(count)).scalar_one()
        return found, total

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that takes its turn among the writers before it looks."""
        async with self._database().begin() as connection:
            await connection.exec_driver_sql("BEGIN IMMEDIATE")
            yield connection

    async def _check(self, connection: AsyncConnection, account: str, eur_cents: int) -> None:
        have = (await self._balance(connection, account)).available
        if eur_cents > have:
            raise InsufficientCredits(eur_cents, have)

    async def _balance(self, connection: AsyncConnection, account: str) -> Balance:
        """In a transaction that may write: an account that is new gets its credit."""
        now = self._clock()
        begin = {
            "account": account,
            "id": str(uuid.uuid4()),
            "eur_cents": self._credit,
            "granted_at": timestamp(now),
            "expires_at": timestamp(now + CREDIT_DAYS * _DAY),
        }
        await connection.execute(insert(CREDITS).values(begin).on_conflict_do_nothing())
        row = (await connection.execute(sa.select(CREDITS).where(CREDITS.c.account == account))).one()
        spent, held = [
            (await connection.execute(sa.select(_sum(of)).where(of.c.account == account))).scalar_one()
            for of in (CHARGES, HOLDS)
        ]
        left = row.eur_cents - spent if timestamp(now) < row.expires_at else 0
        return Balance(row.id, row.eur_cents, row.granted_at, row.expires_at, max(left, 0), held)

    async def _answered(self, connection: AsyncConnection, call: Call) -> str | None:
        wanted = sa.select(ANSWERS.c.asked, ANSWERS.c.content).where(
            ANSWERS.c.account == call.account,
            ANSWERS.c.endpoint == call.endpoint,
            ANSWERS.c.request_id == call.request_id,
            ANSWERS.c.created_at > timestamp(self._clock() - ANSWER_SECONDS),
        )
        row = (await connection.execute(wanted)).one_or_none()
        if row is not None and row.asked != call.asked:
            raise OtherQuestion
        return None if row is None else str(row.content)

    async def _remember(self, connection: AsyncConnection, call: Call, content: str) -> None:
        now = self._clock()
        await connection.execute(sa.delete(ANSWERS).where(ANSWERS.c.created_at <= timestamp(now - ANSWER_SECONDS)))
        values = {name: getattr(call, name) for name in ("account", "endpoint", "request_id", "asked")}
        await connection.execute(sa.insert(ANSWERS).values(**values, content=content, created_at=timestamp(now)))


async def settle(connection: AsyncConnection, job_id: str, eur_cents: int, now: float) -> None:
    """Let go of what is held for a job, and charge at most that, in the transaction that settles it.

    A job that nothing is held for is free.
    """
    freed = sa.delete(HOLDS).where(HOLDS.c.job_id == job_id).returning(HOLDS.c.account, HOLDS.c.eur_cents)
    row = (await connection.execute(freed)).one_or_none()
    final = 0 if row is None else min(eur_cents, row.eur_cents)
    if row is not None and final:
        await _write_charge(connection, row.account, FORECAST, 1, final, timestamp(now), job_id)
        await connection.execute(sa.update(JOBS).where(JOBS.c.id == job_id).values(eur_cents_final=final))


async def _write_charge(
    connection: AsyncConnection,
    account: str,
    endpoint: str,
    units: int,
    eur_cents: int,
    created_at: str,
    job_id: str | None = None,
) -> None:
    row = {"account": account, "endpoint": endpoint, "units": units, "eur_cents": eur_cents}
    await connection.execute(sa.insert(CHARGES).values(**row, created_at=created_at, job_id=job_id))


def _sum(table: sa.Table) -> sa.ColumnElement[int]:
    return sa.func.coalesce(sa.func.sum(table.c.eur_cents), 0)


def _charge(row: sa.Row[tuple[object, ...]]) -> Charge:
    return Charge(row.id, row.endpoint, row.units, row.eur_cents, row.created_at, row.job_id)
