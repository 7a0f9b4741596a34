"""Made-up artifacts in the shapes of real ones, small enough to check by hand."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from sybilion_mcp.explain.report import JobFacts, Report, build_report

TODAY = date(2026, 5, 20)
LEVELS = [round(0.05 * step, 2) for step in range(1, 20)]


def month_after(month: str, steps: int) -> str:
    index = int(month[:4]) * 12 + int(month[5:7]) - 1 + steps
    return f"{index // 12:04}-{index % 12 + 1:02}"


def input_of(values: Sequence[float], last: str = "2026-04", **fields: object) -> dict[str, object]:
    """A request whose series ends in `last`."""
    dates = [f"{month_after(last, step - len(values) + 1)}-01" for step in range(len(values))]
    return {
        "soft_horizon": 3,
        "recency_factor": 0.5,
        "timeseries": dict(zip(dates, values, strict=True)),
        "timeseries_metadata": {"title": "A made-up series of tests"},
        **fields,
    }


def quantiles(centre: float, half: float) -> dict[str, float]:
    """19 quantiles on a straight line, `half` from the median to the outermost."""
    return {f"{level:.2f}": centre + half * (level - 0.5) / 0.45 for level in LEVELS}


def forecast_of(
    points: Sequence[float], half: float | None = 9.0, first: str = "2026-05", **fields: object
) -> dict[str, object]:
    """A forecast artifact; without quantiles when `half` is None."""
    series = {}
    for step, point in enumerate(points):
        entry: dict[str, object] = {"forecast": point}
        if half is not None:
            entry["quantile_forecast"] = quantiles(point, half)
        series[f"{month_after(first, step)}-01"] = entry
    data = {"forecast_series": series, "forecast_horizon": len(points), "forecast_start": f"{first}-01", **fields}
    return {"version": "1.1", "data": data}


def window_of(first: str, pairs: Iterable[tuple[float | None, float]], half: float = 9.0) -> dict[str, object]:
    """One past forecast: (actual, median) per month."""
    months = [
        (f"{month_after(first, step)}-01", {"actual": actual, "quantile_forecast": quantiles(median, half)})
        for step, (actual, median) in enumerate(pairs)
    ]
    return {"forecast_start": months[0][0], "forecast_end": months[-1][0], "forecast_series": dict(months)}


def trajectories_of(*windows: Mapping[str, object]) -> dict[str, object]:
    return {"version": "1.1", "data": list(windows)}


def driver_of(
    name: str | None, importance: float | None = None, direction: float | None = None, **lags: float
) -> dict[str, object]:
    """A driver entry: `lag_1=0.8` is its correlation at lag 1; what is not given is not there."""
    entry: dict[str, object] = {"driver_name": name}
    if importance is not None:
        overall = {"mean": importance, "min": importance, "max": importance}
        entry["importance"] = {"horizon_1": {"0.0": importance}, "horizon_2": {"0.0": importance}, "overall": overall}
    if direction is not None:
        entry["direction"] = {"horizon_0": {"0.0": direction}, "overall": {"mean": direction}}
    if lags:
        entry["pearson_correlation"] = {**lags, "overall": {"mean": sum(lags.values()) / len(lags)}}
    return entry


def signals_of(*drivers: Mapping[str, object]) -> dict[str, object]:
    return {"version": "1.1", "data": {f"id-{number}": driver for number, driver in enumerate(drivers)}}


def metrics_of(**metrics: float) -> dict[str, object]:
    return {"version": "1.1", "data": {span: {"metrics": metrics, "tests": {}} for span in ("12m", "24m")}}


def facts_of(**fields: object) -> JobFacts:
    known: dict[str, Any] = {
        "job_id": "0a1b2c3d-0000-4000-8000-000000000001",
        "title": "A made-up series of tests",
        "backend": "sybilion",
        "settled_at": "2026-05-19T10:00:00Z",
        "eur_cents_final": 332,
        "request": {},
    }
    return JobFacts(**{**known, **fields})


def changed(payload: Mapping[str, object], *path: str) -> dict[str, Any]:
    """The object at a path of names, to be changed where it stands."""
    found: Any = payload
    for name in path:
        found = found[name]
    assert isinstance(found, dict)
    return found


def files_of(
    *,
    forecast: Mapping[str, object] | None = None,
    series: Mapping[str, object] | None = None,
    windows: Sequence[Mapping[str, object]] | None = None,
    drivers: Sequence[Mapping[str, object]] | None = None,
    metrics: Mapping[str, object] | None = None,
) -> dict[str, Any]:
    """Artifacts by their file names; what is not given is not among them, but for the forecast."""
    files: dict[str, Any] = {"forecast.json": forecast or forecast_of([110, 120, 130])}
    if series is not None:
        files["input.json"] = series
    if windows is not None:
        files["backtest_trajectories.json"] = trajectories_of(*windows)
    if drivers is not None:
        files["external_signals.json"] = signals_of(*drivers)
    if metrics is not None:
        files["backtest_metrics.json"] = metrics
    return files


def report_of(
    *,
    forecast: Mapping[str, object] | None = None,
    series: Mapping[str, object] | None = None,
    windows: Sequence[Mapping[str, object]] | None = None,
    drivers: Sequence[Mapping[str, object]] | None = None,
    metrics: Mapping[str, object] | None = None,
    today: date = TODAY,
    **facts: object,
) -> Report:
    """A report of made-up artifacts; what is not given is not among the job's files."""
    files = files_of(forecast=forecast, series=series, windows=windows, drivers=drivers, metrics=metrics)
    return build_report(files, facts_of(**facts), today)
