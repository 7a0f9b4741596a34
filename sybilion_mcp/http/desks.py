"""A desk for every caller: own series, jobs, ledger and results in a folder of its own, on one engine for all."""

import hashlib
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import Executor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime

from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_REQUEST
from pydantic import SecretStr
from starlette.requests import Request

from sybilion_mcp.clock import utc_now, utc_today
from sybilion_mcp.http.caller import KEY_MISSING, Caller, caller_of, key_in
from sybilion_mcp.known_secrets import keep_callers, let_callers_go
from sybilion_mcp.secret_text import looks_like_one
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.embedded import Embedded
from sybilion_mcp.service.waiting import Waits
from sybilion_mcp.settings import Settings

MOST_OPEN = 256
"""Desks that stay open with nobody at them."""


@dataclass
class _Opened:
    desk: Desk
    served: int = 0


class CallerDesks:
    """Opened when a caller comes, kept open for the next request; the one unused for longest makes room.

    `files`: whether a caller without a key may use the allowed folders of this machine.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        files: bool = False,
        most_open: int = MOST_OPEN,
        today: Callable[[], date] = utc_today,
        now: Callable[[], datetime] = utc_now,
        executor: Executor | None = None,
    ) -> None:
        self.waits = Waits()
        self._settings = settings
        self._files = files
        self._most_open = most_open
        self._today = today
        self._now = now
        self._embedded = Embedded(settings.home / "engine", settings.drivers_file, today, executor)
        self._open: dict[str, _Opened] = {}  # the one used last is the last

    @asynccontextmanager
    async def seat(self, request: object) -> AsyncIterator[Desk]:
        assert isinstance(request, Request)
        caller = caller_of(request)
        name = self.id_of(caller)
        opened = self._open.pop(name, None) or _Opened(self._desk(caller, name))
        self._open[name] = opened
        opened.served += 1
        try:
            await self._make_room()
            yield opened.desk
        finally:
            opened.served -= 1

    def id_of(self, caller: Caller) -> str:
        return caller.id(self._settings.api_base_url)

    async def aclose(self) -> None:
        while self._open:
            await self._close(next(iter(self._open)))
        await self._embedded.aclose()

    async def _make_room(self) -> None:
        """A desk that somebody is served at is never closed, so there may be more for a while."""
        beyond = len(self._open) - self._most_open
        if beyond <= 0:
            return
        idle = [name for name, one in self._open.items() if not one.served]
        for name in idle[:beyond]:
            if name in self._open and not self._open[name].served:
                await self._close(name)

    async def _close(self, name: str) -> None:
        """Whoever comes again meanwhile gets a new desk on the same folder, as from another process."""
        desk = self._open.pop(name).desk
        try:
            await desk.aclose()
        finally:
            let_callers_go(_unlike(desk.settings.secrets))

    def _desk(self, caller: Caller, name: str) -> Desk:
        desk = Desk(
            self._callers(caller, name),
            today=self._today,
            now=self._now,
            embedded=self._embedded,
            account="sk_ops_" + hashlib.sha256(f"account of {name}".encode()).hexdigest(),
            waits=self.waits,
            over_http=True,
        )
        keep_callers(_unlike(desk.settings.secrets))
        return desk

    def _callers(self, caller: Caller, name: str) -> Settings:
        """The server's own settings, without its token, and without what is only for who sits at this machine."""
        own: dict[str, object] = {
            "home": self._settings.home / "callers" / name,
            "api_token": SecretStr(caller.key) if caller.key else None,
            "api_token_file": None,
            "eomer_api_key": None,
        }
        if caller.key is None:
            own["backend"] = "local"
        elif self._settings.backend in (None, "eomer"):
            own["backend"] = "sybilion"
        if caller != Caller() or not self._files:
            own["allow_dirs"] = ()
        return self._settings.model_copy(update=own)


class Keyed:
    """The same desks for callers who bring a key, be they known to an authorization server or not."""

    def __init__(self, desks: CallerDesks) -> None:
        self._desks = desks

    def seat(self, request: object) -> AbstractAsyncContextManager[Desk]:
        """Raises `MCPError` without a key. Whose token does not hold was told so before."""
        assert isinstance(request, Request)
        if key_in(request.scope) is None:
            raise MCPError(INVALID_REQUEST, f"key_missing: {KEY_MISSING}")
        return self._desks.seat(request)

    async def aclose(self) -> None:
        await self._desks.aclose()


def _unlike(secrets: Iterable[str]) -> list[str]:
    """Those that are not found by their looks alone: they need not be known."""
    return [one for one in secrets if not looks_like_one(one)]
