"""Billed calls that answer at once: one question, one charge. Each is written down, with its id, before it is sent.

The id goes with every try of a day, from whatever process, until an answer came: so long the service charges once under
one id. Later it has to be agreed to again, as another call.
"""

import hashlib
import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import uuid4

import anyio

from sybilion_mcp.backends.base import BackendError, SybilionBackend, may_be_done, never_taken
from sybilion_mcp.contract.account import UsageEvent
from sybilion_mcp.contract.recommendations import Alerts, DriverRanking
from sybilion_mcp.contract.request import encode
from sybilion_mcp.hints import Refusal
from sybilion_mcp.service.account import account_name, identify
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.spend import Expectation, beyond_cap, euros, over_cap, pass_gate, too_poor
from sybilion_mcp.service.tariffs import Tariff, expectation, price_of
from sybilion_mcp.store.entries import Call
from sybilion_mcp.store.records import OverCap, timestamp

_log = logging.getLogger(__name__)

ANSWERS_FOR = timedelta(days=1)
"""So long an answer that was paid for answers the same question again, and so long holds what a person agreed to."""
SHOWN = 25
"""Of what came, at once; and what is offered where fewer cost less."""
USAGE_SECONDS = 5.0
"""For learning what a call cost; it is told as expected where that takes longer."""
_NEAR = timedelta(minutes=15)
"""A charge this close to a call may be the call's: clocks differ."""
_LOOKED_AT = 50


@dataclass(frozen=True, slots=True)
class Question:
    """A request to a service. `about`: what a person reads who is asked to pay for it, in lines.

    `agreed_to`: the `request_hash` of what a person agreed to pay for; anything else is not sent.
    """

    tariff: Tariff
    backend: str
    body: Mapping[str, object]
    title: str
    about: str
    max_cost_eur_cents: int | None = None
    agreed_to: str | None = None
    person: bool = False
    """Whether one can be asked."""

    @property
    def limit(self) -> int | None:
        """At most so many come, and are billed."""
        filters = self.body.get("filters")
        limit = filters.get("limit") if isinstance(filters, Mapping) else None
        return limit if isinstance(limit, int) else None

    @property
    def unbounded(self) -> bool:
        """Whether more is billed than is shown."""
        return self.limit is None or self.limit > SHOWN


@dataclass(frozen=True, slots=True)
class Cost:
    """`told`: the service's usage says so; otherwise it is what so many usually cost, and why."""

    eur_cents: int
    told: bool
    basis: str


@dataclass(frozen=True, slots=True)
class Answered:
    """`reused`: this very question was answered before, then, and nothing was sent. `cost` is None where it is free.

    `most_eur_cents`: what it might have cost. `earlier`: about a try of another day that may have been charged too.
    """

    answer: Mapping[str, object]
    reused: bool
    asked_at: str
    cost: Cost | None
    most_eur_cents: int = 0
    earlier: str = ""


@dataclass(frozen=True, slots=True)
class CallOffer:
    """What a person is asked to pay for."""

    question: str
    request_hash: str
    expected: Expectation
    what: str


async def ask(desk: Desk, question: Question) -> Answered:
    """The answer, paid for at most once in a day.

    Raises `Refusal` when it may not be sent, `BackendError` when no answer comes; then the same question goes on
    under the same id.
    """
    backend = desk.sybilion(question.backend)
    if question.backend == "local":
        answer = await _send(backend, question, str(uuid4()))
        return Answered(answer.model_dump(mode="json"), False, timestamp(desk.now()), None)
    account = await _account(desk, backend)
    request_hash = _hash(question, account)
    if question.agreed_to not in (None, request_hash):
        raise Refusal(
            "spend_refused",
            "The series was described anew while the user was asked; what they agreed to is not what would be sent.",
            "Call again with the same arguments: the user is asked about it as it is now. Nothing was sent.",
        )
    new = Call(str(uuid4()), request_hash, "open", question.tariff.operation, question.backend, account, 0, "")

    async def asked() -> list[Answered]:
        answered = await _asked(desk, backend, question, new)
        return [replace(answered, reused=True), answered]

    answers = await desk.shared.once(("call", request_hash, question.max_cost_eur_cents), asked)
    return answers.pop() if len(answers) > 1 else answers[0]  # the first who is there to hear it is told the charge


async def offer(desk: Desk, question: Question) -> CallOffer | None:
    """What to ask a person before the question is sent.

    None where there is nothing to ask: it is free, forbidden, over the cap, the caller's limit or what the account
    has, agreed to already, or answered. Raises `Refusal` and `BackendError` as `ask` does.
    """
    settings = desk.settings
    if question.backend == "local" or settings.read_only or settings.spend != "ask":
        return None
    backend = desk.sybilion(question.backend)
    request_hash = _hash(question, await _account(desk, backend))
    standing = await desk.store.calls.current(request_hash)
    if standing is not None and _stands(standing, desk.now()):
        return None
    expected = await _expected(desk, question)
    high, limit = expected.eur_cents[1], question.max_cost_eur_cents
    if (limit is not None and limit < high) or await beyond_cap(desk, high) is not None:
        return None
    if await too_poor(desk, expected, what=question.tariff.what) is not None:
        return None
    text = (
        f"Pay for this {question.tariff.what} on the Sybilion service?\n{question.about}\n"
        f"Expected: {euros(expected)} ({expected.basis}); each {question.tariff.unit} that comes is billed\n"
        f"{_lost(standing)}Nothing is sent unless you accept. Reference {request_hash[:8]}."
    )
    return CallOffer(text, request_hash, expected, question.tariff.what)


