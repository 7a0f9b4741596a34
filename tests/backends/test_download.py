"""Downloads: poured out as they come, whole or not at all."""

import httpx
import pytest

from sybilion_mcp.backends.base import InMemory, TooLargeError, TransportError
from sybilion_mcp.backends.sybilion import SybilionClient
from tests.hosted import TOKEN, Fault, HostedApi, serving

pytestmark = pytest.mark.anyio

NAME = "forecast.json"


class Glass(InMemory):
    """Counts how often it is emptied."""

    restarts = 0

    async def restart(self) -> None:
        self.restarts += 1
        await super().restart()


def finished(api: HostedApi) -> str:
    job_id = api.make_job()
    api.finish(job_id)
    return job_id


async def test_all_of_it_comes() -> None:
    async with serving() as api:
        job_id, glass, client = finished(api), Glass(), SybilionClient(api.url, TOKEN)

        await client.download(job_id, NAME, glass)

        assert glass.content == api.artifacts[job_id][NAME]
        assert glass.restarts == 1
        await client.aclose()


async def test_after_a_break_it_comes_from_the_beginning_again() -> None:
    async with serving() as api:
        job_id, glass, client = finished(api), Glass(), SybilionClient(api.url, TOKEN)
        api.next("artifact", Fault(200, b'{"version": "1.1", ', missing=400))

        await client.download(job_id, NAME, glass)

        assert glass.content == api.artifacts[job_id][NAME]
        assert glass.restarts == len(api.requests) == 2
        await client.aclose()


async def test_a_sink_takes_as_much_as_its_limit_and_is_asked_for_no_more() -> None:
    async with serving() as api:
        job_id, client = finished(api), SybilionClient(api.url, TOKEN)
        size = len(api.artifacts[job_id][NAME])
        enough = InMemory(size)
        await client.download(job_id, NAME, enough)

        with pytest.raises(TooLargeError) as caught:
            await client.download(job_id, NAME, InMemory(size - 1))

        assert enough.content == api.artifacts[job_id][NAME]
        assert caught.value.limit == size - 1
        assert len(api.requests) == 2
        await client.aclose()


async def test_less_than_announced_is_no_answer() -> None:
    answer = httpx.Response(200, headers={"content-length": "9"}, stream=httpx.ByteStream(b"12345678"))
    transport = httpx.MockTransport(lambda _: answer)

    with pytest.raises(TransportError) as caught:
        await SybilionClient("https://api.test", TOKEN, transport=transport).download("j", NAME, Glass())

    assert caught.value.kind == "unreadable_answer"
