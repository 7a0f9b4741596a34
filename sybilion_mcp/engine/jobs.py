"""Running jobs: a queue over slots, with leases so that queued jobs outlive the process that took them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import BrokenExecutor, Executor
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from sybilion_mcp.engine import failures
from sybilion_mcp.engine.candidate import Candidate
from sybilion_mcp.engine.failures import JobFailure
from sybilion_mcp.engine.pool import Lent, Slot, Worker
from sybilion_mcp.engine.table import Claim, JobQuery, JobRow, JobTable
from sybilion_mcp.engine.worker import run_job

_log = logging.getLogger(__name__)

LEASE_SECONDS = 10.0
MAX_UNFINISHED = 10  # jobs of one account that are queued or running
JOB_SECONDS = 600.0  # that one job may run

Candidates = Callable[[str], Awaitable[tuple[Candidate, ...]]]
"""A request (JSON text) → the series to try for it."""


class Engine:
    """The embedded engine's jobs: submit, look, and read. One per process and home folder.

    At most `workers` jobs run at once, each in a process of its own; the others wait as `queued`. `executor` replaces
    the processes by any `concurrent.futures.Executor` (threads, a cluster); it belongs to the caller, who shuts it
    down. `candidates` is awaited whenever a job starts, and what it returns travels with the job. A job that runs
    longer than `job_seconds`, from when its worker gets it, fails; an account has `max_unfinished` jobs at most.
    """

    def __init__(
        self,
        home: Path,
        *,
        workers: int = 2,
        executor: Executor | None = None,
        candidates: Candidates | None = None,
        max_unfinished: int = MAX_UNFINISHED,
        job_seconds: float = JOB_SECONDS,
    ) -> None:
        self._table = JobTable(home / "engine.db", LEASE_SECONDS)
        self._candidates = candidates
        self._max_unfinished = max_unfinished
        self._job_seconds = job_seconds
        self._slots: list[Slot] = [Worker() if executor is None else Lent(executor) for _ in range(workers)]
        self._free: asyncio.LifoQueue[Slot] = asyncio.LifoQueue()  # the last one used is warm
        for slot in self._slots:
            self._free.put_nowait(slot)
        self._starting = asyncio.Lock()
        self._started = False
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._heartbeat: asyncio.Task[None] | None = None

    async def look(self) -> None:
        """Open the table when this is the first call, and see to jobs that nobody works on any more.

        What another process left queued runs here now; what it was running when it died has failed.
        """
        async with self._starting:
            if not self._started:
                await self._table.open()
                self._started = True
        for claim in await self._table.take_over(list(self._tasks), failures.engine_stopped().error):
            self._start(claim)

    async def submit(self, account: str, request: str) -> str:
        """Queue a request (JSON text) and return the job's id; it runs in the background.

        Raises `TooManyJobs` when the account has `max_unfinished` jobs, whichever process they are in.
        """
        await self.look()
        claim = await self._table.add(account, request, self._max_unfinished)
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
        await asyncio.gather(*(slot.end(at_once=bool(unfinished)) for slot in self._slots))
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
        slot = await self._free.get()
        try:
            if await self._table.mark_running(claim.id):
                await self._settle(slot, claim)
        finally:
            self._free.put_nowait(slot)

    async def _settle(self, slot: Slot, claim: Claim) -> None:
        """Run a job to its end and write that down; a worker that is lost or still busy with it is replaced."""
        try:
            artifacts = await self._compute(slot, claim.request)
        except JobFailure as failure:
            try:
                await self._table.fail(claim.id, failure.error)
            finally:
                if failure.ends_worker:
                    await slot.end(at_once=True)
        else:
            await self._table.complete(claim.id, artifacts)

    async def _compute(self, slot: Slot, request: str) -> dict[str, bytes]:
        """The job's artifacts, or `JobFailure`."""
        candidates = await self._read_candidates(request)
        try:
            work = asyncio.wrap_future(slot.submit(run_job, request, candidates))
        except Exception as failure:  # executors refuse work each in their own way
            raise failures.no_worker(failure) from failure
        try:
            await asyncio.wait({work}, timeout=self._job_seconds)
            overdue = not work.done()
        finally:
            work.cancel()
        if overdue:
            raise failures.over_budget(self._job_seconds)
        if work.cancelled():  # by whoever owns the executor
            raise failures.worker_lost()
        error = work.exception()
        if error is None:
            return work.result()
        if isinstance(error, BrokenExecutor):
            raise failures.worker_lost() from error
        raise failures.pipeline_failed(error) from error

    async def _read_candidates(self, request: str) -> tuple[Candidate, ...]:
        try:
            return await self._candidates(request) if self._candidates is not None else ()
        except Exception as failure:  # whatever keeps a job from its drivers fails that job, not the service
            raise failures.drivers_unreadable(failure) from failure
