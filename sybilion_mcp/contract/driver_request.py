"""A request for drivers: its types as the API decodes them, and its rules in the order in which they are reported."""

from collections.abc import Iterator, Mapping
from datetime import date

from sybilion_mcp.contract import option_rules, series_rules
from sybilion_mcp.contract.draft import Draft
from sybilion_mcp.contract.months import parse_wire_date
from sybilion_mcp.contract.problem import Problem, counted
from sybilion_mcp.contract.request import Filters, ForecastRequest, Series, Strict, Text, TimeseriesMetadata
from sybilion_mcp.contract.rules import Rule, apply_rules, decode, settled, size

VERSION = "v1"
DEFAULT_DRIVER_LIMIT = 100


class DriverRequest(Strict):
    """The body of `POST /api/v1/drivers`. Everything may be absent here; the rules say what may not.

    The series may have any frequency: YYYY-MM-DD → number.
    """

    version: Text | None = None
    recency_factor: float | None = None
    timeseries_metadata: TimeseriesMetadata | None = None
    filters: Filters | None = None
    timeseries: Series | None = None


def check_driver_request(body: Mapping[str, object]) -> list[Problem]:
    """Every problem of a decoded body, in the order of the rules."""
    draft = Draft(ForecastRequest(), _NO_DAY)
    return settled(list(_problems(body, draft)), draft)


def first_driver_problem(body: Mapping[str, object]) -> Problem | None:
    """The problem that is named when only one is, or None for a sound body."""
    return next(_problems(body, Draft(ForecastRequest(), _NO_DAY)), None)


def _dates(draft: Draft) -> Iterator[Problem]:
    if not draft.readable("timeseries") or draft.request.timeseries is None:
        return
    if not draft.request.timeseries:
        yield Problem("empty_series", "timeseries", "The series holds no value.")
    bad = [text for text in sorted(draft.request.timeseries) if parse_wire_date(text) is None]
    if bad:
        message = counted("Not a date of the calendar written YYYY-MM-DD.", len(bad))
        yield Problem("bad_date", f'timeseries["{bad[0]}"]', message)


_RULES: tuple[Rule, ...] = (
    option_rules.recency_factor,
    option_rules.title,
    option_rules.description,
    option_rules.keywords,
    _dates,
    series_rules.finite,
    option_rules.filters,
)

_NO_DAY = date.min  # none of these rules asks for the day


def _problems(body: Mapping[str, object], draft: Draft) -> Iterator[Problem]:
    """The rules of a forecast request for what both requests have; the rest of the draft stays empty."""
    yield from size(body)
    type_problems, request = decode(body, DriverRequest)
    yield from type_problems
    draft.unreadable = frozenset(problem.field for problem in type_problems)
    if draft.readable("version") and request.version != VERSION:
        yield Problem("unsupported_version", "version", f'Must be exactly "{VERSION}".')
    given = request.recency_factor
    draft.request = ForecastRequest(
        recency_factor=option_rules.DEFAULT_RECENCY_FACTOR if given is None else given,
        timeseries_metadata=request.timeseries_metadata,
        filters=request.filters,
        timeseries=request.timeseries,
    )
    yield from apply_rules(_RULES, draft)
