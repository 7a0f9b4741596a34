"""What every forecasting backend can do, and how it fails."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal, Protocol

from sybilion_mcp.contract.jobs import Accepted, Job, JobPage

if TYPE_CHECKING:
    from sybilion_mcp.contract.account import Account, UsagePage
    from sybilion_mcp.contract.catalogue import Catalogue, Kind
    from sybilion_mcp.contract.recommendations import Alerts, DriverRanking

Transport = Literal["unreachable", "timed_out", "unreadable_answer"]


class BackendError(Exception):
    """A backend did not do what was asked.

    `operation` names the call for people: "submit", "artifact", … `backend` is the name of who failed, and
    `credential` where its token comes from; the client puts them there. `after_lost`: the answer to an earlier try of
    the same call may have got lost. `last_seen`: what was known of the job before, in a sentence of ours.
    """

    backend = ""
    credential = "SYBILION_API_TOKEN"
    after_lost = False
    last_seen = ""

    def __init__(self, operation: str, message: str) -> None:
        super().__init__(message)
        self.operation = operation


class AnswerError(BackendError):
    """The backend answered with an error. `body` is None when it is no JSON object."""

    def __init__(self, operation: str, status: int, body: dict[str, object] | None, trace_id: str | None) -> None:
        super().__init__(operation, f"{operation}: HTTP {status}")
        self.status = status
        self.body = body
        self.trace_id = trace_id

    @property
    def text(self) -> str:
        """The API's own sentence. It comes from outside: good for telling causes apart, never for quoting."""
        return str((self.body or {}).get("error", ""))


class TransportError(BackendError):
    """No usable answer: the host was not reached, was too slow, or sent what nobody can read.

    `sent` says whether the request may have reached the backend.
    """

    def __init__(self, operation: str, kind: Transport, *, sent: bool, trace_id: str | None = None) -> None:
        super().__init__(operation, f"{operation}: {kind}")
        self.kind: Transport = kind
        self.sent = sent
        self.trace_id = trace_id


class TooLargeError(BackendError):
    """An artifact exceeds what a client accepts; nothing of it was kept."""

    def __init__(self, operation: str, limit: int) -> None:
        super().__init__(operation, f"{operation}: more than {limit} bytes")
        self.limit = limit


def may_be_done(error: BackendError) -> bool:
    """Whether a billed call that failed like this may have been charged: anything but a plain no may hide a yes."""
    if isinstance(error, AnswerError):
        return error.status >= 500 and not (error.status == 503 and error.text)
    return not isinstance(error, TransportError) or error.sent


_NEVER_TAKEN = frozenset({400, 413, 415, 422})


def never_taken(error: BackendError) -> bool:
    """Whether the service says, in words of its own, that it takes such a request never, however often it is sent."""
    return isinstance(error, AnswerError) and error.status in _NEVER_TAKEN and error.text != ""


_MADE_NO_JOB = frozenset({400, 401, 402, 403, 404, 405, 413, 415, 422, 429})
"""What the service answers to a submit that it declines; after anything else a job may exist."""


def outcome_unknown(error: BackendError) -> bool:
    """Whether a submit that failed like this may still have made a job."""
    if isinstance(error, AnswerError):
        return error.status not in _MADE_NO_JOB
    return not (isinstance(error, TransportError) and not error.sent)


class Sink(Protocol):
    """Where an artifact goes as it comes in; `restart` when it comes from the beginning again."""

    async def restart(self) -> None: ...

    async def add(self, chunk: bytes) -> None: ...


@dataclass
class InMemory:
    """A sink that holds what comes. Raises `TooLargeError` beyond `limit` bytes, where there is one."""

    limit: int | None = None
    content: bytearray = field(default_factory=bytearray)

    async def restart(self) -> None:
        self.content.clear()

    async def add(self, chunk: bytes) -> None:
        self.content += chunk
        if self.limit is not None and len(self.content) > self.limit:
            raise TooLargeError("artifact", self.limit)


class Backend(Protocol):
    """A service that turns a forecast request into a job and a job into artifacts."""

    name: str
    ahead: timedelta
    """By how much the service's clock was ahead of this computer's at its last answer."""

    async def submit(
        self, body: dict[str, object], in_time: Callable[[], bool] = lambda: True, *, request_id: str | None = None
    ) -> Accepted:
        """`in_time` is asked just before the request is complete: where it says no, it never is, and the
        `TransportError` says that nothing was sent. Under one `request_id`, a service that honours it makes one job.
        """
        ...

    async def job(self, job_id: str) -> Job: ...

    async def download(self, job_id: str, name: str, into: Sink) -> None:
        """Pour an artifact out, as long as it is announced, or with a failure."""
        ...

    async def recent_jobs(self, since: datetime) -> list[Job] | None:
        """Every job of the account made since then, by this computer's clock or by the service's.

        None when they cannot be listed, or are too many to be sure.
        """
        ...

    async def account(self) -> "Account": ...

    async def aclose(self) -> None: ...


class SybilionBackend(Backend, Protocol):
    """What only the Sybilion API has beside forecasts, hosted or embedded."""

    async def rank_drivers(self, body: dict[str, object], request_id: str) -> "DriverRanking":
        """Billed; once, however often it is sent with this id."""
        ...

    async def alerts(self, body: dict[str, object], request_id: str) -> "Alerts":
        """Billed; once, however often it is sent with this id."""
        ...

    async def catalogue(self, kind: "Kind") -> "Catalogue": ...

    async def jobs_page(self, page: int, limit: int, status: str | None = None) -> JobPage:
        """One page of the account's jobs, the newest first; pages count from 1."""
        ...

    async def usage(self, limit: int) -> "UsagePage":
        """The newest charges."""
        ...
