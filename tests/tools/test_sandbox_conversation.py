"""The tools for drivers, alerts, filters, jobs and the account on the embedded API: free, and where it bills."""

from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import stamina
from mcp import Client

from sybilion_mcp.backends.base import Backend
from sybilion_mcp.backends.sybilion import InProcess, SybilionClient
from sybilion_mcp.engine.app import build_app
from sybilion_mcp.engine.library import DriverLibrary
from sybilion_mcp.engine.terms import Terms
from sybilion_mcp.server import build_server
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.settings import Settings
from tests.conftest import ERAS, TODAY, good_series
from tests.tools.host import call, data_of, failure_of, text_of

pytestmark = pytest.mark.anyio

TITLE = "Copper price in Germany, EUR per tonne"
CREDIT = 1000


async def fill(drivers: Path) -> None:
    """Three series to be found by their words; the last of them has moved a lot."""
    library = DriverLibrary(drivers)
    await library.put({"Copper stocks": good_series()}, region="Germany", category="Metals")
    await library.put({"Copper scrap": good_series()}, region="Germany", category="Metals")
    points = good_series()
    points[max(points)] = 3 * points[max(points)]
    await library.put({"Copper demand": points}, region="France", category="Metals")


class Losing(InProcess):
    """Hands requests on, and loses the answers to the next ones."""

    def __init__(self, app: Any) -> None:
        super().__init__(app, raise_app_exceptions=False)
        self.loses = 0
        self.request_ids: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await super().handle_async_request(request)
        if "x-request-id" in request.headers:
            self.request_ids.append(request.headers["x-request-id"])
            if self.loses:
                self.loses -= 1
                raise httpx.ReadError("connection reset")
        return answer


@dataclass
class SandboxDesk(Desk):
    """A desk whose hosted backend is a sandbox in this process."""

    transport: Losing | None = None
    _hosted: dict[str, Backend] = field(default_factory=dict)

    def backend(self, name: str | None = None) -> Backend:
        if (name or self.settings.default_backend) == "local":
            return super().backend(name)
        if "sybilion" not in self._hosted:
            assert self.settings.api_token is not None
            token = self.settings.api_token.get_secret_value()
            self._hosted["sybilion"] = SybilionClient("http://sandbox.local", token, transport=self.transport)
        return self._hosted["sybilion"]


@pytest.fixture
async def sandbox(tmp_path: Path, executor: Executor) -> AsyncIterator[Losing]:
    drivers = tmp_path / "sandbox" / "drivers.db"
    await fill(drivers)
    app = build_app(tmp_path / "sandbox", today=lambda: TODAY, executor=executor, terms=Terms(CREDIT))
    with stamina.set_testing(True, attempts=2):
        yield Losing(app)
    await app.state.engine.aclose()


@pytest.fixture
async def desk_on(sandbox: Losing, tmp_path: Path, executor: Executor) -> AsyncIterator[Callable[..., Desk]]:
    desks: list[Desk] = []

    def opened(**settings: Any) -> Desk:
        said = {"home": tmp_path / "home", "api_token": "sk_ops_tester", "toolset": "all", "spend": "allow", **settings}
        desks.append(SandboxDesk(Settings(**said), today=lambda: TODAY, executor=executor, transport=sandbox))
        return desks[-1]

    yield opened
    for desk in desks:
        await desk.aclose()


@pytest.fixture(params=ERAS)
async def client(request: pytest.FixtureRequest, desk_on: Callable[..., Desk]) -> AsyncIterator[Client]:
    desk = desk_on()
    async with Client(build_server(desk.settings, desk), mode=ERAS[request.param]) as connected:
        yield connected


