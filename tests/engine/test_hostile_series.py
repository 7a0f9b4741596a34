"""Series that no model likes: sound artifacts all the same, whatever else is asked for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sybilion_mcp.engine.candidate import Candidate

from .made_up import assert_sound, candidate, quantile_rows, run, seasonal, series, walk

COUNT = 45
SERIES: dict[str, list[float]] = {
    "constant": [7.0] * COUNT,
    "zero": [0.0] * COUNT,
    "one spike": [0.0] * (COUNT - 1) + [9.0],
    "one spike long ago": [3.0] * 10 + [900.0] + [3.0] * (COUNT - 11),
    "five values repeated": [1.0, 5.0, 2.0, 8.0, 3.0] * 9,
    "alternating sign": [1.0, -1.0] * 22,
    "1e-300": [value * 1e-302 for value in seasonal(COUNT)],
    "the smallest of all": [5e-324 * (index % 3) for index in range(COUNT)],
    "1e300": [value * 1e298 for value in seasonal(COUNT)],
    "1.7e308, both signs": [1.7e308, -1.7e308] * 22,
    "falls from 1.7e308": [1.7e308 / (index + 1) for index in range(COUNT)],
    "all magnitudes": [10.0 ** (12 * index - 300) for index in range(COUNT)],
    "tiny, then huge": [1e-300] * 22 + [1e300] * 22,
    "negative": [-value for value in seasonal(COUNT)],
    "intermittent": [0.0, 0.0, 4.0, 0.0, 6.0] * 9,
    "trailing zeros": [*seasonal(COUNT - 12), *[0.0] * 12],
    "leading zeros": [*[0.0] * 14, *seasonal(COUNT - 14)],
    "step": [1.0] * (COUNT - 10) + [1e6] * 10,
    "a step at the end": [4.0] * (COUNT - 3) + [9.0] * 3,
    "40 points": seasonal(40),
    "13 points": seasonal(13),
    "integers": [float(index) for index in range(COUNT)],
    "explodes": [float(1.5**index) for index in range(COUNT)],
}


def folder(values: list[float]) -> list[Candidate]:
    """Series as odd as the target, and the target itself two months ahead."""
    ahead = series([*values[2:], *values[:2]])
    odd = [candidate(name, series(SERIES[name])) for name in ("constant", "1.7e308, both signs", "one spike")]
    return [*odd, candidate("two months ahead", ahead)]


@pytest.mark.parametrize("name", SERIES)
def test_alone(name: str) -> None:
    artifacts = run(SERIES[name], backtest=True)

    assert_sound(artifacts)
    assert artifacts["external_signals.json"] == {}


@pytest.mark.parametrize("name", SERIES)
def test_with_drivers(name: str) -> None:
    values = SERIES[name]
    aux = [series(walk(len(values))), series([0.0] * len(values))]

    artifacts = run(values, folder(values), aux_timeseries=aux, soft_horizon=4, hard_horizon=2, recency_factor=1.0)

    assert_sound(artifacts)
    assert artifacts["forecast.json"]["forecast_horizon"] in (2, 3, 4)


@pytest.mark.parametrize("name", ["falls from 1.7e308"])
def test_with_everything(name: str) -> None:
    artifacts = run(SERIES[name], folder(SERIES[name]), backtest=True, run_baseline=True)

    assert_sound(artifacts)
    assert "12m" in artifacts["backtest_metrics.json"]


@pytest.mark.parametrize("name", ["1.7e308, both signs", "trailing zeros", "all magnitudes"])
@pytest.mark.parametrize("changes", [{"strictly_positive": True}, {"optimization_budget": "high"}], ids=str)
def test_with_other_options(name: str, changes: dict[str, object]) -> None:
    assert_sound(run(SERIES[name], **changes))


def test_1200_points() -> None:
    artifacts = run(seasonal(1200), [candidate("long", series(walk(1200)))], soft_horizon=12)

    assert_sound(artifacts)
    assert artifacts["forecast.json"]["forecast_horizon"] == 12


@pytest.mark.parametrize("name", ["constant", "zero"])
def test_a_constant_stays_what_it_is(name: str) -> None:
    artifacts = run(SERIES[name], backtest=True)

    for table in (artifacts["forecast.json"], *artifacts["backtest_trajectories.json"]):
        assert {number for row in quantile_rows(table["forecast_series"]) for number in row} == {SERIES[name][0]}


@pytest.mark.parametrize("name", ["trailing zeros", "step", "a step at the end"])
def test_the_forecast_stays_among_what_was_seen(name: str) -> None:
    values = SERIES[name]
    spread = max(values) - min(values)

    points = [entry["forecast"] for entry in run(values)["forecast.json"]["forecast_series"].values()]

    assert min(values) - spread <= min(points) <= max(points) <= max(values) + spread
    assert np.all(np.isfinite(points))


@given(
    st.lists(
        st.one_of(
            st.floats(allow_nan=False, allow_infinity=False),
            st.floats(-1e3, 1e3),
            st.sampled_from([0.0, 0.0, 1.0, -0.0, 5e-324, 1.7976931348623157e308]),
        ),
        min_size=40,
        max_size=60,
    )
)
@settings(max_examples=8, deadline=None, derandomize=True)
def test_any_finite_numbers(values: list[float]) -> None:
    assert_sound(run(values))
