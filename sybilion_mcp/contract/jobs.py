"""Jobs as the API answers them. Read leniently: unknown fields are ignored, most may be absent."""

import re
from datetime import UTC, datetime
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field

from sybilion_mcp.contract.lenient import Cents, Flag, Lenient, Number, Size, Text, readable
from sybilion_mcp.outside import clean

JobStatus = Literal["queued", "running", "completed", "failed", "canceled"]
JOB_STATUSES: tuple[str, ...] = get_args(JobStatus)
FINAL_STATUSES = frozenset({"completed", "failed", "canceled"})

_JOB_ID = r"^[A-Za-z0-9_.-]{1,128}$"
JobId = Annotated[str, Field(pattern=_JOB_ID)]
"""An id becomes part of paths and answers: what is made of other characters is none."""


class Accepted(Lenient):
    """The answer to a submit."""

    job_id: JobId


class ArtifactRef(Lenient):
    """One artifact on offer; `size` in bytes."""

    name: Annotated[str, Field(min_length=1, max_length=255)]
    size: Size = None


class PipelineError(Lenient):
    code: Text = None
    detail: Text = None


class More(Lenient):
    """What Eomer tells of a job beside what all services do."""

    num_items: Size = None
    elapsed_seconds: Number = None
    delivery_status: Text = None
    delivery_error: Text = None


class Job(Lenient):
    """A job may be `completed` and not yet `settled`: artifacts and `eur_cents_final` appear with settlement."""

    job_id: JobId
    status: Annotated[str, AfterValidator(lambda given: clean(given, 32))]
    settled: Flag = False
    created_at: Text = None
    settled_at: Text = None
    eur_cents_final: Cents = None
    pipeline_error: Annotated[
        PipelineError | None, BeforeValidator(lambda given: given if isinstance(given, dict | PipelineError) else None)
    ] = None
    artifacts: Annotated[list[ArtifactRef], BeforeValidator(readable(ArtifactRef))] = Field(default_factory=list)
    more: Annotated[More | None, BeforeValidator(lambda given: given if isinstance(given, dict | More) else None)] = (
        None
    )

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


class JobPage(Lenient):
    """One page of the account's jobs."""

    jobs: Annotated[list[Job], BeforeValidator(readable(Job))]


def is_job_id(text: str) -> bool:
    return re.match(_JOB_ID, text) is not None and "\n" not in text


def instant(text: str | None) -> datetime | None:
    """A timestamp of the API, in UTC when it names no zone; None when there is none or it cannot be read."""
    try:
        read = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return read if read.tzinfo else read.replace(tzinfo=UTC)
