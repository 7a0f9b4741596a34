"""Jobs and accounts as the API answers them. Read leniently: unknown fields are ignored, most may be absent."""

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from sybilion_mcp.outside import clean

JobStatus = Literal["queued", "running", "completed", "failed", "canceled"]
JOB_STATUSES: tuple[str, ...] = get_args(JobStatus)
FINAL_STATUSES = frozenset({"completed", "failed", "canceled"})


class _Lenient(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


def _readable(model: type[BaseModel]) -> Callable[[object], list[BaseModel]]:
    """The entries of a list that can be read; one that cannot does not make the others unreadable."""

    def entries(given: object) -> list[BaseModel]:
        found = []
        for one in given if isinstance(given, list) else ():
            with suppress(ValidationError):
                found.append(model.model_validate(one))
        return found

    return entries


_JOB_ID = r"^[A-Za-z0-9_.-]{1,128}$"
JobId = Annotated[str, Field(pattern=_JOB_ID)]
"""An id becomes part of paths and answers: what is made of other characters is none."""

Text = Annotated[str | None, BeforeValidator(lambda given: given if isinstance(given, str) else None)]
Name = Annotated[str | None, BeforeValidator(lambda given: str(given) if type(given) in (str, int) else None)]
Flag = Annotated[bool, BeforeValidator(lambda given: given is True)]
Cents = Annotated[
    int | None, BeforeValidator(lambda given: given if type(given) is int and 0 <= given <= 10**9 else None)
]
Money = Annotated[int | None, BeforeValidator(lambda given: given if type(given) is int else None)]
Size = Annotated[int | None, BeforeValidator(lambda given: given if type(given) is int and given >= 0 else None)]


class Accepted(_Lenient):
    """The answer to a submit."""

    job_id: JobId


class ArtifactRef(_Lenient):
    """One artifact on offer; `size` in bytes."""

    name: Annotated[str, Field(min_length=1, max_length=255)]
    size: Size = None


class PipelineError(_Lenient):
    code: Text = None
    detail: Text = None


class Job(_Lenient):
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
    artifacts: Annotated[list[ArtifactRef], BeforeValidator(_readable(ArtifactRef))] = Field(default_factory=list)

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
    """One page of the account's jobs."""

    jobs: Annotated[list[Job], BeforeValidator(_readable(Job))]


class Account(_Lenient):
    """Money in integer EUR cents; `available_eur_cents` is the balance minus what running jobs hold."""

    user_id: Name = None
    balance_eur_cents: Money = None
    available_eur_cents: Money = None
    api_usage_tier: Text = None

    @property
    def user(self) -> str | None:
        """The id of whose account it is; None where the service does not say."""
        return (self.user_id or "").strip() or None


def is_job_id(text: str) -> bool:
    return re.match(_JOB_ID, text) is not None and "\n" not in text


def instant(text: str | None) -> datetime | None:
    """A timestamp of the API, in UTC when it names no zone; None when there is none or it cannot be read."""
    try:
        read = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return read if read.tzinfo else read.replace(tzinfo=UTC)
