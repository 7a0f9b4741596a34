"""The vocabulary's own promises: enough topics, whole relations, terms that the API accepts."""

from collections import Counter

import pytest

from sybilion_mcp.keywords.text import words
from sybilion_mcp.keywords.topics import ROLES, Topic, terms_for, vocabulary

AREAS = {
    "materials",
    "energy",
    "metals",
    "agriculture",
    "chemicals",
    "construction",
    "transport",
    "retail",
    "electronics",
    "automotive",
    "labour",
    "money",
    "trade",
    "weather",
}
TOPICS = list(vocabulary().topics.values())


def normal(text: str) -> tuple[str, ...]:
    return words(text, vocabulary().spelling)


def test_at_least_120_topics_and_every_area_has_some() -> None:
    sizes = Counter(topic.area for topic in TOPICS)

    assert len(TOPICS) >= 120
    assert set(sizes) == AREAS
    assert min(sizes.values()) >= 5


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.id)
def test_a_topic_is_whole(topic: Topic) -> None:
    topics = vocabulary().topics
    terms = [term for role in ROLES for term in topic.roles[role]]

    assert all(topic.roles.values()), "every role has terms of its own"
    assert {*topic.uses, *topic.substitutes, *topic.part_of} <= topics.keys() - {topic.id}
    assert len({normal(term) for term in terms}) == len(terms), "a term has one role"
    assert topic.ask
    assert topic.ask_price


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.id)
def test_its_terms_and_its_neighbours_terms_are_keywords_the_api_accepts(topic: Topic) -> None:
    for role in ROLES:
        for term in terms_for(topic, role):
            assert term == " ".join(term.split())
            assert 1 <= len(term.encode()) <= 255


def test_no_name_belongs_to_two_topics() -> None:
    owners = Counter(normal(name) for topic in TOPICS for name in topic.names)

    assert [" ".join(name) for name, count in owners.items() if count > 1] == []


def test_names_are_never_a_word_of_everyday_language() -> None:
    everyday = "the us can pay price lead-time meeting share stock tool mode led ship ring arm game pain tee bar"

    names = {normal(name) for topic in TOPICS for name in topic.names}

    assert names.isdisjoint({(word,) for word in everyday.split()})


def test_a_role_is_completed_from_the_neighbours() -> None:
    topics = vocabulary().topics

    assert "natural gas prices" in terms_for(topics["ammonia"], "cost_inputs")
    assert "tyre demand" in terms_for(topics["natural-rubber"], "demand"), "who uses it"
    assert "synthetic rubber prices" in terms_for(topics["natural-rubber"], "demand"), "what replaces it"
    assert "steel tariffs" in terms_for(topics["rebar"], "policy"), "what it is part of"


def test_regions_have_what_their_terms_need() -> None:
    for region in vocabulary().regions.values():
        assert region.names
        assert region.codes
        assert region.adjective
        assert region.currency


def test_a_code_means_one_region() -> None:
    codes = Counter(code for region in vocabulary().regions.values() for code in region.codes)

    assert [code for code, count in codes.items() if count > 1] == []
