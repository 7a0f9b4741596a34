"""Finding known phrases in a text: whole words, the longest phrase first, no word counted twice."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from sybilion_mcp.keywords.text import words

# First word → the phrases beginning with it, as (words, id). An empty id marks a phrase that means nothing here.
Phrases = Mapping[str, Sequence[tuple[tuple[str, ...], str]]]

# Letters that join the parts of a German compound: "Weizenpreis" is "Weizen" + "preis", "Papierspreis" …
_JOINTS = ("", "s", "n", "en", "es")
_SHORTEST_STEM = 3


def index_phrases(named: Iterable[tuple[str, str]], spelling: Mapping[str, str]) -> Phrases:
    """Index (name, id) pairs by the first word of the name."""
    index: dict[str, list[tuple[tuple[str, ...], str]]] = {}
    for name, found in named:
        phrase = words(name, spelling)
        index.setdefault(phrase[0], []).append((phrase, found))
    return index


def find(text: Sequence[str], phrases: Phrases) -> list[str]:
    """The ids found in `text` (words in normal form), each once, in order of appearance."""
    hits = [
        (len(phrase), start, found)
        for start, word in enumerate(text)
        for phrase, found in phrases.get(word, ())
        if tuple(text[start : start + len(phrase)]) == phrase
    ]
    taken: set[int] = set()
    kept: list[tuple[int, str]] = []
    for length, start, found in sorted(hits, key=lambda hit: (-hit[0], hit[1])):
        span = range(start, start + length)
        if taken.isdisjoint(span):
            taken.update(span)
            kept.append((start, found))
    return list(dict.fromkeys(found for _, found in sorted(kept) if found))


def split_compounds(text: Iterable[str], endings: Collection[str], phrases: Phrases) -> list[str]:
    """Split German compounds whose first part begins a known phrase: "kupferpreis" → "kupfer", "preis"."""
    return [part for word in text for part in _parts(word, endings, phrases)]


def _parts(word: str, endings: Collection[str], phrases: Phrases) -> tuple[str, ...]:
    if word in phrases:
        return (word,)
    for ending in endings:
        stem = word.removesuffix(ending)
        if stem == word or len(stem) < _SHORTEST_STEM:
            continue
        for joint in _JOINTS:
            known = stem.removesuffix(joint)
            if len(known) >= _SHORTEST_STEM and known in phrases:
                return known, ending
    return (word,)
