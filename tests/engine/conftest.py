from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from sybilion_mcp.engine.app import build_app
from sybilion_mcp.engine.jobs import Engine
from sybilion_mcp.engine.terms import Terms
from tests.conftest import until

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


@pytest.fixture
async def engines(tmp_path: Path) -> AsyncIterator[Callable[..., Engine]]:
    """Builds engines on one and the same home, and closes them afterwards."""
    async with AsyncExitStack() as stack:

        def build(**options: Any) -> Engine:
            engine = Engine(tmp_path, **options)
            stack.push_async_callback(engine.aclose)
            return engine

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
    looks: list[dict[str, object]] = []

    async def is_settled() -> bool:
        looks.append((await client.get(poll_url)).json())
        if looks[-1]["status"] not in seen:
            seen.append(str(looks[-1]["status"]))
        return looks[-1]["settled"] is True

    await until(is_settled, seconds)
    return looks[-1], seen
