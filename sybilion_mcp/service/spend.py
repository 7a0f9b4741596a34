"""The gate that everything passes which may cost money, and what a forecast is expected to cost and take."""

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import ceil, floor
from urllib.parse import urlsplit

import anyio

from sybilion_mcp.backends.base import BackendError
from sybilion_mcp.contract.jobs import Job
from sybilion_mcp.hints import Refusal
from sybilion_mcp.next_step import NextStep
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.store.records import Spent

FEWEST = 5
"""Settled jobs of our own that say more than what was published."""
NEWEST = 50
"""Of our own settled jobs that are looked at: prices change."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """Ranges (low, high) in EUR cents and in seconds, and where they come from. `free`: nothing is ever charged."""

    eur_cents: tuple[int, int]
    seconds: tuple[int, int]
    basis: str
    free: bool = False
    told: bool = True
    """Whether anything is known: where not, the ranges say nothing."""


BALANCE_SECONDS = 3.0
"""For a look at what the account has, before a person is asked."""
ON_LOCAL = {"backend": "local"}
_PUBLISHED = "published jobs of May 2026"
EMBEDDED = Expectation((0, 0), (2, 30), "embedded engine", free=True)
UNTOLD = Expectation((0, 0), (5, 600), "Eomer tells neither prices nor durations", told=False)
WITH_DRIVERS = Expectation((219, 392), (480, 900), _PUBLISHED)
WITHOUT_DRIVERS = Expectation((52, 63), (120, 240), _PUBLISHED)


_FIXED = {"local": EMBEDDED, "eomer": UNTOLD}


def expectation(backend: str, driver_limit: int | None) -> Expectation:
    """What is published about one forecast: what it costs and takes; without drivers it is cheaper and faster."""
    if backend in _FIXED:
        return _FIXED[backend]
    return WITHOUT_DRIVERS if driver_limit == 0 else WITH_DRIVERS


async def expected_for(desk: Desk, backend: str, driver_limit: int | None) -> Expectation:
    """What one forecast costs and takes: as the settled jobs of this account did, else as is published."""
    published = expectation(backend, driver_limit)
    if published.free or not published.told:
        return published
    settled = await desk.store.settled_jobs(backend, account_of(desk), drivers=driver_limit != 0, limit=NEWEST)
    return _measured(settled) or published


def _measured(settled: Sequence[Job]) -> Expectation | None:
    """The ranges of settled jobs; None when there are too few to tell."""
    cents = [job.eur_cents_final for job in settled if job.eur_cents_final is not None]
    times = [(job.ended - job.created).total_seconds() for job in settled if job.ended and job.created]
    seconds = [ceil(one) for one in times if one >= 0]
    if min(len(cents), len(seconds)) < FEWEST:
        return None
    return Expectation(_usual(cents), _usual(seconds), f"your own {len(cents)} settled jobs")


def _usual(values: Sequence[int]) -> tuple[int, int]:
    """Between the lowest and the highest tenth; of up to ten values, between the lowest and the highest."""
    last = len(values) - 1
    ordered = sorted(values)
    return ordered[floor(0.1 * last)], ordered[ceil(0.9 * last)]


def account_of(desk: Desk, backend: str = "sybilion") -> str:
    """The service's address and the token, hashed; "" for the embedded engine.

    The store knows which other tokens are of the same account of Sybilion; Eomer tells nothing of accounts.
    """
    if backend == "local":
        return ""
    settings = desk.settings
    token = settings.eomer_api_key if backend == "eomer" else settings.api_token
    said = f"{service_of(desk, backend)}\0{token.get_secret_value().strip() if token else ''}"
    return hashlib.sha256(said.encode()).hexdigest()


def service_of(desk: Desk, backend: str = "sybilion") -> str:
    """The service's address, in the one way it can be written."""
    address = urlsplit(desk.settings.eomer_api_base_url if backend == "eomer" else desk.settings.api_base_url)
    usual = {"http": ":80", "https": ":443"}.get(address.scheme, "")
    host = address.netloc.lower().removesuffix(usual)
    return address._replace(netloc=host, path=address.path.rstrip("/")).geturl()


