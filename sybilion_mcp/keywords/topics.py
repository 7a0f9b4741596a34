"""The vocabulary, read once: areas and their topics, regions, and the words around them.

The files are TOML. Terms are comma-separated lists by role; a topic's relations name other topics by id.
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import chain

from sybilion_mcp.keywords.match import Phrases, index_phrases
from sybilion_mcp.keywords.text import words

ROLES = ("direct", "supply", "demand", "cost_inputs", "macro", "policy", "logistics")
KINDS = ("price", "demand", "supply")

# A customer's direct term that says how much it takes: "tyre demand", "vehicle production".
_PULL = ("demand", "sales", "production", "activity", "orders", "installations", "shipments")

Table = Mapping[str, object]
Terms = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Area:
    """One vocabulary file: what holds for its topics. `regional` has the placeholder {adjective}."""

    id: str
    name: str
    roles: Mapping[str, Terms]
    regional: Terms
    ask: Terms
    ask_price: Terms


@dataclass(frozen=True, slots=True)
class Topic:
    """One subject: its names, its own terms by role, its relations (topic ids) and what to ask about it.

    What it leaves empty its area says. A `general` topic ("exports") gives way to any other in the same title.
    """

    id: str
    area: str
    names: Terms
    roles: Mapping[str, Terms]
    uses: Terms
    substitutes: Terms
    part_of: Terms
    regional: Terms
    ask: Terms
    ask_price: Terms
    general: bool


@dataclass(frozen=True, slots=True)
class Region:
    id: str
    names: Terms
    codes: Terms
    adjective: str
    currency: str


@dataclass(frozen=True, slots=True)
class Vocabulary:
    areas: Mapping[str, Area]
    topics: Mapping[str, Topic]
    regions: Mapping[str, Region]
    used_by: Mapping[str, Terms]
    spelling: Mapping[str, str]
    phrases: Phrases
    region_phrases: Phrases
    endings: Terms
    capitals: frozenset[str]
    """Names of regions that are words of another kind in small letters."""


@dataclass(frozen=True, slots=True)
class Words:
    """What is asked, and the general terms for a subject nobody described."""

    general: Area
    kinds: Mapping[str, frozenset[str]]
    kind_questions: Mapping[str, Terms]
    units: frozenset[str]
    questions: Mapping[str, Terms]


@cache
def vocabulary() -> Vocabulary:
    """All topics with their relations and the indexes to find them; later calls return the same object."""
    lists = _read("words.toml")
    spelling = {american: str(british) for american, british in _table(lists["spelling"]).items()}
    areas: dict[str, Area] = {}
    topics: dict[str, Topic] = {}
    for path in sorted((files(__package__) / "vocabulary").iterdir(), key=lambda path: path.name):
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        area = _area(path.name.removesuffix(".toml"), tables.pop("area"))
        areas[area.id] = area
        topics |= {name: _topic(name, area, table) for name, table in tables.items()}
    regions = {name: _region(name, _table(table)) for name, table in _read("regions.toml").items()}
    ignored = _terms(_table(lists["ignore"])["phrases"])
    named = chain(((name, topic.id) for topic in topics.values() for name in topic.names), ((i, "") for i in ignored))
    places = ((name, region.id) for region in regions.values() for name in region.names)
    return Vocabulary(
        areas=areas,
        topics=topics,
        regions=regions,
        used_by=_users(topics.values()),
        spelling=spelling,
        phrases=index_phrases(named, spelling),
        region_phrases=index_phrases(places, spelling),
        endings=_terms(_table(lists["compounds"])["endings"]),
        capitals=frozenset(name for place in regions.values() for name in place.names if name.isupper()),
    )


@cache
def word_lists() -> Words:
    """Kinds of series, units, questions and general terms."""
    lists = _read("words.toml")
    spelling = {american: str(british) for american, british in _table(lists["spelling"]).items()}
    kinds = {kind: _table(_table(lists["kinds"])[kind]) for kind in KINDS}
    return Words(
        general=_area("general", _table(lists["general"])),
        kinds={kind: _normal(table["words"], spelling) for kind, table in kinds.items()},
        kind_questions={kind: _sentences(table["ask"]) for kind, table in kinds.items()},
        units=_normal(_table(lists["units"])["words"], spelling),
        questions={name: _sentences(text) for name, text in _table(lists["questions"]).items()},
    )


def terms_for(topic: Topic, role: str) -> Terms:
    """A topic's terms for a role, best first: its own, its neighbours', its parent's, its area's."""
    return _terms_for(topic.id, role)


@cache
def _terms_for(name: str, role: str) -> Terms:
    known = vocabulary()
    topic = known.topics[name]
    terms = list(topic.roles[role])
    if role == "cost_inputs":
        terms += [known.topics[name].roles["direct"][0] for name in topic.uses]
    if role == "demand":
        terms += [pull for name in known.used_by.get(topic.id, ()) if (pull := _pull(known.topics[name]))]
        terms += [known.topics[name].roles["direct"][0] for name in topic.substitutes]
    if role != "direct":
        terms += [term for name in topic.part_of for term in known.topics[name].roles[role]]
        terms += known.areas[topic.area].roles[role]
    return tuple(terms)


def _pull(topic: Topic) -> str:
    return next((term for term in topic.roles["direct"] if term.endswith(_PULL)), "")


def _users(topics: Iterable[Topic]) -> dict[str, Terms]:
    users: dict[str, Terms] = {}
    for topic in topics:
        for used in topic.uses:
            users[used] = (*users.get(used, ()), topic.id)
    return users


@cache
def _read(name: str) -> dict[str, object]:
    return tomllib.loads((files(__package__) / name).read_text(encoding="utf-8"))


def _area(name: str, table: Table) -> Area:
    return Area(
        id=name,
        name=str(table.get("name", name)),
        roles=_roles(table),
        regional=_terms(table["regional"]),
        ask=_sentences(table.get("ask", [])),
        ask_price=_sentences(table.get("ask_price", [])),
    )


def _topic(name: str, area: Area, table: Table) -> Topic:
    return Topic(
        id=name,
        area=area.id,
        names=_terms(table["names"]),
        roles=_roles(table),
        uses=_terms(table.get("uses", "")),
        substitutes=_terms(table.get("substitutes", "")),
        part_of=_terms(table.get("part_of", "")),
        regional=_terms(table.get("regional", "")) or area.regional,
        ask=_sentences(table.get("ask", [])) or area.ask,
        ask_price=_sentences(table.get("ask_price", [])) or area.ask_price,
        general=bool(table.get("general", False)),
    )


def _region(name: str, table: Table) -> Region:
    return Region(
        id=name,
        names=_terms(table["names"]),
        codes=_terms(table["codes"]),
        adjective=str(table["adjective"]),
        currency=str(table["currency"]),
    )


def _roles(table: Table) -> dict[str, Terms]:
    return {role: _terms(table.get(role, "")) for role in ROLES}


def _terms(value: object) -> Terms:
    """ "a, b" → ("a", "b")."""
    return tuple([term.strip() for term in str(value).split(",")]) if value else ()


def _sentences(value: object) -> Terms:
    return tuple(str(item) for item in value) if isinstance(value, list) else (str(value),)


def _table(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise TypeError(f"a table is expected, not {type(value).__name__}")
    return value


def _normal(value: object, spelling: Mapping[str, str]) -> frozenset[str]:
    return frozenset(word for term in _terms(value) for word in words(term, spelling))
