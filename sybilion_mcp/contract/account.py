"""The account and its charges as the API answers them, in integer EUR cents. Read leniently."""

from datetime import datetime
from typing import Annotated

from pydantic import BeforeValidator, Field

from sybilion_mcp.contract.jobs import instant
from sybilion_mcp.contract.lenient import Cents, Flag, Lenient, Size, Text, readable

_MOST_CENTS = 10**12


def _cents(given: object) -> int | None:
    """A balance may be below zero, other than a price."""
    return given if type(given) is int and abs(given) <= _MOST_CENTS else None


Balance = Annotated[int | None, BeforeValidator(_cents)]
Id = Annotated[
    str | None, BeforeValidator(lambda given: str(given) if type(given) is int or isinstance(given, str) else None)
]
"""Numbers and names alike: an account's tier has been seen as both."""


class Trial(Lenient):
    """The credit of a new account."""

    initial_eur_cents: Cents = None
    remaining_eur_cents: Cents = None
    expires_at: Text = None


class Tranche(Lenient):
    """One grant of credit; they are used up in the order in which they expire."""

    remaining_eur_cents: Cents = None
    expires_at: Text = None
    source: Text = None


class Account(Lenient):
    """`available_eur_cents` is the balance minus what running jobs hold."""

    user_id: Id = None
    balance_eur_cents: Balance = None
    available_eur_cents: Balance = None
    api_usage_tier: Id = None
    lifetime_paid_cents: Cents = None
    has_ever_paid: Flag = False
    euro_tranches: Annotated[list[Tranche], BeforeValidator(readable(Tranche))] = Field(default_factory=list)
    signup_trial: Annotated[
        Trial | None, BeforeValidator(lambda given: given if isinstance(given, dict | Trial) else None)
    ] = None

    @property
    def user(self) -> str | None:
        """The id of whose account it is; None where the service does not say."""
        return (self.user_id or "").strip() or None

    @property
    def held_eur_cents(self) -> int | None:
        """What running jobs hold; None when it cannot be told."""
        if self.balance_eur_cents is None or self.available_eur_cents is None:
            return None
        return max(self.balance_eur_cents - self.available_eur_cents, 0)


class UsageEvent(Lenient):
    """One charge. `endpoint` is what was billed, `units` how many of it."""

    id: Id = None
    endpoint: Text = None
    units: Size = None
    eur_cents_charged: Balance = None
    created_at: Text = None
    async_job_id: Text = None

    @property
    def created(self) -> datetime | None:
        return instant(self.created_at)


class UsagePage(Lenient):
    usage_events: Annotated[list[UsageEvent], BeforeValidator(readable(UsageEvent))]
