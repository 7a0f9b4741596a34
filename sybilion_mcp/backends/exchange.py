"""One request and its answer: bounded in size and time, with every failure told as a `BackendError`."""

import json
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from urllib.parse import quote

import anyio
import httpx
import stamina
from stamina.instrumentation import RetryDetails, set_on_retry_hooks

from sybilion_mcp.backends.base import AnswerError, InMemory, Sink, TooLargeError, TransportError
from sybilion_mcp.backends.masked import masking
from sybilion_mcp.secret_text import Secrets
from sybilion_mcp.tracing import upstream

MAX_ARTIFACT_BYTES = 100 * 1024 * 1024
MAX_ANSWER_BYTES = 4 * 1024 * 1024
PIECE_BYTES = 64 * 1024
"""Of a request on its way out."""
RETRIED_STATUSES = frozenset({429, 502, 503, 504})
"""Statuses that pass by themselves, of what may be sent again."""

InTime = Callable[[], bool]
_log = logging.getLogger(__name__)


def _told_of_retry(details: RetryDetails) -> None:
    """In our log, and only where somebody asked for it: what is tried again mostly succeeds."""
    _log.info("try %d failed, the next in %.1f s: %s", details.retry_num, details.wait_for, details.caused_by)


set_on_retry_hooks((_told_of_retry,))


def always() -> bool:
    return True


def unseen(_: httpx.Response) -> None:
    pass


@cache
def trusted() -> ssl.SSLContext:
    """One for all clients: it holds every certificate authority there is."""
    return httpx.create_ssl_context()


def connected(
    base_url: str,
    secret: str | None,
    secrets: Secrets,
    timeout: httpx.Timeout,
    transport: httpx.AsyncBaseTransport | None,
) -> httpx.AsyncClient:
    """A client that shows `secret`, follows no redirect, and covers `secrets` in whatever comes."""
    return httpx.AsyncClient(
        base_url=base_url,
        # Not compressed: what is small on the wire must not become large in memory.
        headers={"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {secret}"} if secret else {}),
        timeout=timeout,
        transport=transport,
        follow_redirects=False,
        verify=True if transport else trusted(),
        # On a connection used again, an answer that came twice would pass for the next request's.
        limits=httpx.Limits(max_keepalive_connections=0),
        event_hooks={"response": [masking(secrets)]},
    )


def segment(text: str) -> str:
    """One step of a path, whatever the text: no slash, and no dots that would lead up."""
    return quote(text, safe="").replace(".", "%2E")


@asynccontextmanager
async def opened(
    http: httpx.AsyncClient,
    backend: str,
    operation: str,
    method: str,
    url: httpx.URL | str,
    content: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    in_time: InTime = always,
    seen: Callable[[httpx.Response], None] = unseen,
) -> AsyncIterator[httpx.Response]:
    """A successful response, its body not yet read. Everything else is raised as a `BackendError`.

    `backend` is who is asked, for traces. `in_time` is asked before every piece of `content`: where it says no, the
    request is never complete. `seen` is told of every response before its status is judged.
    """
    body, sent_with = None, dict(headers or {})
    if content is not None:  # a body shorter than its announced length is no request
        sent_with["Content-Length"] = str(len(content))
        body = _leaving(operation, content, in_time)
    try:
        with upstream(backend, operation, method) as call:
            async with http.stream(method, url, content=body, headers=sent_with) as response:
                call.answered(response.status_code, response.headers.get("x-trace-id"))
                seen(response)
                if not response.is_success:
                    raise await _error(operation, response)
                yield response
    except (httpx.ConnectTimeout, httpx.ConnectError, httpx.UnsupportedProtocol, httpx.PoolTimeout) as error:
        raise TransportError(operation, "unreachable", sent=False) from error
    except httpx.TimeoutException as error:
        raise TransportError(operation, "timed_out", sent=True) from error
    except httpx.DecodingError as error:
        raise TransportError(operation, "unreadable_answer", sent=True) from error
    except httpx.TransportError as error:
        raise TransportError(operation, "unreachable", sent=True) from error


@contextmanager
def within(seconds: float | None, operation: str) -> Iterator[None]:
    """A whole answer in so many seconds, however slowly it trickles in."""
    try:
        with anyio.fail_after(seconds):
            yield
    except TimeoutError as error:
        raise TransportError(operation, "timed_out", sent=True) from error


def attempts(seconds: float) -> AsyncIterator[stamina.Attempt]:
    """Of what may be sent again: with backoff and jitter, as long as what failed may pass by itself."""
    return aiter(stamina.retry_context(on=_passes_by_itself, attempts=4, timeout=seconds))


async def read(operation: str, response: httpx.Response, limit: int = MAX_ANSWER_BYTES) -> bytes:
    """The body, never more than `limit` bytes of it in memory."""
    whole = InMemory()
    await pour(operation, response, limit, whole)
    return bytes(whole.content)


async def pour(operation: str, response: httpx.Response, limit: int, into: Sink) -> int:
    """Pass the body on as it comes, at most `limit` bytes of it; how many there were: as many as were announced."""
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
    return came


async def _leaving(operation: str, content: bytes, in_time: InTime) -> AsyncIterator[bytes]:
    """Piece by piece: a computer may sleep between any two, and without the last one nothing was asked."""
    for start in range(0, len(content), PIECE_BYTES):
        if not in_time():
            raise TransportError(operation, "timed_out", sent=False)
        yield content[start : start + PIECE_BYTES]


def _passes_by_itself(error: Exception) -> bool:
    if isinstance(error, AnswerError):
        return error.status in RETRIED_STATUSES
    return isinstance(error, TransportError) and error.kind != "unreadable_answer"


async def _error(operation: str, response: httpx.Response) -> AnswerError:
    try:
        body = json.loads(await read(operation, response))
    except (ValueError, RecursionError, TooLargeError, TransportError):
        body = None
    body = body if isinstance(body, dict) else None
    trace_id = response.headers.get("x-trace-id") or (body or {}).get("trace_id") or (body or {}).get("request_id")
    return AnswerError(operation, response.status_code, body, str(trace_id) if trace_id else None)
