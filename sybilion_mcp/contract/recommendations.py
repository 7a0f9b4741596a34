"""What the two billed synchronous calls answer: drivers ranked for a series, and alerts about it."""

from datetime import datetime
from typing import Annotated

from pydantic import BeforeValidator, Field

from sybilion_mcp.contract.jobs import instant
from sybilion_mcp.contract.lenient import Flag, Lenient, Number, Text, readable


class RankedDriver(Lenient):
    """`score`: higher is more relevant; its scale is the service's own."""

    hash_id: Text = None
    driver_name: Text = None
    score: Number = None


class _Drivers(Lenient):
    drivers: Annotated[list[RankedDriver], BeforeValidator(readable(RankedDriver))]


class DriverRanking(Lenient):
    """The answer of `POST /api/v1/drivers`."""

    data: Annotated[_Drivers, BeforeValidator(lambda given: {"drivers": []} if given is None else given)]

    @property
    def drivers(self) -> list[RankedDriver]:
        return self.data.drivers


class News(Lenient):
    title: Text = None
    description: Text = None
    url: Text = None
    source_name: Text = None
    published_at: Text = None

    @property
    def published(self) -> datetime | None:
        return instant(self.published_at)


class Alert(Lenient):
    """`pct_change` in per cent."""

    name: Text = None
    pct_change: Number = None
    trending: Flag = False
    news: Annotated[list[News], BeforeValidator(readable(News))] = Field(default_factory=list)


class Alerts(Lenient):
    """The answer of `POST /api/v1/alerts`."""

    alerts: Annotated[list[Alert], BeforeValidator(readable(Alert))]
