"""The client: what it sends, what it makes of every answer, and what it does when there is none."""

import json
import socket
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import httpx
import pytest
import stamina

from sybilion_mcp.backends.base import AnswerError, BackendError, InMemory, TooLargeError, TransportError
from sybilion_mcp.backends.sybilion import MAX_ARTIFACT_BYTES, InProcess, SybilionClient
from tests.hosted import TOKEN, Fault, HostedApi, cut, error, garbage, proxy_error, reset, serving, silence
from tests.timing import wall_clock

pytestmark = pytest.mark.anyio

ATTEMPTS = 4
REQUEST = {"pipeline_version": "v1", "timeseries": {"2026-01-01": 1.5}, "timeseries_metadata": {"title": "Öl"}}
Answering = Callable[[httpx.Request], httpx.Response]
Call = Callable[[SybilionClient], Any]

GETS: dict[str, Call] = {
    "job": lambda client: client.job("j"),
    "artifact": lambda client: client.download("j", "forecast.json", InMemory()),
    "jobs": lambda client: client.recent_jobs(datetime.now(UTC)),
    "account": lambda client: client.account(),
}
CALLS: dict[str, Call] = {**GETS, "submit": lambda client: client.submit(REQUEST)}


@pytest.fixture(autouse=True)
def no_pauses() -> Iterator[None]:
    """Retries happen, the pauses between them do not."""
    with stamina.set_testing(True, attempts=ATTEMPTS):
        yield


@pytest.fixture
async def api() -> AsyncIterator[HostedApi]:
    async with serving() as api:
        yield api


def answered_by(answering: Answering, token: str | None = TOKEN) -> SybilionClient:
    return SybilionClient("https://api.test", token, transport=httpx.MockTransport(answering))


def impatient(url: str, seconds: float = 0.2) -> SybilionClient:
    return SybilionClient(url, TOKEN, timeout=httpx.Timeout(seconds), answer_seconds=2 * seconds)


async def failure_of(call: Any) -> BackendError:
    with anyio.fail_after(5), pytest.raises(BackendError) as caught:
        await call
    return caught.value


ANSWERED = sorted(CALLS.keys() - {"artifact"})  # an artifact is whatever was sent


@pytest.mark.parametrize(
    ("operation", "fault"),
    [(one, fault) for one in CALLS for fault in (error(500, "x"), reset())] + [(one, garbage()) for one in ANSWERED],
)
async def test_a_failure_says_whose_it_is(api: HostedApi, operation: str, fault: Fault) -> None:
    api.always(operation, fault)
    client = SybilionClient(api.url, TOKEN, name="made up")

    try:
        failure = await failure_of(CALLS[operation](client))
    finally:
        await client.aclose()

    assert failure.backend == "made up"


# What is sent


