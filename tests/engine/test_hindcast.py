"""How wrong the engine would have been: honest, near a backtest's error, and without getting in a job's way."""

import asyncio
import json
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Executor

import anyio
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sybilion_mcp.engine import jobs
from sybilion_mcp.engine.hindcast import hindcast
from sybilion_mcp.engine.jobs import Engine
from sybilion_mcp.engine.measured import Hindcast, NotMeasured
from tests.conftest import until

from . import at_work
from .made_up import request, run, seasonal, walk
from .test_jobs import ME, ByHand, ClosedDoor, Desk, outcome

FOUND = Hindcast(1.5, 30, 36)
SERIES = seasonal(60)
ORIGINS = range(46, 58)


def origins(values: list[float], horizon: int) -> range:
    return range(len(values) - horizon - 11, len(values) - horizon + 1)


def sparse(count: int) -> list[float]:
    rng = np.random.default_rng(4)
    return [float(value) for value in np.where(rng.random(count) < 0.4, rng.poisson(5, count) + 1.0, 0.0)]


def backtest(values: list[float], horizon: int) -> tuple[float, float]:
    """Mean absolute error, and the share of months inside the 80 % band, over the windows of a real job."""
    windows = run(values, soft_horizon=horizon, backtest=True)["backtest_trajectories.json"]
    months = [month for window in windows for month in window["forecast_series"].values()]
    held = [one["quantile_forecast"]["0.10"] <= one["actual"] <= one["quantile_forecast"]["0.90"] for one in months]
    return float(np.mean([abs(one["actual"] - one["forecast"]) for one in months])), float(np.mean(held))


