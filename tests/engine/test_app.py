"""The routes, bodies and errors of the Sybilion API, over the embedded engine."""

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import anyio
import httpx
import pytest
from starlette.applications import Starlette

from sybilion_mcp.engine import wire

from .conftest import client_of, settled
from .made_up import request

pytestmark = pytest.mark.anyio


async def submit(client: httpx.AsyncClient, **changes: object) -> str:
    response = await client.post("/api/v1/forecasts", json=request(**changes))
    assert response.status_code == 202, response.text
    url: str = response.json()["poll_url"]
    return url


async def test_a_forecast_goes_from_submission_to_artifacts(client: httpx.AsyncClient) -> None:
    response = await client.post("/api/v1/forecasts", json=request())
    accepted = response.json()

    assert response.status_code == 202
    assert accepted["poll_url"] == f"/api/v1/forecasts/{accepted['job_id']}"
    job, _ = await settled(client, accepted["poll_url"])
    assert (job["job_id"], job["pipeline_type"]) == (accepted["job_id"], "forecast")
    assert (job["status"], job["settled"], job["eur_cents_final"]) == ("completed", True, 0)
    assert {one["name"] for one in job["artifacts"]} == {
        "forecast.json",
        "external_signals.json",
        "input.json",
    }
    for artifact in job["artifacts"]:
        content = await client.get(artifact["href"])
        assert content.headers["content-type"] == "application/json"
        assert len(content.content) == artifact["size"]


async def test_a_backtest_adds_its_two_artifacts(client: httpx.AsyncClient) -> None:
    job, _ = await settled(client, await submit(client, backtest=True))

    names = {one["name"] for one in job["artifacts"]}
    assert {"backtest_metrics.json", "backtest_trajectories.json"} <= names


async def test_statuses_move_from_queued_over_running_to_completed(
    serve: Callable[..., Starlette], tmp_path: Path
) -> None:
    async with client_of(serve(tmp_path)) as client:
        urls = [await submit(client, backtest=True) for _ in range(4)]  # two run at once, the others wait

        _, seen = await settled(client, urls[-1])

    assert seen == ["queued", "running", "completed"]


class TestArtifacts:
    @pytest.fixture
    async def forecast(self, client: httpx.AsyncClient) -> tuple[str, bytes]:
        url = await submit(client)
        await settled(client, url)
        href = f"{url}/artifacts/forecast.json"
        return href, (await client.get(href)).content

    @pytest.mark.parametrize(
        ("wanted", "part", "content_range"),
        [
            ("bytes=0-9", slice(0, 10), "bytes 0-9/{size}"),
            ("bytes=10-", slice(10, None), "bytes 10-{last}/{size}"),
            ("bytes=-5", slice(-5, None), "bytes {fifth}-{last}/{size}"),
            ("bytes=0-99999999", slice(None), "bytes 0-{last}/{size}"),
        ],
    )
    async def test_a_range_is_honoured(
        self, client: httpx.AsyncClient, forecast: tuple[str, bytes], wanted: str, part: slice, content_range: str
    ) -> None:
        href, whole = forecast

        response = await client.get(href, headers={"range": wanted})

        size = len(whole)
        assert response.status_code == 206
        assert response.content == whole[part]
        assert response.headers["content-range"] == content_range.format(size=size, last=size - 1, fifth=size - 5)

    async def test_a_range_past_the_end_is_416(self, client: httpx.AsyncClient, forecast: tuple[str, bytes]) -> None:
        href, whole = forecast

        response = await client.get(href, headers={"range": "bytes=99999999-"})

        assert response.status_code == 416
        assert response.headers["content-range"] == f"bytes */{len(whole)}"
        assert set(response.json()) == {"error", "trace_id"}

    @pytest.mark.parametrize(
        "wanted",
        [
            "bytes=0-1,3-4",
            "lines=0-1",
            "bytes=-",
            "bytes=9-3",
            "nonsense",
            f"bytes={'9' * 5000}-",
            f"bytes=-{'9' * 5000}",
        ],
    )
    async def test_other_ranges_are_ignored(
        self, client: httpx.AsyncClient, forecast: tuple[str, bytes], wanted: str
    ) -> None:
        href, whole = forecast

        response = await client.get(href, headers={"range": wanted})

        assert (response.status_code, response.content) == (200, whole)

    async def test_an_unknown_artifact_is_404(self, client: httpx.AsyncClient, forecast: tuple[str, bytes]) -> None:
        response = await client.get(forecast[0].replace("forecast.json", "info.json"))

        assert response.status_code == 404

    async def test_before_completion_it_is_409(self, client: httpx.AsyncClient) -> None:
        for _ in range(3):
            url = await submit(client, backtest=True)

        response = await client.get(f"{url}/artifacts/forecast.json")

        assert response.status_code == 409
        await settled(client, url)


