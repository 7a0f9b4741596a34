"""A finished job as a folder: what was asked, what the API says of it, and its artifacts as they were sent."""

import os
import re
import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path

import anyio.to_thread

from sybilion_mcp.contract.request import encode
from sybilion_mcp.hints import Refusal
from sybilion_mcp.service import results
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.files import write_new
from sybilion_mcp.service.follow import keep

_STATUS, _REQUEST = "status.json", "submit_payload.json"
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


async def export(desk: Desk, job_id: str, folder: Path) -> dict[str, str]:
    """Write a new folder, whole or not at all; artifact → the file that holds it, by name.

    `explain` reads it. Raises `Refusal`, or `BackendError` when something is not kept yet and cannot be had now.
    """
    job, backend = await results.finished_job(desk, job_id)
    await keep(desk, job, backend)
    names = {one.name for one in job.artifacts} | set(await desk.store.artifact_names(job_id))
    files = _file_names(sorted(names))
    submission = await desk.store.submission_of(job_id)
    draft = await anyio.to_thread.run_sync(_new_folder, folder)
    try:
        await anyio.to_thread.run_sync(write_new, draft / _STATUS, [job.model_dump_json(indent=1).encode()])
        if submission is not None:
            request = dict(submission.request)
            await anyio.to_thread.run_sync(write_new, draft / _REQUEST, [encode(request)])
        written = {name: file for name, file in files.items() if await _written(desk, job_id, name, draft / file)}
        await anyio.to_thread.run_sync(_publish, draft, folder)
    finally:
        await anyio.to_thread.run_sync(lambda: shutil.rmtree(draft, ignore_errors=True))
    return written


async def _written(desk: Desk, job_id: str, name: str, path: Path) -> bool:
    """Whether there is such an artifact: some are listed, and gone since."""
    try:
        await results.write_artifact(desk, job_id, name, path)
    except Refusal as refusal:
        if refusal.code != "artifact_not_found":
            raise
        return False
    return True


def _file_names(names: Iterable[str]) -> dict[str, str]:
    """A name comes from outside: one that is no plain file name, or is taken, becomes artifact-1, artifact-2, …"""
    files: dict[str, str] = {}
    taken = {_STATUS, _REQUEST}
    for number, name in enumerate(names, 1):
        usable = _FILE_NAME.fullmatch(name) and not name.endswith(".") and name.casefold() not in taken
        files[name] = name if usable else f"artifact-{number}"
        taken.add(files[name].casefold())
    return files


def _new_folder(folder: Path) -> Path:
    """A folder beside the one that is wanted, which does not exist yet."""
    if os.path.lexists(folder):
        raise _exists()
    draft = folder.absolute().with_name(f".{secrets.token_hex(8)}.part")
    try:
        draft.mkdir()
    except OSError as error:
        raise _unusable(error) from error
    return draft


def _publish(draft: Path, folder: Path) -> None:
    """A rename fails when something has taken the name meanwhile."""
    try:
        draft.rename(folder)
    except OSError as error:
        raise (_exists() if os.path.lexists(folder) else _unusable(error)) from error


def _exists() -> Refusal:
    return Refusal("file_exists", "That folder exists already; nothing is overwritten.", "Name one that does not.")


def _unusable(error: OSError) -> Refusal:
    reason = error.strerror or "the system refused"
    return Refusal("file_unreadable", f"The folder cannot be made: {reason}.", "Name one inside a folder of yours.")
