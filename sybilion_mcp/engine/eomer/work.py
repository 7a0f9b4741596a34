"""One job from its request to its files. Pure: no clock, no randomness; the same request, the same bytes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sybilion_mcp.contract.eomer_request import EomerRequest, frequency_of
from sybilion_mcp.contract.frequency import Frequency, clocked, read_timestamp, written
from sybilion_mcp.engine.artifacts import encoded, number
from sybilion_mcp.engine.eomer import plot, prose
from sybilion_mcp.engine.eomer.explain import BAND, WINDOWS, portray, windows
from sybilion_mcp.engine.eomer.outlook import SeriesOutlook, look
from sybilion_mcp.engine.eomer.prose import Table, Told
from sybilion_mcp.engine.models import Floats, scaled

DEFAULT_LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
LOOKS, FEW_LOOKS, MANY_SERIES = 60, 24, 30  # past forecasts to learn from; fewer where there are many series


@dataclass(frozen=True, slots=True)
class _Series:
    item_id: str
    stamps: Sequence[datetime]
    values: Floats
    unit: float
    outlook: SeriesOutlook


def run_eomer(body: Mapping[str, object]) -> dict[str, bytes]:
    """File name → content. The body must have passed `check_eomer`."""
    request = EomerRequest.model_validate(dict(body))
    grid = frequency_of(request)
    assert grid is not None
    series = [_look(request, item_id, grid) for item_id in request.series]
    levels = tuple(sorted(request.quantile_levels or DEFAULT_LEVELS))
    files = {"forecast.csv": prose.as_csv(_forecast_table(request, series, grid, levels))}
    asked = request.explainability or {}
    if asked.get("enabled", True) is False:
        return files
    return files | _explanation(series, grid, request.prediction_length, asked)


def _look(request: EomerRequest, item_id: str, grid: Frequency) -> _Series:
    points = sorted((at, value) for label, value in request.points(item_id) if (at := read_timestamp(label)))
    values, unit = scaled([value for _, value in points if value is not None])
    looks = FEW_LOOKS if len(request.series) > MANY_SERIES else LOOKS
    outlook = look(values, request.prediction_length, grid.seasons, looks)
    return _Series(item_id, [at for at, _ in points], values, unit, outlook)


def _forecast_table(
    request: EomerRequest, series: Sequence[_Series], grid: Frequency, levels: Sequence[float]
) -> Table:
    rows: list[Sequence[object]] = [
        (request.item_id_column, request.timestamp_column, "mean", *(f"{level:g}" for level in levels))
    ]
    for one in series:
        quantiles = one.outlook.table(levels)
        labels = _labels_ahead(one, grid, request.prediction_length)
        for label, mean, row in zip(labels, one.outlook.forecast, quantiles, strict=True):
            rows.append((one.item_id, label, number(mean, one.unit), *(number(value, one.unit) for value in row)))
    return rows


def _labels_ahead(one: _Series, grid: Frequency, horizon: int) -> list[str]:
    last = grid.index(one.stamps[-1])
    assert last is not None
    ahead = [grid.at(last + step) for step in range(1, horizon + 1)]
    clock = clocked([*ahead, *one.stamps[-2:]])
    return [written(at, clock=clock) for at in ahead]


def _explanation(
    series: Sequence[_Series], grid: Frequency, horizon: int, asked: Mapping[str, object]
) -> dict[str, bytes]:
    told = [_told(one, grid) for one in series]
    tables: dict[str, Table] = {
        "trend": prose.trend_table(told),
        "seasonality": prose.pattern_table(told, "season"),
        "calendar": prose.pattern_table(told, "calendar"),
        "hindcast": prose.hindcast_table(told),
    }
    skipped = prose.skipped(told, grid, asked)
    done = [name for name in prose.ANALYSES if name not in skipped]
    overview = prose.overview(told, grid, horizon)
    files = {f"{name}.csv": prose.as_csv(tables[name]) for name in done}
    if "hindcast" in done:
        files["hindcast_windows.csv"] = prose.as_csv(_windows(series))
    files["forecast_plot.svg"] = plot.svg([_panel(one, grid, horizon) for one in series[: plot.PANELS]])
    files["report.md"] = "\n\n".join(["# Forecast", overview, *_sections(tables, done)]).encode()
    files["explainability.json"] = encoded(
        {
            "enabled": True,
            "overview_markdown": overview,
            "selected_analyses": [*prose.ANALYSES, *(name for name in skipped if name not in prose.ANALYSES)],
            "completed_analyses": done,
            "skipped_analyses": skipped,
            "warnings": [],
            "artifacts": [_picture(series), *_tables_told(told, tables, done, grid)],
            "summary_path": "report.md",
        }
    )
    return files


def _told(one: _Series, grid: Frequency) -> Told:
    counted = one.outlook.values
    stamps = one.stamps[-len(counted) :]
    end = float(one.outlook.forecast[-1]) * one.unit
    return Told(one.item_id, portray(counted, stamps, grid, one.outlook), one.unit, float(counted[-1]) * one.unit, end)


def _sections(tables: Mapping[str, Table], done: Sequence[str]) -> list[str]:
    return [f"## {name.capitalize()}\n\n{prose.as_markdown(tables[name])}" for name in done]


def _picture(series: Sequence[_Series]) -> dict[str, object]:
    shown = min(len(series), plot.PANELS)
    return {
        "artifact_id": "forecast_plot",
        "analysis": "forecast",
        "label": "Forecast with its 80 % band",
        "format": "svg",
        "output_path": "forecast_plot.svg",
        "description": f"History, forecast and 80 % band of {shown} of {len(series)} series.",
        "render_inline": True,
        "preview_markdown": None,
        "highlights": [],
        "display_order": 0,
        "is_primary_visual": True,
        "is_thumbnail": True,
    }


def _tables_told(
    told: Sequence[Told], tables: Mapping[str, Table], done: Sequence[str], grid: Frequency
) -> list[dict[str, object]]:
    described = {
        "trend": "The mean of the last periods beside that of as many before.",
        "seasonality": "By how much each phase of the season differs from the trend.",
        "calendar": "By how much the series differs with the calendar, beyond its season.",
        "hindcast": "How the engine's past forecasts did, beside repeating the last value and the last season.",
    }
    entries: list[dict[str, object]] = [
        {
            "artifact_id": name,
            "analysis": name,
            "label": name.capitalize(),
            "format": "csv",
            "output_path": f"{name}.csv",
            "description": described[name],
            "render_inline": True,
            "preview_markdown": prose.as_markdown(tables[name]),
            "highlights": prose.highlights(told, name, grid),
            "display_order": order,
            "is_primary_visual": False,
            "is_thumbnail": False,
        }
        for order, name in enumerate(done, start=1)
    ]
    if "hindcast" in done:
        windows = {"artifact_id": "hindcast_windows", "label": "Past forecasts", "output_path": "hindcast_windows.csv"}
        text = {"description": "Past forecasts beside what came, with their bands."}
        none: dict[str, object] = {"preview_markdown": None, "highlights": [], "render_inline": False}
        entries.append({**entries[-1], **windows, **text, **none, "display_order": len(done) + 1})
    return entries


def _windows(series: Sequence[_Series]) -> Table:
    """Past forecasts whose every period has come, the last ones of each series, with their bands."""
    levels = (0.05, 0.1, 0.5, 0.9, 0.95)
    rows: list[Sequence[object]] = [("item_id", "cutoff", "timestamp", "actual", *(f"{level:g}" for level in levels))]
    kept = WINDOWS if len(series) <= MANY_SERIES else 2
    for one in series:
        values, stamps = one.outlook.values, one.stamps[-len(one.outlook.values) :]
        clock = clocked(stamps[-2:])
        for past in windows(one.outlook)[-kept:]:
            table = one.outlook.table_of(past, levels)
            for step, row in enumerate(table):
                at = past.origin + step
                cells = [number(value, one.unit) for value in (values[at], *row)]
                cutoff, stamp = (written(when, clock=clock) for when in (stamps[past.origin - 1], stamps[at]))
                rows.append((one.item_id, cutoff, stamp, *cells))
    return rows


def _panel(one: _Series, grid: Frequency, horizon: int) -> plot.Panel:
    band = one.outlook.table(BAND) * one.unit
    history = [float(value) * one.unit for value in one.outlook.values]
    ahead = [float(value) * one.unit for value in one.outlook.forecast]
    last = _labels_ahead(one, grid, horizon)[-1]
    first = f"to {written(one.stamps[-1])}"
    return plot.Panel(
        one.item_id, history, ahead, list(map(float, band[:, 0])), list(map(float, band[:, 1])), first, last
    )
