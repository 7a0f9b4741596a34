"""Calendar months: `2021-03` for people, `2021-03-01` on the wire, a running number for arithmetic."""

import re
from calendar import monthrange
from datetime import date

_WIRE_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


def parse_wire_date(text: str) -> date | None:
    """The date of a strict YYYY-MM-DD text; None when it is anything else or not in the calendar."""
    if not _WIRE_DATE.fullmatch(text):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def month_index(day: date) -> int:
    """Months since year 0, so that neighbours differ by one."""
    return day.year * 12 + day.month - 1


def month_of(index: int) -> str:
    """A running month number as YYYY-MM."""
    return f"{index // 12:04d}-{index % 12 + 1:02d}"


def index_of(month: str) -> int:
    """The running number of a month written YYYY-MM or YYYY-MM-DD."""
    return int(month[:4]) * 12 + int(month[5:7]) - 1


def months_before(day: date, months: int) -> date:
    """The same day of the month, `months` earlier; the month's last day where that day does not exist."""
    year, month = divmod(month_index(day) - months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))
