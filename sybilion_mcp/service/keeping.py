"""Downloads: an artifact comes in pieces, is checked, and is kept for good."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sybilion_mcp.contract.jobs import Job
from sybilion_mcp.hints import Refusal
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.store.draft import Draft

_log = logging.getLogger(__name__)


@asynccontextmanager
async def downloaded(desk: Desk, job: Job, backend: str, name: str, *, instead: bool = False) -> AsyncIterator[Draft]:
    """An artifact as its backend sends it; kept, or where that fails told in the log and still there to be read.

    `instead` of a damaged copy. Raises `BackendError` when it does not come whole, `Refusal` when it has no room.
    """
    listed = next((one.size for one in job.artifacts if one.name == name), None)
    with Draft() as draft:
        await desk.backend(backend).download(job.job_id, name, draft, listed)
        await draft.seal()
        try:
            await desk.store.put_draft(job.job_id, name, draft, instead=instead)
        except Refusal as refusal:  # whoever asked for it has it; the next look tries to keep it again
            _log.warning("%r of job %s is not kept: %s", name, job.job_id, refusal.message)
        yield draft
