"""Consent to a billed call that answers at once: a person is asked before it is sent, where the host can ask one."""

from pydantic import Field

from sybilion_mcp.service.alerts import AlertOrder
from sybilion_mcp.service.calls import CallOffer, offer
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.ranking import RankingOrder
from sybilion_mcp.tools.consent import Agreement, Consent


class CallConsent(Consent):
    pay: Agreement = Field(True, title="Pay for this call")


async def call_offer(desk: Desk, order: RankingOrder | AlertOrder) -> CallOffer | None:
    return await offer(desk, await order.question(desk))
