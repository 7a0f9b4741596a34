"""The bytes of a CSV, Excel or Parquet file → a table of cells, within limits that keep time and memory small."""

import contextlib
import csv
import io
import lzma
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePath
from typing import TYPE_CHECKING

from sybilion_mcp.hints import Refusal
from sybilion_mcp.intake.dates import looks_like_date
from sybilion_mcp.intake.findings import quoted
from sybilion_mcp.intake.numbers import is_missing, is_number
from sybilion_mcp.intake.workbooks import check_unpacked, open_workbook

if TYPE_CHECKING:
    from openpyxl.workbook.workbook import _WorksheetLike
    from pyarrow import ChunkedArray, DataType
    from pyarrow.parquet import FileMetaData

MAX_ROWS = 200_000
MAX_COLUMNS = 200  # unless a caller has use for more
_MAX_SCANNED = 1_048_576  # rows of an Excel sheet; a forged row number could claim more
_SAMPLE = 1000  # rows by which columns are told apart
_PREAMBLE = 20  # lines above a table, such as its title and source

_LONGEST_TEXT = 200  # characters of a cell
_BROKEN_WORKBOOK = (
    *(zipfile.BadZipFile, zlib.error, EOFError, SyntaxError, RuntimeError, NotImplementedError),
    *(KeyError, ValueError, TypeError, IndexError, AttributeError, OverflowError, OSError),
    *(lzma.LZMAError, struct.error),
)  # what openpyxl and the standard library raise for broken parts of a workbook


@dataclass(frozen=True, slots=True)
class Table:
    """Named columns, the cells of the first rows, and the way to all cells of a column.

    `dates` reads as `column` does, and refuses rows with a date whose cells reach beyond the last column.
    `delimiter` is "" where the file has none; it tells how numbers are likely to be written. Without a header the
    columns are named by their numbers, and `headed` is false.
    """

    names: Sequence[str]
    sample: Sequence[Sequence[object]]
    dates: Callable[[int], list[object]]
    column: Callable[[int], list[object]]
    delimiter: str = ""
    headed: bool = True


def read_table(name: str, data: bytes, sheet: str | None, columns: int = MAX_COLUMNS, *, times: bool = False) -> Table:
    """The table of a file by its ending; `sheet` is for Excel only. Of its columns the first `columns` are read.

    With `times`, those of a Parquet file stay as they are; otherwise they are cut to dates.

    Raises Refusal `file_unreadable`, `file_too_large`, `file_too_many_rows`, `extra_missing`, `sheet_not_found`,
    `sheet_ambiguous`.
    """
    match PurePath(name).suffix.lower():
        case ".csv" | ".tsv" | ".txt":
            return _of_text(data, columns)
        case ".xlsx" | ".xlsm":
            return _of_workbook(data, sheet, columns)
        case ".parquet" | ".pq":
            return _of_parquet(data, columns, times=times)
        case _:
            raise _unreadable("Only .csv, .tsv, .txt, .xlsx and .parquet files can be read.")


def is_blank(cell: object) -> bool:
    return cell is None or (isinstance(cell, str) and not cell.strip())


def _of_text(data: bytes, columns: int) -> Table:
    text = _decoded(data)
    delimiter = _delimiter(text)
    try:
        return _of_rows(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), columns, delimiter)
    except csv.Error as failure:
        raise _unreadable(f"The text is no table: {failure}.") from failure


def _decoded(data: bytes) -> str:
    marked = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    for encoding in ["utf-16"] if marked else ["utf-8-sig", "cp1252"]:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise _unreadable("The file holds no text in UTF-8, UTF-16 or Windows-1252.")


def _delimiter(text: str) -> str:
    """The mark that splits most of the first lines into one and the same number of cells, two or more."""
    lines = text[:65_536].splitlines()[:100]
    if len(text) > 65_536:
        lines = lines[:-1] or lines  # the last one is cut off

    def agreement(delimiter: str) -> int:
        try:
            widths = [len(row) for row in csv.reader(lines, delimiter=delimiter) if len(row) > 1]
        except csv.Error:
            return 0
        return max((widths.count(width) for width in set(widths)), default=0)

    # A comma comes last: it is also a decimal mark, which the others are not.
    return max(("\t", ";", "|", ","), key=agreement)


