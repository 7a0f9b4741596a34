"""The forecast table of Eomer: any column names, any size, whatever the rows are like."""

import csv
import io
import math
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sybilion_mcp.contract import eomer_table
from sybilion_mcp.contract.artifacts import ArtifactError
from sybilion_mcp.contract.eomer_table import level_of, monthly, read_forecast_table

PLAIN = b"item_id,timestamp,mean,0.1,0.9\nA,2026-01-01,10,8,12\nA,2026-02-01,11,8.5,13\nB,2026-01-01,1,0,2\n"


def test_series_steps_and_quantiles_are_read() -> None:
    table = read_forecast_table(PLAIN)

    assert [one.item_id for one in table.series] == ["A", "B"]
    assert table.levels == (0.1, 0.9)
    assert [(one.timestamp, one.forecast) for one in table.series[0].steps] == [("2026-01-01", 10), ("2026-02-01", 11)]
    assert table.series[0].steps[1].quantiles == {0.1: 8.5, 0.9: 13.0}
    assert (table.left_out, table.conflicting) == (0, 0)


@pytest.mark.parametrize(
    ("header", "given"),
    [
        ("item_id,timestamp,mean,0.1,0.9", ()),
        ("unique_id,ds,target,0.10,.9", ()),
        ("SKU,Day,Sales,q0.1,q0.9", ("sku", "day", "sales")),
        ("SKU,Day,Sales,p10,90%", ()),
        ("shop,when,wieviel,0.1,0.9", ()),
        (",item_id,timestamp,mean,0.1", None),
    ],
)
def test_columns_are_found_by_what_they_are_called_or_hold(header: str, given: tuple[str, ...] | None) -> None:
    rows = "A,2026-01-01,10,8,12" if given is not None else "0,A,2026-01-01,10,8"

    table = read_forecast_table(f"{header}\n{rows}\n".encode(), *(given or ()))

    assert table.series[0].item_id == "A"
    assert table.series[0].steps[0].forecast == 10
    assert table.series[0].steps[0].quantiles[0.1] == 8


def test_a_table_of_one_series_needs_no_id() -> None:
    table = read_forecast_table(b"timestamp,mean\n2026-01-01,1\n2026-01-02,2\n")

    assert (table.series[0].item_id, len(table.series[0].steps)) == ("", 2)


def test_without_a_point_the_median_is_the_forecast() -> None:
    table = read_forecast_table(b"item_id,timestamp,0.4,0.6\nA,2026-01-01,1,3\nA,2026-01-02,,3\n")

    assert [one.forecast for one in table.series[0].steps] == [2.0]
    assert table.left_out == 1


def test_byte_order_mark_crlf_quotes_and_blank_lines_are_no_matter() -> None:
    text = '\ufeff"item_id","timestamp","mean"\r\n"A, ""big""\nstore","2026-01-01T00:00:00","1e3"\r\n\r\n'

    table = read_forecast_table(text.encode())

    assert table.series[0].item_id == 'A, "big"\nstore'
    assert table.series[0].steps[0].timestamp == "2026-01-01"
    assert table.series[0].steps[0].forecast == 1000


@pytest.mark.parametrize("cell", ["", "NaN", "nan", "inf", "-inf", "null", "1e999", "1_000", "ten"])
def test_a_row_without_a_number_is_left_out_and_counted(cell: str) -> None:
    table = read_forecast_table(f"item_id,timestamp,mean\nA,2026-01-01,{cell}\nA,2026-01-02,2\n".encode())

    assert [one.timestamp for one in table.series[0].steps] == ["2026-01-02"]
    assert table.left_out == 1


def test_a_row_that_comes_twice_counts_once_and_of_two_that_differ_the_last() -> None:
    table = read_forecast_table(
        b"item_id,timestamp,mean\nA,2026-01-01,1\nA,2026-01-01,1\nA,2026-01-02,1\nA,2026-01-02,5\n"
    )

    assert [one.forecast for one in table.series[0].steps] == [1, 5]
    assert table.conflicting == 1


