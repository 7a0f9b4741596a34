"""How tools answer: short text first, a small object beside it, and failures as results."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import wraps
from inspect import signature
from typing import ParamSpec

from mcp_types import CallToolResult, ContentBlock, ResourceLink, TextContent

from sybilion_mcp import hints
from sybilion_mcp.backends.base import BackendError
from sybilion_mcp.hints import About, Failure, Refusal, Subject
from sybilion_mcp.next_step import shown
from sybilion_mcp.service.arguments import problem_data

log = logging.getLogger(__name__)
Arguments = ParamSpec("Arguments")
ToolFunction = Callable[Arguments, Awaitable[CallToolResult]]

_UNREPEATED = ("ctx", "series", "order", "offer", "consent")
"""What a next step does not repeat: what no caller passes, and numbers by the thousand."""


def answer(text: str, data: Mapping[str, object], links: Sequence[ResourceLink] = ()) -> CallToolResult:
    """A good answer. Each of text and data suffices alone, since hosts disagree on which the model sees."""
    content: list[ContentBlock] = [TextContent(type="text", text=text), *links]
    return CallToolResult(content=content, structured_content=_said(data))


def failed(failure: Failure) -> CallToolResult:
    """A failure as a result, so that the model reads it."""
    data = _said(
        {
            "code": failure.code,
            "message": failure.message,
            "hint": failure.hint,
            "next": failure.next.data if failure.next else None,
            "retryable": failure.retryable,
            "retry_after_s": failure.retry_after_s,
            "trace_id": failure.trace_id,
            "problems": [problem_data(one) for one in failure.problems] or None,
        }
    )
    return CallToolResult(
        content=[TextContent(type="text", text=failure_text(failure))], structured_content=data, is_error=True
    )


def failure_text(failure: Failure) -> str:
    lines = [f"{failure.code}: {failure.message}"]
    lines += problem_lines([problem_data(one) for one in failure.problems])
    lines.append(failure.hint)
    if failure.trace_id:
        lines.append(f"trace {failure.trace_id}")
    if failure.next:
        lines.append(failure.next.line)
    return "\n".join(lines)


def problem_lines(problems: Sequence[Mapping[str, object]]) -> list[str]:
    """Errors numbered, one a line, each with its fix; warnings after them as notes."""
    errors = [_problem_line(one) for one in problems if one.get("severity") != "warning"]
    notes = [_problem_line(one) for one in problems if one.get("severity") == "warning"]
    return [*(f"{number}. {text}" for number, text in enumerate(errors, 1)), *(f"Note: {text}" for text in notes)]


def _problem_line(problem: Mapping[str, object]) -> str:
    fix = problem.get("fix")
    offered = f" Fix: {fix['argument']}={shown(fix['value'])}." if isinstance(fix, dict) else ""
    return f"{problem['code']}, {problem['field']}: {problem['message']}{offered}"


def answering(function: ToolFunction[Arguments]) -> ToolFunction[Arguments]:
    """Turn what a service raises into a failure result; what nobody expected is logged and said without details."""
    name = function.__name__
    defaults = {one.name: one.default for one in signature(function).parameters.values()}

    def subject(arguments: Mapping[str, object]) -> Subject:
        """The call as it was made, without the numbers and what stands at its default."""
        said = {key: value for key, value in arguments.items() if key not in _UNREPEATED and value != defaults[key]}
        return Subject(name, said)

    @wraps(function)
    async def tool(*args: Arguments.args, **kwargs: Arguments.kwargs) -> CallToolResult:
        try:
            return await function(*args, **kwargs)
        except (Refusal, BackendError) as error:
            return failed(hints.explain(error, subject(kwargs)))
        except About as about:
            return failed(hints.explain(about.error, subject({**kwargs, **about.arguments})))
        except Exception:  # the edge: a bug of ours must reach the log, and the model as a failure
            log.exception("%s failed", name)
            return failed(hints.unexpected(subject(kwargs)))

    return tool


def _said(data: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in data.items() if value is not None}
