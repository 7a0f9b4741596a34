"""suggest_keywords: what to call a subject, so that the service may find its drivers."""

from typing import TYPE_CHECKING, Annotated

from mcp_types import CallToolResult
from pydantic import BaseModel, Field

from sybilion_mcp.next_step import NextStep
from sybilion_mcp.tools.answer import answer, answering
from sybilion_mcp.tools.parameters import Description, Next

if TYPE_CHECKING:
    from sybilion_mcp.keywords.suggest import Suggestion


class Answer(BaseModel):
    known: bool
    topics: list[str]
    keywords: list[str]
    groups: dict[str, list[str]]
    ask: list[str]
    note: str
    next: Next


@answering
async def suggest_keywords(
    title: Annotated[str, Field(description="The subject.")],
    description: Description = None,
    region: Annotated[str | None, Field(description="Country or region.")] = None,
    existing: Annotated[list[str] | None, Field(description="Chosen already.")] = None,
    limit: Annotated[int, Field(description="How many.", ge=1, le=20)] = 20,
) -> Annotated[CallToolResult, Answer]:
    """Keywords for a subject, grouped by role, and what to ask the user. From a vocabulary, free."""
    from sybilion_mcp.keywords.suggest import suggest

    return _render(suggest(title, description or "", region or "", existing or (), limit))


def _render(found: "Suggestion") -> CallToolResult:
    step = NextStep("submit_forecast", {"keywords": list(found.keywords)}, "with the series_id")
    subject = (
        f"Known subject: {', '.join(found.topics)}." if found.known else "Unknown subject: these are general terms."
    )
    lines = [subject]
    lines += [f"{role}: {', '.join(terms)}" for role, terms in found.groups.items()]
    if found.ask:
        lines.append(f"Ask the user: {' '.join(found.ask)}")
    lines += [found.note, step.line]
    data = {
        "known": found.known,
        "topics": list(found.topics),
        "keywords": list(found.keywords),
        "groups": {role: list(terms) for role, terms in found.groups.items()},
        "ask": list(found.ask),
        "note": found.note,
        "next": step.data,
    }
    return answer("\n".join(lines), data)
