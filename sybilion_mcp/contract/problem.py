"""What can be wrong with a request, as data."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Fix:
    """One change that removes a problem: set `field` to `value`."""

    field: str
    value: object


@dataclass(frozen=True, slots=True)
class Problem:
    """One violated rule.

    `field` is the API's own name (`timeseries["2021-03-01"]`), `months` are the months concerned as YYYY-MM,
    `status` is what the API answers (400, 413 or 422). Warnings never make a request invalid.
    """

    code: str
    field: str
    message: str
    fix: Fix | None = None
    months: tuple[str, ...] = ()
    status: int = 422
    severity: Literal["error", "warning"] = "error"


def counted(message: str, times: int) -> str:
    """What is wrong in the first of several places, and in how many others."""
    return message if times == 1 else f"{message} {times - 1} more like it."
