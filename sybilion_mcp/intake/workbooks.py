"""Opening an Excel workbook from anywhere: its parts are bounded before openpyxl builds them in memory."""

import io
import warnings
import zipfile
from functools import partial
from typing import IO, TYPE_CHECKING
from xml.parsers import expat

from sybilion_mcp.hints import Refusal

if TYPE_CHECKING:
    from openpyxl import Workbook

_MAX_UNPACKED = 200_000_000  # bytes
_MAX_PARTS = 10_000
_MAX_PART = 20_000_000  # bytes unpacked, for what is read whole: styles, the list of sheets, relations
_MAX_TEXTS = 40_000_000  # bytes unpacked of the texts that all sheets share
_MAX_ELEMENTS = 300_000
_MAX_TEXT_ELEMENTS = 2_000_000
_MAX_SHEET_ELEMENTS = 1_100_000  # rows of a sheet, and elements of one row or of all that is no row
_MAX_SHEETS = 1000
_CHUNK = 65_536  # bytes; the first element of a part must start within as many
_ROW = "http://schemas.openxmlformats.org/spreadsheetml/2006/main row"


def open_workbook(data: bytes) -> "Workbook":
    """A workbook whose sheets are read row by row; the caller closes it.

    Sheets, in xl/worksheets, may be of any size here. Raises Refusal `file_too_large`, ImportError without
    openpyxl, ValueError for a part with a DOCTYPE or in the wrong place, and whatever openpyxl raises.
    """
    from openpyxl.chartsheet import Chartsheet
    from openpyxl.reader.excel import ExcelReader
    from openpyxl.xml.constants import WORKSHEET_TYPE

    class CellReader(ExcelReader):
        def read_chartsheet(self, sheet: object, _: object) -> None:
            """A chart holds no cells, and its part would be read whole; only its place among the sheets is kept."""
            place = Chartsheet(parent=self.wb, title=getattr(sheet, "name", None))
            self.wb._sheets.append(place)  # type: ignore[attr-defined]  # the stubs leave it out

        def read_worksheets(self) -> None:
            if len(list(self.parser.find_sheets())) > _MAX_SHEETS:
                raise ValueError("more sheets than a workbook has")
            super().read_worksheets()

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        _check_parts(archive)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about styles and validations, which are not read
        reader = CellReader(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
        reader.read_manifest()
        for part in reader.package.Override:
            if _is_sheet(part.PartName.lstrip("/")) and part.ContentType != WORKSHEET_TYPE:
                raise ValueError("a part that is read whole lies among the sheets")
        reader.read()
    return reader.wb


def check_unpacked(size: int) -> None:
    """Raises Refusal `file_too_large` for a file that unpacks to more bytes than are read."""
    if size > _MAX_UNPACKED:
        raise _too_large(f"the file has {size / 1e6:.0f} MB", f"{_MAX_UNPACKED / 1e6:.0f} MB")


def _too_large(what: str, most: str) -> Refusal:
    return Refusal(
        "file_too_large",
        f"Unpacked, {what}; at most {most} are read.",
        "Keep only the date column and the value column, or pass the numbers as `series`.",
    )


def _check_parts(archive: zipfile.ZipFile) -> None:
    parts = archive.infolist()
    check_unpacked(sum(part.file_size for part in parts))
    if len(parts) > _MAX_PARTS:
        raise ValueError("more parts than a workbook has")
    for part in parts:
        if _is_sheet(part.filename):
            size, elements = _MAX_UNPACKED, _MAX_SHEET_ELEMENTS
        elif part.filename.lower().endswith("sharedstrings.xml"):
            size, elements = _MAX_TEXTS, _MAX_TEXT_ELEMENTS
        else:
            size, elements = _MAX_PART, _MAX_ELEMENTS
        with archive.open(part) as opened:
            _check_xml(opened, part.file_size, size, elements)


def _is_sheet(name: str) -> bool:
    name = name.lower()
    return name.startswith("xl/worksheets/") and name.endswith(".xml")


def _check_xml(part: IO[bytes], size: int, most: int, elements: int) -> None:
    """Raises Refusal for a part in XML that is too large, ValueError for one with a DOCTYPE, whose entities can grow.

    Elements count until a row of a sheet begins, because rows are let go of one by one.
    """
    alive = rows = 0

    def count(name: str, _: object) -> None:
        nonlocal alive, rows
        alive += 1
        if name == _ROW:
            alive, rows = 1, rows + 1
        if alive > elements or rows > _MAX_SHEET_ELEMENTS:
            raise _too_large("a part of the workbook has too many elements", f"{elements:,}")

    def refuse(*_: object) -> None:
        raise ValueError("a part has a DOCTYPE")

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler, parser.StartDoctypeDeclHandler = count, refuse
    try:
        for chunk in iter(partial(part.read, _CHUNK), b""):
            parser.Parse(chunk, False)
            if not alive and size > len(chunk):
                raise ValueError("the first element of a part comes too late")
            if size > most:
                raise _too_large(f"a part of the workbook has {size / 1e6:.0f} MB", f"{most / 1e6:.0f} MB")
    except expat.ExpatError:
        return  # no XML, such as a picture; or broken, which openpyxl will find at the same place
