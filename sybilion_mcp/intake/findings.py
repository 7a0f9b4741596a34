"""What can be wrong with a series, said so that the writer can act on it. Names months, values and numbers."""

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Literal

from sybilion_mcp.contract.months import month_index, month_of
from sybilion_mcp.contract.problem import Fix, Problem
from sybilion_mcp.intake.monthly import Cell, Rhythm, spacing, wire_date
from sybilion_mcp.intake.numbers import is_missing, plain_number
from sybilion_mcp.intake.unusual import Unusual
from sybilion_mcp.outside import QUOTE, visible

CODES: Mapping[str, str] = {
    "empty_series": "no point, or none with a date and a number",
    "bad_date": "a label that is no calendar date",
    "daily_data": "several dates a month, up to three days apart",
    "weekly_data": "several dates a month, further apart",
    "duplicate_month": "a month given more than once in a monthly series",
    "not_first_of_month": "one date a month, but not the first",
    "text_number": "a number written as text",
    "not_a_number": "text, a boolean, a list or an object where a number belongs",
    "not_finite": "NaN, infinity, or more than a number can hold",
    "missing_value": "a date without a value",
    "missing_month": "a month without a date",
    "filled": "warning: what `fill` did",
    "partial_month": "warning: a month built from a part of its values, or not over yet",
    "future_month": "warning: months after the current one (UTC)",
    "unusual_value": "warning: single values far from their neighbours and their season",
}

_SHOWN = 6  # months named in a sentence before the rest is counted
_MARKUP = frozenset('"[]<>`#|')
_LINK = re.compile(r"://|\bwww\.", re.IGNORECASE)
_CALL = re.compile(r"(?<=[a-z])_(?=[a-z_]*\s*\()")  # as tools are called
_UNUSUAL = 5  # unusual values named before the rest is counted
_SLIPS = {
    -3: "a thousandth of",
    -2: "a hundredth of",
    -1: "a tenth of",
    1: "10 times",
    2: "100 times",
    3: "1000 times",
}
_KEPT = 120  # months kept with a problem: a forged year can make a gap of ten thousand


def empty(what: str) -> Problem:
    return Problem("empty_series", "timeseries", f"The series holds {what}.")


def bad_dates(labels: Sequence[str], months: Sequence[str]) -> Problem:
    """`months` are those that can be recognised in the labels ("2021-02" of "2021-02-30")."""
    verb = "is no calendar date" if len(labels) == 1 else "are no calendar dates"
    named = _joined([quoted(label) for label in labels[:4]], len(labels), shown=3)
    message = f"{named} {verb}; write the first of each month as YYYY-MM-DD, such as 2021-03-01."
    place = f"timeseries[{quoted(labels[0])}]" if len(labels) == 1 else "timeseries"
    return Problem("bad_date", place, message, months=tuple(dict.fromkeys(months))[:_KEPT])


def too_fine(days: Sequence[date], rhythm: Rhythm) -> Problem:
    apart = "daily" if rhythm.step <= 1 else f"about {rhythm.step} days apart"
    message = (
        f"The {len(days)} dates {min(days)} … {max(days)} are {apart}; the API takes months. "
        'aggregate="mean" suits prices, rates and levels, "sum" quantities such as sales, '
        '"last" keeps the last value of a month.'
    )
    return Problem(f"{rhythm.kind}_data", "timeseries", message, Fix("aggregate", "mean"))


def duplicates(months: Sequence[int]) -> Problem:
    message = f"{_named(months)} {_has(months)} more than one value; correct the data or take their mean."
    return Problem("duplicate_month", _place_of(months), message, Fix("aggregate", "mean"), _kept(months))


def several_series(apart: str, months: Sequence[int], aggregate: Literal["none", "mean", "last"]) -> Problem:
    """`apart` names, quoted, the columns that tell several values of a date apart: no fix can choose one."""
    if aggregate != "none":
        took = "the mean over them" if aggregate == "mean" else "the last of them"
        message = f"{apart} tells several values of a date apart: the series is {took}, which may be no series at all."
        return _warning("duplicate_month", months, message)
    message = (
        f"{_named(months)} {_has(months)} more than one value, told apart by {apart}. Choose one (keep its rows alone "
        'in the file), or aggregate="sum" if they add up, or backend="eomer" for each as a series of its own.'
    )
    return Problem("duplicate_month", "timeseries", message, None, _kept(months))


