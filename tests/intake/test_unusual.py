"""Values that stand out alone are told, as a warning that changes nothing; what real series do is not."""

import csv
import json
import math
import random
import re
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sybilion_mcp.contract.problem import Problem
from sybilion_mcp.intake.series import points_of, to_monthly
from sybilion_mcp.intake.unusual import unusual_values
from tests.conftest import good_series

TODAY = date(2026, 11, 22)
TYPO = "2023-07-01"


def unusual(points: Mapping[str, object]) -> Problem | None:
    found = to_monthly(points_of(points), "none", "none", TODAY)
    return next((one for one in found.problems if one.code == "unusual_value"), None)


def message(points: Mapping[str, object]) -> str:
    found = unusual(points)
    assert found is not None
    return found.message


@pytest.mark.parametrize(
    ("factor", "told"),
    [
        (10, "is about 10 times its neighbours; a slipped decimal point?"),
        (100, "is about 100 times its neighbours; a slipped decimal point?"),
        (1000, "is about 1000 times its neighbours; a slipped decimal point?"),
        (0.1, "is about a tenth of its neighbours; a slipped decimal point?"),
        (0.01, "is about a hundredth of its neighbours; a slipped decimal point?"),
        (0.001, "is about a thousandth of its neighbours; a slipped decimal point?"),
        (5, "times what its neighbours suggest; is that right?"),
        (1e9, "is far more than what its neighbours suggest; is that right?"),
    ],
)
def test_a_value_far_from_its_neighbours_is_told_and_kept(factor: float, told: str) -> None:
    series = good_series()
    series[TYPO] *= factor

    found = to_monthly(points_of(series), "none", "none", TODAY)

    (problem,) = found.problems
    assert (problem.code, problem.severity, problem.fix, problem.months) == (
        "unusual_value",
        "warning",
        None,
        ("2023-07",),
    )
    assert problem.field == f'timeseries["{TYPO}"]'
    assert problem.message.startswith(f"2023-07 ({series[TYPO]:.10g}) is ")
    assert problem.message.endswith(told)
    assert found.points == series


@pytest.mark.parametrize("place", [0, 1, -2, -1])
def test_also_at_the_ends(place: int) -> None:
    series = good_series()
    month = list(series)[place]
    series[month] *= 10

    assert message(series).startswith(f"{month[:7]} (")


def test_five_are_named_and_the_rest_counted() -> None:
    series = good_series()
    for month in list(series)[4::17]:
        series[month] *= 10

    said = message(series)

    assert said.count("about 10 times") == 5
    assert said.endswith("; 3 more values stand out so; a slipped decimal point?")


def test_a_slip_in_a_season_is_told_and_the_season_is_not() -> None:
    """Every December is six times the other months, and one of them sixty times."""
    series = {month: value * (6 if month[5:7] == "12" else 1) for month, value in good_series().items()}
    assert unusual(series) is None

    series["2022-12-01"] *= 10

    assert message(series).startswith("2022-12 (")
    assert "about 10 times" in message(series)


@pytest.mark.parametrize(
    "change",
    [
        lambda at: 10 if at > 60 else 1,
        lambda at: 10 if 60 <= at < 63 else 1,
        lambda at: 1.3**at,
        lambda at: 10 if at % 2 else 1,
        lambda at: 1 if at % 3 == 0 else 0,
        lambda at: 2 if at == 60 else 1,
        lambda at: 3 if at in (40, 60) else 1,
        lambda at: 0 if at % 12 == 7 else 1,
        lambda at: -1 if at in (59, 60) else 1,
        lambda at: 0.001 if at % 12 == 7 and at != 55 else 0 if at == 55 else 1,
    ],
    ids=[
        *("step", "peak of months", "growth", "alternating", "mostly zero", "within what happens", "two peaks"),
        *("closed every August", "two months below zero", "next to nothing every August"),
    ],
)
def test_what_series_do_is_not_told(change: Callable[[int], float]) -> None:
    assert unusual({month: value * change(at) for at, (month, value) in enumerate(good_series().items())}) is None


def steady(noise: float = 0.05) -> dict[str, float]:
    """72 months around 1,100 with a mild season."""
    rng = random.Random(7)
    return {
        month: round(1100 * (1 + 0.1 * math.sin(at / 12 * 2 * math.pi)) * (1 + rng.gauss(0, noise)), 1)
        for at, month in enumerate(good_series(72))
    }


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (-5.0, r"2023-07 \(-5\) is negative among values of about 1[01]\d\d; is that right\?"),
        (0.0, r"2023-07 \(0\) is zero among values of about 1[01]\d\d; is that right\?"),
        (-1100.0, r"2023-07 \(-1100\) is negative among values of about 1[01]\d\d; is that right\?"),
        (4000.0, r"2023-07 \(4000\) is 3\.\d times what its neighbours suggest; is that right\?"),
        (3300.0, r"2023-07 \(3300\) is (2|3)(\.\d)? times what its neighbours suggest; is that right\?"),
    ],
)
@pytest.mark.parametrize("noise", [0.0, 0.05, 0.1])
def test_a_lone_value_that_does_not_belong_to_a_steady_series_is_told(value: float, told: str, noise: float) -> None:
    series = steady(noise)
    assert unusual(series) is None

    series[TYPO] = value

    assert re.fullmatch(told, message(series))


