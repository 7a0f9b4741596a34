"""Past forecasts beside what came, as the embedded engine tells them for each series."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sybilion_mcp.contract.artifacts import ArtifactError
from sybilion_mcp.contract.eomer_hindcast import read_hindcast
from sybilion_mcp.engine.eomer.work import run_eomer
from tests.engine.eomer.made_up import body

HEADER = "item_id,cutoff,timestamp,actual,0.1,0.5,0.9\n"


def test_the_engines_own_are_read() -> None:
    files = run_eomer(body("h", 2, 200))

    found = read_hindcast(files["hindcast_windows.csv"])

    assert list(found) == ["h 0", "h 1"]
    for windows in found.values():
        assert [one.start for one in windows] == sorted(one.start for one in windows)
        assert {len(one.months) for one in windows} == {24}
        for month in windows[0].months:
            assert month.actual is not None
            assert month.forecast == month.quantiles[0.5]
            assert month.quantiles[0.1] <= month.quantiles[0.9]


def test_what_is_missing_is_none_and_odd_rows_are_left_out() -> None:
    text = f"{HEADER}A,2026-01-01,2026-01-02,,1,,3\nA,soon,2026-01-03,1,1,1,1\n,2026-01-01,2026-01-02,5\n"

    found = read_hindcast(text.encode())

    (month,) = found["A"][0].months
    assert (month.actual, month.forecast, month.quantiles) == (None, 2.0, {0.1: 1.0, 0.9: 3.0})
    assert found[""][0].months[0].forecast is None


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"\xff\xfe", b"<html>"])
def test_what_is_no_hindcast_is_said_to_be_none(content: bytes) -> None:
    with pytest.raises(ArtifactError, match="hindcast_windows"):
        read_hindcast(content)


@given(st.text(max_size=200))
def test_any_rows_are_windows_or_an_artifact_error(text: str) -> None:
    try:
        found = read_hindcast((HEADER + text).encode(errors="replace"))
    except ArtifactError:
        return
    assert all(window.months for windows in found.values() for window in windows)
