"""Time steps: read, inferred as pandas would, and counted with."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sybilion_mcp.contract.frequency import (
    Frequency,
    Irregular,
    grid_of,
    infer,
    parse_alias,
    read_timestamp,
    written,
)

ALIASES = ["MS", "ME", "QS", "QS-FEB", "QS-MAR", "QE", "QE-JAN", "QE-FEB", "YS", "YS-APR", "YE", "YE-JUN"]
ALIASES += ["2MS", "6ME", "B", "D", "h", "15min", "30min", "min", "s", "6h", "2W-MON"]
ALIASES += [f"W-{day}" for day in ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")]
LONG_AGO = datetime(2015, 5, 29)


def stamps_of(alias: str, count: int) -> list[datetime]:
    import pandas as pd

    return [stamp.to_pydatetime() for stamp in pd.date_range(LONG_AGO, periods=count, freq=alias)]


@pytest.mark.parametrize("alias", ALIASES)
@pytest.mark.parametrize("count", [8, 40])
def test_what_pandas_makes_is_inferred_and_goes_on_as_in_pandas(alias: str, count: int) -> None:
    stamps = stamps_of(alias, count + 5)

    found = infer(stamps[:count])

    assert isinstance(found, Frequency)
    assert found.alias == alias
    last = found.index(stamps[count - 1])
    assert last is not None
    assert [found.at(last + step) for step in range(1, 6)] == stamps[count:]


@pytest.mark.parametrize(
    ("labels", "alias"),
    [
        (["2024-01-01", "2024-02-01"], "MS"),
        (["2024-01-31", "2024-02-29"], "ME"),
        (["2024-01-01", "2024-04-01"], "QS"),
        (["2023-12-31", "2024-12-31"], "YE"),
        (["2024-01-01", "2024-01-02"], "D"),
        (["2024-01-01", "2024-01-08"], "W-MON"),
        (["2024-01-01 00:00", "2024-01-01 01:00"], "h"),
        (["2020", "2021", "2022"], "YS"),
        (["2024-01", "2024-02", "2024-03"], "MS"),
        (["2024-01-05", "2024-01-08", "2024-01-09", "2024-01-10", "2024-01-11"], "B"),
        (["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-05"], "D"),
    ],
)
def test_few_timestamps_are_enough_where_they_leave_no_doubt(labels: list[str], alias: str) -> None:
    stamps = [at for label in labels if (at := read_timestamp(label)) is not None]

    found = infer(stamps)

    assert isinstance(found, Frequency)
    assert found.alias == alias


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (["2024-07-15", "2024-08-15"], "ambiguous"),
        (["2024-01-01", "2024-01-11"], "ambiguous"),
        (["2024-01-01 00:00", "2024-01-01 00:07"], "ambiguous"),
        (["2024-01-15", "2024-02-15", "2024-03-15", "2024-04-15", "2024-05-15"], "irregular"),
        (["2024-01-01", "2024-01-04", "2024-01-09", "2024-01-11", "2024-02-20"], "irregular"),
    ],
)
def test_no_frequency_is_made_up(labels: list[str], reason: str) -> None:
    stamps = [at for label in labels if (at := read_timestamp(label)) is not None]

    assert infer(stamps) == Irregular(reason)


@pytest.mark.parametrize(
    ("old", "new"),
    [("H", "h"), ("T", "min"), ("M", "ME"), ("Q", "QE"), ("A-JUN", "YE-JUN"), ("AS", "YS"), ("15T", "15min")],
)
def test_aliases_of_older_pandas_are_known(old: str, new: str) -> None:
    assert parse_alias(old) == parse_alias(new) is not None


@pytest.mark.parametrize("alias", ["", "X", "monthly", "0D", "D-MON", "W-ABC", "2B", "1.5h", "🎉"])
def test_what_is_no_alias_is_none(alias: str) -> None:
    assert parse_alias(alias) is None


@pytest.mark.parametrize("alias", ALIASES)
def test_a_named_frequency_begins_with_the_first_timestamp(alias: str) -> None:
    stamps, read = stamps_of(alias, 5), parse_alias(alias)
    assert read is not None

    grid = grid_of(read, stamps[0])

    assert grid is not None
    assert [grid.index(at) is not None for at in stamps] == [True] * 5
    assert grid.alias == alias


@pytest.mark.parametrize(("alias", "label"), [("MS", "2024-01-02"), ("W-MON", "2024-01-02"), ("B", "2024-01-06")])
def test_a_named_frequency_must_hold_the_first_timestamp(alias: str, label: str) -> None:
    read, at = parse_alias(alias), read_timestamp(label)
    assert read is not None
    assert at is not None

    assert grid_of(read, at) is None


@given(st.datetimes(min_value=datetime(1000, 1, 1)))
def test_timestamps_are_read_as_they_are_written(at: datetime) -> None:
    assert read_timestamp(written(at)) == at


@given(st.text(max_size=40) | st.from_regex(r"[0-9TZ:+. -]{4,30}", fullmatch=True))
def test_any_text_is_a_timestamp_or_none(text: str) -> None:
    read = read_timestamp(text)

    assert read is None or read.tzinfo is None


@pytest.mark.parametrize(
    ("label", "utc"),
    [
        ("2024-03-01T12:00:00Z", datetime(2024, 3, 1, 12)),
        ("2024-03-01 12:00+02:00", datetime(2024, 3, 1, 10)),
        ("2024-03-01T00:00:00.000000000", datetime(2024, 3, 1)),
        ("2024", datetime(2024, 1, 1)),
    ],
)
def test_zones_lead_to_utc(label: str, utc: datetime) -> None:
    assert read_timestamp(label) == utc


@pytest.mark.parametrize(
    "label", ["", "0000-01-01", "2024-02-30", "20240101", "1.5", "2024-13", "9999-12-31T23:00-23:00"]
)
def test_what_is_no_timestamp_is_none(label: str) -> None:
    assert read_timestamp(label) is None


@given(
    st.sampled_from([3600, 900, 86_400, 604_800]),
    st.integers(5, 60),
    st.sets(st.integers(1, 58), max_size=2),
    st.datetimes(min_value=datetime(1980, 1, 1), max_value=datetime(2040, 1, 1)),
)
def test_a_few_missing_periods_hide_no_frequency(step: int, count: int, gone: set[int], start: datetime) -> None:
    begin = start.replace(microsecond=0)
    kept = [place for place in range(count) if place not in gone or place == count - 1]
    stamps = [begin + timedelta(seconds=step * place) for place in kept]

    found = infer(stamps)

    if isinstance(found, Frequency) and found.unit == "second":
        assert found.step % step == 0
        assert all(found.index(at) is not None for at in stamps)
