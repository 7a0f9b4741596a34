"""A forecast request → its artifacts. Pure: no clock, no randomness, no files; the same request, the same bytes."""

import sys
from collections.abc import Mapping, Sequence

import numpy as np

from sybilion_mcp.contract.driver_request import DEFAULT_DRIVER_LIMIT
from sybilion_mcp.contract.months import index_of
from sybilion_mcp.contract.option_rules import DEFAULT_RECENCY_FACTOR
from sybilion_mcp.contract.request import Filters, ForecastRequest
from sybilion_mcp.engine import artifacts, backtest
from sybilion_mcp.engine.candidate import Candidate, wants_drivers
from sybilion_mcp.engine.drivers import Lead, Offered, Search, half_life_months, is_target, lead_on
from sybilion_mcp.engine.models import Floats, scaled
from sybilion_mcp.engine.outlook import Effort, Forecaster, Outlook

EFFORT = {
    "none": Effort(),
    "low": Effort(origins=90, links=6),
    "mid": Effort(origins=90, links=8, thorough=("AutoARIMA",)),
    "high": Effort(origins=120, links=12, thorough=("AutoARIMA",)),
}


def run_pipeline(body: Mapping[str, object], candidates: Sequence[Candidate] = ()) -> dict[str, bytes]:
    """File name → JSON. The body must have passed the submit rules; `candidates` are the user's driver folder."""
    request = ForecastRequest.model_validate(dict(body))
    assert request.timeseries
    months = sorted(request.timeseries)
    target = _target(request, months)
    offered = _offered(request, target.values, months, candidates)
    search = _search(request, offered.kept)
    forecaster = Forecaster(target.values, _ladder(request)[0], target.lowest, offered.leads, search, _effort(request))
    outlook = forecaster.outlook(len(months), _ladder(request))
    shown = _backtest(forecaster, outlook.horizon) if request.backtest else []
    found = {
        "forecast.json": artifacts.forecast_json(target, outlook, offered, search.half_life, shown),
        "external_signals.json": artifacts.external_signals_json(target, outlook, offered),
        "input.json": artifacts.encoded(request.model_dump(exclude_unset=True)),
    }
    if outlook.fell_back:
        found["info.json"] = artifacts.info_json(outlook)
    if request.backtest:
        with_baseline = request.run_baseline is True
        found["backtest_metrics.json"] = artifacts.backtest_metrics_json(target, shown, with_baseline=with_baseline)
        found["backtest_trajectories.json"] = artifacts.backtest_trajectories_json(target, shown)
    return found


def _backtest(forecaster: Forecaster, horizon: int) -> list[Outlook]:
    """What the engine would have said at each window, in full."""
    origins = backtest.window_origins(len(forecaster.series), horizon)
    return [forecaster.outlook(origin, [horizon]) for origin in origins]


def _ladder(request: ForecastRequest) -> Sequence[int]:
    """The horizons to try, from the soft one down to the hard one."""
    assert request.top_horizon
    bottom = request.hard_horizon if request.hard_horizon is not None else request.top_horizon
    return range(request.top_horizon, bottom - 1, -1)


def _target(request: ForecastRequest, months: Sequence[str]) -> artifacts.Target:
    assert request.timeseries
    values, unit = _scaled(request.timeseries, months)
    return artifacts.Target(index_of(months[0]), values, unit, 0.0 if request.strictly_positive else -np.inf)


def _offered(
    request: ForecastRequest, target: Floats, months: Sequence[str], candidates: Sequence[Candidate]
) -> Offered:
    filters = request.filters or Filters()
    if not wants_drivers(filters.limit):
        return Offered([], 0, [], [])
    own = [
        Lead(f"aux_{number}", f"aux_{number}", _scaled(series, months)[0])
        for number, series in enumerate(request.aux_timeseries or ())
    ]
    offered = Offered(own, len(own), [], [])
    for one in candidates:
        if one.passes(filters.regions, filters.categories):
            lead = lead_on(months, one)
            if lead is None:
                offered.too_short.append(one.name)
            elif is_target(target, lead):
                offered.same_as_series.append(one.name)
            else:
                offered.leads.append(lead)
    return offered


def _search(request: ForecastRequest, kept: int) -> Search:
    recency_factor = DEFAULT_RECENCY_FACTOR if request.recency_factor is None else request.recency_factor
    limit = request.filters.limit if request.filters is not None else None
    return Search(
        links=min(_effort(request).links, request.max_num_features or sys.maxsize),
        kept=kept,
        leads=DEFAULT_DRIVER_LIMIT if limit is None else limit,
        half_life=half_life_months(recency_factor),
    )


def _effort(request: ForecastRequest) -> Effort:
    return EFFORT[request.optimization_budget or "none"]


def _scaled(timeseries: Mapping[str, float], months: Sequence[str]) -> tuple[Floats, float]:
    return scaled([timeseries[month] for month in months])
