"""What a job of Eomer says: its files are kept, all that can be had, and read as one."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from sybilion_mcp.contract.artifacts import ArtifactError
from sybilion_mcp.contract.eomer_files import DOCUMENT, EXPLANATION, FORECAST, HINDCAST
from sybilion_mcp.contract.jobs import Job
from sybilion_mcp.hints import Refusal
from sybilion_mcp.next_step import NextStep
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.keeping import keep
from sybilion_mcp.service.results import Content, read

if TYPE_CHECKING:
    from sybilion_mcp.explain.eomer.periods import Panel
    from sybilion_mcp.explain.results import Unread
    from sybilion_mcp.explain.told import Asked, Told
    from sybilion_mcp.store.records import Submission

FILES = {"forecast": FORECAST, "drivers": EXPLANATION, "backtest": HINDCAST}
"""Short names of parts, and the file behind each."""

MOST_BYTES = 32 * 2**20
"""Of one file that a report is made of."""
KEEPING_SECONDS = 15
"""For files that are not kept yet; what does not come in time is fetched at the next look."""
AGAIN_SECONDS = 5
"""For those that did not come then."""
_NEEDED = (FORECAST, DOCUMENT, HINDCAST)


async def told(desk: Desk, job: Job, backend: str, asked: "Asked") -> "Told":
    """A part of the report. Raises `Refusal` when it cannot be read, or names no series of the job."""
    from sybilion_mcp.explain.eomer import report
    from sybilion_mcp.explain.eomer.results import READ, UnknownSeries, read_results

    sizes = await _kept(desk, job, backend)
    files = {
        name: await _optional(desk, job.job_id, name, sizes[name])
        for name in READ
        if name in sizes and name != FORECAST
    }
    forecast = await read(desk, job, backend, FORECAST, _bounded)
    given = files if forecast is None else {**files, FORECAST: forecast}
    submission = await desk.store.submission_of(job.job_id)
    panel = await panel_of(desk, submission.series_id if submission else None)
    title = await title_of(desk, submission)

    def make() -> "Told":
        from sybilion_mcp.service.reading import facts_of

        facts = facts_of(job, backend, submission, None, title)
        results = read_results(given, facts, panel)
        return report.told(results, asked, desk.today())

    try:
        return await anyio.to_thread.run_sync(make)
    except UnknownSeries as error:
        listed = NextStep("read_artifact", {"job_id": job.job_id, "artifact": "forecast", "view": "table"})
        raise Refusal("invalid_argument", str(error), "Look the series up in the forecast.", next=listed) from error
    except ArtifactError as error:
        hint = 'Read the file as it was sent with view="raw"; report it to the service when it is broken.'
        step = NextStep("get_status", {"job_id": job.job_id})
        raise Refusal("unreadable_artifact", str(error), hint, next=step) from error


async def _kept(desk: Desk, job: Job, backend: str) -> dict[str, int]:
    """Name → bytes of what is kept, once what a report is made of was asked for where it is not."""
    sizes = await desk.store.artifact_sizes(job.job_id)
    missing = [one.name for one in job.artifacts if one.name in _NEEDED and one.name not in sizes]
    if not missing:
        return sizes
    with anyio.move_on_after(KEEPING_SECONDS if FORECAST in missing else AGAIN_SECONDS):
        await keep(desk, job, backend)
    return await desk.store.artifact_sizes(job.job_id)


async def _bounded(content: Content) -> "bytes | Unread":
    from sybilion_mcp.explain.results import Unread

    if content.size > MOST_BYTES:
        return Unread(f"its {content.size >> 20} MiB are more than the {MOST_BYTES >> 20} MiB that are read")
    return await content.whole()


async def _optional(desk: Desk, job_id: str, name: str, size: int) -> "bytes | Unread":
    """What is kept of a file that a report can do without."""
    from sybilion_mcp.explain.results import Unread

    if size > MOST_BYTES:
        return Unread(f"its {size >> 20} MiB are more than the {MOST_BYTES >> 20} MiB that are read")
    kept = await desk.store.artifact(job_id, name)
    return Unread("what was kept of it is damaged") if kept is None else kept


async def panel_of(desk: Desk, series_id: str | None) -> "Panel | None":
    """The series behind a job; a monthly one is a panel of one. None where they are not remembered."""
    from sybilion_mcp.explain.eomer.periods import Panel

    if not series_id:
        return None
    stored = await desk.store.panels.get(series_id)
    if stored is not None:
        return Panel(stored.series, stored.frequency)
    monthly = await desk.store.series(series_id)
    return None if monthly is None else Panel({"series": monthly.points}, "MS")


async def title_of(desk: Desk, submission: "Submission | None") -> str | None:
    """As the job was asked for, else as its series are called."""
    if submission is None:
        return None
    said = _said(submission.request)
    if said or not submission.series_id:
        return said
    panel = await desk.store.panels.get(submission.series_id)
    return panel.title if panel else None


def _said(request: Mapping[str, object]) -> str | None:
    metadata = request.get("timeseries_metadata")
    title = metadata.get("title") if isinstance(metadata, Mapping) else request.get("title")
    return title if isinstance(title, str) and title else None