async def endless() -> AsyncIterator[bytes]:
    """A body that begins and never ends."""
    yield b"{"
    await anyio.Event().wait()


async def test_a_body_that_does_not_come_in_time_is_408(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "BODY_SECONDS", 0.05)
    with anyio.fail_after(10):
        response = await client.post("/api/v1/forecasts", content=endless())

    assert response.status_code == 408
    assert response.headers["connection"] == "close"
    assert set(response.json()) == {"error", "trace_id"}


class TestAccounts:
    @pytest.mark.parametrize("token", [None, "", "sk_live_1", "sk_ops_", "sk_ops_a b"])
    async def test_without_a_valid_token_it_is_401(
        self, serve: Callable[..., Starlette], tmp_path: Path, token: str | None
    ) -> None:
        async with client_of(serve(tmp_path), token) as client:
            response = await client.get("/api/v1/me")

        assert response.status_code == 401
        assert set(response.json()) == {"error", "trace_id"}
        assert "bearer token" in response.json()["error"]

    async def test_each_token_sees_its_own_jobs_only(self, serve: Callable[..., Starlette], tmp_path: Path) -> None:
        app = serve(tmp_path)
        async with client_of(app, "sk_ops_one") as one, client_of(app, "sk_ops_two") as two:
            url = await submit(one)
            await settled(one, url)

            assert (await two.get(url)).status_code == 404
            assert (await two.get(f"{url}/artifacts/forecast.json")).status_code == 404
            assert (await two.get("/api/v1/jobs")).json()["jobs"] == []
            assert len((await one.get("/api/v1/jobs")).json()["jobs"]) == 1

    async def test_me_tells_a_free_account(self, client: httpx.AsyncClient) -> None:
        account = (await client.get("/api/v1/me")).json()

        assert account["available_eur_cents"] == 0
        assert "sk_ops" not in json.dumps(account)


