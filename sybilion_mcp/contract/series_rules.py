"""Rules about the numbers: dates, gaps, length, age, intermittent demand, signs, auxiliary series."""

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from itertools import pairwise

from sybilion_mcp.contract.draft import Draft
from sybilion_mcp.contract.months import month_index, month_of, months_before, parse_wire_date
from sybilion_mcp.contract.problem import Fix, Problem, counted
from sybilion_mcp.contract.request import MAX_HORIZON

MONTHS_NEEDED = {3: 40, 6: 60, 12: 120}
"""Longest horizon → months of history it needs."""

INTERMITTENT_ADI = 1.32
INTERMITTENT_MONTHS = 60
INTERMITTENT_SHARE = 0.2
INTERMITTENT_HORIZONS = (3, 6)
MAX_AGE_MONTHS = 12
MAX_AUX = 10


def longest_horizon(months: int) -> int | None:
    """The longest horizon that a history of so many months allows; None below 40 months."""
    return max((longest for longest, needed in MONTHS_NEEDED.items() if months >= needed), default=None)


def months_needed(horizon: int) -> int:
    return next(needed for longest, needed in MONTHS_NEEDED.items() if min(horizon, MAX_HORIZON) <= longest)


def allowed_horizons(series: Mapping[str, float]) -> tuple[int, ...]:
    """The horizons a gap-free series may ask for at the top of its ladder."""
    longest = longest_horizon(len(series)) or 0
    if series and average_demand_interval(series) >= INTERMITTENT_ADI:
        enough = len(series) >= INTERMITTENT_MONTHS and 1 / average_demand_interval(series) >= INTERMITTENT_SHARE
        return tuple(months for months in INTERMITTENT_HORIZONS if enough and months <= longest)
    return tuple(range(1, longest + 1))


def average_demand_interval(series: Mapping[str, float]) -> float:
    """ADI: periods ÷ periods that are not exactly zero; infinite when all are."""
    non_zero = sum(value != 0 for value in series.values())
    return len(series) / non_zero if non_zero else math.inf


def dates(draft: Draft) -> Iterator[Problem]:
    if not draft.readable("timeseries"):
        return
    if not draft.request.timeseries:
        yield Problem("empty_series", "timeseries", "The series holds no value.")
        return
    days = {text: parse_wire_date(text) for text in sorted(draft.request.timeseries)}
    bad = [text for text, day in days.items() if day is None]
    off = [text for text, day in days.items() if day is not None and day.day != 1]
    wrong = {
        "bad_date": (bad, "Not a date of the calendar written YYYY-MM-DD."),
        "not_first_of_month": (off, "Not the first of a month."),
    }
    for code, (texts, message) in sorted(wrong.items(), key=lambda one: one[1][0]):
        if texts:
            place = f'timeseries["{texts[0]}"]'
            yield Problem(code, place, counted(message, len(texts)), months=_months_of(texts))


def finite(draft: Draft) -> Iterator[Problem]:
    yield from _finite("timeseries", draft.request.timeseries or {})


def no_gap(draft: Draft) -> Iterator[Problem]:
    missing = [month_of(gap) for before, after in pairwise(_months(draft)) for gap in range(before + 1, after)]
    if missing:
        named = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
        yield Problem("missing_month", "timeseries", f"No value for {named}.", months=tuple(missing))


def length(draft: Draft) -> Iterator[Problem]:
    request, months = draft.request, len(_months(draft))
    asked = max((h for h in (request.soft_horizon, request.hard_horizon) if h is not None), default=None)
    if not months or asked is None or months >= months_needed(asked):
        return
    short = f"{months_needed(asked) - months} more are needed"
    longest = longest_horizon(months)
    if longest is None:
        message = f"{months} months allow no forecast: horizons 1 to 3 need 40; for {asked} months ahead {short}."
        yield Problem("too_short", "timeseries", message)
        return
    message = f"{months} months allow horizons 1 to {longest}; {asked} needs {months_needed(asked)}, {short}."
    yield from _shorten(draft, "too_short", message, longest)


def recency(draft: Draft) -> Iterator[Problem]:
    days = _days(draft)
    if days and max(days) < (oldest := months_before(draft.today, MAX_AGE_MONTHS)):
        last = max(days).isoformat()
        message = f"The last value is of {last}; it must not be older than {MAX_AGE_MONTHS} months ({oldest})."
        yield Problem("stale_series", "timeseries", message, months=(last[:7],))


