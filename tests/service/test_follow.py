"""Follow: until the job is finished or patience ends; what is seen is kept."""

import asyncio
import gc
import itertools
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import anyio
import pytest

from sybilion_mcp.backends.base import AnswerError, BackendError, TransportError
from sybilion_mcp.next_step import NextStep
from sybilion_mcp.service import crowded
from sybilion_mcp.service import follow as following
from sybilion_mcp.service.crowded import too_many_jobs
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.follow import Followed, Running, follow
from sybilion_mcp.service.submit import submit
from tests.hosted import Fault, HostedApi, error, garbage, reset, silence
from tests.service.conftest import OpenDesk
from tests.service.orders import order
from tests.timing import wall_clock

pytestmark = pytest.mark.anyio

NAMES = ("external_signals.json", "forecast.json", "input.json")


@pytest.fixture(autouse=True)
def quick_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hosted service is looked at as often as the embedded engine."""
    monkeypatch.setattr(following, "HOSTED_PACE", (0.02, 0.05))


@pytest.fixture(autouse=True)
async def nothing_left_behind() -> AsyncIterator[None]:
    yield
    assert [task for task in asyncio.all_tasks() if task.get_name().startswith("shared ")] == []


def looked_at(api: HostedApi, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When jobs are looked at from now on, in seconds."""
    times: list[float] = []
    answer = api.answer

    async def answered(method: str, path: str, headers: dict[str, str], body: bytes) -> Fault:
        if "/artifacts/" not in path:
            times.append(time.monotonic())
        return await answer(method, path, headers, body)

    monkeypatch.setattr(api, "answer", answered)
    return times


class Heard:
    """Remembers the progress it is told."""

    def __init__(self) -> None:
        self.statuses: list[str] = []
        self.elapsed: list[float] = []
        self.first = anyio.Event()

    async def __call__(self, running: Running, elapsed_s: float) -> None:
        assert elapsed_s >= 0
        self.statuses.append(running.job.status)
        self.elapsed.append(elapsed_s)
        self.first.set()


async def followed(desk: Desk, job_id: str, wait_seconds: float = 0, heard: Heard | None = None) -> Followed:
    with anyio.fail_after(10):
        return await follow(desk, job_id, wait_seconds, heard or Heard())


@wall_clock
async def test_an_unfinished_job_is_told_when_patience_ends(hosted: Desk, api: HostedApi) -> None:
    job_id = api.make_job()
    heard = Heard()

    await hosted.store.job(job_id)  # opens it
    started = time.monotonic()
    found = await followed(hosted, job_id, 1, heard)

    assert (found.job.status, found.job.finished, found.artifacts) == ("running", False, ())
    assert 0.9 < time.monotonic() - started < 4
    assert len(heard.statuses) >= 2
    assert set(heard.statuses) == {"running"}


async def test_without_patience_there_is_one_look(hosted: Desk, api: HostedApi) -> None:
    job_id = api.make_job()

    found = await followed(hosted, job_id, 0)

    assert found.job.status == "running"
    assert len(api.requests) == 1


async def test_it_ends_as_soon_as_the_job_does(hosted: Desk, api: HostedApi) -> None:
    job_id = api.make_job()

    async def finish() -> None:
        await api.seen(3)
        api.finish(job_id, cents=219)

    async with anyio.create_task_group() as group:
        group.start_soon(finish)
        found = await followed(hosted, job_id, 30)

    assert (found.job.status, found.job.settled, found.job.eur_cents_final) == ("completed", True, 219)
    assert found.artifacts == NAMES
    assert found.elapsed_s == pytest.approx(540, abs=10)


async def test_completed_is_not_finished_before_it_is_settled(hosted: Desk, api: HostedApi) -> None:
    job_id = api.make_job()
    api.jobs[job_id]["status"] = "completed"

    found = await followed(hosted, job_id, 0.1)

    assert (found.job.status, found.job.settled, found.artifacts) == ("completed", False, ())
    assert not any("/artifacts/" in one for one in api.requests)


