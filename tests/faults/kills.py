"""Processes that are killed at a step of a submit or of a download, and what the next one makes of it."""

import asyncio
import json
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tests.conftest import until
from tests.faults.processes import Work, ask_together, do, forks
from tests.faults.world import Fault, World, rows_of, serving

PROCESSES = 8
TITLE = "Monthly demand for a made-up product in Austria, units, number"


@dataclass(frozen=True, slots=True)
class Kill:
    """Where a process is killed: at the `nth` time of a step of its own, or when a request met a fault."""

    name: str
    step: str = ""
    nth: int = 1
    operation: str = ""
    fault: Fault | None = None


KILLS = (
    Kill("before the question is written down", "before it is written down"),
    Kill("the question is written down", "written down"),
    Kill("the request has left and is never handled", operation="submit", fault=Fault("silence")),
    Kill("the request has left and is handled later", operation="submit", fault=Fault("held", seconds=60)),
    Kill("the request is handled and not answered", operation="submit", fault=Fault("silence", handled=True)),
    Kill("half of the answer has come", operation="submit", fault=Fault("stall mid-body", handled=True)),
    Kill("the answer has come", "answered"),
    Kill("the answer is stored", "answer stored"),
    Kill("the job is looked at", "job looked at"),
    Kill("the finished job is stored", "job stored"),
    *(Kill(f"artifact {nth} is fetched", "artifact fetched", nth) for nth in (1, 2, 3)),
    Kill("half of an artifact has come", operation="artifact", fault=Fault("stall mid-body", handled=True)),
    *(Kill(f"artifact {nth} is about to be kept", "artifact about to be kept", nth) for nth in (1, 2, 3)),
    *(Kill(f"artifact {nth} is kept", "artifact kept", nth) for nth in (1, 2, 3)),
)
COMMITS = tuple(Kill(f"commit {nth} of the store", "commit", nth) for nth in range(1, 41))


async def killed(kills: Sequence[Kill], home: Path) -> list[str]:
    """What went wrong, by kill; every process has a data folder and an account of its own."""
    world = World(home / "service", minutes=None)
    wrong = []
    async with serving(world):
        for place, kill in enumerate(kills):
            work = Work(home / str(place), world.url, f"sk_ops_{place}", f"{TITLE} {place}", world.clock.now())
            try:
                await _kill(world, kill, work)
                await world.pass_time(70)
                said = await _finished(replace(work, at=world.clock.now()))
                _check(world, work, said)
            except Exception as error:  # noqa: BLE001 — counted and told: one kill says nothing about the others
                wrong.append(f"{kill.name}: {error!r}")
            world.heal()
    return wrong


async def together(rounds: int, home: Path) -> list[int]:
    """How many jobs each round made, of as many processes that ask the same at the same instant."""
    context = forks()
    world = World(home / "service", minutes=None)
    async with serving(world):
        at = world.clock.now()
        works = [Work(home / "desk", world.url, "sk_ops_t", f"{TITLE} {one}", at) for one in range(rounds)]
        barrier = context.Barrier(PROCESSES)
        pipes = [context.Pipe() for _ in range(PROCESSES)]
        processes = [context.Process(target=ask_together, args=(works, child, barrier)) for _, child in pipes]
        for process in processes:
            process.start()
        answers = [await _received(pipe, 300) for pipe, _ in pipes]
        for process in processes:
            await asyncio.to_thread(process.join)
        jobs = world.jobs()
    for one in range(rounds):
        told = [answer[one] for answer in answers]
        assert len({job_id for job_id, _ in told}) == 1, f"round {one}: {told}"
        assert sum(not reused for _, reused in told) <= 1, f"round {one}: {told}"
    return [sum(job.request["timeseries_metadata"]["title"] == work.title for job in jobs) for work in works]


async def _kill(world: World, kill: Kill, work: Work) -> None:
    """Begin the work and end the process where it is to end."""
    context = forks()
    if kill.fault is not None:
        world.faults[kill.operation].append(kill.fault)
    met, stalled = len(world.met), world.stalled
    pipe, child = context.Pipe()
    process = context.Process(target=do, args=(replace(work, step=kill.step, nth=kill.nth), child))
    process.start()
    try:
        if kill.fault is not None:
            await until(lambda: len(world.met) > met)
            if kill.fault.kind == "stall mid-body":
                await until(lambda: world.stalled > stalled)
        else:
            said = await _received(pipe, 30)
            assert said[0] == "at" or kill.step == "commit", f"the step is never reached: {said}"
    finally:
        if process.is_alive() and process.pid is not None:
            os.kill(process.pid, signal.SIGKILL)
        await asyncio.to_thread(process.join)


async def _finished(work: Work) -> Any:
    context = forks()
    pipe, child = context.Pipe()
    process = context.Process(target=do, args=(work, child))
    process.start()
    child.close()
    try:
        return await _received(pipe, 60)
    finally:
        await asyncio.to_thread(process.join)


async def _received(pipe: Connection, seconds: float) -> Any:
    if not await asyncio.to_thread(pipe.poll, seconds):
        raise TimeoutError("the other process says nothing")
    return pipe.recv()


def _check(world: World, work: Work, said: Any) -> None:
    _, job_id, _, forecast = said
    jobs = [job.job_id for job in world.jobs() if job.request["timeseries_metadata"]["title"] == work.title]
    assert jobs == [job_id], f"{len(jobs)} jobs: {jobs}, told {job_id}"
    months = json.loads(world.artifacts(job_id)["forecast.json"])["data"]["forecast_series"].values()
    assert forecast == [month["forecast"] for month in months], "another forecast than the server's"
    assert rows_of(work.home / "desk.db", "PRAGMA integrity_check") == [("ok",)]
