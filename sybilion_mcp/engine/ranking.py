"""Ranking the driver folder for a series: by the words that name it and, where they are given, by its numbers.

Words: the share of a driver's own words and subjects (of its name, region and category) that the request uses too,
each counted by its rarity in the folder, so that "copper" says more than "price". Numbers: the strongest relation
with the driver 0–12 months before, beyond the series' own past, where it stands out from chance. The score is 100 ×
the first or, with numbers, a weighted mean of both. A driver without either relation is not ranked at all.
"""

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sybilion_mcp.contract.driver_request import DEFAULT_DRIVER_LIMIT, DriverRequest
from sybilion_mcp.contract.option_rules import DEFAULT_RECENCY_FACTOR
from sybilion_mcp.contract.request import Filters, TimeseriesMetadata
from sybilion_mcp.engine.candidate import Candidate
from sybilion_mcp.engine.library import Contents

NUMBERS_SHARE = 0.7  # of the score, where numbers are given; the rest is the words'

# Words that relate nothing, English and German.
_COMMON_WORDS = """
a all an and are as at avg average by for from in index is monthly of on or per the to total via with
am auf aus bei das dem den der des die durchschnitt ein eine fur im ist je mit monatlich nach oder pro und von vom zu
zum zur
"""
_COMMON = frozenset(_COMMON_WORDS.split())


@dataclass(frozen=True, slots=True)
class Ranked:
    """A driver and how much it has to do with the request, 0–100."""

    id: str
    name: str
    score: float


def rank(request: DriverRequest, contents: Contents) -> list[Ranked]:
    """The drivers that the request's filters let through and that relate to it, best first, ties by name."""
    filters = request.filters or Filters()
    chosen = [one for one in contents.drivers if one.passes(filters.regions, filters.categories)]
    named = _named(request.timeseries_metadata or TimeseriesMetadata(), chosen, contents)
    scores = named
    if request.timeseries:
        given = request.recency_factor
        measured = _measured(request.timeseries, chosen, DEFAULT_RECENCY_FACTOR if given is None else given)
        pairs = zip(measured, named, strict=True)
        scores = [NUMBERS_SHARE * number + (1 - NUMBERS_SHARE) * word for number, word in pairs]
    ranked = [Ranked(one.id, one.name, round(100 * score, 2)) for one, score in zip(chosen, scores, strict=True)]
    related = [one for one in ranked if one.score > 0]
    limit = DEFAULT_DRIVER_LIMIT if filters.limit is None else filters.limit
    return sorted(related, key=lambda one: (-one.score, one.name, one.id))[:limit]


def _named(asked: TimeseriesMetadata, drivers: Sequence[Candidate], contents: Contents) -> list[float]:
    """The relation of each driver by words, 0–1."""
    said = _words(" ".join([asked.title or "", asked.description or "", *(asked.keywords or ())]))
    called = {one.id: _words(_called(one, contents)) for one in contents.drivers}
    drivers_with = Counter(word for words in called.values() for word in words)
    rarity = {word: math.log(1 + len(called) / count) for word, count in drivers_with.items()}
    return [_share(said, called[one.id], rarity) for one in drivers]


def _called(driver: Candidate, contents: Contents) -> str:
    region = contents.regions.get(driver.region or 0, "")
    category = contents.categories.get(driver.category or 0, "")
    return f"{driver.name} {region} {category}"


def _share(said: Collection[str], called: Collection[str], rarity: Mapping[str, float]) -> float:
    # Summed exactly, because sets of words come in another order in every process.
    whole = math.fsum(rarity[word] for word in called)
    return math.fsum(rarity[word] for word in called if word in said) / whole if whole else 0.0


def _words(text: str) -> frozenset[str]:
    """The telling words in the vocabulary's normal form, and its subjects among them: "Kupferpreis" is about copper."""
    from sybilion_mcp.keywords.match import find, split_compounds
    from sybilion_mcp.keywords.text import words
    from sybilion_mcp.keywords.topics import vocabulary

    known = vocabulary()
    found = split_compounds(words(text, known.spelling), known.endings, known.phrases)
    subjects = (f"subject {topic}" for topic in find(found, known.phrases))
    telling = (word for word in found if len(word) > 1 and not word.isdigit() and word not in _COMMON)
    return frozenset([*telling, *subjects])


def _measured(series: Mapping[str, float], drivers: Sequence[Candidate], recency_factor: float) -> list[float]:
    """The relation of each driver by numbers, 0–1."""
    from sybilion_mcp.engine.relation import strengths  # brings numpy, which not every request needs

    return strengths(series, drivers, recency_factor)
