"""The server over HTTP against an empty one on the same SDK, and under 200 callers at once.

Prints a table. Bars: a tool in memory at most 0.3 ms (p50) over a bare one, 0.6 of the bare server's calls a second,
each also against a bare tool that does nothing; 200 callers for 60 s without an error and with memory that stays where
it is.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mcp import Client
from mcp.server.mcpserver import MCPServer
from mcp_types import CallToolResult, TextContent

from sybilion_mcp.server import build_server
from sybilion_mcp.settings import Settings
from sybilion_mcp.tools.suggest_keywords import suggest_keywords

BARE = """
import socket, sys, uvicorn
from benchmarks.http import bare_server, nothing, suggest_keywords

server = bare_server(nothing if sys.argv[1:] else suggest_keywords)
app = server.streamable_http_app(stateless_http=True)
with socket.create_server(("127.0.0.1", 0)) as listener:
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    print("MCP server at http://127.0.0.1:%d/mcp" % listener.getsockname()[1], flush=True)
    uvicorn.Server(uvicorn.Config(app, http="h11", log_level="warning")).run(sockets=[listener])
"""
TITLE = "Electricity price for households in Austria"
KEYWORDS = ("suggest_keywords", {"title": TITLE})
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "benchmark", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
UNKNOWN_JOB = "00000000-0000-4000-8000-000000000000"


def request(tool: str, arguments: dict[str, Any], key: str = "") -> bytes:
    """A whole HTTP request of the newest protocol."""
    params = {"name": tool, "arguments": arguments, "_meta": META}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).encode()
    head = [
        "POST /mcp HTTP/1.1",
        "Host: 127.0.0.1:80",
        "Content-Type: application/json",
        "Accept: application/json, text/event-stream",
        "MCP-Protocol-Version: 2026-07-28",
        "Mcp-Method: tools/call",
        f"Mcp-Name: {tool}",
        f"Content-Length: {len(body)}",
        *([f"X-Sybilion-Api-Key: {key}"] if key else []),
    ]
    return "\r\n".join([*head, "", ""]).encode() + body


class Connection:
    """As little of a client as there can be: on two cores a client costs as much as the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    @asynccontextmanager
    async def to(cls, url: str) -> AsyncIterator["Connection"]:
        parts = urlsplit(url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        try:
            yield cls(reader, writer)
        finally:
            writer.close()

    async def ask(self, sent: bytes) -> tuple[int, dict[str, Any]]:
        """Status and decoded body."""
        self._writer.write(sent)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        if b"text/event-stream" in head:  # an answer that takes its time
            content = await self._streamed()
        else:
            content = await self._reader.readexactly(int(head.partition(b"content-length:")[2].partition(b"\r\n")[0]))
        body: dict[str, Any] = json.loads(content)
        return int(head[9:12]), body

    async def _streamed(self) -> bytes:
        """The last event of a stream that comes in chunks."""
        content = b""
        while size := int(await self._reader.readline(), 16):
            content += (await self._reader.readexactly(size + 2))[:-2]
        await self._reader.readline()
        return content.rpartition(b"data: ")[2]


@contextmanager
def serving(command: list[str], home: str) -> Iterator[tuple[str, int]]:
    """URL and process id of a server."""
    environment = {**os.environ, "SYBILION_MCP_HOME": home}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().rpartition(" ")[2].strip(), process.pid
        finally:
            process.terminate()
            process.wait(20)


async def in_memory(server: Any, calls: int) -> float:
    """Milliseconds of a call (p50)."""
    async with Client(server) as client:
        seconds = []
        for _ in range(calls):
            start = time.perf_counter()
            await client.call_tool(*KEYWORDS)
            seconds.append(time.perf_counter() - start)
    return 1000 * statistics.median(seconds[calls // 10 :])


def bare_server(body: Callable[..., Any]) -> Any:
    """One tool, as the SDK makes it."""
    server: MCPServer[Any] = MCPServer("bare", log_level="WARNING")
    server.add_tool(body, name="suggest_keywords")
    return server


async def nothing(title: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=title)], structured_content={"title": title})


async def calls_a_second(url: str, seconds: float, connections: int = 16) -> float:
    sent, done = request(*KEYWORDS), 0
    end = time.perf_counter() + seconds

    async def caller() -> None:
        nonlocal done
        async with Connection.to(url) as connection:
            while time.perf_counter() < end:
                status, body = await connection.ask(sent)
                assert status == 200, body
                done += 1

    await asyncio.gather(*[caller() for _ in range(connections)])
    return done / seconds


async def crowd(url: str, process: int, callers: int, seconds: float) -> tuple[Counter[str], list[int]]:
    """What was answered, and the server's resident kilobytes each second."""
    told: Counter[str] = Counter()
    end = time.perf_counter() + seconds

    async def caller(number: int) -> None:
        key = f"key-of-caller-{number:04d}"
        series = {f"{2024 + month // 12}-{month % 12 + 1:02d}-01": 1.5 * number + month for month in range(30)}
        calls = [
            request("suggest_keywords", {"title": f"{TITLE} {number}"}, key),
            request("validate_series", {"series": series, "title": TITLE}, key),
            request("get_status", {"job_id": UNKNOWN_JOB, "wait_seconds": 0}, key),
        ]
        expected = ["", "", "job_not_found"]
        async with Connection.to(url) as connection:
            while time.perf_counter() < end:
                for sent, code in zip(calls, expected, strict=True):
                    status, body = await connection.ask(sent)
                    got = (body.get("result") or {}).get("structuredContent", {}).get("code", "")
                    told["right" if (status, got) == (200, code) else f"{status} {got or body.get('error')}"] += 1

    async def watch() -> list[int]:
        kilobytes = []
        while time.perf_counter() < end:
            await asyncio.sleep(1)  # one figure a second
            kilobytes.append(resident(process))
        return kilobytes

    watching = asyncio.create_task(watch())
    outcomes = await asyncio.gather(*[caller(number) for number in range(callers)], return_exceptions=True)
    told.update(type(one).__name__ for one in outcomes if one is not None)
    return told, await watching


def resident(process: int) -> int:
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1])


