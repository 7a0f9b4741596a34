"""A host with a person behind it: what it is asked, what it answers, and how it reads the answers of a tool."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

import anyio
from mcp import Client
from mcp.client import ClientRequestContext
from mcp_types import CallToolResult, ElicitRequestFormParams, ElicitRequestURLParams, ElicitResult, TextContent

ACCEPT = ElicitResult(action="accept", content={"pay": True})
Connect = Callable[..., AbstractAsyncContextManager[Client]]


@dataclass
class Person:
    """Answers what a host shows them; `sees` are the questions. `meanwhile` happens while they think."""

    answer: ElicitResult = field(default_factory=lambda: ACCEPT)
    sees: list[str] = field(default_factory=list)
    forms: list[dict[str, Any]] = field(default_factory=list)
    meanwhile: Callable[[], Any] | None = None

    async def __call__(
        self, context: ClientRequestContext, params: ElicitRequestFormParams | ElicitRequestURLParams
    ) -> ElicitResult:
        assert isinstance(params, ElicitRequestFormParams)
        self.sees.append(params.message)
        self.forms.append(params.requested_schema)
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            await meanwhile()
        return self.answer


async def call(client: Client, tool: str, **arguments: Any) -> CallToolResult:
    with anyio.fail_after(60):
        return await client.call_tool(tool, arguments)


def data_of(result: CallToolResult) -> dict[str, Any]:
    assert result.structured_content is not None, result.content
    return dict(result.structured_content)


def failure_of(result: CallToolResult) -> dict[str, Any]:
    assert result.is_error
    return data_of(result)


def text_of(result: CallToolResult) -> str:
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))