def test_rows_are_put_into_the_order_of_time() -> None:
    table = read_forecast_table(b"item_id,timestamp,mean\nA,2026-03-01,3\nB,2026-01-01,9\nA,2026-01-01,1\n")

    assert [one.forecast for one in table.series[0].steps] == [1, 3]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\n",
        b"item_id,timestamp,mean\n",
        b"item_id,mean\nA,1\n",
        b"item_id,timestamp\nA,2026-01-01\n",
        b"<html><body>502</body></html>",
        b'{"error": "no"}',
        b"\xff\xfei\x00t\x00",
        b"item_id,timestamp,mean\nA,yesterday,1\n",
        b'item_id,timestamp,mean\nA,2026-01-01,"' + b"x" * 200_000 + b'"\n',
        b",".join(b"c%d" % number for number in range(500)) + b"\n",
    ],
)
def test_what_is_no_table_is_said_to_be_none(content: bytes) -> None:
    with pytest.raises(ArtifactError, match=r"forecast\.csv"):
        read_forecast_table(content)


@pytest.mark.parametrize("bound", ["MOST_ROWS", "MOST_SERIES", "MAX_TABLE_BYTES"])
def test_a_table_beyond_the_bounds_is_given_up(bound: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eomer_table, bound, 1)

    with pytest.raises(ArtifactError, match="more than"):
        read_forecast_table(PLAIN)


def test_five_hundred_series_are_read_from_a_file_of_which_little_is_in_memory_at_once() -> None:
    class Rows(io.RawIOBase):
        """Rows made as they are read; nobody asks for all of them at once."""

        def __init__(self) -> None:
            self.rows = (f"s{row // 24},2026-01-01 {row % 24:02d}:00,{row},1,2\n".encode() for row in range(500 * 24))
            self.begun = False

        def readline(self, size: int | None = -1) -> bytes:
            if not self.begun:
                self.begun = True
                return b"item_id,timestamp,mean,0.1,0.9\n"
            return next(self.rows, b"")

    table = read_forecast_table(Rows())  # all that is read of a file is its lines

    assert len(table.series) == 500
    assert {len(one.steps) for one in table.series} == {24}


@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("0.1", 0.1),
        (".05", 0.05),
        ("0.950", 0.95),
        ("q0.5", 0.5),
        ("P90", 0.9),
        ("97.5%", 0.975),
        ("quantile_0.25", 0.25),
    ],
)
def test_a_column_is_named_by_its_level(name: str, level: float) -> None:
    assert level_of(name) == level


@pytest.mark.parametrize("name", ["0", "1", "1.0", "1.5", "mean", "10", "0.1.2", "p100", "q", "-0.1", "", "٠.١"])
def test_other_names_are_no_levels(name: str) -> None:
    assert level_of(name) is None


def test_months_become_the_common_forecast() -> None:
    forecast = monthly(read_forecast_table(PLAIN).series[0])

    assert forecast is not None
    assert [one.month for one in forecast.months] == ["2026-01", "2026-02"]
    assert forecast.months[0].quantiles == {0.1: 8.0, 0.9: 12.0}


def test_days_do_not_become_months() -> None:
    daily = read_forecast_table(b"timestamp,mean\n2026-01-01,1\n2026-01-02,1\n").series[0]

    assert monthly(daily) is None


numbers = st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: round(value, 4))
ids = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp", "Zs"]), min_size=1, max_size=8)


@given(
    st.dictionaries(ids, st.lists(numbers, min_size=1, max_size=5), min_size=1, max_size=5),
    st.sampled_from(["\r\n", "\n"]),
)
def test_what_is_written_is_read(series: dict[str, list[float]], line_end: str) -> None:
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator=line_end)
    rows.writerow(["item_id", "timestamp", "mean", "0.5"])
    for name, values in series.items():
        for step, value in enumerate(values):
            rows.writerow([name, (datetime(2026, 1, 1) + timedelta(days=step)).date(), value, value])

    table = read_forecast_table(text.getvalue().encode())

    assert {one.item_id: [step.forecast for step in one.steps] for one in table.series} == series
    assert (table.left_out, table.conflicting) == (0, 0)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_a_table_or_an_artifact_error(content: bytes) -> None:
    try:
        table = read_forecast_table(b"item_id,timestamp,mean,0.1\n" + content)
    except ArtifactError:
        return
    assert all(math.isfinite(step.forecast) for one in table.series for step in one.steps)