def difference(more: float, less: float) -> str:
    return f"{more:.2f} - {less:.2f} = {more - less:.2f} ms"


def ratio(ours: float, bare: float) -> str:
    return f"{ours:.0f} / {bare:.0f} = {ours / bare:.2f}"


def line(what: str, measured: str, bar: str) -> None:
    print(f"{what:<58}{measured:>24}   bar {bar}")


def main(seconds: float, callers: int) -> None:
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(home=Path(home), backend="local")
        made = (lambda: build_server(settings), lambda: bare_server(suggest_keywords), lambda: bare_server(nothing))
        runs = [[asyncio.run(in_memory(make(), 1000)) for make in made] for _ in range(3)]
        ours, same, least = map(min, zip(*runs, strict=True))
        line("a tool in memory, over the same as a bare one (p50)", difference(ours, same), "0.30 ms")
        line("and over a bare one that does nothing", difference(ours, least), "0.30 ms")

        mine = [sys.executable, "-m", "sybilion_mcp", "serve", "--transport", "http", "--port", "0"]
        with serving([*mine, "--backend", "local"], home) as (url, process):
            bare = [sys.executable, "-c", BARE]
            with serving(bare, home) as (same, _), serving([*bare, "nothing"], home) as (least, _):
                urls = (url, same, least)
                rounds = [[asyncio.run(calls_a_second(one, 3)) for one in urls] for _ in range(5)]
            here, there, most = (statistics.median(side) for side in zip(*rounds[1:], strict=True))
            line("calls a second over HTTP, the same tool on a bare server", ratio(here, there), "0.60")
            line("and against a bare one that does nothing", ratio(here, most), "0.60")
            print(f"memory before the callers come: {resident(process) / 1024:.0f} MB")
            told, kilobytes = asyncio.run(crowd(url, process, callers, seconds))
            wrong = sum(told.values()) - told["right"]
            line(f"{callers} callers for {seconds:.0f} s: errors", f"{wrong} of {sum(told.values())}", "0")
            third = len(kilobytes) // 3
            early, late = (
                statistics.median(part) / 1024 for part in (kilobytes[third : 2 * third], kilobytes[-third:])
            )
            line("memory in the second and the last third", f"{early:.0f} and {late:.0f} MB", "1.1 times")
            if wrong:
                print(told.most_common(5))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--callers", type=int, default=200)
    said = parser.parse_args()
    main(said.seconds, said.callers)
