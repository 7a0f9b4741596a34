"""The account: what it has, what it is charged, and what this installation has spent today."""

from collections.abc import Sequence
from dataclasses import dataclass

from sybilion_mcp.backends.base import AnswerError
from sybilion_mcp.contract.account import Account, UsageEvent
from sybilion_mcp.service.desk import Desk

CHARGES = 10
"""The newest ones that are shown."""


@dataclass(frozen=True, slots=True)
class Standing:
    """`account` is None where only the embedded engine is used, which is free.

    `charges` are None when they were not asked for, or the service keeps none. `spent_eur_cents`: today (UTC), with
    what runs at what it is expected to cost.
    """

    account: Account | None
    charges: Sequence[UsageEvent] | None
    spent_eur_cents: int


async def standing(desk: Desk, *, include_usage: bool) -> Standing:
    """Raises `Refusal` and `BackendError` when the account cannot be looked at."""
    settings = desk.settings
    spent = await desk.store.spent_since(desk.now().date().isoformat())
    if settings.default_backend == "local" and settings.api_token is None:
        return Standing(None, None, spent)
    backend = desk.sybilion("sybilion")
    account = await backend.account()
    charges = None
    if include_usage:
        try:
            charges = (await backend.usage(CHARGES)).usage_events
        except AnswerError as error:
            if error.status != 404:
                raise
    return Standing(account, charges, spent)
