"""What a driver ranking or an alert report is about: a series that is known, or what the caller says."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sybilion_mcp.contract.problem import Fix, Problem
from sybilion_mcp.hints import Refusal
from sybilion_mcp.next_step import NextStep
from sybilion_mcp.outside import quoted
from sybilion_mcp.service.arguments import stripped
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.store.panel import is_panel_id
from sybilion_mcp.store.records import StoredSeries


@dataclass(frozen=True, slots=True)
class Subject:
    """What the caller says; None means not said."""

    series_id: str | None = None
    title: str | None = None
    description: str | None = None
    keywords: Sequence[str] | None = None
    regions: Sequence[int] | None = None
    categories: Sequence[int] | None = None
    limit: int | None = None

    @property
    def filters(self) -> dict[str, object]:
        said = {"regions": list(self.regions or ()), "categories": list(self.categories or ()), "limit": self.limit}
        return {name: value for name, value in said.items() if value not in (None, [])}


async def known(desk: Desk, subject: Subject) -> tuple[dict[str, object], StoredSeries | None]:
    """The metadata of a request, completed from the series where one is named. Raises `Refusal` for an unknown one."""
    series = None
    if subject.series_id is not None:
        if is_panel_id(subject.series_id):
            raise Refusal(
                "invalid_argument",
                "This series_id holds many series, or one that is not monthly; drivers and alerts are of one monthly "
                "series.",
                "Leave series_id out and say the title, or validate one series as monthly values without backend.",
                next=NextStep("validate_series", reason="without backend, with one monthly series"),
            )
        series = await desk.store.series(subject.series_id)
        if series is None:
            raise Refusal(
                "series_not_found",
                "No series is remembered under this series_id.",
                "Call validate_series with the numbers or the file again, or leave series_id out and say the title.",
                next=NextStep("validate_series"),
            )
    keywords = subject.keywords if subject.keywords is not None else series.keywords if series else None
    said = stripped({"title": subject.title, "description": subject.description})
    remembered = stripped({"title": series.title, "description": series.description}) if series else {}
    texts = {name: text or remembered.get(name) for name, text in said.items()}
    metadata = {**texts, "keywords": [one.strip() for one in keywords or ()]}
    return {name: value for name, value in metadata.items() if value}, series


def refused(problems: Sequence[Problem]) -> Refusal | None:
    """What to answer to a request that breaks a rule of the service, in the names of the arguments; None if none."""
    errors = [_in_arguments(one) for one in problems if one.severity == "error"]
    if not errors:
        return None
    changes = {one.fix.field: one.fix.value for one in errors if one.fix}
    hint = "Call again with the values offered." if len(changes) == len(errors) else "Correct what is named."
    message = "The request breaks a rule of the service; nothing was sent."
    return Refusal("validation_failed", message, hint, changes=changes, problems=errors)


def _in_arguments(problem: Problem) -> Problem:
    fix = problem.fix
    named = None if fix is None else Fix(argument_of(fix.field), fix.value)
    return replace(problem, field=argument_of(problem.field), fix=named)


def argument_of(field: str) -> str:
    """The argument of these tools for a field of their requests: `filters.limit` → `limit`."""
    for owner in ("timeseries_metadata.", "metadata.", "filters."):
        field = field.removeprefix(owner)
    return field


def title_of(metadata: Mapping[str, object]) -> str:
    return str(metadata.get("title", ""))


def told(metadata: Mapping[str, object], subject: Subject) -> list[str]:
    """The subject as a person reads it who is asked to pay."""
    ids = {"region": subject.regions, "category": subject.categories}
    narrowed = [f"{name} {', '.join(map(str, one))}" for name, one in ids.items() if one]
    return [
        f"Subject: {quoted(title_of(metadata), 160)}",
        *([f"Narrowed to {' and '.join(narrowed)}"] if narrowed else []),
    ]
