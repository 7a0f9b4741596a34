"""Addresses in answers: only those on the API's own host are followed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sybilion_mcp.backends.origin import own_target

BASE = "https://api.test/v2"


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://api.test/jobs/1/plot.png", "/jobs/1/plot.png"),
        ("https://api.test:443/x?sig=a%2Fb&c", "/x?sig=a%2Fb&c"),
        ("HTTPS://API.TEST/x", "/x"),
        ("https://api.test", "/"),
        ("https://api.test/x#part", "/x"),
        ("/jobs/1/report.html", "/jobs/1/report.html"),
        ("jobs/1/report.html", "/v2/jobs/1/report.html"),
        ("?page=2", "/v2/?page=2"),
    ],
)
def test_an_address_on_the_own_host_is_followed(url: str, target: str) -> None:
    assert own_target(BASE, url) == target


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.test/x",
        "http://api.test/x",
        "https://api.test:8443/x",
        "https://api.test.evil.test/x",
        "https://sub.api.test/x",
        "https://api.test@evil.test/x",
        "https://user:key@api.test/x",
        "//evil.test/x",
        "///evil.test/x",
        "https:///evil.test/x",
        "https://api.test//evil.test/x",
        "//api.test/x",
        "\\\\evil.test\\x",
        "https://api.test\\@evil.test/x",
        "https:\\\\evil.test",
        "javascript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "ftp://api.test/x",
        "https://api.test:99999/x",
        "https://[::1/x",
        "https://apı.test/x",
        "/x\r\nHost: evil.test",
        "/a b",
        "\t//evil.test",
        "/../../admin",
        "https://api.test/./x",
        "",
        "/" + "x" * 5000,
    ],
)
def test_no_other_address_is(url: str) -> None:
    assert own_target(BASE, url) is None


@given(st.text(max_size=60) | st.from_regex(r"(https?:)?[/\\@:.a-z?#%\[\]]{0,40}", fullmatch=True))
def test_whatever_is_given_is_a_path_or_nothing(url: str) -> None:
    target = own_target(BASE, url)

    if target is not None:
        assert target.startswith("/")
        assert not target.startswith("//")
        assert target.isascii()
        assert target.isprintable()


def test_a_base_that_is_no_address_has_no_own_ones() -> None:
    assert own_target("", "https://api.test/x") is None
    assert own_target("api.test", "https://api.test/x") is None
