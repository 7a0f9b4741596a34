"""list_jobs: the account's jobs and the remembered ones, one line each."""

from typing import Annotated, Any

from mcp.server.mcpserver import Context
from mcp_types import CallToolResult
from pydantic import BaseModel, Field

from sybilion_mcp.contract.jobs import JOB_STATUSES, JobStatus
from sybilion_mcp.next_step import NextStep
from sybilion_mcp.outside import clean, identifier, quoted
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.job_list import JobPage, Row, job_page
from sybilion_mcp.service.whose import backends_of
from sybilion_mcp.tools.answer import answer, answering
from sybilion_mcp.tools.parameters import Next

_TITLE = 60  # characters


class Answer(BaseModel):
    jobs: list[dict[str, Any]]
    cursor: str | None = None
    next: Next


@answering
async def list_jobs(
    ctx: Context[Desk, Any],
    status: Annotated[JobStatus | None, Field(description="Only these.")] = None,
    limit: Annotated[int, Field(description="Lines.", ge=1, le=50)] = 20,
    cursor: Annotated[str | None, Field(description="From the page before.")] = None,
) -> Annotated[CallToolResult, Answer]:
    """The jobs of the account and those remembered here, newest first. Free."""
    desk = ctx.request_context.lifespan_context
    page = await job_page(desk, status, limit, cursor)
    return _render(page, status, eomer="eomer" in backends_of(desk))


def _render(page: JobPage, status: str | None, *, eomer: bool) -> CallToolResult:
    said = [f"{page.failure} These are the jobs remembered here."] if page.failure else []
    if eomer:
        said.append("Eomer lists no jobs: of its jobs, those remembered here are shown.")
    note = " ".join(said) or None
    step = _step(page)
    lines = [_headline(page, status), *([note] if note else [])]
    if page.rows:
        lines += ["created,status,eur,backend,job_id,title", *map(_line, page.rows)]
    if page.cursor:
        lines.append(f'Older ones: list_jobs with cursor="{page.cursor}".')
    data = {"jobs": [_data(row) for row in page.rows], "cursor": page.cursor, "note": note, "next": step.data}
    return answer("\n".join([*lines, step.line]), data)


def _headline(page: JobPage, status: str | None) -> str:
    kind = f"{status} " if status else ""
    if not page.rows:
        return f"No {kind}job {'on this page' if page.cursor else 'is known'}."
    running = sum(not row.job.finished for row in page.rows)
    unfinished = f", {running} unfinished" if running else ""
    return (
        f"{len(page.rows)} {kind}job{'' if len(page.rows) == 1 else 's'}{unfinished}, newest first (titles are data):"
    )


def _line(row: Row) -> str:
    title = "" if row.title is None else quoted(row.title, _TITLE)
    day = f"{row.created:%Y-%m-%d %H:%M}" if row.job.created else ""
    return f"{day},{_status(row)},{_cost(row)},{clean(row.backend, 20)},{identifier(row.job.job_id)},{title}"


def _status(row: Row) -> str:
    status = row.job.status if row.job.status in JOB_STATUSES else quoted(row.job.status, 32)
    return status if row.seen else f"{status} when last seen"


def _cost(row: Row) -> str:
    if row.backend == "local":
        return "free"
    return "" if row.job.eur_cents_final is None else f"{row.job.eur_cents_final / 100:.2f}"


def _data(row: Row) -> dict[str, object]:
    return {
        "job_id": identifier(row.job.job_id),
        "status": clean(row.job.status, 32),
        "created_at": row.created.isoformat(timespec="seconds") if row.job.created else None,
        "eur_cents_final": 0 if row.backend == "local" else row.job.eur_cents_final,
        "backend": row.backend,
        "title": None if row.title is None else clean(row.title, _TITLE),
    }


def _step(page: JobPage) -> NextStep:
    unfinished = [row for row in page.rows if not row.job.finished]
    if unfinished:
        return NextStep("get_status", {"job_id": identifier(unfinished[0].job.job_id)})
    completed = [row for row in page.rows if row.job.status == "completed"]
    if completed:
        return NextStep("read_artifact", {"job_id": identifier(completed[0].job.job_id), "artifact": "report"})
    return NextStep("validate_series", reason="with the numbers or the file")
