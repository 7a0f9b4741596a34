"""A desk whose Eomer is the embedded engine behind that wire, in this process, with faults on the way where asked."""

from collections.abc import AsyncIterator
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import httpx

from sybilion_mcp.backends.eomer import EomerClient
from sybilion_mcp.engine.eomer.app import build_eomer_app
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.settings import Settings
from tests.conftest import TODAY

KEY = "eomer-key-0123456789"
URL = "http://eomer.local"


@dataclass
class Service(httpx.AsyncBaseTransport):
    """The embedded service; `next` replaces the answers to coming submits. `handled`: it does its work all the same."""

    beneath: httpx.AsyncBaseTransport
    requests: list[httpx.Request] = field(default_factory=list)
    gets: list[Exception | httpx.Response | None] = field(default_factory=list)
    """What comes instead of the answers to coming GETs; None for a good one."""
    _held: list[anyio.Event] = field(default_factory=list)
    _faults: list[tuple[bool, Exception | httpx.Response]] = field(default_factory=list)

    def next(self, *faults: Exception | httpx.Response, handled: bool = False) -> None:
        self._faults += [(handled, one) for one in faults]

    def hold(self) -> anyio.Event:
        """The answer to the next submit that is held by nobody comes once this is set; the work is done before."""
        self._held.append(anyio.Event())
        return self._held[-1]

    @property
    def submits(self) -> list[httpx.Request]:
        return [one for one in self.requests if one.method == "POST"]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.requests.append(request)
        if request.method == "POST" and self._held:
            held = self._held.pop(0)
            answer = await self.beneath.handle_async_request(request)
            await held.wait()
            return answer
        if request.method == "GET" and self.gets and (instead := self.gets.pop(0)) is not None:
            if isinstance(instead, Exception):
                raise instead
            return instead
        if request.method != "POST" or not self._faults:
            return await self.beneath.handle_async_request(request)
        handled, fault = self._faults.pop(0)
        if handled:
            await (await self.beneath.handle_async_request(request)).aread()
        if isinstance(fault, Exception):
            raise fault
        return fault


@asynccontextmanager
async def serving(home: Path, executor: Executor | None = None) -> AsyncIterator[Service]:
    """The service, with its jobs in a folder; in worker processes where no executor is given."""
    app = build_eomer_app(home, executor=executor)
    try:
        yield Service(httpx.ASGITransport(app))
    finally:
        await app.state.engine.aclose()


def desk_of(service: Service, home: Path, **settings: Any) -> Desk:
    """A desk with a key for it, that may spend unless said otherwise."""
    given = {"spend": "allow", "eomer_api_key": KEY, "eomer_api_base_url": URL, **settings}
    desk = Desk(Settings(home=home, **given), today=lambda: TODAY)
    desk._backends["eomer"] = EomerClient(URL, KEY, transport=service)
    return desk
