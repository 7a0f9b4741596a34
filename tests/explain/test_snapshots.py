"""The reports of the real jobs read as they did when somebody last looked at them."""

from pathlib import Path

import pytest

from tests.explain.recomputed import JOBS
from tests.explain.snapshots import FOLDER, rendered, snapshot


@pytest.mark.parametrize("name", JOBS)
def test_a_report_reads_as_it_was_approved(shared_data: Path, name: str) -> None:
    """Meant to change? Then `python -m tests.explain.snapshots`, and look at the difference."""
    if not FOLDER.is_dir():
        pytest.skip("there are no snapshots yet: python -m tests.explain.snapshots writes them")

    assert rendered(name) == snapshot(name).read_text(encoding="utf-8")
