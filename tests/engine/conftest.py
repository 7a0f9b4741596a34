from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import httpx
import pytest
from starlette.applications import Starlette

from sybilion_mcp.engine.app import build_app
from sybilion_mcp.engine.terms import Terms

from .made_up import TODAY

Call = Callable[..., httpx.AsyncClient]


@pytest.fixture
def threads() -> Iterator[Executor]:
    """Runs jobs in this process, which is quicker than starting workers."""
    with ThreadPoolExecutor(1) as executor:
        yield executor


@pytest.fixture
async def serve(threads: Executor) -> AsyncIterator[Callable[..., Starlette]]:
    """Builds apps whose jobs run in a thread (or in worker processes), and closes them afterwards."""
    async with AsyncExitStack() as stack:

        def build(home: Path, *, processes: bool = False, terms: Terms | None = None) -> Starlette:
            app = build_app(home, today=lambda: TODAY, executor=None if processes else threads, terms=terms)
            stack.push_async_callback(app.state.engine.aclose)
            return app

        yield build


def client_of(app: Starlette, token: str | None = "sk_ops_one") -> httpx.AsyncClient:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://engine", headers=headers)


@pytest.fixture
async def client(serve: Callable[..., Starlette], tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(serve(tmp_path)) as client:
        yield client


async def settled(client: httpx.AsyncClient, poll_url: str, seconds: float = 30) -> tuple[dict[str, object], list[str]]:
    """The job once it is settled, and the statuses seen on the way."""
    seen: list[str] = []
    with anyio.fail_after(seconds):
        while True:
            job = (await client.get(poll_url)).json()
            if job["status"] not in seen:
                seen.append(job["status"])
            if job["settled"]:
                return job, seen
            await anyio.sleep(0.01)
