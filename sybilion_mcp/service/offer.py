"""Offer: what a person is asked to pay for, where somebody has to be asked."""

import hashlib
from dataclasses import dataclass

from sybilion_mcp.backends.base import Backend, BackendError
from sybilion_mcp.hints import Refusal
from sybilion_mcp.service.account import identify
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.ledger import reconcile
from sybilion_mcp.service.orders import Order
from sybilion_mcp.service.spend import (
    Expectation,
    cost_and_time,
    expected_for,
    stopped_by_cap,
    too_poor,
)
from sybilion_mcp.service.standing import Standing, peek
from sybilion_mcp.service.submit import by_every_name, question_of
from sybilion_mcp.service.wires import wire_of
from sybilion_mcp.store.records import Submission


@dataclass(frozen=True, slots=True)
class Offer:
    """A forecast as it is `described` to a person, what it is expected to cost and take, and what it `replaces`."""

    described: tuple[str, ...]
    request_hash: str
    replaces: Submission | None
    expected: Expectation
    what: str = "forecast"

    @property
    def question(self) -> str:
        """The same for the same offer, to the letter."""
        return "\n".join(
            [
                *self.described,
                f"Expected: {cost_and_time(self.expected)}",
                f"{self._again()}Nothing is sent unless you accept. Reference {self._reference()}.",
            ]
        )

    def _reference(self) -> str:
        """Two offers that read alike differ in it: in their numbers, or in the job that a fresh run replaces."""
        replaced = self.replaces.submission_id if self.replaces else None
        return hashlib.sha256(f"{self.request_hash}{replaced}".encode()).hexdigest()[:8]

    def _again(self) -> str:
        if self.replaces is None:
            return ""
        if self.replaces.state == "accepted":
            return "It was answered before; this pays for a fresh run.\n"
        return "It was sent before and may have been charged; this pays once more.\n"


async def offer(desk: Desk, order: Order) -> Offer | None:
    """What to ask a person before this order is submitted.

    None where there is nothing to ask: it is free, forbidden, over the cap, the caller's limit or what the account has,
    not sound, or answered by a job that is there. No job is made; numbers are remembered as a submit remembers them.
    """
    settings = desk.settings
    name = order.backend or settings.default_backend
    if name == "local" or settings.read_only or settings.spend != "ask":
        return None
    try:
        backend = desk.backend(name)
        question = await question_of(desk, order)
        stands = await _standing(desk, backend, question, resubmit=order.resubmit)
        if stands.answer is None:
            await identify(desk, backend)
            stands = await _standing(desk, backend, question, resubmit=order.resubmit)
    except (Refusal, BackendError):  # the submit itself says what is wrong
        return None
    if stands.answer is not None:
        return None
    expected = await expected_for(desk, name, order.options.driver_limit)
    limit = order.max_cost_eur_cents
    too_little = limit is not None and (limit < expected.eur_cents[1] or (limit == 0 and not expected.told))
    if too_little or await stopped_by_cap(desk, expected):
        return None
    if expected.told and await too_poor(desk, expected) is not None:
        return None
    described = tuple(wire_of(name).described(question.request))
    return Offer(described, question.request_hash, stands.replaced, expected)


async def _standing(desk: Desk, backend: Backend, question: Submission, *, resubmit: bool) -> Standing:
    """As the submit itself will find it. Raises `Refusal` where nobody can tell."""
    questions = await by_every_name(desk, question)
    known = await peek(desk, questions, resubmit=resubmit)
    return known or await reconcile(desk, backend, questions, resubmit=resubmit)
