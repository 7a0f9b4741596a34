"""Alerts from the driver folder: a series whose latest month moved much, by what its own months use to do."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

from sybilion_mcp.contract.alert_request import DEFAULT_ALERT_LIMIT, AlertRequest
from sybilion_mcp.contract.driver_request import DriverRequest
from sybilion_mcp.contract.months import months_before
from sybilion_mcp.contract.request import Filters
from sybilion_mcp.engine.candidate import Candidate
from sybilion_mcp.engine.library import Contents
from sybilion_mcp.engine.ranking import rank

MUCH = 3.0  # times the median of the changes before
USUAL_MONTHS = 12  # of changes at least, to tell what is usual
LOOKED_BACK = 12  # months, unless the request says since when
TREND_MONTHS = 3


@dataclass(frozen=True, slots=True)
class Move:
    """The latest month of a series against the one before. `unusual`: how many times as much as usual it moved."""

    id: str
    name: str
    pct_change: float
    trending: bool
    unusual: float


def find_alerts(request: AlertRequest, contents: Contents, today: date) -> list[Move]:
    """The series that moved much, those first whose words relate to the request, then the more unusual ones.

    The latest month is the last one within the request's dates, or else within a year before today.
    """
    filters = request.filters or Filters()
    last = date.fromisoformat(request.date_to) if request.date_to else today
    first = date.fromisoformat(request.date_from) if request.date_from else _a_year_before(last)
    chosen = [one for one in contents.drivers if one.passes(filters.regions, filters.categories)]
    moves = [move for one in chosen if (move := _move(one, first.isoformat(), last.isoformat())) is not None]
    asked = DriverRequest(timeseries_metadata=request.metadata, filters=Filters(limit=len(contents.drivers)))
    related = {one.id: one.score for one in rank(asked, contents)} if moves else {}
    limit = DEFAULT_ALERT_LIMIT if filters.limit is None else filters.limit
    return sorted(moves, key=lambda one: (-related.get(one.id, 0.0), -one.unusual, one.name, one.id))[:limit]


def _a_year_before(day: date) -> date:
    return months_before(day, LOOKED_BACK) if day.year > 1 else date.min


def _move(driver: Candidate, first: str, last: str) -> Move | None:
    """None when the month did not move much, or nobody can tell."""
    shown = [(month, value) for month, value in driver.months.items() if month <= last]
    if len(shown) < USUAL_MONTHS + 2 or shown[-1][0] < first:
        return None
    values = [value for _, value in shown]
    changes = [after - before for before, after in pairwise(values)]
    usual, latest, level = statistics.median(map(abs, changes[:-1])), changes[-1], values[-2]
    if not (math.isfinite(usual) and math.isfinite(latest)) or abs(latest) <= MUCH * usual or level == 0:
        return None
    pct_change = 100 * (latest / abs(level))
    if not math.isfinite(pct_change):
        return None
    unusual = abs(latest) / usual if usual else math.inf
    return Move(driver.id, driver.name, round(pct_change, 2), _one_way(changes[-TREND_MONTHS:]), unusual)


def _one_way(changes: Sequence[float]) -> bool:
    return all(one > 0 for one in changes) or all(one < 0 for one in changes)
