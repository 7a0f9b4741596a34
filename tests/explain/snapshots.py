"""The reports of the real jobs as they read now, one text file each, to be looked at by eye and kept.

    python -m tests.explain.snapshots

Writes them anew to tests/explain/snapshots/; `git diff` then shows what a change did to them.
"""

import sys
from pathlib import Path

from sybilion_mcp.explain.report import render_report
from sybilion_mcp.service.folders import report_of_folder
from tests.conftest import SHARED_DATA
from tests.explain.recomputed import JOBS, TODAY

FOLDER = Path(__file__).parent / "snapshots"


def snapshot(name: str) -> Path:
    return FOLDER / f"{name}.txt"


def rendered(name: str) -> str:
    """The report as `sybilion-mcp explain` prints it, read on a fixed day."""
    return f"{render_report(report_of_folder(SHARED_DATA / 'sybilion-jobs' / name, TODAY))}\n"


def main() -> int:
    if not SHARED_DATA.is_dir():
        print(f"skipped: {SHARED_DATA} is not on this machine")
        return 1
    FOLDER.mkdir(exist_ok=True)
    for name in JOBS:
        snapshot(name).write_text(rendered(name), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
