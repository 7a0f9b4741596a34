"""Orders as the tests of the service place them."""

from collections.abc import Awaitable
from typing import Any

import anyio
import pytest

from sybilion_mcp.hints import Refusal
from sybilion_mcp.service.arguments import Options
from sybilion_mcp.service.orders import Order
from tests.conftest import good_series

TITLE = "Monthly demand for a made-up product in Austria, units"
OF_THE_ORDER = ("series_id", "aux_series_ids", "max_cost_eur_cents", "resubmit", "backend")


def order(**said: Any) -> Order:
    """A valid order for 12 months; keywords go to the order or to its options."""
    series = said.pop("series", None if "series_id" in said else good_series())
    about = {name: said.pop(name) for name in OF_THE_ORDER if name in said}
    return Order(Options(**{"title": TITLE, "soft_horizon": 12, "driver_limit": 0, **said}), series=series, **about)


async def refusal_of(doing: Awaitable[object]) -> Refusal:
    with anyio.fail_after(10), pytest.raises(Refusal) as caught:
        await doing
    return caught.value
