"""The driver folder as a person or a program reads it."""

from collections.abc import Mapping, Sequence

from sybilion_mcp.engine.candidate import Candidate
from sybilion_mcp.engine.library import Contents, name_key
from sybilion_mcp.outside import clean

_SHORT_ID = 8  # characters of an id that are shown, more where two begin alike


def as_data(contents: Contents) -> list[dict[str, object]]:
    """The drivers by name."""
    return [_data(one, contents) for one in _ordered(contents)]


def as_table(contents: Contents) -> str:
    """The drivers by name, a line for each under a line of headings."""
    return _table([_row(one, contents) for one in _ordered(contents)])


def span(months: Mapping[str, float]) -> str:
    """ "2025-01 to 2025-12"."""
    return f"{min(months)[:7]} to {max(months)[:7]}"


def _ordered(contents: Contents) -> list[Candidate]:
    return sorted(contents.drivers, key=lambda one: (name_key(one.name), one.id))


def _data(driver: Candidate, contents: Contents) -> dict[str, object]:
    return {
        "id": driver.id,
        "name": driver.name,
        "region": contents.regions.get(driver.region or 0),
        "region_id": driver.region,
        "category": contents.categories.get(driver.category or 0),
        "category_id": driver.category,
        "first_month": min(driver.months)[:7],
        "last_month": max(driver.months)[:7],
        "months": len(driver.months),
    }


def _row(driver: Candidate, contents: Contents) -> tuple[str, ...]:
    region = _with_id(driver.region, contents.regions)
    category = _with_id(driver.category, contents.categories)
    return driver.id, clean(driver.name, 60), region, category, span(driver.months), str(len(driver.months))


def _with_id(number: int | None, names: Mapping[int, str]) -> str:
    """ "Germany (1)": filters take the number."""
    return "-" if number is None else f"{clean(names.get(number, ''), 30)} ({number})"


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    """Columns of text, the ids cut as far as they stay different."""
    short = next(size for size in range(_SHORT_ID, 37) if len({row[0][:size] for row in rows}) == len(rows))
    head = ("id", "name", "region", "category", "span", "months")
    lines = [head, *((row[0][:short], *row[1:]) for row in rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(head))]
    padded = (zip(line, widths, strict=True) for line in lines)
    return "\n".join("  ".join(cell.ljust(width) for cell, width in line).rstrip() for line in padded)
