"""No secret comes in with a call, and none goes out with an answer."""

from collections.abc import Mapping, Sequence
from typing import Any

from mcp.server.context import CallNext, HandlerResult, ServerMiddleware, ServerRequestContext
from mcp.server.mcpserver.tools import Tool
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, CallToolResult, CompleteResult, Completion
from pydantic import BaseModel

from sybilion_mcp.hints import Failure
from sybilion_mcp.next_step import NextStep
from sybilion_mcp.outside import identifier
from sybilion_mcp.secret_text import Secrets
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.tools.answer import failed

_HINT = (
    "Tokens are never arguments: the server takes one from SYBILION_API_TOKEN or SYBILION_API_TOKEN_FILE, or over HTTP "
    "from the header X-Sybilion-Api-Key. Call again without it, and tell the user to replace a token that was pasted "
    "into a conversation."
)
_ASKING = {
    "resources/read": "The URI",
    "resources/subscribe": "The URI",
    "resources/unsubscribe": "The URI",
    "prompts/get": "The name or an argument of the prompt",
}
"""Method → where a token was pasted, in its refusal."""


def guard_secrets(tools: Sequence[Tool]) -> ServerMiddleware[Desk]:
    """Refuse what holds a secret before anything reads it; hide one that an answer would repeat."""
    known = frozenset(tool.name for tool in tools)

    async def guard(ctx: ServerRequestContext[Desk, Any], call_next: CallNext) -> HandlerResult:
        if ctx.request_id is None:  # a notification has no answer
            return await call_next(ctx)
        secrets = ctx.lifespan_context.secrets
        refused = _refused(secrets, known, ctx.method, ctx.params or {})
        if refused is not None:
            return refused
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


def _refused(
    secrets: Secrets, known: frozenset[str], method: str, params: Mapping[str, Any]
) -> CallToolResult | CompleteResult | None:
    """The answer to what holds a secret. Raises `MCPError` where the protocol has no answer for a refusal."""
    asked = {name: value for name, value in params.items() if name != "_meta"}
    if method not in _ASKING and method not in ("tools/call", "completion/complete"):
        return None
    if not secrets.within(asked):
        return None
    if method == "completion/complete":  # what is being typed is never an error
        return CompleteResult(completion=Completion(values=[], has_more=False))
    if method == "tools/call":
        return failed(_pasted(secrets, known, str(asked.get("name")), asked.get("arguments")))
    message = f"secret_in_text: {_ASKING[method]} holds what looks like an API token; nothing was read. {_HINT}"
    raise MCPError(INVALID_PARAMS, message)


def _pasted(secrets: Secrets, known: frozenset[str], tool: str, arguments: object) -> Failure:
    """Which arguments hold it; their values, and names that hold it themselves, are not repeated."""
    given = arguments if isinstance(arguments, dict) else {}
    wrong = [name for name, value in given.items() if secrets.within([name, value])]
    named = [identifier(name) for name in wrong if not secrets.within(name)]
    where = " and ".join(named[:5]) or ("An argument" if wrong else "The call")
    if tool not in known:
        return Failure("secret_in_text", f"{where} holds what looks like an API token; nothing was done.", _HINT)
    kept = {name: value for name, value in given.items() if name not in wrong and name != "series"}
    return Failure(
        "secret_in_text",
        f"{where} of {tool} holds what looks like an API token; nothing was kept or sent.",
        _HINT,
        NextStep(tool, kept, "without the token"),
    )
