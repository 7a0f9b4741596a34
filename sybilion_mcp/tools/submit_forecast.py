"""submit_forecast: one question, one job."""

from contextlib import suppress
from dataclasses import asdict
from typing import Annotated, Any

from mcp.server.mcpserver import Context, ElicitationResult, Resolve
from mcp_types import CallToolResult
from pydantic import BaseModel, Field

from sybilion_mcp.backends.base import AnswerError, BackendError
from sybilion_mcp.hints import About, Refusal
from sybilion_mcp.next_step import NextStep
from sybilion_mcp.service.crowded import is_too_many_jobs, too_many_jobs
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.offer import Offer
from sybilion_mcp.service.orders import Order
from sybilion_mcp.service.spend import Expectation, duration, euros
from sybilion_mcp.service.submit import Submitted, submit
from sybilion_mcp.service.wires import wire_of
from sybilion_mcp.tools.answer import answer, answering
from sybilion_mcp.tools.consent import Consent, agreed, ask, offered, order_of
from sybilion_mcp.tools.parameters import (
    Backend,
    Description,
    HardHorizon,
    Keywords,
    Next,
    Series,
    SoftHorizon,
    StrictlyPositive,
    Title,
)


class Answer(BaseModel):
    job_id: str
    reused: bool
    backend: str
    series_id: str
    status: str
    expected: dict[str, Any]
    next: Next


# consent.order_of takes these parameters again, by their names: what it does not name would not be asked.
@answering
async def submit_forecast(
    ctx: Context[Desk, Any],
    order: Annotated[Order, Resolve(order_of)],
    offer: Annotated[Offer | None, Resolve(offered)],
    consent: Annotated[ElicitationResult[Consent], Resolve(ask)],
    series_id: Annotated[str | None, Field(description="From validate_series; knows its title.")] = None,
    series: Series = None,
    title: Title = None,
    description: Description = None,
    keywords: Keywords = None,
    soft_horizon: SoftHorizon = None,
    hard_horizon: HardHorizon = None,
    recency_factor: Annotated[float, Field(description="0-1; lower: more drivers, slower.")] = 0.5,
    backtest: Annotated[bool, Field(description="Measures past errors.")] = True,
    strictly_positive: StrictlyPositive = None,
    regions: Annotated[list[int] | None, Field(description="From the user, no guess.")] = None,
    categories: Annotated[list[int] | None, Field(description="As regions.")] = None,
    driver_limit: Annotated[int | None, Field(description="0: no drivers, cheaper.")] = None,
    aux_series_ids: Annotated[list[str] | None, Field(description="Driver series_ids, validated.")] = None,
    max_cost_eur_cents: Annotated[int | None, Field(description="What the user agreed to.", ge=0)] = None,
    resubmit: Annotated[bool, Field(description="User wants to pay again.")] = False,
    backend: Backend = None,
    preset: Annotated[str | None, Field(description="Eomer: chronos_tiny, …")] = None,
    quantile_levels: Annotated[list[float] | None, Field(description="Eomer: as 0.1, 0.9.")] = None,
    explainability: Annotated[bool | None, Field(description="Eomer: or not.")] = None,
) -> Annotated[CallToolResult, Answer]:
    """Start a forecast. local: seconds, free; sybilion: minutes to an hour, euros; eomer: the user's plan pays.

    The same request again answers the same job, free.
    """
    desk = ctx.request_context.lifespan_context
    try:
        return _render(await _submitted(desk, agreed(ctx, order, offer, consent)))
    except (Refusal, BackendError) as error:
        kept = await _kept_as(desk, order)
        raise About(error, {} if kept is None else {"series_id": kept}) from error


async def _kept_as(desk: Desk, order: Order) -> str | None:
    with suppress(Refusal):  # that the store cannot be used now is no news: the call failed
        return await wire_of(order.backend or desk.settings.default_backend).kept_as(desk, order)
    return None


async def _submitted(desk: Desk, order: Order) -> Submitted:
    try:
        return await submit(desk, order)
    except AnswerError as error:
        if is_too_many_jobs(error):
            raise await too_many_jobs(desk, error.backend, error.trace_id) from error
        raise


def _render(made: Submitted) -> CallToolResult:
    status = made.job.status if made.job else "queued"
    step = NextStep("get_status", {"job_id": made.job_id, "wait_seconds": 20})
    if made.job is not None and made.job.finished:
        step = NextStep("read_artifact", {"job_id": made.job_id, "artifact": "report"})
    lines = _reused(made, status) if made.reused else _started(made)
    data = {
        "job_id": made.job_id,
        "reused": made.reused,
        "backend": made.backend,
        "series_id": made.series_id,
        "status": status,
        "expected": _expected(made.expected),
        "next": step.data,
    }
    return answer("\n".join([*lines, step.line]), data)


def _expected(expected: Expectation) -> dict[str, Any]:
    ranges = asdict(expected)
    told = ranges.pop("told")
    return ranges if told else {"basis": expected.basis}


def _started(made: Submitted) -> list[str]:
    return [f"Started: job {made.job_id} on {_SERVICES[made.backend]}.", told(made.expected)]


_SERVICES = {"local": "the embedded engine", "sybilion": "the Sybilion service", "eomer": "Eomer"}


def told(expected: Expectation) -> str:
    """What a forecast costs and takes, in a sentence."""
    if expected.free:
        return f"Free; usually done in {duration(expected)}."
    if not expected.told:
        return "Eomer tells no price and no duration beforehand; the account's plan there pays."
    return f"Usually {duration(expected)} and {euros(expected)} ({expected.basis})."


def _reused(made: Submitted, status: str) -> list[str]:
    job = made.job
    cost = f", {job.eur_cents_final / 100:.2f} EUR" if job and job.eur_cents_final else ""
    again = "For a fresh run" if made.backend == "local" else "To pay for a fresh run"
    reused = (
        f"Reused: job {made.job_id} already answers exactly this request "
        f"(submitted {made.submitted_at[:10]}, {status}{cost}). Nothing was charged."
    )
    return [reused, f"{again}, call again with resubmit=true."] if job and job.finished else [reused]
