"""Jobs in worker processes, and jobs that outlive the process that took them."""

import asyncio
import multiprocessing
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AsyncExitStack
from pathlib import Path
from threading import Event

import anyio
import httpx
import pytest
from sqlalchemy.exc import OperationalError
from starlette.applications import Starlette

from sybilion_mcp.engine import jobs
from sybilion_mcp.engine.app import build_app
from sybilion_mcp.engine.table import JobTable

from .conftest import client_of, settled
from .made_up import TODAY, request

pytestmark = pytest.mark.anyio

needs_proc = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="reads /proc, which is Linux's")


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


class AlwaysBroken(Executor):
    """Stands for workers that die whenever they get a job."""

    def submit(self, *_: object, **__: object) -> Future:
        raise BrokenProcessPool("a worker died")


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
def doomed(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process on the same home, which prints its job's URL and its workers once one is running."""
    with subprocess.Popen(
        [sys.executable, "-c", CRASHING, str(Path(__file__).parents[1]), str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.kill()


async def submit(client: httpx.AsyncClient, **changes: object) -> str:
    url: str = (await client.post("/api/v1/forecasts", json=request(**changes))).json()["poll_url"]
    return url


async def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    with anyio.fail_after(seconds):
        while True:
            if condition():
                return
            await anyio.sleep(0.01)


def is_running(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def look_around() -> dict[str, str]:
    """Runs in a worker: where its stdin and stdout lead, and how many threads numpy's library may take."""
    return {
        "stdin": str(Path("/proc/self/fd/0").readlink()),
        "stdout": str(Path("/proc/self/fd/1").readlink()),
        "stderr": str(Path("/proc/self/fd/2").readlink()),
        "threads": os.environ["OPENBLAS_NUM_THREADS"],
    }


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

    @needs_proc
    async def test_workers_let_go_of_stdin_and_stdout(self) -> None:
        pool = jobs.WorkerPool(1)
        try:
            found = await asyncio.wrap_future(pool.executor().submit(look_around))
        finally:
            await pool.close(at_once=False)

        assert found["stdin"] == os.devnull
        assert found["stdout"] == found["stderr"]
        assert found["threads"] == "1"

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

    async def test_a_job_whose_worker_is_killed_is_tried_again(self, build: Callable[..., Starlette]) -> None:
        async with client_of(build(None)) as client:
            url = await submit(client, backtest=True)
            await until(lambda: bool(multiprocessing.active_children()))
            for process in multiprocessing.active_children():
                process.kill()

            job, _ = await settled(client, url)
            after, _ = await settled(client, await submit(client))

        assert (job["status"], after["status"]) == ("completed", "completed")

    async def test_a_job_that_kills_every_worker_fails_with_a_reason(self, build: Callable[..., Starlette]) -> None:
        async with client_of(build(AlwaysBroken())) as client:
            job, _ = await settled(client, await submit(client))
            health = await client.get("/health")

        assert job["status"] == "failed"
        assert job["pipeline_error"]["code"] == "worker_lost"
        assert health.status_code == 200


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
    async def test_a_job_of_a_killed_process_is_finished_and_its_workers_are_gone(
        self,
        build: Callable[..., Starlette],
        threads: Executor,
        doomed: subprocess.Popen[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        assert doomed.stdout is not None
        url, *workers = (await asyncio.to_thread(doomed.stdout.readline)).split()
        doomed.kill()
        doomed.wait()
        monkeypatch.setattr(jobs, "LEASE_SECONDS", 1.0)

        async with client_of(build(threads)) as client:
            job, _ = await settled(client, url)

        assert job["status"] == "completed"
        assert workers
        await until(lambda: not any(is_running(int(pid)) for pid in workers))

    async def test_a_job_is_not_taken_from_a_living_process(
        self,
        build: Callable[..., Starlette],
        held: Callable[[], Held],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(jobs, "LEASE_SECONDS", 0.3)
        owner, other = held(), held()
        async with client_of(build(owner)) as one, client_of(build(other)) as two:
            url = await submit(one)
            with anyio.move_on_after(1.0):  # three times the lease: only its renewal keeps it
                while True:
                    assert (await two.get(url)).json()["status"] in ("queued", "running")
                    await anyio.sleep(0.02)
            owner.release.set()
            job, _ = await settled(two, url)

        assert job["status"] == "completed"
        assert (owner.given, other.given) == (1, 0)

    async def test_one_lease_that_cannot_be_renewed_does_not_end_the_renewing(
        self,
        build: Callable[..., Starlette],
        held: Callable[[], Held],
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
            with anyio.move_on_after(1.5):
                while True:
                    assert (await two.get(url)).json()["status"] in ("queued", "running")
                    await anyio.sleep(0.02)
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
from engine.conftest import client_of
from engine.made_up import TODAY, request
from sybilion_mcp.engine import jobs
from sybilion_mcp.engine.app import build_app

jobs.LEASE_SECONDS = 1.0

async def main():
    app = build_app(Path(sys.argv[2]), today=lambda: TODAY)
    async with client_of(app) as client:
        url = (await client.post("/api/v1/forecasts", json=request(backtest=True))).json()["poll_url"]
        while not multiprocessing.active_children():
            await asyncio.sleep(0.01)
        print(url, *(process.pid for process in multiprocessing.active_children()), flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""
