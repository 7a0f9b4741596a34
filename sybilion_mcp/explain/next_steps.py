"""The next sensible step after a report: free before paid, and only what was not tried yet."""

from collections.abc import Iterator, Sequence

from sybilion_mcp.explain.backtest import FEW_WINDOWS
from sybilion_mcp.explain.comparison import Comparison, best
from sybilion_mcp.explain.drivers import LISTED
from sybilion_mcp.explain.embedded import driver_limit, offered
from sybilion_mcp.explain.results import WINDOWS
from sybilion_mcp.explain.trust import Evidence
from sybilion_mcp.next_step import NextStep
from sybilion_mcp.outside import identifier

_LOWER_RECENCY = 0.2


def next_step(evidence: Evidence, others: Sequence[Comparison]) -> NextStep:
    """The first that applies: newer data, a newer or better job, a free run, a run that may find drivers, a look."""
    return next(_steps(evidence, others))


def _steps(evidence: Evidence, others: Sequence[Comparison]) -> Iterator[NextStep]:
    months, past = len(evidence.outlook.rows), evidence.outlook.past_months
    yield from _kept_jobs(others)
    if 2 * past >= months:
        how_many = "every forecast month is" if past == months else f"{past} of {months} forecast months are"
        yield NextStep("validate_series", {}, f"with the latest months: {how_many} past (free)")
    yield from _free_runs(evidence, others)
    if _may_find_drivers(evidence):
        yield _find_drivers(evidence)
    drivers = evidence.results.drivers
    many = drivers is not None and len(drivers.groups) > LISTED
    look = {"job_id": identifier(evidence.results.facts.job_id), "artifact": "drivers" if many else "backtest"}
    yield NextStep("read_artifact", {**look, "view": "table"}, "for more (free)")


def _kept_jobs(others: Sequence[Comparison]) -> Iterator[NextStep]:
    """Jobs of this desk that tell more; folders that merely lie beside are no jobs a tool could read."""
    newer, better = next((one for one in others if one.newer), None), best(others)
    for one, why in ((newer, "has later data"), (better, "hindcasts better")):
        if one is not None and one.series_id is not None:
            there = {"job_id": identifier(one.facts.job_id), "artifact": "report"}
            yield NextStep("read_artifact", there, f"of the job that {why} (free)")


def _free_runs(evidence: Evidence, others: Sequence[Comparison]) -> Iterator[NextStep]:
    results = evidence.results
    no_backtest = results.windows is None and WINDOWS not in results.unreadable
    if no_backtest and results.facts.free:
        yield _submit(evidence, {"backtest": True}, "to learn how good such forecasts are (free)")
    compared = any(one.facts.free for one in others)
    beaten = results.skill.verdict == "worse" and results.skill.windows_used >= FEW_WINDOWS
    if not results.facts.free and not compared and (no_backtest or beaten):
        why = f"{results.skill.rival} did better than this" if beaten else "this job cannot tell how good it is"
        free = {"backend": "local", **({"backtest": True} if no_backtest else {})}
        yield _submit(evidence, free, f"to try the embedded engine (free), since {why}")


def _submit(evidence: Evidence, changes: dict[str, object], reason: str) -> NextStep:
    again = evidence.results.facts.again
    with_it = "" if "series_id" in again else "with its series "
    return NextStep("submit_forecast", {**again, **changes}, f"{with_it}{reason}")


def _may_find_drivers(evidence: Evidence) -> bool:
    """Whether there are none and asking otherwise may bring some; what the embedded engine tried, it need not again.

    A paid run is not worth it where the series alone does well.
    """
    results = evidence.results
    request = results.facts.request
    if results.drivers is None or results.drivers.series or driver_limit(request) == 0:
        return False
    if evidence.embedded is not None:
        return offered(evidence.embedded, request) == (0, 0)
    return results.skill.verdict != "better"


def _find_drivers(evidence: Evidence) -> NextStep:
    recency = evidence.results.facts.request.get("recency_factor")
    if evidence.embedded is None and isinstance(recency, int | float) and recency > 0:
        lower = _LOWER_RECENCY if recency > _LOWER_RECENCY else 0.0
        return _submit(evidence, {"recency_factor": lower}, "to look for drivers (costs money)")
    paid = "" if evidence.results.facts.free else " (costs money)"
    return _submit(evidence, {}, f"with aux_series_ids of series that may lead this one{paid}")
