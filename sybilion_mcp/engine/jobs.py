"""Running jobs: a queue over an executor, with leases so that jobs outlive the process that took them."""

import asyncio
import logging
import multiprocessing
from collections.abc import Mapping
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from sybilion_mcp.engine.table import Claim, JobQuery, JobRow, JobTable
from sybilion_mcp.engine.worker import run_job, start_worker

_log = logging.getLogger(__name__)

LEASE_SECONDS = 10.0
MAX_ATTEMPTS = 2  # a job that broke its worker once is tried once more


class WorkerPool:
    """Worker processes, started with the first job and replaced when one of them dies.

    The workers hold the reading end of a pipe; when its writing end closes, by `close` or by this process's
    death, they exit.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._pool: ProcessPoolExecutor | None = None
        self._lifeline: tuple[Connection, Connection] | None = None

    def executor(self) -> Executor:
        if self._pool is None:
            context = multiprocessing.get_context("spawn")
            self._lifeline = context.Pipe(duplex=False)
            self._pool = ProcessPoolExecutor(
                self._workers, mp_context=context, initializer=start_worker, initargs=(self._lifeline[0],)
            )
        return self._pool

    async def discard(self, executor: Executor) -> None:
        """Let go of an executor that broke; the next job gets fresh workers."""
        if executor is self._pool:
            await self.close(at_once=True)

    async def close(self, *, at_once: bool) -> None:
        """End the workers and wait for them; `at_once` does not let them finish what they are doing."""
        pool, self._pool = self._pool, None
        lifeline, self._lifeline = self._lifeline, None
        if pool is None or lifeline is None:
            return
        if at_once:
            lifeline[1].close()
        await asyncio.to_thread(pool.shutdown, wait=True, cancel_futures=True)
        for end in lifeline:
            end.close()


class Engine:
    """The embedded engine's jobs: submit, look, and read. One per process and home folder.

    `executor` replaces the worker processes by any `concurrent.futures.Executor` (threads, a cluster); it then
    belongs to the caller, who shuts it down. At most `workers` jobs run at once, the others wait as `queued`.
    """

    def __init__(self, home: Path, *, workers: int = 2, executor: Executor | None = None) -> None:
        self._table = JobTable(home / "engine.db", LEASE_SECONDS)
        self._given = executor
        self._pool = WorkerPool(workers)
        self._slots = asyncio.Semaphore(workers)
        self._starting = asyncio.Lock()
        self._started = False
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._heartbeat: asyncio.Task[None] | None = None

    async def look(self) -> None:
        """Open the table when this is the first call, and take over jobs that nobody works on any more."""
        async with self._starting:
            if not self._started:
                await self._table.open()
                self._started = True
        for claim in await self._table.take_over(list(self._tasks)):
            self._start(claim)

    async def submit(self, account: str, request: str) -> str:
        """Queue a request (JSON text) and return the job's id; it runs in the background."""
        await self.look()
        claim = await self._table.add(account, request)
        self._start(claim)
        return claim.id

    async def get(self, account: str, job_id: str) -> JobRow | None:
        await self.look()
        return await self._table.get(account, job_id)

    async def page(self, account: str, query: JobQuery) -> tuple[list[JobRow], int]:
        await self.look()
        return await self._table.page(account, query)

    async def artifact_sizes(self, job_id: str) -> dict[str, int]:
        return await self._table.artifact_sizes(job_id)

    async def artifact(self, job_id: str, name: str) -> bytes | None:
        return await self._table.artifact(job_id, name)

    async def aclose(self) -> None:
        """Stop at once: unfinished jobs go back to the queue for the next process that looks."""
        unfinished = list(self._tasks)
        tasks = [*self._tasks.values(), *([self._heartbeat] if self._heartbeat else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._pool.close(at_once=bool(unfinished))
        if unfinished:
            await self._table.release(unfinished)
        await self._table.aclose()

    def _start(self, claim: Claim) -> None:
        task = asyncio.create_task(self._run(claim), name=f"job {claim.id}")
        self._tasks[claim.id] = task
        task.add_done_callback(lambda _: self._tasks.pop(claim.id, None))
        if self._heartbeat is None or self._heartbeat.done():
            self._heartbeat = asyncio.create_task(self._renew_leases(), name="job leases")

    async def _renew_leases(self) -> None:
        while self._tasks:
            await asyncio.sleep(LEASE_SECONDS / 3)
            try:
                await self._table.renew(list(self._tasks))
            except SQLAlchemyError as failure:  # such as a database that stays locked; the next round may succeed
                _log.warning("the leases of %d jobs were not renewed: %s", len(self._tasks), failure)

    async def _run(self, claim: Claim) -> None:
        async with self._slots:
            for _ in range(claim.attempts, MAX_ATTEMPTS):
                await self._table.mark_running(claim.id)
                executor = self._given if self._given is not None else self._pool.executor()
                try:
                    artifacts = await asyncio.wrap_future(executor.submit(run_job, claim.request))
                except BrokenExecutor:
                    await self._pool.discard(executor)
                    continue
                except Exception as failure:  # noqa: BLE001 - whatever a job raises fails this job, not the service
                    await self._table.fail(claim.id, _pipeline_error(failure))
                    return
                await self._table.complete(claim.id, artifacts)
                return
            await self._table.fail(
                claim.id, {"code": "worker_lost", "detail": "the process that ran this job died twice"}
            )


def _pipeline_error(failure: Exception) -> Mapping[str, str]:
    return {"code": "pipeline_failed", "detail": f"{type(failure).__name__}: {failure}"[:2000]}
