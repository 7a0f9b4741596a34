"""The report on a job that speaks Sybilion's wire, hosted or embedded, and the parts of it.

What makes reports is imported with the first one: a server answers its first question sooner without it.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import anyio.to_thread

from sybilion_mcp.backends.base import AnswerError, TooLargeError
from sybilion_mcp.contract.artifacts import ArtifactError
from sybilion_mcp.contract.jobs import Job
from sybilion_mcp.hints import Refusal
from sybilion_mcp.next_step import NextStep
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.results import Content, finished_job, read, too_large

if TYPE_CHECKING:
    from sybilion_mcp.explain.facts import Report
    from sybilion_mcp.explain.told import Asked, Told

FILES = {
    "forecast": "forecast.json",
    "drivers": "external_signals.json",
    "backtest": "backtest_trajectories.json",
    "input": "input.json",
}
"""Short names of artifacts, and the file behind each."""


PARTS: Mapping[str, tuple[str, ...] | None] = {
    "report": None,
    "forecast": ("last_value", "forecast", "bands", "caveats"),
    "drivers": ("drivers", "caveats"),
    "backtest": ("skill", "verdict", "caveats"),
}
"""What is told of a job, and which parts of the report's data each carries; None means all."""


async def told(desk: Desk, job: Job, backend: str, asked: "Asked") -> "Told":
    """A part of the report. Raises as `report_of` does."""
    from sybilion_mcp.explain.report import rendered, report_data
    from sybilion_mcp.explain.told import Told

    made = await report_of(desk, job, backend)
    text, step = rendered(made, asked.artifact, "table" if asked.view == "table" else "summary", asked.offset)
    data = report_data(made)
    parts = PARTS[asked.artifact]
    return Told(text, data if parts is None else {name: data[name] for name in parts}, step)


async def report(desk: Desk, job_id: str) -> "Report":
    """What a finished job says, beside other jobs on its series.

    Raises `Refusal` when it is not finished, failed, or cannot be read.
    """
    return await report_of(desk, *await finished_job(desk, job_id))


async def report_of(desk: Desk, job: Job, backend: str) -> "Report":
    """The report on a finished job. Raises `Refusal` when it cannot be read."""
    from sybilion_mcp.explain.report import build_report
    from sybilion_mcp.service.reading import REPORTED, facts_of
    from sybilion_mcp.service.related import others

    job_id = job.job_id
    found = {name: await _reported(desk, job, backend, name) for name in REPORTED}
    artifacts = {name: content for name, content in found.items() if content is not None}
    _check_forecast(artifacts, job_id)
    submission = await desk.store.submission_of(job_id)
    sent = artifacts.get("input.json")
    beside = await others(desk, job_id, submission, sent)
    facts, today = facts_of(job, backend, submission, sent), desk.today()
    try:
        return await anyio.to_thread.run_sync(build_report, artifacts, facts, today, beside)
    except ArtifactError as error:
        raise _unreadable(str(error), job_id) from error


def _check_forecast(artifacts: Mapping[str, object], job_id: str) -> None:
    """Raises `Refusal` where there is none."""
    if "forecast.json" not in artifacts:
        hint = 'get_status lists what the job has; read that with view="raw".'
        message = "The job has no forecast.json, so there is no report."
        raise Refusal("artifact_not_found", message, hint, next=NextStep("get_status", {"job_id": job_id}))


async def _reported(desk: Desk, job: Job, backend: str, name: str) -> object:
    """One artifact decoded, or `Unread` and why; None when the job has none of that name."""
    from sybilion_mcp.explain.results import Unread
    from sybilion_mcp.service.reading import MOST_BYTES, decoded
    from sybilion_mcp.service.reading import too_large as unread

    async def use(content: Content) -> object:
        if content.size <= MOST_BYTES:
            return decoded(await content.whole())
        if name == "forecast.json":
            raise too_large(name, content.size, MOST_BYTES, "a report is made of")
        return unread(content.size)

    try:
        return await read(desk, job, backend, name, use)
    except (TooLargeError, AnswerError) as error:
        if name == "forecast.json" or (isinstance(error, AnswerError) and error.status != 413):
            raise
        return Unread("it is larger than anything the service sends")


def _unreadable(message: str, job_id: str) -> Refusal:
    hint = 'Read the artifact as it was sent with view="raw"; report it to the service when it is broken.'
    return Refusal("unreadable_artifact", message, hint, next=NextStep("get_status", {"job_id": job_id}))
