"""Whose job it is that nobody here remembers: the default backend's, else that of another one that is configured."""

from sybilion_mcp.backends.base import AnswerError
from sybilion_mcp.hints import Refusal
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.keeping import write_down
from sybilion_mcp.store.records import StoredJob


def backends_of(desk: Desk) -> tuple[str, ...]:
    """Those that can be asked, the default one first. The embedded engine is only asked where it is the default."""
    settings = desk.settings
    default = settings.default_backend
    if desk.over_http:  # who runs the server has said where the keys of callers go
        return (default,)
    configured = {"sybilion": settings.api_token is not None, "eomer": settings.eomer_api_key is not None}
    return (default, *(name for name, has_key in configured.items() if has_key and name != default))


async def found(desk: Desk, job_id: str) -> StoredJob | None:
    """The job as it was found, and remembered from now on; None where one backend alone can be asked, or none knows it.

    Raises `BackendError` when a backend cannot tell before one that knows the job was asked.
    """
    names = backends_of(desk)
    for name in names if len(names) > 1 else ():
        try:
            backend = desk.backend(name)
            job = await backend.job(job_id)
        except Refusal:  # it cannot be asked here, and says so when no other knows the job
            continue
        except AnswerError as error:
            if error.status != 404:
                raise
            continue
        await write_down(desk, job, backend.name, anew=True)
        return StoredJob(job, backend.name)
    return None
