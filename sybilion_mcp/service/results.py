"""Results: the artifacts of a finished job, kept for good, and the report made of them.

What makes reports is imported with the first one: a server answers its first question sooner without it.
"""

import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
from pydantic import ValidationError

from sybilion_mcp.backends.base import AnswerError
from sybilion_mcp.contract.jobs import Job
from sybilion_mcp.hints import Refusal
from sybilion_mcp.next_step import NextStep
from sybilion_mcp.service import pages
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.files import write_new
from sybilion_mcp.service.follow import asked_again, current
from sybilion_mcp.service.pages import Page
from sybilion_mcp.store.records import Submission

if TYPE_CHECKING:
    from sybilion_mcp.explain.facts import JobFacts, Report

FILES = {
    "forecast": "forecast.json",
    "drivers": "external_signals.json",
    "backtest": "backtest_trajectories.json",
    "input": "input.json",
}
"""Short names of artifacts, and the file behind each."""

REPORTED = (
    "forecast.json",
    "external_signals.json",
    "backtest_metrics.json",
    "backtest_trajectories.json",
    "input.json",
)


async def report(desk: Desk, job_id: str) -> "Report":
    """What a finished job says. Raises `Refusal` when it is not finished, failed, or cannot be read."""
    job, backend = await finished_job(desk, job_id)
    read = {name: await _json(desk, job, backend, name) for name in REPORTED}
    artifacts = {name: content for name, content in read.items() if content is not None}
    if "forecast.json" not in artifacts:
        hint = 'get_status lists what the job has; read that with view="raw".'
        message = "The job has no forecast.json, so there is no report."
        raise Refusal("artifact_not_found", message, hint, next=NextStep("get_status", {"job_id": job_id}))
    from sybilion_mcp.contract.artifacts import ArtifactError
    from sybilion_mcp.explain.report import build_report

    facts = _facts(job, backend, await desk.store.submission_of(job_id), artifacts.get("input.json"))
    try:
        return build_report(artifacts, facts, desk.today())
    except ArtifactError as error:
        raise _unreadable(str(error), job_id) from error


async def artifact(desk: Desk, job_id: str, name: str) -> bytes:
    """One artifact as the API sent it. Raises `Refusal` or `BackendError` when there is none."""
    job, backend = await finished_job(desk, job_id)
    content = await _content(desk, job, backend, name)
    if content is None:
        raise _not_found(job_id)
    return content


async def page(content: bytes, offset: int, limit: int | None) -> Page:
    """A page of an artifact's records. Raises `Refusal` when it is no JSON."""
    try:
        return await anyio.to_thread.run_sync(lambda: pages.page(json.loads(content), offset, limit))
    except (ValueError, RecursionError) as error:
        hint = "Write it to a file with save_to and look at it there."
        raise Refusal("unreadable_artifact", "The artifact is no JSON.", hint) from error


async def save(desk: Desk, save_to: str, content: bytes) -> Path:
    """Write to a new file inside an allowed folder; the path that was written. Raises `Refusal`, never overwrites."""
    if desk.settings.read_only:
        raise Refusal("read_only", "The server runs in read-only mode.", "Read the artifact without save_to.")

    def write() -> Path:
        path = desk.folders.writable(save_to)
        write_new(path, content)
        return path

    return await anyio.to_thread.run_sync(write)


async def finished_job(desk: Desk, job_id: str) -> tuple[Job, str]:
    """The job and its backend. Raises `Refusal` while it is unfinished, and when it ended without results."""
    known = await current(desk, job_id)
    job, backend = known.job, known.backend
    if not job.finished:
        raise Refusal("not_ready", next=_wait(job_id), retry_after_s=20)
    if job.status != "completed":
        raise Refusal(
            "job_failed",
            f"The job ended {job.status}: there are no results.",
            "get_status tells why, and what to do about it.",
            next=NextStep("get_status", {"job_id": job_id}),
        )
    return job, backend


async def _content(desk: Desk, job: Job, backend: str, name: str) -> bytes | None:
    """An artifact as it is kept, else from the backend and then kept. None when there is none of that name."""
    kept = await desk.store.artifact(job.job_id, name)
    if kept is not None or (job.artifacts and name not in {one.name for one in job.artifacts}):
        return kept
    try:
        content = await desk.backend(backend).artifact(job.job_id, name)
    except AnswerError as error:
        if error.status == 404:  # listed, and gone since
            return None
        raise
    await desk.store.put_artifact(job.job_id, name, content)
    return content


async def _json(desk: Desk, job: Job, backend: str, name: str) -> object:
    content = await _content(desk, job, backend, name)
    try:
        return None if content is None else json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _unreadable(f"{name} is no JSON.", job.job_id) from error


def report_of_folder(folder: Path, today: date) -> "Report":
    """The report on artifacts that lie in a folder, with status.json and submit_payload.json where they are there.

    Raises `ArtifactError` when the folder holds no readable forecast.json.
    """
    from sybilion_mcp.contract.artifacts import ArtifactError
    from sybilion_mcp.explain.report import build_report

    artifacts: dict[str, object] = {}
    for path in sorted(folder.glob("*.json")):
        try:
            artifacts[path.name] = json.loads(path.read_bytes())
        except (ValueError, RecursionError) as error:
            raise ArtifactError(f"{path.name} is no JSON.") from error
    status = artifacts.get("status.json", {"job_id": folder.name, "status": "completed", "settled": True})
    try:
        job = Job.model_validate(status)
    except ValidationError as error:
        raise ArtifactError("status.json is no job of the API.") from error
    request = artifacts.get("submit_payload.json") or artifacts.get("input.json")
    backend = "local" if _is_embedded(artifacts.get("forecast.json")) else "sybilion"
    return build_report(artifacts, _facts(job, backend, None, request), today)


def _is_embedded(forecast: object) -> bool:
    """Only the embedded engine says how it made a forecast."""
    data = forecast.get("data") if isinstance(forecast, dict) else None
    return isinstance(data, dict) and "pipeline_info" in data


def _facts(job: Job, backend: str, submission: Submission | None, sent: object) -> "JobFacts":
    """What is known beside the artifacts: from our submission, or from the job's own input when another made it."""
    from sybilion_mcp.explain.facts import JobFacts

    request = submission.request if submission else sent if isinstance(sent, Mapping) else {}
    metadata = request.get("timeseries_metadata")
    title = metadata.get("title") if isinstance(metadata, Mapping) else None
    return JobFacts(
        job_id=job.job_id,
        title=str(title or "Untitled series"),
        backend=backend,
        settled_at=job.settled_at,
        eur_cents_final=job.eur_cents_final,
        request=request,
        driver_names=submission.driver_names if submission else {},
        again=asked_again(submission) if submission else {},
    )


def _wait(job_id: str) -> NextStep:
    return NextStep("get_status", {"job_id": job_id, "wait_seconds": 45})


def _not_found(job_id: str) -> Refusal:
    return Refusal("artifact_not_found", next=NextStep("get_status", {"job_id": job_id}))


def _unreadable(message: str, job_id: str) -> Refusal:
    hint = 'Read the artifact as it was sent with view="raw"; report it to the service when it is broken.'
    return Refusal("unreadable_artifact", message, hint, next=NextStep("get_status", {"job_id": job_id}))
