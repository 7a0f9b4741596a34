"""The examples of the description: made up, and each valid by its own schema."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from sybilion_mcp.contract.months import month_index, month_of
from sybilion_mcp.engine import answers
from sybilion_mcp.engine.terms import DRIVER_EUR_CENTS

TRACE_ID = "9b2f6c1e5d7a4f0c8e3b1a2d4c6f8e0a"
TITLE = "Copper price in Germany, EUR per tonne"

_MONTHS = 60
_JOB_ID = "0d7c2f4e-8a51-4c3b-9e6f-2b1a7d5c9e80"
_HREF = f"/api/v1/forecasts/{_JOB_ID}"
_AT, _LATER, _EXPIRES = "2026-01-15T09:30:00.000Z", "2026-01-15T09:31:10.250Z", "2027-01-15T09:30:00.000Z"

SENTENCES: Mapping[int, str] = {
    400: 'invalid request body: field "backtest": Must be true or false.',
    401: "missing bearer token",
    404: "job not found",
    408: "the request body did not come within 20 seconds",
    409: "job is running: artifacts are available once it is completed",
    413: "request body larger than 2 MiB",
    416: "requested range not satisfiable",
    429: "too many concurrent jobs",
    500: "internal error",
}
INVALID: answers.InvalidBody = {
    "error": "validation_failed",
    "details": [{"field": "soft_horizon", "message": "13 is outside 1 to 12 months."}],
}
HEALTHY: answers.Health = {"status": "ok", "components": {"engine": {"status": "ok"}, "jobs": {"status": "ok"}}}
DEGRADED: answers.Health = {
    "status": "degraded",
    "components": {"engine": {"status": "ok"}, "jobs": {"status": "error"}},
}
ACCEPTED: answers.Accepted = {"job_id": _JOB_ID, "poll_url": _HREF}
_SUMMARY: answers.JobSummary = {
    "job_id": _JOB_ID,
    "pipeline_type": "forecast",
    "status": "completed",
    "created_at": _AT,
    "settled_at": _LATER,
    "settled": True,
    "eur_cents_final": 249,
}
JOB: answers.Job = {
    **_SUMMARY,
    "artifacts": [
        {
            "name": "forecast.json",
            "size": 2871,
            "content_type": "application/json",
            "href": f"{_HREF}/artifacts/forecast.json",
        }
    ],
}
JOBS: answers.JobList = {
    "jobs": [_SUMMARY],
    "pagination": {"page": 1, "limit": 50, "total": 1, "total_pages": 1, "sort": "created_at", "order": "desc"},
}
USAGE: answers.UsageList = {
    "usage_events": [
        {
            "id": 7,
            "endpoint": "forecast",
            "units": 1,
            "credits_charged": 249,
            "eur_cents_charged": 249,
            "created_at": _LATER,
            "async_job_id": _JOB_ID,
        },
        {
            "id": 6,
            "endpoint": "drivers",
            "units": 4,
            "credits_charged": 4 * DRIVER_EUR_CENTS,
            "eur_cents_charged": 4 * DRIVER_EUR_CENTS,
            "created_at": _AT,
            "async_job_id": None,
        },
    ],
    "pagination": {"page": 1, "limit": 50, "total": 2, "total_pages": 1, "sort": "id", "order": "desc"},
}
ME: answers.Me = {
    "user_id": "5f1d0c7b9a3e4d2f8b6c1e0a7d9f3b52",
    "balance_eur_cents": 9731,
    "available_eur_cents": 9482,
    "api_usage_tier": 3,
    "lifetime_paid_cents": 0,
    "payment_count": 0,
    "has_ever_paid": False,
    "role": "user",
    "euro_tranches": [
        {
            "id": "c4a1e7d2-3b5f-4e60-8f19-6d2c7b9a0e31",
            "source": "signup_trial",
            "initial_eur_cents": 10000,
            "remaining_eur_cents": 9731,
            "created_at": _AT,
            "expires_at": _EXPIRES,
        }
    ],
    "signup_trial": {
        "initial_eur_cents": 10000,
        "remaining_eur_cents": 9731,
        "granted_at": _AT,
        "expires_at": _EXPIRES,
    },
}
REGIONS: answers.Regions = {"items": [{"id": 1, "name": "Germany", "latitude": 0.0, "longitude": 0.0}]}
CATEGORIES: answers.Categories = {"items": [{"id": 1, "name": "Metals"}]}
RANKING: answers.Ranking = {
    "status": 200,
    "message": "drivers found: 1, among 12 series in the driver folder",
    "data": {
        "drivers": [{"hash_id": "7f3a5c1d-2e48-5b90-a6d7-4c8b1e0f9a23", "driver_name": "Copper stocks", "score": 61.4}]
    },
}
ALERTS: answers.Alerts = {"alerts": [{"name": "Copper stocks", "pct_change": -18.2, "trending": True, "news": []}]}


def forecast_request(today: date) -> dict[str, Any]:
    """A request that is accepted on that day."""
    end = month_index(today)
    months = [f"{month_of(index)}-01" for index in range(end - _MONTHS, end)]
    return {
        "pipeline_version": "v1",
        "frequency": "monthly",
        "soft_horizon": 3,
        "recency_factor": 0.5,
        "timeseries_metadata": {"title": TITLE, "keywords": ["copper", "metal price"]},
        "timeseries": {month: 8000 + 9 * step + 37 * (step * step % 23) for step, month in enumerate(months)},
        "filters": {"limit": 20},
    }


def driver_request() -> dict[str, Any]:
    return {"version": "v1", "recency_factor": 0.5, "timeseries_metadata": {"title": TITLE}, "filters": {"limit": 20}}


def alert_request(today: date) -> dict[str, Any]:
    metadata = {"title": TITLE, "keywords": ["copper"]}
    filters = {"limit": 10}
    return {"metadata": metadata, "context_enriched": False, "date_to": today.isoformat(), "filters": filters}
