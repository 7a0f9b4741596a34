"""Accounts of the sandbox: what they have, what is held, what is charged, and what they may do at once."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette

from sybilion_mcp.contract.request import Filters, ForecastRequest
from sybilion_mcp.engine.accounts import Accounts
from sybilion_mcp.engine.app import build_app
from sybilion_mcp.engine.gate import Gate
from sybilion_mcp.engine.library import DriverLibrary
from sybilion_mcp.engine.table import JobTable
from sybilion_mcp.engine.terms import ALERT_EUR_CENTS, DRIVER_EUR_CENTS, TIERS, Terms, Tier, highest_price

from .conftest import client_of, settled
from .made_up import TODAY, driven, request, series

pytestmark = pytest.mark.anyio

DRIVERLESS, DRIVEN = 54, 249  # a forecast of three months
TITLE = "Copper price in Germany, EUR per tonne"
QUESTION = {"version": "v1", "timeseries_metadata": {"title": TITLE}}
DAY = 24 * 3600

Serve = Callable[..., Starlette]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
async def client(serve: Serve, home: Path) -> AsyncIterator[httpx.AsyncClient]:
    """An account with 1,000 cents."""
    async with client_of(serve(home, terms=Terms(credit_eur_cents=1000))) as client:
        yield client


@pytest.fixture
async def library(home: Path) -> DriverLibrary:
    library = DriverLibrary(home / "drivers.db")
    jump = series([*([100.0, 101.0] * 12), 200.0])
    await library.put({f"Copper {number}": jump for number in range(4)})
    return library


async def money(client: httpx.AsyncClient) -> tuple[int, int]:
    """The balance, and what of it is available."""
    me = (await client.get("/api/v1/me")).json()
    return me["balance_eur_cents"], me["available_eur_cents"]


async def charges(client: httpx.AsyncClient, **query: object) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = (await client.get("/api/v1/usage", params=query)).json()["usage_events"]
    return events


async def submit(client: httpx.AsyncClient, **changes: object) -> httpx.Response:
    return await client.post("/api/v1/forecasts", json=request(**changes))


async def rank(client: httpx.AsyncClient, request_id: str | None = None, **filters: object) -> httpx.Response:
    headers = {"x-request-id": request_id} if request_id else {}
    return await client.post("/api/v1/drivers", json={**QUESTION, "filters": filters}, headers=headers)


class TestWithoutTerms:
    async def test_all_is_free(self, serve: Serve, home: Path, library: DriverLibrary) -> None:
        async with client_of(serve(home)) as client:
            job, _ = await settled(client, (await submit(client)).json()["poll_url"])
            assert len((await rank(client, "one")).json()["data"]["drivers"]) == 4

            me = (await client.get("/api/v1/me")).json()
            assert job["eur_cents_final"] == 0
            assert (me["balance_eur_cents"], me["api_usage_tier"], me["euro_tranches"]) == (0, 0, [])
            assert "signup_trial" not in me
            assert await charges(client) == []


class TestForecasts:
    async def test_what_it_may_cost_is_held_and_what_was_delivered_is_charged(self, client: httpx.AsyncClient) -> None:
        url = (await submit(client)).json()["poll_url"]
        during = await money(client)
        job, _ = await settled(client, url)

        assert during == (1000, 1000 - DRIVEN)
        assert job["eur_cents_final"] == DRIVERLESS  # the driver folder is empty
        assert await money(client) == (1000 - DRIVERLESS, 1000 - DRIVERLESS)
        (event,) = await charges(client)
        assert event.items() >= {"endpoint": "forecast", "units": 1, "eur_cents_charged": DRIVERLESS}.items()
        assert (event["credits_charged"], event["async_job_id"]) == (DRIVERLESS, job["job_id"])

    async def test_a_forecast_with_drivers_costs_what_was_held(self, client: httpx.AsyncClient) -> None:
        target, aux, _ = driven(1, 3)
        url = (await submit(client, timeseries=series(target), aux_timeseries=aux)).json()["poll_url"]
        job, _ = await settled(client, url)

        assert (await client.get(f"{url}/artifacts/external_signals.json")).json()["data"]
        assert job["eur_cents_final"] == DRIVEN

    async def test_a_failed_job_costs_nothing(self, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sybilion_mcp.engine.pipeline.run_pipeline", lambda *_: 1 / 0)

        job, _ = await settled(client, (await submit(client)).json()["poll_url"])

        assert (job["status"], job["eur_cents_final"]) == ("failed", 0)
        assert job["terminal_reason"] == job["pipeline_error"]["detail"]
        assert await money(client) == (1000, 1000)
        assert await charges(client) == []

    async def test_without_enough_left_nothing_is_begun(self, serve: Serve, home: Path) -> None:
        async with client_of(serve(home, terms=Terms(credit_eur_cents=DRIVEN - 1))) as client:
            refused = await submit(client)
            affordable = await submit(client, filters={"limit": 0})

            assert (refused.status_code, affordable.status_code) == (402, 202)
            assert refused.json()["error"] == "insufficient available credits for hold"
            assert (await client.get("/api/v1/jobs")).json()["pagination"]["total"] == 1
            await settled(client, affordable.json()["poll_url"])

    async def test_the_number_of_jobs_is_looked_at_before_the_money(self, serve: Serve, home: Path) -> None:
        terms = Terms(credit_eur_cents=DRIVEN, tier=Tier(1, 600, 1), job_seconds=3600)
        async with client_of(serve(home, terms=terms)) as client:
            await submit(client)
            refused = await submit(client)

        assert refused.status_code == 429
        assert refused.json()["error"] == "too many concurrent jobs"

    async def test_two_processes_on_one_folder_hold_no_more_than_there_is(self, serve: Serve, home: Path) -> None:
        terms = Terms(credit_eur_cents=2 * DRIVEN, job_seconds=3600)
        async with client_of(serve(home, terms=terms)) as one, client_of(serve(home, terms=terms)) as two:
            answers = await asyncio.gather(*(submit(client) for client in (one, two) * 4))

            assert sorted(answer.status_code for answer in answers) == [202] * 2 + [402] * 6
            assert await money(one) == (2 * DRIVEN, 0)

    async def test_whoever_settles_a_job_it_is_charged_once(self, home: Path) -> None:
        now = 1_800_000_000.0
        tables = [JobTable(home / "engine.db", 10, lambda: now, Terms(credit_eur_cents=1000)) for _ in range(2)]
        for table in tables:
            await table.open()
        sleeper, other = tables
        claim = await sleeper.add("me", "{}", 9, 300)
        assert await sleeper.mark_running(claim.id)
        for _ in range(2):  # silent for long, and seen so twice
            now += 3600
            await other.take_over([], {"code": "gone", "detail": "gone"})
        await sleeper.complete(claim.id, {"late": b""}, 200)
        kept = await other.add("me", "{}", 9, 300)
        await other.complete(kept.id, {"a": b""}, 200)
        await other.complete(kept.id, {"a": b""}, 200)

        assert other.accounts is not None
        balance = await other.accounts.balance("me")
        assert (balance.remaining, balance.held) == (800, 0)


class TestCalls:
    @pytest.mark.usefixtures("library")
    async def test_each_result_costs(self, client: httpx.AsyncClient) -> None:
        await rank(client, limit=3)
        body = {"metadata": {"title": TITLE}, "context_enriched": False}
        await client.post("/api/v1/alerts", json={**body, "filters": {"limit": 2}})
        await rank(client, limit=0)

        events = await charges(client, order="asc")
        told = [(one["endpoint"], one["units"], one["eur_cents_charged"], one["async_job_id"]) for one in events]
        assert told == [("drivers", 3, 3 * DRIVER_EUR_CENTS, None), ("alerts", 2, 2 * ALERT_EUR_CENTS, None)]
        assert await money(client) == (973, 973)

    @pytest.mark.usefixtures("library")
    async def test_what_it_may_cost_must_be_there(self, serve: Serve, home: Path) -> None:
        async with client_of(serve(home, terms=Terms(credit_eur_cents=14))) as client:
            refused = await rank(client)
            answered = await rank(client, limit=2)
            again = await rank(client, limit=2)

        assert refused.status_code == 402
        assert refused.json()["error"] == f"insufficient credits: need up to {100 * DRIVER_EUR_CENTS}, have 14"
        assert answered.status_code == 200
        assert (again.status_code, again.json()["error"]) == (402, "insufficient credits: need up to 10, have 4")

    async def test_a_call_that_comes_again_is_answered_the_same_and_not_charged(
        self, client: httpx.AsyncClient, library: DriverLibrary
    ) -> None:
        first = await rank(client, "call-1")
        await library.remove([first.json()["data"]["drivers"][0]["hash_id"]])
        again = await rank(client, "call-1")
        new = await rank(client, "call-2")

        assert again.json() == first.json()
        assert [one["units"] for one in await charges(client, order="asc")] == [4, 3]
        assert len(new.json()["data"]["drivers"]) == 3

    @pytest.mark.usefixtures("library")
    async def test_an_id_means_one_question_of_one_account_on_one_route(self, serve: Serve, home: Path) -> None:
        app = serve(home, terms=Terms())
        async with client_of(app) as client, client_of(app, "sk_ops_two") as stranger:
            await rank(client, "call-1", limit=1)
            other_body = await rank(client, "call-1", limit=2)
            other_account = await rank(stranger, "call-1", limit=2)
            body = {"metadata": {"title": TITLE}, "context_enriched": False}
            other_route = await client.post("/api/v1/alerts", json=body, headers={"x-request-id": "call-1"})

            assert other_body.status_code == 422
            assert [one["field"] for one in other_body.json()["details"]] == ["X-Request-ID"]
            assert (other_account.status_code, other_route.status_code) == (200, 200)
            assert [one["endpoint"] for one in await charges(client, order="asc")] == ["drivers", "alerts"]

    @pytest.mark.usefixtures("library")
    async def test_two_processes_asked_at_once_charge_once(self, serve: Serve, home: Path) -> None:
        terms = Terms(credit_eur_cents=1000)
        async with client_of(serve(home, terms=terms)) as one, client_of(serve(home, terms=terms)) as two:
            answers = await asyncio.gather(*(rank(client, "call-1") for client in (one, two) * 5))

            assert {answer.text for answer in answers} == {answers[0].text}
            assert [event["units"] for event in await charges(two)] == [4]

    @pytest.mark.usefixtures("library")
    async def test_a_refused_call_is_no_answer_to_the_next(self, client: httpx.AsyncClient) -> None:
        headers = {"x-request-id": "call-1"}
        await client.post("/api/v1/drivers", json={**QUESTION, "version": "v2"}, headers=headers)

        assert (await rank(client, "call-1")).status_code == 200

    async def test_an_endless_id_is_refused(self, client: httpx.AsyncClient) -> None:
        assert (await rank(client, "x" * 256)).status_code == 400


class TestUsage:
    @pytest.mark.usefixtures("library")
    async def test_it_comes_sorted_and_in_pages(self, client: httpx.AsyncClient) -> None:
        for limit in (2, 3, 1):
            await rank(client, limit=limit)

        page = (await client.get("/api/v1/usage", params={"sort": "units", "limit": 2, "order": "asc"})).json()

        assert [one["units"] for one in page["usage_events"]] == [1, 2]
        expected = {"page": 1, "limit": 2, "total": 3, "total_pages": 2, "sort": "units", "order": "asc"}
        assert page["pagination"] == expected
        for sort in ("id", "created_at"):
            assert [one["units"] for one in await charges(client, sort=sort)] == [1, 3, 2]
        for sort in ("eur_cents_charged", "credits_charged"):
            assert [one["units"] for one in await charges(client, sort=sort)] == [3, 2, 1]

    @pytest.mark.parametrize("query", ["page=0", "limit=201", "limit=", "sort=endpoint", "order=", "sort="])
    async def test_a_bad_query_is_400(self, client: httpx.AsyncClient, query: str) -> None:
        response = await client.get(f"/api/v1/usage?{query}")

        assert response.status_code == 400
        assert query.split("=")[0] in response.json()["error"]


class TestCredit:
    async def test_an_account_keeps_what_it_began_with(self, serve: Serve, home: Path) -> None:
        for credit in (500, 900):
            async with client_of(serve(home, terms=Terms(credit_eur_cents=credit))) as client:
                assert await money(client) == (500, 500)

    async def test_none_means_none(self, serve: Serve, home: Path) -> None:
        async with client_of(serve(home, terms=Terms(credit_eur_cents=0))) as client:
            me = (await client.get("/api/v1/me")).json()

        assert (me["balance_eur_cents"], me["euro_tranches"]) == (0, [])
        assert "signup_trial" not in me

    async def test_it_expires(self, home: Path) -> None:
        now = 1_800_000_000.0
        table = JobTable(home / "engine.db", 10)
        await table.open()
        accounts = Accounts(lambda: table._engine, 500, lambda: now)

        fresh = await accounts.balance("me")
        now += 364 * DAY
        late = await accounts.balance("me")
        now += 2 * DAY
        gone = await accounts.balance("me")

        assert (fresh.available, late.available, gone.available) == (500, 500, 0)
        assert gone.credit == 500


class TestCaps:
    async def test_requests_are_counted_by_account(self, serve: Serve, home: Path) -> None:
        app = serve(home, terms=Terms(tier=Tier(1, 2, 1)))
        async with client_of(app) as client, client_of(app, "sk_ops_two") as stranger:
            statuses = [(await client.get("/api/v1/regions")).status_code for _ in range(3)]
            refused = await client.get("/api/v1/me")

            assert statuses == [200, 200, 429]
            assert "rate limit" in refused.json()["error"]
            assert refused.headers["x-trace-id"] == refused.json()["trace_id"]
            assert (await stranger.get("/api/v1/me")).status_code == 200
            assert (await client.get("/health")).status_code == 200

    def test_a_minute_later_there_is_room_again(self) -> None:
        now = 100.0
        gate = Gate(1, lambda: now)
        gate.admit("me")
        now += 59.9
        with pytest.raises(Exception, match="rate limit"):
            gate.admit("me")
        now += 0.2

        gate.admit("me")

    def test_many_accounts_are_forgotten_once_they_fell_silent(self) -> None:
        now = 0.0
        gate = Gate(1, lambda: now)
        for number in range(20_001):
            now = 61.0 * (number // 10_000)
            gate.admit(str(number))

        assert len(gate._minutes) <= 10_001


class TestSlowAndForgetful:
    async def test_a_job_runs_for_as_long_as_it_must(self, serve: Serve, home: Path) -> None:
        async with client_of(serve(home, terms=Terms(job_seconds=0.5))) as client:
            began = asyncio.get_running_loop().time()
            _, seen = await settled(client, (await submit(client)).json()["poll_url"])

        assert seen[-2:] == ["running", "completed"]
        assert asyncio.get_running_loop().time() - began >= 0.5

    async def test_settled_jobs_are_gone_after_a_while(self, serve: Serve, home: Path) -> None:
        async with AsyncExitStack() as stack:
            keeping, forgetful = [
                await stack.enter_async_context(client_of(serve(home, terms=Terms(retention_seconds=seconds))))
                for seconds in (3600, 0)
            ]
            url = (await submit(keeping)).json()["poll_url"]
            await settled(keeping, url)

            assert (await keeping.get(url)).status_code == 200
            assert (await forgetful.get(url)).json()["error"] == "job not found"
            assert (await forgetful.get(f"{url}/artifacts/forecast.json")).status_code == 404
            assert (await forgetful.get("/api/v1/jobs")).json()["pagination"]["total"] == 0
            assert len(await charges(forgetful)) == 1


class TestPrices:
    @given(st.integers(1, 12), st.booleans(), st.sampled_from([None, 0, 1, 100]))
    def test_they_are_near_the_published_ones(self, months: int, backtest: bool, limit: int | None) -> None:
        asked = ForecastRequest(soft_horizon=months, backtest=backtest, filters=Filters(limit=limit))

        lowest, highest = (52, 63) if limit == 0 else (219, 392)
        assert lowest <= highest_price(asked) <= highest

    def test_a_higher_tier_allows_more(self) -> None:
        one, two, three = TIERS.values()

        assert one.max_jobs < two.max_jobs < three.max_jobs
        assert one.requests_per_minute < two.requests_per_minute < three.requests_per_minute


async def test_a_file_from_before_there_were_accounts_goes_on_working(home: Path) -> None:
    columns = "status TEXT NOT NULL, created_at TEXT NOT NULL, settled_at TEXT, eur_cents_final INTEGER"
    more = "pipeline_error TEXT, request TEXT NOT NULL, owner TEXT NOT NULL, lease_until FLOAT NOT NULL"
    with closing(sqlite3.connect(home / "engine.db")) as file, file:
        file.execute(
            f"CREATE TABLE jobs (id TEXT PRIMARY KEY, account TEXT NOT NULL, {columns}, {more}, attempts INTEGER)"
        )
        file.execute("CREATE TABLE artifacts (job_id TEXT, name TEXT, content BLOB, PRIMARY KEY (job_id, name))")
        job = ("old", "me", "completed", "2026-01-01T00:00:00.000Z", "2026-01-01T00:01:00.000Z", 0)
        file.execute("INSERT INTO jobs VALUES (?, ?, ?, ?, ?, ?, NULL, '{}', 'x', 0, 0)", job)
        waiting = ("waiting", "me", "queued", "2026-01-01T00:00:00.000Z", None, None)
        file.execute("INSERT INTO jobs VALUES (?, ?, ?, ?, ?, ?, NULL, '{}', 'x', 0, 0)", waiting)
    table = JobTable(home / "engine.db", 10, terms=Terms(credit_eur_cents=1000))
    await table.open()

    (claim,) = await table.take_over([], {"code": "gone", "detail": "gone"})
    await table.complete(claim.id, {"a": b"1"}, 300)

    old, taken = await table.get("me", "old"), await table.get("me", "waiting")
    assert old is not None
    assert taken is not None
    assert (old.status, taken.status, taken.eur_cents_final) == ("completed", "completed", 0)
    assert table.accounts is not None
    assert (await table.accounts.balance("me")).available == 1000


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_engine_that_fails_answers_with_the_trace(
    home: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    (home / "engine.db").mkdir()
    app = build_app(home, today=lambda: TODAY)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    headers = {"authorization": "Bearer sk_ops_one"}
    async with httpx.AsyncClient(transport=transport, base_url="http://engine", headers=headers) as client:
        path = "/api/v1/jobs" if method == "GET" else "/api/v1/forecasts"
        failed = await client.request(method, path, json=request())
        health = await client.get("/health")
    await app.state.engine.aclose()

    assert (failed.status_code, health.status_code) == (500, 503)
    assert failed.json()["trace_id"] == failed.headers["x-trace-id"]
    assert (health.json()["status"], health.json()["components"]["jobs"]["status"]) == ("degraded", "error")
