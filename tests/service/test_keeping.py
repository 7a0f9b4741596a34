"""What is seen and downloaded is kept; what stands in the way of that holds nobody up and hides nothing."""

import itertools
import json
import sqlite3
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest

from sybilion_mcp.hints import Refusal
from sybilion_mcp.service import follow as following
from sybilion_mcp.service import results, sybilion_results
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.follow import Followed, current, follow
from sybilion_mcp.store import database
from sybilion_mcp.store.sqlite import patiently
from sybilion_mcp.store.store import Store
from tests.hosted import Fault, HostedApi
from tests.service.conftest import OpenDesk
from tests.service.locks import locked
from tests.store.full import leave_room
from tests.timing import wall_clock

pytestmark = pytest.mark.anyio

NAMES = ("external_signals.json", "forecast.json", "input.json")
SLACK = 2.5
"""Seconds for all that is not waiting for a lock, on a busy machine."""


async def silent(*_: object) -> None:
    pass


async def followed(desk: Desk, job_id: str, wait_seconds: float = 0) -> Followed:
    with anyio.fail_after(60):
        return await follow(desk, job_id, wait_seconds, silent)


@pytest.fixture
def finished(api: HostedApi) -> str:
    job_id = api.make_job()
    api.finish(job_id)
    return job_id


async def opened(desk: Desk) -> Path:
    """The data folder of a desk that has been used."""
    await desk.store.job_ids("", 1)
    return desk.settings.home


# A database that others have locked


@pytest.fixture
def kept_out(monkeypatch: pytest.MonkeyPatch) -> anyio.Event:
    """Set when somebody tries once more to get at a database that others have locked."""
    again = anyio.Event()

    async def noticed(attempt: Callable[[], Awaitable[Any]], seconds: float) -> Any:
        tries = itertools.count()

        async def told() -> Any:
            if next(tries):
                again.set()
            return await attempt()

        return await patiently(told, seconds)

    monkeypatch.setattr(database, "patiently", noticed)
    return again


@wall_clock
async def test_a_lock_hides_no_cost_and_what_was_seen_is_written_down_at_the_next_look(
    hosted: Desk, api: HostedApi, finished: str
) -> None:
    with locked(await opened(hosted)):
        started = time.monotonic()
        found = await followed(hosted, finished)
        took = time.monotonic() - started
        assert await hosted.store.job(finished) is None

    assert (found.job.status, found.job.eur_cents_final, found.artifacts) == ("completed", 332, NAMES)
    assert took < SLACK
    await followed(hosted, finished)
    stored = await hosted.store.job(finished)
    assert stored is not None
    assert stored.job.eur_cents_final == 332
    assert tuple(await hosted.store.artifact_names(finished)) == NAMES


@wall_clock
async def test_a_lock_does_not_make_waiting_longer(hosted: Desk, api: HostedApi) -> None:
    job_id = api.make_job()
    await followed(hosted, job_id)

    with locked(hosted.settings.home):
        started = time.monotonic()
        found = await followed(hosted, job_id, 2)
        took = time.monotonic() - started

    assert found.job.status == "running"
    assert took < 2 + SLACK


@wall_clock
@pytest.mark.parametrize("status", ["running", "completed"])
async def test_cancelling_is_not_held_up_by_a_lock(
    hosted: Desk, api: HostedApi, kept_out: anyio.Event, status: str
) -> None:
    job_id = api.make_job()
    if status == "completed":
        api.finish(job_id)
    with locked(await opened(hosted)):
        async with anyio.create_task_group() as group:
            group.start_soon(follow, hosted, job_id, 30, silent)
            with anyio.fail_after(20):
                await kept_out.wait()
            started = time.monotonic()
            group.cancel_scope.cancel()
        took = time.monotonic() - started

    assert took < 0.5


@wall_clock
async def test_a_report_is_made_of_what_was_downloaded_while_others_have_the_database_locked(
    hosted: Desk, api: HostedApi, finished: str
) -> None:
    with locked(await opened(hosted)):
        started = time.monotonic()
        report = await sybilion_results.report(hosted, finished)
        took = time.monotonic() - started

    assert report.facts.eur_cents_final == 332
    assert took < SLACK
    await sybilion_results.report(hosted, finished)
    assert "forecast.json" in await hosted.store.artifact_names(finished)


