"""What a report costs a model to read, against the raw artifacts it is made of, and the milliseconds it takes.

    python -m benchmarks.report

One row for each real job of ../shared/data, where the machine has them, and one for a made-up job of the embedded
engine with ten driver series. Raw are the artifacts and the input; both sides are counted in bytes and in tokens as
`tokens` estimates them. Milliseconds are the median of ten reports from decoded artifacts. Exit code 1 when a report
is too long or too slow, or when a driver-rich job shrinks less than fifteenfold.
"""

import json
import math
import random
import re
import statistics
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from benchmarks.scoring import Bar, print_bars, print_table
from sybilion_mcp.contract.months import month_of
from sybilion_mcp.explain.report import JobFacts, build_report, render_report

TODAY = date(2026, 6, 10)
LAST = 2026 * 12 + 4  # May 2026, as a running month number
RUNS = 10
RICH_BYTES = 40_000
"""Of external_signals.json: from here on a job is rich in drivers."""
BAR_RATIO, BAR_BYTES, BAR_MS = 15.0, 6000.0, 300.0

_REAL_JOBS = Path(__file__).resolve().parents[2] / "shared" / "data" / "sybilion-jobs"
_PIECE = re.compile(r" ?[^\W\d_]+|\d{1,3}| ?[^\w\s]+|_+|\s+")
_LETTERS = 8


def tokens(text: str) -> int:
    """An estimate of what a byte-pair tokenizer makes of a text, good to a tenth or so; it needs no vocabulary.

    As the tokenizers of today's models do before they look anything up, it parts words with the space before them,
    digits by threes, and runs of punctuation; of a word, every begun eight letters count as one token.
    """
    return sum(-(-len(piece) // _LETTERS) for piece in _PIECE.findall(text))


@dataclass(frozen=True, slots=True)
class Cost:
    name: str
    rich: bool
    raw_bytes: int
    report_bytes: int
    raw_tokens: int
    report_tokens: int
    milliseconds: float

    @property
    def ratio(self) -> float:
        return self.raw_tokens / self.report_tokens


def cost(name: str, contents: Mapping[str, str], facts: JobFacts) -> Cost:
    """Of one job: `contents` maps file names to the text of the artifacts."""
    artifacts = {file: json.loads(content) for file, content in contents.items()}
    taken, text = [], ""
    for _ in range(RUNS):
        start = time.perf_counter()
        text = render_report(build_report(artifacts, facts, TODAY))
        taken.append((time.perf_counter() - start) * 1000)
    raw = "".join(contents.values())
    return Cost(
        name=name,
        rich=len(contents["external_signals.json"].encode()) > RICH_BYTES,
        raw_bytes=len(raw.encode()),
        report_bytes=len(text.encode()),
        raw_tokens=tokens(raw),
        report_tokens=tokens(text),
        milliseconds=statistics.median(taken),
    )


def facts_of(job_id: str, backend: str, request: Mapping[str, object], cents: int | None) -> JobFacts:
    metadata = request["timeseries_metadata"]
    assert isinstance(metadata, dict)
    return JobFacts(job_id, metadata["title"], backend, None, cents, request)


def real_jobs() -> Iterator[Cost]:
    for folder in sorted(_REAL_JOBS.iterdir()):
        contents = {file.name: file.read_text() for file in sorted(folder.glob("*.json"))}
        status = json.loads(contents.pop("status.json", "{}"))
        request = json.loads(contents["input.json"])
        facts = facts_of(status.get("job_id", folder.name), "sybilion", request, status.get("eur_cents_final"))
        yield cost(folder.name, contents, facts)


def embedded_job() -> Cost:
    """A series of ten years that follows the first of ten others by two months."""
    from sybilion_mcp.engine.pipeline import run_pipeline

    noise = random.Random(20261122)
    others = [[noise.gauss(0, 1) for _ in range(122)] for _ in range(10)]
    seasons = [10 * math.sin(month * math.pi / 6) for month in range(120)]
    values = [100 + season + 5 * others[0][month] for month, season in enumerate(seasons)]
    dates = [f"{month_of(month)}-01" for month in range(LAST - 119, LAST + 1)]
    request: dict[str, object] = {
        "pipeline_version": "v1",
        "frequency": "monthly",
        "soft_horizon": 6,
        "recency_factor": 0.5,
        "backtest": True,
        "timeseries_metadata": {"title": "Made-up demand of the report benchmark, index points"},
        "timeseries": dict(zip(dates, values, strict=True)),
        "aux_timeseries": [dict(zip(dates, other[2:], strict=True)) for other in others],
    }
    made = {name: bytes(content).decode() for name, content in run_pipeline(request).items()}
    return cost(
        "embedded engine", {**made, "input.json": json.dumps(request)}, facts_of("made-up", "local", request, 0)
    )


def main() -> int:
    costs = [*(real_jobs() if _REAL_JOBS.is_dir() else ()), embedded_job()]
    if not _REAL_JOBS.is_dir():
        print("without the real jobs: the folder ../shared/data/sybilion-jobs is not on this machine")
    heads = ("job", "raw bytes", "report", "raw tokens", "report", "ratio", "ms", "")
    print_table(heads, [_cells(one) for one in costs])
    rich = [one.ratio for one in costs if one.rich]
    bars = [
        *([Bar("smallest ratio of tokens, driver-rich jobs", min(rich), low=BAR_RATIO, digits=1)] if rich else []),
        Bar("longest report, bytes", max(one.report_bytes for one in costs), high=BAR_BYTES, digits=0),
        Bar("slowest report, ms", max(one.milliseconds for one in costs), high=BAR_MS, digits=1),
    ]
    return not print_bars(bars)


def _cells(one: Cost) -> tuple[str, ...]:
    sizes = (one.raw_bytes, one.report_bytes, one.raw_tokens, one.report_tokens)
    return one.name, *map(str, sizes), f"{one.ratio:.1f}", f"{one.milliseconds:.1f}", "rich" if one.rich else ""


if __name__ == "__main__":
    sys.exit(main())