def _of_rows(rows: Iterable[Sequence[object]], columns: int, delimiter: str = "") -> Table:
    kept = list(islice(_filled(rows, columns), MAX_ROWS + _PREAMBLE + 2))
    above = next((at for at, row in enumerate(kept[:_PREAMBLE]) if sum(not is_blank(cell) for cell in row) > 1), 0)
    body = kept[above:]
    width = max((len(row) for row in body[:_SAMPLE]), default=0)
    names = [f"column {at + 1}" for at in range(width)]
    headed = bool(body) and _is_header(body[0])
    if headed:
        head = body.pop(0)
        names = [str(cell).strip() if not is_blank(cell) else "" for cell in head] + names[len(head) :]
        if delimiter and any(_is_torn(row, len(head), row) for row in body[:_SAMPLE]):
            raise _torn()
    if len(body) > MAX_ROWS:
        raise _too_many_rows()

    def column(at: int) -> list[object]:
        return [_cell(row, at) for row in body]

    def dates(at: int) -> list[object]:
        if delimiter and any(_is_torn(row, len(names), row[at : at + 1]) for row in body[_SAMPLE:]):
            raise _torn()
        return column(at)

    sample = [[_cell(row, at) for at in range(len(names))] for row in body[:_SAMPLE]]
    return Table(names, sample, dates, column, delimiter, headed)


def _filled(rows: Iterable[Sequence[object]], columns: int) -> Iterator[Sequence[object]]:
    """The rows with anything in them, cut to the columns that are looked at."""
    for scanned, row in enumerate(rows):
        if scanned > _MAX_SCANNED:
            raise _too_many_rows()
        if not all(is_blank(cell) for cell in row):
            yield row[:columns]


def _cell(row: Sequence[object], at: int) -> object:
    return row[at] if at < len(row) else None


def _is_torn(row: Sequence[object], width: int, dates: Sequence[object]) -> bool:
    """Whether a row of data, one with a date among `dates`, has cells that belong to no column."""
    return len(row) > width and not all(map(is_blank, row[width:])) and any(map(looks_like_date, dates))


def _is_header(row: Sequence[object]) -> bool:
    """Names, unless one of the cells is a date or none of them is more than a number."""
    cells = [cell for cell in row if not is_blank(cell)]
    return not any(looks_like_date(cell) for cell in cells) and any(
        isinstance(cell, str) and not is_number(cell) and not is_missing(cell) for cell in cells
    )


def _of_workbook(data: bytes, sheet: str | None, columns: int) -> Table:
    try:
        with contextlib.closing(open_workbook(data)) as book, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about styles and validations, which are not read
            return _of_sheet({one.title: one for one in book.worksheets}, sheet, columns)
    except ImportError as failure:
        raise _extra_missing("Excel") from failure
    except _BROKEN_WORKBOOK as failure:
        raise _unreadable("It is no Excel workbook that can be read; save it as .xlsx without a password.") from failure


def _of_sheet(sheets: "Mapping[str, _WorksheetLike]", asked: str | None, columns: int) -> Table:
    for one in sheets.values():
        one.reset_dimensions()  # what a sheet says about its size can be wrong
    if asked is not None:
        wanted = positions(list(sheets), asked)
        if len(wanted) != 1:
            raise _sheet_refusal("sheet_not_found", f"There is no sheet {quoted(asked)}", sheets)
        return _of_rows(_sheet_rows(list(sheets.values())[wanted[0]], columns), columns)
    used = [one for one in sheets.values() if _holds_data(_sheet_rows(one, MAX_COLUMNS))]
    if len(used) > 1:
        raise _sheet_refusal("sheet_ambiguous", f"{len(used)} sheets hold data", sheets)
    return _of_rows(_sheet_rows(used[0], columns) if used else (), columns)


def _holds_data(rows: Iterable[Sequence[object]]) -> bool:
    """Whether there is more than a line of headings."""
    first = list(islice(_filled(islice(rows, _SAMPLE), MAX_COLUMNS), 2))
    return len(first) > 1 or any(not _is_header(row) for row in first)


def _sheet_rows(sheet: "_WorksheetLike", columns: int) -> Iterator[Sequence[object]]:
    """Rows without what is empty at their ends: however far to the right a cell claims to be, it costs nothing."""
    for row in sheet.iter_rows(values_only=True, max_col=columns):
        width = 0 if row.count(None) == len(row) else len(row)
        while width and row[width - 1] is None:
            width -= 1
        yield row[:width]


def _sheet_refusal(code: str, message: str, sheets: Iterable[str]) -> Refusal:
    return Refusal(code, f"{message}; the sheets are {listed_names(sheets)}.", "Set `sheet` to one of them.")


