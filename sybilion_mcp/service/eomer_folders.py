"""The report on the files of a job of Eomer in a folder."""

import json
import stat
from collections.abc import Mapping
from datetime import date
from pathlib import Path

from pydantic import ValidationError

from sybilion_mcp.contract.eomer import EomerJob, decoded
from sybilion_mcp.contract.eomer_files import DOCUMENT, FORECAST
from sybilion_mcp.contract.frequency import read_timestamp
from sybilion_mcp.contract.jobs import Job
from sybilion_mcp.contract.numbers import sane_number
from sybilion_mcp.explain.eomer import report
from sybilion_mcp.explain.eomer.periods import Panel
from sybilion_mcp.explain.eomer.results import READ, read_results
from sybilion_mcp.explain.results import Unread
from sybilion_mcp.explain.told import Asked, Told
from sybilion_mcp.service.eomer_results import MOST_BYTES
from sybilion_mcp.service.reading import facts_of

PANEL = "panel.json"

__all__ = ["FORECAST", "PANEL", "told_of_folder"]


def told_of_folder(folder: Path, today: date) -> Told:
    """The report on what lies in a folder, with job.json and panel.json where they are there.

    Raises `ArtifactError` when the forecast cannot be read, `OSError` when a file cannot.
    """
    files = {name: _file(folder / name) for name in READ if (folder / name).exists()}
    panel, title = _panel(folder / PANEL)
    facts = facts_of(_job(folder, files.get(DOCUMENT)), "eomer", None, None, title)
    return report.told(read_results(files, facts, panel), Asked("report"), today)


def _file(path: Path) -> bytes | Unread:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        return Unread("it is no file")
    if status.st_size > MOST_BYTES:
        return Unread(f"its {status.st_size >> 20} MiB are more than the {MOST_BYTES >> 20} MiB that are read")
    return path.read_bytes()


def _job(folder: Path, document: bytes | Unread | None) -> Job:
    """As the document tells it; without one that can be read, a job by the name of its folder."""
    try:
        return decoded(EomerJob, document if isinstance(document, bytes) else b"").common
    except ValidationError:
        return Job.model_construct(job_id=folder.resolve().name, status="completed", settled=True)


def _panel(path: Path) -> tuple[Panel | None, str | None]:
    """The series as they were sent, and their title, as far as both can be read."""
    content = _file(path) if path.exists() else b""
    try:
        told = json.loads(content) if isinstance(content, bytes) else None
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict) or not isinstance(told.get("series"), dict):
        return None, None
    series = {item_id: _points(points) for item_id, points in told["series"].items() if isinstance(points, dict)}
    frequency, title = told.get("frequency"), told.get("title")
    panel = Panel(series, frequency if isinstance(frequency, str) else None)
    return panel, title if isinstance(title, str) else None


def _points(points: Mapping[str, object]) -> dict[str, float]:
    """Those with a timestamp and a number."""
    numbers = {label: sane_number(value) for label, value in points.items() if read_timestamp(label) is not None}
    return {label: number for label, number in sorted(numbers.items()) if number is not None}
