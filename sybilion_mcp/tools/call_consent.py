"""Consent to a billed call that answers at once: a person is asked before it is sent, where the host can ask one."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Annotated, Any, TypeVar

from mcp.server.mcpserver import Context, Elicit, ElicitationResult, Resolve
from pydantic import BaseModel, BeforeValidator, Field

from sybilion_mcp.service.alerts import AlertOrder
from sybilion_mcp.service.calls import CallOffer, declined
from sybilion_mcp.service.calls import offer as make_offer
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.ranking import RankingOrder
from sybilion_mcp.tools.consent import can_ask

log = logging.getLogger(__name__)
Order = TypeVar("Order", RankingOrder, AlertOrder)


class CallConsent(BaseModel):
    """What the person answers. To accept without a word is to agree; whatever is not true is not."""

    pay: Annotated[bool, BeforeValidator(lambda given: given is True)] = Field(True, title="Pay for this call")


Offered = Callable[..., Awaitable[CallOffer | None]]
Ask = Callable[..., Awaitable[CallConsent | Elicit[CallConsent] | None]]


def asking(order_of: Callable[..., Awaitable[Order]]) -> tuple[Offered, Ask]:
    """Two resolvers for a tool whose arguments `order_of` turns into an order: what to ask about, and the asking."""

    async def offered(ctx: Context[Desk, Any], order: Annotated[Any, Resolve(order_of)]) -> CallOffer | None:
        """Computed anew in every round of a call."""
        if not can_ask(ctx):
            return None
        desk = ctx.request_context.lifespan_context
        try:
            return await make_offer(desk, await order.question(desk))
        except Exception:  # the call that follows meets the same failure, and tells it
            log.info("no offer could be made", exc_info=True)
            return None

    async def ask(
        offer: Annotated[CallOffer | None, Resolve(offered)],
    ) -> CallConsent | Elicit[CallConsent] | None:
        return None if offer is None else Elicit(offer.question, CallConsent)

    return offered, ask


def agreed(
    ctx: Context[Desk, Any], order: Order, offer: CallOffer | None, consent: ElicitationResult[CallConsent]
) -> Order:
    """The order, with what the person agreed to pay where one was asked. Raises `Refusal` where they did not."""
    if offer is None:
        return replace(order, person=can_ask(ctx))
    if consent.action != "accept" or not consent.data.pay:
        raise declined(offer, consent.action if consent.action != "accept" else "decline")
    return replace(order, max_cost_eur_cents=offer.expected.eur_cents[1], agreed_to=offer.request_hash)