async def test_the_results_are_kept_as_soon_as_they_are_seen(hosted: Desk, api: HostedApi) -> None:
    job_id = api.make_job()
    api.finish(job_id)

    await followed(hosted, job_id)

    for name, content in api.artifacts[job_id].items():
        assert await hosted.store.artifact(job_id, name) == content


async def test_a_finished_job_needs_no_network(open_desk: OpenDesk, api: HostedApi) -> None:
    job_id = api.make_job()
    api.finish(job_id, cents=332)
    first = await followed(open_desk(), job_id, 45)
    seen = len(api.requests)
    api.forget(job_id)

    again = await followed(open_desk(), job_id, 45)

    assert again == first
    assert len(api.requests) == seen


@pytest.mark.parametrize("status", ["failed", "canceled"])
async def test_a_job_that_came_to_nothing_ends_the_waiting(hosted: Desk, api: HostedApi, status: str) -> None:
    job_id = api.make_job()
    api.finish(job_id, status, cents=0, pipeline_error={"code": "no_model", "detail": "x", "more": {}})

    found = await followed(hosted, job_id, 45)

    assert (found.job.status, found.artifacts) == (status, ())
    assert found.job.pipeline_error is not None
    assert found.job.pipeline_error.code == "no_model"


@pytest.mark.parametrize("fault", [error(401, "no"), error(404, "no"), error(500, "x"), garbage(), reset(), silence()])
async def test_a_first_look_that_fails_is_a_failure(hosted: Desk, api: HostedApi, fault: Fault) -> None:
    job_id = api.make_job()
    api.always("job", fault)

    with anyio.fail_after(10), pytest.raises(BackendError):
        await follow(hosted, job_id, 5, Heard())


@pytest.mark.parametrize("fault", [error(404, "no"), error(500, "x"), garbage(), reset(), silence()])
async def test_a_later_look_that_fails_ends_the_waiting_with_what_is_known(
    hosted: Desk, api: HostedApi, fault: Fault
) -> None:
    made = await submit(hosted, order())

    class ThenBroken(Heard):
        async def __call__(self, running: Running, elapsed_s: float) -> None:
            api.always("job", fault)

    found = await followed(hosted, made.job_id, 45, ThenBroken())

    assert (found.job.status, found.job.finished) == ("running", False)


@pytest.mark.parametrize("fault", [error(404, "gone"), error(413, "too large")])
async def test_an_artifact_that_is_gone_keeps_nobody_from_the_others(
    hosted: Desk, api: HostedApi, fault: Fault
) -> None:
    job_id = api.make_job()
    api.finish(job_id)
    api.next("artifact", fault)

    found = await followed(hosted, job_id)

    assert found.job.finished
    assert await hosted.store.artifact_names(job_id) == ["external_signals.json", "input.json"]


@pytest.mark.parametrize("fault", [error(503, "down"), error(401, "no"), reset(), silence()])
async def test_results_that_cannot_be_had_now_are_had_later(hosted: Desk, api: HostedApi, fault: Fault) -> None:
    job_id = api.make_job()
    api.finish(job_id)
    api.always("artifact", fault)

    found = await followed(hosted, job_id, 5)
    assert found.job.finished
    assert await hosted.store.artifact_names(job_id) == []
    api.well_again()

    await followed(hosted, job_id, 5)
    assert tuple(await hosted.store.artifact_names(job_id)) == NAMES


@wall_clock
async def test_cancelling_ends_it_at_once_and_leaves_the_desk_usable(hosted: Desk, api: HostedApi) -> None:
    job_id = api.make_job()

    started = time.monotonic()
    with anyio.move_on_after(0.2):
        await follow(hosted, job_id, 45, Heard())
    assert time.monotonic() - started < 0.7

    api.finish(job_id)
    assert (await followed(hosted, job_id)).job.finished


