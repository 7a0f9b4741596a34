"""Follow: until the job is finished or patience ends; what is seen is kept."""

import gc
import time

import anyio
import pytest

from sybilion_mcp.backends.base import AnswerError, BackendError
from sybilion_mcp.contract.jobs import Job
from sybilion_mcp.service import follow as following
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.follow import Followed, engine_full, follow
from sybilion_mcp.service.submit import submit
from tests.hosted import Fault, HostedApi, error, garbage, reset, silence
from tests.service.conftest import OpenDesk
from tests.service.orders import order

pytestmark = pytest.mark.anyio

NAMES = ("external_signals.json", "forecast.json", "input.json")


@pytest.fixture(autouse=True)
def quick_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hosted service is looked at as often as the embedded engine."""
    monkeypatch.setattr(following, "HOSTED_PACE", (0.02, 0.05))


class Heard:
    """Remembers the progress it is told."""

    def __init__(self) -> None:
        self.statuses: list[str] = []

    async def __call__(self, job: Job, elapsed_s: float) -> None:
        assert elapsed_s >= 0
        self.statuses.append(job.status)


async def followed(desk: Desk, job_id: str, wait_seconds: float = 0, heard: Heard | None = None) -> Followed:
    with anyio.fail_after(10):
        return await follow(desk, job_id, wait_seconds, heard or Heard())


async def test_an_unfinished_job_is_told_when_patience_ends(hosted: Desk, api: HostedApi) -> None:
    job_id = api.make_job()
    heard = Heard()

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
        async def __call__(self, job: Job, elapsed_s: float) -> None:
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


async def test_cancelling_ends_it_at_once_and_leaves_the_desk_usable(hosted: Desk, api: HostedApi) -> None:
    job_id = api.make_job()

    started = time.monotonic()
    with anyio.move_on_after(0.2):
        await follow(hosted, job_id, 45, Heard())
    assert time.monotonic() - started < 0.7

    api.finish(job_id)
    assert (await followed(hosted, job_id)).job.finished


async def test_many_may_wait_for_one_job(open_desk: OpenDesk, api: HostedApi) -> None:
    job_id = api.make_job()
    found: list[Followed] = []

    async def wait(desk: Desk) -> None:
        found.append(await followed(desk, job_id, 30))

    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(wait, open_desk())
        await anyio.wait_all_tasks_blocked()
        api.finish(job_id)

    assert [one.artifacts for one in found] == [NAMES] * 4


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


async def test_an_engine_whose_jobs_have_just_ended_is_full_no_more(embedded: Desk) -> None:
    made = await submit(embedded, order(backtest=False, soft_horizon=3))
    with anyio.fail_after(60):
        await follow(embedded, made.job_id, 45, Heard())

    refusal = await engine_full(embedded)

    assert (refusal.code, refusal.retry_after_s, refusal.next) == ("too_many_jobs", 15, None)
    assert made.job_id not in refusal.hint


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
