"""Secrets are found however they are written, and hidden in texts and in what comes over the wire."""

import json
from itertools import cycle
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sybilion_mcp.outside import clean, identifier
from sybilion_mcp.secret_text import HIDDEN, Mask, Secrets
from tests.canaries import DISGUISES, OTHER, TOKEN, UNSEEN, Disguise, tells
from tests.timing import cpu_seconds


@given(text=st.text(), secret=st.text('abcXYZ019_-%\\\\"/é', min_size=8, max_size=24), where=st.integers(0, 50))
def test_a_secret_is_hidden_in_whatever_it_stands(text: str, secret: str, where: int) -> None:
    secrets = Secrets([secret])
    for form in (secret, secret.upper(), quote(secret, safe=""), json.dumps(secret)[1:-1], repr(secret)[1:-1]):
        assert secrets.within({"x": [text[:where] + form + text[where:]]})
        assert form not in secrets.hide(f"<{form}>")


@pytest.mark.parametrize("disguise", [str, *DISGUISES.values(), *UNSEEN.values()])
def test_outside_text_is_without_secrets_before_it_is_cleaned(disguise: Disguise) -> None:
    """Cleaned, nothing would tell its words from others."""
    said = f"Price of {disguise(TOKEN)} in Austria"

    assert not tells(clean(said), TOKEN)
    assert not tells(clean(said * 100), TOKEN)
    assert not tells(identifier(said), TOKEN)
    assert "token" in clean(said)
    assert "CAN" not in clean(f"{TOKEN:>{8 * 80 + 13}}{' ' * 2000}end")  # where a long text is cut


def test_words_and_environment_names_are_no_tokens() -> None:
    said = ["Tokens begin with sk_ops_ (see docs)", "disk_ops_monthly", "50%disk_ops_monthly", "SYBILION_API_TOKEN"]

    assert not Secrets(["", "abc", " 1234567 "]).within([*said, "abc", "1234567", {"abc": 1}])


# What comes over the wire


@given(
    before=st.binary(max_size=80),
    pieces=st.lists(st.integers(1, 40), min_size=1),
    form=st.sampled_from([str, str.swapcase, *DISGUISES.values()]),
)
def test_in_pieces_of_any_size_all_of_it_is_covered(before: bytes, pieces: list[int], form: Disguise) -> None:
    """As many bytes come out, and nothing else changes."""
    content = before + b"|" + form(OTHER).encode() + b"|" + before
    mask, told, at, size = Mask(Secrets([OTHER])), b"", 0, cycle(pieces)
    while at < len(content):
        step = next(size)
        told += mask.add(content[at : at + step])
        at += step
    told += mask.rest()

    assert len(told) == len(content)
    assert told.startswith(before + b"|" + HIDDEN.encode() + b"*")
    assert told.endswith(b"*|" + before)
    assert not tells(told, OTHER)


def test_numbers_stay_numbers() -> None:
    mask = Mask(Secrets(["12345678"]))

    assert mask.add(b'{"a": 312345678.5}') + mask.rest() == b'{"a": 312345678.5}'


def test_of_two_secrets_the_longer_one_is_covered_whole() -> None:
    mask = Mask(Secrets(["abcdefgh", "abcdefghijk"]))

    assert mask.add(b"abcdefgh") + mask.add(b"ijk.") + mask.rest() == b"[token]****."


@pytest.mark.parametrize("disguise", [str, *DISGUISES.values(), *UNSEEN.values()])
@pytest.mark.parametrize("secret", [TOKEN, "plain-words-of-a-key"])
def test_one_line_in_disguise_is_found_among_many_others(disguise: Disguise, secret: str) -> None:
    """Given lines with letters beyond ASCII and percent signs around it."""
    secrets = Secrets(["plain-words-of-a-key"])
    lines = ["Öl, 80 % band …", "plain", "naïve – 100% sure"] * 20
    with_one = [*lines[:31], f"a value {disguise(secret)} here", *lines[31:]]

    assert not secrets.within({"lines": lines})
    assert secrets.within({"lines": with_one})
    assert secrets.within({"text": "\n".join(with_one)})
    assert not tells(secrets.hide("\n".join(with_one)), secret)


WITH_BACKSLASHES = ["000000\\é", "\\" * 12 + "x", "\\." * 30 + "x", r"ab\cd\\ef\\\gh"]


@pytest.mark.parametrize("secret", WITH_BACKSLASHES)
@pytest.mark.parametrize("form", [str, json.dumps, lambda one: json.dumps(json.dumps(one)), quote, repr])
def test_a_secret_with_backslashes_is_found_in_every_form(secret: str, form: Disguise) -> None:
    assert Secrets([secret]).within({"text": f"it is {form(secret)}."})


@pytest.mark.parametrize("secret", [*WITH_BACKSLASHES, "a" * 127 + "b"])
@pytest.mark.parametrize("text", ["\\" * 200 + "y", "\\\\\\." * 50, "\\u005c" * 50, "a" * 4_000_000 + "\\"])
def test_no_text_makes_the_search_take_long(secret: str, text: str) -> None:
    assert cpu_seconds(lambda: Secrets([secret]).within(text)) < 1


def test_in_very_long_texts_a_secret_is_found_as_it_is_written() -> None:
    around = "b" * 300_000
    assert Secrets(["plain-words-of-a-key"]).within(f"{around} Plain-Words-of-a-Key {around}")
    assert Secrets().within(f"{around} {TOKEN} {around}")
    assert not Secrets(["plain-words-of-a-key"]).within(around)
