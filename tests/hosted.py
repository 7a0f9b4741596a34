"""A stand-in for the hosted API on a real loopback port: it keeps jobs, and misbehaves as the test tells it to."""

import asyncio
import json
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from itertools import count
from typing import Any, TypeVar

import httpx

from sybilion_mcp.backends.base import Backend
from sybilion_mcp.backends.sybilion import SybilionClient
from sybilion_mcp.service.desk import Desk
from tests.loopback import listening, read_request

TOKEN = "sk_ops_hosted_test"
ROOT = "/api/v1"
GARBAGE = b"<!doctype html><title>Welcome to the hotel</title>"


@dataclass(frozen=True, slots=True)
class Fault:
    """What comes instead of the answer. `handled`: the request does its work first, so that only its answer is lost.

    Status 0 means no answer: the connection ends, or with `hangs` nothing happens at all. `missing` bytes of the
    body are announced and never sent.
    """

    status: int = 0
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    missing: int = 0
    hangs: bool = False
    handled: bool = False


def error(status: int, sentence: str, *, handled: bool = False) -> Fault:
    """An error of the API, with a trace id in its body."""
    body = {"error": sentence, "trace_id": f"trace-{status}"}
    return Fault(status, json.dumps(body).encode(), handled=handled)


def proxy_error(status: int, *, handled: bool = False) -> Fault:
    """An error of something between us and the API."""
    return Fault(status, b"<html><body>upstream connect error</body></html>", handled=handled)


def invalid(field_name: str, message: str) -> Fault:
    detail = {"field": field_name, "message": message}
    return Fault(422, json.dumps({"error": "validation_failed", "details": [detail]}).encode())


def garbage(*, handled: bool = False) -> Fault:
    return Fault(200, GARBAGE, handled=handled)


def reset(*, handled: bool = False) -> Fault:
    return Fault(handled=handled)


def silence(*, handled: bool = False) -> Fault:
    return Fault(hangs=True, handled=handled)


def cut(*, handled: bool = False) -> Fault:
    return Fault(200, b'{"job_id": "', missing=40, handled=handled)


