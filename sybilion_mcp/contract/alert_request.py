"""A request for alerts: its types as the API decodes them, and its rules in the order in which they are reported."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import date

from sybilion_mcp.contract import option_rules
from sybilion_mcp.contract.draft import Draft
from sybilion_mcp.contract.months import parse_wire_date
from sybilion_mcp.contract.problem import Fix, Problem
from sybilion_mcp.contract.request import Filters, ForecastRequest, Strict, Text, TimeseriesMetadata
from sybilion_mcp.contract.rules import Rule, apply_rules, decode, settled, size

DEFAULT_ALERT_LIMIT = 100


class AlertRequest(Strict):
    """The body of `POST /api/v1/alerts`. Everything may be absent here; the rules say what may not.

    Dates are written YYYY-MM-DD. Where other requests say `timeseries_metadata`, this one says `metadata`.
    """

    metadata: TimeseriesMetadata | None = None
    context_enriched: bool | None = None
    date_from: Text | None = None
    date_to: Text | None = None
    filters: Filters | None = None


def check_alert_request(body: Mapping[str, object]) -> list[Problem]:
    """Every problem of a decoded body, in the order of the rules."""
    draft = Draft(ForecastRequest(), _NO_DAY)
    return [_named(one) for one in settled(list(_problems(body, draft)), draft)]


def first_alert_problem(body: Mapping[str, object]) -> Problem | None:
    """The problem that is named when only one is, or None for a sound body."""
    first = next(_problems(body, Draft(ForecastRequest(), _NO_DAY)), None)
    return None if first is None else _named(first)


_RULES: tuple[Rule, ...] = (
    option_rules.title,
    option_rules.description,
    option_rules.keywords,
    option_rules.filters,
)
_THEIRS, _OURS = "timeseries_metadata", "metadata"

_NO_DAY = date.min  # none of these rules asks for the day


def _problems(body: Mapping[str, object], draft: Draft) -> Iterator[Problem]:
    """The rules of a forecast request for what both requests have; the rest of the draft stays empty."""
    yield from size(body)
    type_problems, request = decode(body, AlertRequest)
    yield from type_problems
    wrong = frozenset(problem.field for problem in type_problems)
    draft.unreadable = frozenset(f"timeseries_{field}" if field.startswith(_OURS) else field for field in wrong)
    draft.request = ForecastRequest(timeseries_metadata=request.metadata, filters=request.filters)
    yield from apply_rules(_RULES, draft)
    if request.context_enriched is None and "context_enriched" not in wrong:
        yield Problem("context_enriched_missing", "context_enriched", "Missing: true or false.")
    yield from _dates(request)


def _dates(request: AlertRequest) -> Iterator[Problem]:
    given = {"date_from": request.date_from, "date_to": request.date_to}
    for name, text in given.items():
        if text is not None and parse_wire_date(text) is None:
            yield Problem("bad_date", name, "Not a date of the calendar written YYYY-MM-DD.")
    first, last = (parse_wire_date(text or "") for text in given.values())
    if first is not None and last is not None and last < first:
        yield Problem("date_order", "date_to", f"date_to ({last}) lies before date_from ({first}).")


def _named(problem: Problem) -> Problem:
    """A problem in the words of this request."""
    fix = problem.fix
    renamed = None if fix is None else Fix(_renamed(fix.field), fix.value)
    return replace(problem, field=_renamed(problem.field), fix=renamed)


def _renamed(field: str) -> str:
    return _OURS + field.removeprefix(_THEIRS) if field.startswith(_THEIRS) else field
