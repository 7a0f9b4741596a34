"""The unit of a series, where its title or description says it in words that are known here.

What is spoken is never their text but the word of this vocabulary, so that nothing from outside enters a sentence.
"""

import re
from collections.abc import Iterable

_CODES = [
    *("AED", "AUD", "BRL", "CAD", "CNY", "CZK", "DKK", "HKD", "HUF", "IDR", "ILS", "INR", "JPY", "KRW", "MXN", "MYR"),
    *("NOK", "NZD", "PHP", "PLN", "SAR", "SEK", "SGD", "THB", "TRY", "VND", "ZAR"),
]
_CURRENCIES = {
    r"usd|U\.?S\.? dollars?|US\$": "USD",
    r"eur|euros?|€": "EUR",
    r"gbp|£": "GBP",
    r"keur|teur|k€|t€": "thousand EUR",
    r"chf": "CHF",
} | {f"(?-i:{code})": code for code in _CODES}  # "try" is a word
_AMOUNTS = {
    r"kg|kilograms?|kilos?": "kg",
    r"metric tons?|tonnes?|mt|t": "tonne",
    r"short tons?": "short ton",
    r"tons?": "ton",
    r"lbs?|pounds?": "pound",
    r"troy ounces?|toz|oz|ounces?": "ounce",
    r"bbl|barrels?": "barrel",
    r"gallons?": "gallon",
    r"lit(?:re|er)s?": "litre",
    r"bushels?": "bushel",
    r"mwh|megawatt[- ]hours?": "MWh",
    r"kwh|kilowatt[- ]hours?": "kWh",
    r"gwh|gigawatt[- ]hours?": "GWh",
    r"mmbtu": "mmbtu",
    r"cubic met(?:re|er)s?|m3|m³": "cubic metre",
    r"units?": "unit",
    r"pieces?|pcs|stück": "piece",
    r"orders?": "order",
    r"hours?": "hour",
    r"teu": "TEU",
}
_LONGEST = 2048  # bytes of a description that the API takes
_UNCHANGED = frozenset({"kg", "MWh", "kWh", "GWh", "mmbtu", "TEU"})
_MAGNITUDES = {r"thousands?|'000": "thousand", r"millions?|mn|mio": "million", r"billions?|bn": "billion"}
_PRICE_YEAR = r"(?:actual|nominal|current|constant|real)\s+"


def _any(words: Iterable[str]) -> str:
    return "|".join(f"(?:{word})" for word in words)


_CURRENCY, _AMOUNT, _MAGNITUDE = _any(_CURRENCIES), _any(_AMOUNTS), _any(_MAGNITUDES)
_EDGE, _END = r"(?<![\w.])", r"(?!\w)"
_PHRASE_END = r"(?=\s*(?:[,.;:)]|per\b|an?\b|monthly\b|$))"  # "in hours worked" names no unit
_MONEY = re.compile(rf"{_EDGE}({_CURRENCY}){_END}", re.IGNORECASE)
_RATE = re.compile(rf"{_EDGE}({_CURRENCY})\s*(?:per|/|a)\s*({_AMOUNT}){_END}", re.IGNORECASE)
_INTRODUCED = re.compile(
    rf"(?:\bin\s+|[(,]\s*)(?:{_PRICE_YEAR})?(?:({_MAGNITUDE})\s+(?:of\s+)?)?"
    rf"(?:({_CURRENCY})(?:\s+({_MAGNITUDE}))?|({_AMOUNT}){_PHRASE_END}){_END}",
    re.IGNORECASE,
)
_PERCENT = re.compile(r"(?:\bin\s+|\(\s*|,\s*)(?:percent|per cent|%)", re.IGNORECASE)
_INDEX = re.compile(r"\bind(?:ex|ices)\b", re.IGNORECASE)


def unit_of(title: str, description: str) -> str | None:
    """The unit as it may stand in a sentence ("USD per kg"), from the title, else from the description.

    None where neither names one, or one names several.
    """
    for text in (title[:_LONGEST], description[:_LONGEST]):
        found = set(_units(text))
        currencies = {_named(match[1], _CURRENCIES) for match in _MONEY.finditer(text)}
        if found:
            return found.pop() if len(found) == 1 and len(currencies) <= 1 else None
    return "points" if _INDEX.search(title[:_LONGEST]) else None


def _units(text: str) -> Iterable[str]:
    rates = list(_RATE.finditer(text))
    if rates:
        return [f"{_named(match[1], _CURRENCIES)} per {_named(match[2], _AMOUNTS)}" for match in rates]
    plain = [_quantity(match) for match in _INTRODUCED.finditer(text)]
    return [*plain, *(["percent"] if _PERCENT.search(text) else [])]


def _quantity(match: re.Match[str]) -> str:
    before, currency, after, amount = match.groups()
    magnitude = before or after
    many = f"{_named(magnitude, _MAGNITUDES)} " if magnitude else ""
    if currency:
        return f"{many}{_named(currency, _CURRENCIES)}"
    name = _named(amount, _AMOUNTS)
    return f"{many}{name if name in _UNCHANGED else f'{name}s'}"


def _named(text: str, words: dict[str, str]) -> str:
    return next(name for word, name in words.items() if re.fullmatch(word, text, re.IGNORECASE))