def test_several_of_them_are_told_together() -> None:
    series = steady() | {"2021-03-01": -5.0, "2022-06-01": 0.0, TYPO: 4000.0, "2024-11-01": -1100.0}

    found = unusual(series)

    assert found is not None
    assert found.months == ("2021-03", "2022-06", "2023-07", "2024-11")


def _poisson(rng: random.Random, mean: float) -> float:
    chance, count = rng.random(), 0
    while chance > math.exp(-mean):
        chance, count = chance * rng.random(), count + 1
    return float(count)


@pytest.mark.parametrize(
    "made",
    [
        lambda rng, _: rng.choice([100.0, 100.0, 100.0, 200.0, 300.0]),
        lambda rng, _: rng.choice([0.0, 0.0, 0.0, 100.0, 300.0]),
        lambda rng, _: _poisson(rng, 3),
        lambda rng, at: 1100 * (1 + 0.8 * math.sin(at / 12 * 2 * math.pi)) * (1 + rng.gauss(0, 0.05)),
        lambda rng, at: 1100 * 1.05**at * (1 + rng.gauss(0, 0.1)),
        lambda rng, at: 1100 * (3 if at % 12 == 3 + (at // 12) % 2 else 1) * (1 + rng.gauss(0, 0.05)),
        lambda rng, at: 1100 * (2.5 if at > 40 else 1) * (1 + rng.gauss(0, 0.05)),
        lambda rng, at: 1100 * math.exp(0.3 * rng.gauss(0, 1)),
        lambda rng, at: rng.gauss(20, 30),
    ],
    ids=["lots", "intermittent", "few", "season", "trend", "a peak that moves", "a jump", "noise", "both signs"],
)
def test_series_of_every_kind_raise_hardly_an_alarm(made: Callable[[random.Random, int], float]) -> None:
    runs = []
    for seed in range(40):
        rng = random.Random(seed)
        runs.append(unusual({month: made(rng, at) for at, month in enumerate(good_series(72))}))
    assert sum(found is not None for found in runs) <= 2


def test_a_first_december_is_not_told_like_a_slip() -> None:
    series = good_series(18)
    series["2025-12-01"] *= 5
    assert unusual(series) is None


def test_a_few_values_say_nothing() -> None:
    assert unusual({**good_series(8), "2026-05-01": 1e6}) is None


def test_among_negative_values_only_what_dwarfs_all_others_is_told() -> None:
    series = {month: round(value - 108, 2) for month, value in good_series().items()}
    assert unusual(series) is None

    series[TYPO] = -400.0

    assert message(series).startswith("2023-07 (-400) is ")
    assert message(series).endswith("times the next largest in size; is that right?")


def test_a_month_that_the_dates_do_not_cover_is_told_once() -> None:
    days = {
        date.fromordinal(one).isoformat(): 10.0
        for one in range(date(2025, 1, 1).toordinal(), date(2026, 10, 3).toordinal())
    }
    found = to_monthly(points_of(days), "sum", "none", TODAY)
    assert [one.code for one in found.problems] == ["partial_month"]


@pytest.mark.parametrize("written", ["1234567.5", [1, 2]], ids=["text", "a list"])
def test_a_value_that_is_told_already_is_not_told_again(written: object) -> None:
    assert unusual({**good_series(), TYPO: written}) is None


def test_a_month_given_twice_is_not_told_again() -> None:
    assert unusual({**good_series(), "2023-07-02": 1e9}) is None


def test_real_prices_and_series_of_jobs_raise_no_alarm(shared_data: Path) -> None:
    with (shared_data / "pinksheet" / "monthly_prices.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    series: dict[str, dict[str, float]] = {
        name: {row["month"][:7] + "-01": float(row[name]) for row in rows if row[name]}
        for name in rows[0]
        if name != "month"
    }
    for file_of_job in (shared_data / "sybilion-jobs").glob("*/input.json"):
        read = json.loads(file_of_job.read_text())
        series[file_of_job.parent.name] = read.get("data", read)["timeseries"]
    assert len(series) > 71
    assert [name for name, points in series.items() if unusual(points)] == []


@given(st.dictionaries(st.integers(0, 400), st.floats(allow_nan=False, allow_infinity=False), max_size=60))
def test_any_numbers_can_be_judged(numbers: dict[int, float]) -> None:
    for one in unusual_values(numbers):
        assert numbers[one.month] == one.value
        assert math.isfinite(one.ratio) or one.in_size
