"""Whatever goes wrong on the way, a question makes one job and its result is read at last.

One schedule alone: `python -m benchmarks.faults --only schedules --first 217 --schedules 1`.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
import stamina

from tests.faults.agent import seats
from tests.faults.run import SEATS, run
from tests.faults.schedules import schedule_of

pytestmark = pytest.mark.anyio

SCHEDULES, TOGETHER = 500, 25


@pytest.fixture(autouse=True)
def no_pauses_between_retries() -> Iterator[None]:
    with stamina.set_testing(True, attempts=2):
        yield


@pytest.mark.parametrize("first", range(0, SCHEDULES, TOGETHER))
async def test_random_faults(first: int, tmp_path: Path) -> None:
    async with seats(SEATS, tmp_path) as taken:
        for seed in range(first, first + TOGETHER):
            await run(schedule_of(seed), tmp_path / str(seed), taken)
