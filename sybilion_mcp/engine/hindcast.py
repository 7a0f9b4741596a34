"""How wrong the engine would have been on a series: a job's backtest, told in a tenth of its time."""

import sys
from collections.abc import Sequence

import numpy as np

from sybilion_mcp.contract.option_rules import DEFAULT_RECENCY_FACTOR
from sybilion_mcp.engine.bands import LEVELS, quantiles
from sybilion_mcp.engine.drivers import Search, half_life_months
from sybilion_mcp.engine.measured import Hindcast
from sybilion_mcp.engine.models import scaled
from sybilion_mcp.engine.outlook import Effort, Forecaster

LOWER, UPPER = LEVELS.index(0.1), LEVELS.index(0.9)
NO_DRIVERS = Search(links=0, kept=0, leads=0, half_life=half_life_months(DEFAULT_RECENCY_FACTOR))


def hindcast(
    values: Sequence[float], horizon: int, origins: Sequence[int], *, strictly_positive: bool = False
) -> Hindcast:
    """What the engine would have said of a gap-free series, without drivers, `horizon` months ahead at `origins`.

    `origins` rise, and count the months known then: no forecast knows others. Models are fitted up to a year before,
    where a backtest fits them anew at each origin: the error comes out within a few percent of a backtest's.
    Raises ValueError for an origin with too short a past, or with months ahead that have not come.
    """
    series, unit = scaled(values)
    lowest = 0.0 if strictly_positive else -np.inf
    past = Forecaster(series, horizon, lowest, (), NO_DRIVERS, Effort()).hindcast(origins)
    asked = [one for one in past if one.origin in origins]
    if len(asked) < len(origins) or origins[-1] + horizon > len(series):
        raise ValueError(f"{len(series)} months do not allow the origins {origins[0]} to {origins[-1]}")
    errors, held = [], 0
    for one in asked:
        actual = series[one.origin : one.origin + horizon]
        table = np.maximum(quantiles(series, one.origin, one.values, past), lowest)
        errors.append(np.abs(actual - one.values))
        held += int(np.count_nonzero((table[:, LOWER] <= actual) & (actual <= table[:, UPPER])))
    mae = min(float(np.mean(errors)) * unit, sys.float_info.max)
    return Hindcast(mae, held, len(asked) * horizon)
