"""Finding the ids that regions and categories go by. The service never checks them, so they have to be looked up."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from difflib import SequenceMatcher

from sybilion_mcp.backends.base import BackendError
from sybilion_mcp.contract.catalogue import Entry, Kind
from sybilion_mcp.hints import Refusal
from sybilion_mcp.keywords.text import raw_words
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.engine_storage import tell_of_storage
from sybilion_mcp.store.entries import KeptCatalogue
from sybilion_mcp.store.records import timestamp

log = logging.getLogger(__name__)

FRESH_FOR = timedelta(days=7)
"""So long a catalogue is searched as it was fetched."""
MOST = 10
"""Of each kind, that fit or nearly do."""
FEW = 25
"""So many regions and categories of a backend are all listed where nothing is searched for."""
_NEAR = 0.75
_LONGEST_QUERY = 200  # characters; a title is shorter
_SMALL_WORDS = frozenset({"of", "the", "and", "for", "in"})


@dataclass(frozen=True, slots=True)
class Found:
    """Of one kind on one backend: what fits the query, and what nearly does, each the best first.

    `size`: of the whole catalogue, which is None where it could not be read.
    `fetched_at` is None for a catalogue that is never kept; `stale`: it should be fetched anew, and cannot be.
    """

    backend: str
    kind: Kind
    fits: Sequence[Entry] = ()
    near: Sequence[Entry] = ()
    size: int | None = None
    fetched_at: str | None = None
    stale: bool = False


async def find_filters(desk: Desk, query: str, kinds: Sequence[Kind]) -> list[Found]:
    """On the default backend, then on the embedded engine where that is another: their ids mean different things.

    Raises `Refusal` and `BackendError` when the default one has no catalogue and none can be had.
    """
    default = desk.settings.sybilion_backend
    catalogues = [(kind, *await _catalogue(desk, default, kind)) for kind in kinds]
    found = _searched(query, default, catalogues)
    if default == "local" or desk.engine is None:
        return found
    try:
        own = [(kind, *await _catalogue(desk, "local", kind)) for kind in kinds]
    except (BackendError, Refusal) as error:  # what the service has is worth telling all the same
        log.warning("the driver folder could not be searched: %s", error)
        return [*found, *(Found("local", kind) for kind in kinds)]
    return [*found, *_searched(query, "local", own)]


async def _catalogue(desk: Desk, backend: str, kind: Kind) -> tuple[KeptCatalogue, bool]:
    """The names by id, and whether they are stale."""
    if backend == "local":  # it is in this process, and changes with every series that is added
        try:
            items = (await desk.sybilion(backend).catalogue(kind)).items
        except BackendError as error:
            tell_of_storage(error)
            raise
        return KeptCatalogue({one.id: one.name for one in items}, ""), False
    source = desk.settings.api_base_url.lower().rstrip("/")
    kept = await desk.store.catalogues.get(source, kind)
    if kept is not None and desk.now() - datetime.fromisoformat(kept.fetched_at) < FRESH_FOR:
        return kept, False
    try:
        items = (await desk.sybilion(backend).catalogue(kind)).items
    except (BackendError, Refusal):
        if kept is None:
            raise
        return kept, True
    fetched = KeptCatalogue({one.id: one.name for one in items}, timestamp(desk.now()))
    await desk.store.catalogues.put(source, kind, fetched)
    return fetched, False


def _searched(query: str, backend: str, catalogues: Sequence[tuple[Kind, KeptCatalogue, bool]]) -> list[Found]:
    """Of one backend; all there is where nothing is searched for and there are few."""
    listed = not query.strip() and sum(len(catalogue.names) for _, catalogue, _ in catalogues) <= FEW
    found = []
    for kind, catalogue, stale in catalogues:
        fits, near = search(query, catalogue.names)
        shown = _all(catalogue.names) if listed else fits[:MOST]
        size, at = len(catalogue.names), catalogue.fetched_at or None
        found.append(Found(backend, kind, shown, near[:MOST], size, at, stale))
    return found


def _all(names: Mapping[int, str]) -> list[Entry]:
    return [Entry(id=number, name=name) for number, name in sorted(names.items(), key=lambda one: (one[1], one[0]))]


def search(query: str, names: Mapping[int, str]) -> tuple[list[Entry], list[Entry]]:
    """What fits, and what nearly does; ties by name."""
    query = query[:_LONGEST_QUERY]
    wanted = _words(query)
    scored = [
        (_score(query.strip(), wanted, number, name), Entry(id=number, name=name)) for number, name in names.items()
    ]
    ranked = sorted(scored, key=lambda one: (-one[0], one[1].name, one[1].id))
    fits = [entry for score, entry in ranked if score >= 1]
    return fits, [entry for score, entry in ranked if _NEAR <= score < 1]


def _score(query: str, wanted: Sequence[str], number: int, name: str) -> float:
    """1 and more for what fits, the more the better; below 1, how near it is."""
    words = _words(name)
    if query == str(number) or wanted == words:
        return 3
    if not wanted or not words:
        return 0
    initials = "".join(word[0] for word in words if word not in _SMALL_WORDS)
    if len(words) > 1 and "".join(wanted) == initials:
        return 2.5
    told = [word for word in wanted if word not in _SMALL_WORDS]
    if told and all(any(word.startswith(one) for word in words) for one in told):
        return 1 + len(wanted) / len(words) / (1 + len(words))
    if all(word in wanted for word in words):
        return 1 + len(words) / len(wanted) / (1 + len(wanted))
    return min(max(_likeness(" ".join(wanted), " ".join(words)), _shared(told, words)), 0.99)


def _shared(told: Sequence[str], words: Sequence[str]) -> float:
    """How much the words are alike that are most alike; a short word is like many others."""
    return max((_likeness(one, word) for one in told for word in words if min(len(one), len(word)) > 3), default=0.0)


def _likeness(one: str, other: str) -> float:
    match = SequenceMatcher(None, one, other)
    return match.ratio() if match.real_quick_ratio() >= _NEAR and match.quick_ratio() >= _NEAR else 0.0


def _words(text: str) -> list[str]:
    return [word.casefold() for word in raw_words(text)]
