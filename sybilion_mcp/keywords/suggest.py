"""From a title to at most 20 keywords by role, and what to ask the user for."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import zip_longest
from typing import TypeVar

from sybilion_mcp.keywords.match import find, split_compounds
from sybilion_mcp.keywords.text import normal, raw_words, words
from sybilion_mcp.keywords.topics import (
    KINDS,
    ROLES,
    Region,
    Topic,
    Vocabulary,
    Words,
    terms_for,
    vocabulary,
    word_lists,
)

MAX_KEYWORDS = 20
_MAX_DIRECT = 6  # several topics share them, so that every role keeps a place
_MAX_TOPICS = 3  # named by the title, or by the description when the title names none
_MAX_SIDE = 2  # named by the description of a series whose title is known
_MAX_QUESTIONS = 6
_READ_CHARS = 4096  # of each text; the API takes 511 bytes of title and 2048 of description

NOTE = (
    "In controlled runs on three series, users found that keywords, description and category filters changed "
    "nothing measurable. The backtest decides; do not pay for a second run to compare keyword lists."
)
UNKNOWN = "The vocabulary does not know this subject: these are general macro terms. Add the user's own words. "

T = TypeVar("T")

# For a demand series its buyers come first when the list is cut; for everything else its makers.
_ORDER = ROLES[1:]
_DEMAND_ORDER = ("demand", "supply", *ROLES[3:])


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Keywords for a request.

    `keywords` are new ones, the most telling first: with `existing` they never exceed 20. `groups` holds the same
    keywords by role, in the order of the roles and without empty roles. `topics` are the vocabulary's names of
    what was recognised; none means `known` is false. `ask` is what to ask the user, most important first.
    """

    keywords: tuple[str, ...]
    groups: Mapping[str, tuple[str, ...]]
    topics: tuple[str, ...]
    known: bool
    ask: tuple[str, ...]
    note: str


def suggest(
    title: str,
    description: str = "",
    region: str = "",
    existing: Sequence[str] = (),
    limit: int = MAX_KEYWORDS,
) -> Suggestion:
    """Suggest at most `limit` keywords (0–20) for a series; the texts are data, and nothing of them is repeated.

    `existing` keywords are not suggested again and count against the 20 of the API.
    """
    known, lists = vocabulary(), word_lists()
    title_words = _read(title, known)
    all_words = title_words + _read(description, known)
    main, side = _topics(title_words, all_words, known)
    place = _region(region[:_READ_CHARS], title[:_READ_CHARS], known)
    kind = _kind(title_words, lists) or _kind(all_words, lists)
    had = {_key(keyword[:_READ_CHARS], known) for keyword in existing if keyword.strip()}
    room = max(0, min(limit, MAX_KEYWORDS - len(had)))
    order = _DEMAND_ORDER if kind == "demand" else _ORDER
    picked = _pick(_by_priority(_candidates(main, side, lists), _regional(main, place, lists), order), had, room)
    groups: dict[str, tuple[str, ...]] = dict.fromkeys(ROLES, ())
    for term, role in picked.items():
        groups[role] += (term,)
    return Suggestion(
        keywords=tuple(picked),
        groups={role: terms for role, terms in groups.items() if terms},
        topics=tuple(topic.names[0] for topic in main + side),
        known=bool(main),
        ask=_questions(main, kind, bool(region.strip() or place), not lists.units.isdisjoint(all_words), lists),
        note=NOTE if main else UNKNOWN + NOTE,
    )


def _read(text: str, known: Vocabulary) -> list[str]:
    return split_compounds(words(text[:_READ_CHARS], known.spelling), known.endings, known.phrases)


