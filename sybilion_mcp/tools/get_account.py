"""get_account: what the account has, and what it was charged."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from mcp.server.mcpserver import Context
from mcp_types import CallToolResult
from pydantic import BaseModel, Field

from sybilion_mcp.contract.account import Account, UsageEvent
from sybilion_mcp.contract.jobs import instant
from sybilion_mcp.next_step import NextStep
from sybilion_mcp.outside import clean, identifier, quoted
from sybilion_mcp.service.balance import Standing, standing
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.settings import Settings
from sybilion_mcp.tools.answer import answer, answering
from sybilion_mcp.tools.parameters import Next


class Answer(BaseModel):
    backend: str
    balance_eur_cents: int | None = None
    available_eur_cents: int | None = None
    charges: list[dict[str, Any]] | None = None
    next: Next


@answering
async def get_account(
    ctx: Context[Desk, Any],
    include_usage: Annotated[bool, Field(description="Also the newest charges.")] = False,
) -> Annotated[CallToolResult, Answer]:
    """Balance, holds, tier, trial credit, recent charges, and what was spent from here today. Free."""
    desk = ctx.request_context.lifespan_context
    return _render(await standing(desk, include_usage=include_usage), desk.settings)


def _render(found: Standing, settings: Settings) -> CallToolResult:
    account = found.account
    step = NextStep("list_jobs") if found.charges is not None else NextStep("get_account", {"include_usage": True})
    if account is None:
        step = NextStep("validate_series", reason="with the numbers or the file")
        lines = ["The embedded engine answers here: it is free, and has no account. No token is configured."]
        data: dict[str, object] = {"backend": "local"}
    else:
        lines = [*_about(account), *_charges(found.charges)]
        data = {"backend": "sybilion", **_data(account), "charges": _charges_data(found.charges)}
    lines.append(_spending(found, settings))
    said = {**data, "spent_today_eur_cents": found.spent_eur_cents, "next": step.data}
    return answer("\n".join([*lines, step.line]), said)


def _about(account: Account) -> Iterator[str]:
    held = account.held_eur_cents
    parts = [f"Available: {_euros(account.available_eur_cents)}"]
    parts.append(f"balance {_euros(account.balance_eur_cents)}")
    parts.append(f"held for running jobs {_euros(held)}")
    yield f"{', '.join(parts)}."
    tier = quoted(account.api_usage_tier, 40) if account.api_usage_tier else "not told"
    yield f"Tier: {tier}; paid so far {_euros(account.lifetime_paid_cents)}."
    trial = account.signup_trial
    if trial is not None and trial.remaining_eur_cents is not None:
        yield f"Trial credit left: {_euros(trial.remaining_eur_cents)}{_until(trial.expires_at)}."
    ending = [one for one in account.euro_tranches if one.remaining_eur_cents and instant(one.expires_at)]
    if ending:
        first = min(ending, key=lambda one: one.expires_at or "")
        yield f"Next to expire: {_euros(first.remaining_eur_cents)}{_until(first.expires_at)}."


def _until(expires_at: str | None) -> str:
    at = instant(expires_at)
    return f", until {at.date().isoformat()}" if at else ""


def _euros(cents: int | None) -> str:
    return "not told" if cents is None else f"{cents / 100:.2f} EUR"


def _charges(charges: Sequence[UsageEvent] | None) -> list[str]:
    if charges is None:
        return []
    if not charges:
        return ["Nothing was charged so far."]
    return ["Newest charges:", "date,what,units,eur,job", *map(_charge, charges)]


def _charge(event: UsageEvent) -> str:
    day = event.created.date().isoformat() if event.created else ""
    euros = "" if event.eur_cents_charged is None else f"{event.eur_cents_charged / 100:.2f}"
    units = "" if event.units is None else event.units
    return f"{day},{quoted(event.endpoint or '', 40)},{units},{euros},{identifier(event.async_job_id or '')}"


def _charges_data(charges: Sequence[UsageEvent] | None) -> list[dict[str, object]] | None:
    if charges is None:
        return None
    return [
        {
            "date": one.created.date().isoformat() if one.created else None,
            "what": clean(one.endpoint or "", 40),
            "units": one.units,
            "eur_cents": one.eur_cents_charged,
            "job_id": identifier(one.async_job_id) if one.async_job_id else None,
        }
        for one in charges
    ]


def _data(account: Account) -> dict[str, object]:
    return {
        "balance_eur_cents": account.balance_eur_cents,
        "available_eur_cents": account.available_eur_cents,
        "held_eur_cents": account.held_eur_cents,
        "tier": clean(account.api_usage_tier, 40) if account.api_usage_tier else None,
        "trial_eur_cents": account.signup_trial.remaining_eur_cents if account.signup_trial else None,
    }


_POLICIES = {
    "ask": "the user is asked before anything is paid for",
    "allow": "what the cap allows is paid for without asking",
    "deny": "nothing is paid for",
}


def _spending(found: Standing, settings: Settings) -> str:
    cap = settings.spend_cap_eur_cents
    most = "without a daily cap" if cap is None else f"of at most {cap / 100:.2f} EUR a day"
    free_hand = settings.spend == "allow" and cap is None
    allowed = "whatever is asked for is paid for without asking" if free_hand else _POLICIES[settings.spend]
    policy = "nothing is sent in read-only mode" if settings.read_only else allowed
    return f"Spent or promised from here today (UTC): {found.spent_eur_cents / 100:.2f} EUR, {most}; {policy}."
