"""Many who write artifacts to files at once, and threads that are all taken."""

import threading
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from sybilion_mcp.service import results
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.follow import follow
from tests.hosted import HostedApi
from tests.service.conftest import OpenDesk
from tests.service.locks import locked

pytestmark = pytest.mark.anyio

NAME = "external_signals.json"
LARGE = b'["' + b"x" * (3 * 2**20) + b'"]'
"""In several pieces."""


async def silent(*_: object) -> None:
    pass


@pytest.fixture
def finished(api: HostedApi) -> str:
    job_id = api.make_job()
    api.artifacts[job_id][NAME] = LARGE
    api.finish(job_id)
    return job_id


@pytest.fixture
def desk(open_desk: OpenDesk, tmp_path: Path) -> Desk:
    return open_desk(allow_dirs=(tmp_path,))


async def test_more_saves_at_once_than_there_are_threads_all_end(desk: Desk, finished: str, tmp_path: Path) -> None:
    await follow(desk, finished, 0, silent)
    saves = int(anyio.to_thread.current_default_thread_limiter().total_tokens) + 8

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            for number in range(saves):
                group.start_soon(results.save_artifact, desk, str(tmp_path / f"{number}.json"), finished, NAME)

    assert {(tmp_path / f"{number}.json").read_bytes() for number in range(saves)} == {LARGE}


async def test_what_is_kept_while_all_threads_are_taken_locks_nobody_out(desk: Desk, finished: str) -> None:
    await desk.store.job_ids("", 1)
    over = threading.Event()

    async def take_one() -> None:
        await anyio.to_thread.run_sync(over.wait)

    async with anyio.create_task_group() as group:
        for _ in range(int(anyio.to_thread.current_default_thread_limiter().total_tokens)):
            group.start_soon(take_one)
        await anyio.wait_all_tasks_blocked()
        try:
            with anyio.fail_after(20):
                await follow(desk, finished, 0, silent)
                with locked(desk.settings.home):
                    kept = await desk.store.artifact_names(finished)
        finally:
            over.set()

    assert NAME in kept
