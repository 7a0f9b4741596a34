"""Searching the catalogues of regions and categories by name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sybilion_mcp.service.filters import search

NAMES = {1: "World", 2: "Europe", 7: "Germany", 9: "United States of America"}


def test_ties_are_in_one_order() -> None:
    fits, _ = search("metals", {5: "Metals B", 3: "Metals A", 4: "Metals A"})

    assert [(one.id, one.name) for one in fits] == [(3, "Metals A"), (4, "Metals A"), (5, "Metals B")]


@pytest.mark.parametrize("query", ["", "   ", "!!", "in the of"])
def test_a_query_without_words_finds_nothing(query: str) -> None:
    assert search(query, NAMES) == ([], [])


def test_the_same_name_comes_before_longer_ones() -> None:
    fits, _ = search("metals", {1: "Metals and minerals", 2: "Metals", 3: "Industrial metals"})

    assert [one.id for one in fits] == [2, 3, 1]


def test_a_query_of_any_length_is_searched_at_once() -> None:
    fits, _ = search("Germany " * 1_000_000, {number: f"Region {number}" for number in range(500)} | NAMES)

    assert [one.name for one in fits] == ["Germany"]


@given(st.text(max_size=60), st.dictionaries(st.integers(1, 9999), st.text(min_size=1, max_size=30), max_size=12))
def test_every_entry_is_found_at_most_once(query: str, names: dict[int, str]) -> None:
    fits, near = search(query, names)

    found = [one.id for one in [*fits, *near]]
    assert len(found) == len(set(found))
    assert set(found) <= names.keys()


@given(st.sampled_from(sorted(NAMES)))
def test_every_name_and_every_id_finds_its_entry_first(number: int) -> None:
    assert search(NAMES[number], NAMES)[0][0].id == number
    assert search(str(number), NAMES)[0][0].id == number
