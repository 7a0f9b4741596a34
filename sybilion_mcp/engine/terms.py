"""On what terms an account uses the sandbox: its credit, its tier, the prices, and how slow and forgetful it is."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from sybilion_mcp.contract.request import Filters, ForecastRequest
from sybilion_mcp.engine.candidate import wants_drivers

DRIVER_EUR_CENTS = 5  # for each driver returned
ALERT_EUR_CENTS = 6  # for each alert returned
CREDIT_DAYS = 365  # after which a trial credit is gone

_DRIVERLESS = (52, 1)  # for a forecast of one month, and for each month more
_DRIVEN = (219, 15)
_BACKTEST = 8  # on top of a forecast with drivers


@dataclass(frozen=True, slots=True)
class Tier:
    """What one account may do at once: requests within a minute, and jobs that are queued or running."""

    level: int
    requests_per_minute: int
    max_jobs: int


TIERS: Mapping[int, Tier] = {tier.level: tier for tier in (Tier(1, 60, 2), Tier(2, 600, 5), Tier(3, 6000, 20))}


@dataclass(frozen=True, slots=True)
class Terms:
    """Of a sandbox that bills. An account begins with `credit_eur_cents`; nobody can pay more in.

    A job runs for `job_seconds` at least. A settled one is gone after `retention_seconds`; never without.
    """

    credit_eur_cents: int = 100_000
    tier: Tier = TIERS[3]
    job_seconds: float = 0.0
    retention_seconds: float | None = None


def highest_price(request: ForecastRequest) -> int:
    """What a forecast may cost at most, which is held until it is settled."""
    months = request.top_horizon or 1
    if not wants_drivers((request.filters or Filters()).limit):
        return _price(_DRIVERLESS, months)
    return _price(_DRIVEN, months) + (_BACKTEST if request.backtest else 0)


def price(artifacts: Mapping[str, bytes]) -> int:
    """What a forecast costs, by what was delivered: the months of its horizon, drivers, a backtest."""
    months = int(json.loads(artifacts["forecast.json"])["data"]["forecast_horizon"])
    if not json.loads(artifacts["external_signals.json"])["data"]:
        return _price(_DRIVERLESS, months)
    return _price(_DRIVEN, months) + (_BACKTEST if "backtest_metrics.json" in artifacts else 0)


def _price(of: tuple[int, int], months: int) -> int:
    first, more = of
    return first + more * (months - 1)
