"""Where jobs run: slots, each with a worker process of its own or a place in the caller's executor."""

import asyncio
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Protocol, TypeVar

from sybilion_mcp.engine.worker import start_worker

ENDING_SECONDS = 5.0  # for a worker told to end; after that it is killed

Result = TypeVar("Result")

_UNSAID = "ignore:resource_tracker:UserWarning"

_starting = threading.Lock()  # one at a time, or two threads could not tell whose process is new


class Slot(Protocol):
    """Runs one call at a time."""

    def submit(self, call: Callable[..., Result], *arguments: object) -> Future[Result]:
        """Start a plain function with plain data: both travel by pickle."""
        ...

    async def end(self, *, at_once: bool) -> None:
        """Let go of what the slot holds; the next call finds it fresh. `at_once` ends a call that still runs."""
        ...


@dataclass(frozen=True, slots=True)
class Lent:
    """A place in an executor that belongs to the caller, who ends it; a call that runs there is left alone."""

    executor: Executor

    def submit(self, call: Callable[..., Result], *arguments: object) -> Future[Result]:
        return self.executor.submit(call, *arguments)

    async def end(self, *, at_once: bool) -> None:
        """Nothing here is ours to end."""


class Worker:
    """One worker process: started with its first call, kept for the next ones, replaced once it is lost.

    It holds the reading end of a pipe, its lifeline: when the writing end closes, by `end` or by this process's
    death, it exits. Nobody else's calls share it, so its death is the end of one call at most.
    """

    def __init__(self) -> None:
        self._running: Process | None = None

    def submit(self, call: Callable[..., Result], *arguments: object) -> Future[Result]:
        if self._running is not None:
            try:
                return self._running.pool.submit(call, *arguments)
            except BrokenExecutor:  # it died between two calls: this one never began
                self._running.hang_up()
        self._running = Process.start()
        return self._running.pool.submit(call, *arguments)

    async def end(self, *, at_once: bool) -> None:
        running = self._running
        if running is None:
            return
        if at_once:
            running.hang_up()
        ending = asyncio.create_task(asyncio.to_thread(running.pool.shutdown, wait=True, cancel_futures=True))
        await asyncio.wait({ending}, timeout=ENDING_SECONDS)
        if not ending.done():
            running.kill()
        await ending
        running.hang_up()
        self._running = None  # not before: a call of `end` that is cancelled is made again


@dataclass(frozen=True, slots=True)
class Process:
    """A process for one call after another, which ends with its lifeline."""

    pool: ProcessPoolExecutor
    lifeline: Connection
    process: BaseProcess

    @classmethod
    def start(cls) -> "Process":
        """Raises `OSError` or `RuntimeError` when no process could be started."""
        _start_tracker()
        context = multiprocessing.get_context("spawn")
        reading, writing = context.Pipe(duplex=False)
        pool = ProcessPoolExecutor(1, mp_context=context, initializer=start_worker, initargs=(reading,))
        try:
            with reading:  # the process has its own copy once it is started
                return cls(pool, writing, _first_process(pool))
        except BaseException:  # whatever kept it from starting leaves no pipe open and no pool
            writing.close()
            pool.shutdown(wait=False)
            raise

    def hang_up(self) -> None:
        self.lifeline.close()

    def kill(self) -> None:
        """End a process that does not listen: one stuck in its start-up, or in work that lets no other thread run."""
        self.process.kill()


def _first_process(pool: ProcessPoolExecutor) -> BaseProcess:
    """Give a fresh pool its first call, which starts its process before `submit` returns."""
    with _starting:
        before = set(multiprocessing.active_children())
        pool.submit(os.getpid)
        started = set(multiprocessing.active_children()) - before
    if len(started) != 1:
        raise RuntimeError(f"{len(started)} processes began at once, where one was started")
    return started.pop()


def _start_tracker() -> None:
    """Start the process that clears away the semaphores of a pool whose process was killed, with no word about them.

    What it says is for programmers; the host shows it to its user. It takes over the filters it is started with.
    """
    if os.name != "posix":
        return
    sys.warnoptions.append(_UNSAID)
    try:
        resource_tracker.ensure_running()
    finally:
        sys.warnoptions.remove(_UNSAID)
