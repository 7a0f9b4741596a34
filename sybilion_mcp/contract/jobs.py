"""Jobs and accounts as the API answers them. Read leniently: unknown fields are ignored, most may be absent."""

from datetime import UTC, datetime
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

JobStatus = Literal["queued", "running", "completed", "failed", "canceled"]
JOB_STATUSES: tuple[str, ...] = get_args(JobStatus)
FINAL_STATUSES = frozenset({"completed", "failed", "canceled"})


class _Lenient(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Accepted(_Lenient):
    """The answer to a submit."""

    job_id: str
    poll_url: str | None = None


class ArtifactRef(_Lenient):
    """`size` in bytes as the API lists it."""

    name: str
    size: int | None = None
    content_type: str | None = None
    href: str | None = None


class PipelineError(_Lenient):
    code: str | None = None
    detail: str | None = None


class Job(_Lenient):
    """A job may be `completed` and not yet `settled`: artifacts and `eur_cents_final` appear with settlement."""

    job_id: str
    status: str
    settled: bool = False
    created_at: str | None = None
    settled_at: str | None = None
    eur_cents_final: int | None = None
    terminal_reason: str | None = None
    pipeline_error: PipelineError | None = None
    artifacts: list[ArtifactRef] = Field(default_factory=list)

    @property
    def created(self) -> datetime | None:
        return instant(self.created_at)

    @property
    def ended(self) -> datetime | None:
        return instant(self.settled_at)

    @property
    def finished(self) -> bool:
        """Nothing more will happen: failed or canceled, or completed with its artifacts on offer."""
        return self.status in FINAL_STATUSES and (self.settled or self.status != "completed")


class JobPage(_Lenient):
    jobs: list[Job]


class Account(_Lenient):
    """Money in integer EUR cents; `available_eur_cents` is the balance minus what running jobs hold."""

    user_id: str | None = None
    balance_eur_cents: int | None = None
    available_eur_cents: int | None = None
    api_usage_tier: str | None = None


def instant(text: str | None) -> datetime | None:
    """A timestamp of the API, in UTC when it names no zone; None when there is none or it cannot be read."""
    try:
        read = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return read if read.tzinfo else read.replace(tzinfo=UTC)
