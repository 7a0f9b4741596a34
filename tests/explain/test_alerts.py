"""Alerts as they are told: small, in one order, nothing left out without a word."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sybilion_mcp.contract.recommendations import Alert
from sybilion_mcp.explain.alerts import MOST_BYTES, address_of, digest


def alert(name: str, change: float | None, **more: Any) -> Alert:
    return Alert.model_validate({"name": name, "pct_change": change, **more})


def test_the_trending_and_the_largest_come_first_in_their_groups() -> None:
    made = digest([alert("a", 1), alert("b", -9), alert("c", 4), alert("d", None), alert("e", -2, trending=True)], 0)

    assert list(made.lines) == [
        "Rising:",
        '- "c" +4 %',
        '- "a" +1 %',
        "Falling:",
        '- "e" -2 %, trending',
        '- "b" -9 %',
        "Without a figure:",
        '- "d"',
    ]
    assert [one["name"] for one in made.data] == ["e", "b", "c", "a", "d"]


def test_the_same_news_is_told_once() -> None:
    news = [{"title": "Strike", "source_name": "S"}]
    made = digest([alert("a", 2, news=news * 3), alert("b", 1, news=news)], 0)

    assert sum("Strike" in line for line in made.lines) == 1


def test_news_without_a_source_says_so() -> None:
    made = digest([alert("a", 2, news=[{"description": "Only words"}])], 0)

    assert made.lines[-1] == '  "Only words" (no source)'


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://a.example/x-y/1.html?utm=1#top", "https://a.example/x-y/1.html"),
        ("http://a.example", "http://a.example"),
        ("javascript:alert(1)", None),
        ("https://user:secret@a.example/", None),
        ("https://a.example/a b", None),
        ("https://[", None),
        ("https://a.example/" + "x" * 300, None),
        ("", None),
        (None, None),
    ],
)
def test_an_address_is_plain_or_none(url: str | None, address: str | None) -> None:
    assert address_of(url) == address


ALERTS = st.lists(
    st.builds(
        lambda name, change, trending, titles: alert(
            name, change, trending=trending, news=[{"title": one, "source_name": one, "url": one} for one in titles]
        ),
        st.text(max_size=200),
        st.none() | st.floats(allow_nan=False, allow_infinity=False),
        st.booleans(),
        st.lists(st.text(max_size=400), max_size=4),
    ),
    max_size=30,
)


@given(ALERTS)
def test_every_alert_stands_on_exactly_one_page_and_pages_are_small(alerts: list[Alert]) -> None:
    offset: int | None = 0
    told = 0
    while offset is not None:
        made = digest(alerts, offset)
        assert len("\n".join(made.lines).encode()) <= MOST_BYTES + 100  # and the titles of the groups
        assert made.total == len(alerts)
        told += len(made.data)
        offset = made.next_offset

    assert told == len(alerts)
