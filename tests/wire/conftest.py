"""The real server in memory, in both eras of the protocol, with a fake hosted API behind it."""

from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Executor
from pathlib import Path

import pytest
import stamina
from mcp import Client

from sybilion_mcp.server import build_server
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.settings import Settings
from tests.conftest import ERAS, TODAY
from tests.hosted import HostedApi, ImpatientDesk, serving


@pytest.fixture
async def api() -> AsyncIterator[HostedApi]:
    async with serving() as api:
        yield api


@pytest.fixture
def hosted(api: HostedApi, tmp_path: Path, executor: Executor) -> Desk:
    """A desk whose default backend is the fake hosted API, and that may spend."""
    settings = Settings(home=tmp_path / "home", api_token=api.token, api_base_url=api.url, spend="allow")
    return ImpatientDesk(settings, today=lambda: TODAY, executor=executor)


@pytest.fixture(params=ERAS)
def mode(request: pytest.FixtureRequest) -> str:
    """How a client connects, once for each era."""
    return ERAS[str(request.param)]


@pytest.fixture
async def hosted_client(hosted: Desk, mode: str) -> AsyncIterator[Client]:
    async with Client(build_server(hosted.settings, hosted), mode=mode) as connected:
        yield connected


@pytest.fixture(autouse=True)
def no_pauses_between_retries() -> Iterator[None]:
    with stamina.set_testing(True, attempts=2):
        yield
