"""What other processes do in these tests: submit, follow and read, as far as they are let. They begin as forks."""

import asyncio
import json
import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import wraps
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import httpx
import stamina
from sqlalchemy import Engine, event

from sybilion_mcp.backends.base import BackendError
from sybilion_mcp.backends.sybilion import SybilionClient
from sybilion_mcp.explain.report import report_data
from sybilion_mcp.hints import Refusal, Subject, explain
from sybilion_mcp.service import follow as pace
from sybilion_mcp.service.arguments import Options
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.follow import follow
from sybilion_mcp.service.orders import Order
from sybilion_mcp.service.submit import Submitted, submit
from sybilion_mcp.service.sybilion_results import report
from sybilion_mcp.settings import Settings
from sybilion_mcp.store.store import Store
from tests.conftest import TODAY, good_series, until

TRIES = 12
Steps = Mapping[str, tuple[type, str, str]]
STEPS: Steps = {
    "before it is written down": (Store, "begin_submission", "before"),
    "written down": (Store, "begin_submission", "after"),
    "answered": (SybilionClient, "submit", "after"),
    "answer stored": (Store, "accept_submission", "after"),
    "job looked at": (SybilionClient, "job", "after"),
    "job stored": (Store, "put_job", "after"),
    "artifact fetched": (SybilionClient, "download", "after"),
    "artifact about to be kept": (Store, "put_draft", "before"),
    "artifact kept": (Store, "put_draft", "after"),
}
"""Where a process can be made to stop: class, method, and before or after it."""


@dataclass(frozen=True, slots=True)
class Work:
    """One question for another process, which thinks it is `at`. It stops at the `nth` time of a step, or at the
    `nth` commit when the step is "commit".
    """

    home: Path
    url: str
    token: str
    title: str
    at: datetime
    step: str = ""
    nth: int = 1


def forks() -> ForkServerContext:
    """Processes that begin with everything imported."""
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__, "aiosqlite", "httpcore", "sybilion_mcp.service.related"])
    return context


def do(work: Work, pipe: Connection) -> None:
    """Say ("at", step) and stop there, or ("done", job id, reused, report) at the end."""
    pace.HOSTED_PACE = (0.02, 0.1)  # jobs take no time here
    if work.step:
        stop_at(work, pipe)
    pipe.send(("done", *asyncio.run(_worked(work))))


def ask_together(works: list[Work], pipe: Connection, barrier: Any) -> None:
    """Ask each question at the same instant as the other processes; say the job ids and which were told as reused."""
    stamina.set_testing(True, attempts=2)
    pipe.send([asyncio.run(_asked_together(work, barrier)) for work in works])


async def _asked_together(work: Work, barrier: Any) -> tuple[str, bool]:
    desk = _desk(work, lambda: work.at)
    try:
        order = _order(work)
        await desk.store.series("")  # open
        barrier.wait(60)
        made: list[Submitted] = []

        async def is_made() -> bool:
            try:
                made.append(await submit(desk, order))
            except Refusal as refusal:
                if refusal.code != "submission_unknown":
                    raise
            return bool(made)

        await until(is_made, 60)
        return made[0].job_id, made[0].reused
    finally:
        await desk.aclose()


async def _worked(work: Work) -> tuple[str, bool, list[float]]:
    stamina.set_testing(True, attempts=2)
    clock = [work.at]
    desk = _desk(work, lambda: clock[0])
    try:
        made: Submitted = await persistently(clock, lambda: submit(desk, _order(work)))
        found = await persistently(clock, lambda: follow(desk, made.job_id, 15, silent))
        assert found.job.finished, found
        read = json.loads(json.dumps(report_data(await persistently(clock, lambda: report(desk, made.job_id)))))
        return made.job_id, made.reused, [month["forecast"] for month in read["forecast"]]
    finally:
        await desk.aclose()


async def persistently(clock: list[datetime], call: Callable[[], Awaitable[Any]]) -> Any:
    """The same call again, as late as its failures say."""
    for _ in range(TRIES):
        try:
            return await call()
        except (Refusal, BackendError) as error:
            failure = explain(error, Subject("submit_forecast"))
            if not failure.retryable:
                raise
            clock[0] += timedelta(seconds=failure.retry_after_s or 0)
    raise AssertionError(f"{TRIES} calls that failed")


def _desk(work: Work, now: Callable[[], datetime]) -> Desk:
    settings = Settings(home=work.home, api_token=work.token, api_base_url=work.url, spend="allow")
    desk = Desk(settings, today=lambda: TODAY, now=now)
    plain = httpx.AsyncHTTPTransport(verify=False)
    desk._backends["sybilion"] = SybilionClient(work.url, work.token, transport=plain)
    return desk


def _order(work: Work) -> Order:
    return Order(Options(title=work.title, soft_horizon=12, driver_limit=0), series=good_series())


async def silent(*_: object) -> None:
    """Progress that nobody listens to."""


def stop_at(work: Work, pipe: Connection, steps: Steps = STEPS) -> None:
    met = 0

    def reached() -> None:
        nonlocal met
        met += 1
        if met == work.nth:
            pipe.send(("at", work.step))
            while True:
                signal.pause()

    if work.step == "commit":
        event.listen(Engine, "commit", lambda _: reached())
        return
    owner, name, when = steps[work.step]
    method = getattr(owner, name)

    @wraps(method)
    async def stopping(*args: Any, **kwargs: Any) -> Any:
        if when == "before":
            reached()
        result = await method(*args, **kwargs)
        if when == "after":
            reached()
        return result

    setattr(owner, name, stopping)
