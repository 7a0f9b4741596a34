"""What a panel of series is, in words."""

from collections.abc import Mapping

from sybilion_mcp.contract.frequency import parse_alias
from sybilion_mcp.explain.eomer.wording import quoted_id, several
from sybilion_mcp.outside import clean

_NAMED = 10


def describe_panel(series: Mapping[str, Mapping[str, float]], frequency: str) -> list[str]:
    """How many series, how often, from when to when, the shortest and the longest, and the first of them by name."""
    lengths = {item_id: len(points) for item_id, points in series.items()}
    first = min((min(points) for points in series.values() if points), default="")
    last = max((max(points) for points in series.values() if points), default="")
    alias = frequency if parse_alias(frequency) else clean(frequency, 20)
    span = f"{clean(first, 20)} … {clean(last, 20)}"
    lines = [f"{len(series):,} series, frequency {alias}, {span}, {_lengths(list(lengths.values()))}."]
    more = f" and {len(series) - _NAMED:,} more" if len(series) > _NAMED else ""
    named = ", ".join(quoted_id(item_id) for item_id in list(series)[:_NAMED])
    return [*lines, f"Ids (data): {named}{more}."]


def _lengths(lengths: list[int]) -> str:
    shortest, longest = min(lengths, default=0), max(lengths, default=0)
    if shortest == longest:
        return several(shortest, "observation") if len(lengths) == 1 else f"{shortest:,} observations each"
    return f"{shortest:,} to {longest:,} observations each"
