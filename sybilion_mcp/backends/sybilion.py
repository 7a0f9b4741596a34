"""The Sybilion API over HTTP: hosted, or the embedded engine in this process. Same wire, same client."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractAsyncContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TypeVar
from urllib.parse import quote

import anyio
import httpx
from pydantic import BaseModel

from sybilion_mcp.backends.base import BackendError, Sink, TransportError, may_be_done
from sybilion_mcp.backends.exchange import (
    MAX_ARTIFACT_BYTES,
    InTime,
    always,
    attempts,
    connected,
    opened,
    pour,
    read,
    segment,
    within,
)
from sybilion_mcp.clock import utc_now
from sybilion_mcp.contract.account import Account, UsagePage
from sybilion_mcp.contract.catalogue import Catalogue, Kind
from sybilion_mcp.contract.jobs import Accepted, Job, JobPage
from sybilion_mcp.contract.recommendations import Alerts, DriverRanking
from sybilion_mcp.contract.request import encode
from sybilion_mcp.secret_text import Secrets

TIMEOUT = httpx.Timeout(30.0, connect=5.0)
ANSWER_SECONDS = 40.0
"""For one whole answer, however slowly it trickles in; an artifact may take longer."""
ARTIFACT_SECONDS = 120.0
MAX_BILLED_BYTES = 32 * 1024 * 1024
"""Of an answer that was paid for."""

JOB_PAGES = 25

Answer = TypeVar("Answer", bound=BaseModel)


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
        self._http = connected(base_url, token, self._secrets, timeout, transport)

    async def submit(
        self, body: Mapping[str, object], in_time: InTime = always, *, request_id: str | None = None
    ) -> Accepted:
        """`request_id` is not sent: no forecast is known to be made once under it, the list of jobs tells of all."""
        with self._signed(), within(self._answer_seconds, "submit"):
            async with self._open("submit", "POST", "/api/v1/forecasts", encode(body), in_time) as response:
                return self._decoded("submit", Accepted, await read("submit", response))

    async def job(self, job_id: str) -> Job:
        with self._signed():
            job = await self._get("job", f"/api/v1/forecasts/{segment(job_id)}", Job)
            if job.job_id != job_id:
                raise TransportError("job", "unreadable_answer", sent=True)
            return job

    async def download(self, job_id: str, name: str, into: Sink) -> None:
        """Pour one artifact out as it is sent, from the beginning again where the connection breaks.

        Raises `TooLargeError` above 100 MiB, `TransportError` when it is not as long as announced.
        """
        path = f"/api/v1/forecasts/{segment(job_id)}/artifacts/{segment(name)}"
        with self._signed():
            async for attempt in attempts(self._retry_seconds):
                with attempt, within(ARTIFACT_SECONDS, "artifact"):
                    async with self._open("artifact", "GET", path) as response:
                        await into.restart()
                        await pour("artifact", response, MAX_ARTIFACT_BYTES, into)

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
        async for attempt in attempts(self._retry_seconds):
            with attempt, within(self._answer_seconds, operation):
                async with self._open(operation, "GET", path) as response:
                    content = await read(operation, response)
                    return self._decoded(operation, model, content)
        raise AssertionError("the attempts end with a result or the last error")

    async def _billed(
        self, operation: str, path: str, body: Mapping[str, object], request_id: str, model: type[Answer]
    ) -> Answer:
        """Sent again where the answer does not come, always with the same id, under which it is charged once."""
        lost, content = False, encode(body)
        with self._signed():
            async for attempt in attempts(self._retry_seconds):
                with attempt:
                    try:
                        with within(self._answer_seconds, operation):
                            async with self._open(operation, "POST", path, content, request_id=request_id) as response:
                                came = await read(operation, response, MAX_BILLED_BYTES)
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

    def _open(
        self,
        operation: str,
        method: str,
        path: str,
        content: bytes | None = None,
        in_time: InTime = always,
        *,
        request_id: str | None = None,
    ) -> AbstractAsyncContextManager[httpx.Response]:
        """A successful response, its body not yet read; see `opened`."""
        headers = {"Content-Type": "application/json"} if content is not None else {}
        headers |= {"X-Request-ID": request_id} if request_id is not None else {}
        return opened(self._http, self.name, operation, method, path, content, headers, in_time, self._look_at_clock)

    def _look_at_clock(self, response: httpx.Response) -> None:
        self.ahead = _ahead(response, self.ahead)


class InProcess(httpx.ASGITransport):
    """An application in this process. A request to it is short and never cut off in the middle."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()  # whole, or it is none
        with anyio.fail_after(None, shield=True):
            return await super().handle_async_request(request)


def _ahead(response: httpx.Response, known: timedelta) -> timedelta:
    """By how much the clock of an answer is ahead of ours; what is known where it has none, or none to be read."""
    try:
        return parsedate_to_datetime(response.headers.get("date", "")).astimezone(UTC) - utc_now()
    except (ValueError, OverflowError):
        return known
