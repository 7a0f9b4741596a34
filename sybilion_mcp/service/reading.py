"""A job's artifacts, decoded within bounds, and what is known beside them: what reports are made of."""

import json
from collections.abc import Mapping

from sybilion_mcp.contract.jobs import Job
from sybilion_mcp.explain.facts import JobFacts
from sybilion_mcp.explain.results import Unread
from sybilion_mcp.service.follow import asked_again
from sybilion_mcp.store.records import Submission

REPORTED = (
    "forecast.json",
    "external_signals.json",
    "backtest_metrics.json",
    "backtest_trajectories.json",
    "input.json",
)
"""The artifacts that a report is made of."""

MOST_BYTES = 2 * 2**20
"""Of one artifact. Decoded, the densest take thirty times as much; real ones have at most 124 KB."""
MOST_BYTES_OF_OTHERS = 2**20
"""Of one artifact of a job that is only compared with."""


def decoded(content: bytes) -> object:
    """The JSON of an artifact, or `Unread` and why."""
    if len(content) > MOST_BYTES:
        return too_large(len(content))
    try:
        decoded: object = json.loads(content)
    except (ValueError, RecursionError):
        return Unread("it is no JSON")
    return decoded


def too_large(size: int) -> Unread:
    return Unread(f"its {size / 2**20:.1f} MiB are more than the {MOST_BYTES >> 20} MiB that a report reads")


def facts_of(job: Job, backend: str, submission: Submission | None, sent: object, title: str | None = None) -> JobFacts:
    """What is known beside the artifacts: from our submission, or from the job's own input when another made it.

    `title` is known otherwise: of many series.
    """
    request = submission.request if submission else sent if isinstance(sent, Mapping) else {}
    metadata = request.get("timeseries_metadata")
    said = metadata.get("title") if isinstance(metadata, Mapping) else None
    return JobFacts(
        job_id=job.job_id,
        title=str(title or said or "Untitled series"),
        backend=backend,
        settled_at=job.settled_at,
        eur_cents_final=job.eur_cents_final,
        request=request,
        driver_names=submission.driver_names if submission else {},
        again=asked_again(submission) if submission else {},
    )
