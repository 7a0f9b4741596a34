"""The client of Eomer: against the embedded engine, and against everything that may go wrong on the way."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import stamina

from sybilion_mcp.backends import exchange
from sybilion_mcp.backends.base import AnswerError, BackendError, TooLargeError, TransportError
from sybilion_mcp.backends.eomer import EomerClient
from sybilion_mcp.backends.origin import ElsewhereError
from sybilion_mcp.contract.eomer import EomerJob
from sybilion_mcp.contract.eomer_table import read_forecast_table
from sybilion_mcp.engine.eomer.app import build_eomer_app
from tests.conftest import until
from tests.engine.eomer.made_up import SHAPES, body, labels

pytestmark = pytest.mark.anyio

KEY = "eomer-key-0123456789"
ATTEMPTS = 4
SMALL = body("D", 2, 40)
Answering = Callable[[httpx.Request], httpx.Response]
Call = Callable[[EomerClient], Any]

GETS: dict[str, Call] = {
    "job": lambda client: client.job("j"),
    "document": lambda client: client.artifact("j", "job.json"),
    "forecast": lambda client: client.artifact("j", "forecast.csv"),
    "file": lambda client: client.artifact("j", "report"),
}
CALLS: dict[str, Call] = {**GETS, "submit": lambda client: client.submit(SMALL)}


@pytest.fixture(autouse=True)
def no_pauses() -> Iterator[None]:
    """Retries happen, the pauses between them do not."""
    with stamina.set_testing(True, attempts=ATTEMPTS):
        yield


class Faulty(httpx.AsyncBaseTransport):
    """The embedded service, of whose answers some are replaced; the request may have arrived before."""

    def __init__(self, beneath: httpx.AsyncBaseTransport) -> None:
        self.beneath = beneath
        self.requests: list[httpx.Request] = []
        self.faults: list[tuple[bool, Exception | httpx.Response]] = []

    def next(self, fault: Exception | httpx.Response, *, handled: bool = False) -> None:
        self.faults.append((handled, fault))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        self.requests.append(request)
        if not self.faults:
            return await self.beneath.handle_async_request(request)
        handled, fault = self.faults.pop(0)
        if handled:
            await (await self.beneath.handle_async_request(request)).aread()
        if isinstance(fault, Exception):
            raise fault
        return fault


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Faulty]:
    with ThreadPoolExecutor(1) as threads:
        app = build_eomer_app(tmp_path, executor=threads)
        yield Faulty(httpx.ASGITransport(app))
        await app.state.engine.aclose()


@pytest.fixture
async def client(service: Faulty) -> AsyncIterator[EomerClient]:
    client = EomerClient("http://eomer.local", KEY, transport=service)
    yield client
    await client.aclose()


def answered_by(answering: Answering, base_url: str = "https://api.test") -> EomerClient:
    return EomerClient(base_url, KEY, transport=httpx.MockTransport(answering), answer_seconds=2)


def offering(url: str, answer: httpx.Response | None = None) -> tuple[EomerClient, list[httpx.Request]]:
    """A client of a job whose report lies at `url`, and the requests that it makes."""
    seen: list[httpx.Request] = []

    def respond(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if request.url.path == "/jobs/j":
            return httpx.Response(200, json={"job_id": "j", "status": "completed", "report_url": url})
        return answer or httpx.Response(200, content=b"a report")

    return answered_by(respond), seen


async def failure_of(call: Any) -> BackendError:
    with anyio.fail_after(10), pytest.raises(BackendError) as caught:
        await call
    return caught.value


async def completed(client: EomerClient, job_id: str) -> EomerJob:
    looks: list[EomerJob] = []

    async def is_finished() -> bool:
        looks.append(await client.document(job_id))
        return looks[-1].finished

    await until(is_finished, 60)
    return looks[-1]


# The whole way


@pytest.mark.parametrize("alias", SHAPES)
async def test_submit_status_forecast_and_explanation(client: EomerClient, alias: str) -> None:
    accepted = await client.submit(body(alias), request_id="r-1")

    document = await completed(client, accepted.job_id)
    job = await client.job(accepted.job_id)

    assert (job.status, job.settled, job.finished, job.eur_cents_final) == ("completed", True, True, None)
    table = read_forecast_table(await client.artifact(accepted.job_id, "forecast.csv"))
    _, count, horizon = SHAPES[alias]
    assert [one.timestamp for one in table.series[2].steps] == labels(alias, count + horizon)[count:]
    assert document.explainability is not None
    assert document.explainability.overview_markdown
    for file in document.files:
        assert client.follows(file)
        content = await client.artifact(accepted.job_id, file.name)
        assert content
        if file.media_type == "application/json":
            json.loads(content)
    assert {one.name for one in job.artifacts} >= {"forecast.csv", "job.json", "report", "forecast_plot", "trend.csv"}


async def test_a_lost_answer_asked_again_under_its_id_is_the_same_job(service: Faulty, client: EomerClient) -> None:
    service.next(httpx.ReadTimeout("slow"), handled=True)

    failure = await failure_of(client.submit(SMALL, request_id="r-1"))
    again = await client.submit(SMALL, request_id="r-1")
    once_more = await client.submit(SMALL, request_id="r-1")

    assert isinstance(failure, TransportError)
    assert (failure.kind, failure.sent) == ("timed_out", True)
    assert again.job_id == once_more.job_id
    assert len(service.requests) == 3


async def test_nobody_lists_jobs_or_tells_of_the_account(client: EomerClient, service: Faulty) -> None:
    assert await client.recent_jobs(datetime.now(UTC)) is None
    assert (await client.account()).user_id is None
    assert service.requests == []


async def test_a_download_that_breaks_begins_again(service: Faulty, client: EomerClient) -> None:
    job_id = (await client.submit(SMALL)).job_id
    await completed(client, job_id)
    good = await client.artifact(job_id, "forecast.csv")

    service.next(httpx.ReadError("broken"))
    short = httpx.Response(200, headers={"content-length": "9"}, stream=httpx.ByteStream(b"12345678"))
    service.next(httpx.Response(502))

    assert await client.artifact(job_id, "forecast.csv") == good
    service.next(short)
    failure = await failure_of(client.artifact(job_id, "forecast.csv"))
    assert isinstance(failure, TransportError)
    assert failure.kind == "unreadable_answer"


# What is sent


async def test_a_submit_carries_the_form_the_key_and_its_id() -> None:
    seen: list[httpx.Request] = []

    def accept(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(202, json={"job_id": "j1", "status": "pending", "queue": 3})

    assert (await answered_by(accept).submit(SMALL, request_id="r-7")).job_id == "j1"

    (request,) = seen
    assert (request.method, request.url.path) == ("POST", "/forecast")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["x-request-id"] == request.headers["idempotency-key"] == "r-7"
    assert request.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert int(request.headers["content-length"]) == len(request.content)
    assert b'name="prediction_length"\r\n\r\n14\r\n' in request.content
    assert b"item_id,timestamp,target\nD 0,2022-01-03," in request.content


async def test_what_would_leave_too_late_does_not_leave() -> None:
    seen: list[httpx.Request] = []

    async def respond(request: httpx.Request) -> httpx.Response:
        await request.aread()
        seen.append(request)
        return httpx.Response(202, json={"job_id": "j"})

    client = EomerClient("https://api.test", KEY, transport=httpx.MockTransport(respond))
    failure = await failure_of(client.submit(SMALL, lambda: False))

    assert isinstance(failure, TransportError)
    assert not failure.sent
    assert seen == []


@pytest.mark.parametrize(
    "base_url", ["https://api.test", "https://api.test/", "https://api.test/v2", "https://api.test/v2/"]
)
async def test_the_base_may_have_a_path(base_url: str) -> None:
    seen: list[str] = []

    def respond(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.path)
        return httpx.Response(200, json={"job_id": "j", "status": "pending"})

    client = answered_by(respond, base_url)
    await client.submit(SMALL)
    await client.job("j")

    prefix = "/v2" if "v2" in base_url else ""
    assert seen == [f"{prefix}/forecast", f"{prefix}/jobs/j"]


async def test_no_id_leads_to_another_path() -> None:
    seen: list[str] = []

    def respond(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.raw_path.decode())
        return httpx.Response(404, json={"error_code": "job_not_found"})

    for job_id in ("..", "a/b?c#d", "%2e%2e"):
        await failure_of(answered_by(respond).artifact(job_id, "forecast.csv"))

    assert len(seen) == 3
    for path in seen:
        steps = path.split("/")
        assert (len(steps), steps[1], steps[3]) == (4, "jobs", "download")
        assert "?" not in path


# Where it goes


@pytest.mark.parametrize(
    "url", ["https://api.test/r/1?sig=x", "/r/1?sig=x", "r/1?sig=x", "https://api.test:443/r/1?sig=x"]
)
async def test_a_file_on_the_own_host_is_fetched(url: str) -> None:
    client, seen = offering(url)

    assert await client.artifact("j", "report") == b"a report"

    assert [str(one.url) for one in seen] == ["https://api.test/jobs/j", "https://api.test/r/1?sig=x"]


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.test/r",
        "http://api.test/r",
        "https://api.test:444/r",
        "https://api.test@evil.test/r",
        "//evil.test/r",
        "https://api.test\\@evil.test/r",
        "file:///etc/passwd",
    ],
)
async def test_a_file_elsewhere_is_not_fetched(url: str) -> None:
    client, seen = offering(url)

    failure = await failure_of(client.artifact("j", "report"))

    assert isinstance(failure, ElsewhereError)
    assert (failure.operation, failure.backend) == ("artifact", "eomer")
    assert [one.url.host for one in seen] == ["api.test"]
    job = await client.document("j")
    assert [client.follows(one) for one in job.files] == [True, True, False]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    client, seen = offering("/r", httpx.Response(status, headers={"location": "https://evil.test/"}))

    failure = await failure_of(client.artifact("j", "report"))

    assert isinstance(failure, AnswerError)
    assert failure.status == status
    assert {one.url.host for one in seen} == {"api.test"}


async def test_a_file_that_the_job_does_not_offer_is_not_asked_for() -> None:
    client, seen = offering("/r")

    failure = await failure_of(client.artifact("j", "explainability.json"))

    assert isinstance(failure, AnswerError)
    assert (failure.status, failure.operation, failure.backend) == (404, "artifact", "eomer")
    assert len(seen) == 1


async def test_a_key_that_the_service_repeats_goes_no_further() -> None:
    document = {"job_id": "j", "status": "failed", "error": f"the key {KEY} is odd", f"x{KEY}": 1}
    client = answered_by(lambda _: httpx.Response(200, json=document))

    job = await client.document("j")

    assert KEY not in repr(job)
    assert KEY.encode() not in await client.artifact("j", "job.json")


async def test_half_a_surrogate_pair_does_not_make_a_job_unreadable() -> None:
    content = b'{"job_id": "j", "status": "failed", "error": "broken \\ud83d text"}'
    client = answered_by(lambda _: httpx.Response(200, content=content))

    job = await client.job("j")

    assert job.pipeline_error is not None
    assert job.pipeline_error.detail == "broken ? text"
    assert await client.artifact("j", "job.json") == content


# What comes back


@pytest.mark.parametrize("operation", CALLS)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 429, 500, 502, 503, 504])
async def test_errors_keep_status_body_and_id_and_say_whose_they_are(operation: str, status: int) -> None:
    told = {"error": "a sentence", "error_code": "storage_error", "request_id": "r-9"}

    failure = await failure_of(CALLS[operation](answered_by(lambda _: httpx.Response(status, json=told))))

    assert isinstance(failure, AnswerError)
    assert (failure.status, failure.body, failure.trace_id, failure.backend) == (status, told, "r-9", "eomer")


@pytest.mark.parametrize(
    "content", [b"", b"<html>", b"{}", b'{"job_id": 7}', b"[]", b'{"job_id": "j"', b"\xff", b"[" * 99_999]
)
@pytest.mark.parametrize("operation", ["submit", "job", "document"])
async def test_a_good_status_with_another_answer_is_unreadable(operation: str, content: bytes) -> None:
    failure = await failure_of(CALLS[operation](answered_by(lambda _: httpx.Response(200, content=content))))

    assert isinstance(failure, TransportError)
    assert (failure.kind, failure.sent) == ("unreadable_answer", True)


async def test_another_job_than_asked_for_is_no_answer() -> None:
    client = answered_by(lambda _: httpx.Response(200, json={"job_id": "other", "status": "completed"}))

    for call in (client.job("j"), client.artifact("j", "job.json"), client.artifact("j", "report")):
        failure = await failure_of(call)
        assert isinstance(failure, TransportError)
        assert failure.kind == "unreadable_answer"


# Retries


@pytest.mark.parametrize("operation", GETS)
@pytest.mark.parametrize("fault", [429, 502, 503, 504, httpx.ReadError("reset"), httpx.ConnectError("down")], ids=str)
async def test_gets_are_retried_until_it_passes(operation: str, fault: int | Exception) -> None:
    calls: list[str] = []

    def respond(request: httpx.Request) -> httpx.Response:
        calls.append(request.url.path)
        if len(calls) < ATTEMPTS:
            if isinstance(fault, Exception):
                raise fault
            return httpx.Response(fault)
        return httpx.Response(200, json={"job_id": "j", "status": "completed", "report_url": "/r"})

    await GETS[operation](answered_by(respond))

    assert len(calls) == ATTEMPTS + (operation == "file")


@pytest.mark.parametrize("fault", [429, 500, 502, 503, 504, httpx.ReadError("x"), httpx.ReadTimeout("x")], ids=str)
async def test_a_submit_is_never_sent_twice(service: Faulty, client: EomerClient, fault: int | Exception) -> None:
    service.next(httpx.Response(fault) if isinstance(fault, int) else fault, handled=True)

    failure = await failure_of(client.submit(SMALL))

    assert len(service.requests) == 1
    assert isinstance(failure, AnswerError) or (isinstance(failure, TransportError) and failure.sent)


async def test_what_never_left_is_known_as_such() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("nobody there")

    failure = await failure_of(answered_by(refuse).submit(SMALL))

    assert isinstance(failure, TransportError)
    assert (failure.kind, failure.sent) == ("unreachable", False)


@pytest.mark.parametrize("url", ["", "api.eomer.ai", "ftp://127.0.0.1", "not a url"])
async def test_an_address_that_is_none_is_unreachable(url: str) -> None:
    failure = await failure_of(EomerClient(url, KEY).submit(SMALL))

    assert isinstance(failure, TransportError)
    assert (failure.kind, failure.sent) == ("unreachable", False)


# Time and size


async def trickle() -> AsyncIterator[bytes]:
    while True:
        await anyio.lowlevel.checkpoint()
        yield b" "


@pytest.mark.parametrize("operation", ["submit", "job"])
async def test_an_answer_that_trickles_in_forever_ends_in_time(operation: str) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=trickle()))
    client = EomerClient("https://api.test", KEY, transport=transport, answer_seconds=0.1)

    failure = await failure_of(CALLS[operation](client))

    assert isinstance(failure, TransportError)
    assert (failure.kind, failure.sent) == ("timed_out", True)


class Endless(httpx.AsyncByteStream):
    def __init__(self) -> None:
        self.taken = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            self.taken += 1 << 16
            yield bytes(1 << 16)


@pytest.mark.parametrize("operation", CALLS)
async def test_an_endless_answer_is_given_up(operation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sybilion_mcp.backends.eomer.MAX_ARTIFACT_BYTES", 1 << 20)
    streams: list[Endless] = []

    def respond(_: httpx.Request) -> httpx.Response:
        streams.append(Endless())
        return httpx.Response(200, stream=streams[-1])

    failure = await failure_of(CALLS[operation](answered_by(respond)))

    assert isinstance(failure, TooLargeError)
    assert len(streams) == 1
    assert streams[0].taken <= exchange.MAX_ANSWER_BYTES + (1 << 17)