async def test_a_hundred_may_wait_for_one_job(hosted: Desk, api: HostedApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their looks are one look at a time, none before the pause is over, and the results are fetched once."""
    job_id = api.make_job()
    looked = looked_at(api, monkeypatch)
    found: list[Followed] = []

    async def wait() -> None:
        found.append(await followed(hosted, job_id, 30))

    async with anyio.create_task_group() as group:
        for _ in range(100):
            group.start_soon(wait)
        await api.seen(6)
        api.finish(job_id)

    assert [one.artifacts for one in found] == [NAMES] * 100
    assert sum("/artifacts/" in one for one in api.requests) == len(NAMES)
    assert len(looked) == len(api.requests) - len(NAMES)
    assert min(after - before for before, after in itertools.pairwise(looked)) >= following.HOSTED_PACE[0]


async def test_a_hundred_who_only_ask_share_a_look(hosted: Desk, api: HostedApi) -> None:
    job_id = api.make_job()

    async with anyio.create_task_group() as group:
        for _ in range(100):
            group.start_soon(followed, hosted, job_id)

    assert len(api.requests) == 1


async def test_two_desks_look_for_themselves(open_desk: OpenDesk, api: HostedApi) -> None:
    job_id = api.make_job()
    found: list[Followed] = []

    async def wait(desk: Desk) -> None:
        found.append(await followed(desk, job_id, 30))

    async with anyio.create_task_group() as group:
        for _ in range(2):
            group.start_soon(wait, open_desk())
        await api.seen(2)
        api.finish(job_id)

    assert [one.artifacts for one in found] == [NAMES] * 2


async def test_who_comes_late_has_the_last_look_while_it_is_young(
    hosted: Desk, api: HostedApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "HOSTED_PACE", (60, 60))
    job_id = api.make_job()
    heard = Heard()

    async with anyio.create_task_group() as group:
        group.start_soon(followed, hosted, job_id, 30, heard)
        await heard.first.wait()
        late = await followed(hosted, job_id)
        group.cancel_scope.cancel()

    assert late.job.status == "running"
    assert len(api.requests) == 1
    assert (await followed(hosted, job_id)).job.status == "running"  # nobody waits any more: a look of its own
    assert len(api.requests) == 2


@pytest.mark.parametrize("leaving", [[0], [1], [0, 1, 2], [2, 3]])
async def test_who_is_cancelled_disturbs_nobody(hosted: Desk, api: HostedApi, leaving: list[int]) -> None:
    job_id = api.make_job()
    scopes = [anyio.CancelScope() for _ in range(4)]
    found: list[Followed] = []

    async def wait(scope: anyio.CancelScope) -> None:
        with scope:
            found.append(await followed(hosted, job_id, 30))

    async with anyio.create_task_group() as group:
        for scope in scopes:
            group.start_soon(wait, scope)
        await api.seen(2)
        for one in leaving:
            scopes[one].cancel()
        await api.seen(4)
        api.finish(job_id)

    assert [one.artifacts for one in found] == [NAMES] * (4 - len(leaving))


@wall_clock
@pytest.mark.parametrize("looks", [0, 1])
async def test_when_all_are_cancelled_a_hanging_backend_holds_nobody(hosted: Desk, api: HostedApi, looks: int) -> None:
    """At the first look, and at a later one."""
    job_id = api.make_job()
    api.next("job", *[Fault(200, json.dumps(api.jobs[job_id]).encode())] * looks, silence(), silence())

    async with anyio.create_task_group() as group:
        for _ in range(100):
            group.start_soon(follow, hosted, job_id, 45, Heard())
        await api.seen(looks + 1)
        started = time.monotonic()
        group.cancel_scope.cancel()

    assert time.monotonic() - started < 0.5
    assert len(api.requests) == looks + 1
    api.well_again()
    assert (await followed(hosted, job_id)).job.status == "running"


async def test_a_first_look_that_fails_fails_for_all_who_came_for_it(hosted: Desk, api: HostedApi) -> None:
    job_id = api.make_job()
    api.always("job", silence())
    failed: list[BackendError] = []

    async def wait() -> None:
        with anyio.fail_after(10), pytest.raises(BackendError) as caught:
            await follow(hosted, job_id, 30, Heard())
        failed.append(caught.value)

    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(wait)

    assert len({id(one) for one in failed}) == 1


async def test_a_later_look_that_fails_ends_the_waiting_of_all(hosted: Desk, api: HostedApi) -> None:
    job_id = api.make_job()
    found: list[Followed] = []

    async def wait() -> None:
        found.append(await followed(hosted, job_id, 30))

    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(wait)
        await api.seen(2)
        api.always("job", error(404, "gone"))

    assert [one.job.status for one in found] == ["running"] * 20


async def test_the_results_are_kept_for_the_others_when_one_leaves(hosted: Desk, api: HostedApi) -> None:
    job_id = api.make_job()
    api.finish(job_id)
    api.next("artifact", silence())  # given up after a third of a second, then asked for again
    scope = anyio.CancelScope()
    found: list[Followed] = []

    async def leave() -> None:
        with scope:
            await followed(hosted, job_id)

    async def stay() -> None:
        found.append(await followed(hosted, job_id))

    async with anyio.create_task_group() as group:
        group.start_soon(leave)
        group.start_soon(stay)
        await api.seen(2)
        await anyio.wait_all_tasks_blocked()
        scope.cancel()

    assert scope.cancelled_caught
    assert tuple(await hosted.store.artifact_names(job_id)) == NAMES
    assert len(found) == 1


# An answer before 45 seconds


@wall_clock
async def test_a_long_wait_ends_before_its_time(hosted: Desk, api: HostedApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "WAITING_SECONDS", 0.2)
    job_id = api.make_job()

    started = time.monotonic()
    found = await followed(hosted, job_id, 45)

    assert found.job.status == "running"
    assert time.monotonic() - started < 4


async def test_a_first_look_that_does_not_come_is_a_failure_in_time(
    hosted: Desk, api: HostedApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "ANSWER_SECONDS", 0.1)
    job_id = api.make_job()
    api.always("job", silence())

    with anyio.fail_after(10), pytest.raises(TransportError) as caught:
        await follow(hosted, job_id, 45, Heard())

    assert (caught.value.kind, caught.value.backend, caught.value.sent) == ("timed_out", "sybilion", True)
    assert len(api.requests) <= 1


@wall_clock
async def test_results_that_do_not_come_in_time_are_told_without_them(
    hosted: Desk, api: HostedApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = api.make_job()
    await followed(hosted, job_id)
    monkeypatch.setattr(following, "ANSWER_SECONDS", 0.3)
    api.finish(job_id)
    api.always("artifact", silence())

    found = await followed(hosted, job_id, 45)

    assert (found.job.finished, found.artifacts) == (True, NAMES)
    assert await hosted.store.artifact_names(job_id) == []


@wall_clock
async def test_what_is_told_of_the_time_grows_also_when_the_clock_is_wrong(hosted: Desk, api: HostedApi) -> None:
    """Given a service whose clock is ten minutes ahead of ours."""
    job_id = api.make_job(created=datetime.now(UTC) + timedelta(minutes=10))
    heard = Heard()

    found = await followed(hosted, job_id, 1.5, heard)

    assert found.elapsed_s == 0
    assert len(heard.elapsed) >= 2
    assert heard.elapsed == sorted(set(heard.elapsed))


async def test_a_job_made_elsewhere_can_be_followed(hosted: Desk, api: HostedApi) -> None:
    job_id = api.make_job()

    assert (await followed(hosted, job_id)).backend == "sybilion"


async def test_an_unknown_job_is_not_remembered(hosted: Desk) -> None:
    with pytest.raises(AnswerError):
        await follow(hosted, "no-such-job", 0, Heard())

    assert await hosted.store.job("no-such-job") is None


async def test_the_embedded_engine_is_followed_to_its_results(embedded: Desk) -> None:
    made = await submit(embedded, order(backtest=False, soft_horizon=3))
    heard = Heard()

    with anyio.fail_after(60):
        found = await follow(embedded, made.job_id, 45, heard)

    assert (found.job.status, found.job.settled, found.job.eur_cents_final) == ("completed", True, 0)
    assert "forecast.json" in found.artifacts


async def test_cancelled_looks_at_the_embedded_engine_leave_nothing_behind(
    embedded: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    made = await submit(embedded, order(backtest=False, soft_horizon=3))
    for step in range(20):
        with anyio.move_on_after(step / 1000):
            await follow(embedded, made.job_id, 45, Heard())

    gc.collect()
    assert "destroyed" not in caplog.text
    with anyio.fail_after(60):
        assert (await follow(embedded, made.job_id, 45, Heard())).job.finished


async def test_a_job_is_asked_for_again_where_it_was_asked_for(hosted: Desk) -> None:
    made = await submit(hosted, order(backtest=False, soft_horizon=3, backend="local"))

    asked = (await followed(hosted, made.job_id)).again

    assert asked == {
        "series_id": made.series_id,
        "soft_horizon": 3,
        "backtest": False,
        "driver_limit": 0,
        "backend": "local",
    }


# As many jobs as there may be


async def test_an_engine_whose_jobs_have_just_ended_is_full_no_more(embedded: Desk) -> None:
    made = await submit(embedded, order(backtest=False, soft_horizon=3))
    with anyio.fail_after(60):
        await follow(embedded, made.job_id, 45, Heard())

    refusal = await too_many_jobs(embedded, "local")

    assert (refusal.code, refusal.retry_after_s, refusal.next) == ("too_many_jobs", 15, None)
    assert made.job_id not in refusal.hint


def minutes_ago(minutes: float) -> datetime:
    return datetime.now(UTC) - timedelta(minutes=minutes)


async def test_the_jobs_that_run_are_named_the_oldest_first_with_their_age(hosted: Desk, api: HostedApi) -> None:
    ended = api.make_job(created=minutes_ago(30))
    api.finish(ended)
    jobs = [api.make_job(created=minutes_ago(minutes)) for minutes in (1, 7, 3, 6, 5, 4, 2)]
    oldest_first = [jobs[one] for one in (1, 3, 4, 5, 2)]
    ages = ("7 min", "6 min", "5 min", "4 min", "3 min")

    refusal = await too_many_jobs(hosted, "sybilion")

    named = ", ".join(f"{job_id} ({age})" for job_id, age in zip(oldest_first, ages, strict=True))
    assert f"Unfinished, the oldest first: {named} and 2 more." in refusal.hint
    assert 'backend="local"' in refusal.hint
    assert refusal.retry_after_s == pytest.approx(690 - 7 * 60, abs=5)
    assert refusal.next == NextStep("get_status", {"job_id": oldest_first[0], "wait_seconds": 45})
    assert ended not in refusal.hint


async def test_when_to_come_back_is_what_such_a_job_usually_takes(hosted: Desk, api: HostedApi) -> None:
    """Given a job without drivers, which takes two to four minutes."""
    made = await submit(hosted, order(driver_limit=0))
    api.jobs[made.job_id]["created_at"] = minutes_ago(2).isoformat()

    assert (await too_many_jobs(hosted, "sybilion")).retry_after_s == pytest.approx(60, abs=5)


@pytest.mark.parametrize("minutes", [14, 50, 60 * 24])
async def test_a_job_that_is_overdue_may_end_any_moment(hosted: Desk, api: HostedApi, minutes: float) -> None:
    job_id = api.make_job(created=minutes_ago(minutes))

    refusal = await too_many_jobs(hosted, "sybilion")

    assert refusal.retry_after_s == 30
    assert refusal.next == NextStep("get_status", {"job_id": job_id, "wait_seconds": 30})


@pytest.mark.parametrize("fault", [error(500, "x"), error(429, "rate limit"), garbage(), reset(), silence()])
async def test_where_the_jobs_cannot_be_listed_the_failure_is_told_without(
    hosted: Desk, api: HostedApi, fault: Fault
) -> None:
    api.make_job()
    api.always("jobs", fault)

    with anyio.fail_after(10):
        refusal = await too_many_jobs(hosted, "sybilion")

    assert (refusal.code, refusal.retry_after_s, refusal.next) == ("too_many_jobs", 120, None)


@wall_clock
async def test_a_list_of_jobs_that_does_not_come_keeps_nobody_waiting(
    hosted: Desk, api: HostedApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crowded, "LISTING_SECONDS", 0.05)
    api.always("jobs", silence())

    started = time.monotonic()
    refusal = await too_many_jobs(hosted, "sybilion")

    assert refusal.next is None
    assert time.monotonic() - started < 3
