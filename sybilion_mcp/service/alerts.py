"""Alerts: what has moved lately around a subject, and the news about it."""

from collections.abc import Sequence
from dataclasses import dataclass

from sybilion_mcp.contract.alert_request import check_alert_request
from sybilion_mcp.contract.recommendations import Alert, Alerts
from sybilion_mcp.service import subjects
from sybilion_mcp.service.calls import Answered, Question
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.engine_storage import answered_by
from sybilion_mcp.service.subjects import Subject
from sybilion_mcp.service.tariffs import ALERTS


@dataclass(frozen=True, slots=True)
class AlertOrder:
    """What the caller asks for; dates are written YYYY-MM-DD."""

    subject: Subject
    date_from: str | None = None
    date_to: str | None = None
    context_enriched: bool = False
    max_cost_eur_cents: int | None = None
    backend: str | None = None
    agreed_to: str | None = None
    person: bool = False

    async def question(self, desk: Desk) -> Question:
        """The order as it goes over the wire, checked. Raises `Refusal`."""
        metadata, _ = await subjects.known(desk, self.subject)
        body: dict[str, object] = {"metadata": metadata, "context_enriched": self.context_enriched}
        dates = {"date_from": self.date_from, "date_to": self.date_to}
        body |= {name: text for name, text in dates.items() if text is not None}
        filters = self.subject.filters
        body |= {"filters": filters} if filters else {}
        refusal = subjects.refused(check_alert_request(body))
        if refusal is not None:
            raise refusal
        limit = self.subject.limit
        most = f"no limit: up to {ALERTS.most}" if limit is None else f"at most {limit}"
        span = "".join(f", {name.removeprefix('date_')} {text}" for name, text in dates.items() if text)
        about = "\n".join([*subjects.told(metadata, self.subject), f"Alerts: {most}{span}"])
        name = self.backend or desk.settings.sybilion_backend
        return Question(
            ALERTS,
            name,
            body,
            subjects.title_of(metadata),
            about,
            max_cost_eur_cents=self.max_cost_eur_cents,
            agreed_to=self.agreed_to,
            person=self.person,
        )


@dataclass(frozen=True, slots=True)
class Alerted:
    """`dated`: only what moved in a time that the caller named."""

    alerts: Sequence[Alert]
    answered: Answered
    backend: str
    limit: int | None
    title: str
    dated: bool


async def alerts(desk: Desk, order: AlertOrder) -> Alerted:
    """Raises `Refusal` and `BackendError` as `ask` does."""
    question = await order.question(desk)
    answered = await answered_by(desk, question)
    found = Alerts.model_validate(answered.answer).alerts
    dated = order.date_from is not None or order.date_to is not None
    return Alerted(found, answered, question.backend, question.limit, question.title, dated)