def not_first(days: Sequence[date], total: int, how: Literal["mean", "last"]) -> Problem:
    """`days` are those that are no first of a month, `total` counts all."""
    are = "is not the first of its month" if len(days) == 1 else "are not the first of their month"
    message = f"{len(days)} of {total} dates {are}, for example {days[0]}; the value can stand for its month."
    place = f'timeseries["{days[0]}"]' if len(days) == 1 else "timeseries"
    return Problem("not_first_of_month", place, message, Fix("aggregate", how), _months(days))


def text_numbers(texts: Mapping[date, str]) -> Problem:
    doubtful = {day: text for day, text in texts.items() if plain_number(text) is None}
    day, text = next(iter((doubtful or texts).items()))
    where = f"The value of {_spot(day)} is text" if len(texts) == 1 else f"{len(texts)} values are text"
    example = quoted(text) if len(texts) == 1 else f"{quoted(text)} in {_spot(day)}"
    number = plain_number(text)
    if number is None:
        message = f"{where}; {example} can be read in two ways. Write numbers without quotes, such as 1234.5."
    else:
        message = f"{where}: write {example} as the number {number:.15g}, without quotes."
    return Problem("text_number", _place(texts), message, months=_months(texts), status=400)


def not_numbers(values: Mapping[date, object]) -> Problem:
    day, value = next(iter(values.items()))
    where = f"The value of {_spot(day)} is" if len(values) == 1 else f"{len(values)} values are"
    example = "" if len(values) == 1 else f", in {_spot(day)}"
    blank = any(isinstance(value, str) and is_missing(value) for value in values.values())
    hint = "; write null where a value is missing." if blank else "."
    message = f"{where} not a number: {_kind(value)}{example}{hint}"
    return Problem("not_a_number", _place(values), message, months=_months(values), status=400)


def not_finite(days: Collection[date], fix: Fix | None) -> Problem:
    ordered = sorted(days)
    named = _joined([_spot(day) for day in ordered[: _SHOWN + 1]], len(ordered))
    message = f"{named} {_has(ordered)} no finite number (NaN, infinity or too large); it counts as missing."
    return Problem("not_finite", _place(ordered), message, fix, _months(ordered), status=400)


def sum_too_large(months: Sequence[int]) -> Problem:
    message = f"The values of {_named(months)} add up to more than a number can hold; scale the series."
    return Problem("not_finite", _place_of(months), message, None, _kept(months), status=400)


def missing_values(months: Sequence[int], outside: Sequence[int], fix: Fix | None) -> Problem:
    """`outside` are those of `months` before the first or after the last value."""
    message = f"{_named(months)} {_has(months)} no value (null)."
    if outside and fix is not None:
        message += f" Filling leaves {_named(outside)} out: it never extends a series."
    return Problem("missing_value", _place_of(months), message, fix, _kept(months), status=400)


def missing_months(months: Sequence[int], measured: Sequence[int], fix: Fix | None) -> Problem:
    """`measured` are the months with a value."""
    message = f"{_named(months)} {_is_are(months)} not in the series."
    apart = spacing(sorted(measured))
    if apart in (3, 6, 12):
        message += f" The points are {apart} months apart: filling would invent {apart - 1} of {apart} months."
    elif len(months) > len(measured):
        message += f" Only {len(measured)} months have a value: check the dates before you fill the rest."
    return Problem("missing_month", _place_of(months), message, fix, _kept(months))


def filled(months: Sequence[int], outside: Sequence[int], fill: Literal["linear", "previous", "zero"]) -> Problem:
    """`months` were given a value, `outside` were left out because nothing lies on one side of them."""
    how = {"linear": "on a line between its neighbours", "previous": "to the value before", "zero": "to 0"}[fill]
    said = [f'fill="{fill}" set {_named(months)} {how}'] if months else []
    said += [f"{_named(outside)} left out: no value on one side"] if outside else []
    places = sorted([*months, *outside])
    return _warning("filled", places, f"{'; '.join(said)}.")


def partial_months(cells: Mapping[int, Cell], edges: Sequence[int], gone: Sequence[int]) -> Problem | None:
    """`edges`: the first or last month where daily or weekly dates do not cover it; `gone`: those that are left out."""
    part = sorted(month for month, cell in cells.items() if 0 < cell.counted < cell.given and month not in gone)
    kept = [month for month in edges if month not in gone]
    said = []
    if gone:
        said.append(f"{_named(gone)} {_is_are(gone)} left out: a sum over the dates there is not that of a month")
    if kept:
        said.append(f"the dates do not cover all of {_named(kept)}, whose value is of these days only")
    if part:
        absent = sum(cells[month].given - cells[month].counted for month in part)
        said.append(f"values without a number were left out of {_named(part)} ({absent} in all)")
    if not said:
        return None
    sentence = "; ".join(said)
    return _warning("partial_month", sorted({*edges, *part}), f"{sentence[0].upper()}{sentence[1:]}.")