@dataclass
class HostedApi:
    """`submits`: the bodies of the submits that arrived. `requests`: what arrived, as "GET /api/v1/me".

    `users`: whose a token is, for tokens that are accepted beside `token`. `clock`: by how much the one it shows is
    ahead, if it shows any. `headers`: what it sends with every answer.
    """

    url: str = ""
    token: str = TOKEN
    users: dict[str, object] = field(default_factory=dict)
    clock: timedelta | None = None
    headers: dict[str, str] = field(default_factory=dict)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    artifacts: dict[str, dict[str, bytes]] = field(default_factory=dict)
    submits: list[dict[str, Any]] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=count)
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)
    _faults: dict[str, list[Fault]] = field(default_factory=lambda: defaultdict(list))

    def next(self, operation: str, *faults: Fault) -> None:
        """The next answers to an operation: submit, job, artifact, jobs, account."""
        self._faults[operation] += faults

    def always(self, operation: str, fault: Fault) -> None:
        self.next(operation, *[fault] * 50)

    def well_again(self) -> None:
        self._faults.clear()

    def told_of(self, token: str) -> dict[str, object]:
        """Whose it is, and what the account has."""
        return {"user_id": self.users.get(token, f"user of {token}"), "balance_eur_cents": 10_000}

    def make_job(self, request: dict[str, Any] | None = None, *, created: datetime | None = None) -> str:
        """A job that is there, whoever asked for it."""
        job_id = f"00000000-0000-4000-8000-{next(self._numbers):012d}"
        at = (created or datetime.now(UTC)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self.jobs[job_id] = {"job_id": job_id, "pipeline_type": "forecast", "status": "running", "created_at": at}
        self.jobs[job_id] |= {"settled": False, "settled_at": None, "eur_cents_final": None}
        self.artifacts[job_id] = _artifacts(request or {})
        return job_id

    def finish(self, job_id: str, status: str = "completed", *, cents: int = 332, **more: Any) -> None:
        at = (datetime.now(UTC) + timedelta(minutes=9)).isoformat()
        self.jobs[job_id] |= {"status": status, "settled": True, "settled_at": at, "eur_cents_final": cents, **more}
        if status == "completed" and "artifacts" not in more:
            offered = [{"name": name, "size": len(body)} for name, body in self.artifacts[job_id].items()]
            self.jobs[job_id]["artifacts"] = offered

    def forget(self, job_id: str) -> None:
        """What the service does with old jobs: from now on it has never heard of it."""
        del self.jobs[job_id], self.artifacts[job_id]

    async def seen(self, requests: int) -> None:
        """Wait until that many requests have arrived."""
        while len(self.requests) < requests:
            self._arrived.clear()
            await self._arrived.wait()

    async def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Fault:
        """The answer to one request, be it a good one."""
        self.requests.append(f"{method} {path}")
        self._arrived.set()
        operation = self._operation(method, path)
        if operation == "submit":
            self.submits.append(json.loads(body))
        fault = self._faults[operation].pop(0) if self._faults[operation] else None
        if fault is not None and not fault.handled:
            return fault
        token = headers.get("authorization", "").removeprefix("Bearer ")
        if token != self.token and token not in self.users:
            return error(401, "invalid token")
        answer = _json(200, self.told_of(token)) if operation == "account" else self._handle(operation, path, body)
        return fault or answer

    def _operation(self, method: str, path: str) -> str:
        return operation_of(method, path)

    def _handle(self, operation: str, path: str, body: bytes) -> Fault:
        steps = path.removeprefix(f"{ROOT}/").split("/")
        if operation == "submit":
            job_id = self.make_job(json.loads(body))
            return _json(202, {"job_id": job_id, "poll_url": f"{ROOT}/forecasts/{job_id}"})
        if operation == "jobs":
            jobs = [{k: v for k, v in job.items() if k != "artifacts"} for job in self._newest()]
            asked = {name: int(value) for name, value in re.findall(r"[?&](page|limit)=(\d+)", path)}
            limit, page = asked.get("limit", 50), asked.get("page", 1)
            return _json(200, {"jobs": jobs[(page - 1) * limit : page * limit]})
        job = self.jobs.get(steps[1])
        if job is None:
            return error(404, "job not found")
        if operation == "job":
            return _json(200, job)
        if job["status"] != "completed":
            return error(409, "job has not completed")
        content = self.artifacts[steps[1]].get(steps[3].replace("%2E", "."))
        return error(404, "artifact not found") if content is None else Fault(200, content)

    def _newest(self) -> list[dict[str, Any]]:
        return sorted(self.jobs.values(), key=lambda job: str(job["created_at"]), reverse=True)


def operation_of(method: str, path: str) -> str:
    """What a request is for: submit, job, artifact, jobs, account."""
    if method == "POST":
        return "submit"
    if path.startswith(f"{ROOT}/jobs"):
        return "jobs"
    if path == f"{ROOT}/me":
        return "account"
    return "artifact" if "/artifacts/" in path else "job"


Api = TypeVar("Api", bound="HostedApi")


@asynccontextmanager
async def serving() -> AsyncIterator[HostedApi]:
    """The API on a free loopback port."""
    async with served(HostedApi()) as api:
        yield api


@asynccontextmanager
async def served(api: Api) -> AsyncIterator[Api]:
    """The same for an API of another kind."""
    async with listening(partial(_converse, api)) as api.url:
        yield api


async def _converse(api: HostedApi, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """One request, one answer, and the connection ends."""
    answer = await api.answer(*await read_request(reader))
    if answer.hangs:
        await asyncio.Event().wait()
    if answer.status == 0:
        writer.transport.abort()
        return False
    fields = {"content-length": str(len(answer.body) + answer.missing), "connection": "close"}
    fields |= {**api.headers, **dict(answer.headers)}
    if api.clock is not None:
        fields["date"] = format_datetime(datetime.now(UTC) + api.clock, usegmt=True)
    lines = [f"HTTP/1.1 {answer.status} Scripted", *(f"{name}: {value}" for name, value in fields.items())]
    writer.write("\r\n".join([*lines, "", ""]).encode() + answer.body)
    await writer.drain()
    return False


def _json(status: int, content: object) -> Fault:
    return Fault(status, json.dumps(content).encode(), (("content-type", "application/json"),))


def _artifacts(request: dict[str, Any]) -> dict[str, bytes]:
    """A small forecast without drivers, as the API writes it."""
    quantiles = {f"{step / 20:.2f}": 90.0 + step for step in range(1, 20)}
    months = {f"2026-{month}-01": {"forecast": 100.0, "quantile_forecast": quantiles} for month in (11, 12)}
    forecast = {"forecast_series": months, "forecast_horizon": 2}
    contents = {"forecast.json": forecast, "external_signals.json": {}}
    sent = {"version": "1.1", **request}
    envelopes = {name: {"version": "1.1", "data": data} for name, data in contents.items()}
    return {name: json.dumps(content).encode() for name, content in {**envelopes, "input.json": sent}.items()}


@dataclass
class ImpatientDesk(Desk):
    """A desk whose hosted backend gives up after half a second of silence; to connect may take longer when busy."""

    _client: SybilionClient | None = None

    def backend(self, name: str | None = None) -> Backend:
        if (name or self.settings.default_backend) != "sybilion":
            return super().backend(name)
        assert self.settings.api_token is not None
        if self._client is None:
            token = self.settings.api_token.get_secret_value()
            self._client = SybilionClient(self.settings.api_base_url, token, timeout=httpx.Timeout(0.5, connect=5.0))
        return self._client

    async def aclose(self) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None
        await super().aclose()