def intermittent(draft: Draft) -> Iterator[Problem]:
    """Many zeros: at least 60 months, a fifth of them non-zero, and a ladder that starts at 3 or 6."""
    series, top = draft.request.timeseries or {}, draft.request.top_horizon
    if not series or average_demand_interval(series) < INTERMITTENT_ADI:
        return
    adi = average_demand_interval(series)
    kind = f"Demand is intermittent (ADI {adi:.2f}, 1.32 or more)" if math.isfinite(adi) else "Every value is zero"
    if len(series) < INTERMITTENT_MONTHS:
        message = f"{kind}: {INTERMITTENT_MONTHS} months are needed, the series has {len(series)}."
        yield Problem("intermittent_too_short", "timeseries", message)
    if 1 / adi < INTERMITTENT_SHARE:
        message = f"{kind}: only {1 / adi:.0%} of the months are not zero, at least 20% must be."
        yield Problem("intermittent_too_sparse", "timeseries", message)
    if top is not None and top not in INTERMITTENT_HORIZONS:
        nearest = 6 if top > 3 and len(series) >= MONTHS_NEEDED[6] else 3
        message = f"{kind}: the forecast must start at 3 or 6 months, not {top}."
        yield from _shorten(draft, "intermittent_horizon", message, nearest)


def positive(draft: Draft) -> Iterator[Problem]:
    if not draft.request.strictly_positive:
        return
    series = draft.request.timeseries or {}
    negative = sorted(text for text, value in series.items() if value < 0)
    if negative:
        message = counted(f"strictly_positive is set, but the value is {series[negative[0]]:g}.", len(negative))
        fix = Fix("strictly_positive", False)
        yield Problem("negative_value", f'timeseries["{negative[0]}"]', message, fix, _months_of(negative))


def aux(draft: Draft) -> Iterator[Problem]:
    given = draft.request.aux_timeseries
    if given is None:
        return
    if not 1 <= len(given) <= MAX_AUX:
        yield Problem("aux_count", "aux_timeseries", f"{len(given)} auxiliary series; 1 to {MAX_AUX} are accepted.")
    for position, series in enumerate(given):
        field = f"aux_timeseries[{position}]"
        wanted = (draft.request.timeseries or {}).keys()
        if draft.readable("timeseries") and series.keys() != wanted:
            absent = sorted(wanted - series.keys())
            detail = f"{len(absent)} are missing, the first is {absent[0]}." if absent else "It has others too."
            yield Problem("aux_dates_differ", field, f"Must have exactly the dates of the series. {detail}")
        yield from _finite(field, series)


def _finite(field: str, series: Mapping[str, float]) -> Iterator[Problem]:
    texts = sorted(text for text, value in series.items() if not math.isfinite(value))
    if texts:
        message = counted("The value is not finite.", len(texts))
        yield Problem("not_finite", f'{field}["{texts[0]}"]', message, months=_months_of(texts))


def _shorten(draft: Draft, code: str, message: str, longest: int) -> Iterator[Problem]:
    """Ask for fewer months: the top of the ladder, and its foot where that would then stand higher."""
    soft, hard = draft.request.soft_horizon, draft.request.hard_horizon
    if soft is not None:
        field = "soft_horizon" if code == "intermittent_horizon" else "timeseries"
        yield Problem(code, field, message, Fix("soft_horizon", longest))
        if hard is not None and hard > longest:
            follow = f"hard_horizon ({hard}) must not exceed the {longest} months of soft_horizon."
            yield Problem("horizon_order", "hard_horizon", follow, Fix("hard_horizon", longest))
    else:
        field = "hard_horizon" if code == "intermittent_horizon" else "timeseries"
        yield Problem(code, field, message, Fix("hard_horizon", longest))


def _days(draft: Draft) -> list[date]:
    return sorted(day for text in draft.request.timeseries or {} if (day := parse_wire_date(text)))


def _months_of(texts: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(text[:7] for text in texts if parse_wire_date(text)))


def _months(draft: Draft) -> list[int]:
    return sorted({month_index(day) for day in _days(draft)})
