"""Results: the artifacts of a finished job, kept for good, and the report made of them.

What makes reports is imported with the first one: a server answers its first question sooner without it.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from sybilion_mcp.backends.base import AnswerError, TooLargeError
from sybilion_mcp.contract.artifacts import ArtifactError
from sybilion_mcp.contract.jobs import Job
from sybilion_mcp.hints import Refusal
from sybilion_mcp.next_step import NextStep
from sybilion_mcp.service import pages
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.files import write_new
from sybilion_mcp.service.follow import current
from sybilion_mcp.service.pages import Page

if TYPE_CHECKING:
    from sybilion_mcp.explain.facts import Report

FILES = {
    "forecast": "forecast.json",
    "drivers": "external_signals.json",
    "backtest": "backtest_trajectories.json",
    "input": "input.json",
}
"""Short names of artifacts, and the file behind each."""

PAGED_BYTES = 2 * 2**20
"""Of an artifact that is read in pages: each page takes reading all of it."""


async def report(desk: Desk, job_id: str) -> "Report":
    """What a finished job says, beside other jobs on its series.

    Raises `Refusal` when it is not finished, failed, or cannot be read.
    """
    from sybilion_mcp.explain.report import build_report
    from sybilion_mcp.service.reading import REPORTED, facts_of
    from sybilion_mcp.service.related import others

    job, backend = await finished_job(desk, job_id)
    sizes = await desk.store.artifact_sizes(job_id)
    read = {name: await _reported(desk, job, backend, name, sizes.get(name)) for name in REPORTED}
    artifacts = {name: content for name, content in read.items() if content is not None}
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


async def artifact(desk: Desk, job_id: str, name: str) -> bytes:
    """One artifact as the API sent it. Raises `Refusal` or `BackendError` when there is none."""
    job, backend = await finished_job(desk, job_id)
    content = await _content(desk, job, backend, name)
    if content is None:
        raise _not_found(job_id)
    return content


async def page(content: bytes, offset: int, limit: int | None) -> Page:
    """A page of an artifact's records. Raises `Refusal` when it is no JSON, or more than `PAGED_BYTES`."""
    if len(content) > PAGED_BYTES:
        raise _too_large("The artifact", len(content), PAGED_BYTES, "is read in pages")
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


async def _reported(desk: Desk, job: Job, backend: str, name: str, kept_bytes: int | None) -> object:
    """One artifact decoded, or `Unread` and why; None when the job has none of that name."""
    from sybilion_mcp.explain.results import Unread
    from sybilion_mcp.service.reading import MOST_BYTES, decoded, too_large

    try:
        large = kept_bytes is not None and kept_bytes > MOST_BYTES
        content = None if large else await _content(desk, job, backend, name)
    except (TooLargeError, AnswerError) as error:
        if name == "forecast.json" or (isinstance(error, AnswerError) and error.status != 413):
            raise
        return Unread("it is larger than anything the service sends")
    size = len(content) if content is not None else kept_bytes or 0
    if size > MOST_BYTES and name == "forecast.json":
        raise _too_large(name, size, MOST_BYTES, "a report is made of")
    if size > MOST_BYTES:
        return too_large(size)
    return None if content is None else decoded(content)


def _wait(job_id: str) -> NextStep:
    return NextStep("get_status", {"job_id": job_id, "wait_seconds": 45})


def _not_found(job_id: str) -> Refusal:
    return Refusal("artifact_not_found", next=NextStep("get_status", {"job_id": job_id}))


def _too_large(name: str, size: int, most: int, use: str) -> Refusal:
    message = f"{name} has {size / 2**20:.1f} MiB, more than the {most >> 20} MiB that {use}."
    return Refusal("artifact_too_large", message, "Write it to a file with save_to and look at it there.")


def _unreadable(message: str, job_id: str) -> Refusal:
    hint = 'Read the artifact as it was sent with view="raw"; report it to the service when it is broken.'
    return Refusal("unreadable_artifact", message, hint, next=NextStep("get_status", {"job_id": job_id}))
