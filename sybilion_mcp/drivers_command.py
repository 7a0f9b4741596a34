"""`drivers`: the user's driver folder, filled, listed and thinned out at a terminal."""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from sqlalchemy.exc import DatabaseError

from sybilion_mcp.clock import utc_today
from sybilion_mcp.drivers_table import as_data, as_table, span
from sybilion_mcp.engine.candidate import Candidate
from sybilion_mcp.engine.library import (
    MAX_DRIVERS,
    DriverLibrary,
    Kept,
    LibraryError,
    Place,
    check_series,
    name_key,
    usable_name,
)
from sybilion_mcp.hints import Refusal
from sybilion_mcp.intake.columns import ValueColumn, read_columns, read_points
from sybilion_mcp.intake.dates import calendar_date
from sybilion_mcp.intake.series import Aggregate, Fill, Monthly, to_monthly, trimmed
from sybilion_mcp.outside import clean, quoted
from sybilion_mcp.service.files import read_bytes

_SHOWN = 20  # series that get a line of their own
_SHORTEST_ID = 4  # characters that may stand for an id

_LIST = "`sybilion-mcp drivers list`"
_NEXT = {
    "file_not_found": "Check the name and the folder.",
    "file_unreadable": "Save the table as .csv in UTF-8: a column of dates, and a column for each series.",
    "file_too_large": "Split the file, or leave columns out of it.",
    "file_too_many_rows": "Write months instead of days, or split the file.",
    "extra_missing": "Run pip install 'sybilion-mcp[files]', or save the table as .csv.",
    "ambiguous_dates": "Write ISO dates such as 2021-03-01.",
    "ambiguous_number": "Write the numbers of a column in one way, such as 1234.5.",
}
_CONSTANT = "It never changes, so it can drive nothing."
_SEVERAL = "Write a column for each, or keep only the rows of one; --aggregate sum adds them up."
_FLAGS = {"aggregate": "--aggregate mean (or sum, last)", "fill": "--fill linear (or previous, zero)"}

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Source:
    """A file, and how it is to be read. `name` is for a file with one series."""

    file: str
    name: str | None = None
    date_column: str | None = None
    value_columns: tuple[str, ...] = ()
    sheet: str | None = None
    aggregate: Aggregate = "none"
    fill: Fill = "none"


@dataclass(slots=True)
class _Reading:
    """What the columns of a file came to: sound series by name, and what is to be said, with the names it is about."""

    sound: dict[str, dict[str, float]] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)
    left_out: dict[str, list[str]] = field(default_factory=dict)

    def leave_out(self, name: str, shown: str, reason: str) -> None:
        self.sound.pop(name, None)
        self.notes = {
            note: rest for note, names in self.notes.items() if (rest := [one for one in names if one != shown])
        }
        self.left_out.setdefault(reason, []).append(shown)


def add_drivers(path: Path, source: Source, region: str | None, category: str | None) -> int:
    """Put the sound series of a file into the folder at `path`; 1 when a series or the whole file is left out."""
    try:
        for flag, name in (("--name", source.name), ("--region", region), ("--category", category)):
            _check_flag(flag, name)
        reading = _read(source)
        library = DriverLibrary(path)
        kept = _run(library.put(reading.sound, region, category)) if reading.sound else Kept(frozenset(), {}, {})
    except Refusal as refusal:
        return _fail(f"Nothing was added. {_reason(refusal, source)}")
    except LibraryError as error:
        step = "Remove what is not needed, or choose series with --value-column."
        return _fail(f"Nothing was added: {error}. {step}")
    for name, places in kept.unclear.items():
        reading.leave_out(name, quoted(name, 60), _which(places))
    _tell(reading, kept)
    return 1 if reading.left_out else 0


def list_drivers(path: Path, *, as_json: bool) -> int:
    """Print what is in the folder at `path`, by name."""
    try:
        contents = _run(DriverLibrary(path).contents())
    except Refusal as refusal:
        return _fail(f"{refusal.message} {refusal.hint}")
    except LibraryError as error:
        return _fail(_damaged(path, error), 2)
    if as_json:
        _say(json.dumps(as_data(contents), indent=1))
    elif contents.drivers:
        _say(as_table(contents))
    else:
        _say("The driver folder is empty. Fill it: sybilion-mcp drivers add FILE")
    return 0


