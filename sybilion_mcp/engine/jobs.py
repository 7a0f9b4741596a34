"""Running jobs: a queue over slots, with leases so that queued jobs outlive the process that took them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import BrokenExecutor, Executor
from pathlib import Path
from typing import TypeVar

from sqlalchemy.exc import SQLAlchemyError

from sybilion_mcp.contract.request import ForecastRequest
from sybilion_mcp.engine import failures
from sybilion_mcp.engine import terms as prices
from sybilion_mcp.engine.accounts import Accounts
from sybilion_mcp.engine.candidate import Candidate
from sybilion_mcp.engine.failures import JobFailure
from sybilion_mcp.engine.measured import Hindcast, NotMeasured
from sybilion_mcp.engine.pool import Lent, Slot, Worker
from sybilion_mcp.engine.table import Claim, JobQuery, JobRow, JobTable
from sybilion_mcp.engine.terms import Terms
from sybilion_mcp.engine.worker import run_hindcast, run_job
from sybilion_mcp.tracing import span

_log = logging.getLogger(__name__)

LEASE_SECONDS = 10.0
MAX_UNFINISHED = 10  # jobs of one account that are queued or running
JOB_SECONDS = 600.0  # that one job may run
HINDCAST_SECONDS = 60.0  # that one hindcast may run; the longest series take one
PATIENCE_SECONDS = 10.0  # with a hindcast: a warm worker takes half a second, a cold one on a slow disk several

Result = TypeVar("Result")

Candidates = Callable[[str], Awaitable[tuple[Candidate, ...]]]
"""A request (JSON text) → the series to try for it."""

Run = Callable[[str], dict[str, bytes]]
"""A request (JSON text) → its artifacts; runs in a worker, so that it travels by pickle."""


class Engine:
    """The embedded engine's jobs: submit, look, and read. One per process and home folder.

    At most `workers` jobs run at once, each in a process of its own; the others wait as `queued`. `executor` replaces
    the processes by any `concurrent.futures.Executor` (threads, a cluster); it belongs to the caller, who shuts it
    down. `candidates` is awaited whenever a job starts, and what it returns travels with the job; `run` replaces the
    work itself, without candidates. A job that runs longer than `job_seconds`, from when its worker gets it, fails;
    an account has `max_unfinished` jobs at most. Nobody waits for a hindcast longer than `patience_seconds`. With
    `terms` a job is paid for, and the terms say how many an account may have; without them all is free.
    """

    def __init__(
        self,
        home: Path,
        *,
        workers: int = 2,
        executor: Executor | None = None,
        candidates: Candidates | None = None,
        run: Run | None = None,
        terms: Terms | None = None,
        max_unfinished: int = MAX_UNFINISHED,
        job_seconds: float = JOB_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._table = JobTable(home / "engine.db", LEASE_SECONDS, terms=terms)
        self._candidates = candidates
        self._run_call = run
        self._terms = terms
        self._max_unfinished = max_unfinished if terms is None else terms.tier.max_jobs
        self._job_seconds = job_seconds
        self._patience_seconds = patience_seconds
        self._slots: list[Slot] = [Worker() if executor is None else Lent(executor) for _ in range(workers)]
        self._free: asyncio.LifoQueue[Slot] = asyncio.LifoQueue()  # the last one used is warm
        for slot in self._slots:
            self._free.put_nowait(slot)
        self._starting = asyncio.Lock()
        self._started = False
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._heartbeat: asyncio.Task[None] | None = None
        self._hindcast: asyncio.Task[Hindcast | NotMeasured] | None = None

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

        Raises `TooManyJobs` when the account has `max_unfinished` jobs, whichever process they are in, and
        `InsufficientCredits` when it has less than the job may cost.
        """
        await self.look()
        hold = prices.highest_price(ForecastRequest.model_validate_json(request)) if self._terms else 0
        claim = await self._table.add(account, request, self._max_unfinished, hold)
        self._start(claim)
        return claim.id

    async def accounts(self) -> Accounts | None:
        """Who pays; None where all is free."""
        await self.look()
        return self._table.accounts

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

    async def hindcast(
        self, values: Sequence[float], horizon: int, origins: Sequence[int], *, strictly_positive: bool = False
    ) -> Hindcast | NotMeasured:
        """How wrong the engine would have been on a series from earlier months; arguments as `hindcast.hindcast`'s.

        Jobs come first: with a job for every slot nothing is measured, and hindcasts run one at a time. One whose
        caller goes away or loses patience runs on to its end, after which its worker is warm.
        """
        busy = NotMeasured("it is busy with other work")
        work = None
        try:
            async with asyncio.timeout(self._patience_seconds):
                while self._hindcast is not None and not self._hindcast.done():
                    await asyncio.wait({self._hindcast})
                if len(self._tasks) >= len(self._slots):
                    return busy
                slot = self._free.get_nowait()  # more slots than jobs, so one is free
                arguments = (tuple(values), horizon, tuple(origins), strictly_positive)
                work = self._hindcast = asyncio.create_task(self._measure(slot, *arguments), name="hindcast")
                await asyncio.wait({work})
        except TimeoutError:
            return NotMeasured(f"it took longer than {self._patience_seconds:g} s") if work else busy
        return NotMeasured("it was stopped") if work.cancelled() else work.result()

    async def aclose(self) -> None:
        """Stop at once: unfinished jobs go back to the queue for the next process that looks."""
        unfinished = list(self._tasks)
        measuring = self._hindcast is not None and not self._hindcast.done()
        tasks = [*self._tasks.values(), *(one for one in (self._heartbeat, self._hindcast) if one is not None)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(slot.end(at_once=measuring or bool(unfinished)) for slot in self._slots))
        try:
            if unfinished:
                await self._table.release(unfinished)
        except SQLAlchemyError as failure:  # such as a database that stays locked; the leases run out by themselves
            _log.warning("unfinished jobs could not be given back: %s", type(failure).__name__)
        finally:
            await self._table.aclose()

    def _start(self, claim: Claim) -> None:
        task = asyncio.create_task(self._run(claim), name=f"job {claim.id}")
        self._tasks[claim.id] = task
        task.add_done_callback(lambda _: self._tasks.pop(claim.id, None))
        if self._heartbeat is None or self._heartbeat.done():
            self._heartbeat = asyncio.create_task(self._renew_leases(), name="job leases")

    async def _renew_leases(self) -> None:
        while self._tasks:
            await asyncio.sleep(LEASE_SECONDS / 3)  # where one renewal fails, the next is in time
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
        began = asyncio.get_running_loop().time()
        try:
            with span("engine job", {"sybilion.job_id": claim.id}):
                artifacts = await self._compute(slot, claim.request)
        except JobFailure as failure:
            try:
                await self._linger(began)
                await self._table.fail(claim.id, failure.error)
            finally:
                if failure.ends_worker:
                    await slot.end(at_once=True)
        else:
            await self._linger(began)
            await self._table.complete(claim.id, artifacts, prices.price(artifacts) if self._terms else 0)

    async def _linger(self, began: float) -> None:
        """A job runs for as long as the terms say at least."""
        if self._terms is not None:
            left = began + self._terms.job_seconds - asyncio.get_running_loop().time()
            await asyncio.sleep(left)  # a sandbox shows clients a job that takes its time

    async def _compute(self, slot: Slot, request: str) -> dict[str, bytes]:
        """The job's artifacts, or `JobFailure`."""
        if self._run_call is not None:
            return await _called(slot, self._job_seconds, self._run_call, request)
        candidates = await self._read_candidates(request)
        return await _called(slot, self._job_seconds, run_job, request, candidates)

    async def _measure(self, slot: Slot, *arguments: object) -> Hindcast | NotMeasured:
        try:
            return await _called(slot, HINDCAST_SECONDS, run_hindcast, *arguments)
        except JobFailure as failure:
            _log.warning("no hindcast: %s", failure.error["code"], exc_info=failure)
            if failure.ends_worker:
                await slot.end(at_once=True)
            return NotMeasured(f"it failed ({failure.error['code']})")
        finally:
            self._free.put_nowait(slot)

    async def _read_candidates(self, request: str) -> tuple[Candidate, ...]:
        try:
            return await self._candidates(request) if self._candidates is not None else ()
        except Exception as failure:  # whatever keeps a job from its drivers fails that job, not the service
            raise failures.drivers_unreadable(failure) from failure


async def _called(slot: Slot, seconds: float, call: Callable[..., Result], *arguments: object) -> Result:
    """What a call in a slot returns, or `JobFailure`."""
    try:
        work = asyncio.wrap_future(slot.submit(call, *arguments))
    except Exception as failure:  # executors refuse work each in their own way
        raise failures.no_worker(failure) from failure
    try:
        await asyncio.wait({work}, timeout=seconds)
        overdue = not work.done()
    finally:
        work.cancel()
    if overdue:
        raise failures.over_budget(seconds)
    if work.cancelled():  # by whoever owns the executor
        raise failures.worker_lost()
    error = work.exception()
    if error is None:
        return work.result()
    if isinstance(error, BrokenExecutor):
        raise failures.worker_lost() from error
    raise failures.pipeline_failed(error) from error