async def test_a_submit_carries_the_body_and_the_token() -> None:
    seen: list[httpx.Request] = []

    def accept(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(202, json={"job_id": "j1", "poll_url": "/x", "workflow": "new field"})

    accepted = await answered_by(accept).submit(REQUEST)

    assert accepted.job_id == "j1"
    assert (seen[0].method, seen[0].url.path) == ("POST", "/api/v1/forecasts")
    assert seen[0].headers["authorization"] == f"Bearer {TOKEN}"
    assert json.loads(seen[0].content) == REQUEST


async def test_a_large_body_is_sent_whole(api: HostedApi) -> None:
    request = {**REQUEST, "timeseries_metadata": {"title": "Ö" * 300_000}}

    await SybilionClient(api.url, TOKEN).submit(request)

    assert api.submits == [request]


@pytest.mark.parametrize("pieces", [0, 1, 4])
async def test_a_request_that_is_stopped_before_its_end_is_none(api: HostedApi, pieces: int) -> None:
    left = [True] * pieces + [False]
    client = SybilionClient(api.url, TOKEN)

    failure = await failure_of(client.submit({"series": "x" * 300_000}, lambda: left.pop(0)))

    assert isinstance(failure, TransportError)
    assert (failure.kind, failure.sent, failure.backend) == ("timed_out", False, "sybilion")
    assert left == []
    await client.submit(REQUEST)
    assert api.submits == [REQUEST]


async def test_an_application_in_this_process_does_not_see_it_either() -> None:
    seen: list[str] = []

    async def application(scope: Any, _: Any, __: Any) -> None:
        seen.append(scope["path"])

    client = SybilionClient("http://in.process", TOKEN, transport=InProcess(application))

    failure = await failure_of(client.submit(REQUEST, lambda: False))

    assert isinstance(failure, TransportError)
    assert (failure.sent, seen) == (False, [])


@pytest.mark.parametrize("said", [None, "", "yesterday", "Sun, 99 Nov 2026 14:00:00 GMT", "-1"])
async def test_an_answer_without_a_time_says_nothing_about_clocks(said: str | None) -> None:
    headers = {} if said is None else {"date": said}
    client = answered_by(lambda _: httpx.Response(200, json={"user_id": "u"}, headers=headers))

    assert (await client.account()).user == "u"
    assert client.ahead == timedelta()


async def test_the_clock_of_the_service_is_remembered(api: HostedApi) -> None:
    client = SybilionClient(api.url, TOKEN)
    api.clock = timedelta(days=-3)
    await client.account()
    api.clock = None
    await client.account()

    assert abs(client.ahead - timedelta(days=-3)) < timedelta(minutes=1)


async def test_without_a_token_no_authorization_is_sent() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"user_id": "u"})

    await answered_by(answer, token=None).account()

    assert "authorization" not in seen[0].headers


async def test_no_id_or_name_leads_to_another_path() -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.raw_path.decode())
        return httpx.Response(404, json={"error": "job not found"})

    client = answered_by(answer)
    for job_id, name in (("..", "../../me"), ("a/b?c#d", "."), ("%2e%2e", "x y")):
        await failure_of(client.download(job_id, name, InMemory()))

    assert len(seen) == 3
    for path in seen:
        steps = path.removeprefix("/api/v1/forecasts/").split("/")
        assert [len(steps), steps[1]] == [3, "artifacts"]
        assert not {".", ".."} & set(steps)
        assert "?" not in path


async def test_redirects_are_not_followed_with_the_token() -> None:
    hosts: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        hosts.append(request.url.host)
        return httpx.Response(302, headers={"location": "https://elsewhere.test/"})

    failure = await failure_of(answered_by(answer).account())

    assert isinstance(failure, AnswerError)
    assert hosts == ["api.test"]


# What comes back


async def test_jobs_are_read_with_unknown_and_missing_fields(api: HostedApi) -> None:
    job_id = api.make_job()
    api.jobs[job_id]["some_new_field"] = {"deep": [1]}
    api.finish(job_id, cents=219)
    client = SybilionClient(api.url, TOKEN)

    job = await client.job(job_id)

    assert (job.status, job.settled, job.eur_cents_final, job.finished) == ("completed", True, 219, True)
    assert [one.name for one in job.artifacts] == ["forecast.json", "external_signals.json", "input.json"]
    recent = await client.recent_jobs(datetime.now(UTC))
    assert recent is not None
    assert [one.job_id for one in recent] == [job_id]
    sink = InMemory()
    await client.download(job_id, "forecast.json", sink)
    assert sink.content == api.artifacts[job_id]["forecast.json"]
    await client.aclose()


@pytest.mark.parametrize("status", [400, 401, 402, 404, 409, 413, 422, 429, 500, 502, 503, 504])
async def test_errors_keep_status_body_and_trace_id(status: int) -> None:
    body = {"error": "a sentence", "trace_id": "from-the-body"}

    failure = await failure_of(answered_by(lambda _: httpx.Response(status, json=body)).submit(REQUEST))

    assert isinstance(failure, AnswerError)
    assert (failure.operation, failure.status, failure.body) == ("submit", status, body)
    assert failure.trace_id == "from-the-body"
    assert failure.text == "a sentence"