def remove_drivers(path: Path, asked: Sequence[str]) -> int:
    """Take series out of the folder at `path` by name or id; 1 when one of them is not found, or not clear."""
    library = DriverLibrary(path)
    try:
        drivers = _run(library.contents()).drivers
        found = {text: _matching(text, drivers) for text in asked}
        clear = {one[0].id: one[0] for one in found.values() if len(one) == 1}
        _run(library.remove(clear))
    except Refusal as refusal:
        return _fail(f"{refusal.message} {refusal.hint}")
    except LibraryError as error:
        return _fail(_damaged(path, error), 2)
    for driver in clear.values():
        _say(f"Removed {quoted(driver.name)}.")
    for text, several in found.items():
        if not several:
            _fail(f"Nothing in the folder is called {quoted(text)}: see {_LIST}.")
        elif len(several) > 1:
            ids = ", ".join(one.id for one in several[:5])
            _fail(f"{len(several)} series are meant by {quoted(text)}; remove one by its id: {ids}.")
    return 0 if all(len(one) == 1 for one in found.values()) else 1


def _run(work: Coroutine[object, object, Result]) -> Result:
    try:
        return asyncio.run(work)
    except (OSError, DatabaseError) as error:
        raise Refusal(
            "storage_failed",
            "The data folder cannot be used.",
            "Check SYBILION_MCP_HOME, its rights and the free space.",
        ) from error


def _check_flag(flag: str, name: str | None) -> None:
    try:
        if name is not None:
            usable_name(name)
    except LibraryError as error:
        raise Refusal("invalid_argument", f"{flag}: {error}.", "Give another one.") from error


def _read(source: Source) -> _Reading:
    """Every series of the file. Raises `Refusal` when the file as a whole cannot be read."""
    columns = list(_columns(source))
    if not columns:
        raise Refusal("column_not_found", "It has no column beside the dates.", "Add a column for each series.")
    _check_dates(columns, source)
    names = Counter(_alike(one.name) for one in columns)
    reading = _Reading()
    for column in columns:
        shown = quoted(column.name, 60) if column.name.strip() else f"column {column.number}"
        try:
            if column.name and names[_alike(column.name)] > 1:
                raise LibraryError("Several columns have this name. Give them different names.")
            monthly = _monthly(column, source)
        except LibraryError as error:
            reading.leave_out(column.name, shown, str(error))
            continue
        reading.sound[column.name] = monthly.points
        notes = [one.message for one in monthly.problems]
        notes += [_CONSTANT] if len({*monthly.points.values()}) == 1 else []
        for note in notes:
            reading.notes.setdefault(note, []).append(shown)
    return reading


def _columns(source: Source) -> Iterator[ValueColumn]:
    try:
        path = Path(source.file).expanduser().resolve()
    except (OSError, RuntimeError, ValueError) as error:  # no home, a loop of links
        raise Refusal("file_not_found", "That is no usable path.") from error
    data = read_bytes(path)
    try:
        yield from _chosen(path.name, data, source)
    except Refusal as refusal:
        dates = _dates_among_values(path.name, data, source) if refusal.code == "column_not_found" else None
        if dates is None:
            raise
        message = f"{quoted(dates, 60)} is the column of dates."
        raise Refusal("column_not_found", message, "Name columns of numbers with value_column.") from refusal


def _chosen(file: str, data: bytes, source: Source) -> Iterator[ValueColumn]:
    if source.name is None:
        yield from read_columns(file, data, source.date_column, source.value_columns, source.sheet, most=MAX_DRIVERS)
        return
    if len(source.value_columns) > 1:
        raise Refusal("column_ambiguous", "--name is for one series.", "Give one value_column, or leave --name out.")
    value = next(iter(source.value_columns), None)
    yield ValueColumn(source.name, 1, *read_points(file, data, source.date_column, value, source.sheet))


def _dates_among_values(file: str, data: bytes, source: Source) -> str | None:
    """The column of dates where it was asked for as values: the others are the same whether or not it is named."""

    def others(dates: str | None) -> list[int]:
        return [one.number for one in read_columns(file, data, dates, (), source.sheet, most=MAX_DRIVERS)]

    try:
        found = others(None) if source.date_column is None else None
        return next((asked for asked in source.value_columns if others(asked) == found), None)
    except Refusal:  # there is no column of dates, or no column of that name
        return None


def _check_dates(columns: Sequence[ValueColumn], source: Source) -> None:
    """Raises `Refusal` when nothing in the --date-column is a date."""
    labels = {point.label for one in columns if not isinstance(one.points, Refusal) for point in one.points}
    if source.date_column is not None and labels and not any(calendar_date(label) for label in labels):
        message = f"{quoted(source.date_column, 60)} holds no dates."
        raise Refusal("column_not_found", message, "Name the column that does with date_column.")


