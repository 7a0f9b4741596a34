"""Jobs of many series: the engine's own queue and workers, with other work in them."""

import asyncio
from collections.abc import Mapping
from concurrent.futures import Executor
from json import dumps
from pathlib import Path

import anyio

from sybilion_mcp.engine.eomer.asked import Asked, AskedTable, asked_of
from sybilion_mcp.engine.eomer.worker import run_many
from sybilion_mcp.engine.jobs import Engine


class RequestIdTaken(Exception):
    """A request id came again with another request."""


class EomerEngine:
    """One per process and home folder; `executor` replaces the worker processes, as the engine says."""

    def __init__(self, home: Path, *, workers: int = 2, executor: Executor | None = None) -> None:
        self.work = Engine(home, workers=workers, executor=executor, run=run_many)
        self._asked = AskedTable(home / "asked.db")
        self._submitting = asyncio.Lock()

    async def look(self) -> None:
        await self._asked.open()
        await self.work.look()

    async def submit(self, account: str, body: Mapping[str, object], request_id: str) -> tuple[str, Asked]:
        """The job of a checked body; under a request id that came before, the job of then.

        A process that dies between the two steps leaves a job that nobody knows of: to ask again makes the one that
        counts. Raises `TooManyJobs` and `RequestIdTaken`.
        """
        await self.look()
        asked = asked_of(body, request_id)
        async with self._submitting:
            known = await self._asked.job_of(account, request_id)
            if known is None:
                with anyio.CancelScope(shield=True):  # whoever asks may go away, but not between the two
                    job_id = await self.work.submit(account, dumps(dict(body)))
                    known = await self._asked.note(account, job_id, asked), asked
        assert known is not None  # a shielded scope swallows nothing
        if known[1] != asked:
            raise RequestIdTaken(request_id)
        return known

    async def asked(self, job_id: str) -> Asked | None:
        await self._asked.open()
        return await self._asked.of_job(job_id)

    async def aclose(self) -> None:
        await self.work.aclose()
        await self._asked.aclose()
