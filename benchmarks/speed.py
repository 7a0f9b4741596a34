"""Seconds and memory of the embedded engine's jobs, and how many a minute two workers settle.

    python -m benchmarks.speed [--every N] [--runs N] [--jobs N]

Each configuration has a fresh worker process of one thread. Seconds are the median of the runs after that worker's
start-up, which is measured apart: from starting the process to the end of its first, smallest job. Memory is the
most that the process ever held. The series are made up from fixed seeds. Exit code 1 when a bar is missed.
"""

import argparse
import asyncio
import json
import math
import random
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from uuid import UUID

import httpx

from benchmarks.scoring import Bar, engine_forecast, figure, positive, print_bars, print_table, run_many
from sybilion_mcp.contract.months import month_of
from sybilion_mcp.contract.series_rules import longest_horizon
from sybilion_mcp.engine.candidate import Candidate

TODAY = date(2026, 6, 15)
LAST = 2026 * 12 + 4  # May 2026, as a running month number
LENGTHS, HORIZONS = (40, 60, 120, 240, 1200), (3, 6, 12)
AUX, FOLDER = 10, 70
WORKERS = 2
BAR_SECONDS = {"plain": 1.0, "backtest": 6.0, "drivers": 12.0}
BAR_MB = 500.0


@dataclass(frozen=True, slots=True)
class Configuration:
    """One kind of job: months of history, months ahead, and the series that may drive it."""

    length: int
    horizon: int
    aux: int = 0
    candidates: int = 0
    backtest: bool = False

    @property
    def drivers(self) -> str:
        if self.aux:
            return f"{self.aux} aux"
        return f"{self.candidates} in the folder" if self.candidates else "none"


@dataclass(frozen=True, slots=True)
class Cost:
    """The median seconds of a job, those of the worker's start-up, and the most memory in MB."""

    seconds: float
    start_up: float
    megabytes: float


def made_up(months: int, seed: int) -> dict[str, float]:
    """A seasonal series with trend and noise, the last month May 2026 (YYYY-MM-01 → value)."""
    chance = random.Random(seed)
    level = 200.0
    found = {}
    for step in range(months):
        level += chance.gauss(0.2, 2.0)
        value = level + 15.0 * math.sin((step + seed) * math.pi / 6) + chance.gauss(0.0, 2.0)
        found[f"{month_of(LAST - months + 1 + step)}-01"] = round(max(value, 1.0), 3)
    return found


def request(one: Configuration, seed: int = 0) -> dict[str, object]:
    body: dict[str, object] = {
        "pipeline_version": "v1",
        "frequency": "monthly",
        "recency_factor": 0.5,
        "soft_horizon": one.horizon,
        "backtest": one.backtest,
        "timeseries_metadata": {"title": "A made-up series for measuring time"},
        "timeseries": made_up(one.length, seed),
    }
    if one.aux:
        body["aux_timeseries"] = [made_up(one.length, 1000 + number) for number in range(one.aux)]
    return body


def folder(one: Configuration) -> list[Candidate]:
    return [
        Candidate(str(UUID(int=number + 1)), f"series {number}", made_up(one.length, 2000 + number))
        for number in range(one.candidates)
    ]


def measure(task: tuple[Configuration, int, float]) -> Cost:
    """In a fresh worker that was started at `task[2]` (seconds of the wall clock): `task[1]` jobs, one by one."""
    one, runs, started = task
    engine_forecast(request(Configuration(min(LENGTHS), min(HORIZONS))))
    start_up = time.time() - started
    body, candidates = request(one), folder(one)
    seconds = [engine_forecast(body, candidates).seconds for _ in range(runs)]
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    return Cost(statistics.median(seconds), start_up, most)


def configurations(every: int) -> list[Configuration]:
    """The rows of the table: every length and horizon that go together, then drivers; without a backtest."""
    alone = [
        Configuration(length, horizon)
        for length in LENGTHS
        for horizon in HORIZONS
        if horizon <= (longest_horizon(length) or 0)
    ]
    driven = [
        Configuration(length, 12, aux, candidates)
        for length in (120, max(LENGTHS))
        for aux, candidates in ((AUX, 0), (0, FOLDER))
    ]
    barred = (Configuration(120, 12), Configuration(120, 12, candidates=FOLDER))
    return [one for place, one in enumerate([*alone, *driven]) if place % every == 0 or one in barred]


