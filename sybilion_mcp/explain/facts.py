"""What is known about a job beside its artifacts, and the report that both together make."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Literal, TypeAlias

from sybilion_mcp.explain.backtest import Skill
from sybilion_mcp.explain.drivers import Drivers
from sybilion_mcp.explain.forecast import Outlook
from sybilion_mcp.next_step import NextStep

if TYPE_CHECKING:
    from sybilion_mcp.explain.compare import Comparison

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"
View = Literal["summary", "table"]


@dataclass(frozen=True, slots=True)
class JobFacts:
    """`request` is the body as submitted; `driver_names` maps "aux_0" to the title the caller gave.

    `again` are the arguments of a submit_forecast that asks the same; empty for jobs that another desk submitted.
    """

    job_id: str
    title: str
    backend: str
    settled_at: str | None
    eur_cents_final: int | None
    request: Mapping[str, object]
    driver_names: Mapping[str, str] = field(default_factory=dict)
    again: Mapping[str, object] = field(default_factory=dict)

    @property
    def free(self) -> bool:
        return self.backend == "local"


@dataclass(frozen=True, slots=True)
class Caveat:
    """One reason for doubt, told in the section of its topic; the verdict has a line of its own there."""

    topic: Literal["bands", "skill", "verdict", "drivers", "data"]
    text: str


@dataclass(frozen=True, slots=True)
class Report:
    """Everything an answer about one job is made of; `drivers` is None when the job came without that file."""

    facts: JobFacts
    today: date
    outlook: Outlook
    skill: Skill
    drivers: Drivers | None
    caveats: tuple[Caveat, ...]
    others: "tuple[Comparison, ...]"
    next_step: NextStep

    def about(self, *topics: str) -> tuple[str, ...]:
        return tuple(caveat.text for caveat in self.caveats if caveat.topic in topics)