async def test_the_trace_id_of_the_header_comes_first() -> None:
    answer = httpx.Response(404, json={"trace_id": "from-the-body"}, headers={"x-trace-id": "from-the-header"})

    failure = await failure_of(answered_by(lambda _: answer).submit(REQUEST))

    assert isinstance(failure, AnswerError)
    assert failure.trace_id == "from-the-header"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b'"text"', b"null", b"{", b"[" * 100_000, b"\xff\xfe"])
async def test_an_error_with_an_unreadable_body_is_still_that_error(body: bytes) -> None:
    failure = await failure_of(answered_by(lambda _: httpx.Response(402, content=body)).submit(REQUEST))

    assert isinstance(failure, AnswerError)
    assert (failure.status, failure.body, failure.trace_id, failure.text) == (402, None, None, "")


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'{"job_id": 7}', b"[]", b'{"job_id": "j"', b"\xff"])
async def test_a_good_status_with_another_answer_is_unreadable(body: bytes) -> None:
    client = answered_by(lambda _: httpx.Response(202, content=body))

    failure = await failure_of(client.submit(REQUEST))

    assert isinstance(failure, TransportError)
    assert (failure.kind, failure.sent) == ("unreadable_answer", True)


async def test_a_broken_compression_is_unreadable() -> None:
    answer = httpx.Response(200, headers={"content-encoding": "gzip"}, stream=httpx.ByteStream(b"no gzip"))

    failure = await failure_of(answered_by(lambda _: answer).job("j"))

    assert isinstance(failure, TransportError)
    assert failure.kind == "unreadable_answer"


# Retries


@pytest.mark.parametrize("operation", GETS)
@pytest.mark.parametrize("fault", [error(429, "x"), error(502, "x"), proxy_error(503), error(504, "x"), reset()])
async def test_gets_are_retried_until_it_passes(operation: str, fault: Fault) -> None:
    calls: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        calls.append(request.url.path)
        if len(calls) < ATTEMPTS:
            if fault.status == 0:
                raise httpx.ReadError("connection reset", request=request)
            return httpx.Response(fault.status, content=fault.body)
        return httpx.Response(200, json={"job_id": "j", "status": "running", "jobs": []})

    await GETS[operation](answered_by(answer))

    assert len(calls) == ATTEMPTS


@pytest.mark.parametrize("operation", GETS)
@pytest.mark.parametrize("status", [400, 401, 404, 409, 413, 422, 500])
async def test_what_does_not_pass_by_itself_is_not_retried(operation: str, status: int) -> None:
    calls: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        calls.append(request.url.path)
        return httpx.Response(status, json={"error": "x"})

    failure = await failure_of(GETS[operation](answered_by(answer)))

    assert isinstance(failure, AnswerError)
    assert failure.status == status
    assert len(calls) == 1


async def test_in_the_end_the_last_failure_is_told(api: HostedApi) -> None:
    api.next("job", reset(), error(502, "x"), error(429, "x"), error(503, "down"))

    failure = await failure_of(SybilionClient(api.url, TOKEN).job("j"))

    assert isinstance(failure, AnswerError)
    assert failure.status == 503
    assert len(api.requests) == ATTEMPTS


@pytest.mark.parametrize(
    "fault",
    [error(429, "rate limit"), error(500, "x"), error(502, "x"), error(503, "x"), reset(), garbage(), cut(), silence()],
    ids=["429", "500", "502", "503", "reset", "garbage", "cut", "silence"],
)
@pytest.mark.parametrize("handled", [False, True])
async def test_a_submit_is_never_sent_twice(api: HostedApi, fault: Fault, handled: bool) -> None:
    api.next("submit", Fault(fault.status, fault.body, fault.headers, fault.missing, fault.hangs, handled))

    await failure_of(impatient(api.url).submit(REQUEST))

    assert len(api.submits) == 1


# Transport


