"""The server as people start it: processes on ports, which share a folder and are asked in turn."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import cycle
from pathlib import Path
from typing import Any

import anyio
import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from tests.conftest import good_series
from tests.http.house import headers_of

ENDING_SECONDS = 5.0


@dataclass
class Server:
    process: asyncio.subprocess.Process
    url: str
    log: Path

    async def end(self) -> tuple[int, float]:
        """Tell it to end; its exit code, and the seconds that took."""
        began = anyio.current_time()
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        with anyio.fail_after(30):
            code = await self.process.wait()
        return code, anyio.current_time() - began


@asynccontextmanager
async def server(home: Path, *flags: str, **environment: str) -> AsyncIterator[Server]:
    """A server on a free port of this machine, ended with the context."""
    log = home.parent / f"stderr-{len(list(home.parent.glob('stderr-*')))}"
    said = {**os.environ, "SYBILION_MCP_HOME": str(home), "SYBILION_MCP_LOG_LEVEL": "DEBUG", **environment}
    with log.open("w") as errors:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "sybilion_mcp", "serve", "--transport", "http", "--port", "0", *flags),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            env=said,
        )
    try:
        assert process.stdout is not None
        with anyio.fail_after(30):
            line = (await process.stdout.readline()).decode()
        assert line.startswith("MCP server at "), log.read_text()
        one = Server(process, line.removeprefix("MCP server at ").strip(), log)
        yield one
        await one.end()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


class InTurn(httpx2.AsyncHTTPTransport):
    """Every request goes to the next server."""

    def __init__(self, servers: Sequence[Server]) -> None:
        super().__init__()
        self._next = cycle(httpx2.URL(one.url) for one in servers)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        request.url = next(self._next)
        request.headers["host"] = f"{request.url.host}:{request.url.port}"
        return await super().handle_async_request(request)


@asynccontextmanager
async def client_of(
    *servers: Server, key: str | None = None, mode: str = "auto", person: Any = None
) -> AsyncIterator[Client]:
    async with (
        httpx2.AsyncClient(transport=InTurn(servers), headers=headers_of(key), timeout=60) as web,
        Client(
            streamable_http_client(servers[0].url, http_client=web), mode=mode, elicitation_callback=person
        ) as client,
    ):
        yield client


def recent_series(months: int = 132) -> dict[str, float]:
    """Ends with the last whole month, whatever day it is."""
    last = (datetime.now(UTC).replace(day=1) - timedelta(days=1)).replace(day=1).date()
    return good_series(months, last)