def _topics(title: Sequence[str], text: Sequence[str], known: Vocabulary) -> tuple[list[Topic], list[Topic]]:
    """What the series is about, and what else is mentioned: by the description, or only in general."""
    named = [known.topics[name] for name in find(title, known.phrases)]
    mentioned = [topic for name in find(text, known.phrases) if (topic := known.topics[name]) not in named]
    found = named or mentioned
    main = ([topic for topic in found if not topic.general] or found)[:_MAX_TOPICS]
    side = [topic for topic in [*named, *mentioned] if topic not in main] if named else []
    return main, side[:_MAX_SIDE]


def _kind(text: Sequence[str], lists: Words) -> str:
    """Whether a price, demand or supply is measured; empty when the words do not say."""
    return next((kind for kind in KINDS if not lists.kinds[kind].isdisjoint(text)), "")


def _region(region: str, title: str, known: Vocabulary) -> Region | None:
    """The region the caller names; without one, the first that the title names."""
    if region.strip():
        code = region.strip().upper()
        named = find(words(region, known.spelling), known.region_phrases)
        coded = [place.id for place in known.regions.values() if code in place.codes]
        return next((known.regions[name] for name in (*coded, *named)), None)
    text = ["" if (word.upper() in known.capitals and not word.isupper()) else word for word in raw_words(title)]
    named = find([normal(word, known.spelling) for word in text], known.region_phrases)
    return known.regions[named[0]] if named else None


def _candidates(main: Sequence[Topic], side: Sequence[Topic], lists: Words) -> dict[str, list[str]]:
    """Terms by role, best first; the main topics take turns, the others give their first term."""
    if not main:
        return {role: list(lists.general.roles[role]) for role in ROLES}
    terms = {role: _take_turns([terms_for(topic, role) for topic in main]) for role in ROLES}
    terms["direct"] = terms["direct"][:_MAX_DIRECT] + [topic.roles["direct"][0] for topic in side]
    return terms


def _regional(main: Sequence[Topic], place: Region | None, lists: Words) -> list[str]:
    if place is None:
        return []
    terms = main[0].regional if main else lists.general.regional
    return [term.format(adjective=place.adjective) for term in terms] + [f"{place.currency} exchange rate"]


def _by_priority(
    terms: Mapping[str, Sequence[str]], regional: Sequence[str], order: Sequence[str]
) -> list[tuple[str, str]]:
    """(term, role): what is measured, where, then one term of each role in turn."""
    first = [(term, "direct") for term in terms["direct"]] + [(term, "macro") for term in regional]
    return first + _take_turns([[(term, role) for term in terms[role]] for role in order])


def _pick(ranked: Iterable[tuple[str, str]], had: set[str], room: int) -> dict[str, str]:
    """The first `room` terms that say something new, term → role."""
    picked: dict[str, str] = {}
    seen = set(had)
    for term, role in ranked:
        if len(picked) >= room:
            break
        key = _own_key(term)
        if key not in seen:
            seen.add(key)
            picked[term] = role
    return picked


def _key(keyword: str, known: Vocabulary) -> str:
    """Equal for "Electricity Price" and "electricity prices"."""
    return " ".join(words(keyword, known.spelling)) or keyword.strip().casefold()


@cache
def _own_key(term: str) -> str:
    """The same for a term of the vocabulary, of which there are only so many."""
    return _key(term, vocabulary())


def _questions(main: Sequence[Topic], kind: str, placed: bool, unit_given: bool, lists: Words) -> tuple[str, ...]:
    """What the words leave open, most important first; the price basis only where a price is meant."""
    subject = (main[0].ask + (main[0].ask_price if kind == "price" else ())) if main else ()
    unknown = () if main else lists.questions["unknown"]
    measure = lists.kind_questions[kind][1 if unit_given else 0 :] if kind else lists.questions["kind"]
    where = () if placed else lists.questions["region"]
    return (*unknown, *subject, *measure, *where, *lists.questions["purchase"])[:_MAX_QUESTIONS]


def _take_turns(rows: Sequence[Sequence[T]]) -> list[T]:
    """First items, then second items, …"""
    return [one for turn in zip_longest(*rows) for one in turn if one is not None]
