"""The past forecasts that the embedded engine adds to its explanation; the hosted service sends none."""

import csv
import io
from collections.abc import Iterator, Mapping

from sybilion_mcp.contract.artifacts import MOST_WINDOWS, ArtifactError, Window, WindowMonth
from sybilion_mcp.contract.eomer_files import HINDCAST as NAME
from sybilion_mcp.contract.eomer_table import MOST_ROWS, level_of, median
from sybilion_mcp.contract.frequency import read_timestamp
from sybilion_mcp.contract.numbers import sane_number

_COLUMNS = ("item_id", "cutoff", "timestamp", "actual")


def read_hindcast(content: bytes) -> Mapping[str, tuple[Window, ...]]:
    """Series → its past forecasts, by the last timestamp that each knew.

    The `month` of a `WindowMonth` is a timestamp of the series' own frequency here. Raises `ArtifactError`.
    """
    try:
        rows = csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""))
        return {item_id: tuple(_windows(found)) for item_id, found in _by_series(rows).items()}
    except (csv.Error, UnicodeError) as error:
        raise ArtifactError(f"{NAME}: it is no CSV in UTF-8") from error


def _by_series(rows: "csv.DictReader[str]") -> dict[str, dict[str, list[WindowMonth]]]:
    """Series → cutoff → months."""
    names = rows.fieldnames or ()
    if not set(_COLUMNS) <= set(names):
        raise ArtifactError(f"{NAME}: the columns {', '.join(_COLUMNS)} are not all there")
    levels = {name: level for name in names if (level := level_of(name)) is not None}
    found: dict[str, dict[str, list[WindowMonth]]] = {}
    for number, row in enumerate(rows):
        if number >= MOST_ROWS:
            raise ArtifactError(f"{NAME}: more than the {MOST_ROWS} rows that are read")
        if read_timestamp(row["cutoff"] or "") is None or read_timestamp(row["timestamp"] or "") is None:
            continue
        values = {level: value for name, level in levels.items() if (value := _number(row[name])) is not None}
        month = WindowMonth(row["timestamp"], _number(row["actual"]), median(values), values)
        found.setdefault(row["item_id"], {}).setdefault(row["cutoff"], []).append(month)
    return found


def _windows(by_cutoff: Mapping[str, list[WindowMonth]]) -> Iterator[Window]:
    for cutoff in sorted(by_cutoff)[-MOST_WINDOWS:]:
        months = sorted(by_cutoff[cutoff], key=lambda one: one.month)
        yield Window(months[0].month, months[-1].month, tuple(months))


def _number(cell: str | None) -> float | None:
    try:
        return sane_number(float(cell or ""))
    except ValueError:
        return None
