"""What a host can read without a tool: jobs, series, guides and schemas."""

import json
import re
from base64 import b64decode
from collections.abc import Awaitable, Callable
from functools import partial
from importlib.resources import files
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote

from mcp.server.context import CallNext, HandlerResult, ServerMiddleware, ServerRequestContext
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError
from mcp.server.mcpserver.resources import FunctionResource
from mcp_types import BlobResourceContents, ReadResourceResult, TextResourceContents

from sybilion_mcp import hints
from sybilion_mcp.backends.base import BackendError
from sybilion_mcp.contract.jobs import JOB_STATUSES
from sybilion_mcp.contract.media import HEAD_BYTES, media_type
from sybilion_mcp.contract.schemas import schema, schema_names
from sybilion_mcp.hints import Refusal, Subject
from sybilion_mcp.intake.profile import describe, profile
from sybilion_mcp.outside import identifier, quoted
from sybilion_mcp.seats import Seats, served_at
from sybilion_mcp.service import readers, results
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.follow import current
from sybilion_mcp.service.keeping import keep
from sybilion_mcp.tools.answer import failure_text

if TYPE_CHECKING:
    from sybilion_mcp.store.panel import StoredPanel

GUIDES = {
    "limits": "What a forecast request may contain, and what it costs",
    "keywords": "How to choose keywords, and how little they change",
    "errors": "Every failure code and what to do",
    "reading-drivers": "What importance, direction and correlation say, and what they do not",
    "eomer": "Other frequencies than months, and many series at once",
}
"""Topic → title of its text in guide/."""

Value = TypeVar("Value")

_MARKDOWN = "text/markdown"
_JSON = "application/json"
_SCHEMA = "application/schema+json"
_ARTIFACT = re.compile(r"sybilion://jobs/[^/]+/artifacts/([^/]+)")
_LISTED = 30  # artifacts of a job
_NOT_FOUND = frozenset({"job_not_found", "series_not_found", "artifact_not_found"})


def add_resources(server: MCPServer[Seats]) -> None:
    """Jobs and series are templates, never listed; guides and schemas are few and listed too."""
    _add_job_templates(server)

    @server.resource("sybilion://series/{series_id}", title="A validated series and its jobs", mime_type=_MARKDOWN)
    async def series(series_id: str) -> str:
        """Range, profile and jobs of a series."""
        return await _told(_series_text(served_at(), series_id), Subject("validate_series"))

    @server.resource("sybilion://guide/{topic}", title="A guide", mime_type=_MARKDOWN)
    def guide(topic: str) -> str:
        """A short text: limits, keywords, errors, reading-drivers or eomer."""
        return guide_text(topic)

    @server.resource("sybilion://schema/{name}", title="A JSON Schema", mime_type=_SCHEMA)
    def json_schema(name: str) -> str:
        """JSON Schema of the forecast request or of an artifact."""
        if name not in schema_names():
            raise ResourceNotFoundError(
                f"There is no schema {identifier(name)}; there are {', '.join(schema_names())}."
            )
        return json.dumps(schema(name), indent=1)

    for topic, title in GUIDES.items():
        server.add_resource(_listed(f"sybilion://guide/{topic}", title, _MARKDOWN, partial(guide, topic)))
    for name in schema_names():
        title = f"JSON Schema of {name}"
        server.add_resource(_listed(f"sybilion://schema/{name}", title, _SCHEMA, partial(json_schema, name)))


def _listed(uri: str, title: str, mime_type: str, read: Callable[[], str]) -> FunctionResource:
    name = uri.rpartition("/")[2]
    return FunctionResource.from_function(
        fn=read, uri=uri, name=name, title=title, description=f"{title}.", mime_type=mime_type
    )


def _add_job_templates(server: MCPServer[Seats]) -> None:
    @server.resource("sybilion://jobs/{job_id}", title="A job", mime_type=_MARKDOWN)
    async def job(job_id: str) -> str:
        """Status, cost and artifacts of a job."""
        return await _told(_job_text(served_at(), job_id), _reading(job_id))

    parts = {
        "report": "The report on a finished job",
        "forecast": "The forecast of a job",
        "drivers": "The drivers of a job, with their doubts",
        "backtest": "How good past forecasts of a job were",
    }
    for part, title in parts.items():
        uri = f"sybilion://jobs/{{job_id}}/{part}"
        described = server.resource(uri, name=f"job_{part}", title=title, description=f"{title}.", mime_type=_MARKDOWN)
        described(_part(part))

    @server.resource("sybilion://jobs/{job_id}/artifacts/{name}", title="An artifact as sent", mime_type=_JSON)
    async def artifact(job_id: str, name: str) -> str | bytes:
        """The raw artifact; large, prefer the report."""
        return await _told(_artifact(served_at(), job_id, name), _reading(job_id))


