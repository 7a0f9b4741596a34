"""When to look again, and what bounds an answer."""

import hypothesis
import pytest
from hypothesis import strategies as st

from sybilion_mcp.backends.base import AnswerError
from sybilion_mcp.service import follow as following
from sybilion_mcp.service.crowded import is_too_many_jobs
from sybilion_mcp.service.follow import poll_after
from sybilion_mcp.service.spend import EMBEDDED, WITH_DRIVERS, WITHOUT_DRIVERS, Expectation


def test_the_bounds_add_up() -> None:
    assert following.WAITING_SECONDS < following.ANSWER_SECONDS < following.MAX_WAIT_SECONDS


@pytest.mark.parametrize(
    ("expected", "told"),
    [
        (WITH_DRIVERS, {0: 60, 300: 60, 400: 40, 470: 15, 800: 15, 1000: 30, 3600: 30}),
        (WITHOUT_DRIVERS, {0: 60, 60: 30, 110: 5, 200: 4, 300: 8}),
        (EMBEDDED, {0: 1, 10: 1, 60: 2, 3600: 2}),
    ],
)
def test_when_to_look_again_depends_on_how_near_the_end_is(expected: Expectation, told: dict[int, int]) -> None:
    assert {elapsed: poll_after(expected, elapsed) for elapsed in told} == told


@hypothesis.given(st.integers(0, 10**6), st.integers(0, 10**6), st.floats(0, 1e9))
def test_when_to_look_again_is_always_within_a_minute(low: int, more: int, elapsed: float) -> None:
    assert 1 <= poll_after(Expectation((0, 0), (low, low + more), "x"), elapsed) <= 60


@pytest.mark.parametrize(
    ("status", "sentence", "told"),
    [
        (429, "too many concurrent jobs", True),
        (429, "rate limit exceeded", False),
        (503, "too many concurrent jobs", False),
    ],
)
def test_only_the_cap_on_jobs_is_taken_for_it(status: int, sentence: str, told: bool) -> None:
    assert is_too_many_jobs(AnswerError("submit", status, {"error": sentence}, None)) is told