def _of_parquet(data: bytes, columns: int, *, times: bool) -> Table:
    """All columns of the first rows, and of the rest only those that are asked for.

    What a file says about its unpacked size can be forged, in both of the places that are looked at: the limit
    keeps large files out, it is no protection against files that are made to break it.
    """
    try:
        import pyarrow as arrow
        import pyarrow.parquet as parquet
    except ImportError as failure:
        raise _extra_missing("Parquet") from failure
    with _reading_parquet():
        about = parquet.read_metadata(arrow.BufferReader(data))
        if about.num_rows > MAX_ROWS:
            raise _too_many_rows()
        check_unpacked(_unpacked_size(about))
        schema = about.schema.to_arrow_schema()
        usable = [one.name for one in schema if _is_plain(one.type)][:columns]
        texts = [one.name for one in schema if arrow.types.is_string(one.type) or arrow.types.is_large_string(one.type)]
        # As a dictionary, a long text that every row repeats is held once.
        file = parquet.ParquetFile(arrow.BufferReader(data), read_dictionary=texts)

        def column(at: int) -> list[object]:
            with _reading_parquet():  # a broken page shows only when it is read
                return _parquet_cells(file.read(columns=[usable[at]], use_threads=False)[usable[at]], times=times)

        head = next(file.iter_batches(batch_size=_SAMPLE, columns=usable, use_threads=False), None)
        cells = [_parquet_cells(arrow.chunked_array([head[name]]), times=times) for name in usable] if head else []
        return Table(usable, list(zip(*cells, strict=True)), column, column)


@contextlib.contextmanager
def _reading_parquet() -> Iterator[None]:
    import pyarrow as arrow

    try:
        yield
    except (arrow.ArrowException, OSError, KeyError, ValueError, OverflowError, struct.error) as failure:
        raise _unreadable("It is no Parquet file that can be read.") from failure


def _unpacked_size(about: "FileMetaData") -> int:
    """Bytes as the groups of rows say it or as their columns do, whichever is more."""
    groups = [about.row_group(at) for at in range(about.num_row_groups)]
    columns = [sum(one.column(at).total_uncompressed_size for at in range(one.num_columns)) for one in groups]
    return int(max(sum(one.total_byte_size for one in groups), sum(columns)))


def _is_plain(kind: "DataType") -> bool:
    """Whether cells are numbers, dates or texts, and not bytes or lists."""
    from pyarrow import types

    tests = (types.is_primitive, types.is_decimal, types.is_string, types.is_large_string, types.is_dictionary)
    return any(test(kind) for test in tests)


def _parquet_cells(column: "ChunkedArray", *, times: bool) -> list[object]:
    """Python values; times as their dates unless they are wanted, long texts shortened."""
    import pyarrow as arrow

    if times and arrow.types.is_timestamp(column.type):
        column = column.cast(arrow.timestamp("us", column.type.tz), safe=False)
    elif arrow.types.is_timestamp(column.type) or arrow.types.is_date64(column.type):
        column = column.cast(arrow.date32(), safe=False)
    if not arrow.types.is_dictionary(column.type):
        return list(column.to_pylist())
    cells: list[object] = []
    for chunk in column.chunks:
        known = [one[:_LONGEST_TEXT] if isinstance(one, str) else one for one in chunk.dictionary.to_pylist()]
        cells += [None if at is None else known[at] for at in chunk.indices.to_pylist()]
    return cells


def positions(names: Sequence[str], asked: str) -> list[int]:
    """Where a name stands: exactly so, else in any case, else as refusals show it."""
    ways: tuple[Callable[[str], str], ...] = (str, lambda name: name.strip().casefold(), lambda name: quoted(name, 60))
    found = ([at for at, name in enumerate(names) if way(name) == way(asked)] for way in ways)
    return next(filter(None, found), [])


def listed_names(names: Iterable[str]) -> str:
    """Names from a file, quoted and shortened; at most twelve."""
    given = list(names)
    more = f" and {len(given) - 12} more" if len(given) > 12 else ""
    return ", ".join(quoted(name, 60) for name in given[:12]) + more


def _torn() -> Refusal:
    return _unreadable("A row has more cells than the header; a decimal comma in it looks like a new cell.")


def _too_many_rows() -> Refusal:
    return Refusal(
        "file_too_many_rows",
        f"The file has more than {MAX_ROWS:,} rows.",
        "Aggregate it to days or months, or keep only the rows of one series.",
    )


def _unreadable(message: str) -> Refusal:
    return Refusal("file_unreadable", message, "Save the table as .csv in UTF-8, or pass the numbers as `series`.")


def _extra_missing(kind: str) -> Refusal:
    return Refusal(
        "extra_missing",
        f"{kind} files need a package that is not installed.",
        "Run pip install 'sybilion-mcp[files]' and restart the server, or save the table as .csv.",
    )
