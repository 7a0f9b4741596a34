"""A number as JSON may carry it, taken only where it is one."""

_LARGEST = 1e100  # no series gets there, and below it no mean or ratio of differences turns into NaN
_SMALLEST = 1e-100  # what is nearer to zero counts as zero, so that no ratio overflows


def sane_number(value: object) -> float | None:
    """A finite number of sane size; null, text, booleans, NaN and infinities are none, and a trace is zero."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not -_LARGEST < value < _LARGEST:
        return None
    return float(value) if abs(value) >= _SMALLEST else 0.0
