"""The tools, registered in one place."""

from collections.abc import Awaitable, Callable

from mcp.server.mcpserver.tools import Tool
from mcp_types import CallToolResult, ToolAnnotations

from sybilion_mcp.settings import Toolset
from sybilion_mcp.tools.get_status import get_status
from sybilion_mcp.tools.read_artifact import read_artifact
from sybilion_mcp.tools.schemas import answer_or_failure, parameters
from sybilion_mcp.tools.submit_forecast import submit_forecast
from sybilion_mcp.tools.suggest_keywords import suggest_keywords
from sybilion_mcp.tools.validate_series import validate_series

MORE_TOOLS = ("rank_drivers", "get_alerts", "find_filters", "list_jobs", "get_account")
"""What the toolset `all` has beside the core tools."""


def tools_of(toolset: Toolset) -> list[Tool]:
    """The tools of a toolset: the core ones first."""
    return core_tools() if toolset == "core" else [*core_tools(), *_more_tools()]


def core_tools() -> list[Tool]:
    """The core toolset, in the order of work."""
    return [
        _tool(validate_series, "Validate a series", _free(open_world=False)),
        _tool(suggest_keywords, "Suggest keywords", _free(open_world=False)),
        _tool(submit_forecast, "Submit a forecast", _COSTS),
        _tool(get_status, "Follow a job", _free(open_world=True)),
        _tool(read_artifact, "Read results", _free(open_world=True, read_only=False)),
    ]


def _more_tools() -> list[Tool]:
    # Imported where they are served: the core starts without them.
    from sybilion_mcp.tools.find_filters import find_filters
    from sybilion_mcp.tools.get_account import get_account
    from sybilion_mcp.tools.get_alerts import get_alerts
    from sybilion_mcp.tools.list_jobs import list_jobs
    from sybilion_mcp.tools.rank_drivers import rank_drivers

    return [
        _tool(rank_drivers, "Rank drivers", _COSTS),
        _tool(get_alerts, "Get alerts", _COSTS),
        _tool(find_filters, "Find filters", _free(open_world=True)),
        _tool(list_jobs, "List jobs", _free(open_world=True)),
        _tool(get_account, "Account", _free(open_world=True)),
    ]


# Not idempotent: with resubmit the same call makes, and pays for, a second job.
_COSTS = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=False, open_world_hint=True)


def _free(*, open_world: bool, read_only: bool = True) -> ToolAnnotations:
    return ToolAnnotations(
        read_only_hint=read_only, destructive_hint=False, idempotent_hint=True, open_world_hint=open_world
    )


def _tool(function: Callable[..., Awaitable[CallToolResult]], title: str, annotations: ToolAnnotations) -> Tool:
    tool = Tool.from_function(function, title=title, annotations=annotations, description=_description(function))
    tool.parameters = parameters(tool.parameters)
    assert tool.fn_metadata.output_schema is not None
    tool.fn_metadata.output_schema = answer_or_failure(tool.fn_metadata.output_schema)
    return tool


def _description(function: Callable[..., object]) -> str:
    return " ".join((function.__doc__ or "").split())