def _monthly(column: ValueColumn, source: Source) -> Monthly:
    """The series of a sound column. Raises `LibraryError` with what is wrong and what to do."""
    if isinstance(column.points, Refusal):
        raise LibraryError(_reason(column.points, source))
    if not column.name.strip():
        raise LibraryError("It has no name. Give it one in the first row of the file.")
    points = trimmed(column.points)
    if not any(isinstance(one.value, int | float) for one in points):
        raise LibraryError("It holds no numbers. Name the columns that do with --value-column.")
    if column.apart and source.aggregate == "none":
        raise LibraryError(f"Its dates are repeated, told apart by {column.apart}. {_SEVERAL}")
    monthly = to_monthly(points, source.aggregate, source.fill, utc_today(), column.apart)
    errors = [one for one in monthly.problems if one.severity == "error"]
    if errors:
        flags = [flag for one in errors if one.fix and (flag := _FLAGS.get(one.fix.field))]
        steps = [f"Add {' '.join(dict.fromkeys(flags))}."] if flags else []
        steps += ["Correct the file."] if len(flags) < len(errors) else []
        if source.date_column is not None and any(one.code == "bad_date" for one in errors):
            steps.append("Or name another --date-column.")
        raise LibraryError(" ".join([one.message for one in errors] + steps))
    try:
        check_series(column.name, monthly.points)
    except LibraryError as error:
        raise LibraryError(f"{str(error).capitalize()}. Correct the file.") from error
    return monthly


def _alike(name: str) -> str:
    """Equal for names that the folder takes for one."""
    try:
        return name_key(name)
    except LibraryError:
        return name


def _reason(refusal: Refusal, source: Source) -> str:
    """What happened and what to do, in the words of the command line."""
    step = _NEXT.get(refusal.code, refusal.hint)
    if source.name is not None and refusal.code == "column_ambiguous":
        step = f"{step} Without --name each series is called by its header."
    for argument in ("date_column", "value_column", "`sheet`"):
        step = step.replace(argument, f"--{argument.strip('`').replace('_', '-')}")
    return f"{refusal.message} {step}"


def _which(places: Sequence[Place]) -> str:
    choices = ", ".join(_place(one) for one in places[:5]) + (", …" if len(places) > 5 else "")
    return (
        f"{len(places)} series have this name: {choices}. "
        f"Choose one with --region and --category, or remove the others; see {_LIST}."
    )


def _place(place: Place) -> str:
    """ "(Germany, no category)"."""
    named = zip(place, ("region", "category"), strict=True)
    return f"({', '.join(f'no {kind}' if name is None else clean(name, 30) for name, kind in named)})"


def _damaged(path: Path, error: LibraryError) -> str:
    step = "Add that series again with `sybilion-mcp drivers add`, or move the file away."
    return f"The driver folder {path} cannot be read: {error}. {step}"


def _tell(reading: _Reading, kept: Kept) -> None:
    for name, months in list(reading.sound.items())[:_SHOWN]:
        done = "Replaced the numbers of" if name in kept.replaced else "Added"
        _say(f"{done} {quoted(name, 60)}: {span(months)}, {len(months)} months{_beside(name, kept)}.")
    rest = list(reading.sound)[_SHOWN:]
    if rest:
        again = sum(name in kept.replaced for name in rest)
        done = f"Added {len(rest)} more" if not again else f"Replaced the numbers of {again} more"
        both = f"Added {len(rest) - again} more and replaced the numbers of {again}"
        twins = sum(name in kept.beside for name in rest)
        beside = f"; {twins} of them stay beside others of the same name" if twins else ""
        _say(f"{done if again in (0, len(rest)) else both}{beside}; see {_LIST}.")
    for note, names in reading.notes.items():
        _say(f"Note on {_joined(names)}: {note}")
    nothing = "" if reading.sound else "Nothing was added. "
    for reason, names in reading.left_out.items():
        _fail(f"{nothing}Left out {_joined(names)}: {reason}")
        nothing = ""
    if reading.sound:
        _say("Forecasts on the embedded engine try these series from now on.")


def _beside(name: str, kept: Kept) -> str:
    places = kept.beside.get(name, ())
    if not places:
        return ""
    if len(places) == 1:
        return f"; another {quoted(name, 60)} {_place(places[0])} stays beside it"
    return f"; {len(places)} others called {quoted(name, 60)} stay beside it"


def _matching(text: str, drivers: Sequence[Candidate]) -> list[Candidate]:
    """The drivers of that name, as it is or as the list shows it; else those whose id begins so."""
    name, shown = _alike(text), _alike(clean(text, 60))
    named = [one for one in drivers if _alike(one.name) == name]
    named = named or [one for one in drivers if _alike(clean(one.name, 60)) == shown]
    begin = text.strip().lower()
    return named or [one for one in drivers if len(begin) >= _SHORTEST_ID and one.id.startswith(begin)]


def _joined(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{', '.join(names[:3])}{more}"


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _fail(text: str, code: int = 1) -> int:
    sys.stderr.write(f"{text}\n")
    return code
