"""The numbers that a text shows, and whether each is a given value as rounded."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

_QUOTED = re.compile(r'"[^"\n]*"')
_CALL = re.compile(r"\b\w+\([^()\n]*\)|\b\w+=[^\s,;)]+")
_DATE = re.compile(r"\b\d{4}-\d{2}(?:-\d{2})?\b")
_NUMBER = re.compile(r"(?<![\w.\-])([−+-]?\d+(?:\.\d+)?)(?: (million|billion)\b)?(?!\w)")
_SIZES = {"": 1.0, "million": 1e6, "billion": 1e9}


@dataclass(frozen=True)
class Shown:
    """A number as written: its value, and half of its last digit."""

    text: str
    value: float
    slack: float

    def shows(self, value: float) -> bool:
        return abs(self.value - value) <= self.slack + 1e-9 * max(abs(value), 1e-3)


def shown(text: str, size: str = "") -> Shown:
    value = float(text.replace("−", "-")) * _SIZES[size]
    digits = text.lstrip("−+-")
    if "." in digits:
        slack = 0.5 * 10.0 ** -len(digits.partition(".")[2])
    else:  # zeros at the end may be digits that were rounded away
        zeros = len(digits) - len(digits.rstrip("0"))
        slack = max(0.5, min(0.5 * 10.0**zeros, 0.05 * abs(value)))
    return Shown(text, value, slack * _SIZES[size])


def last_place(texts: Iterable[str]) -> float:
    """What the last digit of the most finely written number is worth; all are rounded alike."""
    digits = [text.lstrip("-").partition(".") for text in texts if text.strip("-0.")]
    return min(
        10.0 ** -len(fraction) if point else 10.0 ** (len(whole) - len(whole.rstrip("0")))
        for whole, point, fraction in digits
    )


def prose(text: str) -> str:
    """The sentences of a text: no tables, no quoted names, no calls."""
    lines = [line for line in text.split("\n") if not re.match(r'month,|name,|"|\d{4}-\d{2},', line)]
    return _CALL.sub(" ", _QUOTED.sub(" ", "\n".join(lines)))


def dates(text: str) -> list[str]:
    return _DATE.findall(prose(text))


def numbers(text: str) -> list[Shown]:
    return [shown(digits, size) for digits, size in _NUMBER.findall(_DATE.sub(" ", prose(text)))]


def unexplained(text: str, values: Iterable[float]) -> list[str]:
    """The numbers of a text that show none of the values."""
    known = list(values)
    return [one.text for one in numbers(text) if not any(one.shows(value) for value in known)]


def missing(text: str, values: Iterable[float]) -> list[float]:
    """The values that no number of a text shows."""
    found = numbers(text)
    return [value for value in values if not any(one.shows(value) for one in found)]
