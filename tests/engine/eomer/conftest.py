from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from sybilion_mcp.contract.eomer_form import form_of
from sybilion_mcp.engine.eomer.app import build_eomer_app
from tests.conftest import until

Build = Callable[..., Starlette]


@pytest.fixture
def threads() -> Iterator[Executor]:
    """Runs jobs in this process, which is quicker than starting workers."""
    with ThreadPoolExecutor(1) as executor:
        yield executor


@pytest.fixture
async def serve(threads: Executor) -> AsyncIterator[Build]:
    """Builds apps whose jobs run in a thread (or in worker processes), and closes them afterwards."""
    async with AsyncExitStack() as stack:

        def build(home: Path, *, processes: bool = False) -> Starlette:
            app = build_eomer_app(home, executor=None if processes else threads)
            stack.push_async_callback(app.state.engine.aclose)
            return app

        yield build


def client_of(app: Starlette, key: str | None = "one") -> httpx.AsyncClient:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://eomer", headers=headers)


@pytest.fixture
async def client(serve: Build, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(serve(tmp_path)) as client:
        yield client


async def post(client: httpx.AsyncClient, body: dict[str, object], **headers: str) -> httpx.Response:
    form = form_of(body)
    files = {"file": (form.filename, form.content, "text/csv")}
    return await client.post("/forecast", data=dict(form.fields), files=files, headers=headers)


async def finished(client: httpx.AsyncClient, job_id: str, seconds: float = 60) -> dict[str, object]:
    looks: list[dict[str, object]] = []

    async def is_finished() -> bool:
        looks.append((await client.get(f"/jobs/{job_id}")).json())
        return looks[-1]["status"] in ("completed", "failed")

    await until(is_finished, seconds)
    return looks[-1]
