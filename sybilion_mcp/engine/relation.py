"""How strongly series of months lead a target of any frequency."""

from collections.abc import Mapping, Sequence
from datetime import date

import numpy as np

from sybilion_mcp.contract.months import month_of
from sybilion_mcp.engine.candidate import Candidate
from sybilion_mcp.engine.drivers import half_life_months, lead_on, strongest
from sybilion_mcp.engine.models import unit_of
from sybilion_mcp.engine.stationary import MIN_MONTHS
from sybilion_mcp.intake.monthly import aggregated, gap_free


def strengths(series: Mapping[str, float], drivers: Sequence[Candidate], recency_factor: float) -> list[float]:
    """For each driver the size (0–1) of its strongest relation with the target 0 to 12 months later.

    It is what the forecast's own search would weigh: beyond the target's own past, and 0 when chance has such.
    `series` maps YYYY-MM-DD to numbers of any frequency, of which monthly means are taken; months between two values
    lie on the line between them.
    """
    with np.errstate(all="ignore"):  # values of 1e308 are allowed, and what comes of them is no number
        cells = aggregated([date.fromisoformat(day) for day in series], list(series.values()), "mean")
        months = gap_free({month: cell.value for month, cell in cells.items() if cell.value is not None}, "linear")
        values = np.array(list(months.values()), dtype=np.float64)
        if len(values) <= MIN_MONTHS:
            return [0.0] * len(drivers)
        names = [f"{month_of(month)}-01" for month in months]
        leads = [lead_on(names, driver) for driver in drivers]
        known = [lead for lead in leads if lead is not None]
        found = iter(strongest(values / unit_of(values), known, half_life_months(recency_factor)))
        return [0.0 if lead is None else next(found) for lead in leads]
