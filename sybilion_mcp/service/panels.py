"""Validate many series for Eomer: any regular frequency; what is wrong with all of them, at once and for free."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import anyio.to_thread

from sybilion_mcp.contract.eomer_request import longest_horizon
from sybilion_mcp.contract.frequency import Frequency
from sybilion_mcp.contract.problem import Problem
from sybilion_mcp.intake.panel_table import PanelColumns, PanelTable
from sybilion_mcp.intake.panels import Panel, inline_rows, to_panel
from sybilion_mcp.intake.series import Fill
from sybilion_mcp.service.arguments import Options, PanelOptions
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.files import read_bytes
from sybilion_mcp.service.panel_orders import remember, wire_options


@dataclass(frozen=True, slots=True)
class PanelFile:
    file: str
    columns: PanelColumns
    sheet: str | None = None


@dataclass(frozen=True, slots=True)
class PanelProfile:
    """Lengths in periods of `frequency` (a pandas alias). `ended`: series that end before the last one does."""

    series: int
    frequency: str
    period: str
    shortest: int
    longest: int
    start: str
    end: str
    ended: int
    longest_horizon: int


@dataclass(frozen=True, slots=True)
class PanelValidation:
    """`series_id` and `profile` are None while the series themselves have errors."""

    valid: bool
    series_id: str | None
    problems: tuple[Problem, ...]
    profile: PanelProfile | None


async def validate_panel(
    desk: Desk, source: Mapping[str, object] | PanelFile, *, fill: Fill, options: Options
) -> PanelValidation:
    """Check the series and the horizon of a later submit. Remembers the series when they are sound.

    Raises `Refusal` when a file cannot be read.
    """

    def read() -> tuple[PanelTable, Panel]:
        table = _table(desk, source)
        return table, to_panel(table.rows, fill, wire_options(options.soft_horizon, PanelOptions()))

    table, panel = await anyio.to_thread.run_sync(read)
    problems = (*panel.problems, *_left_out(table.left_out))
    valid = not any(one.severity == "error" for one in problems)
    if panel.frequency is None:
        return PanelValidation(valid, None, problems, None)
    stored = await remember(desk, panel, options)
    return PanelValidation(valid, stored.series_id, problems, _profile(panel.series, panel.frequency))


def _table(desk: Desk, source: Mapping[str, object] | PanelFile) -> PanelTable:
    if not isinstance(source, PanelFile):
        return PanelTable(inline_rows(source))
    from sybilion_mcp.intake.panel_columns import read_panel

    path = desk.folders.readable(source.file)
    return read_panel(path.name, read_bytes(path), source.columns, source.sheet)


def _left_out(names: Sequence[str]) -> list[Problem]:
    if not names:
        return []
    from sybilion_mcp.intake.readers import listed_names

    message = f"Columns without numbers are not read: {listed_names(names[:3])}."
    return [Problem("columns_left_out", "file", message, severity="warning")]


def _profile(series: Mapping[str, Mapping[str, float]], frequency: Frequency) -> PanelProfile:
    lengths = [len(points) for points in series.values()]
    ends = Counter(max(points) for points in series.values())
    end = max(ends)
    return PanelProfile(
        series=len(series),
        frequency=frequency.alias,
        period=frequency.word,
        shortest=min(lengths),
        longest=max(lengths),
        start=min(min(points) for points in series.values()),
        end=end,
        ended=len(series) - ends[end],
        longest_horizon=longest_horizon(len(series)),
    )
