"""No secret comes in with a call, and none goes out with an answer."""

from collections.abc import Mapping, Sequence
from typing import Any

from mcp.server.context import CallNext, HandlerResult, ServerMiddleware, ServerRequestContext
from mcp.server.mcpserver.tools import Tool
from mcp.shared.exceptions import MCPError
from pydantic import BaseModel

from sybilion_mcp.hints import Failure
from sybilion_mcp.next_step import NextStep
from sybilion_mcp.outside import identifier
from sybilion_mcp.secret_text import Secrets
from sybilion_mcp.tools.answer import failed

_HINT = (
    "Tokens are never arguments: this server takes its own from SYBILION_API_TOKEN or SYBILION_API_TOKEN_FILE. Call "
    "again without it, and tell the user to replace a token that was pasted into a conversation."
)


def guard_secrets(secrets: Secrets, tools: Sequence[Tool]) -> ServerMiddleware[Any]:
    """Refuse a tool call that holds a secret before anything reads it; hide one that an answer would repeat."""
    known = frozenset(tool.name for tool in tools)

    async def guard(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        if ctx.method == "tools/call" and ctx.params is not None and ctx.params.get("name") in known:
            arguments = ctx.params.get("arguments")
            if isinstance(arguments, dict) and secrets.within(arguments):
                return failed(_pasted(secrets, str(ctx.params["name"]), arguments))
        try:
            result = await call_next(ctx)
        except MCPError as error:
            told = {"message": error.message, "data": error.data}
            if not secrets.within(told):
                raise
            raise MCPError(error.code, **secrets.hidden(told)) from None
        if isinstance(result, BaseModel):
            result = result.model_dump(by_alias=True, mode="json", exclude_none=True)
        return result if result is None or not secrets.within(result) else secrets.hidden(result)

    return guard


def _pasted(secrets: Secrets, tool: str, arguments: Mapping[str, Any]) -> Failure:
    """Which arguments hold it; their values, and names that hold it themselves, are not repeated."""
    wrong = [name for name, value in arguments.items() if secrets.within([name, value])]
    named = [identifier(name) for name in wrong if not secrets.within(name)]
    where = " and ".join(named[:5]) or "An argument"
    kept = {name: value for name, value in arguments.items() if name not in wrong and name != "series"}
    return Failure(
        "secret_in_text",
        f"{where} of {tool} holds what looks like an API token; nothing was kept or sent.",
        _HINT,
        NextStep(tool, kept, "without the token"),
    )
