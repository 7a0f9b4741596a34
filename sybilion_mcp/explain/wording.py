"""How numbers, counts and tables are written down."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

MINUS = "−"
_MOST_ROWS = 200  # no table within the limits is longer
_MAGNITUDES = ("thousand", "million", "billion")
_HUGE, _TINY = 1e15, 1e-10  # beyond these, digits written out say less than an exponent


def step_for(uncertainty: float | None, values: Iterable[float]) -> float:
    """The power of ten worth writing: two digits of the uncertainty, or four digits of the largest value."""
    if uncertainty:
        return _power(math.floor(math.log10(uncertainty)) - 1)
    largest = max((abs(value) for value in values), default=0.0)
    return _power(math.floor(math.log10(largest)) - 3) if largest else 1.0


def _power(exponent: int) -> float:
    return float(f"1e{max(-12, min(exponent, 300))}")


def plain(value: float | None, step: float) -> str:
    """A number to the nearest `step`, without separators: safe in CSV, never to be misread."""
    if value is None or not math.isfinite(value):
        return ""
    if abs(value) >= _HUGE or step <= _TINY:
        return f"{value:.4g}"
    decimals = max(0, -round(math.log10(step)))
    nearest = round(value, decimals) if step <= 1 else round(value / step) * step
    text = f"{nearest:.{decimals}f}"
    return text.replace("-", "") if float(text) == 0 else text


def spoken(value: float, step: float) -> str:
    """A number inside a sentence; from a million on in millions and more."""
    for name, size in (("trillion", 1e12), ("billion", 1e9), ("million", 1e6)):
        if abs(value) >= size:
            return f"{plain(value / size, max(step / size, 1e-3))} {name}".replace("-", MINUS)
    return plain(value, step).replace("-", MINUS)


def observed(text: str) -> str:
    """An observation inside a sentence, without the zeros that were not measured."""
    number, space, unit = text.partition(" ")
    return f"{number.rstrip('0').rstrip('.') if '.' in number else number}{space}{unit}"


def significant(value: float, digits: int = 3) -> str:
    """A measure of error inside a sentence, to `digits` significant digits."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else "unknown"
    return spoken(value, _power(math.floor(math.log10(abs(value))) - digits + 1))


def signed(value: float | None) -> str:
    """A correlation or a direction, with its sign."""
    return "" if value is None else f"{value:+.2f}"


def finite(value: float | None, digits: int = 7) -> float | None:
    """For structured content: `digits` significant digits, and null for what is no number."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.{digits}g}")


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def percent(share: float) -> str:
    """A share as a percentage, whole: what is told so is never known more finely."""
    return f"{100 * share:.0f} %"


@dataclass(frozen=True, slots=True)
class Speech:
    """How numbers in the unit of a series are spoken; where the unit counts in millions itself, numbers do not."""

    unit: str | None = None

    def level(self, value: float, step: float) -> str:
        """A number without its unit, to the nearest `step`."""
        return plain(value, step).replace("-", MINUS) if self._counts else spoken(value, step)

    def error(self, value: float, digits: int = 3) -> str:
        """A measure of error without its unit."""
        if self._counts and value and math.isfinite(value):
            return self.level(value, _power(math.floor(math.log10(abs(value))) - digits + 1))
        return significant(value, digits)

    def with_unit(self, number: str) -> str:
        return f"{number} {self.unit}" if self.unit else number

    @property
    def _counts(self) -> bool:
        return self.unit is not None and self.unit.startswith(_MAGNITUDES)


def csv(header: str, rows: Sequence[Sequence[str]]) -> str:
    """Cells are numbers, months or `quoted` text, so nothing needs escaping."""
    return "\n".join([header, *(",".join(row) for row in rows)])


def fitted(render: Callable[[int], str], most: int, limit: int) -> str:
    """The longest text within `limit` bytes; `render` takes how many rows it may list, at most `most`.

    Where even no row is too much, the middle gives way: the last line, which says what to do next, always stays.
    """
    fits, fails = 0, min(most, _MOST_ROWS) + 1
    while fails - fits > 1:
        rows = (fits + fails) // 2
        fits, fails = (rows, fails) if len(render(rows).encode()) <= limit else (fits, rows)
    text = render(fits)
    if len(text.encode()) <= limit:
        return text
    body, _, last = text.rpartition("\n")
    room = max(limit - len(last.encode()) - 1, 0)
    return f"{body.encode()[:room].decode(errors='ignore')}\n{last}"
