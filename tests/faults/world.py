"""The embedded API on a loopback port, with a clock of its own, made-up results, and faults as a schedule has them."""

import asyncio
import json
import sqlite3
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import Executor, Future
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette

from sybilion_mcp.engine.app import build_app
from tests.conftest import TODAY, until
from tests.hosted import GARBAGE, ROOT, operation_of
from tests.loopback import listening, read_request


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to one request. `handled`: it does its work, and only the answer suffers."""

    kind: str
    handled: bool = False
    status: int = 0
    seconds: float = 0.0


@dataclass
class Clock:
    """Time that passes only when somebody says so."""

    at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def now(self) -> datetime:
        return self.at


@dataclass(frozen=True, slots=True)
class Work:
    """A job that an engine waits for, since when."""

    request: str
    since: datetime
    future: Future[Any]


class Held(Executor):
    """Keeps jobs until they are let go, or not at all."""

    def __init__(self, clock: Clock, *, at_once: bool) -> None:
        self.waiting: list[Work] = []
        self._at_once = at_once
        self._clock = clock

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        if self._at_once:
            future.set_result(results_of(json.loads(args[0])))
        else:
            self.waiting.append(Work(args[0], self._clock.now(), future))
        return future


@dataclass(frozen=True, slots=True)
class Made:
    """A job as the server has it."""

    job_id: str
    status: str
    request: Mapping[str, Any]


class World:
    """The service, its clock and its faults. The server's clock is `skew` ahead of ours; jobs take `minutes`.

    With None they take no time at all, not even that of a call to `pass_time`.
    """

    def __init__(
        self, home: Path, *, skew: timedelta = timedelta(), minutes: float | None = 0, failing: int = 0
    ) -> None:
        self.clock = Clock()
        self.skew = skew
        self.minutes = minutes or 0
        self.failing = failing
        self.home = home
        self.url = ""
        self.faults: dict[str, deque[Fault | None]] = defaultdict(deque)
        self.met: list[str] = []
        self.stalled = 0
        self.posts = 0
        self._calls = 0
        self._executor = Held(self.clock, at_once=minutes is None)
        self._born: dict[str, datetime] = {}
        self._late: list[tuple[datetime, bytes, str]] = []
        self.app: Starlette = build_app(home, workers=16, today=lambda: TODAY, executor=self._executor)
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        self._http = httpx.AsyncClient(transport=transport, base_url="http://engine")

    @asynccontextmanager
    async def calling(self) -> AsyncIterator[None]:
        """No time passes during a call: a request is answered or given up within a minute."""
        self._calls += 1
        try:
            yield
        finally:
            self._calls -= 1

    async def pass_time(self, seconds: float) -> None:
        """Let time go by: late requests arrive, each at its time, and jobs end."""
        await until(lambda: not self._calls)
        async with self.calling():
            end = self.clock.at + timedelta(seconds=seconds)
            for one in sorted(one for one in self._late if one[0] <= end):
                self._late.remove(one)
                self.clock.at = max(self.clock.at, one[0])
                await self.call("POST", f"{ROOT}/forecasts", one[2], one[1])
            self.clock.at = end
        await self.end_jobs()

    async def end_jobs(self) -> None:
        """Those whose time has come; returns when the service has settled them."""
        await self._at_work()
        for one in list(self._executor.waiting):
            if self.clock.at - one.since >= timedelta(minutes=self.minutes):
                self._end(one)
        await self._at_work()

    async def _at_work(self) -> None:
        """Wait until every unfinished job is with the executor."""
        unfinished = ("queued", "running")
        await until(lambda: sum(one.status in unfinished for one in self.jobs()) == len(self._executor.waiting))

    def _end(self, one: Work) -> None:
        self._executor.waiting.remove(one)
        if self.failing:
            self.failing -= 1
            one.future.set_exception(RuntimeError("a job that comes to nothing"))
        else:
            one.future.set_result(results_of(json.loads(one.request)))

    async def call(self, method: str, path: str, authorization: str, body: bytes = b"") -> httpx.Response:
        """One request without any fault. Tokens that differ after a dot are of one user."""
        headers = {"authorization": authorization.partition(".")[0]}
        response = await self._http.request(method, path, content=body, headers=headers)
        if method == "POST" and response.status_code == 202:
            self._born[response.json()["job_id"]] = self.clock.at
        return response

    def jobs(self) -> list[Made]:
        rows = rows_of(self.home / "engine.db", "SELECT id, status, request FROM jobs")
        return [Made(job_id, status, json.loads(request)) for job_id, status, request in rows]

    def artifacts(self, job_id: str) -> dict[str, bytes]:
        return dict(rows_of(self.home / "engine.db", "SELECT name, content FROM artifacts WHERE job_id = ?", job_id))

    def heal(self) -> None:
        self.faults.clear()

    async def aclose(self) -> None:
        for one in list(self._executor.waiting):
            self._end(one)
        await self._http.aclose()
        await self.app.state.engine.aclose()

    async def answer(self, method: str, path: str, authorization: str, body: bytes) -> tuple[Fault, int, bytes]:
        """What to send, and how: a fault of kind "" is none."""
        operation = operation_of(method, path)
        self.posts += operation == "submit"
        waiting = self.faults[operation]
        fault = (waiting.popleft() if waiting else None) or Fault("", handled=True)
        if fault.kind:
            self.met.append(f"{operation}: {fault}")
        if fault.kind in ("late", "held"):
            self._late.append((self.clock.at + timedelta(seconds=fault.seconds), body, authorization))
        if not fault.handled:
            return fault, 0, b""
        response = await self.call(method, path, authorization, body)
        content = response.content
        if response.status_code == 200 and operation in ("job", "jobs"):
            content = json.dumps(self._dated(response.json())).encode()
        return fault, response.status_code, content

    def _dated(self, answer: dict[str, Any]) -> dict[str, Any]:
        """With the times that the server's clock would have shown."""
        for job in answer.get("jobs", [answer]):
            born = self._born.get(job["job_id"])
            if born is not None:
                job["created_at"] = (born + self.skew).isoformat()
            if job["settled_at"]:
                job["settled_at"] = (self.clock.at + self.skew).isoformat()
        return answer


