"""Whose desk serves a request: the one of the process over stdio, the caller's own over HTTP."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, Protocol

from mcp.server.context import CallNext, HandlerResult, ServerMiddleware, ServerRequestContext

from sybilion_mcp.service.desk import Desk

_SERVED_AT: ContextVar[Desk] = ContextVar("served_at")


class Seats(Protocol):
    """Desks, and which of them a request is served at."""

    def seat(self, request: object) -> AbstractAsyncContextManager[Desk]:
        """The desk for one request, open until it is answered. `request` is the HTTP request, None over stdio."""
        ...

    async def aclose(self) -> None: ...


class OneDesk:
    """The desk that serves everybody."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    @asynccontextmanager
    async def seat(self, _: object) -> AsyncIterator[Desk]:
        yield self._desk

    async def aclose(self) -> None:
        await self._desk.aclose()


def seated(seats: Seats) -> ServerMiddleware[Any]:
    """Give every message its desk: in its context for tools, by `served_at` for resources and completion."""

    async def guard(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        if ctx.request_id is None:  # a notification needs no desk
            return await call_next(ctx)
        async with seats.seat(ctx.request) as desk:
            before = _SERVED_AT.set(desk)
            try:
                return await call_next(replace(ctx, lifespan_context=desk))
            finally:
                _SERVED_AT.reset(before)

    return guard


def served_at() -> Desk:
    """The desk of the request that is being answered."""
    return _SERVED_AT.get()