def cost(one: Configuration, runs: int, *, backtest: bool) -> Cost:
    asked = Configuration(one.length, one.horizon, one.aux, one.candidates, backtest)
    return run_many(measure, [(asked, runs, time.time())], 1)[0]


async def jobs_per_minute(one: Configuration, jobs: int) -> float:
    """Through the app in process, from the first request to the last settled job, both workers warm."""
    from sybilion_mcp.engine.app import build_app

    with tempfile.TemporaryDirectory() as home:
        app = build_app(Path(home), workers=WORKERS, today=lambda: TODAY)
        transport = httpx.ASGITransport(app=app)
        headers = {"authorization": "Bearer sk_ops_benchmark"}
        try:
            async with httpx.AsyncClient(transport=transport, base_url="http://engine", headers=headers) as client:
                await _settle(client, [request(one, seed) for seed in range(WORKERS)])
                start = time.perf_counter()
                await _settle(client, [request(one, WORKERS + seed) for seed in range(jobs)])
                return 60 * jobs / (time.perf_counter() - start)
        finally:
            await app.state.engine.aclose()


async def _settle(client: httpx.AsyncClient, bodies: Sequence[Mapping[str, object]]) -> None:
    """Submit all, then look at each until it is completed."""
    urls = []
    for body in bodies:
        answer = await client.post("/api/v1/forecasts", json=body)
        answer.raise_for_status()
        urls.append(answer.json()["poll_url"])
    for url in urls:
        while True:
            job = (await client.get(url)).json()
            if job["settled"]:
                break
            await asyncio.sleep(0.05)  # as often as a quick client looks
        assert job["status"] == "completed", json.dumps(job)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=positive, default=1, metavar="N", help="every N-th row, and those with a bar")
    parser.add_argument("--runs", type=positive, default=3, metavar="N", help="jobs whose median counts (default 3)")
    parser.add_argument(
        "--jobs", type=positive, default=12, metavar="N", help="jobs sent to the two workers (default 12)"
    )
    options = parser.parse_args(arguments)
    costs = {
        one: (cost(one, options.runs, backtest=False), cost(one, options.runs, backtest=True))
        for one in configurations(options.every)
    }
    _print_costs(costs)
    start_up = statistics.median(found.start_up for pair in costs.values() for found in pair)
    print(f"Start-up of a worker, to the end of its first small job: {start_up:.2f} s (median)")
    for backtest in (False, True):
        rate = asyncio.run(jobs_per_minute(Configuration(120, 12, backtest=backtest), options.jobs))
        kind = "with" if backtest else "without"
        print(f"{WORKERS} workers behind the app, 120 months, horizon 12, {kind} backtest: {rate:.0f} jobs a minute")
    print()
    met = print_bars(_bars(costs))
    print("On a machine that others use too, seconds come out too high: run it on an idle one.")
    return not met


def _print_costs(costs: Mapping[Configuration, tuple[Cost, Cost]]) -> None:
    rows = [
        (
            f"{one.length} months, horizon {one.horizon}",
            one.drivers,
            figure(plain.seconds, 2),
            figure(tested.seconds, 2),
            figure(plain.megabytes, 0),
            figure(tested.megabytes, 0),
        )
        for one, (plain, tested) in costs.items()
    ]
    print_table(("job", "drivers", "s", "s with backtest", "MB", "MB with backtest"), rows)


def _bars(costs: Mapping[Configuration, tuple[Cost, Cost]]) -> list[Bar]:
    plain, tested = costs[Configuration(120, 12)]
    driven = costs[Configuration(120, 12, candidates=FOLDER)]
    most = max(found.megabytes for pair in costs.values() for found in pair)
    return [
        Bar("120 months, horizon 12, s", plain.seconds, high=BAR_SECONDS["plain"], digits=2),
        Bar("… with backtest, s", tested.seconds, high=BAR_SECONDS["backtest"], digits=2),
        Bar(f"… with backtest and {FOLDER} in the folder, s", driven[1].seconds, high=BAR_SECONDS["drivers"], digits=2),
        Bar("most memory of any job's worker, MB", most, high=BAR_MB, digits=0),
    ]


if __name__ == "__main__":
    sys.exit(main())
