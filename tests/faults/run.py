"""One schedule from its first call to its end, and what must hold then."""

import json
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from sybilion_mcp.service.arguments import Options
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.validate import remember
from sybilion_mcp.settings import Settings
from tests.conftest import TODAY, good_series
from tests.faults.agent import TOKEN, Agent, Seat, Wrong
from tests.faults.schedules import Schedule
from tests.faults.world import World, serving
from tests.hosted import ROOT

TITLE = "Monthly demand for a made-up product in Austria, units"
MINUTES_LATER = 5
SEATS = 5
"""As many agents as one schedule can have: two of one question, one of another, and one for each in the end."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """`ended`: with a report, or the code of the failure after five retries; `jobs`: made for the question."""

    ended: str
    jobs: int
    faults: int


async def run(schedule: Schedule, home: Path, seats: Sequence[Seat]) -> Outcome:
    """Raises `Wrong` with the schedule when something happens that never must."""
    draw = random.Random(schedule.seed)
    world = World(home / "service", skew=schedule.skew, minutes=schedule.minutes, failing=schedule.failing)
    agents: list[Agent] = []
    try:
        async with serving(world):
            return await _lived(schedule, world, home / "desk", draw, agents, iter(seats))
    except Exception as error:  # whatever went wrong is told with its schedule
        told = "\n".join(line for one in agents for line in [f"agent {one.asking}", *one.told])
        raise Wrong(f"{error!r}\n{schedule}\nmet: {world.met}\n{told}") from error


async def _lived(
    schedule: Schedule, world: World, home: Path, draw: random.Random, agents: list[Agent], seats: Iterator[Seat]
) -> Outcome:
    asking = {"series_id": await _series_id(home), "soft_horizon": 12, "driver_limit": 0}
    other = {**asking, "soft_horizon": 6}
    world.faults |= {name: type(world.faults[name])(faults) for name, faults in schedule.faults.items()}
    strangers = await _strangers(schedule, world, draw)
    questions = [asking] * schedule.agents + [other] * schedule.other_question
    restarts, tokens = (lambda: draw.random() < schedule.restarts), _tokens(schedule, draw)
    agents += [Agent(world, next(seats), home, one, restarts, tokens) for one in questions]
    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            for place, agent in enumerate(agents):
                group.start_soon(_working, agent, schedule.cancels if place == 0 else ())
    ended = [_ended(agent) for agent in agents]
    world.heal()
    for question in [asking, other][: 1 + schedule.other_question]:
        agents.append(Agent(world, next(seats), home, question, lambda: False, tokens))
        await _healthy(agents[-1])
    jobs = [_check(schedule, world, agent, strangers) for agent in agents]
    return Outcome(ended[0], jobs[0], len(world.met))


def _tokens(schedule: Schedule, draw: random.Random) -> Callable[[], str]:
    """One of the user's, whichever is in a process's environment just then."""
    return lambda: f"{TOKEN}.{draw.randrange(schedule.tokens)}"


async def _working(agent: Agent, cancels: tuple[float, ...]) -> None:
    await agent.sit_down()
    for seconds in cancels:
        await agent.give_up_submitting(seconds)
    await agent.work()


async def _healthy(agent: Agent) -> None:
    """The network is well, some minutes later: now there must be a report."""
    await agent.world.pass_time(60 * MINUTES_LATER)
    await agent.sit_down()
    await agent.work()
    if agent.report is None and _is_the_users(agent.failure):
        agent.told.append("the user agrees to pay again")
        agent.asking = {**agent.asking, "resubmit": True}
        await agent.work()
    for _ in range(3):  # on a busy machine an answer may come too late: it is told when to call again, and does
        if agent.report is None and (agent.failure or {}).get("retryable"):
            await agent.world.pass_time(float(agent.failure["retry_after_s"]))
            await agent.work()
    if agent.report is None:
        raise Wrong(f"no report although nothing is in the way: {agent.failure}")


def _ended(agent: Agent) -> str:
    if agent.report is None and agent.failure is None:
        raise Wrong("neither a report nor a failure")
    return "report" if agent.report is not None else str((agent.failure or {})["code"])


def _is_the_users(failure: Mapping[str, Any] | None) -> bool:
    """Whether only the user can say whose a job is: there is one that may be ours and says too little."""
    return failure is not None and failure["code"] == "submission_unknown" and "user agrees" in failure["hint"]


def _check(schedule: Schedule, world: World, agent: Agent, strangers: frozenset[str]) -> int:
    """What must hold on the server's side; the number of jobs made for the agent's question."""
    horizon = agent.asking["soft_horizon"]
    made = [one for one in world.jobs() if one.job_id not in strangers and one.request["soft_horizon"] == horizon]
    alive = [one for one in made if one.status != "failed"]
    if len(alive) > 1 or len(made) > 1 + schedule.failing:
        raise Wrong(f"{len(made)} jobs for one question: {made}")
    asked = {one.job_id for one in made}
    if wrong := [job_id for job_id, _ in agent.jobs if job_id not in asked]:
        raise Wrong(f"jobs of other questions: {wrong}")
    if agent.report is not None:
        _check_report(world, agent, {one.job_id for one in alive})
    return len(made)


def _check_report(world: World, agent: Agent, alive: set[str]) -> None:
    assert agent.report is not None
    if agent.report["job_id"] not in alive:
        raise Wrong(f"a report on another job: {agent.report}")
    theirs = json.loads(world.artifacts(agent.report["job_id"])["forecast.json"])["data"]["forecast_series"]
    read = [month["forecast"] for month in agent.report["forecast"]]
    if read != [month["forecast"] for month in theirs.values()]:
        raise Wrong(f"another forecast than the server's: {read}")


async def _series_id(home: Path) -> str:
    desk = Desk(Settings(home=home), today=lambda: TODAY)
    series_id = await remember(desk, good_series(), Options(title=TITLE))
    await desk.aclose()
    return series_id


async def _strangers(schedule: Schedule, world: World, draw: random.Random) -> frozenset[str]:
    """Jobs that somebody else makes on the same account just before; their ids."""
    made = []
    for kind in schedule.strangers:
        request: dict[str, Any] = {"pipeline_version": "v1", "frequency": "monthly", "backtest": True}
        request |= {"recency_factor": 0.5, "soft_horizon": 12, "filters": {"limit": 0}}
        request |= {"timeseries_metadata": {"title": TITLE}, "timeseries": good_series()}
        other: dict[str, dict[str, Any]] = {"numbers": {"timeseries": good_series(121)}, "horizon": {"soft_horizon": 3}}
        title = {"timeseries_metadata": {"title": f"{TITLE}, of somebody else"}}
        body = json.dumps({**request, **other.get(kind, title)}).encode()
        answer = await world.call("POST", f"{ROOT}/forecasts", f"Bearer {TOKEN}", body)
        made.append(answer.json()["job_id"])
        await world.pass_time(draw.uniform(0, 60))
    return frozenset(made)