class TestErrors:
    async def test_every_answer_carries_a_trace_id(self, client: httpx.AsyncClient) -> None:
        for path in ("/health", "/api/v1/me", "/api/v1/nothing", "/api/v1/forecasts/unknown"):
            response = await client.get(path)

            assert response.headers["x-trace-id"]
            assert response.json().get("trace_id", response.headers["x-trace-id"]) == response.headers["x-trace-id"]

    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            ("GET", "/api/v1/nothing", 404),
            ("GET", "/api/v1/jobs/", 404),
            ("GET", "/api/v1/forecasts", 405),
            ("DELETE", "/api/v1/jobs", 405),
            ("GET", "/api/v1/forecasts/5b3c0d6e-0000-4000-8000-000000000000", 404),
        ],
    )
    async def test_unknown_routes_and_methods_have_the_error_body(
        self, client: httpx.AsyncClient, method: str, path: str, status: int
    ) -> None:
        response = await client.request(method, path)

        assert response.status_code == status
        assert set(response.json()) == {"error", "trace_id"}

    @pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b'{"a": "\xff"}', b"[" * 100_000, b"1" * 5000])
    async def test_what_is_no_json_object_is_400(self, client: httpx.AsyncClient, body: bytes) -> None:
        response = await client.post("/api/v1/forecasts", content=body)

        assert response.status_code == 400
        assert set(response.json()) == {"error", "trace_id"}

    async def test_a_wrong_json_type_is_400(self, client: httpx.AsyncClient) -> None:
        response = await client.post("/api/v1/forecasts", json=request(backtest="yes"))

        assert response.status_code == 400
        assert "backtest" in response.json()["error"]

    async def test_a_violated_rule_is_422_with_one_detail(self, client: httpx.AsyncClient) -> None:
        response = await client.post("/api/v1/forecasts", json=request(soft_horizon=13, recency_factor=2))

        assert response.status_code == 422
        assert response.json()["error"] == "validation_failed"
        assert [detail["field"] for detail in response.json()["details"]] == ["soft_horizon"]

    @pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999"])
    async def test_numbers_that_are_not_finite_are_422(self, client: httpx.AsyncClient, text: str) -> None:
        body = json.dumps(request()).replace('"2026-05-01": ', f'"2026-05-01": {text}, "2099-01-01": ')

        response = await client.post("/api/v1/forecasts", content=body)

        assert response.status_code == 422

    async def test_text_that_is_no_unicode_is_refused_not_a_crash(self, client: httpx.AsyncClient) -> None:
        body = json.dumps(request(timeseries={"\ud800": 1.0}))

        response = await client.post("/api/v1/forecasts", content=body)

        assert response.status_code in (400, 422)

    async def test_a_body_over_2_mib_is_413_and_not_read_to_its_end(self, client: httpx.AsyncClient) -> None:
        sent = 0

        async def body() -> AsyncIterator[bytes]:
            nonlocal sent
            for _ in range(100):
                sent += 1
                yield b" " * 65536

        response = await client.post("/api/v1/forecasts", content=body())
        declared = await client.post("/api/v1/forecasts", content=b" " * (2 * 1024 * 1024 + 1))

        assert (response.status_code, declared.status_code) == (413, 413)
        assert sent <= 34

    async def test_a_failing_pipeline_fails_its_job_only(
        self, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patch:
            patch.setattr("sybilion_mcp.engine.pipeline.run_pipeline", lambda *_: 1 / 0)
            job, _ = await settled(client, await submit(client))
        after, _ = await settled(client, await submit(client))

        assert job["status"] == "failed"
        assert job["eur_cents_final"] == 0
        assert job["pipeline_error"]["code"] == "pipeline_failed"
        assert "ZeroDivisionError: division by zero" in job["pipeline_error"]["detail"]
        assert "artifacts" not in job
        assert after["status"] == "completed"


class TestJobList:
    async def test_jobs_come_in_pages_newest_first(self, client: httpx.AsyncClient) -> None:
        urls = [await submit(client) for _ in range(3)]
        for url in urls:
            await settled(client, url)

        first = (await client.get("/api/v1/jobs", params={"limit": 2})).json()
        second = (await client.get("/api/v1/jobs", params={"limit": 2, "page": 2})).json()
        oldest = (await client.get("/api/v1/jobs", params={"order": "asc", "limit": 1})).json()

        ids = [url.rsplit("/", 1)[1] for url in urls]
        assert [job["job_id"] for job in first["jobs"] + second["jobs"]] == ids[::-1]
        assert [job["job_id"] for job in oldest["jobs"]] == ids[:1]
        assert first["pagination"] == {
            "page": 1,
            "limit": 2,
            "total": 3,
            "total_pages": 2,
            "sort": "created_at",
            "order": "desc",
        }

    async def test_filters_choose_by_status_and_type(self, client: httpx.AsyncClient) -> None:
        await settled(client, await submit(client))

        async def count(**filters: str) -> int:
            total: int = (await client.get("/api/v1/jobs", params=filters)).json()["pagination"]["total"]
            return total

        assert await count(status="completed", pipeline_type="forecast") == 1
        assert await count(status="failed") == 0
        assert await count(pipeline_type="drivers") == 0

    @pytest.mark.parametrize(
        "query",
        ["page=0", "page=x", "limit=0", "limit=201", "limit=-1", "sort=title", "order=up", "status=done", "page=²"],
    )
    async def test_a_bad_query_is_400(self, client: httpx.AsyncClient, query: str) -> None:
        response = await client.get(f"/api/v1/jobs?{query}")

        assert response.status_code == 400
        assert query.split("=")[0] in response.json()["error"]
