"""The Eomer API over HTTP: hosted, or the embedded engine behind the same wire."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TypeVar

import anyio.to_thread
import httpx
from pydantic import BaseModel

from sybilion_mcp.backends.base import AnswerError, BackendError, InMemory, Sink, TransportError
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
from sybilion_mcp.backends.origin import ElsewhereError, own_target
from sybilion_mcp.contract.account import Account
from sybilion_mcp.contract.eomer import EomerAccepted, EomerJob, JobFile, decoded
from sybilion_mcp.contract.eomer_files import DOCUMENT, FORECAST
from sybilion_mcp.contract.eomer_form import form_of
from sybilion_mcp.contract.jobs import Accepted, Job
from sybilion_mcp.secret_text import Secrets

TIMEOUT = httpx.Timeout(60.0, connect=10.0)  # a service that sleeps when nobody asks takes a while to wake up
ANSWER_SECONDS = 70.0
"""For one whole answer, however slowly it trickles in; a file may take longer."""
FILE_SECONDS = 120.0

Answer = TypeVar("Answer", bound=BaseModel)


class EomerClient:
    """One client per process. GETs are retried with backoff and jitter; a submit never is.

    The service lists no jobs: what a lost submit made cannot be looked for. Files are fetched from the API's own
    host only, and no redirect is followed.
    """

    ahead = timedelta()

    def __init__(
        self,
        base_url: str,
        key: str | None,
        *,
        name: str = "eomer",
        transport: httpx.AsyncBaseTransport | None = None,
        timeout: httpx.Timeout = TIMEOUT,
        answer_seconds: float = ANSWER_SECONDS,
        retry_seconds: float = 30.0,
    ) -> None:
        self.name = name
        self._base_url = base_url
        self._retry_seconds = retry_seconds
        self._answer_seconds = answer_seconds
        self._secrets = Secrets([key] if key else [])
        self._http = connected(base_url, key, self._secrets, timeout, transport)

    async def submit(
        self, body: Mapping[str, object], in_time: InTime = always, *, request_id: str | None = None
    ) -> Accepted:
        """Send a body that passed `check_eomer`, as a form. Under one `request_id`, a service that honours it makes
        one job, however often it is asked.
        """
        headers, content = await anyio.to_thread.run_sync(_multipart, body)
        if request_id is not None:
            headers |= {"X-Request-ID": request_id, "Idempotency-Key": request_id}
        sending = opened(self._http, self.name, "submit", "POST", "forecast", content, headers, in_time)
        with self._signed(), within(self._answer_seconds, "submit"):
            async with sending as response:
                accepted = self._decoded("submit", EomerAccepted, await read("submit", response))
        return Accepted(job_id=accepted.job_id)

    async def job(self, job_id: str) -> Job:
        return (await self.document(job_id)).common

    async def document(self, job_id: str) -> EomerJob:
        """The job with everything that the service says of it."""
        return self._job_in(await self._document(job_id), job_id)

    async def artifact(self, job_id: str, name: str) -> bytes:
        """The bytes of one file, as sent. Raises `TooLargeError` above 100 MiB."""
        whole = InMemory()
        await self.download(job_id, name, whole)
        return bytes(whole.content)

    async def download(self, job_id: str, name: str, into: Sink, size: int | None = None) -> None:
        """Pour one file out as it is sent, from the beginning again where the connection breaks.

        `name` is one of the job's `files`. Raises `AnswerError` 404 where the job has none of that name,
        `ElsewhereError` when it lies on another host, `TooLargeError` above 100 MiB.
        """
        if name == DOCUMENT:
            content = await self._document(job_id)
            await into.restart()
            await into.add(content)
            return
        target = f"jobs/{segment(job_id)}/download" if name == FORECAST else await self._target(job_id, name)
        with self._signed():
            async for attempt in attempts(self._retry_seconds):
                with attempt, within(FILE_SECONDS, "artifact"):
                    async with opened(self._http, self.name, "artifact", "GET", self._own(target)) as response:
                        await into.restart()
                        came = await pour("artifact", response, MAX_ARTIFACT_BYTES, into)
                    if size is not None and came != size:
                        raise TransportError("artifact", "unreadable_answer", sent=True)

    async def recent_jobs(self, since: datetime) -> list[Job] | None:
        """None: the service tells of no job but by its id."""
        return None

    async def account(self) -> Account:
        """Nothing: the service tells nothing of accounts."""
        return Account()

    async def aclose(self) -> None:
        await self._http.aclose()

    @contextmanager
    def _signed(self) -> Iterator[None]:
        """Every failure says whose it is."""
        try:
            yield
        except BackendError as error:
            error.backend = self.name
            raise

    async def _document(self, job_id: str) -> bytes:
        """The job as sent, without the key should it stand there."""
        with self._signed():
            async for attempt in attempts(self._retry_seconds):
                with attempt, within(self._answer_seconds, "job"):
                    async with opened(self._http, self.name, "job", "GET", f"jobs/{segment(job_id)}") as response:
                        content = self._hidden("job", await read("job", response))
                    self._job_in(content, job_id)
                    return content
        raise AssertionError("the attempts end with a result or the last error")

    def _job_in(self, content: bytes, job_id: str) -> EomerJob:
        job = self._decoded("job", EomerJob, content)
        if job.job_id != job_id:
            raise TransportError("job", "unreadable_answer", sent=True)
        return job

    async def _target(self, job_id: str, name: str) -> str:
        """Where a file of a job lies, as path and query."""
        found = next((one for one in (await self.document(job_id)).files if one.name == name), None)
        with self._signed():
            if found is None or found.url is None:
                raise AnswerError("artifact", 404, None, None)
            target = own_target(self._base_url, found.url)
            if target is None:
                raise ElsewhereError("artifact")
            return target

    def _own(self, target: str) -> httpx.URL | str:
        """The target on this API's host: an absolute path stands for itself, whatever it looks like."""
        if not target.startswith("/"):
            return target
        return httpx.URL(self._base_url).copy_with(raw_path=target.encode("ascii"))

    def follows(self, file: JobFile) -> bool:
        """Whether a file of a job can be fetched, because it lies on the API's host."""
        return file.url is None or own_target(self._base_url, file.url) is not None

    def _decoded(self, operation: str, model: type[Answer], content: bytes) -> Answer:
        try:
            return decoded(model, self._hidden(operation, content))
        except ValueError as error:  # not what the model takes
            raise TransportError(operation, "unreadable_answer", sent=True) from error

    def _hidden(self, operation: str, content: bytes) -> bytes:
        """Should a service repeat a key in its answer, it goes no further."""
        try:
            return self._secrets.hide(content.decode()).encode()
        except UnicodeDecodeError as error:
            raise TransportError(operation, "unreadable_answer", sent=True) from error


def _multipart(body: Mapping[str, object]) -> tuple[dict[str, str], bytes]:
    """The headers and the bytes of its form."""
    form = form_of(body)
    file = {"file": (form.filename, form.content, "text/csv")}
    request = httpx.Request("POST", "http://form", data=dict(form.fields), files=file)
    return {"Content-Type": request.headers["content-type"]}, request.read()
