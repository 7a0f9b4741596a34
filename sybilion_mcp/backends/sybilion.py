"""The Sybilion API over HTTP: hosted, or the embedded engine in this process. Same wire, same client."""

import json
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cache
from typing import TypeVar
from urllib.parse import quote

import anyio
import httpx
import stamina
from pydantic import BaseModel
from stamina.instrumentation import RetryDetails, set_on_retry_hooks

from sybilion_mcp.backends.base import (
    AnswerError,
    BackendError,
    InMemory,
    Sink,
    TooLargeError,
    TransportError,
    may_be_done,
)
from sybilion_mcp.backends.masked import masking
from sybilion_mcp.clock import utc_now
from sybilion_mcp.contract.account import Account, UsagePage
from sybilion_mcp.contract.catalogue import Catalogue, Kind
from sybilion_mcp.contract.jobs import Accepted, Job, JobPage
from sybilion_mcp.contract.recommendations import Alerts, DriverRanking
from sybilion_mcp.contract.request import encode
from sybilion_mcp.secret_text import Secrets
from sybilion_mcp.tracing import upstream

TIMEOUT = httpx.Timeout(30.0, connect=5.0)
ANSWER_SECONDS = 40.0
"""For one whole answer, however slowly it trickles in; an artifact may take longer."""
ARTIFACT_SECONDS = 120.0
MAX_ARTIFACT_BYTES = 100 * 1024 * 1024
MAX_ANSWER_BYTES = 4 * 1024 * 1024
MAX_BILLED_BYTES = 32 * 1024 * 1024
"""Of an answer that was paid for."""
RETRIED_STATUSES = frozenset({429, 502, 503, 504})
"""Statuses that pass by themselves, of what may be sent again."""

JOB_PAGES = 25
PIECE_BYTES = 64 * 1024
"""Of a request on its way out."""

Answer = TypeVar("Answer", bound=BaseModel)
_log = logging.getLogger(__name__)


def _told_of_retry(details: RetryDetails) -> None:
    """In our log, and only where somebody asked for it: what is tried again mostly succeeds."""
    _log.info("try %d failed, the next in %.1f s: %s", details.retry_num, details.wait_for, details.caused_by)


set_on_retry_hooks((_told_of_retry,))


class _WholePage(JobPage):
    """Every entry must be readable: a job left out would pass for one that was never made."""

    jobs: list[Job]


