"""Jobs in worker processes, in executors of the caller, in the queue, and after the end of their process."""

import asyncio
import json
import multiprocessing
import os
import pickle
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AsyncExitStack
from multiprocessing.connection import Connection, Listener
from pathlib import Path
from threading import Event

import anyio
import httpx
import pytest
from sqlalchemy.exc import OperationalError
from starlette.applications import Starlette

from sybilion_mcp.engine import jobs, pool
from sybilion_mcp.engine.app import build_app
from sybilion_mcp.engine.candidate import Candidate
from sybilion_mcp.engine.jobs import Engine
from sybilion_mcp.engine.pool import Worker
from sybilion_mcp.engine.table import JobQuery, JobRow, JobTable, TooManyJobs
from tests.conftest import until
from tests.timing import wall_clock

from . import at_work
from .conftest import client_of, settled
from .made_up import TODAY, request

pytestmark = pytest.mark.anyio

needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="reads /proc, which is Linux's")
needs_signals = pytest.mark.skipif(os.name != "posix", reason="Windows ends a process that gets a signal")

ME = "one account"
DONE = {"forecast.json": b"{}"}
STOPPED = {"code": "engine_stopped", "detail": "x"}


class Held(ThreadPoolExecutor):
    """Counts what it is given, and starts nothing before `release` is set."""

    def __init__(self) -> None:
        super().__init__(1)
        self.given = 0
        self.release = Event()
        super().submit(self.release.wait)

    def submit(self, *args: object, **kwargs: object) -> Future:
        self.given += 1
        return super().submit(*args, **kwargs)


class ByHand(Executor):
    """Runs nothing: the test settles what it was given, or says beforehand what becomes of it."""

    def __init__(self, *prepared: BaseException | dict[str, bytes]) -> None:
        self.given: list[tuple[Future, tuple]] = []
        self._prepared = list(prepared)

    def submit(self, *call: object, **_: object) -> Future:
        future: Future = Future()
        self.given.append((future, call))
        match self._prepared.pop(0) if self._prepared else None:
            case BaseException() as error:
                future.set_exception(error)
            case dict() as artifacts:
                future.set_result(artifacts)
        return future


class ClosedDoor(Executor):
    """Takes no work any more."""

    def submit(self, *_: object, **__: object) -> Future:
        raise RuntimeError("cannot schedule new futures after shutdown")


class Unstartable(ProcessPoolExecutor):
    """A pool on a machine that has no room for another process; keeps the reading end of the last lifeline."""

    lifeline: int

    def __init__(self, *args: object, initargs: tuple[Connection], **options: object) -> None:
        super().__init__(*args, initargs=initargs, **options)
        Unstartable.lifeline = os.dup(initargs[0].fileno())

    def submit(self, *_: object, **__: object) -> Future:
        raise OSError("no process left")


class Desk:
    """Where workers report to; each is at work until it is answered."""

    def __init__(self) -> None:
        self._listener = Listener(("127.0.0.1", 0), backlog=8)
        self.port = str(self._listener.address[1])

    async def next(self) -> tuple[int, Connection]:
        """The process id of the next worker to report, and the line to it."""
        with anyio.fail_after(20):
            line = await asyncio.to_thread(self._listener.accept)
            return await asyncio.to_thread(line.recv), line

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def held() -> Iterator[Callable[[], Held]]:
    executors: list[Held] = []

    def build() -> Held:
        executors.append(Held())
        return executors[-1]

    yield build
    for executor in executors:
        executor.release.set()
        executor.shutdown()


@pytest.fixture
async def build(tmp_path: Path) -> AsyncIterator[Callable[[Executor | None], Starlette]]:
    """Builds apps on one and the same home, and closes them afterwards."""
    async with AsyncExitStack() as stack:

        def build(executor: Executor | None) -> Starlette:
            app = build_app(tmp_path, today=lambda: TODAY, executor=executor)
            stack.push_async_callback(app.state.engine.aclose)
            return app

        yield build


