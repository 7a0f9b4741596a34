"""Random schedules of faults and of what agents do, each made of one seed."""

import random
from dataclasses import dataclass
from datetime import timedelta

from tests.faults.world import Fault

LATEST = 75.0
"""Seconds after which a request that was held up has arrived or never will."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """`cancels`: seconds after which the first submits are given up by their host. `strangers`: what somebody else
    asks of the same account meanwhile. `faults` by operation, None for a request that goes well. `tokens` of the user
    are in use, one after another or at the same time.
    """

    seed: int
    faults: dict[str, list[Fault | None]]
    skew: timedelta
    minutes: float
    failing: int
    agents: int
    restarts: float
    cancels: tuple[float, ...]
    strangers: tuple[str, ...]
    other_question: bool
    tokens: int

    def __str__(self) -> str:
        said = (f"  {name}={getattr(self, name)!r}" for name in self.__slots__)
        return "\n".join(["schedule", *said])


def schedule_of(seed: int) -> Schedule:
    draw = random.Random(seed)
    strangers = ("numbers", "horizon", "title")
    schedule = Schedule(
        seed=seed,
        faults={
            "submit": _faults(draw, 3, submit=True),
            "jobs": _faults(draw, 4),
            "job": _faults(draw, 5),
            "artifact": _faults(draw, 8),
        },
        skew=timedelta(minutes=draw.choice([0, 0, -10, 10, draw.uniform(-10, 10)])),
        minutes=draw.choice([0, 0, 1, 3, draw.uniform(0, 8)]),
        failing=draw.choice([0] * 9 + [1]),
        agents=draw.choice([1, 1, 2]),
        restarts=draw.choice([0, 0.2, 0.5]),
        cancels=tuple(draw.uniform(0, 0.03) for _ in range(draw.choice([0, 0, 0, 1, 2]))),
        strangers=tuple(draw.choice(strangers) for _ in range(draw.choice([0, 0, 1, 2]))),
        other_question=draw.random() < 0.3,
        tokens=draw.choice([1, 2, 3]),
    )
    schedule.faults["account"] = _faults(draw, 2)
    return schedule


def _faults(draw: random.Random, most: int, *, submit: bool = False) -> list[Fault | None]:
    faults: list[Fault | None] = []
    for _ in range(draw.randint(0, most)):
        faults += [None] * draw.choice([0, 0, 0, 1]) if not submit else []
        faults += _burst(draw) if draw.random() < 0.15 else [_fault(draw, submit=submit)]
    return faults


def _burst(draw: random.Random) -> list[Fault | None]:
    return [Fault("status", status=429)] * draw.randint(2, 5)


def _fault(draw: random.Random, *, submit: bool) -> Fault:
    handled = draw.random() < 0.5
    kind = draw.choice(
        ["delay", "drop", "drop", "reset mid-body", "truncate", "truncate and close", "garbage", "wrong type"]
        + ["status", "proxy status", "duplicate", "silence"]
        + (["late", "late", "drop", "too many jobs"] if submit else [])
    )
    match kind:
        case "delay" | "duplicate":
            return Fault(kind, True, seconds=draw.uniform(0, 0.02))
        case "reset mid-body" | "truncate" | "truncate and close" | "wrong type":
            return Fault(kind, True)
        case "status":
            return Fault(kind, handled, draw.choice([500, 502, 503, 504]))
        case "proxy status":
            return Fault(kind, handled, draw.choice([502, 503, 504]))
        case "late":
            return Fault(kind, seconds=draw.uniform(1, LATEST))
        case "too many jobs":
            return Fault(kind)
        case _:
            return Fault(kind, handled)
