"""The bodies of the API's answers. The routes build them, and the printed description is made from them."""

from typing import Annotated, Generic, Literal, NotRequired, TypeVar

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

from sybilion_mcp.contract.jobs import JobStatus

JobSort = Literal["id", "created_at", "settled_at", "eur_cents_final"]
UsageSort = Literal["id", "created_at", "eur_cents_charged", "credits_charged", "units"]
Order = Literal["asc", "desc"]
Sort = TypeVar("Sort")

Cents = Annotated[int, Field(ge=0, description="EUR cents")]
Count = Annotated[int, Field(ge=0)]
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]

closed = with_config(ConfigDict(extra="forbid"))


@closed
class ErrorBody(TypedDict):
    error: Annotated[str, Field(description="a sentence for people")]
    trace_id: Annotated[str, Field(description="as in the header x-trace-id")]


@closed
class Detail(TypedDict):
    field: str
    message: str


@closed
class InvalidBody(TypedDict):
    error: Literal["validation_failed"]
    details: Annotated[list[Detail], Field(min_length=1, max_length=1, description="the first problem only")]


@closed
class Component(TypedDict):
    status: Literal["ok", "error"]


@closed
class Health(TypedDict):
    status: Literal["ok", "degraded"]
    components: dict[str, Component]


@closed
class Accepted(TypedDict):
    job_id: str
    poll_url: str


@closed
class PipelineError(TypedDict):
    code: str
    detail: str


@closed
class JobSummary(TypedDict):
    job_id: str
    pipeline_type: Literal["forecast"]
    status: JobStatus
    created_at: Time
    settled_at: Time | None
    settled: bool
    eur_cents_final: Annotated[Cents | None, Field(description="null until the job is settled")]
    terminal_reason: NotRequired[Annotated[str, Field(description="of failed jobs")]]
    pipeline_error: NotRequired[Annotated[PipelineError, Field(description="of failed jobs")]]


@closed
class Artifact(TypedDict):
    name: str
    size: Annotated[Count, Field(description="bytes")]
    content_type: Literal["application/json"]
    href: str


@closed
class Job(JobSummary):
    artifacts: NotRequired[Annotated[list[Artifact], Field(description="of completed jobs")]]


@closed
class Pagination(TypedDict, Generic[Sort]):
    page: Annotated[int, Field(ge=1)]
    limit: Annotated[int, Field(ge=1, le=200)]
    total: Annotated[Count, Field(description="rows on all pages")]
    total_pages: Count
    sort: Sort
    order: Order


@closed
class JobPagination(Pagination[JobSort]):
    pass


@closed
class UsagePagination(Pagination[UsageSort]):
    pass


@closed
class JobList(TypedDict):
    jobs: list[JobSummary]
    pagination: JobPagination


@closed
class UsageEvent(TypedDict):
    id: int
    endpoint: Literal["forecast", "drivers", "alerts"]
    units: Annotated[Count, Field(description="jobs, drivers or alerts")]
    credits_charged: Annotated[Count, Field(description="one credit is one EUR cent")]
    eur_cents_charged: Cents
    created_at: Time
    async_job_id: Annotated[str | None, Field(description="of the job that was charged; null otherwise")]


@closed
class UsageList(TypedDict):
    usage_events: list[UsageEvent]
    pagination: UsagePagination


@closed
class Tranche(TypedDict):
    id: str
    source: Literal["signup_trial"]
    initial_eur_cents: Cents
    remaining_eur_cents: Cents
    created_at: Time
    expires_at: Time


@closed
class Trial(TypedDict):
    initial_eur_cents: Cents
    remaining_eur_cents: Cents
    granted_at: Time
    expires_at: Time


@closed
class Me(TypedDict):
    user_id: str
    balance_eur_cents: Cents
    available_eur_cents: Annotated[Cents, Field(description="the balance less what unfinished jobs hold")]
    api_usage_tier: int
    lifetime_paid_cents: Cents
    payment_count: Count
    has_ever_paid: bool
    role: Literal["user"]
    euro_tranches: Annotated[list[Tranche], Field(description="neither used up nor expired")]
    signup_trial: NotRequired[Trial]


@closed
class Region(TypedDict):
    id: int
    name: str
    latitude: Annotated[float, Field(description="0.0: the folder does not know it")]
    longitude: float


@closed
class Category(TypedDict):
    id: int
    name: str


@closed
class Regions(TypedDict):
    items: Annotated[list[Region], Field(description="all, by id")]


@closed
class Categories(TypedDict):
    items: Annotated[list[Category], Field(description="all, by id")]


@closed
class RankedDriver(TypedDict):
    hash_id: str
    driver_name: str
    score: Annotated[float, Field(ge=0, le=100, description="higher is more relevant")]


@closed
class RankedDrivers(TypedDict):
    drivers: list[RankedDriver]


@closed
class Ranking(TypedDict):
    status: Literal[200]
    message: str
    data: RankedDrivers


@closed
class News(TypedDict):
    title: str
    description: str
    url: str
    source_name: str
    category: str
    published_at: Time
    trending: bool


@closed
class Alert(TypedDict):
    name: str
    pct_change: Annotated[float, Field(description="of the latest month against the one before, in per cent")]
    trending: Annotated[bool, Field(description="whether three months in a row moved the same way")]
    news: Annotated[list[News], Field(description="always empty here")]


@closed
class Alerts(TypedDict):
    alerts: list[Alert]
