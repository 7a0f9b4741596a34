"""A file of somebody's → points: which column holds the dates, which the values, and how they are written."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from sybilion_mcp.hints import Refusal
from sybilion_mcp.intake.dates import column_dates, could_be_number, looks_like_date
from sybilion_mcp.intake.findings import quoted
from sybilion_mcp.intake.numbers import column_decimal, decimal_of, is_missing, is_number, read_number
from sybilion_mcp.intake.readers import Table, is_blank, listed_names, positions, read_table
from sybilion_mcp.intake.series import Point

ID_NAMES = frozenset(
    [
        "item_id",
        "unique_id",
        "series_id",
        "ts_id",
        "id",
        "item",
        "series",
        "sku",
        "product",
        "product_id",
        "store",
        "store_id",
        "shop",
        "customer",
        "customer_id",
        "meter",
        "meter_id",
        "sensor",
        "sensor_id",
    ]
)
"""What a column is called that tells series apart, in small letters."""

_INSTEAD = "Write it in one way in the file, or pass the numbers as `series`."


@dataclass(frozen=True, slots=True)
class ValueColumn:
    """One column of values as it is in the file; `name` is "" where the file gives none, `number` counts from 1.

    `points` are as `read_points` gives them, or the reason why they cannot be read; `apart` as it does.
    """

    name: str
    number: int
    points: list[Point] | Refusal
    apart: str = ""


def read_points(
    name: str, data: bytes, date_column: str | None, value_column: str | None, sheet: str | None
) -> tuple[list[Point], str]:
    """The points of two columns, in the order of the file: dates as YYYY-MM-DD, values as numbers or None.

    `name` tells the kind of file by its ending, `data` is its content. With them, the names of the columns that tell
    points of one date apart, quoted; "" where no date is repeated or nothing tells.

    Labels that are no dates and values that are no numbers stay as they are, for the intake to report. Raises
    Refusal with the codes of `readers.read_table`, and with `column_not_found`,
    `column_ambiguous`, `ambiguous_dates`, `ambiguous_number`.
    """
    table = filled_table(read_table(name, data, sheet))
    dates, values = _columns(table, date_column, value_column)
    pairs = list(zip(table.dates(dates), table.column(values), strict=True))
    rows = [at for at, pair in enumerate(pairs) if not all(is_blank(cell) for cell in pair)]
    labels = column_dates([pairs[at][0] for at in rows])
    numbers = numbers_of([pairs[at][1] for at in rows], table.names[values], table.delimiter)
    points = [Point(label, number) for label, number in zip(labels, numbers, strict=True)]
    return points, _telling_apart(table, (dates, values), rows, labels)


def read_columns(
    name: str, data: bytes, date_column: str | None, value_columns: Sequence[str], sheet: str | None, most: int
) -> Iterator[ValueColumn]:
    """The columns of values, in the order of the file: those named, else all but the dates and mere row numbers.

    Rows without a value are part of the points, with None. Raises Refusal with the codes of `read_points`, and
    `file_too_large` for more than `most` columns beside the dates.
    """
    table = filled_table(read_table(name, data, sheet, most + 2))
    if len(table.names) > most + 1:
        message = f"The file has more than {most + 1:,} columns: dates and {most:,} series are read."
        raise Refusal("file_too_large", message, "Split the file.")
    asked = [column_named(table.names, one) for one in value_columns]
    dates = column_of_dates(table, date_column, asked)
    cells = table.dates(dates)
    labels = column_dates(cells)
    dated = [row for row, label in enumerate(labels) if label]
    apart = _telling_apart(table, (dates, *asked), dated, [labels[row] for row in dated])
    for at in dict.fromkeys(asked) or range(len(table.names)):
        values = table.column(at)
        if at == dates or (not asked and is_no_series(table.names[at], values)):
            continue
        yield ValueColumn(table.names[at] if table.headed else "", at + 1, _points(table, at, labels, values), apart)


def _points(table: Table, at: int, labels: Sequence[str], values: Sequence[object]) -> list[Point] | Refusal:
    kept = [(label, value) for label, value in zip(labels, values, strict=True) if label or not is_blank(value)]
    try:
        numbers = numbers_of([value for _, value in kept], table.names[at], table.delimiter)
    except Refusal as refusal:
        return refusal
    return [Point(label, number) for (label, _), number in zip(kept, numbers, strict=True)]


def _telling_apart(table: Table, taken: Sequence[int], rows: Sequence[int], labels: Sequence[str]) -> str:
    """The column, else the columns together, whose few different texts differ wherever a date of `rows` is repeated."""
    if len(set(labels)) == len(labels):
        return ""
    cells = sampled(table)
    free = [at for at in range(len(cells)) if at not in taken and not all(map(is_blank, cells[at]))]
    texts = [at for at in free if is_text(cells[at]) or table.names[at].strip().casefold() in ID_NAMES]
    for chosen in [*([at] for at in texts), texts]:
        columns = [table.column(at) for at in chosen]
        keys = [tuple(str(column[row]) for column in columns) for row in rows]
        if 2 * len(set(keys)) <= len(rows) and len(set(zip(keys, labels, strict=True))) == len(rows):
            return " and ".join(quoted(table.names[at], 60) for at in chosen)
    return ""


def is_text(cells: Sequence[object]) -> bool:
    given = given_cells(cells)
    return bool(given) and not holds(cells, is_value) and not holds(cells, looks_like_date)


def filled_table(table: Table) -> Table:
    if not table.sample:
        raise Refusal("file_unreadable", "The file holds no rows of data.", "Choose a file with dates and values.")
    return table


def is_no_series(name: str, cells: Sequence[object]) -> bool:
    """A column without a name that is empty or counts the rows."""
    return not name and (all(is_blank(cell) for cell in cells) or is_row_number(name, cells))


def _columns(table: Table, date_column: str | None, value_column: str | None) -> tuple[int, int]:
    """The positions of the dates and of the values: those named, else the only ones that can be meant."""
    named_values = None if value_column is None else column_named(table.names, value_column)
    dates = column_of_dates(table, date_column, [] if named_values is None else [named_values])
    if named_values is None:
        cells = sampled(table)
        numeric = [at for at in range(len(cells)) if at != dates and holds(cells[at], is_value)]
        counted = [at for at in numeric if not is_row_number(table.names[at], cells[at])]
        named_values = only_column(table.names, counted, "numbers", "value_column")
    return dates, named_values


def column_of_dates(table: Table, asked: str | None, values: Sequence[int]) -> int:
    """The position of the dates: the column asked for, else the only one beside `values` that can be meant."""
    if asked is not None:
        named = column_named(table.names, asked)
        if named in values:
            raise Refusal(
                "column_ambiguous",
                f"{quoted(table.names[named], 60)} cannot hold both the dates and the values.",
                "Set date_column and value_column to different columns.",
            )
        return named
    cells = sampled(table)
    dates = [at for at in range(len(cells)) if at not in values and holds(cells[at], looks_like_date)]
    plain = [at for at in dates if not all(could_be_number(cell) for cell in given_cells(cells[at]))]
    figures = [at for at in dates if all(looks_like_date(cell) for cell in given_cells(cells[at]))]
    return only_column(table.names, plain or figures, "dates", "date_column")


def sampled(table: Table) -> list[list[object]]:
    """The cells of each column in the first rows."""
    return [[row[at] for row in table.sample] for at in range(len(table.names))]


def column_named(names: Sequence[str], asked: str) -> int:
    """The position of a column by its exact name, else by its name in any case or as refusals show it."""
    found = positions(names, asked)
    if not found:
        raise Refusal(
            "column_not_found",
            f"There is no column {quoted(asked, 60)}; the columns are {listed_names(names)}.",
            "Use one of these names.",
        )
    if len(found) > 1:
        message = f"{len(found)} columns are named {quoted(asked, 60)}."
        raise Refusal("column_ambiguous", message, "Give the columns different names in the file.")
    return found[0]


def only_column(names: Sequence[str], found: Sequence[int], what: str, argument: str) -> int:
    if len(found) == 1:
        return found[0]
    if not found:
        message = f"No column holds {what}; the columns are {listed_names(names)}."
        raise Refusal("column_not_found", message, f"Set {argument} to the column that holds the {what}.")
    message = f"{len(found)} columns hold {what}: {listed_names([names[at] for at in found])}."
    raise Refusal("column_ambiguous", message, f"Set {argument} to the one that is meant.")


def given_cells(cells: Sequence[object]) -> list[object]:
    return [cell for cell in cells if not is_blank(cell) and not (isinstance(cell, str) and is_missing(cell))]


def holds(cells: Sequence[object], kind: Callable[[object], bool]) -> bool:
    """Whether more than half of the cells with anything in them are of a kind."""
    given = given_cells(cells)
    return 2 * sum(kind(cell) for cell in given) > len(given)


def is_value(cell: object) -> bool:
    if isinstance(cell, str):
        return is_number(cell)
    return isinstance(cell, int | float | Decimal) and not isinstance(cell, bool)


def is_row_number(name: str, cells: Sequence[object]) -> bool:
    """A column without a name that counts the rows from 0 or 1, as exports of data frames have it."""
    counted = [str(cell) for cell in cells]
    return not name and any(counted == [str(at + start) for at in range(len(counted))] for start in (0, 1))


def numbers_of(cells: Sequence[object], name: str, delimiter: str) -> list[object]:
    """The cells of a value column with its texts read by the convention of the whole column."""
    texts = [cell for cell in cells if isinstance(cell, str) and not is_missing(cell)]
    decimal = column_decimal(texts, delimiter)
    if decimal == "either":
        text = next(text for text in texts if decimal_of(text) == "either")
        message = f"{quoted(text)} in column {quoted(name, 60)} can be read in two ways, and no other value decides it."
        raise Refusal("ambiguous_number", message, _INSTEAD)
    if decimal == "both":
        point, comma = (next(text for text in texts if decimal_of(text) == mark) for mark in (".", ","))
        message = f"Column {quoted(name, 60)} mixes two ways of writing numbers: {quoted(point)} and {quoted(comma)}."
        raise Refusal("ambiguous_number", message, _INSTEAD)

    def number(cell: object) -> object:
        if isinstance(cell, Decimal):
            return float(cell)
        if not isinstance(cell, str):
            return cell
        if is_missing(cell):
            return None
        read = read_number(cell, decimal)
        return cell if read is None else read

    return [number(cell) for cell in cells]
