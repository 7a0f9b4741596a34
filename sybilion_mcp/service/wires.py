"""What differs between the services in submitting: Sybilion, hosted or embedded, and Eomer."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cache

from sybilion_mcp.service import monthly_orders
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.orders import Asked, Order
from sybilion_mcp.store.records import Submission


@dataclass(frozen=True, slots=True)
class Wire:
    """An order → what is `asked`; a question → the `content` that is sent, and how it is `described` to a person.

    `kept_as`: the series_id of numbers that an order brought itself. `unsaid`: what of a question the service is not
    told, so that it makes no other question.
    """

    asked: Callable[[Desk, Order], Awaitable[Asked]]
    content: Callable[[Desk, Submission], Awaitable[dict[str, object]]]
    described: Callable[[Mapping[str, object]], list[str]]
    kept_as: Callable[[Desk, Order], Awaitable[str | None]]
    unsaid: frozenset[str] = frozenset()


_SYBILION = Wire(monthly_orders.asked, monthly_orders.content, monthly_orders.described, monthly_orders.kept_as)


def wire_of(backend: str) -> Wire:
    return _eomer() if backend == "eomer" else _SYBILION


@cache
def _eomer() -> Wire:
    from sybilion_mcp.service import panel_orders  # most servers never need it

    return Wire(
        panel_orders.asked,
        panel_orders.content,
        panel_orders.described,
        panel_orders.kept_as,
        unsaid=frozenset({"timeseries_metadata"}),
    )