async def test_a_port_where_nobody_listens_is_unreachable_and_nothing_was_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    failure = await failure_of(SybilionClient(f"http://127.0.0.1:{port}", TOKEN).submit(REQUEST))

    assert isinstance(failure, TransportError)
    assert (failure.kind, failure.sent, failure.operation) == ("unreachable", False, "submit")


@pytest.mark.parametrize("url", ["", "api.sybilion.dev", "ftp://127.0.0.1", "not a url"])
async def test_an_address_that_is_none_is_unreachable(url: str) -> None:
    failure = await failure_of(SybilionClient(url, TOKEN).submit(REQUEST))

    assert isinstance(failure, TransportError)
    assert (failure.kind, failure.sent) == ("unreachable", False)


@wall_clock
@pytest.mark.parametrize("operation", CALLS)
async def test_a_server_that_never_answers_ends_in_time(api: HostedApi, operation: str) -> None:
    for name in ("job", "jobs", "artifact", "submit", "account"):
        api.always(name, silence())

    started = time.monotonic()
    failure = await failure_of(CALLS[operation](impatient(api.url)))

    assert isinstance(failure, TransportError)
    assert (failure.kind, failure.sent) == ("timed_out", True)
    assert time.monotonic() - started < 4


async def test_an_answer_that_trickles_in_forever_ends_in_time() -> None:
    async def trickle() -> AsyncIterator[bytes]:
        while True:
            await anyio.lowlevel.checkpoint()
            yield b" "

    client = SybilionClient(
        "https://api.test",
        TOKEN,
        transport=httpx.MockTransport(lambda _: httpx.Response(202, content=trickle())),
        answer_seconds=0.2,
    )

    failure = await failure_of(client.submit(REQUEST))

    assert isinstance(failure, TransportError)
    assert (failure.kind, failure.sent) == ("timed_out", True)


@pytest.mark.parametrize("fault", [cut(), reset()], ids=["cut short", "reset"])
async def test_a_connection_that_breaks_may_have_delivered_the_request(api: HostedApi, fault: Fault) -> None:
    api.next("submit", fault)

    failure = await failure_of(SybilionClient(api.url, TOKEN).submit(REQUEST))

    assert isinstance(failure, TransportError)
    assert (failure.kind, failure.sent) == ("unreachable", True)


@wall_clock
async def test_cancelling_a_submit_ends_it_at_once(api: HostedApi) -> None:
    api.next("submit", silence())
    client = SybilionClient(api.url, TOKEN)

    with anyio.fail_after(2), anyio.move_on_after(0.2) as scope:
        await client.submit(REQUEST)

    assert scope.cancelled_caught


# Size


class Chunks(httpx.AsyncByteStream):
    """Zeros without end; counts what was taken."""

    def __init__(self) -> None:
        self.taken = 0
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            self.taken += 1 << 16
            yield bytes(1 << 16)

    async def aclose(self) -> None:
        self.closed = True


async def test_an_endless_artifact_is_given_up_at_the_limit_and_not_asked_for_again() -> None:
    streams: list[Chunks] = []

    def answer(_: httpx.Request) -> httpx.Response:
        streams.append(Chunks())
        return httpx.Response(200, stream=streams[-1])

    failure = await failure_of(answered_by(answer).download("j", "forecast.json", InMemory()))

    assert isinstance(failure, TooLargeError)
    assert failure.limit == MAX_ARTIFACT_BYTES
    assert len(streams) == 1
    assert streams[0].closed
    assert streams[0].taken <= MAX_ARTIFACT_BYTES + (1 << 17)


@pytest.mark.parametrize("status", [200, 500])
async def test_an_endless_answer_is_given_up_early_in_little_memory(status: int) -> None:
    stream = Chunks()
    client = answered_by(lambda _: httpx.Response(status, stream=stream))

    tracemalloc.start()
    try:
        failure = await failure_of(client.submit(REQUEST))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert isinstance(failure, TooLargeError if status == 200 else AnswerError)
    assert stream.taken < 5 << 20
    assert peak < 12 << 20