def rows_of(path: Path, query: str, *values: str) -> list[Any]:
    """What another process would read; nothing while the file is not made."""
    if not path.exists():
        return []
    with closing(sqlite3.connect(path)) as database, suppress(sqlite3.OperationalError):
        return database.execute(query, values).fetchall()
    return []


def results_of(request: Mapping[str, Any]) -> dict[str, bytes]:
    """A small forecast that no other question has, and the request as the pipeline writes it back."""
    said = json.dumps(request, sort_keys=True)
    level = 100 + sum(map(ord, said)) % 9973
    quantiles = {f"{step / 20:.2f}": level - 10.0 + step for step in range(1, 20)}
    months = {f"2026-{month}-01": {"forecast": float(level), "quantile_forecast": quantiles} for month in (11, 12)}
    sent = {"hard_horizon": None, "strictly_positive": False, **request}
    contents = {
        "forecast.json": {"version": "1.1", "data": {"forecast_series": months, "forecast_horizon": 2}},
        "external_signals.json": {"version": "1.1", "data": {}},
        "input.json": sent,
    }
    return {name: json.dumps(content).encode() for name, content in contents.items()}


@asynccontextmanager
async def serving(world: World) -> AsyncIterator[World]:
    """The world on a free loopback port."""
    try:
        async with listening(partial(_one_request, world)) as world.url:
            yield world
    finally:
        await world.aclose()


async def _one_request(world: World, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Answer one request, in the manner of its fault; whether the connection stays open."""
    asked = await read_request(reader)
    fault, status, content = await world.answer(
        asked.method, asked.path, asked.headers.get("authorization", ""), asked.body
    )
    if fault.kind == "stall mid-body":
        writer.write(_head(status, len(content)) + content[: len(content) // 2])
        await writer.drain()
        world.stalled += 1
        await asyncio.Event().wait()
    return await _send(writer, fault, status, content)


async def _send(writer: asyncio.StreamWriter, fault: Fault, status: int, content: bytes) -> bool:
    match fault.kind:
        case "drop" | "late":
            writer.transport.abort()
            return False
        case "silence" | "held":
            await asyncio.Event().wait()
            return False
        case "reset mid-body":
            writer.write(_head(status, len(content)) + content[: len(content) // 2])
            await writer.drain()
            writer.transport.abort()
            return False
        case "truncate":
            half = content[: len(content) // 2]
            writer.write(_head(status, len(half)) + half)
        case "truncate and close":
            writer.write(_head(status, None) + content[: len(content) // 2])
            await writer.drain()
            return False
        case "garbage":
            writer.write(_head(200, len(GARBAGE), "text/html") + GARBAGE)
        case "wrong type":
            writer.write(_head(status, len(content), "text/html") + content)
        case "status":
            said = json.dumps({"error": _SENTENCES.get(fault.status, "oops"), "trace_id": "t"}).encode()
            writer.write(_head(fault.status, len(said)) + said)
        case "proxy status":
            said = b"<html>upstream connect error</html>"
            writer.write(_head(fault.status, len(said), "text/html") + said)
        case "too many jobs":
            said = json.dumps({"error": "too many concurrent jobs", "trace_id": "t"}).encode()
            writer.write(_head(429, len(said)) + said)
        case kind:
            await asyncio.sleep(fault.seconds)  # the fault itself: an answer that takes its time
            writer.write((_head(status, len(content)) + content) * (2 if kind == "duplicate" else 1))
    await writer.drain()
    return True


_SENTENCES = {429: "rate limit exceeded", 503: "integration unavailable", 502: "upstream failed"}


def _head(status: int, length: int | None, kind: str = "application/json") -> bytes:
    announced = "connection: close" if length is None else f"content-length: {length}"
    return f"HTTP/1.1 {status} Said\r\ncontent-type: {kind}\r\n{announced}\r\n\r\n".encode()
