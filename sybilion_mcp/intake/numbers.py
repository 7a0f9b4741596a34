"""Numbers that were written as text: which convention a column follows, and what each text says.

A text is unambiguous when it cannot be read in two ways: "1,234.5" and "12,5" are, "1,234" is not. A column
is read by one convention, the one its unambiguous texts prove.
"""

import math
import re
from collections.abc import Iterable
from typing import Literal

Decimal = Literal[".", ","]

MISSING = frozenset(
    {"", "-", "--", "–", "—", ".", "..", "...", "…", "?"}
    | {"na", "n/a", "#n/a", "#na", "n.a.", "n.a", "nan", "null", "none", "nil", "missing", "nd", "n.d."}
)

_SPACES = str.maketrans({"\u00a0": " ", "\u202f": " ", "\u2009": " ", "\u2212": "-", "’": "'"})
_CURRENCY = r"(?:[€$£¥₹₽₩]|US\$|EUR|USD|GBP|CHF|JPY|CNY|INR|SEK|NOK|DKK|PLN|CZK|AUD|CAD|NZD|BRL|ZAR)"
_LONGEST = 64  # characters; a longer text is no number
_NUMBER = re.compile(
    # White space is taken whole (*+): with no two ways to share it, a text that is no number fails in linear time.
    rf"(?P<open>\()?(?P<sign>[+-])?\s*+{_CURRENCY}?\s*+(?P<sign2>[+-])?"
    rf"(?P<body>[0-9.,' ]*[0-9][.,]?)(?P<power>[eE][+-]?[0-9]{{1,3}})?"
    rf"\s*+(?:%|{_CURRENCY})?\s*+(?P<after>-)?(?P<close>\))?"
)
_GROUPED = {  # 1 234 567 and the Indian 12 34 567, by the character between the groups
    mark: re.compile(rf"[0-9]{{1,3}}(?:{re.escape(mark)}[0-9]{{2,3}})*{re.escape(mark)}[0-9]{{3}}") for mark in ".,' "
}


def is_missing(text: str) -> bool:
    """Whether the text is one of the usual marks for "no value"."""
    return text.strip().lower() in MISSING


def decimal_of(text: str) -> Decimal | Literal["either"] | None:
    """The decimal mark this text proves; "either" when it can be read both ways, None when it proves nothing."""
    found = _match(text)
    body = found["body"].strip() if found else ""
    point, comma = body.count("."), body.count(",")
    if not point and not comma:
        return None
    if point and comma:
        last: Decimal = "." if body.rfind(".") > body.rfind(",") else ","
        return last if read_number(text, last) is not None else None
    mark: Decimal = "." if point else ","
    if point + comma > 1:
        other: Decimal = "," if point else "."
        return other if read_number(text, other) is not None else None
    whole, _, fraction = body.partition(mark)
    could_be_group = len(fraction) == 3 and 1 <= len(whole) <= 3 and not whole.startswith("0")
    return "either" if could_be_group else mark


def read_number(text: str, decimal: Decimal) -> float | None:
    """The number that the text says under a convention, None when it says none ("12 apples", "1.2.3")."""
    found = _match(text)
    if found is None or bool(found["open"]) != bool(found["close"]):
        return None
    whole, _, fraction = found["body"].strip().partition(decimal)
    digits = _ungrouped(whole, "," if decimal == "." else ".")
    if digits is None or (fraction and not fraction.isdigit()) or not digits + fraction:
        return None
    number = float(f"{digits or '0'}.{fraction or '0'}{found['power'] or ''}")
    signs = [found["sign"] == "-", found["sign2"] == "-", found["after"] == "-", bool(found["open"])]
    if sum(signs) > 1 or not math.isfinite(number):
        return None
    return -number if any(signs) else number


def is_number(text: str) -> bool:
    """Whether the text is a number under one convention or the other."""
    return read_number(text, ".") is not None or read_number(text, ",") is not None


def plain_number(text: str) -> float | None:
    """The number a text can only mean, None when it is no number or can be read in two ways."""
    decimal = decimal_of(text)
    if decimal == "either":
        return None
    return read_number(text, decimal or ".")


def column_decimal(texts: Iterable[str], delimiter: str) -> Decimal | Literal["either", "both"]:
    """The convention of a whole column.

    "both" when texts prove different marks, "either" when none proves one. Short of proof, a long number
    without any mark ("12345") shows that thousands are not marked here; three digits without one ("987")
    beside "1,234" show that they are; and "1.234" is a plain decimal outside of semicolon files, where a
    decimal comma is usual.
    """
    proven: set[str] = set()
    doubtful: set[str] = set()
    longest = 0
    for text in texts:
        mark = decimal_of(text)
        if mark == "either":
            doubtful.add("." if "." in text else ",")
        elif mark is not None:
            proven.add(mark)
        elif (found := _match(text)) is not None and found["body"].strip().isdigit():
            longest = max(longest, len(found["body"].strip().lstrip("0")))
    if len(proven) == 2:
        return "both"
    if proven:
        return "." if "." in proven else ","
    if not doubtful:
        return "."
    return _weigh(doubtful, longest, delimiter)


def _weigh(doubtful: set[str], longest: int, delimiter: str) -> Decimal | Literal["either", "both"]:
    if len(doubtful) == 2:
        return "either"
    mark: Decimal = "." if "." in doubtful else ","
    other: Decimal = "," if mark == "." else "."
    if longest > 3 or (mark == "." and delimiter != ";"):
        return mark
    return other if longest == 3 else "either"


def _match(text: str) -> re.Match[str] | None:
    text = text.strip()
    return _NUMBER.fullmatch(text.translate(_SPACES)) if len(text) <= _LONGEST else None


def _ungrouped(whole: str, mark: str) -> str | None:
    """The digits of a whole part, without the marks of its thousands; None when they are not where they belong."""
    if whole == "" or whole.isdigit():
        return whole
    for between in (mark, " ", "'"):
        if between in whole:
            return whole.replace(between, "") if _GROUPED[between].fullmatch(whole) else None
    return None
