"""Desks that share one home, on a fake hosted API and on the embedded engine."""

from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import pytest
import stamina

from sybilion_mcp.service.desk import Desk
from sybilion_mcp.settings import Settings
from tests.conftest import TODAY
from tests.hosted import HostedApi, ImpatientDesk, serving

OpenDesk = Callable[..., Desk]


@pytest.fixture
async def api() -> AsyncIterator[HostedApi]:
    async with serving() as api:
        yield api


@pytest.fixture
async def open_desk(api: HostedApi, tmp_path: Path, executor: Executor) -> AsyncIterator[OpenDesk]:
    """Opens desks on one home, as processes of one user would be; keywords are settings."""
    desks: list[Desk] = []

    def opened(**settings: Any) -> Desk:
        said = {"home": tmp_path / "home", "api_token": api.token, "api_base_url": api.url, "spend": "allow"}
        desks.append(ImpatientDesk(Settings(**{**said, **settings}), today=lambda: TODAY, executor=executor))
        return desks[-1]

    yield opened
    for desk in desks:
        await desk.aclose()


@pytest.fixture
def hosted(open_desk: OpenDesk) -> Desk:
    return open_desk()


@pytest.fixture
def embedded(open_desk: OpenDesk) -> Desk:
    return open_desk(backend="local")


@pytest.fixture(autouse=True)
def no_pauses_between_retries() -> Iterator[None]:
    with stamina.set_testing(True, attempts=2):
        yield