class TestHonest:
    @pytest.mark.parametrize(
        ("values", "horizon"),
        [(seasonal(60), 6), (walk(60, 9), 6), (seasonal(40, 2), 3), (walk(120, 3), 12), (sparse(72), 6)],
        ids=["season", "walk", "short season", "long walk", "intermittent"],
    )
    def test_error_and_bands_are_about_those_of_a_jobs_backtest(self, values: list[float], horizon: int) -> None:
        mae, held = backtest(values, horizon)

        found = hindcast(values, horizon, origins(values, horizon))

        assert found.counted_80 == 12 * horizon
        assert found.mae == pytest.approx(mae, rel=0.07)
        assert found.held_80 / found.counted_80 == pytest.approx(held, abs=0.08)

    def test_what_came_later_changes_nothing_that_was_said_before(self) -> None:
        values = walk(80)
        early = origins(values, 3)[:6]

        known = hindcast(values[: early[-1] + 3], 3, early)
        later = hindcast([*values[: early[-1] + 3], *(value * 1.9 for value in values[early[-1] + 3 :])], 3, early)

        assert known == later

    def test_a_series_in_another_unit_is_forecast_as_well(self) -> None:
        found = hindcast(SERIES, 3, ORIGINS)

        larger = hindcast([value * 2**30 for value in SERIES], 3, ORIGINS)

        assert larger == Hindcast(2**30 * found.mae, found.held_80, found.counted_80)

    def test_what_cannot_be_negative_is_not_forecast_so(self) -> None:
        falling = [float(max(0, 60 - at)) + 0.5 * (at % 2) for at in range(72)]

        free = hindcast(falling, 6, origins(falling, 6))
        bound = hindcast(falling, 6, origins(falling, 6), strictly_positive=True)

        assert bound.mae <= free.mae

    @pytest.mark.parametrize(("first", "last"), [(12, 23), (50, 58)], ids=["too short a past", "not come yet"])
    def test_what_cannot_be_measured_is_refused(self, first: int, last: int) -> None:
        with pytest.raises(ValueError, match="do not allow the origins"):
            hindcast(SERIES, 3, range(first, last + 1))

    @settings(max_examples=8)
    @given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=40, max_size=44))
    def test_any_finite_series_gets_a_finite_error(self, values: list[float]) -> None:
        found = hindcast(values, 3, origins(values, 3))

        assert np.isfinite(found.mae)
        assert 0 <= found.held_80 <= found.counted_80 == 36


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Hindcasts and jobs report here instead of computing anything."""
    monkeypatch.setattr(jobs, "run_job", at_work.report)
    monkeypatch.setattr(jobs, "run_hindcast", at_work.report_hindcast)
    desk = Desk()
    yield desk
    desk.close()


async def measure(engine: Engine, port: str = "0") -> Hindcast | NotMeasured:
    """With a desk, the horizon names its port."""
    return await engine.hindcast(SERIES, int(port), ORIGINS)


def reason(found: Hindcast | NotMeasured) -> str:
    assert isinstance(found, NotMeasured)
    return found.reason


@pytest.mark.anyio
class TestBesideJobs:
    async def test_a_given_executor_measures_too(self, engines: Callable[..., Engine], threads: Executor) -> None:
        found = await engines(executor=threads).hindcast(SERIES, 3, ORIGINS)

        assert found == hindcast(SERIES, 3, ORIGINS)

    async def test_the_worker_stays_warm_for_the_job_after_it(self, engines: Callable[..., Engine], desk: Desk) -> None:
        engine = engines(workers=2)
        measuring = asyncio.create_task(measure(engine, desk.port))
        measurer, line = await desk.next()
        line.send(FOUND)
        assert await measuring == FOUND

        job = await engine.submit(ME, desk.port)
        pid, line = await desk.next()
        line.send_bytes(b"done")

        assert (await outcome(engine, job)).status == "completed"
        assert pid == measurer

    async def test_with_a_job_for_every_slot_nothing_is_measured(self, engines: Callable[..., Engine]) -> None:
        engine = engines(workers=1, executor=ByHand())
        await engine.submit(ME, json.dumps(request()))

        with anyio.fail_after(5):
            found = await measure(engine)

        assert reason(found) == "it is busy with other work"

    async def test_they_run_one_at_a_time_and_each_gets_its_own(self, engines: Callable[..., Engine]) -> None:
        executor = ByHand()
        engine = engines(executor=executor)
        asked = [asyncio.create_task(measure(engine, str(number))) for number in range(3)]

        for number in range(3):
            await until(lambda number=number: len(executor.given) == number + 1)
            future, (_, _, horizon, *_) = executor.given[number]
            future.set_result(Hindcast(float(horizon), 1, 1))

        assert [found.mae for found in await asyncio.gather(*asked)] == [0.0, 1.0, 2.0]

    async def test_a_job_gets_the_other_slot_meanwhile(self, engines: Callable[..., Engine]) -> None:
        executor = ByHand()
        engine = engines(workers=2, executor=executor)
        asked = asyncio.create_task(measure(engine))
        await until(lambda: len(executor.given) == 1)

        job = await engine.submit(ME, json.dumps(request()))
        await until(lambda: len(executor.given) == 2)
        executor.given[1][0].set_result({"forecast.json": b"{}"})
        assert (await outcome(engine, job)).status == "completed"

        executor.given[0][0].set_result(FOUND)
        assert await asked == FOUND


@pytest.mark.anyio
class TestTrouble:
    async def test_a_caller_without_patience_is_told_and_the_worker_gets_warm(
        self, engines: Callable[..., Engine], desk: Desk
    ) -> None:
        engine = engines(workers=1, patience_seconds=0.3)

        told = await measure(engine, desk.port)
        waiting = await measure(engine, desk.port)
        pid, line = await desk.next()
        line.send(FOUND)
        job = await engine.submit(ME, desk.port)
        after, line = await desk.next()
        line.send_bytes(b"done")

        assert reason(told) == "it took longer than 0.3 s"
        assert reason(waiting) == "it is busy with other work"
        assert (await outcome(engine, job)).status == "completed"
        assert after == pid

    async def test_a_caller_that_goes_away_takes_nothing_along(self, engines: Callable[..., Engine]) -> None:
        executor = ByHand()
        engine = engines(workers=1, executor=executor)
        with anyio.move_on_after(0.05):
            await measure(engine)

        executor.given[0][0].set_result(FOUND)
        again = asyncio.create_task(measure(engine))
        await until(lambda: len(executor.given) == 2)
        executor.given[1][0].set_result(FOUND)

        assert await again == FOUND

    async def test_a_killed_worker_is_told_logged_and_replaced(
        self, engines: Callable[..., Engine], desk: Desk, caplog: pytest.LogCaptureFixture
    ) -> None:
        engine = engines(workers=1)
        measuring = asyncio.create_task(measure(engine, desk.port))
        victim, _ = await desk.next()

        os.kill(victim, signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
        lost = await measuring
        again = asyncio.create_task(measure(engine, desk.port))
        fresh, line = await desk.next()
        line.send(FOUND)

        assert reason(lost) == "it failed (worker_lost)"
        assert "worker_lost" in caplog.text
        assert (await again, fresh != victim) == (FOUND, True)

    @pytest.mark.parametrize(
        ("executor", "code"),
        [
            (ByHand(MemoryError("no room")), "pipeline_failed"),
            (ClosedDoor(), "no_worker"),
        ],
    )
    async def test_a_failure_is_told_and_logged(
        self, engines: Callable[..., Engine], caplog: pytest.LogCaptureFixture, executor: Executor, code: str
    ) -> None:
        found = await measure(engines(executor=executor))

        assert reason(found) == f"it failed ({code})"
        assert code in caplog.text

    async def test_what_cannot_travel_back_is_a_failure_like_any_other(
        self, engines: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(jobs, "run_hindcast", at_work.unspeakable)

        assert reason(await measure(engines(workers=1))) == "it failed (pipeline_failed)"

    async def test_closing_ends_a_hindcast_and_its_process(self, engines: Callable[..., Engine], desk: Desk) -> None:
        engine = engines(workers=1)
        measuring = asyncio.create_task(measure(engine, desk.port))
        await desk.next()

        with anyio.fail_after(10):
            await engine.aclose()

        assert reason(await measuring) == "it was stopped"
        assert multiprocessing.active_children() == []
