"""A server of the tools on a fake hosted API, and clients of it in both eras of the protocol."""

from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import stamina
from mcp import Client

from sybilion_mcp.server import build_server
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.settings import Settings
from tests.billed import BilledApi, billed_api, some_alerts, some_drivers
from tests.conftest import ERAS, TODAY
from tests.hosted import ImpatientDesk
from tests.tools.host import Connect, Person


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The one folder whose files the tools may use."""
    made = tmp_path / "allowed"
    made.mkdir()
    return made


@pytest.fixture
def desk(tmp_path: Path, folder: Path, executor: Executor) -> Desk:
    settings = Settings(home=tmp_path / "home", allow_dirs=(folder,))
    return Desk(settings, today=lambda: TODAY, executor=executor)


@pytest.fixture
async def api() -> AsyncIterator[BilledApi]:
    """The fake hosted API, with drivers and alerts to sell; its clients do not pause between retries."""
    async with billed_api() as api:
        api.drivers, api.alerts = some_drivers(150), some_alerts(40)
        with stamina.set_testing(True, attempts=2):
            yield api


@pytest.fixture
def toolset() -> str:
    """What `desk_with` serves unless a test says otherwise."""
    return "all"


@pytest.fixture
async def desk_with(
    api: BilledApi, toolset: str, tmp_path: Path, executor: Executor
) -> AsyncIterator[Callable[..., Desk]]:
    """Opens desks on one home; keywords are settings."""
    usual = {"home": tmp_path / "home", "api_token": api.token, "api_base_url": api.url, "toolset": toolset}
    desks: list[Desk] = []

    def opened(**settings: Any) -> Desk:
        said = {**usual, **settings}
        kind = ImpatientDesk if said["api_token"] else Desk
        desks.append(kind(Settings(**said), today=lambda: TODAY, executor=executor))
        return desks[-1]

    yield opened
    for desk in desks:
        await desk.aclose()


@pytest.fixture(params=ERAS)
def connect(request: pytest.FixtureRequest, desk_with: Callable[..., Desk]) -> Connect:
    """A client of a server with these settings; `person` is who its host can ask."""

    @asynccontextmanager
    async def connected(person: Person | None = None, **settings: Any) -> AsyncIterator[Client]:
        desk = desk_with(**settings)
        server = build_server(desk.settings, desk)
        async with Client(server, mode=ERAS[request.param], elicitation_callback=person) as client:
            assert client.protocol_version == request.param
            yield client

    return connected
