"""Whose results they are: the one place that decides how a finished job is read."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sybilion_mcp.contract.jobs import Job
from sybilion_mcp.contract.media import JSON, TEXTS, media_type
from sybilion_mcp.service import eomer_results, sybilion_results
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.results import begins, finished_job

if TYPE_CHECKING:
    from sybilion_mcp.explain.told import Asked, Told


@dataclass(frozen=True, slots=True)
class Reader:
    """One service's results. `told` makes a part of the report; `files` maps the short name of a part to its file.

    `told_only` parts have no file; `of_one` can be asked of one series of many, behind a slash. `any_kind`: files may
    be pictures and documents; otherwise all are JSON.
    """

    told: "Callable[[Desk, Job, str, Asked], Awaitable[Told]]"
    parts: tuple[str, ...]
    files: Mapping[str, str]
    any_kind: bool = False
    told_only: tuple[str, ...] = ()
    of_one: tuple[str, ...] = ()

    def tells(self, asked: "Asked") -> bool:
        """Whether that is told in words and tables rather than read from a file."""
        part, slash, _ = asked.artifact.partition("/")
        if slash and part not in self.of_one:
            return False
        return part in self.parts and (asked.view != "raw" or part in self.told_only or bool(slash))


@dataclass(frozen=True, slots=True)
class File:
    """`size` in bytes, where it was asked for."""

    kind: str
    size: int | None = None

    @property
    def is_text(self) -> bool:
        return self.kind in TEXTS


@dataclass(frozen=True, slots=True)
class Finished:
    """A finished job, and who reads it."""

    job: Job
    backend: str
    reader: Reader

    async def told(self, desk: Desk, asked: "Asked") -> "Told":
        return await self.reader.told(desk, self.job, self.backend, asked)

    async def file(self, desk: Desk, name: str) -> File:
        """What kind of file that is. Raises `Refusal` or `BackendError` when there is none."""
        if not self.reader.any_kind:
            return File(JSON)
        size, head = await begins(desk, self.job.job_id, name)
        return File(media_type(name, head), size)


_SYBILION = Reader(sybilion_results.told, tuple(sybilion_results.PARTS), sybilion_results.FILES)
_EOMER = Reader(
    eomer_results.told,
    ("report", "forecast", "drivers", "backtest", "input"),
    eomer_results.FILES,
    any_kind=True,
    told_only=("input",),
    of_one=("forecast", "backtest", "input"),
)


def reader_of(backend: str) -> Reader:
    return _EOMER if backend == "eomer" else _SYBILION


async def finished(desk: Desk, job_id: str) -> Finished:
    """Raises `Refusal` while the job is unfinished, and when it ended without results."""
    job, backend = await finished_job(desk, job_id)
    return Finished(job, backend, reader_of(backend))


async def told(desk: Desk, job_id: str, asked: "Asked") -> "Told":
    """A part of the report on a job. Raises `Refusal` or `BackendError`."""
    return await (await finished(desk, job_id)).told(desk, asked)