def _part(part: str) -> Callable[[str], Awaitable[str]]:
    async def read(job_id: str) -> str:
        """Markdown summary of a finished job."""
        from sybilion_mcp.explain.told import Asked

        return (await _told(readers.told(served_at(), job_id, Asked(part)), _reading(job_id))).text

    return read


def guide_text(topic: str) -> str:
    if topic not in GUIDES:
        raise ResourceNotFoundError(f"There is no guide {identifier(topic)}; there are {', '.join(GUIDES)}.")
    return files("sybilion_mcp").joinpath("guide", f"{topic}.md").read_text(encoding="utf-8")


async def _artifact(desk: Desk, job_id: str, name: str) -> str | bytes:
    """As it was sent: text that may be read as text, everything else in bytes."""
    file = await (await readers.finished(desk, job_id)).file(desk, name)
    content = await results.artifact(desk, job_id, name)
    return content.decode(errors="replace") if file.is_text else content


def typed_files() -> ServerMiddleware[Any]:
    """An artifact read as a resource says what kind of file it is, which its template cannot know."""

    async def typed(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        result = await call_next(ctx)
        found = _ARTIFACT.fullmatch(str((ctx.params or {}).get("uri"))) if ctx.method == "resources/read" else None
        told = (
            ReadResourceResult.model_validate(result) if isinstance(result, dict) and "contents" in result else result
        )
        if found is None or not isinstance(told, ReadResourceResult):
            return result
        for one in told.contents:
            one.mime_type = media_type(unquote(found[1]), _head(one))
        return told

    return typed


def _head(content: TextResourceContents | BlobResourceContents) -> bytes:
    if isinstance(content, TextResourceContents):
        return content.text[:HEAD_BYTES].encode(errors="replace")
    return b64decode(content.blob[: HEAD_BYTES // 3 * 4])


async def _job_text(desk: Desk, job_id: str) -> str:
    known = await current(desk, job_id)
    job = known.job
    await keep(desk, job, known.backend)
    settled = "settled" if job.settled else "not settled"
    status = job.status if job.status in JOB_STATUSES else f"status {quoted(job.status, 32)}"
    lines = [f"Job {identifier(job_id)}: {status}, {settled}, backend {known.backend}."]
    if job.eur_cents_final is not None:
        lines.append(f"Cost: {job.eur_cents_final / 100:.2f} EUR.")
    names = await desk.store.artifact_names(job_id)
    lines += [f"- sybilion://jobs/{job_id}/artifacts/{identifier(name)}" for name in names[:_LISTED]]
    if len(names) > _LISTED:
        lines.append(f"and {len(names) - _LISTED} more, of which sybilion://jobs/{job_id}/artifacts/job.json tells")
    if names:
        lines.append(f"Report: sybilion://jobs/{job_id}/report")
    return "\n".join(lines)


async def _series_text(desk: Desk, series_id: str) -> str:
    panel = await desk.store.panels.get(series_id)
    if panel is not None:
        return await _panel_text(desk, panel)
    stored = await desk.store.series(series_id)
    if stored is None:
        raise Refusal("series_not_found", "No series is remembered under this id.", "Call validate_series.")
    from sybilion_mcp.service import listing

    title = quoted(stored.title) if stored.title else "without a title"
    lines = [f"Series {identifier(series_id)}: {title}", describe(profile(stored.points))]
    jobs = await listing.lines(desk, stored)
    return "\n".join([*lines, *(["Jobs on it and on its earlier or later states:", *jobs] if jobs else [])])


async def _panel_text(desk: Desk, panel: "StoredPanel") -> str:
    from sybilion_mcp.explain.eomer.sent import describe_panel
    from sybilion_mcp.service import listing

    title = quoted(panel.title) if panel.title else "without a title"
    jobs = await listing.panel_lines(desk, panel.series_id)
    lines = [f"Series {identifier(panel.series_id)}: {title}", *describe_panel(panel.series, panel.frequency)]
    return "\n".join([*lines, *(["Jobs on them:", *jobs] if jobs else [])])


def _reading(job_id: str) -> Subject:
    return Subject("read_artifact", {"job_id": job_id})


async def _told(reading: Awaitable[Value], subject: Subject) -> Value:
    """The value, or the failure as a resource error with its hint."""
    try:
        return await reading
    except (Refusal, BackendError) as error:
        failure = hints.explain(error, subject)
        kind = ResourceNotFoundError if failure.code in _NOT_FOUND else ResourceError
        raise kind(failure_text(failure)) from error
