from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from sybilion_mcp.http.app import Place, build_app, files_allowed
from sybilion_mcp.http.desks import CallerDesks
from sybilion_mcp.settings import Settings
from tests.conftest import ERAS, TODAY
from tests.http.house import House, running

LOCAL = Place("127.0.0.1", 8000)
Open = Callable[..., AbstractAsyncContextManager[House]]


@pytest.fixture
def opened(tmp_path: Path, executor: Executor) -> Open:
    """A server over HTTP with these settings, at this place."""

    @asynccontextmanager
    async def open_house(
        place: Place = LOCAL, *, body_seconds: float = 20, most_open: int = 256, **settings: Any
    ) -> AsyncIterator[House]:
        said = Settings(**{"home": tmp_path / "home", **settings})
        desks = CallerDesks(
            said,
            files=files_allowed(said, place),
            most_open=most_open,
            today=lambda: TODAY,
            executor=executor,
        )
        app = build_app(said, place, desks, body_seconds=body_seconds)
        async with running(app):
            yield House(app)

    return open_house


@pytest.fixture
async def house(opened: Open) -> AsyncIterator[House]:
    """A server of this machine whose callers mean the embedded engine."""
    async with opened(backend="local") as house:
        yield house


@pytest.fixture(params=ERAS)
def mode(request: pytest.FixtureRequest) -> str:
    return ERAS[str(request.param)]
