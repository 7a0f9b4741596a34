"""What happens before a tool or prompt sees a call: names and arguments that do not fit are answered helpfully."""

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from mcp.server.context import CallNext, HandlerResult, ServerMiddleware, ServerRequestContext
from mcp.server.mcpserver.prompts import Prompt
from mcp.server.mcpserver.tools import Tool
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, CallToolResult, TextContent
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from sybilion_mcp.hints import Failure
from sybilion_mcp.next_step import NextStep
from sybilion_mcp.outside import identifier
from sybilion_mcp.tools import MORE_TOOLS
from sybilion_mcp.tools.answer import failed

_EXPECTED = {
    "dict_type": "an object of date to number",
    "list_type": "a list",
    "string_type": "text",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "missing": "a value; it is required",
}
_IDS = "a list of whole numbers (ids; on the embedded engine `sybilion-mcp drivers list` shows them)"
_FILTERS = ("regions", "categories")
_NOT_SERVED = (
    "It belongs to the toolset all, and this server serves the core one: ask the user to start it with --toolset all "
    "(SYBILION_MCP_TOOLSET=all). Until then, go on with the tools named."
)
_NO_CONTENT = re.compile("Error executing tool .* received an accepted elicitation with no content", re.IGNORECASE)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Za-z][a-z]*")
_ENDING = re.compile("cancel|stop|abort|delet|remov|kill|terminat|forget|revok|withdraw|undo", re.IGNORECASE)


