"""How long the whole check of 120 points takes: reading the points, every rule, profile and triage.

    python -m benchmarks.validation

First the check alone, warm, where the engine is not installed: a good series and one with much wrong. Then a call of
the tool validate_series in memory, with triage: without the engine, with its worker warm, and with a worker that has
to be started first, which happens once in a session and has no bar. Prints the median and the 95th percentile; exit
code 1 when a median misses its bar.
"""

import asyncio
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

from mcp import Client

from sybilion_mcp.server import build_server
from sybilion_mcp.service.arguments import Options
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.validate import validate
from sybilion_mcp.settings import Settings

TODAY = date(2026, 11, 22)
TITLE = "Monthly demand for a made-up product in Austria, units"
RUNS = 200
BAR_MS, BAR_BARE_MS, BAR_ENGINE_MS = 5.0, 20.0, 1500.0


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


class WithoutEngine(Desk):
    """A desk as it is where the engine is not installed."""

    @property
    def engine(self) -> None:
        return None


async def measure(series: Mapping[str, object], options: Options, runs: int = RUNS) -> list[float]:
    """Milliseconds of each of `runs` checks of one series, after a few to warm up."""
    with tempfile.TemporaryDirectory() as home:
        desk = WithoutEngine(Settings(home=Path(home)), today=lambda: TODAY)
        try:
            taken = []
            for _ in range(runs + 10):
                start = time.perf_counter()
                await validate(desk, series, options=options)
                taken.append((time.perf_counter() - start) * 1000)
        finally:
            await desk.aclose()
    return taken[10:]


async def measure_calls(kind: type[Desk], runs: int) -> list[float]:
    """Milliseconds of each of `runs` calls of the tool on a good series, from the first on a fresh desk."""
    taken = []
    with tempfile.TemporaryDirectory() as home:
        desk = kind(Settings(home=Path(home)), today=lambda: TODAY)
        async with Client(build_server(desk.settings, desk)) as client:
            for _ in range(runs):
                start = time.perf_counter()
                result = await client.call_tool(
                    "validate_series", {"series": good_series(), "title": TITLE, "soft_horizon": 12}
                )
                taken.append((time.perf_counter() - start) * 1000)
                found = (result.structured_content or {})["triage"]
                assert (found["engine_mae"] is None) == (kind is WithoutEngine), found
    return taken


def show(name: str, taken: Sequence[float], bar: float | None) -> bool:
    """Print one row; whether its median keeps to the bar."""
    middle, high = statistics.median(taken), sorted(taken)[int(0.95 * len(taken))]
    told = f" (bar {bar:.0f} ms)" if bar else ""
    print(f"{name:<42}{middle:8.2f} ms median {high:8.2f} ms p95{told}")
    return bar is None or middle <= bar


def main() -> int:
    met = [show(name, asyncio.run(measure(*case)), BAR_MS) for name, case in CASES.items()]
    met.append(show("validate_series, no engine", asyncio.run(measure_calls(WithoutEngine, RUNS)), BAR_BARE_MS))
    met.append(show("validate_series, engine warm", asyncio.run(measure_calls(Desk, 21))[1:], BAR_ENGINE_MS))
    cold = [asyncio.run(measure_calls(Desk, 1))[0] for _ in range(5)]
    met.append(show("validate_series, its worker not yet started", cold, None))
    return not all(met)


if __name__ == "__main__":
    sys.exit(main())
