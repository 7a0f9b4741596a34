"""Keeping: what is seen of a job is written down, and what it offers is downloaded, checked, and kept for good.

What stands in the way of that is told in the log, and the next look tries again.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial

from sybilion_mcp.backends.base import AnswerError, BackendError, TooLargeError, TransportError
from sybilion_mcp.backends.origin import ElsewhereError, own_target
from sybilion_mcp.contract.eomer_files import DOCUMENT
from sybilion_mcp.contract.jobs import Job
from sybilion_mcp.hints import Refusal
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.store.draft import Draft

MAX_ARTIFACTS = 20
"""Kept of one job; the API knows six."""
MAX_OF_EOMER = 250
"""Each analysis of an explanation has files of its own."""

_log = logging.getLogger(__name__)


async def write_down(desk: Desk, job: Job, backend: str, *, anew: bool) -> bool:
    """Remember what was seen of a job; whether it is remembered now. Not `anew`: only when it was before."""
    try:
        with desk.patience.used() as seconds:
            return await desk.store.put_job(job, backend, anew=anew, patience=seconds)
    except Refusal as refusal:  # who looked has to hear of it all the same: it may say what the job cost
        _log.warning("what was seen of job %s is not written down: %s", job.job_id, refusal.message)
        return False


async def note_gone(desk: Desk, job_id: str) -> None:
    """Remember that the backend does not know a job any longer of which there is nothing here."""
    try:
        with desk.patience.used() as seconds:
            await desk.store.lose_job(job_id, patience=seconds)
    except Refusal as refusal:  # who looked hears of it all the same
        _log.warning("that job %s is not known any longer is not written down: %s", job_id, refusal.message)


async def keep(desk: Desk, job: Job, backend: str) -> None:
    """Download what a finished job offers and is not kept yet. What is kept needs no backend any more.

    What cannot be had now is left out; reading it by name says why.
    """
    if job.finished and job.artifacts:
        await desk.shared.once(("keep", backend, job.job_id), partial(_keep, desk, job, backend))


async def keep_anew(desk: Desk, job: Job, backend: str, name: str) -> None:
    """Keep an artifact in place of what is kept of it, which stays where that cannot be done now."""
    with suppress(BackendError, Refusal):
        async with downloaded(desk, job, backend, name) as draft:
            await shelve(desk, job.job_id, name, draft, instead=True)


async def kept_names(desk: Desk, job: Job) -> tuple[str, ...]:
    """The artifacts of a job, in order: those that are kept, and those on offer."""
    return tuple(sorted({*(await _kept(desk, job) or ()), *_offered(job)}))


async def _keep(desk: Desk, job: Job, backend: str) -> None:
    kept = await _kept(desk, job)
    if kept is None:
        return
    elsewhere = await _elsewhere(desk, job.job_id) if DOCUMENT in kept else frozenset()
    for name in [one for one in _offered(job) if one not in kept]:
        if name in elsewhere:
            continue
        try:
            async with downloaded(desk, job, backend, name) as draft:
                if not await shelve(desk, job.job_id, name, draft):
                    return
            if name == DOCUMENT:
                elsewhere = await _elsewhere(desk, job.job_id)
        except (BackendError, Refusal) as error:
            if not only_this_one(error):
                return


async def _elsewhere(desk: Desk, job_id: str) -> frozenset[str]:
    """The files of a job of Eomer that lie on other hosts: asking for them again is in vain."""
    from sybilion_mcp.contract.eomer import EomerJob, decoded

    content = await desk.store.artifact(job_id, DOCUMENT)
    try:
        files = decoded(EomerJob, content or b"").files
    except ValueError:
        return frozenset()
    base = desk.settings.eomer_api_base_url
    return frozenset(one.name for one in files if one.url is not None and own_target(base, one.url) is None)


async def _kept(desk: Desk, job: Job) -> list[str] | None:
    """None when nobody can tell."""
    try:
        return await desk.store.artifact_names(job.job_id)
    except Refusal as refusal:  # the look itself has an answer
        _log.warning("what is kept of job %s cannot be told: %s", job.job_id, refusal.message)
        return None


def _offered(job: Job) -> list[str]:
    names = [one.name for one in job.artifacts[:MAX_OF_EOMER]]
    return names if DOCUMENT in names else names[:MAX_ARTIFACTS]


def only_this_one(error: BackendError | Refusal) -> bool:
    """Whether other artifacts may still be had: this one is too large, not what it should be, or gone since."""
    if isinstance(error, Refusal):
        return error.code == "storage_failed" and error.retry_after_s is None  # a smaller one may have room
    if isinstance(error, TransportError):
        return error.kind == "unreadable_answer"
    return isinstance(error, TooLargeError | ElsewhereError) or (
        isinstance(error, AnswerError) and error.status in (404, 413)
    )


@asynccontextmanager
async def downloaded(desk: Desk, job: Job, backend: str, name: str) -> AsyncIterator[Draft]:
    """An artifact as its backend sends it.

    Raises `BackendError` when it does not come whole, `Refusal` when there is no room for it.
    """
    listed = next((one.size for one in job.artifacts if one.name == name), None)
    with Draft() as draft:
        first = await _poured(desk, job, backend, name, draft)
        if listed not in (None, draft.size):
            again = await _poured(desk, job, backend, name, draft)
            if draft.size != listed and not (first == again and await _has_ends(name, draft)):
                error = TransportError("artifact", "unreadable_answer", sent=True)
                error.backend = backend
                raise error
            if draft.size != listed:
                said = "%r of job %s came twice with %d bytes where %d are listed; that counts"
                _log.warning(said, name, job.job_id, draft.size, listed)
        elif backend == "eomer" and not await _has_ends(name, draft):  # which lists no sizes
            error = TransportError("artifact", "unreadable_answer", sent=True)
            error.backend = backend
            raise error
        yield draft


async def _poured(desk: Desk, job: Job, backend: str, name: str, draft: Draft) -> tuple[int, str]:
    """Its size and hash, as it came this time."""
    await desk.backend(backend).download(job.job_id, name, draft)
    await draft.seal()
    return draft.size, draft.sha256


async def _has_ends(name: str, draft: Draft) -> bool:
    """Whether it may be what its name says: JSON begins and ends with brackets, the page of a proxy does not."""
    if not name.endswith((".json", ".csv")):
        return True
    first, last = await draft.ends()
    return first != b"<" if name.endswith(".csv") else first + last in (b"{}", b"[]")


async def shelve(desk: Desk, job_id: str, name: str, draft: Draft, *, instead: bool = False) -> bool:
    """Keep an artifact, `instead` of a damaged copy; False when its job is not remembered any more.

    Raises `Refusal` when that cannot be done now.
    """
    try:
        with desk.patience.used() as seconds:
            return await desk.store.put_draft(job_id, name, draft, instead=instead, patience=seconds)
    except Refusal as refusal:
        _log.warning("%r of job %s is not kept: %s", name, job_id, refusal.message)
        raise