def guard_tools(tools: Sequence[Tool]) -> ServerMiddleware[Any]:
    """Answer an unknown tool, an unknown argument or one of the wrong kind as a failure that names what fits."""
    known = {tool.name: tool for tool in tools}

    async def guard(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        if ctx.method == "tools/call" and ctx.params is not None:
            name, arguments = str(ctx.params.get("name")), ctx.params.get("arguments") or {}
            refused = _check_call(known, name, arguments)
            if refused is not None:
                return refused
            result = await call_next(ctx)
            return failed(_unanswered(name, arguments)) if _is_unanswered(result) else result
        return await call_next(ctx)

    return guard


def _is_unanswered(result: HandlerResult) -> bool:
    """Whether the SDK gave a call up since a person was asked, and the host sent a yes without an answer in it."""
    if isinstance(result, dict) and result.get("isError"):  # as it goes over the wire
        result = CallToolResult.model_validate(result)
    if not isinstance(result, CallToolResult) or not result.is_error or result.structured_content is not None:
        return False
    return any(isinstance(one, TextContent) and _NO_CONTENT.fullmatch(one.text) for one in result.content)


def _unanswered(tool: str, arguments: Mapping[str, Any]) -> Failure:
    reason = "with the same numbers" if "series" in arguments else ""
    return Failure(
        "spend_refused",
        "The user was asked to pay, and the host accepted without an answer; nothing was sent or charged.",
        'Do not ask again unless the user wants to. Use backend="local", which is free.',
        NextStep(tool, {**_repeated(arguments), "backend": "local"}, reason),
    )


def guard_prompts(prompts: Sequence[Prompt]) -> ServerMiddleware[Any]:
    """An unknown prompt, or a missing argument of one, is the caller's mistake and is told as such."""
    known = {prompt.name: prompt for prompt in prompts}

    async def guard(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        if ctx.method == "prompts/get" and ctx.params is not None:
            _check_prompt(known, str(ctx.params.get("name")), ctx.params.get("arguments") or {})
        return await call_next(ctx)

    return guard


def _check_call(known: Mapping[str, Tool], name: str, arguments: Mapping[str, Any]) -> CallToolResult | None:
    tool = known.get(name)
    if tool is None:
        return failed(_unknown_tool(known, name, arguments))
    names = list(tool.parameters["properties"])
    unknown = [argument for argument in arguments if argument not in names]
    if unknown:
        return failed(_unknown_arguments(tool.name, unknown, names, arguments))
    try:
        tool.fn_metadata.validate_arguments(dict(arguments))
    except ValidationError as error:
        return failed(_invalid_arguments(tool.name, error.errors(include_url=False), arguments))
    return None


def _unknown_tool(known: Mapping[str, Tool], name: str, arguments: Mapping[str, Any]) -> Failure:
    """A guess at what was meant; never a call that may cost money, never with arguments that it does not take."""
    message = f"There is no tool {identifier(name)}; there are {', '.join(known)}."
    if name in MORE_TOOLS:
        return Failure("unknown_tool", message, _NOT_SERVED, NextStep(next(iter(known))))
    free = [tool.name for tool in known.values() if not _may_cost(tool)]
    closest = _closest(name, known)
    if any(map(_ENDING.match, _WORD.findall(name))):
        hint = (
            "A job cannot be cancelled here; it goes on and is charged as it ends (an embedded one costs nothing). "
            "What is kept of it the user can drop with `sybilion-mcp jobs forget`."
        )
        meant, reason = "get_status", "with the job_id"
    elif closest is not None and closest not in free:
        hint = f"{closest} has a name like that and may cost money: call it only if that is what the user wants."
        meant, reason = free[0], "is free and comes first"
    else:
        hint = _did_you_mean(name, known)
        meant, reason = closest or free[0], ""
    taken = {one: value for one, value in arguments.items() if one in known[meant].parameters["properties"]}
    if reason == "with the job_id" and "job_id" in taken:
        reason = ""
    return Failure("unknown_tool", message, hint, NextStep(meant, _repeated(taken), reason))


def _may_cost(tool: Tool) -> bool:
    """Only what makes a job is not the same when it is called again."""
    return tool.annotations is None or tool.annotations.idempotent_hint is not True


def _unknown_arguments(
    tool: str, unknown: Sequence[str], names: Sequence[str], arguments: Mapping[str, Any]
) -> Failure:
    """A guess never takes the place of an argument that was said rightly."""
    free = [name for name in names if name not in arguments]
    meant = {argument: _closest(argument, free) for argument in unknown[:5]}
    guesses = {argument: name for argument, name in meant.items() if name}
    hints = [f"Did you mean {name} for {identifier(argument)}?" for argument, name in guesses.items()]
    if len(unknown) == 1:
        hints = [f"Did you mean {name}?" for name in guesses.values()]
    kept = {name: value for name, value in arguments.items() if name in names}
    for argument, name in guesses.items():
        kept.setdefault(name, arguments[argument])
    shown = ", ".join(identifier(argument) for argument in meant)
    hint = " ".join(hints) or f"It takes {', '.join(names)}."
    return Failure("unknown_argument", f"{tool} has no argument {shown}.", hint, NextStep(tool, _repeated(kept)))


def _invalid_arguments(tool: str, errors: Sequence[ErrorDetails], arguments: Mapping[str, Any]) -> Failure:
    wrong = {str(error["loc"][0]): _reason(error) for error in errors if error["loc"]}
    message = f"{tool}: " + " ".join(f"{name} {reason}." for name, reason in wrong.items())
    bounds = {str(error["loc"][0]): _bound(error) for error in errors if error["loc"] and _bound(error) is not None}
    kept = {name: value for name, value in arguments.items() if name not in wrong} | bounds
    hint = "Correct what is named and call again."
    return Failure("invalid_argument", message, hint, NextStep(tool, _repeated(kept)))


def _bound(error: ErrorDetails) -> object:
    """The nearest value that fits: of a number that is too small or too large, or of a misspelt choice."""
    context = error.get("ctx", {})
    if error["type"] == "literal_error" and isinstance(error["input"], str):
        return _closest(error["input"], re.findall(r"'(\w+)'", str(context["expected"])))
    return context.get("ge", context.get("le"))


def _repeated(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments for another call, without the numbers."""
    return {name: value for name, value in arguments.items() if name != "series"}


def _reason(error: ErrorDetails) -> str:
    """Why an argument does not fit, in our words; the caller's value is not repeated."""
    context = error.get("ctx", {})
    match error["type"]:
        case "literal_error":
            return f"must be one of {str(context['expected']).replace(chr(39), '')}"
        case "greater_than_equal":
            return f"must be at least {context['ge']:g}"
        case "less_than_equal":
            return f"must be at most {context['le']:g}"
        case _ if error["loc"][0] in _FILTERS:
            return f"must be {_IDS}"
        case kind:
            inside = "a list; each in it must be " if len(error["loc"]) > 1 and isinstance(error["loc"][1], int) else ""
            return f"must be {inside}{_EXPECTED.get(kind, 'of another kind')}"


def _closest(name: str, names: Sequence[str] | Mapping[str, object]) -> str | None:
    return next(iter(get_close_matches(name.lower(), list(names), n=1, cutoff=0.5)), None)


def _did_you_mean(name: str, names: Sequence[str] | Mapping[str, object]) -> str:
    closest = _closest(name, names)
    return f"Did you mean {closest}?" if closest else f"It takes {', '.join(names)}."


def _check_prompt(known: Mapping[str, Prompt], name: str, arguments: Mapping[str, Any]) -> None:
    prompt = known.get(name)
    if prompt is None:
        message = f"There is no prompt {identifier(name)}; there are {', '.join(known)}."
        raise MCPError(code=INVALID_PARAMS, message=message)
    missing = [one.name for one in prompt.arguments or () if one.required and one.name not in arguments]
    if missing:
        raise MCPError(code=INVALID_PARAMS, message=f"The prompt {name} needs {', '.join(missing)}.")
