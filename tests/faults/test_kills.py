"""A process may be killed at any step: the next one finishes the work, with the one job."""

from pathlib import Path

import pytest

from tests.faults.kills import COMMITS, KILLS, Kill, killed, together

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("kill", KILLS, ids=lambda kill: kill.name)
async def test_the_next_process_finishes_the_work(kill: Kill, tmp_path: Path) -> None:
    assert await killed([kill], tmp_path) == []


async def test_in_the_middle_of_any_transaction_too(tmp_path: Path) -> None:
    assert await killed(COMMITS[::3], tmp_path) == []


async def test_several_processes_that_ask_the_same_at_once_make_one_job(tmp_path: Path) -> None:
    assert await together(5, tmp_path) == [1] * 5