async def pass_gate(
    desk: Desk,
    expected: Expectation,
    max_cost_eur_cents: int | None,
    *,
    unasked: bool,
    what: str = "forecast",
    cheaper: str = "",
    agreed: bool = False,
    said_yes: bool = False,
) -> None:
    """Raise `Refusal` unless this may be sent: read-only mode, spend policy, daily cap, the caller's limit.

    `unasked`: a person can be asked and did not agree, so that under the policy "ask" nobody agreed. `what` it is that
    costs; `cheaper`: how it could cost less. What is `agreed` to already counts already. `said_yes`: a person was asked
    just now.
    """
    if desk.settings.read_only:
        hint = "Ask the user to restart the server without --read-only. Nothing was sent."
        raise Refusal("read_only", "The server runs in read-only mode.", hint)
    if expected.free:
        return
    if not expected.told:
        await _pass_untold(desk, max_cost_eur_cents, unasked=unasked, said_yes=said_yes)
        return
    high = expected.eur_cents[1]
    cost = f"This {what} is expected to cost {euros(expected)} ({expected.basis})"
    if desk.settings.spend == "deny":
        hint = 'Paid {}s are switched off (SYBILION_MCP_SPEND=deny). Use backend="local", which is free.'
        raise Refusal("spend_refused", f"{cost}.", hint.format(what), changes=ON_LOCAL)
    # A first look; the store looks again as it writes down what is to be sent.
    spent = None if agreed else await beyond_cap(desk, high)
    if spent is not None:
        raise await over_cap(desk, spent, expected, what=what, cheaper=cheaper)
    if max_cost_eur_cents is not None and max_cost_eur_cents < high:
        hint = f'{cheaper}Raise max_cost_eur_cents to {high} if the user agrees, or use backend="local", which is free.'
        message = f"{cost}, more than max_cost_eur_cents={max_cost_eur_cents}."
        raise Refusal("spend_refused", message, hint, changes=ON_LOCAL)
    if unasked and desk.settings.spend == "ask" and not agreed:
        poor = await too_poor(desk, expected, what=what, cheaper=cheaper)
        if poor is not None:
            raise poor
        hint = "Call again with the same arguments: then the user is asked. Nothing was sent."
        raise Refusal("spend_refused", f"{cost}, and the user was not asked yet.", hint, retry_after_s=1)
    if max_cost_eur_cents is None and desk.settings.spend == "ask" and not agreed:
        hint = f"{cheaper}Ask the user. If they agree, call again with max_cost_eur_cents={high}. Nothing was sent."
        raise Refusal("spend_refused", f"{cost}.", hint, changes=ON_LOCAL)


async def _pass_untold(desk: Desk, max_cost_eur_cents: int | None, *, unasked: bool, said_yes: bool) -> None:
    """The same where nobody knows the price: a cap that is used up, or is 0, stops it; otherwise it counts nothing."""
    told = "Eomer tells no price beforehand; the account's plan there pays for this forecast"
    settings = desk.settings
    if settings.spend == "deny":
        hint = "Paid forecasts are switched off (SYBILION_MCP_SPEND=deny). Retrying is useless."
        raise Refusal("spend_refused", f"{told}.", hint, next=MONTHLY)
    if await stopped_by_cap(desk, UNTOLD):
        cap = _eur(settings.spend_cap_eur_cents or 0)
        hint = "Wait until tomorrow (UTC), or ask the user to raise SYBILION_MCP_SPEND_CAP_EUR_CENTS. Nothing was sent."
        raise Refusal("spend_refused", f"{told}, and the cap of {cap} a day is used up.", hint, next=MONTHLY)
    ask = (
        "Ask the user. If they agree, call again with max_cost_eur_cents at least 1: that "
        "stands for their word, as no limit can be set at Eomer. Nothing was sent."
    )
    if max_cost_eur_cents == 0 and not said_yes:
        raise Refusal("spend_refused", f"{told}, and max_cost_eur_cents=0 allows no cost.", ask)
    if settings.spend != "ask" or said_yes:
        return
    if unasked:
        hint = "Call again with the same arguments: then the user is asked. Nothing was sent."
        raise Refusal("spend_refused", f"{told}, and the user was not asked yet.", hint, retry_after_s=1)
    if max_cost_eur_cents is None:
        raise Refusal("spend_refused", f"{told}.", ask)


MONTHLY = NextStep("validate_series", reason='with one monthly series: backend="local" forecasts it for free')


async def too_poor(desk: Desk, expected: Expectation, *, what: str = "forecast", cheaper: str = "") -> Refusal | None:
    """What to say where the account has less than something usually costs, so that nobody need be asked to pay.

    None where it has enough, or does not tell now. Of a forecast only the service knows what it holds; for a call that
    answers at once the account needs the most that it may cost.
    """
    forecast = what == "forecast"
    least = expected.eur_cents[0 if forecast else 1]
    with suppress(BackendError), anyio.move_on_after(BALANCE_SECONDS):
        available = (await desk.backend("sybilion").account()).available_eur_cents
        if available is not None and available < least:
            needs = f"usually costs at least {_eur(least)}" if forecast else f"may cost {_eur(least)}"
            message = f"This {what} {needs} ({expected.basis}); {_eur(available)} are available."
            hint = (
                f"{cheaper}Nothing was sent, and the user was not asked to pay. Wait until running jobs settle, ask "
                'the user to top up, or use backend="local", which is free.'
            )
            return Refusal("insufficient_balance", message, hint, changes=ON_LOCAL)
    return None