@wall_clock
async def test_what_nobody_may_read_is_a_clear_failure_in_time(
    hosted: Desk, finished: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "READING_SECONDS", 0.5)
    home = await opened(hosted)
    await hosted.store.aclose()
    with locked(home, readers=True):
        started = time.monotonic()
        with pytest.raises(Refusal) as caught:
            await followed(hosted, finished)
        took = time.monotonic() - started

    assert (caught.value.code, caught.value.retry_after_s) == ("storage_failed", 5)
    assert "locked" in caught.value.message
    assert took < SLACK
    assert (await followed(hosted, finished)).job.finished


async def test_a_lock_that_passes_is_waited_for(hosted: Desk, finished: str, kept_out: anyio.Event) -> None:
    home = await opened(hosted)
    async with anyio.create_task_group() as group:
        with locked(home):
            group.start_soon(followed, hosted, finished)
            with anyio.fail_after(20):
                await kept_out.wait()

    assert tuple(await hosted.store.artifact_names(finished)) == NAMES


async def test_a_full_disk_hides_no_cost(
    open_desk: OpenDesk, api: HostedApi, finished: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = await opened(first := open_desk())
    await first.aclose()
    api.jobs[finished]["pipeline_error"] = {"code": "none", "detail": "x" * 60_000}
    with monkeypatch.context() as full:
        leave_room(full, home, pages=2)
        desk = open_desk()

        found = await followed(desk, finished)
        known = await current(desk, finished)

        assert found.job.eur_cents_final == known.job.eur_cents_final == 332
        assert await desk.store.job(finished) is None
    later = open_desk()
    await followed(later, finished)
    assert await later.store.job(finished) is not None


# What is forgotten meanwhile


async def rows_of(desk: Desk) -> int:
    with closing(sqlite3.connect(desk.settings.home / "desk.db")) as file:
        counts = (file.execute(f"SELECT count(*) FROM {table}") for table in ("jobs", "artifacts", "pieces"))
        return sum(count for ((count,),) in (cursor.fetchall() for cursor in counts))


Forgetting = Callable[[Desk, str], object]


def forget_before(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    """The job is forgotten, by another process as it were, right before a method of the store does its work."""
    works = getattr(Store, method)
    done: list[str] = []

    async def forgetting(store: Store, about: object, *arguments: object, **options: object) -> object:
        job_id = about if isinstance(about, str) else getattr(about, "job_id", "")
        if not done:
            done.append(job_id)
            assert await store.forget_job(job_id)
        return await works(store, about, *arguments, **options)

    monkeypatch.setattr(Store, method, forgetting)


async def test_what_is_forgotten_while_it_is_downloaded_stays_forgotten(
    hosted: Desk, finished: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget_before(monkeypatch, "put_draft")

    found = await followed(hosted, finished)

    assert found.job.eur_cents_final == 332
    assert await rows_of(hosted) == 0


async def test_a_damaged_copy_that_is_forgotten_while_it_is_replaced_stays_forgotten(
    hosted: Desk, api: HostedApi, finished: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await followed(hosted, finished)
    with closing(sqlite3.connect(hosted.settings.home / "desk.db")) as file, file:
        file.execute("UPDATE pieces SET content = x'00'")
    forget_before(monkeypatch, "put_draft")

    content = await results.artifact(hosted, finished, "forecast.json")

    assert content == api.artifacts[finished]["forecast.json"]
    assert await rows_of(hosted) == 0


async def test_a_look_under_way_does_not_bring_back_what_is_forgotten_meanwhile(
    hosted: Desk, api: HostedApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = api.make_job()
    await followed(hosted, job_id)
    api.finish(job_id)
    forget_before(monkeypatch, "put_job")

    found = await followed(hosted, job_id)

    assert (found.job.status, found.artifacts) == ("completed", NAMES)
    assert await rows_of(hosted) == 0


async def test_who_waits_for_a_job_does_not_bring_it_back_either(
    hosted: Desk, api: HostedApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "HOSTED_PACE", (0.1, 0.2))
    job_id = api.make_job()
    async with anyio.create_task_group() as group:
        group.start_soon(followed, hosted, job_id, 20)
        await api.seen(2)
        assert await hosted.store.forget_job(job_id)
        api.finish(job_id)

    assert await rows_of(hosted) == 0


async def test_a_forgotten_job_that_somebody_looks_at_again_is_kept_again(hosted: Desk, finished: str) -> None:
    await followed(hosted, finished)
    assert await hosted.store.forget_job(finished)

    await followed(hosted, finished)

    assert tuple(await hosted.store.artifact_names(finished)) == NAMES


# Sizes that are not as listed


def listed(api: HostedApi, job_id: str, size: int) -> None:
    """The size of its forecast as the service lists it."""
    (offered,) = [one for one in api.jobs[job_id]["artifacts"] if one["name"] == "forecast.json"]
    offered["size"] = size


@pytest.mark.parametrize("difference", [-1, 1, 10_000])
async def test_what_comes_the_same_twice_counts_whatever_size_is_listed(
    hosted: Desk, api: HostedApi, finished: str, difference: int, caplog: pytest.LogCaptureFixture
) -> None:
    sent = api.artifacts[finished]["forecast.json"]
    listed(api, finished, len(sent) + difference)

    await followed(hosted, finished)
    asked = len(api.requests)
    await followed(hosted, finished)

    assert await hosted.store.artifact(finished, "forecast.json") == sent
    assert len(api.requests) == asked
    assert f"{len(sent)} bytes where {len(sent) + difference} are listed" in caplog.text


PAGE = b"<!doctype html><title>Welcome to the hotel</title>"


@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("other", [PAGE, None])
async def test_what_is_not_the_artifact_is_not_kept_in_its_place(
    hosted: Desk, api: HostedApi, finished: str, other: bytes | None, times: int
) -> None:
    """Given a page of a proxy, or half of the artifact that is announced as the whole."""
    whole = api.artifacts[finished]["forecast.json"]
    api.next("artifact", *[Fault(200, api.artifacts[finished]["external_signals.json"])] * (times > 1))
    api.next("artifact", *[Fault(200, other or whole[: len(whole) // 2])] * times)

    for _ in range(3):
        await followed(hosted, finished)

    for name in NAMES:
        assert await hosted.store.artifact(finished, name) == api.artifacts[finished][name]


async def test_less_than_announced_is_not_kept_however_often_it_comes(
    hosted: Desk, api: HostedApi, finished: str
) -> None:
    listed(api, finished, 2)
    api.next("artifact", *[Fault(200, b"{}", missing=40)] * 4)

    await followed(hosted, finished)

    assert "forecast.json" not in await hosted.store.artifact_names(finished)


async def test_a_large_artifact_of_another_size_is_judged_by_its_ends(
    hosted: Desk, api: HostedApi, finished: str
) -> None:
    sent = json.dumps({"data": [0.5] * 500_000}).encode() + b"\n"
    api.artifacts[finished]["forecast.json"] = sent

    await followed(hosted, finished)

    assert await hosted.store.artifact(finished, "forecast.json") == sent


# What is listed late


async def test_a_completed_job_that_listed_nothing_is_looked_at_again(
    hosted: Desk, api: HostedApi, finished: str
) -> None:
    api.finish(finished, artifacts=[])
    assert (await followed(hosted, finished)).artifacts == ()
    api.finish(finished)

    found = await followed(hosted, finished, 45)

    assert found.artifacts == NAMES
    api.forget(finished)
    assert (await sybilion_results.report(hosted, finished)).facts.eur_cents_final == 332


async def test_who_reads_a_job_that_listed_nothing_sees_what_is_listed_by_now(
    hosted: Desk, api: HostedApi, finished: str
) -> None:
    api.finish(finished, artifacts=[])
    await followed(hosted, finished)
    api.finish(finished)

    stored = await current(hosted, finished)

    assert sorted(one.name for one in stored.job.artifacts) == list(NAMES)


async def test_there_is_one_such_look_in_a_call_and_none_once_something_is_kept(
    hosted: Desk, api: HostedApi, finished: str
) -> None:
    api.finish(finished, artifacts=[])
    await followed(hosted, finished)
    seen = len(api.requests)

    await followed(hosted, finished, 45)
    assert len(api.requests) == seen + 1
    await results.artifact(hosted, finished, "forecast.json")
    seen = len(api.requests)
    await followed(hosted, finished, 45)
    await current(hosted, finished)

    assert len(api.requests) == seen


@pytest.mark.parametrize("settings", [{"api_base_url": "http://127.0.0.1:1"}, {"api_token": None}])
async def test_what_is_known_stays_when_that_look_fails(
    open_desk: OpenDesk, hosted: Desk, api: HostedApi, finished: str, settings: dict[str, str | None]
) -> None:
    api.finish(finished, artifacts=[])
    await followed(hosted, finished)
    cut_off = Desk(open_desk(**settings).settings, today=hosted.today)

    try:
        assert (await followed(cut_off, finished)).job.eur_cents_final == 332
        assert (await current(cut_off, finished)).job.finished
    finally:
        await cut_off.aclose()
