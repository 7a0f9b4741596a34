"""Schemathesis over the printed description, against the sandbox that it describes."""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import Status, events, from_schema
from schemathesis.engine.recorder import ScenarioRecorder

from sybilion_mcp.engine.app import build_app
from sybilion_mcp.engine.description import description
from sybilion_mcp.engine.library import DriverLibrary
from sybilion_mcp.engine.terms import Terms, Tier
from tests.conftest import TODAY, good_series
from tests.wire.served import served

NEVER_DRY = Terms(credit_eur_cents=10**12, tier=Tier(3, 10**9, 10**9))
BEYOND_A_SCHEMA = "positive_data_acceptance"  # a sound request by the schema may break a rule that no schema can say


@dataclass
class Outcome:
    """How many cases were sent, how they were answered by operation and status, and what was wrong with answers."""

    cases: int = 0
    answers: dict[str, Counter[int]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def add(self, other: "Outcome") -> None:
        self.cases += other.cases
        self.failures += other.failures
        for operation, answers in other.answers.items():
            self.answers.setdefault(operation, Counter()).update(answers)


@contextmanager
def described_sandbox(home: Path, executor: Executor | None = None) -> Iterator[str]:
    """The URL of a sandbox with a few drivers, in which no account runs dry."""
    moved = {**good_series(), "2026-11-01": 400.0}
    series = {f"Copper price {number}": moved for number in range(4)}
    anyio.run(DriverLibrary(home / "drivers.db").put, series, "Peru", "Metals")
    with served(build_app(home, today=lambda: TODAY, executor=executor, terms=NEVER_DRY)) as url:
        yield url


def run_described(url: str, max_examples: int, seed: int = 1) -> Outcome:
    """All phases of schemathesis with all its checks but one, the same cases for the same seed."""
    schema = schemathesis.openapi.from_dict(description(TODAY), config=SchemathesisConfig(seed=seed))
    schema.config.update(base_url=url, headers={"Authorization": "Bearer sk_ops_described"})
    schema.config.checks.update(excluded_check_names=[BEYOND_A_SCHEMA])
    schema.config.generation.update(max_examples=max_examples, database="none", no_shrink=True)
    outcome = Outcome()
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            _count(event.recorder, outcome)
        elif isinstance(event, events.NonFatalError):
            outcome.failures.append(f"{event.label}: {event.value!r}")
        elif isinstance(event, events.FatalError):
            outcome.failures.append(repr(event.exception))
    return outcome


def _count(recorder: ScenarioRecorder, outcome: Outcome) -> None:
    for case_id, interaction in recorder.interactions.items():
        operation = recorder.cases[case_id].value.operation.label
        status = interaction.response.status_code if interaction.response is not None else 0
        outcome.cases += 1
        outcome.answers.setdefault(operation, Counter())[status] += 1
        if status == 0:
            outcome.failures.append(f"{operation}: no answer")
    for case_id, checks in recorder.checks.items():
        for check in checks:
            if check.status is Status.FAILURE:
                case = recorder.cases[case_id].value
                said = check.failure_info.failure if check.failure_info else ""
                outcome.failures.append(f"{check.name}: {said}\n{case.as_curl_command()}")


class Canned(Executor):
    """Computes the first job for real, and lets every other one end at once with the same."""

    def __init__(self) -> None:
        self._known: object = None

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done: Future[Any] = Future()
        if self._known is None:
            self._known = call(*args, **kwargs)
        done.set_result(self._known)
        return done
