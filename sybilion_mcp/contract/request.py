"""A forecast request as the API decodes it: types only. What the values must satisfy is in rules.py."""

import json
import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

MAX_BODY_BYTES = 2 * 1024 * 1024
MAX_HORIZON = 12
PIPELINE_VERSION = "v1"

Series = dict[str, float]
"""Dates written YYYY-MM-DD, each the first of a month, to numbers."""

Text = Annotated[str, Field(min_length=0)]
"""Text that UTF-8 can carry: the constraint makes pydantic look at every character, so half a surrogate pair fails."""


class Strict(BaseModel):
    """JSON types as they are written: "12" is no integer, 3.0 neither. Unknown fields are ignored."""

    model_config = ConfigDict(strict=True, extra="ignore")


class TimeseriesMetadata(Strict):
    title: Text | None = None
    description: Text | None = None
    keywords: list[Text] | None = None


class Filters(Strict):
    regions: list[int] | None = None
    categories: list[int] | None = None
    limit: int | None = None
    general_drivers: bool | None = None


class ForecastRequest(Strict):
    """The body of `POST /api/v1/forecasts`. Everything may be absent here; rules.py says what may not."""

    pipeline_version: Text | None = None
    frequency: Text | None = None
    soft_horizon: int | None = None
    hard_horizon: int | None = None
    recency_factor: float | None = None
    timeseries_metadata: TimeseriesMetadata | None = None
    timeseries: Series | None = None
    strictly_positive: bool | None = None
    backtest: bool | None = None
    filters: Filters | None = None
    aux_timeseries: list[Series] | None = None
    run_baseline: bool | None = None
    max_num_features: int | None = None
    optimization_budget: Text | None = None
    trend_num_classes: int | None = None

    @property
    def top_horizon(self) -> int | None:
        """The top of the ladder: `soft_horizon`, or `hard_horizon` when it stands alone."""
        return self.soft_horizon if self.soft_horizon is not None else self.hard_horizon


def encode(body: Mapping[str, object]) -> bytes:
    """The bytes that go over the wire, and that the size limit counts."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def is_request_field(name: str) -> bool:
    """Whether a field name, as an error body gives it, is one of this request's: `filters.regions[0]`."""
    steps = re.fullmatch(r"""([a-z_]{1,40})(?:\.([a-z_]{1,40}))?(?:\[\d{1,6}\])?(?:\["[0-9-]{1,10}"\])?""", name)
    if steps is None or steps[1] not in ForecastRequest.model_fields:
        return False
    below: dict[str, type[BaseModel]] = {"timeseries_metadata": TimeseriesMetadata, "filters": Filters}
    return steps[2] is None or (steps[1] in below and steps[2] in below[steps[1]].model_fields)
