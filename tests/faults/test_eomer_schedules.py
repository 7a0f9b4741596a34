"""Random faults between the desk and Eomer, and an agent that does as it is told: one job for one question."""

import random
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import stamina

from sybilion_mcp.backends.base import BackendError
from sybilion_mcp.hints import Refusal, Subject, explain
from sybilion_mcp.service import follow as pace
from sybilion_mcp.service.arguments import Options
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.follow import follow
from sybilion_mcp.service.orders import Order
from sybilion_mcp.service.submit import submit
from tests.engine.eomer.made_up import body
from tests.eomer import Service, desk_of, serving
from tests.faults.processes import silent
from tests.faults.world import rows_of

pytestmark = pytest.mark.anyio

TRIES = 40
SERIES: Any = body("D", 2, 40)["series"]
Make = Callable[[], Exception | httpx.Response]
LOST: list[Make] = [
    lambda: httpx.ReadTimeout("slow"),
    lambda: httpx.ReadError("reset"),
    lambda: httpx.Response(500, json={"error_code": "internal_error"}),
    lambda: httpx.Response(502, content=b"<html>"),
    lambda: httpx.Response(504),
    lambda: httpx.Response(200, content=b"{"),
    lambda: httpx.Response(202, json={"status": "pending"}),
]
DECLINED: list[Make] = [
    lambda: httpx.ConnectError("refused"),
    lambda: httpx.Response(429, json={"error_code": "rate_limited"}),
    lambda: httpx.Response(429),
]


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(pace, "HOSTED_PACE", (0.01, 0.05))
    with stamina.set_testing(True, attempts=2):
        yield


@pytest.mark.parametrize("seed", range(30))
async def test_one_question_is_one_job_whatever_gets_lost(seed: int, tmp_path: Path, executor: Executor) -> None:
    draw = random.Random(seed)
    async with serving(tmp_path / "service", executor) as service:
        for _ in range(draw.randint(0, 4)):
            declined = draw.random() < 0.3
            service.next(draw.choice(DECLINED if declined else LOST)(), handled=not declined and draw.random() < 0.6)
        service.gets = [draw.choice(LOST)() if draw.random() < 0.4 else None for _ in range(8)]
        agent = Agent(service, tmp_path / "home", draw)
        job_id = await agent.work()

    assert rows_of(tmp_path / "service" / "engine.db", "SELECT id FROM jobs") == [(job_id,)]
    assert len({one.headers["x-request-id"] for one in agent.sent()}) <= 1 + agent.declined


class Agent:
    """Does what the failures say; where only the user can decide, the user agrees."""

    def __init__(self, service: Service, home: Path, draw: random.Random) -> None:
        self._service, self._home, self._draw = service, home, draw
        self._passed = timedelta()
        self._order = Order(Options(soft_horizon=3), series=SERIES, backend="eomer")
        self._desk = self._sit_down()
        self.declined = 0

    def sent(self) -> list[httpx.Request]:
        return self._service.submits

    async def work(self) -> str:
        try:
            made = await self._persistently(lambda: submit(self._desk, self._order))
            self._order = replace(self._order, resubmit=False)
            found = await self._persistently(lambda: follow(self._desk, made.job_id, 20, silent))
            while not found.job.finished:  # a look that fails ends the waiting
                found = await self._persistently(lambda: follow(self._desk, made.job_id, 20, silent))
            assert found.job.status == "completed"
            again = await self._persistently(lambda: submit(self._desk, self._order))
            assert (again.job_id, again.reused) == (made.job_id, True)
            return str(made.job_id)
        finally:
            await self._desk.aclose()

    async def _persistently(self, call: Callable[[], Any]) -> Any:
        for _ in range(TRIES):
            try:
                return await call()
            except (Refusal, BackendError) as error:
                failure = explain(error, Subject("submit_forecast"))
            self.declined += failure.code in ("rate_limited", "unreachable")
            if not failure.retryable:
                assert "resubmit=true" in failure.hint, failure
                self._order = replace(self._order, resubmit=True)
            self._passed += timedelta(seconds=failure.retry_after_s or 0)
            if self._draw.random() < 0.3:
                await self._desk.aclose()
                self._desk = self._sit_down()
        raise AssertionError("the agent never comes to an end")

    def _sit_down(self) -> Desk:
        desk = desk_of(self._service, self._home)
        now = desk.now
        desk.now = lambda: now() + self._passed
        return desk
