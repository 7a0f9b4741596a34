"""Consent: a person is asked before money is spent, where the host can ask one."""

import logging
from dataclasses import replace
from typing import Annotated, Any

from mcp.server.mcpserver import Context, Elicit, ElicitationResult, Resolve
from pydantic import BaseModel, BeforeValidator, Field

from sybilion_mcp.service.arguments import Options, PanelOptions
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.offer import Offer, declined
from sybilion_mcp.service.offer import offer as make_offer
from sybilion_mcp.service.orders import Order

log = logging.getLogger(__name__)

_ANSWERS_COME_WITH_A_NEW_CALL = "2026-07-28"
"""From this version of the protocol on; earlier ones need a channel back to the client."""


class Consent(BaseModel):
    """What the person answers. To accept without a word is to agree; whatever is not true is not."""

    pay: Annotated[bool, BeforeValidator(lambda given: given is True)] = Field(True, title="Pay for this forecast")


async def order_of(
    series_id: str | None,
    series: dict[str, Any] | None,
    title: str | None,
    description: str | None,
    keywords: list[str] | None,
    soft_horizon: int | None,
    hard_horizon: int | None,
    recency_factor: float,
    backtest: bool,
    strictly_positive: bool | None,
    regions: list[int] | None,
    categories: list[int] | None,
    driver_limit: int | None,
    aux_series_ids: list[str] | None,
    max_cost_eur_cents: int | None,
    resubmit: bool,
    backend: str | None,
    preset: str | None,
    quantile_levels: list[float] | None,
    explainability: bool | None,
) -> Order:
    """The arguments of submit_forecast as one order."""
    options = Options(
        title=title,
        description=description,
        keywords=keywords,
        soft_horizon=soft_horizon,
        hard_horizon=hard_horizon,
        recency_factor=recency_factor,
        backtest=backtest,
        strictly_positive=strictly_positive,
        regions=regions,
        categories=categories,
        driver_limit=driver_limit,
    )
    return Order(
        options=options,
        series_id=series_id,
        series=series,
        aux_series_ids=aux_series_ids or (),
        max_cost_eur_cents=max_cost_eur_cents,
        resubmit=resubmit,
        backend=backend,
        panel=PanelOptions(preset, quantile_levels, explainability),
    )


async def offered(ctx: Context[Desk, Any], order: Annotated[Order, Resolve(order_of)]) -> Offer | None:
    """What to ask a person about, if anything. Computed anew in every round of a call."""
    if not can_ask(ctx):
        return None
    try:
        return await make_offer(ctx.request_context.lifespan_context, order)
    except Exception:  # the submit that follows meets the same failure, and tells it
        log.info("no offer could be made", exc_info=True)
        return None


async def ask(offer: Annotated[Offer | None, Resolve(offered)]) -> Consent | Elicit[Consent] | None:
    return None if offer is None else Elicit(offer.question, Consent)


def agreed(ctx: Context[Desk, Any], order: Order, offer: Offer | None, consent: ElicitationResult[Consent]) -> Order:
    """The order, with what the person agreed to pay where one was asked. Raises `Refusal` where they did not."""
    if offer is None:
        return replace(order, person=can_ask(ctx))
    if consent.action != "accept" or not consent.data.pay:
        raise declined(offer, consent.action if consent.action != "accept" else "decline")
    return replace(order, max_cost_eur_cents=offer.high, agreed_to=offer.request_hash)


def can_ask(ctx: Context[Desk, Any]) -> bool:
    """Whether the client shows forms, and can be reached with one."""
    capabilities = ctx.client_capabilities
    elicitation = capabilities.elicitation if capabilities else None
    if elicitation is None or (elicitation.form is None and elicitation.url is not None):
        return False
    return (ctx.protocol_version or "") >= _ANSWERS_COME_WITH_A_NEW_CALL or ctx.session.can_send_request
