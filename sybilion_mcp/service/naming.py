"""How several are told of in a line."""

from collections.abc import Sequence


def first_of(names: Sequence[str], most: int) -> str:
    """As "a, b and 3 more" where there are more than that many."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
