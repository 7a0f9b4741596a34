"""The server over HTTP in the test's own process: no port, both eras, callers with keys of their own."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import httpx
import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from starlette.types import ASGIApp, Message

URL = "http://127.0.0.1:8000/mcp"
KEY_HEADER = "X-Sybilion-Api-Key"
ACCEPTED = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}


@asynccontextmanager
async def running(app: ASGIApp) -> AsyncIterator[None]:
    """Start an application as a web server would, and end it."""
    ending, started, ended = anyio.Event(), anyio.Event(), anyio.Event()
    said: list[Message] = []

    async def receive() -> Message:
        if not started.is_set() and not said:
            said.append({"type": "lifespan.startup"})
            return said[0]
        await ending.wait()
        return {"type": "lifespan.shutdown"}

    async def send(message: Message) -> None:
        if message["type"] == "lifespan.startup.complete":
            started.set()
        if message["type"] == "lifespan.shutdown.complete":
            ended.set()

    async with anyio.create_task_group() as group:
        group.start_soon(app, {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send)
        with anyio.fail_after(10):
            await started.wait()
        try:
            yield
        finally:
            ending.set()
            with anyio.CancelScope(shield=True), anyio.fail_after(20):
                await ended.wait()


def headers_of(key: str | None = None, **more: str) -> dict[str, str]:
    return ({} if key is None else {KEY_HEADER: key}) | more


@dataclass(frozen=True)
class House:
    app: ASGIApp

    @asynccontextmanager
    async def client(
        self, key: str | None = None, mode: str = "auto", person: Any = None, **headers: str
    ) -> AsyncIterator[Client]:
        """A client with this key; `mode` as for ERAS."""
        transport = httpx2.ASGITransport(self.app)
        async with (
            httpx2.AsyncClient(transport=transport, headers=headers_of(key, **headers), timeout=60) as web,
            Client(streamable_http_client(URL, http_client=web), mode=mode, elicitation_callback=person) as client,
        ):
            yield client

    @asynccontextmanager
    async def web(self) -> AsyncIterator["Web"]:
        """Bare requests of the earlier era, which needs no handshake where there are no sessions."""
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app, raise_app_exceptions=False)) as http:
            yield Web(http)


@dataclass(frozen=True)
class Web:
    http: httpx.AsyncClient
    url: str = URL

    async def post(self, content: bytes, key: str | None = None, **headers: str) -> httpx.Response:
        return await self.http.post(self.url, content=content, headers=ACCEPTED | headers_of(key, **headers))

    async def ask(self, key: str | None, method: str, **params: Any) -> dict[str, Any]:
        """The answer to a request: what stands in `result`, or the error."""
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
        answer = await self.post(body, key)
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = json.loads(answer.text.partition("data: ")[2] or answer.text)
        return dict(told.get("result") or told)

    async def call(self, key: str | None, tool: str, **arguments: Any) -> dict[str, Any]:
        """The structured content of a tool's answer."""
        result = await self.ask(key, "tools/call", name=tool, arguments=arguments)
        return dict(result["structuredContent"])
