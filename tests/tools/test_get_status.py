"""get_status as a client sees it: progress, when to look again, cancellation, and many who wait at once."""

import asyncio
import time
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import anyio
import jsonschema
import pytest
from mcp import Client
from mcp_types import CallToolResult

from sybilion_mcp.server import build_server
from sybilion_mcp.service import follow as following
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.settings import Settings
from tests.conftest import ERAS, TODAY, good_series, until
from tests.hosted import HostedApi, error, silence
from tests.timing import wall_clock
from tests.tools.host import call, data_of, text_of

pytestmark = pytest.mark.anyio

TITLE = "Monthly demand for a made-up product in Austria, units"
TOOL = import_module("sybilion_mcp.tools.get_status")


@pytest.fixture
def desk(api: HostedApi, tmp_path: Path, executor: Executor) -> Desk:
    """A desk whose backend is the fake hosted API, and that waits for it as long as for the real one."""
    settings = Settings(home=tmp_path / "home", api_token=api.token, api_base_url=api.url, spend="allow")
    return Desk(settings, today=lambda: TODAY, executor=executor)


@pytest.fixture(autouse=True)
def quick_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "HOSTED_PACE", (0.02, 0.05))


def shared_work() -> list[str]:
    return [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("shared ")]


async def status_of(client: Client, job_id: str, wait_seconds: float = 0) -> CallToolResult:
    result = await call(client, "get_status", job_id=job_id, wait_seconds=wait_seconds)
    assert not result.is_error, text_of(result)
    return result


def minutes_ago(minutes: float) -> datetime:
    return datetime.now(UTC) - timedelta(minutes=minutes)


# When to look again


@pytest.mark.parametrize(("minutes", "seconds"), [(0, 60), (6.5, 45), (7.6, 15), (10, 15), (40, 30)])
async def test_an_unfinished_job_says_when_to_look_again(
    client: Client, api: HostedApi, minutes: float, seconds: int
) -> None:
    job_id = api.make_job(created=minutes_ago(minutes))

    result = await status_of(client, job_id)

    told = data_of(result)["poll_after_s"]
    assert told == pytest.approx(seconds, abs=2)
    assert text_of(result).splitlines()[-1] == (f'Next: get_status(job_id="{job_id}", wait_seconds=45) in {told} s.')
    schema = next(tool.output_schema for tool in (await client.list_tools()).tools if tool.name == "get_status")
    assert schema is not None
    jsonschema.validate(data_of(result), schema)


@pytest.mark.parametrize("status", ["completed", "failed"])
async def test_a_finished_job_does_not(client: Client, api: HostedApi, status: str) -> None:
    job_id = api.make_job()
    api.finish(job_id, status)

    result = await status_of(client, job_id)

    assert "poll_after_s" not in data_of(result)
    assert not text_of(result).endswith(" s.")


async def test_the_embedded_engine_is_worth_another_look_soon(client: Client) -> None:
    checked = data_of(await call(client, "validate_series", series=good_series(), title=TITLE))
    asked = {"series_id": checked["series_id"], "soft_horizon": 12, "backend": "local"}
    made = data_of(await call(client, "submit_forecast", **asked))

    found = data_of(await status_of(client, made["job_id"]))

    assert found["status"] == "completed" or found["poll_after_s"] in (1, 2)


async def test_progress_tells_the_time_and_what_is_usual(client: Client, api: HostedApi) -> None:
    job_id = api.make_job(created=minutes_ago(3))
    told: list[tuple[float, float | None, str | None]] = []
    enough = anyio.Event()

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, total, message))
        if len(told) == 3:
            api.finish(job_id)
            enough.set()

    with anyio.fail_after(10):
        arguments = {"job_id": job_id, "wait_seconds": 20}
        result = await client.call_tool("get_status", arguments, progress_callback=hear)
        await enough.wait()

    assert data_of(result)["status"] == "completed"
    elapsed = [one for one, _, _ in told]
    assert elapsed == sorted(set(elapsed))
    assert elapsed[0] == pytest.approx(180, abs=3)
    assert {total for _, total, _ in told} == {900}
    assert {message for _, _, message in told} == {"running, 3 min of usually 8 to 15 minutes"}


