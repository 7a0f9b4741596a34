"""Finished jobs in a store, as if they had been submitted, followed and kept."""

import json
from collections.abc import Mapping
from typing import Any

from sybilion_mcp.contract.jobs import Job
from sybilion_mcp.service.arguments import Options
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.validate import remember
from sybilion_mcp.store.records import Submission, new_id, now
from tests.conftest import good_series
from tests.explain.made_up import forecast_of, signals_of, trajectories_of, window_of
from tests.store.keep import put_artifact

TITLE = "Monthly demand for a made-up product in Austria, units"
SERIES = good_series()


def windows_of(points: Mapping[str, float], error: float) -> list[dict[str, object]]:
    """Ten past forecasts of one month, each that much too high."""
    return [
        window_of(month[:7], [(points[month], points[month] + error)])
        for month in sorted(SERIES)[-20:-10]
        if month in points
    ]


async def finished_job(
    desk: Desk,
    job_id: str,
    points: Mapping[str, float] = SERIES,
    *,
    error: float = 4.0,
    submitted: bool = True,
    status: str = "completed",
    kept: Mapping[str, bytes | None] | None = None,
    **asked: Any,
) -> str:
    """Its series_id. `kept` replaces the content of artifacts, None leaves one out; `asked` goes into the request."""
    series_id = await remember(desk, points, Options(title=TITLE))
    request = {"soft_horizon": 3, "recency_factor": 0.5, "timeseries": dict(points), **asked}
    request["timeseries_metadata"] = {"title": TITLE}
    artifacts: dict[str, bytes | None] = {
        "forecast.json": _encoded(forecast_of([110, 120, 130], first="2026-11")),
        "external_signals.json": _encoded(signals_of()),
        "backtest_trajectories.json": _encoded(trajectories_of(*windows_of(points, error))),
        "input.json": _encoded(request),
        **(kept or {}),
    }
    offered = [{"name": name} for name, content in artifacts.items() if content is not None]
    job = Job.model_validate(
        {"job_id": job_id, "status": status, "settled": True, "settled_at": now(), "created_at": now()}
        | {"eur_cents_final": 61, "artifacts": offered}
    )
    if submitted:
        question = Submission(
            new_id(), new_id(), "sending", "sybilion", "an account", series_id, request, [], {}, None, None, 61, now()
        )
        assert await desk.store.begin_submission(question)
        assert await desk.store.accept_submission(question.submission_id, job, "sybilion")
    await desk.store.put_job(job, "sybilion")
    for name, content in artifacts.items():
        if content is not None:
            await put_artifact(desk.store, job_id, name, content)
    return series_id


def _encoded(artifact: Mapping[str, object]) -> bytes:
    return json.dumps(artifact).encode()
