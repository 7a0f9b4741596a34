"""Driver rankings: which series outside may drive one."""

from collections.abc import Sequence
from dataclasses import dataclass

from sybilion_mcp.contract.driver_request import VERSION, check_driver_request
from sybilion_mcp.contract.option_rules import DEFAULT_RECENCY_FACTOR
from sybilion_mcp.contract.recommendations import DriverRanking, RankedDriver
from sybilion_mcp.service import subjects
from sybilion_mcp.service.calls import Answered, Question
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.engine_storage import answered_by, series_in_folder
from sybilion_mcp.service.subjects import Subject
from sybilion_mcp.service.tariffs import DRIVERS


@dataclass(frozen=True, slots=True)
class RankingOrder:
    """What the caller asks for."""

    subject: Subject
    recency_factor: float | None = None
    max_cost_eur_cents: int | None = None
    backend: str | None = None
    agreed_to: str | None = None
    person: bool = False

    async def question(self, desk: Desk) -> Question:
        """The order as it goes over the wire, checked. Raises `Refusal`."""
        metadata, series = await subjects.known(desk, self.subject)
        given = self.recency_factor
        body: dict[str, object] = {
            "version": VERSION,
            "recency_factor": DEFAULT_RECENCY_FACTOR if given is None else given,
            "timeseries_metadata": metadata,
        }
        filters = self.subject.filters
        body |= {"filters": filters} if filters else {}
        body |= {"timeseries": dict(series.points)} if series else {}
        refusal = subjects.refused(check_driver_request(body))
        if refusal is not None:
            raise refusal
        limit = self.subject.limit
        numbers = f"with its {len(series.points)} months" if series else "by its words alone, without numbers"
        most = f"no limit: up to {DRIVERS.most}" if limit is None else f"at most {limit}"
        about = "\n".join([*subjects.told(metadata, self.subject), f"Drivers: {most}, ranked {numbers}"])
        name = self.backend or desk.settings.sybilion_backend
        return Question(
            DRIVERS,
            name,
            body,
            subjects.title_of(metadata),
            about,
            max_cost_eur_cents=self.max_cost_eur_cents,
            agreed_to=self.agreed_to,
            person=self.person,
        )


@dataclass(frozen=True, slots=True)
class Ranked:
    """The drivers as they were ranked, best first; `with_numbers`: not by words alone.

    `tried`: the series of the driver folder, where none of them was ranked.
    """

    drivers: Sequence[RankedDriver]
    answered: Answered
    backend: str
    limit: int | None
    title: str
    with_numbers: bool
    tried: int | None = None


async def rank(desk: Desk, order: RankingOrder) -> Ranked:
    """Raises `Refusal` and `BackendError` as `ask` does."""
    question = await order.question(desk)
    answered = await answered_by(desk, question)
    drivers = DriverRanking.model_validate(answered.answer).drivers
    numbers = "timeseries" in question.body
    tried = await series_in_folder(desk) if question.backend == "local" and not drivers else None
    return Ranked(drivers, answered, question.backend, question.limit, question.title, numbers, tried)
