"""A naive agent: it does what the answers tell it, a few times, and writes down what it was told."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import httpx
from mcp import Client
from pydantic import SecretStr

from sybilion_mcp.backends.base import Backend
from sybilion_mcp.backends.sybilion import SybilionClient
from sybilion_mcp.hints import CODES
from sybilion_mcp.server import build_server
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.settings import Settings
from tests.conftest import TODAY
from tests.faults.world import World, rows_of

TOKEN = "sk_ops_faults"
RETRIES = 5
LOOKS = 40


class QuickDesk(Desk):
    """A desk whose hosted backend gives up after a quarter of a second."""

    def backend(self, name: str | None = None) -> Backend:
        if "sybilion" not in self._backends:
            # As the client's own, without the certificates, which take long to load.
            plain = httpx.AsyncHTTPTransport(verify=False, limits=httpx.Limits(max_keepalive_connections=0))
            token = self.settings.api_token.get_secret_value() if self.settings.api_token else ""
            client = SybilionClient(self.settings.api_base_url, token, timeout=httpx.Timeout(0.25), transport=plain)
            self._backends["sybilion"] = client
        return super().backend(name)


@dataclass
class Seat:
    """A server in memory and a client of it, for one agent after another: they take long to make."""

    desk: QuickDesk
    client: Client

    async def clear(self, **settings: Any) -> None:
        """As a new process would find it."""
        await self.desk.aclose()
        self.desk.settings = self.desk.settings.model_copy(update=settings)

    async def take(self, token: str) -> None:
        await self.clear(api_token=SecretStr(token))


@asynccontextmanager
async def seats(count: int, home: Path) -> AsyncIterator[list[Seat]]:
    async with AsyncExitStack() as stack:
        taken = []
        for _ in range(count):
            settings = Settings(home=home, api_token=TOKEN, spend="allow")
            desk = QuickDesk(settings, today=lambda: TODAY)
            client = await stack.enter_async_context(Client(build_server(settings, desk)))
            taken.append(Seat(desk, client))
        yield taken


class Wrong(AssertionError):
    """Something that must never happen has happened."""


@dataclass
class Agent:
    """`jobs`: the ids it was told, each with whether as `reused`; `told`: what happened, in order.

    `restarts` decides before each call whether another process makes it, `tokens` with which token.
    """

    world: World
    seat: Seat
    home: Path
    asking: dict[str, Any]
    restarts: Callable[[], bool]
    tokens: Callable[[], str]
    jobs: list[tuple[str, bool]] = field(default_factory=list)
    report: dict[str, Any] | None = None
    failure: dict[str, Any] | None = None
    told: list[str] = field(default_factory=list)

    async def sit_down(self) -> None:
        await self.seat.clear(home=self.home, api_base_url=self.world.url)
        await self.seat.take(self.tokens())
        self.seat.desk.now = self.world.clock.now

    async def work(self) -> None:
        """From the question to the report, or to a failure that five retries did not get past."""
        self.report = self.failure = None
        asked = await self._step("submit_forecast", self.asking)
        for _ in range(LOOKS):
            if asked is None:
                return
            tool, arguments = asked["next"]["tool"], asked["next"]["arguments"]
            if tool == "read_artifact":
                self.report = await self._step(tool, arguments)
                return
            if tool == "get_status":
                await self.world.pass_time(45)
                arguments = {**arguments, "wait_seconds": 0}
            elif tool == "validate_series":  # the job came to nothing and the series is sound
                tool, arguments = "submit_forecast", self.asking
            asked = await self._step(tool, arguments)
        raise Wrong("the job never ends")

    async def _step(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any] | None:
        """One call, retried as its failures say; None when they outlast the retries or say that it is useless."""
        for _ in range(1 + RETRIES):
            data, failed = await self._call(tool, arguments)
            if not failed:
                self.failure = None
                return data
            self.failure = data
            self._check(tool, data)
            if not data.get("retryable"):
                return None
            await self.world.pass_time(data["retry_after_s"])
            if data["code"] != "too_many_jobs":  # that names another job to wait for: its results are not ours
                tool, arguments = data["next"]["tool"], data["next"]["arguments"]
            if tool == "get_status":
                arguments = {**arguments, "wait_seconds": 0}
        return None

    async def give_up_submitting(self, seconds: float) -> None:
        """What a host does that loses patience: the call is cancelled, or answered just before."""
        with anyio.move_on_after(seconds):
            await self._call("submit_forecast", self.asking)

    async def _call(self, tool: str, arguments: dict[str, Any]) -> tuple[dict[str, Any], bool]:
        async with self.world.calling():
            if self.restarts():
                await self.seat.take(self.tokens())
            result = await self.seat.client.call_tool(tool, arguments)
        data = dict(result.structured_content or {})
        said = f"{data['code']}: {data['message']} {data['hint']}" if result.is_error else data.get("job_id")
        self.told.append(f"{self.world.clock.at:%H:%M:%S} {tool}({arguments}): {said}")
        if tool == "submit_forecast" and not result.is_error:
            self.jobs.append((data["job_id"], data["reused"]))
        return data, bool(result.is_error)

    def _check(self, tool: str, failure: dict[str, Any]) -> None:
        """The hint must be right: nothing may talk an agent into a second job."""
        if failure["code"] not in CODES or not failure["next"] or len(failure["hint"]) < 20:
            raise Wrong(f"a failure that says too little: {failure}")
        if failure["code"] == "internal_error":
            raise Wrong(f"a bug of ours: {failure}")
        if tool != "submit_forecast" or failure["code"] == "too_many_jobs":
            return
        if failure["next"]["arguments"].get("resubmit"):
            raise Wrong(f"a next step that pays again: {failure}")
        if self.open_questions() and failure.get("retryable") and failure["next"]["tool"] != "submit_forecast":
            raise Wrong(f"an unknown outcome that is not looked into again: {failure}")
        warned = "Do not set resubmit" in failure["hint"] or not failure.get("retryable")
        if failure["code"] == "submission_unknown" and not warned:
            raise Wrong(f"an unknown outcome without a warning: {failure}")

    def open_questions(self) -> int:
        query = "SELECT count(*) FROM submissions WHERE current AND state IN ('sending', 'unknown')"
        return int(rows_of(self.home / "desk.db", query)[0][0])
