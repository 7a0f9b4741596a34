"""The billed calls that answer at once: each written down before it is sent, and what came of it."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from sqlalchemy import Row, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from sybilion_mcp.store import statements
from sybilion_mcp.store.entries import Call
from sybilion_mcp.store.records import OverCap
from sybilion_mcp.store.tables import calls

_UNANSWERED = calls.c.state.in_(("open", "joined"))


class Begin(Protocol):
    """A transaction; `writing`: nobody else writes while it lasts."""

    def __call__(self, *, writing: bool = False) -> AbstractAsyncContextManager[AsyncConnection]: ...


class Calls:
    """Every method is one transaction. All raise what those of the store raise."""

    def __init__(self, begin: Begin) -> None:
        self._begin = begin

    async def current(self, request_hash: str) -> Call | None:
        """What stands for a question."""
        async with self._begin() as connection:
            return await _current(connection, request_hash)

    async def begin(
        self, new: Call, *, replaces: Call | None = None, cap_eur_cents: int | None = None
    ) -> tuple[Call, bool]:
        """Write a call down before it is sent, or again when it is agreed to anew.

        Returns the one that is to be sent, and whether it was written down here.

        `replaces` is what stood for the question when it was agreed to: an answer that is too old, or a call that was
        lost too long ago. They stay counted, and a new id begins: under the old one the service might charge again.
        What was refused goes on under its id. What another process wrote down meanwhile stands. Raises `OverCap`.
        """
        async with self._begin(writing=True) as connection:
            standing = await _current(connection, new.request_hash)
            if standing is not None and standing != replaces and standing.state != "refused":
                return standing, False
            if cap_eur_cents is not None and new.expected_eur_cents > 0:
                spent = int(await connection.scalar(statements.spent_since(new.created_at[:10])) or 0)
                if spent + new.expected_eur_cents > cap_eur_cents:
                    raise OverCap(spent)
            if standing is not None and standing.state == "refused":
                again = {"expected_eur_cents": new.expected_eur_cents, "created_at": new.created_at, "state": "open"}
                await connection.execute(_of(standing.request_id).values(**again))
            else:
                if standing is not None:
                    await connection.execute(_of(standing.request_id).values(current=False, answer=None))
                values = {name: getattr(new, name) for name in Call.__slots__}
                await connection.execute(insert(calls).values(**values, current=True))
            begun = await _current(connection, new.request_hash)
        assert begun is not None
        return begun, True

    async def join(self, request_id: str) -> bool:
        """Before a call that was sent before is sent once more. False when it was answered or refused meanwhile."""
        async with self._begin(writing=True) as connection:
            joined = await connection.execute(_of(request_id).where(_UNANSWERED).values(state="joined"))
            return bool(joined.rowcount)

    async def refuse(self, request_id: str, *, never_taken: bool = False) -> None:
        """The service did not take it, and charged nothing: no other try either, if it never takes such a request."""
        refused = _UNANSWERED if never_taken else calls.c.state == "open"
        async with self._begin(writing=True) as connection:
            await connection.execute(_of(request_id).where(refused).values(state="refused"))

    async def put_answer(self, request_id: str, answer: Mapping[str, object], at: str, units: int, cents: int) -> bool:
        """What came, and what that many usually cost. False when another try of the same call brought it before."""
        values = {"answer": dict(answer), "answered_at": at, "units": units, "eur_cents": cents, "state": "answered"}
        async with self._begin(writing=True) as connection:
            kept = await connection.execute(_of(request_id).where(calls.c.state != "answered").values(**values))
            return bool(kept.rowcount)

    async def book(self, request_id: str, usage_id: str, cents: int) -> bool:
        """What the service says that it charged. False when that charge, or this call, is booked already."""
        try:
            async with self._begin(writing=True) as connection:
                charge = _of(request_id).where(calls.c.usage_id.is_(None)).values(usage_id=usage_id, eur_cents=cents)
                return bool((await connection.execute(charge)).rowcount)
        except IntegrityError:
            return False

    async def told(self, operation: str, account: str, limit: int) -> list[Call]:
        """The newest calls of an account of which the service told what they cost, and which brought something."""
        query = (
            select(calls)
            .where(calls.c.operation == operation, calls.c.account == account)
            .where(calls.c.usage_id.is_not(None), calls.c.units > 0)
            .order_by(calls.c.created_at.desc())
            .limit(limit)
        )
        async with self._begin() as connection:
            return [_call(row) for row in (await connection.execute(query)).all()]

    async def booked(self, account: str, limit: int) -> frozenset[str]:
        """The ids of the newest charges that are booked."""
        query = select(calls.c.usage_id).where(calls.c.account == account, calls.c.usage_id.is_not(None))
        async with self._begin() as connection:
            return frozenset(await connection.scalars(query.order_by(calls.c.created_at.desc()).limit(limit)))


async def _current(connection: AsyncConnection, request_hash: str) -> Call | None:
    query = select(calls).where(calls.c.request_hash == request_hash, calls.c.current)
    row = (await connection.execute(query)).one_or_none()
    return _call(row) if row else None


def _of(request_id: str) -> Any:
    return update(calls).where(calls.c.request_id == request_id)


def _call(row: Row[Any]) -> Call:
    return Call(**{name: getattr(row, name) for name in Call.__slots__})