def declined(expected: Expectation, what: str, action: str) -> Refusal:
    """What to answer when the person who was asked to pay for this did not agree."""
    did = "declined" if action == "decline" else "did not agree"
    if not expected.told:
        message = f"The user was asked whether their plan at Eomer may pay for this {what} and {did}. Nothing was sent."
        hint = "Do not ask again unless the user wants to. Retrying is useless."
        return Refusal("spend_refused", message, hint, next=MONTHLY)
    return Refusal(
        "spend_refused",
        f"The user was asked to pay {euros(expected)} ({expected.basis}) for this {what} and {did}. "
        "Nothing was sent or charged.",
        'Do not ask again unless the user wants to. Use backend="local", which is free.',
        changes=ON_LOCAL,
    )


def euros(expected: Expectation) -> str:
    low, high = expected.eur_cents
    return f"{high / 100:.2f} EUR" if low == high else f"{low / 100:.2f} to {high / 100:.2f} EUR"


def cost_and_time(expected: Expectation) -> str:
    """Both, and where they are known from."""
    if not expected.told:
        return "no price and no duration is told beforehand; the account's plan pays"
    return f"{euros(expected)}, {duration(expected)} ({expected.basis})"


def duration(expected: Expectation) -> str:
    low, high = expected.seconds
    unit = "seconds"
    if high >= 120:
        low, high, unit = max(low // 60, 1), ceil(high / 60), "minutes"
    return f"{high} {unit}" if low == high else f"{low} to {high} {unit}"


async def stopped_by_cap(desk: Desk, expected: Expectation) -> bool:
    """Whether the day's cap keeps something from being sent."""
    cap = desk.settings.spend_cap_eur_cents
    if expected.told or cap is None:
        return await beyond_cap(desk, expected.eur_cents[1]) is not None
    return await desk.store.spent_since(_day(desk)) >= cap


async def beyond_cap(desk: Desk, high: int) -> int | None:
    """What the day (UTC) has spent or bound when `high` EUR cents more would pass its cap, else None."""
    cap = desk.settings.spend_cap_eur_cents
    if cap is None:
        return None
    spent = await desk.store.spent_since(_day(desk))
    return spent if spent + high > cap else None


async def over_cap(
    desk: Desk, spent: int, expected: Expectation, *, what: str = "forecast", cheaper: str = ""
) -> Refusal:
    """What to say about something with which the day, where so much is `spent` or bound, may pass its cap."""
    cap, high = desk.settings.spend_cap_eur_cents or 0, expected.eur_cents[1]
    alone = high > cap
    today = await desk.store.paid_and_reserved(_day(desk))
    message = f"This {what} is expected to cost {euros(expected)} ({expected.basis})"
    if alone:
        message += f"; by itself it may cost more than the cap of {_eur(cap)} a day."
    else:
        message += f"; with it the day may pass its cap of {_eur(cap)}. Today: {_told(today)}."
    ways = [] if alone else ["wait until tomorrow (UTC)"]
    without = await expected_for(desk, "sybilion", 0)
    if what == "forecast" and spent + without.eur_cents[1] <= cap:
        ways.insert(0, f"leave outside drivers away with driver_limit=0 ({euros(without)}), which fits")
    ways += ["ask the user to raise SYBILION_MCP_SPEND_CAP_EUR_CENTS", 'or use backend="local", which is free']
    hint = ", ".join(ways)
    hint = f"{cheaper}{hint[0].upper()}{hint[1:]}. Nothing was sent."
    return Refusal("spend_refused", message, hint, changes=ON_LOCAL)


def _told(today: Spent) -> str:
    paid = f"{_eur(today.paid)} paid"
    reserved = []
    if today.open:
        jobs = "1 job whose cost is" if today.open == 1 else f"{today.open} jobs whose costs are"
        reserved.append(f"{_eur(today.reserved)} reserved for {jobs} not known yet; get_status settles what has ended")
    if today.calls:
        reserved.append(f"{_eur(today.calls)} for calls whose answers got lost; to ask the same again settles them")
    return ", ".join([paid, *reserved])


def _eur(cents: int) -> str:
    return f"{cents / 100:.2f} EUR"


def _day(desk: Desk) -> str:
    return desk.now().date().isoformat()