async def test_a_whole_conversation_with_a_sandbox_that_bills(client: Client) -> None:
    before = data_of(await call(client, "get_account"))
    found = data_of(await call(client, "find_filters", query="Germany"))
    ranked = await call(client, "rank_drivers", title=TITLE, limit=5, regions=[found["regions"][0]["id"]])
    alerted = await call(client, "get_alerts", title=TITLE, limit=5)
    after = await call(client, "get_account", include_usage=True)

    assert {one["name"] for one in data_of(ranked)["drivers"]} == {"Copper stocks", "Copper scrap"}
    assert "Charged: 0.10 EUR for 2 drivers." in text_of(ranked)
    assert data_of(alerted)["alerts"][0]["name"] == "Copper demand"
    paid = data_of(ranked)["eur_cents"] + data_of(alerted)["eur_cents"]
    assert before["balance_eur_cents"] - data_of(after)["balance_eur_cents"] == paid > 10
    assert data_of(after)["spent_today_eur_cents"] == paid
    assert {one["what"] for one in data_of(after)["charges"]} == {"drivers", "alerts"}


async def test_an_answer_that_got_lost_is_charged_once(client: Client, sandbox: Losing) -> None:
    sandbox.loses = 1

    ranked = await call(client, "rank_drivers", title=TITLE, limit=5)
    account = data_of(await call(client, "get_account", include_usage=True))

    assert len(sandbox.request_ids) == 2
    assert len(set(sandbox.request_ids)) == 1
    assert len(account["charges"]) == 1
    assert CREDIT - account["balance_eur_cents"] == data_of(ranked)["eur_cents"]


async def test_a_lost_call_is_finished_by_another_process_for_one_charge(
    client: Client, sandbox: Losing, desk_on: Callable[..., Desk]
) -> None:
    sandbox.loses = 2
    failure = failure_of(await call(client, "rank_drivers", title=TITLE, limit=5))
    other = desk_on()

    async with Client(build_server(other.settings, other)) as second:
        ranked = await call(second, failure["next"]["tool"], **failure["next"]["arguments"])
        account = data_of(await call(second, "get_account", include_usage=True))

    assert not ranked.is_error
    assert len(set(sandbox.request_ids)) == 1
    assert len(account["charges"]) == 1


async def test_a_poor_account_is_refused_for_what_it_might_cost(client: Client, sandbox: Losing) -> None:
    refused = failure_of(await call(client, "rank_drivers", title=TITLE, limit=1000))
    ranked = await call(client, "rank_drivers", title=TITLE, limit=5)

    assert (refused["code"], ranked.is_error) == ("insufficient_balance", False)
    assert len(sandbox.request_ids) == 2


async def test_jobs_of_the_sandbox_and_of_the_engine_are_listed(client: Client) -> None:
    asked = {"series": good_series(), "title": TITLE, "soft_horizon": 3, "driver_limit": 0}
    paid = data_of(await call(client, "submit_forecast", **asked))
    free = data_of(await call(client, "submit_forecast", **asked, backend="local"))
    listed = data_of(await call(client, "list_jobs"))

    assert {one["job_id"]: one["backend"] for one in listed["jobs"]} == {
        paid["job_id"]: "sybilion",
        free["job_id"]: "local",
    }


@pytest.mark.parametrize("era", ERAS)
async def test_without_a_token_the_users_own_folder_is_ranked_for_nothing(
    era: str, tmp_path: Path, executor: Executor
) -> None:
    settings = Settings(home=tmp_path / "own", toolset="all", spend="deny")
    await fill(settings.drivers_file)
    desk = Desk(settings, today=lambda: TODAY, executor=executor)
    async with Client(build_server(settings, desk), mode=ERAS[era]) as client:
        found = data_of(await call(client, "find_filters", query="germany", kind="region"))
        ranked = await call(client, "rank_drivers", title=TITLE, regions=[found["regions"][0]["id"]])
        alerted = await call(client, "get_alerts", title=TITLE)
        account = await call(client, "get_account")

    assert {one["name"] for one in data_of(ranked)["drivers"]} == {"Copper stocks", "Copper scrap"}
    assert [one["name"] for one in data_of(alerted)["alerts"]] == ["Copper demand"]
    assert "Free: from your own driver folder." in text_of(ranked)
    assert data_of(account)["spent_today_eur_cents"] == 0
