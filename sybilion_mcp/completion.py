"""Completion for the ids and names that prompts and resource templates take."""

from mcp.server.mcpserver import MCPServer
from mcp_types import (
    Completion,
    CompletionArgument,
    CompletionContext,
    PromptReference,
    ResourceTemplateReference,
)

from sybilion_mcp.contract.schemas import schema_names
from sybilion_mcp.hints import Refusal
from sybilion_mcp.resources import GUIDES
from sybilion_mcp.seats import Seats, served_at
from sybilion_mcp.service.desk import Desk

MOST = 100
"""Values the protocol allows in one answer."""


def add_completion(server: MCPServer[Seats]) -> None:
    @server.completion()
    async def complete(
        ref: PromptReference | ResourceTemplateReference,
        argument: CompletionArgument,
        context: CompletionContext | None,
    ) -> Completion:
        chosen = (context.arguments if context else None) or {}
        try:
            values = await _values(served_at(), argument.name, argument.value, chosen, getattr(ref, "uri", ""))
        except Refusal:  # of the data folder: who types is not told so here, but by what they call
            values = []
        return Completion(values=values[:MOST], has_more=len(values) > MOST)


async def _values(desk: Desk, name: str, begun: str, chosen: dict[str, str], uri: str) -> list[str]:
    """What fits behind what has been typed, newest first for ids."""
    match name:
        case "job_id":
            return await desk.store.job_ids(begun, MOST + 1)
        case "series_id":
            monthly = await desk.store.series_ids(begun, MOST + 1)
            return [*monthly, *await desk.store.panels.ids(begun, MOST + 1)][: MOST + 1]
        case "topic":
            every = list(GUIDES)
        case "name" if "/schema/" in uri:
            every = list(schema_names())
        case "name":
            every = await desk.store.artifact_names(chosen.get("job_id", ""))
        case _:
            every = []
    return [value for value in every if value.startswith(begun)]
