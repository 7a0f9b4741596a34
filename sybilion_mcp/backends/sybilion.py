"""The Sybilion API over HTTP: hosted, or the embedded engine in this process. Same wire, same client."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import TypeVar
from urllib.parse import quote

import anyio
import httpx
import stamina
from pydantic import BaseModel, ValidationError

from sybilion_mcp.backends.base import AnswerError, TooLargeError, TransportError
from sybilion_mcp.contract.jobs import Accepted, Account, Job, JobPage
from sybilion_mcp.contract.request import encode

TIMEOUT = httpx.Timeout(30.0, connect=5.0)
ANSWER_SECONDS = 40.0
"""For one whole answer, however slowly it trickles in. Artifacts may take longer."""
MAX_ARTIFACT_BYTES = 100 * 1024 * 1024
MAX_ANSWER_BYTES = 4 * 1024 * 1024
RETRIED_STATUSES = frozenset({429, 502, 503, 504})
"""Statuses of a GET that pass by themselves."""

Answer = TypeVar("Answer", bound=BaseModel)


class SybilionClient:
    """One pooled client per process. GETs are retried with backoff and jitter; a submit never is."""

    def __init__(
        self,
        base_url: str,
        token: str | None,
        *,
        name: str = "sybilion",
        transport: httpx.AsyncBaseTransport | None = None,
        timeout: httpx.Timeout = TIMEOUT,
        answer_seconds: float = ANSWER_SECONDS,
        retry_seconds: float = 12.0,
        on_close: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.name = name
        self._on_close = on_close
        self._retry_seconds = retry_seconds
        self._answer_seconds = answer_seconds
        self._http = httpx.AsyncClient(
            base_url=base_url,
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=timeout,
            transport=transport,
        )

    async def submit(self, body: Mapping[str, object]) -> Accepted:
        with _within(self._answer_seconds, "submit"):
            async with self._open("submit", "POST", "/api/v1/forecasts", encode(body)) as response:
                return _decoded("submit", Accepted, await _read("submit", response, MAX_ANSWER_BYTES))

    async def job(self, job_id: str) -> Job:
        return await self._get("job", f"/api/v1/forecasts/{_segment(job_id)}", Job)

    async def artifact(self, job_id: str, name: str) -> bytes:
        """The bytes of one artifact, as sent. Raises `TooLargeError` above 100 MiB."""
        path = f"/api/v1/forecasts/{_segment(job_id)}/artifacts/{_segment(name)}"
        return await self._get_bytes("artifact", path, MAX_ARTIFACT_BYTES, None)

    async def recent_jobs(self) -> list[Job]:
        """The account's newest jobs, at most 50."""
        page = await self._get("jobs", "/api/v1/jobs?sort=created_at&order=desc&limit=50", JobPage)
        return page.jobs

    async def account(self) -> Account:
        return await self._get("account", "/api/v1/me", Account)

    async def aclose(self) -> None:
        await self._http.aclose()
        if self._on_close is not None:
            await self._on_close()

    async def _get(self, operation: str, path: str, model: type[Answer]) -> Answer:
        content = await self._get_bytes(operation, path, MAX_ANSWER_BYTES, self._answer_seconds)
        return _decoded(operation, model, content)

    async def _get_bytes(self, operation: str, path: str, limit: int, seconds: float | None) -> bytes:
        async for attempt in stamina.retry_context(on=_passes_by_itself, attempts=4, timeout=self._retry_seconds):
            with attempt, _within(seconds, operation):
                async with self._open(operation, "GET", path) as response:
                    return await _read(operation, response, limit)
        raise AssertionError("stamina ends with a result or the last error")

    @asynccontextmanager
    async def _open(
        self, operation: str, method: str, path: str, content: bytes | None = None
    ) -> AsyncIterator[httpx.Response]:
        """A successful response, its body not yet read. Everything else is raised as a `BackendError`."""
        headers = {"Content-Type": "application/json"} if content is not None else {}
        try:
            async with self._http.stream(method, path, content=content, headers=headers) as response:
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


class InProcess(httpx.ASGITransport):
    """An application in this process. A request to it is short and never cut off in the middle."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        with anyio.fail_after(None, shield=True):
            return await super().handle_async_request(request)


@contextmanager
def _within(seconds: float | None, operation: str) -> Iterator[None]:
    try:
        with anyio.fail_after(seconds):
            yield
    except TimeoutError as error:
        raise TransportError(operation, "timed_out", sent=True) from error


def _segment(text: str) -> str:
    """One step of a path, whatever the text: no slash, and no dots that would lead up."""
    return quote(text, safe="").replace(".", "%2E")


def _passes_by_itself(error: Exception) -> bool:
    if isinstance(error, AnswerError):
        return error.status in RETRIED_STATUSES
    return isinstance(error, TransportError) and error.kind != "unreadable_answer"


async def _read(operation: str, response: httpx.Response, limit: int) -> bytes:
    """The body, never more than `limit` bytes of it in memory."""
    content = bytearray()
    async for chunk in response.aiter_bytes():
        content += chunk
        if len(content) > limit:
            raise TooLargeError(operation, limit)
    return bytes(content)


async def _error(operation: str, response: httpx.Response) -> AnswerError:
    try:
        body = json.loads(await _read(operation, response, MAX_ANSWER_BYTES))
    except (ValueError, RecursionError, TooLargeError):
        body = None
    body = body if isinstance(body, dict) else None
    trace_id = response.headers.get("x-trace-id") or (body or {}).get("trace_id")
    return AnswerError(operation, response.status_code, body, str(trace_id) if trace_id else None)


def _decoded(operation: str, model: type[Answer], content: bytes) -> Answer:
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        raise TransportError(operation, "unreadable_answer", sent=True) from error
