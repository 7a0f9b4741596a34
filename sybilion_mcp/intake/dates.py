"""Date labels: strict for series that a caller writes, by whole column for files that people write."""

import re
from collections.abc import Sequence
from datetime import date, datetime
from typing import Literal

from sybilion_mcp.hints import Refusal

_STRICT = re.compile(
    r"([0-9]{4})-([0-9]{2})"
    r"(?:-([0-9]{2})(?:[T ]00:00(?::00(?:\.0{1,9})?)?(?:Z|[+-][0-9]{2}:?[0-9]{2})?)?)?"
)

DateStyle = Literal["day_first", "month_first"]

_ZONE = r"(?: ?(?:[AaPp][Mm]))?(?: ?(?:Z|UTC|[+-][0-9]{2}:?[0-9]{2}))?"
_TIME = rf"(?:[T ][0-9]{{1,2}}:[0-9]{{2}}(?::[0-9]{{2}}(?:[.,][0-9]{{1,9}})?)?{_ZONE})?"
_YEAR_FIRST = re.compile(rf"([0-9]{{4}})([-/.])([0-9]{{1,2}})(?:\2([0-9]{{1,2}}){_TIME})?")
_COMPACT = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})?")
_FIGURES = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_STATISTICAL = re.compile(r"([0-9]{4})[-: ]?[Mm]([0-9]{1,2})")
_MONTH_YEAR = re.compile(r"([0-9]{1,2})[-/.]([0-9]{4})")
_YEAR_LAST = re.compile(rf"([0-9]{{1,2}})([-/.])([0-9]{{1,2}})\2([0-9]{{4}}|(?<!-)[0-9]{{2}}){_TIME}")
_WORDS = re.compile(r"[0-9]+|[A-Za-z]+")
_NAMED = re.compile(r"[0-9A-Za-z ,.'/-]{5,20}")
_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            ("jan", "january"),
            ("feb", "february"),
            ("mar", "march"),
            ("apr", "april"),
            ("may",),
            ("jun", "june"),
            ("jul", "july"),
            ("aug", "august"),
            ("sep", "sept", "september"),
            ("oct", "october"),
            ("nov", "november"),
            ("dec", "december"),
        ),
        start=1,
    )
    for name in names
}
_SURE_ROWS = 13  # more first days of months than one January could hold


def calendar_date(label: str) -> date | None:
    """The date of "2021-03-01", "2021-03" or a midnight of that day; None for everything else."""
    found = _STRICT.fullmatch(label)
    if found is None:
        return None
    try:
        return date(int(found[1]), int(found[2]), int(found[3] or 1))
    except ValueError:
        return None


def column_dates(cells: Sequence[object]) -> list[str]:
    """The ISO label of every cell of a date column; what is no date stays as it was written.

    Raises Refusal `ambiguous_dates` when 03/04/2021 could be March or April in the whole column.
    """
    texts = [_text(cell) for cell in cells]
    style = _style(texts)
    return [_label(text, style) for text in texts]


def looks_like_date(cell: object) -> bool:
    """Whether the cell is a date in any of the known ways of writing one, of a year that a series may have."""
    text = _text(cell)
    days = (_read(text, "day_first"), _read(text, "month_first"))
    return any(day is not None and 1500 <= day.year <= 2200 for day in days)


def could_be_number(cell: object) -> bool:
    """Whether a date is written with figures only: 202103 is a month, but just as well a quantity."""
    return _FIGURES.fullmatch(_text(cell)) is not None


def _text(cell: object) -> str:
    if isinstance(cell, datetime):
        return cell.date().isoformat()
    if isinstance(cell, date):
        return cell.isoformat()
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e8:
        return str(int(cell))
    return "" if cell is None else str(cell).strip()


def _label(text: str, style: DateStyle) -> str:
    day = _read(text, style)
    return text if day is None else day.isoformat()


def _read(text: str, style: DateStyle) -> date | None:
    parts = _parts(text, style)
    if parts is None:
        return None
    try:
        return date(*parts)
    except ValueError:
        return None


def _parts(text: str, style: DateStyle) -> tuple[int, int, int] | None:
    """Year, month and day as written, not yet checked against the calendar."""
    if (found := _YEAR_FIRST.fullmatch(text)) and (found[4] or found[2] != "."):
        return int(found[1]), int(found[3]), int(found[4] or 1)
    if found := _COMPACT.fullmatch(text) or _STATISTICAL.fullmatch(text):
        day = found[3] if found.re is _COMPACT else None
        return int(found[1]), int(found[2]), int(day or 1)
    if found := _MONTH_YEAR.fullmatch(text):
        return int(found[2]), int(found[1]), 1
    if found := _YEAR_LAST.fullmatch(text):
        first, second, year = int(found[1]), int(found[3]), _year(found[4])
        day_first = style == "day_first" or found[2] == "."
        return (year, second, first) if day_first else (year, first, second)
    return _named_parts(text)


def _named_parts(text: str) -> tuple[int, int, int] | None:
    """Year, month and day of "Mar 2021", "Mar-21", "2021 March", "1 Mar 2021" and "March 1, 2021"."""
    if _NAMED.fullmatch(text) is None:
        return None
    words = _WORDS.findall(text)
    months = [_MONTHS[word.lower()] for word in words if word.lower() in _MONTHS]
    figures = [word for word in words if word.isdigit()]
    if len(months) != 1 or len(months) + len(figures) != len(words):
        return None
    if len(figures) == 1:  # "Mar-21" is a month, "21-Mar" more likely a day without a year
        whole = len(figures[0]) == 4 or (len(figures[0]) == 2 and words[0] not in figures)
        return (_year(figures[0]), months[0], 1) if whole else None
    if len(figures) == 2:
        day, year = (figures[1], figures[0]) if len(figures[0]) == 4 else figures
        if len(day) <= 2 and len(year) in (2, 4):
            return _year(year), months[0], int(day)
    return None


def _year(figures: str) -> int:
    """Two figures mean 1969 to 2068, as in POSIX."""
    year = int(figures)
    return year if len(figures) == 4 else year + (1900 if year > 68 else 2000)


def _style(texts: Sequence[str]) -> DateStyle:
    """Whether the column writes 31/12/2021 or 12/31/2021, by all of its dates."""
    found = [match for text in texts if (match := _YEAR_LAST.fullmatch(text)) and match[2] != "."]
    pairs = {(int(match[1]), int(match[3])) for match in found}
    day_first = any(first > 12 for first, _ in pairs)
    month_first = any(second > 12 for _, second in pairs)
    if day_first != month_first or not pairs:
        return "month_first" if month_first else "day_first"
    if all(first == second for first, second in pairs):
        return "day_first"
    rows = len({match[0] for match in found})
    firsts, seconds = {first for first, _ in pairs}, {second for _, second in pairs}
    if not day_first and rows >= _SURE_ROWS and firsts == {1}:
        return "day_first"
    if not day_first and rows >= _SURE_ROWS and seconds == {1}:
        return "month_first"
    example = found[0][0]
    raise Refusal(
        "ambiguous_dates",
        f'The dates can be read day first or month first, for example "{example}".',
        "Write ISO dates (2021-03-01) in the file, or pass the numbers as `series`.",
    )
