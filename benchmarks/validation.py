"""How long the whole check of 120 points takes, warm: reading the points, every rule, profile and triage.

    python benchmarks/validation.py

Prints the median and the 95th percentile of 200 runs for a good series and for one with much wrong. Exit code 1
when a median misses the bar.
"""

import asyncio
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from datetime import date
from pathlib import Path

from sybilion_mcp.service.arguments import Options
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.validate import validate
from sybilion_mcp.settings import Settings

TODAY = date(2026, 11, 22)
TITLE = "Monthly demand for a made-up product in Austria, units"
RUNS = 200
BAR_MS = 5.0


def good_series(months: int = 120) -> dict[str, object]:
    end = 2026 * 12 + 9
    return {
        f"{month // 12}-{month % 12 + 1:02d}-01": round(100 + 0.3 * step + 9 * math.sin(month * math.pi / 6), 2)
        for step, month in enumerate(range(end - months + 1, end + 1))
    }


def bad_series() -> dict[str, object]:
    """A gap, and a null, a text, a NaN and a date that is none."""
    series = good_series(121)
    del series["2019-05-01"]
    return {**series, "2020-03-01": None, "2020-04-01": "7.5", "2020-06-01": math.nan, "2020-02-30": 1.0}


CASES: Mapping[str, tuple[Mapping[str, object], Options]] = {
    "good": (good_series(), Options(title=TITLE, soft_horizon=12)),
    "bad": (
        bad_series(),
        Options(title="Sales", soft_horizon=13, hard_horizon=14, keywords=["", "x" * 300], strictly_positive=True),
    ),
}


async def measure(series: Mapping[str, object], options: Options, runs: int = RUNS) -> list[float]:
    """Milliseconds of each of `runs` checks of one series, after a few to warm up."""
    with tempfile.TemporaryDirectory() as home:
        desk = Desk(Settings(home=Path(home)), today=lambda: TODAY)
        try:
            taken = []
            for _ in range(runs + 10):
                start = time.perf_counter()
                await validate(desk, series, options=options)
                taken.append((time.perf_counter() - start) * 1000)
        finally:
            await desk.aclose()
    return taken[10:]


def main() -> int:
    medians = []
    for name, (series, options) in CASES.items():
        taken = sorted(asyncio.run(measure(series, options)))
        medians.append(statistics.median(taken))
        print(
            f"{name:<6}{medians[-1]:6.2f} ms median {taken[int(0.95 * len(taken))]:6.2f} ms p95 (bar {BAR_MS:.0f} ms)"
        )
    return max(medians) > BAR_MS


if __name__ == "__main__":
    sys.exit(main())
