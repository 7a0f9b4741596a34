"""What the billed calls that answer at once cost: so much for each thing that comes."""

from dataclasses import dataclass
from math import ceil
from typing import Literal

from sybilion_mcp.service.account import account_name
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.spend import FEWEST, NEWEST, Expectation


@dataclass(frozen=True, slots=True)
class Tariff:
    """`what` the call is to people, and the `unit` that is billed, for at most so many EUR cents as was published.

    `most` units come when no limit is said.
    """

    operation: Literal["drivers", "alerts"]
    what: str
    unit: str
    cents: float
    most: int

    @property
    def each(self) -> str:
        """One unit, with its article."""
        return f"{'an' if self.unit[0] in 'aeiou' else 'a'} {self.unit}"


DRIVERS = Tariff("drivers", "driver ranking", "driver", 5, 1000)
ALERTS = Tariff("alerts", "alert report", "alert", 6, 100)
_SECONDS = (1, 30)


@dataclass(frozen=True, slots=True)
class Price:
    """EUR cents for one unit, and where that comes from."""

    cents: float
    basis: str

    def of(self, units: int) -> int:
        return ceil(round(self.cents * units, 6))


async def price_of(desk: Desk, tariff: Tariff) -> Price:
    """The dearest of this account's own calls, else as published."""
    told = await desk.store.calls.told(tariff.operation, await account_name(desk), NEWEST)
    prices = [one.eur_cents / one.units for one in told if one.eur_cents is not None and one.units]
    if len(prices) < FEWEST:
        return Price(tariff.cents, f"about {tariff.cents:g} cents {tariff.each}, from published calls of May 2026")
    dearest = max(prices)
    return Price(dearest, f"at most {dearest:.3g} cents {tariff.each} in your own {len(prices)} calls")


def expectation(tariff: Tariff, price: Price, limit: int | None) -> Expectation:
    """What a call costs: from one unit to as many as may come."""
    high = price.of(tariff.most if limit is None else limit)
    return Expectation((min(price.of(1), high), high), _SECONDS, price.basis)
