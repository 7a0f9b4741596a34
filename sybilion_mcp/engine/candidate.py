"""A series that may turn out to drive a forecast, as it travels to the worker that tries it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass


def wants_drivers(limit: int | None) -> bool:
    """What `filters.limit` says: 0 means no drivers at all, the caller's own included."""
    return limit != 0


@dataclass(frozen=True, slots=True)
class Candidate:
    """One monthly series of the user's driver folder.

    `id` is a UUID made of what names the series. `months` maps YYYY-MM-01 to a finite number, in order and without
    a missing month. `region` and `category` are the integer ids that `filters.regions` and `.categories` mean.
    """

    id: str
    name: str
    months: Mapping[str, float]
    region: int | None = None
    category: int | None = None

    def passes(self, regions: Collection[int] | None, categories: Collection[int] | None) -> bool:
        """Whether the filters let it through: without a list everything passes; an empty one says as little."""
        return (not regions or self.region in regions) and (not categories or self.category in categories)