class SybilionClient:
    """One pooled client per process. GETs, and what carries an id of its own, are retried with backoff and jitter.

    A submit never is.
    """

    def __init__(
        self,
        base_url: str,
        token: str | None,
        *,
        name: str = "sybilion",
        token_variable: str = BackendError.credential,
        transport: httpx.AsyncBaseTransport | None = None,
        timeout: httpx.Timeout = TIMEOUT,
        answer_seconds: float = ANSWER_SECONDS,
        retry_seconds: float = 12.0,
    ) -> None:
        self.name = name
        self._token_variable = token_variable
        self.ahead = timedelta()
        self._retry_seconds = retry_seconds
        self._answer_seconds = answer_seconds
        self._secrets = Secrets([token] if token else [])
        self._http = httpx.AsyncClient(
            base_url=base_url,
            # Not compressed: what is small on the wire must not become large in memory.
            headers={"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {token}"} if token else {}),
            timeout=timeout,
            transport=transport,
            verify=True if transport else _trusted(),
            # On a connection used again, an answer that came twice would pass for the next request's.
            limits=httpx.Limits(max_keepalive_connections=0),
            event_hooks={"response": [masking(self._secrets)]},
        )

    async def submit(self, body: Mapping[str, object], in_time: Callable[[], bool] = lambda: True) -> Accepted:
        with self._signed(), _within(self._answer_seconds, "submit"):
            async with self._open("submit", "POST", "/api/v1/forecasts", encode(body), in_time) as response:
                return self._decoded("submit", Accepted, await _read("submit", response, MAX_ANSWER_BYTES))

    async def job(self, job_id: str) -> Job:
        with self._signed():
            job = await self._get("job", f"/api/v1/forecasts/{_segment(job_id)}", Job)
            if job.job_id != job_id:
                raise TransportError("job", "unreadable_answer", sent=True)
            return job

    async def download(self, job_id: str, name: str, into: Sink) -> None:
        """Pour one artifact out as it is sent, from the beginning again where the connection breaks.

        Raises `TooLargeError` above 100 MiB, `TransportError` when it is not as long as announced.
        """
        path = f"/api/v1/forecasts/{_segment(job_id)}/artifacts/{_segment(name)}"
        with self._signed():
            async for attempt in self._attempts():
                with attempt, _within(ARTIFACT_SECONDS, "artifact"):
                    async with self._open("artifact", "GET", path) as response:
                        await into.restart()
                        await _pour("artifact", response, MAX_ARTIFACT_BYTES, into)

    async def recent_jobs(self, since: datetime) -> list[Job] | None:
        """Every job of the account made since then by either clock, and perhaps some older ones.

        None when they fill `JOB_PAGES`.
        """
        found: dict[str, Job] = {}
        for number in range(1, JOB_PAGES + 1):
            path = f"/api/v1/jobs?sort=created_at&order=desc&limit=200&page={number}"
            with self._signed():
                page = (await self._get("jobs", path, _WholePage)).jobs
            found |= {job.job_id: job for job in page}
            earliest = since + min(self.ahead, timedelta())
            if not page or (page[-1].created is not None and page[-1].created < earliest):
                return list(found.values())
        return None

    async def rank_drivers(self, body: Mapping[str, object], request_id: str) -> DriverRanking:
        return await self._billed("drivers", "/api/v1/drivers", body, request_id, DriverRanking)

    async def alerts(self, body: Mapping[str, object], request_id: str) -> Alerts:
        return await self._billed("alerts", "/api/v1/alerts", body, request_id, Alerts)

    async def catalogue(self, kind: Kind) -> Catalogue:
        path = {"region": "/api/v1/regions", "category": "/api/v1/categories"}[kind]
        with self._signed():
            return await self._get("catalogue", path, Catalogue)

    async def jobs_page(self, page: int, limit: int, status: str | None = None) -> JobPage:
        wanted = "" if status is None else f"&status={quote(status, safe='')}"
        path = f"/api/v1/jobs?sort=created_at&order=desc&limit={limit}&page={page}{wanted}"
        with self._signed():
            return await self._get("jobs", path, JobPage)

    async def usage(self, limit: int) -> UsagePage:
        with self._signed():
            return await self._get("usage", f"/api/v1/usage?sort=created_at&order=desc&limit={limit}", UsagePage)

    async def account(self) -> Account:
        with self._signed():
            return await self._get("account", "/api/v1/me", Account)

    async def aclose(self) -> None:
        await self._http.aclose()

    @contextmanager
    def _signed(self) -> Iterator[None]:
        """Every failure says whose it is."""
        try:
            yield
        except BackendError as error:
            error.backend = self.name
            error.credential = self._token_variable
            raise

    async def _get(self, operation: str, path: str, model: type[Answer]) -> Answer:
        async for attempt in self._attempts():
            with attempt, _within(self._answer_seconds, operation):
                async with self._open(operation, "GET", path) as response:
                    content = await _read(operation, response, MAX_ANSWER_BYTES)
                    return self._decoded(operation, model, content)
        raise AssertionError("the attempts end with a result or the last error")

    async def _billed(
        self, operation: str, path: str, body: Mapping[str, object], request_id: str, model: type[Answer]
    ) -> Answer:
        """Sent again where the answer does not come, always with the same id, under which it is charged once."""
        lost, content = False, encode(body)
        with self._signed():
            async for attempt in self._attempts():
                with attempt:
                    try:
                        with _within(self._answer_seconds, operation):
                            async with self._open(operation, "POST", path, content, request_id=request_id) as response:
                                came = await _read(operation, response, MAX_BILLED_BYTES)
                                return self._decoded(operation, model, came)
                    except BackendError as error:
                        error.after_lost = lost
                        lost = lost or may_be_done(error)
                        raise
        raise AssertionError("the attempts end with a result or the last error")

    def _decoded(self, operation: str, model: type[Answer], content: bytes) -> Answer:
        """Should a service repeat a token in its answer, it goes no further."""
        try:
            return model.model_validate_json(self._secrets.hide(content.decode()))
        except ValueError as error:  # no UTF-8, or not what the model takes
            raise TransportError(operation, "unreadable_answer", sent=True) from error

    def _attempts(self) -> AsyncIterator[stamina.Attempt]:
        return aiter(stamina.retry_context(on=_passes_by_itself, attempts=4, timeout=self._retry_seconds))

    @asynccontextmanager
    async def _open(
        self,
        operation: str,
        method: str,
        path: str,
        content: bytes | None = None,
        in_time: Callable[[], bool] = lambda: True,
        *,
        request_id: str | None = None,
    ) -> AsyncIterator[httpx.Response]:
        """A successful response, its body not yet read. Everything else is raised as a `BackendError`."""
        headers, body = {}, None
        if content is not None:  # a body shorter than its announced length is no request
            headers = {"Content-Type": "application/json", "Content-Length": str(len(content))}
            body = _leaving(operation, content, in_time)
        headers |= {"X-Request-ID": request_id} if request_id is not None else {}
        try:
            with upstream(self.name, operation, method) as call:
                async with self._http.stream(method, path, content=body, headers=headers) as response:
                    call.answered(response.status_code, response.headers.get("x-trace-id"))
                    self.ahead = _ahead(response, self.ahead)
                    if not response.is_success:
                        raise await _error(operation, response)
                    yield response
        except httpx.ConnectTimeout as error:
            raise TransportError(operation, "unreachable", sent=False) from error
        except (httpx.ConnectError, httpx.UnsupportedProtocol, httpx.PoolTimeout) as error:
            raise TransportError(operation, "unreachable", sent=False) from error
        except httpx.TimeoutException as error:
            raise TransportError(operation, "timed_out", sent=True) from error
        except httpx.DecodingError as error:
            raise TransportError(operation, "unreadable_answer", sent=True) from error
        except httpx.TransportError as error:
            raise TransportError(operation, "unreachable", sent=True) from error


