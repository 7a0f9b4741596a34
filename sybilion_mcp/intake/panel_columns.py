"""A file with many series → the points of each: one row for each value, or one column for each series."""

from collections.abc import Sequence
from decimal import Decimal
from math import isfinite

from sybilion_mcp.contract.eomer_request import MAX_SERIES
from sybilion_mcp.hints import Refusal
from sybilion_mcp.intake.columns import (
    ID_NAMES,
    column_named,
    column_of_dates,
    filled_table,
    holds,
    is_no_series,
    is_row_number,
    is_text,
    is_value,
    numbers_of,
    only_column,
    sampled,
)
from sybilion_mcp.intake.panel_table import PanelColumns, PanelTable, Rows
from sybilion_mcp.intake.readers import Table, is_blank, listed_names, read_table
from sybilion_mcp.intake.stamps import column_stamps


def read_panel(name: str, data: bytes, columns: PanelColumns, sheet: str | None) -> PanelTable:
    """The series of a file. `name` tells its kind by the ending, `data` is its content.

    Raises Refusal with the codes of `columns.read_points`.
    """
    table = filled_table(read_table(name, data, sheet, MAX_SERIES + 2, times=True))
    if len(table.names) > MAX_SERIES + 1:
        message = f"The file has more than {MAX_SERIES + 1:,} columns: dates and {MAX_SERIES:,} series are read."
        raise Refusal("file_too_large", message, "Split the file.")
    values, ids = (None if one is None else column_named(table.names, one) for one in (columns.values, columns.ids))
    taken = [at for at in (values, ids) if at is not None]
    dates = column_of_dates(table, columns.dates, taken)
    labels = column_stamps(table.dates(dates))
    if ids is None:
        ids = _obvious_id(table, dates, values, labels)
    if ids is None:
        return _wide(table, dates, values, labels)
    return PanelTable(_long(table, dates, ids, values, labels))


def _obvious_id(table: Table, dates: int, values: int | None, labels: Sequence[str]) -> int | None:
    """The only column that can tell the series apart; None where there is nothing to be told apart.

    Raises Refusal `column_ambiguous` where two can.
    """
    free = [at for at in range(len(table.names)) if at not in (dates, values)]
    known = [at for at in free if table.names[at].strip().casefold().replace(" ", "_") in ID_NAMES]
    written = [label for label in labels if label]
    if len(set(written)) == len(written):  # one row for each date: one series in each column
        constant = [at for at in known if len(set(map(_id, table.column(at)))) == 1]
        return constant[0] if len(constant) == 1 else None
    cells = sampled(table)
    texts = [at for at in free if at not in known and is_text(cells[at])]
    if len(known) == 1 and (not texts or _tells_all_apart(table.column(known[0]), labels)):
        return known[0]
    found = known or texts
    if len(found) <= 1 and not (known and texts):
        return found[0] if found else None
    message = f"Several columns may tell the series apart: {listed_names([table.names[at] for at in known + texts])}."
    hint = "Set id_column to the one that is meant; where it takes two, join them into one column in the file."
    raise Refusal("column_ambiguous", message, hint)


def _tells_all_apart(cells: Sequence[object], labels: Sequence[str]) -> bool:
    pairs = list(zip(map(_id, cells), labels, strict=True))
    return len(set(pairs)) == len(pairs)


def _id(cell: object) -> str:
    if isinstance(cell, float | Decimal) and isfinite(cell) and cell == int(cell):
        return str(int(cell))
    return "" if cell is None else str(cell).strip()


def _long(table: Table, dates: int, ids: int, values: int | None, labels: Sequence[str]) -> Rows:
    if values is None:
        cells = sampled(table)
        numeric = [at for at in range(len(cells)) if at not in (dates, ids) and holds(cells[at], is_value)]
        numeric = [at for at in numeric if not is_row_number(table.names[at], cells[at])]
        values = only_column(table.names, numeric, "numbers", "value_column")
    numbers = numbers_of(table.column(values), table.names[values], table.delimiter)
    rows: dict[str, list[tuple[str, object]]] = {}
    for cell, label, number in zip(table.column(ids), labels, numbers, strict=True):
        item_id = _id(cell)
        if item_id or label or not is_blank(number):
            rows.setdefault(item_id, []).append((label, number))
    return rows


def _wide(table: Table, dates: int, values: int | None, labels: Sequence[str]) -> PanelTable:
    """A column is a series from its first value to its last: it may begin later than others, or end before."""
    rows: dict[str, list[tuple[str, object]]] = {}
    left_out: list[str] = []
    for at in range(len(table.names)) if values is None else [values]:
        cells = table.column(at)
        if at == dates or (values is None and is_no_series(table.names[at], cells)):
            continue
        if values is None and not holds(cells, is_value):
            left_out.append(table.names[at])
            continue
        name = table.names[at].strip() or f"column {at + 1}"
        if name in rows:
            message = f"Several columns have the name {listed_names([name])}."
            raise Refusal("column_ambiguous", message, "Give the columns different names in the file.")
        rows[name] = _between_values(labels, numbers_of(cells, table.names[at], table.delimiter))
    if not rows:
        only_column(table.names, [], "numbers", "value_column")
    return PanelTable(rows, tuple(left_out))


def _between_values(labels: Sequence[str], numbers: Sequence[object]) -> list[tuple[str, object]]:
    points = list(zip(labels, numbers, strict=True))
    filled = [at for at, (_, number) in enumerate(points) if not is_blank(number)] or [0]
    return [(label, number) for label, number in points[filled[0] : filled[-1] + 1] if label or not is_blank(number)]