def not_over(month: int, today: date) -> Problem:
    message = (
        f"{month_of(month)} is not over yet (today is {today}, UTC): if its value is of the days so far, leave it out; "
        "a forecast would begin from it."
    )
    return _warning("partial_month", [month], message)


def future_months(months: Sequence[int], today: date) -> Problem:
    message = (
        f"{_named(months)} {_is_are(months)} after the current month {month_of(month_index(today))} (UTC): "
        "if these are forecasts or plans, leave them out."
    )
    return _warning("future_month", months, message)


def unusual(found: Sequence[Unusual]) -> Problem:
    named = [_far(one) for one in found[:_UNUSUAL]]
    more = len(found) - len(named)
    counted = f"; {more} more {'value stands' if more == 1 else 'values stand'} out so" if more else ""
    asked = "a slipped decimal point?" if any(one.slip for one in found) else "is that right?"
    return _warning("unusual_value", [one.month for one in found], f"{', '.join(named)}{counted}; {asked}")


def _far(one: Unusual) -> str:
    value = f"{month_of(one.month)} ({one.value:.10g})"
    if one.around is not None:
        around = float(f"{one.around:.3g}")
        return f"{value} is {'negative' if one.value else 'zero'} among values of about {around:.10g}"
    if one.slip:
        return f"{value} is about {_SLIPS[one.slip]} its neighbours"
    times = f"{one.ratio:.2g} times" if 0.001 <= one.ratio < 1000 else f"far {'more' if one.ratio > 1 else 'less'} than"
    return f"{value} is {times} {'the next largest in size' if one.in_size else 'what its neighbours suggest'}"


def _place_of(months: Sequence[int]) -> str:
    """The API's field of one month, or of the whole series."""
    return f'timeseries["{wire_date(months[0])}"]' if len(months) == 1 else "timeseries"


def quoted(text: str, longest: int = 40) -> str:
    """Somebody else's text in quotes: printable, on one line, short, and without markup or links.

    Unlike `outside.quoted` it keeps underscores where no call follows: names of columns are to be repeated as they are.
    """
    line = "".join(map(visible, text[: 4 * longest]))
    line = "".join(letter for letter in QUOTE.sub("'", line) if letter.isprintable() and letter not in _MARKUP)
    line = _CALL.sub(" ", _LINK.sub(" ", line))
    return f'"{line}"' if len(line) <= longest else f'"{line[:longest]}…"'


def _warning(code: str, months: Sequence[int], message: str) -> Problem:
    return Problem(code, _place_of(months), message, months=_kept(months), severity="warning")


def _place(days: Collection[date]) -> str:
    return f'timeseries["{next(iter(days))}"]' if len(days) == 1 else "timeseries"


def _months(days: Collection[date]) -> tuple[str, ...]:
    return _kept(list(dict.fromkeys(month_index(day) for day in sorted(days))))


def _spot(day: date) -> str:
    """ "2021-03" for a first of a month, the whole date otherwise."""
    return month_of(month_index(day)) if day.day == 1 else day.isoformat()


def _kind(value: object) -> str:
    if isinstance(value, str):
        return f"the text {quoted(value)}"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "an object"
    return "a list" if isinstance(value, list | tuple) else f"a {type(value).__name__}"


def _named(months: Sequence[int]) -> str:
    return _joined([month_of(month) for month in months[: _SHOWN + 1]], len(months))


def _joined(first: Sequence[str], total: int, shown: int = _SHOWN) -> str:
    """ "2021-03, 2021-04 and 12 more" from the first names and their total number; never "and 1 more"."""
    if total > shown + 1:
        return f"{', '.join(first[:shown])} and {total - shown} more"
    return f"{', '.join(first[:-1])} and {first[-1]}" if total > 1 else first[0]


def _kept(months: Sequence[int]) -> tuple[str, ...]:
    return tuple(month_of(month) for month in months[:_KEPT])


def _has(things: Sequence[object]) -> str:
    return "has" if len(things) == 1 else "have"


def _is_are(things: Sequence[object]) -> str:
    return "is" if len(things) == 1 else "are"