@cache
def _trusted() -> ssl.SSLContext:
    """One for all clients: it holds every certificate authority there is."""
    return httpx.create_ssl_context()


class InProcess(httpx.ASGITransport):
    """An application in this process. A request to it is short and never cut off in the middle."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()  # whole, or it is none
        with anyio.fail_after(None, shield=True):
            return await super().handle_async_request(request)


@contextmanager
def _within(seconds: float | None, operation: str) -> Iterator[None]:
    try:
        with anyio.fail_after(seconds):
            yield
    except TimeoutError as error:
        raise TransportError(operation, "timed_out", sent=True) from error


async def _leaving(operation: str, content: bytes, in_time: Callable[[], bool]) -> AsyncIterator[bytes]:
    """The body, piece by piece; a computer may sleep between any two, and without the last one nothing was asked."""
    for start in range(0, len(content), PIECE_BYTES):
        if not in_time():
            raise TransportError(operation, "timed_out", sent=False)
        yield content[start : start + PIECE_BYTES]


def _ahead(response: httpx.Response, known: timedelta) -> timedelta:
    """By how much the clock of an answer is ahead of ours; what is known where it has none, or none to be read."""
    try:
        return parsedate_to_datetime(response.headers.get("date", "")).astimezone(UTC) - utc_now()
    except (ValueError, OverflowError):
        return known


def _segment(text: str) -> str:
    """One step of a path, whatever the text: no slash, and no dots that would lead up."""
    return quote(text, safe="").replace(".", "%2E")


def _passes_by_itself(error: Exception) -> bool:
    if isinstance(error, AnswerError):
        return error.status in RETRIED_STATUSES
    return isinstance(error, TransportError) and error.kind != "unreadable_answer"


async def _read(operation: str, response: httpx.Response, limit: int) -> bytes:
    """The body, never more than `limit` bytes of it in memory."""
    whole = InMemory()
    await _pour(operation, response, limit, whole)
    return bytes(whole.content)


async def _pour(operation: str, response: httpx.Response, limit: int, into: Sink) -> None:
    """Pass the body on as it comes, at most `limit` bytes of it, and as many as were announced."""
    if response.headers.get("content-encoding", "identity") != "identity":
        raise TransportError(operation, "unreadable_answer", sent=True)
    came = 0
    async for chunk in response.aiter_bytes():
        came += len(chunk)
        if came > limit:
            raise TooLargeError(operation, limit)
        await into.add(chunk)
    announced = response.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) != came:
        raise TransportError(operation, "unreadable_answer", sent=True)


async def _error(operation: str, response: httpx.Response) -> AnswerError:
    try:
        body = json.loads(await _read(operation, response, MAX_ANSWER_BYTES))
    except (ValueError, RecursionError, TooLargeError, TransportError):
        body = None
    body = body if isinstance(body, dict) else None
    trace_id = response.headers.get("x-trace-id") or (body or {}).get("trace_id")
    return AnswerError(operation, response.status_code, body, str(trace_id) if trace_id else None)
