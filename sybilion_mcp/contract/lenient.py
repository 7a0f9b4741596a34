"""Reading what a service sends leniently: unknown fields are ignored, and what cannot be read is not there."""

from collections.abc import Callable
from contextlib import suppress
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError


class Lenient(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


def readable(model: type[BaseModel]) -> Callable[[object], list[BaseModel]]:
    """The entries of a list that can be read; one that cannot does not make the others unreadable."""

    def entries(given: object) -> list[BaseModel]:
        found = []
        for one in given if isinstance(given, list) else ():
            with suppress(ValidationError):
                found.append(model.model_validate(one))
        return found

    return entries


def _finite(given: object) -> float | None:
    if isinstance(given, bool) or not isinstance(given, int | float):
        return None
    try:
        number = float(given)
    except OverflowError:
        return None
    return number if abs(number) < float("inf") else None


Text = Annotated[str | None, BeforeValidator(lambda given: given if isinstance(given, str) else None)]
Flag = Annotated[bool, BeforeValidator(lambda given: given is True)]
Cents = Annotated[
    int | None, BeforeValidator(lambda given: given if type(given) is int and 0 <= given <= 10**9 else None)
]
Size = Annotated[int | None, BeforeValidator(lambda given: given if type(given) is int and given >= 0 else None)]
Number = Annotated[float | None, BeforeValidator(_finite)]
"""Finite, else None."""