@pytest.fixture
def renewed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The job of each lease that was renewed."""
    job_ids: list[str] = []
    renew = JobTable.renew

    async def noting(table: JobTable, renewing: Sequence[str]) -> None:
        await renew(table, renewing)
        job_ids.extend(renewing)

    monkeypatch.setattr(JobTable, "renew", noting)
    return job_ids


@pytest.fixture
async def worker() -> AsyncIterator[Worker]:
    worker = Worker()
    yield worker
    await worker.end(at_once=True)


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    """Jobs report here instead of forecasting."""
    monkeypatch.setattr(jobs, "run_job", at_work.report)
    desk = Desk()
    yield desk
    desk.close()


@pytest.fixture
def doomed(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process on the same home, which prints the URLs of a running and a queued job, and its worker."""
    with subprocess.Popen(
        [sys.executable, "-c", CRASHING, str(Path(__file__).parents[2]), str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.kill()


async def submit(client: httpx.AsyncClient, **changes: object) -> str:
    url: str = (await client.post("/api/v1/forecasts", json=request(**changes))).json()["poll_url"]
    return url


def is_running(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def one_table(home: Path, clock: Callable[[], float]) -> JobTable:
    return JobTable(home / "engine.db", 10.0, clock)


async def outcome(engine: Engine, job_id: str) -> JobRow:
    async def is_settled() -> bool:
        job = await engine.get(ME, job_id)
        assert job is not None
        return job.settled_at is not None

    await until(is_settled)
    job = await engine.get(ME, job_id)
    assert job is not None
    return job


async def kept_for(renewals: int, renewed: list[str], client: httpx.AsyncClient, url: str) -> None:
    """Look through another process, for so many renewals, at a job that must stay with its owner."""

    async def is_over() -> bool:
        assert (await client.get(url)).json()["status"] in ("queued", "running")
        return len(renewed) >= renewals

    await until(is_over)


def error_of(job: JobRow) -> str:
    assert job.status == "failed"
    assert job.pipeline_error is not None
    assert 20 < len(job.pipeline_error["detail"]) <= 300  # as much as get_status shows
    return job.pipeline_error["code"]


class TestWorkerProcesses:
    async def test_a_job_runs_in_a_process_started_with_it_and_ended_by_aclose(
        self, build: Callable[..., Starlette]
    ) -> None:
        app = build(None)
        async with client_of(app) as client:
            await client.get("/api/v1/jobs")
            before = multiprocessing.active_children()
            url = await submit(client)
            await until(lambda: len(multiprocessing.active_children()) == 1)
            job, seen = await settled(client, url)
            await app.state.engine.aclose()

        assert before == []
        assert job["status"] == "completed"
        assert seen[-2:] == ["running", "completed"]
        assert multiprocessing.active_children() == []

    async def test_the_result_is_the_same_in_a_process_and_in_a_thread(
        self, build: Callable[..., Starlette], threads: Executor
    ) -> None:
        contents = []
        for app in (build(None), build(threads)):
            async with client_of(app) as client:
                url = await submit(client, backtest=True)
                await settled(client, url)
                contents.append((await client.get(f"{url}/artifacts/backtest_trajectories.json")).content)

        assert contents[0] == contents[1]

    async def test_a_killed_worker_fails_its_own_job_and_no_other(
        self, engines: Callable[..., Engine], desk: Desk
    ) -> None:
        engine = engines(workers=2)
        killed = await engine.submit(ME, desk.port)
        victim, _ = await desk.next()
        beside = await engine.submit(ME, desk.port)
        survivor, line = await desk.next()

        os.kill(victim, 9)
        lost = await outcome(engine, killed)
        line.send_bytes(b"done")
        kept = await outcome(engine, beside)
        pids = []
        for _ in range(2):
            after = await engine.submit(ME, desk.port)
            pid, line = await desk.next()
            line.send_bytes(b"done")
            pids.append(pid)
            assert (await outcome(engine, after)).status == "completed"

        assert error_of(lost) == "worker_lost"
        assert kept.status == "completed"
        assert await engine.artifact(beside, "answer") == b"done"
        assert await engine.artifact_sizes(killed) == {}
        assert pids == [survivor, survivor]  # warm, and preferred to a fresh one

    async def test_a_lost_worker_is_replaced(self, engines: Callable[..., Engine], desk: Desk) -> None:
        engine = engines(workers=1)
        first, second = await engine.submit(ME, desk.port), await engine.submit(ME, desk.port)
        victim, _ = await desk.next()

        os.kill(victim, 9)
        fresh, line = await desk.next()
        line.send_bytes(b"done")

        assert error_of(await outcome(engine, first)) == "worker_lost"
        assert (await outcome(engine, second)).status == "completed"
        assert fresh != victim

    async def test_a_worker_that_died_between_two_calls_costs_no_call(self, worker: Worker) -> None:
        pid = await asyncio.wrap_future(worker.submit(os.getpid))
        endless = worker.submit(at_work.wait_for_ever)
        os.kill(pid, 9)
        with pytest.raises(BrokenProcessPool):
            await asyncio.wrap_future(endless)

        assert await asyncio.wrap_future(worker.submit(os.getpid)) != pid

    async def test_a_job_that_ends_its_process_fails(
        self, engines: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(jobs, "run_job", at_work.end_process)
        engine = engines(workers=1)

        job = await outcome(engine, await engine.submit(ME, "3"))

        assert error_of(job) == "pipeline_failed"

    async def test_a_job_over_its_time_is_ended_with_its_worker(
        self, engines: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(jobs, "run_job", at_work.wait_for_ever)
        engine = engines(workers=1, job_seconds=0.3)

        job = await outcome(engine, await engine.submit(ME, ""))

        assert error_of(job) == "time_budget_exceeded"
        await until(lambda: multiprocessing.active_children() == [])

    async def test_a_worker_that_does_not_listen_is_killed(
        self, worker: Worker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pool, "ENDING_SECONDS", 0.2)
        pid = await asyncio.wrap_future(worker.submit(os.getpid))
        worker.submit(at_work.fall_silent, "")

        with anyio.fail_after(10):
            await worker.end(at_once=True)

        assert multiprocessing.active_children() == []
        assert await asyncio.wrap_future(worker.submit(os.getpid)) != pid

    @needs_signals
    @pytest.mark.parametrize("size", [1, 2_000_000], ids=["small call", "call larger than a pipe"])
    async def test_a_worker_that_hangs_in_its_start_up_is_killed(
        self, worker: Worker, monkeypatch: pytest.MonkeyPatch, size: int
    ) -> None:
        monkeypatch.setattr(pool, "ENDING_SECONDS", 0.2)
        never = worker.submit(len, "x" * size)
        (child,) = multiprocessing.active_children()
        assert child.pid is not None
        os.kill(child.pid, signal.SIGSTOP)

        with anyio.fail_after(10):
            await worker.end(at_once=True)

        assert never.cancelled() or isinstance(never.exception(), BrokenProcessPool)
        assert multiprocessing.active_children() == []
        assert await asyncio.wrap_future(worker.submit(len, "abc")) == 3

    @needs_signals
    async def test_an_engine_whose_worker_hangs_in_its_start_up_can_be_closed(
        self, engines: Callable[..., Engine], desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pool, "ENDING_SECONDS", 0.2)
        engine = engines(workers=1)
        await engine.look()
        await engine.submit(ME, desk.port)
        await until(lambda: multiprocessing.active_children() != [])
        (child,) = multiprocessing.active_children()
        os.kill(child.pid, signal.SIGSTOP)

        with anyio.fail_after(10):
            await engine.aclose()

        assert multiprocessing.active_children() == []

    @needs_proc
    async def test_a_process_that_cannot_be_started_leaves_nothing_open(
        self, worker: Worker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(pool, "ProcessPoolExecutor", Unstartable)
            with pytest.raises(OSError, match="no process left"):
                worker.submit(len, "abc")

        assert os.read(Unstartable.lifeline, 1) == b""  # the other end is closed
        os.close(Unstartable.lifeline)
        assert await asyncio.wrap_future(worker.submit(len, "abc")) == 3

    @needs_signals
    async def test_a_worker_leaves_it_to_its_parent_what_a_signal_to_all_of_them_means(self, worker: Worker) -> None:
        assert await asyncio.wrap_future(worker.submit(at_work.be_signalled)) == "still here"

    @needs_proc
    async def test_workers_let_go_of_stdin_and_stdout(self, worker: Worker) -> None:
        found = await asyncio.wrap_future(worker.submit(at_work.look_around))

        assert found["stdin"] == os.devnull
        assert found["stdout"] == found["stderr"]
        assert found["threads"] == "1"


class TestGivenExecutor:
    async def test_it_gets_a_plain_call_that_any_process_can_run(self, engines: Callable[..., Engine]) -> None:
        executor = ByHand(DONE)
        engine = engines(executor=executor)

        job_id = await engine.submit(ME, json.dumps(request()))
        await outcome(engine, job_id)

        call, *arguments = pickle.loads(pickle.dumps(executor.given[0][1]))
        assert await engine.artifact_sizes(job_id) == {"forecast.json": 2}
        assert "forecast.json" in call(*arguments)

    async def test_it_is_the_callers_to_end(self, engines: Callable[..., Engine], threads: Executor) -> None:
        engine = engines(executor=threads)
        await engine.look()
        await engine.aclose()

        assert threads.submit(len, "abc").result() == 3

    @wall_clock
    async def test_a_job_over_its_time_fails_and_the_others_go_on(self, engines: Callable[..., Engine]) -> None:
        executor = ByHand()
        engine = engines(executor=executor, workers=1, job_seconds=0.5)
        stuck, waiting = await engine.submit(ME, "{}"), await engine.submit(ME, "{}")

        late = await outcome(engine, stuck)
        await until(lambda: len(executor.given) == 2)
        executor.given[1][0].set_result(DONE)
        after = await outcome(engine, waiting)

        assert error_of(late) == "time_budget_exceeded"
        assert "0.5 s" in late.pipeline_error["detail"]
        assert executor.given[0][0].cancelled()
        assert after.status == "completed"

    @wall_clock
    async def test_time_in_the_queue_does_not_count(self, engines: Callable[..., Engine]) -> None:
        executor = ByHand()
        engine = engines(executor=executor, workers=1, job_seconds=0.5)
        await engine.submit(ME, "{}")
        queued = await engine.submit(ME, "{}")

        await until(lambda: len(executor.given) == 2)  # when the first one's time is over, and so the second's would be
        executor.given[1][0].set_result(DONE)

        assert (await outcome(engine, queued)).status == "completed"

    @pytest.mark.parametrize(
        ("failure", "code"),
        [
            (BrokenProcessPool("a worker died"), "worker_lost"),
            (ZeroDivisionError("division by zero"), "pipeline_failed"),
            (ValueError("x" * 1000), "pipeline_failed"),
            (SystemExit(3), "pipeline_failed"),
            (KeyboardInterrupt(), "pipeline_failed"),
        ],
        ids=repr,
    )
    async def test_a_failure_is_the_jobs_alone(
        self, engines: Callable[..., Engine], failure: BaseException, code: str
    ) -> None:
        engine = engines(executor=ByHand(failure, DONE), workers=1)
        first, second = await engine.submit(ME, "{}"), await engine.submit(ME, "{}")

        assert error_of(await outcome(engine, first)) == code
        assert (await outcome(engine, second)).status == "completed"

    async def test_a_job_that_the_owner_cancels_fails(self, engines: Callable[..., Engine]) -> None:
        executor = ByHand()
        engine = engines(executor=executor)
        job_id = await engine.submit(ME, "{}")
        await until(lambda: bool(executor.given))

        executor.given[0][0].cancel()

        assert error_of(await outcome(engine, job_id)) == "worker_lost"

    async def test_an_executor_that_takes_nothing_fails_its_jobs(self, build: Callable[..., Starlette]) -> None:
        async with client_of(build(ClosedDoor())) as client:
            job, _ = await settled(client, await submit(client))
            health = await client.get("/health")

        assert (job["status"], job["pipeline_error"]["code"]) == ("failed", "no_worker")
        assert "after shutdown" in job["pipeline_error"]["detail"]
        assert health.status_code == 200


class TestCandidates:
    async def test_they_are_read_when_a_job_starts_and_travel_with_it(
        self, engines: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(jobs, "run_job", at_work.echo)
        kept: list[Candidate] = []

        async def read(_: str) -> tuple[Candidate, ...]:
            return tuple(kept)

        executor = ByHand()
        engine = engines(executor=executor, workers=1, candidates=read)
        await engine.submit(ME, "{}")
        await until(lambda: len(executor.given) == 1)
        await engine.submit(ME, "{}")
        kept.append(Candidate("1", "rainfall", {"2026-01-01": 1.0}))
        executor.given[0][0].set_result(DONE)
        await until(lambda: len(executor.given) == 2)

        calls = [pickle.loads(pickle.dumps(call)) for _, call in executor.given]
        assert [call(*arguments)["candidates"] for call, *arguments in calls] == [b"", b"rainfall"]

    async def test_when_they_cannot_be_read_the_job_fails_and_says_why(self, engines: Callable[..., Engine]) -> None:
        answers = iter([OSError("drivers.db is gone"), ()])

        async def read(_: str) -> tuple[Candidate, ...]:
            answer = next(answers)
            if isinstance(answer, OSError):
                raise answer
            return answer

        engine = engines(executor=ByHand(DONE), workers=1, candidates=read)
        first, second = await engine.submit(ME, "{}"), await engine.submit(ME, "{}")
        job = await outcome(engine, first)

        assert error_of(job) == "drivers_unreadable"
        assert "drivers.db is gone" in job.pipeline_error["detail"]
        assert (await outcome(engine, second)).status == "completed"


class TestConcurrencyCap:
    async def test_an_account_has_ten_unfinished_jobs_at_most(
        self, build: Callable[..., Starlette], held: Callable[[], Held]
    ) -> None:
        executor = held()
        app = build(executor)
        async with client_of(app, "sk_ops_one") as one, client_of(app, "sk_ops_two") as two:
            urls = [await submit(one) for _ in range(10)]
            refused = await one.post("/api/v1/forecasts", json=request())
            invalid = await one.post("/api/v1/forecasts", json=request(soft_horizon=13))
            other = await two.post("/api/v1/forecasts", json=request())
            listed = (await one.get("/api/v1/jobs")).json()["pagination"]["total"]
            executor.release.set()
            await settled(one, urls[0])
            after = await one.post("/api/v1/forecasts", json=request())

        assert refused.status_code == 429
        assert refused.json() == {"error": "too many concurrent jobs", "trace_id": refused.headers["x-trace-id"]}
        assert (invalid.status_code, other.status_code, listed, after.status_code) == (422, 202, 10, 202)

    async def test_processes_that_submit_at_once_keep_to_it_together(self, engines: Callable[..., Engine]) -> None:
        pair = [engines(executor=ByHand(), max_unfinished=3) for _ in range(2)]

        answers = await asyncio.gather(*(pair[n % 2].submit(ME, "{}") for n in range(12)), return_exceptions=True)

        made = [answer for answer in answers if isinstance(answer, str)]
        assert len(made) == 3
        assert all(isinstance(answer, TooManyJobs) for answer in answers if answer not in made)
        assert (await pair[0].page(ME, JobQuery()))[1] == 3


class TestRestart:
    async def test_a_job_left_behind_by_a_clean_end_is_finished_by_the_next_process(
        self, build: Callable[..., Starlette], held: Callable[[], Held], threads: Executor
    ) -> None:
        first = build(held())
        async with client_of(first) as client:
            running, waiting = await submit(client), await submit(client)
            await first.state.engine.aclose()

        async with client_of(build(threads)) as client:
            one, _ = await settled(client, running)
            other, _ = await settled(client, waiting)

        assert (one["status"], other["status"]) == ("completed", "completed")

    @needs_proc
    async def test_after_a_crash_queued_jobs_go_on_and_running_ones_have_failed(
        self,
        build: Callable[..., Starlette],
        threads: Executor,
        doomed: subprocess.Popen[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        assert doomed.stdout is not None
        running, queued, *workers = (await asyncio.to_thread(doomed.stdout.readline)).split()
        doomed.kill()
        doomed.wait()
        monkeypatch.setattr(jobs, "LEASE_SECONDS", 1.0)

        async with client_of(build(threads)) as client:
            lost, _ = await settled(client, running)
            resumed, _ = await settled(client, queued)

        assert (lost["status"], lost["pipeline_error"]["code"]) == ("failed", "engine_stopped")
        assert "submit" in lost["pipeline_error"]["detail"]
        assert resumed["status"] == "completed"
        assert workers
        await until(lambda: not any(is_running(int(pid)) for pid in workers))

    async def test_a_process_that_slept_past_its_lease_gets_time_to_renew_it(self, tmp_path: Path) -> None:
        now = 1000.0
        sleeper, other = one_table(tmp_path, lambda: now), one_table(tmp_path, lambda: now)
        await sleeper.open()
        await other.open()
        job = await sleeper.add(ME, "{}", 10)
        await sleeper.mark_running(job.id)

        async def status() -> str:
            row = await other.get(ME, job.id)
            assert row is not None
            return row.status

        now += 3600  # the machine sleeps, and wakes up
        assert await other.take_over([], STOPPED) == []
        now += 3
        await sleeper.renew([job.id])
        now += 3
        await other.take_over([], STOPPED)
        assert await status() == "running"

        now += 3600  # and this time it does not
        await other.take_over([], STOPPED)
        now += 6
        await other.take_over([], STOPPED)
        assert await status() == "failed"
        await sleeper.complete(job.id, {"late": b""})
        assert (await status(), await other.artifact_sizes(job.id)) == ("failed", {})

    async def test_a_queued_job_that_went_to_another_process_is_not_run_twice(self, tmp_path: Path) -> None:
        now = 1000.0
        sleeper, other = one_table(tmp_path, lambda: now), one_table(tmp_path, lambda: now)
        await sleeper.open()
        job = await sleeper.add(ME, "{}", 10)
        now += 3600
        await other.open()

        assert await other.take_over([], STOPPED) == [job]
        assert not await sleeper.mark_running(job.id)
        assert await other.mark_running(job.id)

    async def test_a_file_of_the_former_version_is_read_on(
        self, build: Callable[..., Starlette], engines: Callable[..., Engine], tmp_path: Path, threads: Executor
    ) -> None:
        with sqlite3.connect(tmp_path / "engine.db") as former:
            former.executescript(FORMER_VERSION)
            former.execute("UPDATE jobs SET account = ?, request = ?", (ME, json.dumps(request())))
        former.close()
        engine = engines(executor=threads)

        added = await outcome(engine, await engine.submit(ME, json.dumps(request())))
        queued = await outcome(engine, "waiting")
        done = await engine.get(ME, "done")

        assert (added.status, queued.status) == ("completed", "completed")
        assert done is not None
        assert (done.status, await engine.artifact("done", "forecast.json")) == ("completed", b"{}")

    @wall_clock
    async def test_a_job_is_not_taken_from_a_living_process(
        self,
        build: Callable[..., Starlette],
        held: Callable[[], Held],
        renewed: list[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(jobs, "LEASE_SECONDS", 0.3)
        owner, other = held(), held()
        async with client_of(build(owner)) as one, client_of(build(other)) as two:
            url = await submit(one)
            await kept_for(10, renewed, two, url)  # three times the lease: only its renewal keeps it
            owner.release.set()
            job, _ = await settled(two, url)

        assert job["status"] == "completed"
        assert (owner.given, other.given) == (1, 0)

    @wall_clock
    async def test_one_lease_that_cannot_be_renewed_does_not_end_the_renewing(
        self,
        build: Callable[..., Starlette],
        held: Callable[[], Held],
        renewed: list[str],
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        monkeypatch.setattr(jobs, "LEASE_SECONDS", 0.9)
        renew, failures = JobTable.renew, [OperationalError("UPDATE jobs", None, Exception("database is locked"))]

        async def locked_once(table: JobTable, job_ids: Sequence[str]) -> None:
            if failures:
                raise failures.pop()
            await renew(table, job_ids)

        monkeypatch.setattr(JobTable, "renew", locked_once)
        owner, other = held(), held()
        async with client_of(build(owner)) as one, client_of(build(other)) as two:
            url = await submit(one)
            await kept_for(4, renewed, two, url)
            owner.release.set()
            await settled(two, url)

        assert (owner.given, other.given) == (1, 0)
        assert "database is locked" in caplog.text

    async def test_a_job_left_behind_goes_to_one_process_only(
        self, build: Callable[..., Starlette], held: Callable[[], Held]
    ) -> None:
        first = build(held())
        async with client_of(first) as client:
            url = await submit(client)
            await first.state.engine.aclose()
        heirs = [held(), held(), held()]
        clients = [client_of(build(heir)) for heir in heirs]

        await asyncio.gather(*(client.get(url) for client in clients for _ in range(3)))
        for heir in heirs:
            heir.release.set()
        await settled(clients[0], url)

        assert sum(heir.given for heir in heirs) == 1
        for client in clients:
            await client.aclose()


CRASHING = """
import asyncio, multiprocessing, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.conftest import until
from tests.engine.conftest import client_of
from tests.engine.made_up import TODAY, request
from sybilion_mcp.engine import jobs
from sybilion_mcp.engine.app import build_app

jobs.LEASE_SECONDS = 1.0

async def main():
    app = build_app(Path(sys.argv[2]), workers=1, today=lambda: TODAY)
    async with client_of(app) as client:
        urls = []
        for _ in range(2):
            urls.append((await client.post("/api/v1/forecasts", json=request(backtest=True))).json()["poll_url"])
            await until(lambda: bool(multiprocessing.active_children()))
        print(*urls, *(process.pid for process in multiprocessing.active_children()), flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""

FORMER_VERSION = """
CREATE TABLE jobs (
    id TEXT NOT NULL PRIMARY KEY, account TEXT NOT NULL, status TEXT NOT NULL, created_at TEXT NOT NULL,
    settled_at TEXT, eur_cents_final INTEGER, pipeline_error TEXT, request TEXT NOT NULL, owner TEXT NOT NULL,
    lease_until FLOAT NOT NULL, attempts INTEGER NOT NULL
);
CREATE TABLE artifacts (
    job_id TEXT NOT NULL, name TEXT NOT NULL, content BLOB NOT NULL, PRIMARY KEY (job_id, name)
);
INSERT INTO jobs VALUES
    ('done', '', 'completed', '2026-01-01T00:00:00.000Z', '2026-01-01T00:00:09.000Z', 0, NULL, '', 'x', 0, 1),
    ('waiting', '', 'queued', '2026-01-01T00:00:00.000Z', NULL, NULL, NULL, '', 'x', 0, 0);
INSERT INTO artifacts VALUES ('done', 'forecast.json', CAST('{}' AS BLOB));
"""
