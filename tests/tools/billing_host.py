"""A host with a person behind it, before a server of all tools on a fake hosted API, in both eras of the protocol."""

from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest
import stamina
from mcp import Client
from mcp.client import ClientRequestContext
from mcp_types import CallToolResult, ElicitRequestFormParams, ElicitRequestURLParams, ElicitResult, TextContent

from sybilion_mcp.server import build_server
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.settings import Settings
from tests.billed import BilledApi, billed_api, some_alerts, some_drivers
from tests.conftest import ERAS, TODAY
from tests.hosted import ImpatientDesk

ACCEPT = ElicitResult(action="accept", content={"pay": True})
Connect = Callable[..., AbstractAsyncContextManager[Client]]


@dataclass
class Person:
    """Answers what a host shows them; `sees` are the questions."""

    answer: ElicitResult = field(default_factory=lambda: ACCEPT)
    sees: list[str] = field(default_factory=list)

    async def __call__(
        self, context: ClientRequestContext, params: ElicitRequestFormParams | ElicitRequestURLParams
    ) -> ElicitResult:
        assert isinstance(params, ElicitRequestFormParams)
        self.sees.append(params.message)
        return self.answer


@pytest.fixture
async def api() -> AsyncIterator[BilledApi]:
    async with billed_api() as api:
        stamina.set_testing(True, attempts=2)  # no pauses between retries
        api.drivers, api.alerts = some_drivers(150), some_alerts(40)
        yield api
        stamina.set_testing(False)


@pytest.fixture
async def desk_with(api: BilledApi, tmp_path: Path, executor: Executor) -> AsyncIterator[Callable[..., Desk]]:
    """Opens desks on one home; keywords are settings."""
    desks: list[Desk] = []

    def opened(**settings: Any) -> Desk:
        said = {
            "home": tmp_path / "home",
            "api_token": api.token,
            "api_base_url": api.url,
            "toolset": "all",
            **settings,
        }
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


async def call(client: Client, tool: str, **arguments: Any) -> CallToolResult:
    with anyio.fail_after(20):
        return await client.call_tool(tool, arguments)


def data_of(result: CallToolResult) -> dict[str, Any]:
    assert result.structured_content is not None, result.content
    return dict(result.structured_content)


def failure_of(result: CallToolResult) -> dict[str, Any]:
    assert result.is_error
    return data_of(result)


def text_of(result: CallToolResult) -> str:
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))
