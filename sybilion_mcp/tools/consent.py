"""Consent: a person is asked before money is spent, where the host can ask one."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeVar

from mcp.server.mcpserver import Context, Elicit, ElicitationResult, Resolve
from pydantic import BaseModel, BeforeValidator, Field

from sybilion_mcp.service.arguments import Options, PanelOptions
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.offer import offer as make_offer
from sybilion_mcp.service.orders import Order
from sybilion_mcp.service.spend import Expectation, declined

if TYPE_CHECKING:
    from sybilion_mcp.service.alerts import AlertOrder
    from sybilion_mcp.service.ranking import RankingOrder

log = logging.getLogger(__name__)

_ANSWERS_COME_WITH_A_NEW_CALL = "2026-07-28"
"""From this version of the protocol on; earlier ones need a channel back to the client."""


Agreement = Annotated[bool, BeforeValidator(lambda given: given is True)]


class Consent(BaseModel):
    """What the person answers. To accept without a word is to agree; whatever is not true is not."""

    pay: Agreement = Field(True, title="Pay for this forecast")


Form = TypeVar("Form", bound=Consent)
Ordered = TypeVar("Ordered", Order, "RankingOrder", "AlertOrder")


class Offered(Protocol):
    """What a person is asked to pay for: the question they read, and `what` it is about, in a word or two."""

    @property
    def question(self) -> str: ...

    @property
    def request_hash(self) -> str: ...

    @property
    def expected(self) -> Expectation: ...

    @property
    def what(self) -> str: ...


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


def asking(
    order_of: Callable[..., Awaitable[Ordered]],
    make_offer: Callable[[Desk, Ordered], Awaitable[Offered | None]],
    form: type[Form],
) -> tuple[Callable[..., Awaitable[Offered | None]], Callable[..., Awaitable[Elicit[Form] | None]]]:
    """Two resolvers for a tool whose arguments `order_of` turns into an order: what to ask about, and the asking."""

    async def offered(ctx: Context[Desk, Any], order: Annotated[Any, Resolve(order_of)]) -> Offered | None:
        """Computed anew in every round of a call."""
        if not can_ask(ctx):
            return None
        try:
            return await make_offer(ctx.request_context.lifespan_context, order)
        except Exception:  # the call that follows meets the same failure, and tells it
            log.info("no offer could be made", exc_info=True)
            return None

    async def ask(offer: Annotated[Any, Resolve(offered)]) -> Elicit[Form] | None:
        return None if offer is None else Elicit(offer.question, form)

    return offered, ask


offered, ask = asking(order_of, make_offer, Consent)


def agreed(ctx: Context[Desk, Any], order: Ordered, offer: Offered | None, consent: ElicitationResult[Form]) -> Ordered:
    """The order, with what the person agreed to pay where one was asked. Raises `Refusal` where they did not."""
    if offer is None:
        return replace(order, person=can_ask(ctx))
    if consent.action != "accept" or not consent.data.pay:
        raise declined(offer.expected, offer.what, consent.action if consent.action != "accept" else "decline")
    return replace(order, max_cost_eur_cents=offer.expected.eur_cents[1], agreed_to=offer.request_hash)


def can_ask(ctx: Context[Desk, Any]) -> bool:
    """Whether the client shows forms, and can be reached with one."""
    capabilities = ctx.client_capabilities
    elicitation = capabilities.elicitation if capabilities else None
    if elicitation is None or (elicitation.form is None and elicitation.url is not None):
        return False
    return (ctx.protocol_version or "") >= _ANSWERS_COME_WITH_A_NEW_CALL or ctx.session.can_send_request
