"""Schemathesis over the printed description of the API, against a sandbox on a loopback port with real forecasts.

    python -m benchmarks.api_description [--cases N] [--seed N]

Examples, boundary values, random and broken requests, and sequences of calls, until there were N cases (2,000). No
answer may have a status that is not described, a body or header that breaks its schema, or a status of 5xx. Prints
the answers by operation; exit code 1 when something is wrong.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.scoring import print_table
from tests.wire.described import BEYOND_A_SCHEMA, Outcome, described_sandbox, run_described

EXAMPLES = 40  # random ones of each operation and seed
SHOWN = 10


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args(argv)
    began = time.perf_counter()
    outcome = Outcome()
    seed = arguments.seed
    with tempfile.TemporaryDirectory() as home, described_sandbox(Path(home)) as url:
        while outcome.cases < arguments.cases:
            outcome.add(run_described(url, EXAMPLES, seed))
            seed += 1
    show(outcome, time.perf_counter() - began)
    return 1 if outcome.failures else 0


def show(outcome: Outcome, seconds: float) -> None:
    rows = [
        [operation, str(answers.total()), ", ".join(f"{status}: {answers[status]}" for status in sorted(answers))]
        for operation, answers in sorted(outcome.answers.items())
    ]
    print_table(["operation", "cases", "answers"], rows)
    print(f"\n{outcome.cases:,} cases in {seconds:.0f} s, all checks but {BEYOND_A_SCHEMA}")
    print(f"failures: {len(outcome.failures)}")
    for failure in outcome.failures[:SHOWN]:
        print(f"\n{failure}")


if __name__ == "__main__":
    sys.exit(main())
