"""The gate that everything passes which may cost money, and what a forecast is expected to cost and take."""

from dataclasses import dataclass
from datetime import UTC, datetime

from sybilion_mcp.hints import Refusal
from sybilion_mcp.service.desk import Desk


@dataclass(frozen=True, slots=True)
class Expectation:
    """Ranges (low, high) in EUR cents and in seconds, and where they come from."""

    eur_cents: tuple[int, int]
    seconds: tuple[int, int]
    basis: str


_ON_LOCAL = {"backend": "local"}
_PUBLISHED = "published jobs of May 2026"
EMBEDDED = Expectation((0, 0), (2, 30), "embedded engine")
WITH_DRIVERS = Expectation((219, 392), (480, 900), _PUBLISHED)
WITHOUT_DRIVERS = Expectation((52, 63), (120, 240), _PUBLISHED)


def expectation(backend: str, driver_limit: int | None) -> Expectation:
    """What one forecast costs and takes; without drivers it is cheaper and faster."""
    if backend == "local":
        return EMBEDDED
    return WITHOUT_DRIVERS if driver_limit == 0 else WITH_DRIVERS


async def pass_gate(desk: Desk, expected: Expectation, max_cost_eur_cents: int | None) -> None:
    """Raise `Refusal` unless this submit may be made: read-only mode, spend policy, the caller's limit, daily cap."""
    if desk.settings.read_only:
        hint = "Ask the user to restart the server without --read-only. Nothing was sent."
        raise Refusal("read_only", "The server runs in read-only mode.", hint)
    high = expected.eur_cents[1]
    if high == 0:
        return
    cost = f"This forecast is expected to cost {euros(expected)} ({expected.basis})"
    if desk.settings.spend == "deny":
        hint = 'Paid forecasts are switched off (SYBILION_MCP_SPEND=deny). Use backend="local", which is free.'
        raise Refusal("spend_refused", f"{cost}.", hint, changes=_ON_LOCAL)
    if max_cost_eur_cents is None and desk.settings.spend == "ask":
        hint = f"Ask the user. If they agree, call again with max_cost_eur_cents={high}. Nothing was sent."
        raise Refusal("spend_refused", f"{cost}.", hint, changes=_ON_LOCAL)
    if max_cost_eur_cents is not None and max_cost_eur_cents < high:
        hint = f'Raise max_cost_eur_cents to {high} if the user agrees, or use backend="local", which is free.'
        message = f"{cost}, more than max_cost_eur_cents={max_cost_eur_cents}."
        raise Refusal("spend_refused", message, hint, changes=_ON_LOCAL)
    await _keep_to_cap(desk, high)


def euros(expected: Expectation) -> str:
    low, high = expected.eur_cents
    return f"{low / 100:.2f} to {high / 100:.2f} EUR"


async def _keep_to_cap(desk: Desk, high: int) -> None:
    """A first look. The store looks again while it writes the submission down, when nobody else can."""
    cap = desk.settings.spend_cap_eur_cents
    if cap is None:
        return
    spent = await desk.store.spent_since(datetime.now(UTC).date().isoformat())
    if spent + high > cap:
        raise over_cap(desk, spent)


def over_cap(desk: Desk, spent: int) -> Refusal:
    cap = desk.settings.spend_cap_eur_cents or 0
    return Refusal(
        "spend_refused",
        f"Today's submits stand at {spent / 100:.2f} EUR; this one may pass the cap of {cap / 100:.2f} EUR.",
        "Wait until tomorrow (UTC), ask the user to raise SYBILION_MCP_SPEND_CAP_EUR_CENTS, or use "
        'backend="local", which is free.',
        changes=_ON_LOCAL,
    )
