"""A finished job as a folder: what was asked, what the API says of it, and its artifacts as they were sent."""

import json
import os
import re
import secrets
import shutil
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import anyio.to_thread

from sybilion_mcp.backends.base import BackendError
from sybilion_mcp.contract.request import encode
from sybilion_mcp.hints import Refusal, Subject, explain
from sybilion_mcp.service import results
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.eomer_results import panel_of, title_of
from sybilion_mcp.service.files import write_new
from sybilion_mcp.service.keeping import keep, only_this_one
from sybilion_mcp.store.records import Submission

_STATUS, _REQUEST, PANEL = "status.json", "submit_payload.json", "panel.json"
_OF_THE_FOLDER = frozenset({"file_exists", "file_unreadable"})
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


@dataclass(frozen=True, slots=True)
class Exported:
    """`written`: artifact → the file that holds it, by name. `missing`: artifact → why it is not there."""

    written: Mapping[str, str]
    missing: Mapping[str, str]


async def export(desk: Desk, job_id: str, folder: Path) -> Exported:
    """Write a new folder, which `explain` reads, with every artifact that can be had.

    Raises `Refusal` or `BackendError`, and writes nothing, when none can be had or the folder cannot be written.
    """
    job, backend = await results.finished_job(desk, job_id)
    await keep(desk, job, backend)
    kept = await desk.store.artifact_names(job_id)
    files = _file_names(sorted({one.name for one in job.artifacts} | set(kept)))
    submission = await desk.store.submission_of(job_id)
    draft = await anyio.to_thread.run_sync(_new_folder, folder)
    try:
        await anyio.to_thread.run_sync(write_new, draft / _STATUS, [job.model_dump_json(indent=1).encode()])
        if submission is not None:
            request = dict(submission.request)
            await anyio.to_thread.run_sync(write_new, draft / _REQUEST, [encode(request)])
        await _panel(desk, backend, submission, draft)
        failed = await _artifacts(desk, job_id, files, frozenset(kept), draft)
        if failed and len(failed) == len(files):
            raise next(iter(failed.values()))
        await anyio.to_thread.run_sync(_publish, draft, folder)
    finally:
        await anyio.to_thread.run_sync(lambda: shutil.rmtree(draft, ignore_errors=True))
    written = {name: file for name, file in files.items() if name not in failed}
    return Exported(written, {name: _why(error, job_id) for name, error in failed.items()})


async def _panel(desk: Desk, backend: str, submission: Submission | None, folder: Path) -> None:
    """The series of a job of Eomer, whose request names them by id only."""
    if backend != "eomer" or submission is None:
        return
    panel = await panel_of(desk, submission.series_id)
    if panel is not None:
        content = {"frequency": panel.frequency, "title": await title_of(desk, submission), "series": panel.series}
        encoded = json.dumps(content, ensure_ascii=False).encode(errors="replace")
        await anyio.to_thread.run_sync(write_new, folder / PANEL, [encoded])


async def _artifacts(
    desk: Desk, job_id: str, files: Mapping[str, str], kept: Collection[str], folder: Path
) -> dict[str, BackendError | Refusal]:
    """Write them; what went wrong with those that cannot be had."""
    failed: dict[str, BackendError | Refusal] = {}
    away: BackendError | Refusal | None = None
    for name, file in files.items():
        if away is not None and name not in kept:  # the service would be asked in vain for each of them
            failed[name] = away
            continue
        try:
            await results.write_artifact(desk, job_id, name, folder / file)
        except (BackendError, Refusal) as error:
            if isinstance(error, Refusal) and error.code in _OF_THE_FOLDER:
                raise
            failed[name] = error
            if away is None and not _of_this_one(error):
                away = error
    return failed


def _of_this_one(error: BackendError | Refusal) -> bool:
    return only_this_one(error) or (isinstance(error, Refusal) and error.code == "artifact_not_found")


def _why(error: BackendError | Refusal, job_id: str) -> str:
    if isinstance(error, Refusal) and error.code == "artifact_not_found":
        return "The service lists it and does not have it."
    return explain(error, Subject("read_artifact", {"job_id": job_id})).message


def _file_names(names: Iterable[str]) -> dict[str, str]:
    """A name comes from outside: one that is no plain file name, or is taken, becomes artifact-1, artifact-2, …"""
    files: dict[str, str] = {}
    taken = {_STATUS, _REQUEST, PANEL}
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
    except FileNotFoundError as error:
        message, hint = "The folder that it would lie in does not exist.", "Make that one first, or name another place."
        raise Refusal("file_not_found", message, hint) from error
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
