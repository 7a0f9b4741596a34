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
    """One question put to a backend.

    `state`: sending; accepted; unknown, its answer was lost; rejected, no job was made; or fallen, its answer was lost
    and the job that it may have made came to nothing and cost something. `account` is a hash. `replaces`: the
    submission that stands again if no job is made. `missed_at`: when its job was looked for first and not found.
    `request_id`: under which it is sent; one that takes the place of a lost one goes out under the same.
    """

    submission_id: str
    request_hash: str
    state: str
    backend: str
    account: str
    series_id: str
    request: Mapping[str, object]
    aux_series_ids: Sequence[str]
    driver_names: Mapping[str, str]
    job_id: str | None
    replaces: str | None
    expected_eur_cents: int
    created_at: str
    missed_at: str | None = None
    request_id: str | None = None


class OverCap(Exception):
    """A submission was not written down, because the day would pass its cap. `spent` EUR cents stand already."""

    def __init__(self, spent: int) -> None:
        super().__init__(f"{spent} EUR cents are spent or bound")
        self.spent = spent


@dataclass(frozen=True, slots=True)
class Spent:
    """EUR cents of a day: `paid`, and `reserved` for so many `open` submissions whose cost is not known yet.

    `calls`: reserved for billed calls without an answer.
    """

    paid: int
    reserved: int
    open: int
    calls: int


@dataclass(frozen=True, slots=True)
class StoredJob:
    """`seen_at`: when the job was last seen to be so; None where that was not written down.

    `gone_at`: since when its backend does not know it any longer.
    """

    job: Job
    backend: str
    seen_at: str | None = None
    gone_at: str | None = None


@dataclass(frozen=True, slots=True)
class RememberedJob:
    """A job as a list shows it. `title` is None when another desk submitted it; `sizes`: bytes of what is kept."""

    stored: StoredJob
    first_seen_at: str
    title: str | None
    sizes: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class KeptArtifact:
    """What is known of an artifact beside its content: its size in bytes, and their SHA-256 in hexadecimal."""

    job_id: str
    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class KeptForecast:
    """A completed job whose forecast is kept; `series_id` is None when another desk submitted it."""

    job_id: str
    series_id: str | None


def timestamp(at: datetime) -> str:
    """In UTC, so that the order of the texts is the order in time."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds")


def now() -> str:
    return timestamp(datetime.now(UTC))


def new_id() -> str:
    return uuid4().hex
