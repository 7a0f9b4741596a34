"""What the store keeps, as data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

from sybilion_mcp.contract.jobs import Job


@dataclass(frozen=True, slots=True)
class StoredSeries:
    """`points`: YYYY-MM-01 → number, ordered; the rest as the caller last described the series."""

    series_id: str
    points: Mapping[str, float]
    title: str | None = None
    description: str | None = None
    keywords: Sequence[str] | None = None
    strictly_positive: bool | None = None


@dataclass(frozen=True, slots=True)
class Submission:
    """One question put to a backend. `state`: sending, accepted, unknown (its answer was lost) or rejected."""

    submission_id: str
    request_hash: str
    state: str
    backend: str
    series_id: str
    request: Mapping[str, object]
    aux_series_ids: Sequence[str]
    driver_names: Mapping[str, str]
    job_id: str | None
    expected_eur_cents: int
    created_at: str


@dataclass(frozen=True, slots=True)
class StoredJob:
    job: Job
    backend: str


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def new_id() -> str:
    return uuid4().hex
