"""The files of a finished job: read as they are kept, else as its backend sends them, and then kept for good."""

import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import anyio.from_thread
import anyio.to_thread

from sybilion_mcp.backends.base import AnswerError
from sybilion_mcp.contract.jobs import Job
from sybilion_mcp.contract.media import HEAD_BYTES
from sybilion_mcp.hints import Refusal
from sybilion_mcp.next_step import NextStep
from sybilion_mcp.service import pages
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.files import write_new
from sybilion_mcp.service.follow import MAX_WAIT_SECONDS, current
from sybilion_mcp.service.keeping import downloaded, shelve
from sybilion_mcp.service.pages import Page
from sybilion_mcp.store.draft import DamagedArtifact
from sybilion_mcp.threads import Threads

PAGED_BYTES = 2 * 2**20
"""Of an artifact that is read in pages: each page takes reading all of it."""

_SAVING = Threads(8)
"""Each waits for pieces, which are unpacked in other threads."""

Value = TypeVar("Value")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Content:
    """An artifact that is not in memory: its size in bytes, and its bytes in pieces, to be read once."""

    size: int
    pieces: AsyncIterator[bytes]

    async def whole(self) -> bytes:
        return b"".join([piece async for piece in self.pieces])


async def artifact(desk: Desk, job_id: str, name: str) -> bytes:
    """One artifact as the API sent it. Raises `Refusal` or `BackendError` when there is none, or none so small."""

    async def small(content: Content) -> bytes:
        if content.size > PAGED_BYTES:
            raise too_large("The artifact", content.size, PAGED_BYTES, "is read in one answer")
        return await content.whole()

    return await _found(desk, job_id, name, small)


async def begins(desk: Desk, job_id: str, name: str) -> tuple[int, bytes]:
    """The size of an artifact, however large, and its first bytes. Raises as `artifact` does."""

    async def first(content: Content) -> tuple[int, bytes]:
        async for piece in content.pieces:
            return content.size, piece[:HEAD_BYTES]
        return 0, b""

    return await _found(desk, job_id, name, first)


async def page(content: bytes, offset: int, limit: int | None, *, lines: bool = False) -> Page:
    """A page of an artifact's records; of one that is text and no JSON, of its `lines`. Raises `Refusal`."""
    try:
        read = _lines if lines else json.loads
        return await anyio.to_thread.run_sync(lambda: pages.page(read(content), offset, limit))
    except (ValueError, RecursionError) as error:
        hint = "Write it to a file with save_to and look at it there."
        raise Refusal("unreadable_artifact", "The artifact is no JSON.", hint) from error


def _lines(content: bytes) -> list[str]:
    return content.decode("utf-8-sig", errors="replace").splitlines()


async def save(desk: Desk, save_to: str, text: str) -> Path:
    """Write to a new file inside an allowed folder; the path that was written. Raises `Refusal`, never overwrites."""
    path = await _writable(desk, save_to)
    await anyio.to_thread.run_sync(write_new, path, [text.encode()])
    return path


async def save_artifact(desk: Desk, save_to: str, job_id: str, name: str) -> Path:
    """As `save`, for an artifact as the API sent it, however large. Raises as `artifact` does."""
    path = await _writable(desk, save_to)
    await write_artifact(desk, job_id, name, path)
    return path


async def write_artifact(desk: Desk, job_id: str, name: str, path: Path) -> None:
    """Write an artifact as the API sent it, however large, to a path where nothing is yet."""

    async def write(content: Content) -> bool:
        await _SAVING.run(write_new, path, _as_they_come(content.pieces))
        return True

    await _found(desk, job_id, name, write)


async def _writable(desk: Desk, save_to: str) -> Path:
    if desk.settings.read_only:
        hint = "Read the artifact without save_to."
        raise Refusal("read_only", "The server runs in read-only mode.", hint, changes={"save_to": None})
    return await anyio.to_thread.run_sync(desk.folders.writable, save_to)


def _as_they_come(pieces: AsyncIterator[bytes]) -> Iterator[bytes]:
    """The pieces, for a thread that waits for each."""

    async def following() -> bytes | None:
        return await anext(pieces, None)

    while (piece := anyio.from_thread.run(following)) is not None:
        yield piece


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


async def _found(desk: Desk, job_id: str, name: str, use: Callable[[Content], Awaitable[Value]]) -> Value:
    job, backend = await finished_job(desk, job_id)
    used = await read(desk, job, backend, name, use)
    if used is None:
        raise Refusal("artifact_not_found", next=NextStep("get_status", {"job_id": job_id}))
    return used


async def read(
    desk: Desk, job: Job, backend: str, name: str, use: Callable[[Content], Awaitable[Value]]
) -> Value | None:
    """Use an artifact as it is kept, else as the backend sends it, and keep it then. None when there is no such one.

    A copy that is damaged is none, as long as the backend still has the artifact.
    """
    kept = await desk.store.kept_artifact(job.job_id, name)
    if kept is None and job.artifacts and name not in {one.name for one in job.artifacts}:
        return None
    if kept is not None:
        try:
            return await use(Content(kept.size, desk.store.pieces(kept)))
        except DamagedArtifact as error:
            _log.warning("what is kept of %r of job %s is damaged: %s", name, job.job_id, error)
    try:
        async with downloaded(desk, job, backend, name) as draft:
            with suppress(Refusal):  # told in the log; the next look tries to keep it again
                await shelve(desk, job.job_id, name, draft, instead=kept is not None)
            return await use(Content(draft.size, draft.pieces()))
    except AnswerError as error:
        if error.status != 404:
            raise
        if kept is not None:
            raise _damaged(job.job_id) from error
        return None  # listed, and gone since


def _wait(job_id: str) -> NextStep:
    return NextStep("get_status", {"job_id": job_id, "wait_seconds": MAX_WAIT_SECONDS})


def _damaged(job_id: str) -> Refusal:
    return Refusal(
        "storage_failed",
        "What was kept of this artifact is damaged, and the service does not have it any longer.",
        "The other artifacts of the job can still be read by name. A copy of desk.db made earlier may hold this one.",
        next=NextStep("get_status", {"job_id": job_id}),
    )


def too_large(name: str, size: int, most: int, use: str) -> Refusal:
    message = f"{name} has {size / 2**20:.1f} MiB, more than the {most >> 20} MiB that {use}."
    return Refusal("artifact_too_large", message, "Write it to a file with save_to and look at it there.")