async def _asked(desk: Desk, backend: SybilionBackend, question: Question, new: Call) -> Answered:
    store = desk.store.calls
    standing = await store.current(new.request_hash)
    if standing is not None and standing.answer is not None and _stands(standing, desk.now()):
        return _reused(standing)
    agreed = standing is not None and _stands(standing, desk.now())
    expected = await _expected(desk, question)
    lost = "" if agreed else _lost(standing)
    cheaper, what = lost + await _cheaper(desk, question), question.tariff.what
    unasked = question.person and question.agreed_to is None
    await pass_gate(
        desk, expected, question.max_cost_eur_cents, unasked=unasked, what=what, cheaper=cheaper, agreed=agreed
    )
    call, mine = standing, False
    if call is None or not agreed:
        new = replace(new, expected_eur_cents=expected.eur_cents[1], created_at=timestamp(desk.now()))
        try:
            call, mine = await store.begin(new, replaces=standing, cap_eur_cents=desk.settings.spend_cap_eur_cents)
        except OverCap as over:
            raise await over_cap(desk, over.spent, expected, what=what, cheaper=cheaper) from over
        if call.answer is not None:  # another process was faster
            return _reused(call)
    if not mine and not await store.join(call.request_id):
        return await _asked(desk, backend, question, new)  # another process was told something meanwhile
    return replace(await _sent(desk, backend, question, call), earlier=lost)


async def _sent(desk: Desk, backend: SybilionBackend, question: Question, call: Call) -> Answered:
    """The answer to a call that is written down. It reaches who paid for it even where it cannot be kept."""
    price = await price_of(desk, question.tariff)
    try:
        answer = await _send(backend, question, call.request_id)
    except BackendError as error:
        never = never_taken(error)
        if never or not (error.after_lost or may_be_done(error)):
            await desk.store.calls.refuse(call.request_id, never_taken=never)
        raise
    units = len(answer.drivers if isinstance(answer, DriverRanking) else answer.alerts)
    content, at = answer.model_dump(mode="json"), timestamp(desk.now())
    told = None
    try:
        with anyio.CancelScope(shield=True):
            first = await desk.store.calls.put_answer(call.request_id, content, at, units, price.of(units))
        if not first:  # another try of the same id brought it, and told what it cost
            return Answered(content, True, call.created_at, Cost(price.of(units), False, price.basis))
        told = await _booked(desk, backend, call, units)
    except Refusal as error:  # the same question goes on under the same id, so that it is charged once
        _log.warning("what came of the paid call %s could not be written down: %s", call.request_id, error)
    cost = Cost(price.of(units), False, price.basis) if told is None else Cost(told, True, "")
    return Answered(content, False, call.created_at, cost, call.expected_eur_cents)


async def _account(desk: Desk, backend: SybilionBackend) -> str:
    """Whose call it is, under the one name that all tokens of a user have."""
    await identify(desk, backend)
    return await account_name(desk)


async def _send(backend: SybilionBackend, question: Question, request_id: str) -> DriverRanking | Alerts:
    if question.tariff.operation == "drivers":
        return await backend.rank_drivers(dict(question.body), request_id)
    return await backend.alerts(dict(question.body), request_id)


async def _booked(desk: Desk, backend: SybilionBackend, call: Call, units: int) -> int | None:
    """What the service says that the call cost, in EUR cents; None when that cannot be told from other charges."""
    with suppress(BackendError), anyio.move_on_after(USAGE_SECONDS):
        events = (await backend.usage(_LOOKED_AT)).usage_events
        booked = await desk.store.calls.booked(call.account, _LOOKED_AT)
        fitting = [one for one in events if one.id not in booked and _fits(one, call, units)]
        if len(fitting) == 1 and fitting[0].id is not None and fitting[0].eur_cents_charged is not None:
            charged = max(fitting[0].eur_cents_charged, 0)
            if await desk.store.calls.book(call.request_id, fitting[0].id, charged):
                return charged
    return None


def _fits(event: UsageEvent, call: Call, units: int) -> bool:
    if event.created is None or event.units != units or call.operation not in (event.endpoint or ""):
        return False
    return event.created >= datetime.fromisoformat(call.created_at) - _NEAR


def _stands(call: Call, now: datetime) -> bool:
    """Whether a call answers its question, or goes on as it was agreed to."""
    since = {"answered": call.answered_at, "refused": None}.get(call.state, call.created_at)
    return since is not None and now - datetime.fromisoformat(since) < ANSWERS_FOR


def _lost(standing: Call | None) -> str:
    """What to say before a question is paid for whose last try was sent too long ago to go on, and not answered."""
    if standing is None or standing.state not in ("open", "joined"):
        return ""
    cost = f"up to {standing.expected_eur_cents / 100:.2f} EUR"
    return f"An earlier try on {standing.created_at[:10]} may have been charged already, {cost}; this one costs anew. "


def _reused(call: Call) -> Answered:
    assert call.answer is not None
    cost = None if call.eur_cents is None else Cost(call.eur_cents, call.usage_id is not None, "")
    return Answered(call.answer, True, call.answered_at or call.created_at, cost)


async def _expected(desk: Desk, question: Question) -> Expectation:
    return expectation(question.tariff, await price_of(desk, question.tariff), question.limit)


async def _cheaper(desk: Desk, question: Question) -> str:
    if not question.unbounded:
        return ""
    few = expectation(question.tariff, await price_of(desk, question.tariff), SHOWN)
    return f"With limit={SHOWN} it costs at most {few.eur_cents[1] / 100:.2f} EUR. "


def _hash(question: Question, account: str) -> str:
    """What makes two questions the same: everything that is asked, whom, and on whose account."""
    digest = hashlib.sha256(f"{question.tariff.operation}\0{question.backend}\0{account}\0".encode())
    digest.update(encode(dict(sorted(question.body.items()))))
    return digest.hexdigest()
