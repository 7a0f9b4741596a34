import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import anyio
import hypothesis
import pytest
from mcp import Client

from sybilion_mcp.engine.worker import run_hindcast
from sybilion_mcp.server import build_server
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.settings import Settings

# How long one example takes depends on the machine; what must be fast is measured by tests of its own.
hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")

TODAY = date(2026, 11, 22)
ERAS = {"2026-07-28": "auto", "2025-11-25": "legacy"}
SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real job results and prices, where the machine has them."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the folder ../shared/data with real job results is not on this machine")
    return SHARED_DATA


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Tests see neither the user's token nor the user's data folder."""
    for name in ("SYBILION_API_TOKEN", "SYBILION_API_BASE_URL", "SYBILION_MCP_BACKEND", "SYBILION_MCP_ALLOW_DIRS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SYBILION_MCP_HOME", str(tmp_path / "home"))


known_hindcast = cache(run_hindcast)


class Threads(ThreadPoolExecutor):
    """Runs embedded jobs in a thread of the test process, and hindcasts in another, each series once."""

    def __init__(self) -> None:
        super().__init__(1)
        self._measuring = ThreadPoolExecutor(1)

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        if call is run_hindcast:
            return self._measuring.submit(known_hindcast, *args, **kwargs)
        return super().submit(call, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self._measuring.shutdown(wait, cancel_futures=cancel_futures)
        super().shutdown(wait, cancel_futures=cancel_futures)


@pytest.fixture(scope="session")
def executor() -> Iterator[Executor]:
    """Embedded jobs run in a thread of the test process, not in worker processes."""
    with Threads() as threads:
        yield threads


@pytest.fixture
def desk(tmp_path: Path, executor: Executor) -> Desk:
    return Desk(Settings(home=tmp_path / "home"), today=lambda: TODAY, executor=executor)


@pytest.fixture(params=ERAS)
async def client(desk: Desk, request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    """A client of the server in memory, once for each era of the protocol."""
    async with Client(build_server(desk.settings, desk), mode=ERAS[request.param]) as connected:
        assert connected.protocol_version == request.param
        yield connected


def good_series(months: int = 132, last: date = date(2026, 10, 1)) -> dict[str, float]:
    """A gap-free seasonal series that ends with `last`."""
    end = last.year * 12 + last.month - 1
    return {
        f"{index // 12}-{index % 12 + 1:02d}-01": round(100 + 0.3 * step + 9 * math.sin(index / 12 * 2 * math.pi), 2)
        for step, index in enumerate(range(end - months + 1, end + 1))
    }


async def until(condition: Callable[[], bool | Awaitable[bool]], seconds: float = 20) -> None:
    """Wait for what another thread or process does."""
    with anyio.fail_after(seconds):
        while True:
            found = condition()
            if found if isinstance(found, bool) else await found:
                return
            await anyio.sleep(0.01)  # nobody tells this loop of what others did: it looks
