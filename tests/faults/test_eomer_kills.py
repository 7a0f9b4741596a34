"""A process that works with Eomer may be killed at any step: the next one finishes the work, with the one job."""

from pathlib import Path

import pytest

from tests.faults.eomer import KILLS, killed
from tests.faults.kills import Kill

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("kill", KILLS, ids=lambda kill: kill.name)
async def test_the_next_process_finishes_the_work(kill: Kill, tmp_path: Path) -> None:
    assert await killed([kill], tmp_path) == []
