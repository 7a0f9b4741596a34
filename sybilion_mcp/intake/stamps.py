"""Timestamps as people write them: dates as everywhere in the intake, with the time of day kept."""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime

from sybilion_mcp.contract.frequency import read_timestamp, written
from sybilion_mcp.intake.dates import column_dates

_CLOCK = re.compile(
    r"(?P<day>\S.{3,30}?)[T ] ?(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:[.,][0-9]{1,9})?)?"
    r" ?(?P<half>[AaPp][Mm])? ?(?P<zone>Z|UTC|[+-][0-9]{2}:?[0-9]{2})?"
)
_QUARTER = re.compile(r"([0-9]{4})[- ]?[Qq]([1-4])")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def column_stamps(cells: Sequence[object]) -> list[str]:
    """The timestamp of every cell of a column, as `written` has it; what is none stays as it was written.

    One that names a zone is taken to UTC. Raises Refusal `ambiguous_dates` as for dates.
    """
    parts = [_parts(cell) for cell in cells]
    days = column_dates([day for day, _ in parts])
    return [_stamp(day, clock) for day, (_, clock) in zip(days, parts, strict=True)]


def _parts(cell: object) -> tuple[object, str]:
    """The date and the time of day: "" for none, else as ISO has it, with the zone."""
    if isinstance(cell, datetime):
        at = cell.astimezone(UTC).replace(tzinfo=None) if cell.tzinfo else cell
        return at.date(), at.time().replace(microsecond=0).isoformat()
    if isinstance(cell, date):
        return cell, ""
    text = str(cell).strip() if isinstance(cell, str) else ""
    if quarter := _QUARTER.fullmatch(text):
        return f"{quarter[1]}-{3 * int(quarter[2]) - 2:02d}-01", ""
    found = _CLOCK.fullmatch(text)
    if found is None:
        return cell, ""
    hour = int(found["hour"])
    if found["half"]:
        hour = hour % 12 + (12 if found["half"].lower() == "pm" else 0)
    zone = (found["zone"] or "").replace("UTC", "Z")
    return found["day"].rstrip(","), f"{hour:02d}:{found['minute']}:{found['second'] or '00'}{zone}"


def _stamp(day: str, clock: str) -> str:
    if not clock or not _DAY.fullmatch(day):
        return f"{day} {clock}".rstrip()
    at = read_timestamp(f"{day}T{clock}")
    return f"{day} {clock}" if at is None else written(at)
