"""What becomes of a question when the network, the service or this process fails: one job, and its result at last.

    python -m benchmarks.faults [--schedules N] [--kills N] [--rounds N] [--first SEED]
                                [--only schedules|processes]

Seeded schedules of faults on a loopback port before the embedded API, each with agents that retry up to five times;
SIGKILL at each step of a submit and of a download, and before each commit of the store; and eight processes that ask
the same at the same instant. Prints what went wrong, if anything did; exit code 1 when a bar is missed.
"""

import argparse
import asyncio
import logging
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import stamina

from benchmarks.scoring import Bar, positive, print_bars, print_table
from tests.faults.agent import Wrong, seats
from tests.faults.kills import COMMITS, KILLS, PROCESSES, killed, together
from tests.faults.run import SEATS, run
from tests.faults.schedules import schedule_of


async def run_schedules(first: int, count: int) -> list[Bar]:
    """Every schedule from seed `first` on, and how its first agent's five retries ended."""
    ended: Counter[str] = Counter()
    faults = wrong = 0
    with tempfile.TemporaryDirectory() as home:
        async with seats(SEATS, Path(home)) as taken:
            for seed in range(first, first + count):
                try:
                    outcome = await run(schedule_of(seed), Path(home) / str(seed), taken)
                except Wrong as error:
                    wrong += 1
                    print(f"seed {seed}: {error}\n")
                else:
                    ended[outcome.ended] += 1
                    faults += outcome.faults
    print_table(("first attempt ends with", "schedules"), [(name, str(times)) for name, times in ended.most_common()])
    print(f"{faults} faults were met. Every other attempt was made again on a network without faults.\n")
    label = f"schedules of {count} with a second job, a wrong or lost result, or a wrong hint"
    return [Bar(label, wrong, high=0, digits=0)]


def run_kills(times: int) -> list[Bar]:
    """Each kill so many times."""
    rows, bars = [], []
    for kills, repeated in ((KILLS, times), (COMMITS, max(times // 4, 1))):
        total = 0
        for kill in kills:
            with tempfile.TemporaryDirectory() as home:
                wrong = asyncio.run(killed([kill] * repeated, Path(home)))
            total += len(wrong)
            rows.append((kill.name, str(repeated), str(len(wrong))))
            print("".join(f"{line}\n" for line in wrong), end="")
        what = "before a commit" if kills is COMMITS else "at a step"
        bars.append(
            Bar(
                f"processes of {repeated * len(kills)} killed {what}, not finished with one job",
                total,
                high=0,
                digits=0,
            )
        )
    print_table(("killed when", "times", "wrong"), rows)
    return bars


def run_together(rounds: int) -> list[Bar]:
    with tempfile.TemporaryDirectory() as home:
        jobs = asyncio.run(together(rounds, Path(home)))
    label = f"rounds of {rounds} in which {PROCESSES} processes make more or less than one job"
    return [Bar(label, sum(made != 1 for made in jobs), high=0, digits=0)]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schedules", type=positive, default=500, metavar="N", help="(default 500)")
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="the first schedule's seed (default 0)")
    parser.add_argument("--kills", type=positive, default=20, metavar="N", help="at each step (default 20)")
    parser.add_argument("--rounds", type=positive, default=50, metavar="N", help="(default 50)")
    parser.add_argument("--only", choices=("schedules", "processes"), help="leave the other half out")
    options = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)
    started = time.perf_counter()
    bars = []
    if options.only != "schedules":
        bars += run_kills(options.kills) + run_together(options.rounds)
    if options.only != "processes":
        with stamina.set_testing(True, attempts=2):
            bars += asyncio.run(run_schedules(options.first, options.schedules))
    met = print_bars(bars)
    print(f"{time.perf_counter() - started:.0f} s")
    return not met


if __name__ == "__main__":
    sys.exit(main())
