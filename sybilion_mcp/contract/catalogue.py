"""The catalogues of regions and categories that a request can be narrowed to."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from sybilion_mcp.contract.lenient import Lenient, readable

Kind = Literal["region", "category"]


class Entry(Lenient):
    """Its id is what `filters.regions` or `filters.categories` take."""

    id: int
    name: Annotated[str, Field(min_length=1)]


class Catalogue(Lenient):
    items: Annotated[list[Entry], BeforeValidator(readable(Entry))]
