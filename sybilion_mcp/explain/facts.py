"""What is known about a job beside its artifacts, and the report that both together make."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Literal, TypeAlias

from sybilion_mcp.explain.backtest import Skill
from sybilion_mcp.explain.drivers import Drivers
from sybilion_mcp.explain.forecast import Outlook
from sybilion_mcp.next_step import NextStep
from sybilion_mcp.outside import quoted

if TYPE_CHECKING:
    from sybilion_mcp.explain.compare import Comparison

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"
View = Literal["summary", "table"]

_BACKENDS = {"local": "embedded engine", "sybilion": "Sybilion", "eomer": "Eomer"}
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


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

    @property
    def answered_by(self) -> str:
        """Who made the forecast, as it may stand in a sentence."""
        return _BACKENDS.get(self.backend) or quoted(self.backend, 20)

    @property
    def cost(self) -> str | None:
        """In words; None where it is not known."""
        if self.free:
            return "free"
        return None if self.eur_cents_final is None else f"{self.eur_cents_final / 100:.2f} EUR"

    @property
    def settled_on(self) -> str | None:
        """The day, YYYY-MM-DD."""
        day = _DAY.match(self.settled_at or "")
        return day[0] if day else None


@dataclass(frozen=True, slots=True)
class Caveat:
    """One reason for doubt, told in the section of its topic; the verdict has a line of its own there."""

    topic: Literal["bands", "skill", "verdict", "drivers", "others", "data"]
    text: str


@dataclass(frozen=True, slots=True)
class Report:
    """Everything an answer about one job is made of.

    `unit` is None where it is not known, `drivers` when the job came without that file.
    """

    facts: JobFacts
    today: date
    unit: str | None
    outlook: Outlook
    skill: Skill
    drivers: Drivers | None
    caveats: tuple[Caveat, ...]
    others: "tuple[Comparison, ...]"
    next_step: NextStep

    def about(self, *topics: str) -> tuple[str, ...]:
        return tuple(caveat.text for caveat in self.caveats if caveat.topic in topics)
