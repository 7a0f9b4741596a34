"""Downloads: poured out as they come, whole or not at all."""

from dataclasses import dataclass, field

import httpx
import pytest

from sybilion_mcp.backends.base import BackendError, TransportError
from sybilion_mcp.backends.sybilion import SybilionClient
from tests.hosted import TOKEN, Fault, HostedApi, serving

pytestmark = pytest.mark.anyio

NAME = "forecast.json"


@dataclass
class Glass:
    """Notes what is poured into it."""

    content: bytearray = field(default_factory=bytearray)
    restarts: int = 0

    async def restart(self) -> None:
        self.restarts += 1
        self.content.clear()

    async def add(self, chunk: bytes) -> None:
        self.content += chunk


def finished(api: HostedApi) -> str:
    job_id = api.make_job()
    api.finish(job_id)
    return job_id


async def test_all_of_it_comes_and_its_size_is_checked() -> None:
    async with serving() as api:
        job_id, glass, client = finished(api), Glass(), SybilionClient(api.url, TOKEN)

        await client.download(job_id, NAME, glass, len(api.artifacts[job_id][NAME]))

        assert glass.content == api.artifacts[job_id][NAME]
        assert glass.restarts == 1
        await client.aclose()


async def test_after_a_break_it_comes_from_the_beginning_again() -> None:
    async with serving() as api:
        job_id, glass, client = finished(api), Glass(), SybilionClient(api.url, TOKEN)
        api.next("artifact", Fault(200, b'{"version": "1.1", ', missing=400))

        await client.download(job_id, NAME, glass)

        assert glass.content == api.artifacts[job_id][NAME]
        assert glass.restarts == 2
        await client.aclose()


@pytest.mark.parametrize("difference", [-1, 1, 10_000])
async def test_another_size_than_listed_is_no_answer_and_not_asked_for_again(difference: int) -> None:
    async with serving() as api:
        job_id, client = finished(api), SybilionClient(api.url, TOKEN)

        with pytest.raises(BackendError) as caught:
            await client.download(job_id, NAME, Glass(), len(api.artifacts[job_id][NAME]) + difference)

        assert isinstance(caught.value, TransportError)
        assert (caught.value.kind, caught.value.backend) == ("unreadable_answer", "sybilion")
        assert len(api.requests) == 1
        await client.aclose()


async def test_less_than_announced_is_no_answer() -> None:
    answer = httpx.Response(200, headers={"content-length": "9"}, stream=httpx.ByteStream(b"12345678"))
    transport = httpx.MockTransport(lambda _: answer)

    with pytest.raises(TransportError) as caught:
        await SybilionClient("https://api.test", TOKEN, transport=transport).artifact("j", NAME)

    assert caught.value.kind == "unreadable_answer"
