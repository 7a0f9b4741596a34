"""Eomer on a port of its own, whose submits may hang, and processes that are killed while they work with it."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import httpx
import stamina
import uvicorn
from starlette.types import Receive, Scope, Send

from sybilion_mcp.backends.eomer import EomerClient
from sybilion_mcp.engine.eomer.app import build_eomer_app
from sybilion_mcp.hints import Refusal
from sybilion_mcp.service import follow as pace
from sybilion_mcp.service.arguments import Options
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.follow import follow
from sybilion_mcp.service.orders import Order
from sybilion_mcp.service.submit import submit
from sybilion_mcp.settings import Settings
from sybilion_mcp.store.store import Store
from tests.conftest import TODAY, until
from tests.engine.eomer.made_up import body
from tests.faults.kills import Kill
from tests.faults.processes import Steps, Work, forks, persistently, silent, stop_at
from tests.faults.world import Fault, rows_of

STEPS: Steps = {
    "before it is written down": (Store, "begin_submission", "before"),
    "written down": (Store, "begin_submission", "after"),
    "answered": (EomerClient, "submit", "after"),
    "answer stored": (Store, "accept_submission", "after"),
    "job looked at": (EomerClient, "job", "after"),
    "job stored": (Store, "put_job", "after"),
    "file fetched": (EomerClient, "download", "after"),
    "file kept": (Store, "put_draft", "after"),
}
KILLS = (
    *(Kill(step, step) for step in STEPS),
    Kill("the request has left and is never handled", operation="submit", fault=Fault("silence")),
    Kill("the request is handled and not answered", operation="submit", fault=Fault("silence", handled=True)),
)


@dataclass
class Hosted:
    """The embedded service on a loopback port. `faults`: of the coming submits, silence before or after the work."""

    home: Path
    url: str = ""
    faults: list[Fault] = field(default_factory=list)
    met: int = 0

    def jobs(self) -> list[str]:
        return [str(job_id) for (job_id,) in rows_of(self.home / "engine.db", "SELECT id FROM jobs")]

    def forecast(self, job_id: str) -> bytes:
        query = f"SELECT content FROM artifacts WHERE job_id = '{job_id}' AND name = 'forecast.csv'"
        ((content,),) = rows_of(self.home / "engine.db", query)
        assert isinstance(content, bytes)
        return content


@asynccontextmanager
async def hosted(home: Path) -> AsyncIterator[Hosted]:
    service = Hosted(home)
    with ThreadPoolExecutor(1) as threads, socket.create_server(("127.0.0.1", 0)) as listener:
        app = build_eomer_app(home, executor=threads)
        service.url = f"http://127.0.0.1:{listener.getsockname()[1]}"

        async def faulty(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or scope["method"] != "POST" or not service.faults:
                await app(scope, receive, send)
                return
            fault = service.faults.pop(0)
            if fault.handled:
                await app(scope, receive, _nowhere)
            service.met += 1
            while (await receive())["type"] != "http.disconnect":
                continue

        config = uvicorn.Config(faulty, http="h11", lifespan="on", log_level="critical", timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        await until(lambda: server.started)
        try:
            yield service
        finally:
            server.should_exit = True
            await serving


async def _nowhere(_: Any) -> None:
    """Nobody is answered."""


async def killed(kills: Sequence[Kill], home: Path) -> list[str]:
    """What went wrong, by kill; every process has a data folder and an account of its own."""
    wrong = []
    for place, kill in enumerate(kills):
        async with hosted(home / f"service {place}") as service:
            at = datetime.now(UTC)
            work = Work(home / str(place), service.url, f"eomer-key-of-{place}-0123456789", "made up", at)
            try:
                await _kill(service, kill, work)
                _check(service, work, await _finished(replace(work, at=at + timedelta(seconds=70))))
            except Exception as error:  # noqa: BLE001 — counted and told: one kill says nothing about the others
                wrong.append(f"{kill.name}: {error!r}")
    return wrong


def do(work: Work, pipe: Connection) -> None:
    """Say ("at", step) and stop there, or ("done", job id, forecast) at the end."""
    pace.HOSTED_PACE = (0.02, 0.1)
    if work.step:
        stop_at(work, pipe, STEPS)
    pipe.send(("done", *asyncio.run(_worked(work))))


async def _worked(work: Work) -> tuple[str, bytes]:
    stamina.set_testing(True, attempts=2)
    clock = [work.at]
    desk = Desk(
        Settings(home=work.home, eomer_api_key=work.token, eomer_api_base_url=work.url, spend="allow"),
        today=lambda: TODAY,
        now=lambda: clock[0],
    )
    desk._backends["eomer"] = EomerClient(work.url, work.token, transport=httpx.AsyncHTTPTransport(verify=False))
    try:
        try:
            made = await persistently(clock, lambda: submit(desk, _order()))
        except Refusal as refusal:
            if "resubmit=true" not in refusal.hint:
                raise
            made = await persistently(clock, lambda: submit(desk, _order(resubmit=True)))  # the user agrees
        found = await persistently(clock, lambda: follow(desk, made.job_id, 15, silent))
        assert found.job.status == "completed", found
        forecast = await desk.store.artifact(made.job_id, "forecast.csv")
        assert forecast is not None
        return made.job_id, forecast
    finally:
        await desk.aclose()


def _order(*, resubmit: bool = False) -> Order:
    series: Any = body("D", 2, 40)["series"]
    return Order(Options(soft_horizon=3), series=series, backend="eomer", resubmit=resubmit)


async def _kill(service: Hosted, kill: Kill, work: Work) -> None:
    if kill.fault is not None:
        service.faults.append(kill.fault)
    pipe, child = forks().Pipe()
    process = forks().Process(target=do, args=(replace(work, step=kill.step, nth=kill.nth), child))
    process.start()
    try:
        if kill.fault is not None:
            await until(lambda: service.met > 0)
        else:
            said = await _received(pipe)
            assert said[0] == "at", f"the step is never reached: {said}"
    finally:
        if process.is_alive() and process.pid is not None:
            os.kill(process.pid, signal.SIGKILL)
        await asyncio.to_thread(process.join)


async def _finished(work: Work) -> Any:
    pipe, child = forks().Pipe()
    process = forks().Process(target=do, args=(work, child))
    process.start()
    child.close()
    try:
        return await _received(pipe)
    finally:
        await asyncio.to_thread(process.join)


async def _received(pipe: Connection) -> Any:
    if not await asyncio.to_thread(pipe.poll, 60):
        raise TimeoutError("the other process says nothing")
    return pipe.recv()


def _check(service: Hosted, work: Work, said: Any) -> None:
    _, job_id, forecast = said
    assert service.jobs() == [job_id], f"{service.jobs()}, told {job_id}"
    assert forecast == service.forecast(job_id), "another forecast than the service's"
    assert rows_of(work.home / "desk.db", "PRAGMA integrity_check") == [("ok",)]
