"""Made-up files of a job of Eomer, without an engine."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from sybilion_mcp.contract.eomer_files import DOCUMENT, FORECAST, HINDCAST
from sybilion_mcp.explain.eomer.periods import Panel
from sybilion_mcp.explain.eomer.report import told
from sybilion_mcp.explain.eomer.results import Results, read_results
from sybilion_mcp.explain.facts import JobFacts
from sybilion_mcp.explain.told import Asked, Told

TODAY = date(2026, 11, 22)
FIRST = date(2026, 11, 23)
LEVELS = (0.1, 0.5, 0.9)
TITLE = "Orders of made-up products, units"


def day(number: int) -> str:
    """Days since the first one of the forecast."""
    return (FIRST + timedelta(days=number)).isoformat()


def history(level: float, days: int = 60, swing: float = 2.0) -> dict[str, float]:
    """Goes up and down by `swing` every second day, up to the day before the forecast."""
    return {day(number): level + (swing if number % 2 else 0.0) for number in range(-days, 0)}


def table_of(
    forecasts: Mapping[str, Sequence[float]], levels: Sequence[float] = LEVELS, *, width: float = 3.0
) -> bytes:
    """A day a step; each quantile lies `width` times its distance from the middle away."""
    text = io.StringIO(newline="")
    rows = csv.writer(text)
    rows.writerow(["item_id", "timestamp", "mean", *(f"{level:g}" for level in levels)])
    for item_id, values in forecasts.items():
        for number, value in enumerate(values):
            bands = [round(value + width * (level - 0.5), 6) for level in levels]
            rows.writerow([item_id, day(number), value, *bands])
    return text.getvalue().encode()


def windows_of(errors: Mapping[str, float], cutoffs: Sequence[int] = (-9, -7, -5, -3), level: float = 100.0) -> bytes:
    """Past forecasts of two days each, so much too high, with a band of ± 1 around them."""
    text = io.StringIO(newline="")
    rows = csv.writer(text)
    rows.writerow(["item_id", "cutoff", "timestamp", "actual", "0.1", "0.5", "0.9"])
    for item_id, error in errors.items():
        known = history(level)
        for cutoff in cutoffs:
            for number in (cutoff + 1, cutoff + 2):
                actual = known[day(number)]
                said = actual + error
                rows.writerow([item_id, day(cutoff), day(number), actual, said - 1, said, said + 1])
    return text.getvalue().encode()


def part_of(text: str, **more: Any) -> dict[str, Any]:
    """One artifact of an explanation that says the text wherever it may say something."""
    said = dict.fromkeys(("analysis", "label", "description", "preview_markdown"), text)
    return {"artifact_id": "part", "format": "csv", "highlights": [text, text], **said} | more


def explanation_of(text: str, parts: int = 2) -> dict[str, Any]:
    return {
        "enabled": True,
        "overview_markdown": text,
        "selected_analyses": [text, f"{text} and more"],
        "completed_analyses": [text],
        "skipped_analyses": {text: text},
        "warnings": [text],
        "artifacts": [
            part_of(text, artifact_id=f"part_{number}", download_url=f"/jobs/j1/files/{number}", display_order=number)
            for number in range(parts)
        ],
        "summary_path": text,
    }


def document_of(**more: Any) -> dict[str, Any]:
    return {"job_id": "j1", "status": "completed", "created_at": "2026-11-22T08:00:00Z", **more}


def results_of(
    forecasts: Mapping[str, Sequence[float]],
    *,
    panel: Mapping[str, Mapping[str, float]] | None = None,
    windows: bytes | None = None,
    document: Mapping[str, object] | None = None,
    title: str = TITLE,
    levels: Sequence[float] = LEVELS,
) -> Results:
    files = {
        FORECAST: table_of(forecasts, levels),
        DOCUMENT: json.dumps(document_of() if document is None else document).encode(),
        **({HINDCAST: windows} if windows else {}),
    }
    facts = JobFacts("j1", title, "eomer", "2026-11-22T08:01:00Z", None, {})
    return read_results(files, facts, Panel(panel, "D") if panel is not None else None)


def many(count: int = 500) -> Results:
    """Series of very different scale; the last of each hundred moves a hundred times its usual change."""
    series = {
        f"store {number:03d}": history(10.0 ** (number % 6), swing=10.0 ** (number % 6) / 50) for number in range(count)
    }
    forecasts = {}
    for number, (item_id, points) in enumerate(series.items()):
        swing, last = 10.0 ** (number % 6) / 50, list(points.values())[-1]
        moved = 100 * swing if number % 100 == 99 else 0.5 * swing
        forecasts[item_id] = [last + moved * (step + 1) / 7 for step in range(7)]
    return results_of(forecasts, panel=series, document=document_of(explainability=explanation_of("Fine")))


def one(**more: Any) -> Results:
    return results_of({"shop": [103.0, 104.0, 105.0]}, panel={"shop": history(100.0)}, **more)


def ask(results: Results, artifact: str = "report", **more: Any) -> Told:
    return told(results, Asked(artifact, **more), TODAY)


def data_of(told: Told) -> dict[str, Any]:
    return dict(told.data)
