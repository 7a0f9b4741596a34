"""Parameters that several tools share, each described once."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, WithJsonSchema

Series = Annotated[
    dict[str, Any] | None,
    Field(description="Date to number; eomer also id to such."),
    WithJsonSchema({"type": "object"}),
]
Title = Annotated[str | None, Field(description="What, where, unit; 20-511 bytes.")]
Description = Annotated[str | None, Field(description="Context.")]
Keywords = Annotated[list[str] | None, Field(description="Up to 20.")]
SoftHorizon = Annotated[int | None, Field(description="Months ahead, 1-12; eomer: periods.")]
HardHorizon = Annotated[int | None, Field(description="Fewest months to accept.")]
StrictlyPositive = Annotated[bool | None, Field(description="Never below 0.")]
Backend = Annotated[Literal["local", "sybilion", "eomer"] | None, Field(description="eomer: any frequency, many.")]
JobId = Annotated[str, Field(description="From submit_forecast.")]


class Next(BaseModel):
    """The sensible next call."""

    tool: str
    arguments: dict[str, Any]
