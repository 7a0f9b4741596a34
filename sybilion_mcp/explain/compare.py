"""Jobs on one series beside each other, in words: how they differ, and which one hindcasts better."""

import math
from collections.abc import Iterator, Sequence

from sybilion_mcp.explain.comparison import Comparison, Errors, Overlap, Record, best, compare
from sybilion_mcp.explain.facts import JSON
from sybilion_mcp.explain.wording import counted, finite, percent, significant, spoken
from sybilion_mcp.outside import clean, identifier

__all__ = ["LISTED", "Comparison", "best", "compare", "data", "lines", "warnings"]

LISTED = 3
"""Other jobs that a report names."""

_ASKED = 6  # differences told of one job


def lines(comparisons: Sequence[Comparison]) -> list[str]:
    """Warnings first, then two lines for each of at most `LISTED` jobs, in the order given."""
    better = best(comparisons)
    told = list(warnings(comparisons))
    for one in comparisons[:LISTED]:
        told += [_how_it_differs(one), _how_it_did(one, compared=one is not better)]
    return [line for line in (*told, *_more(comparisons)) if line]


def _more(comparisons: Sequence[Comparison]) -> Iterator[str]:
    if len(comparisons) > LISTED:
        series_id = comparisons[0].series_id
        where = f": sybilion://series/{identifier(series_id)}" if series_id else ""
        yield f"There are more jobs on this series{where}."


def warnings(comparisons: Sequence[Comparison]) -> Iterator[str]:
    """One sentence each on a job with later data, and on one that hindcasts clearly better than the reported one."""
    newer, better = next((one for one in comparisons if one.newer), None), best(comparisons)
    if newer is not None:
        yield f"Job {identifier(newer.facts.job_id)} has later data than this one."
    if better is not None and better.errors is not None:
        yield f"Job {identifier(better.facts.job_id)} hindcasts better than this one: {_by_how_much(better.errors)}."


def data(comparisons: Sequence[Comparison]) -> list[JSON]:
    """The same jobs as structured content; `verdict` says how the other job hindcasts against the reported one."""
    return [_data(one) for one in comparisons[:LISTED]]


def _how_it_differs(one: Comparison) -> str:
    facts = one.facts
    origin = ", ".join(part for part in (facts.answered_by, facts.settled_on, facts.cost) if part)
    told = [*one.asked[:_ASKED], *([f"{len(one.asked) - _ASKED} more differences"] if len(one.asked) > _ASKED else [])]
    if not one.asked_known:
        told.append("its settings or those of this job are not at hand")
    elif not told:
        told.append("asked the same")
    if one.overlap and (drivers := _drivers(one.overlap)):
        told.append(drivers)
    return f"{identifier(facts.job_id)} ({origin}): {'; '.join(told)}."


def _drivers(overlap: Overlap) -> str:
    if not overlap.there and not overlap.here:
        return "no drivers in either"
    if not overlap.there or not overlap.here:
        there, here = (counted(n, "driver group") if n else "no drivers" for n in (overlap.there, overlap.here))
        return f"{there} there, {here} here"
    if overlap.equal:
        return "the same drivers"
    if overlap.common == overlap.strongest:
        return "the same strongest drivers"
    return f"other drivers ({overlap.common} of the {overlap.strongest} strongest here are among the strongest there)"


def _how_it_did(one: Comparison, *, compared: bool) -> str:
    return " ".join([*([_errors(one)] if compared else []), *_ending(one), *_record(one.record)])


def _errors(one: Comparison) -> str:
    errors = one.errors
    if errors is None:
        return "No past window in common: which hindcasts better is not known."
    if errors.verdict == "same":
        return _same_error(errors, _drivers_aside(one))
    unsure = "; too few to tell which is better" if errors.verdict == "unknown" else ""
    return f"Hindcasts: {_by_how_much(errors)}{unsure}."


def _same_error(errors: Errors, drivers: str) -> str:
    there, here = significant(errors.there), significant(errors.here)
    windows = counted(errors.windows, "common window")
    aside = f" came {drivers} drivers" if drivers else ""
    so = ": these past errors do not depend on the drivers" if drivers else ""
    if there != here:
        return f"About the same error{aside}: {there} there, {here} here over {windows}, which is no difference."
    each = ", the same in every month" if errors.month_by_month else ""
    return f"The same error{aside}: {here} over {windows}{each}{so}."


def _drivers_aside(one: Comparison) -> str:
    """How the drivers differ where the errors do not; nothing between two backends, which differ in more than these."""
    overlap = one.overlap
    if overlap is None or overlap.equal or not one.same_backend:
        return ""
    if overlap.there and overlap.here:
        return "with different"
    return "without" if overlap.here else "there with"


def _by_how_much(errors: Errors) -> str:
    """The errors of both, the other job's first."""
    windows = counted(errors.windows, "common window")
    both = f"error {significant(errors.there)} there, {significant(errors.here)} here over {windows}"
    if not math.isfinite(errors.ratio) or errors.ratio >= 2:
        return both
    if significant(errors.there) == significant(errors.here):
        return both
    return f"{both} ({percent(abs(errors.ratio - 1))} {'smaller' if errors.ratio < 1 else 'larger'} there)"


def _ending(one: Comparison) -> Iterator[str]:
    ending = one.ending
    if ending is None:
        return
    there, here = spoken(ending.there, ending.step), spoken(ending.here, ending.step)
    if there == here:
        yield f"Both forecast {here} for {ending.month}."
    else:
        yield f"Forecast for {ending.month}: {there} there, {here} here."


def _record(record: Record | None) -> Iterator[str]:
    if record is None:
        return
    whose = "its" if record.whose == "there" else "this job's"
    mape = "" if record.mape is None or not math.isfinite(record.mape) else f", MAPE {record.mape:.1f} %"
    band = f"; its 80 % band held {record.held_80.held} of {record.held_80.counted}" if record.held_80.counted else ""
    yield (
        f"Of {whose} {counted(record.forecast_months, 'forecast month')}, {record.months} "
        f"{'has' if record.months == 1 else 'have'} come since: off by {significant(record.mae)}{mape}, "
        f"repeating the last value by {significant(record.last_value_mae)}{band}."
    )


def _data(one: Comparison) -> JSON:
    errors, overlap, record = one.errors, one.overlap, one.record
    return {
        "job_id": identifier(one.facts.job_id),
        "backend": clean(one.facts.backend, 20),
        "settled_on": one.facts.settled_on,
        "cost_eur_cents": 0 if one.facts.free else one.facts.eur_cents_final,
        "differences": list(one.asked[:_ASKED]),
        "strongest_drivers_in_common": overlap.common if overlap else None,
        "common_windows": errors.windows if errors else 0,
        "mae_there": finite(errors.there) if errors else None,
        "mae_here": finite(errors.here) if errors else None,
        "verdict": errors.verdict if errors else "unknown",
        "came_since": _record_data(record) if record else None,
    }


def _record_data(record: Record) -> JSON:
    return {
        "whose": record.whose,
        "months": record.months,
        "mae": finite(record.mae),
        "mape": finite(record.mape),
        "held_80": record.held_80.held,
        "counted_80": record.held_80.counted,
    }