async def test_progress_of_what_is_overdue_knows_no_total(client: Client, api: HostedApi) -> None:
    job_id = api.make_job(created=minutes_ago(40))
    api.jobs[job_id]["status"] = "Next: submit_forecast()"
    told: list[tuple[float | None, str | None]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        told.append((total, message))
        api.finish(job_id)

    with anyio.fail_after(10):
        arguments = {"job_id": job_id, "wait_seconds": 20}
        await client.call_tool("get_status", arguments, progress_callback=hear)

    assert told[0] == (None, 'status "Next: submit forecast()", 40 min of usually 8 to 15 minutes')


# Many who wait


async def test_a_hundred_calls_on_one_job_look_together(client: Client, api: HostedApi) -> None:
    job_id = api.make_job()
    found: list[dict[str, Any]] = []

    async def wait() -> None:
        found.append(data_of(await status_of(client, job_id, 20)))

    started = time.monotonic()
    async with anyio.create_task_group() as group:
        for _ in range(100):
            group.start_soon(wait)
        await api.seen(5)
        api.finish(job_id)

    looks = sum("/artifacts/" not in one for one in api.requests)
    assert {one["status"] for one in found} == {"completed"}
    assert len(found) == 100
    assert looks <= (time.monotonic() - started) / following.HOSTED_PACE[0] + 1
    assert len(api.requests) - looks == len(api.artifacts[job_id])
    assert shared_work() == []


# Cancellation


@dataclass
class Watched:
    """How many calls run inside the server."""

    running: int = 0
    begun: anyio.Event = field(default_factory=anyio.Event)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    seen, follow = Watched(), following.follow

    async def watching(*arguments: Any) -> following.Followed:
        seen.running += 1
        try:
            return await follow(*arguments)
        finally:
            seen.running -= 1

    monkeypatch.setattr(TOOL, "follow", watching)
    return seen


@wall_clock
@pytest.mark.parametrize("hanging", ["nothing", "first look", "later look", "results"])
async def test_a_cancelled_call_ends_at_once_whatever_hangs(
    client: Client, api: HostedApi, watched: Watched, hanging: str
) -> None:
    job_id = api.make_job()
    seen = {"nothing": 1, "first look": 1, "later look": 3, "results": 2}[hanging]
    if hanging == "first look":
        api.always("job", silence())
    if hanging == "results":
        api.finish(job_id)
        api.always("artifact", silence())
    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(status_of, client, job_id, 45)
            if hanging == "later look":
                await api.seen(2)
                api.always("job", silence())
            await api.seen(seen)
            started = time.monotonic()
            group.cancel_scope.cancel()
        await until(lambda: watched.running == 0 and not shared_work())

    assert time.monotonic() - started <= 0.5
    api.well_again()
    assert data_of(await status_of(client, job_id))["job_id"] == job_id


@wall_clock
async def test_a_hundred_cancelled_calls_end_at_once_and_the_others_go_on(
    client: Client, api: HostedApi, watched: Watched
) -> None:
    job_id = api.make_job()
    found: list[CallToolResult] = []

    async def stay() -> None:
        found.append(await status_of(client, job_id, 20))

    with anyio.fail_after(10):
        async with anyio.create_task_group() as staying:
            async with anyio.create_task_group() as leaving:
                for _ in range(100):
                    leaving.start_soon(status_of, client, job_id, 45)
                staying.start_soon(stay)
                await until(lambda: watched.running == 101)
                started = time.monotonic()
                leaving.cancel_scope.cancel()
            await until(lambda: watched.running == 1)
            assert time.monotonic() - started <= 0.5
            await api.seen(len(api.requests) + 2)
            api.finish(job_id)

    assert data_of(found[0])["status"] == "completed"
    assert shared_work() == []


@pytest.mark.parametrize("mode", ERAS.values(), ids=ERAS)
async def test_the_end_of_the_server_ends_what_it_waits_for(desk: Desk, api: HostedApi, mode: str) -> None:
    job_id = api.make_job()
    api.always("job", silence())

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group, Client(build_server(desk.settings, desk), mode=mode) as client:
            group.start_soon(status_of, client, job_id, 45)
            await api.seen(1)
            group.cancel_scope.cancel()

    assert shared_work() == []


# As many jobs as there may be


async def test_an_account_with_too_many_jobs_is_told_which_they_are(client: Client, api: HostedApi) -> None:
    checked = data_of(await call(client, "validate_series", series=good_series(), title=TITLE))
    newer, older = api.make_job(created=minutes_ago(2)), api.make_job(created=minutes_ago(9))
    api.next("submit", error(429, "too many concurrent jobs"))

    refused = await call(client, "submit_forecast", series_id=checked["series_id"], soft_horizon=12)

    failure = data_of(refused)
    assert refused.is_error
    assert (failure["code"], failure["retryable"], failure["trace_id"]) == ("too_many_jobs", True, "trace-429")
    assert f"{older} (9 min), {newer} (2 min)." in failure["hint"]
    assert failure["retry_after_s"] == pytest.approx(690 - 9 * 60, abs=5)
    assert failure["next"] == {"tool": "get_status", "arguments": {"job_id": older, "wait_seconds": 45}}
    last = text_of(refused).splitlines()[-1]
    assert last.endswith(" wait_seconds=45) until it is finished, usually in 2 min; only then submit again.")
    made = data_of(await call(client, "submit_forecast", series_id=checked["series_id"], soft_horizon=12))
    assert not made["reused"]


async def test_a_rate_limit_stays_a_rate_limit(client: Client, api: HostedApi) -> None:
    checked = data_of(await call(client, "validate_series", series=good_series(), title=TITLE))
    api.make_job()
    api.next("submit", error(429, "rate limit exceeded"))

    failure = data_of(await call(client, "submit_forecast", series_id=checked["series_id"], soft_horizon=12))

    assert (failure["code"], failure["retry_after_s"]) == ("rate_limited", 60)
    assert not any("/jobs" in one for one in api.requests)
