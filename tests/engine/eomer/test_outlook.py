"""One series of any frequency: forecasts worth having, bands that hold, and never anything impossible."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sybilion_mcp.engine.eomer.outlook import at_levels, explained, look, past_origins
from sybilion_mcp.engine.eomer.smoothing import smoothed

from .made_up import SHAPES, values

SEASONS = {"h": (24, 168), "D": (7, 365), "W-MON": (52,), "MS": (12,)}
LEVELS = (0.05, 0.1, 0.5, 0.9, 0.95)


@pytest.mark.parametrize("alias", SHAPES)
def test_it_beats_the_naive_forecasts_and_its_bands_hold(alias: str) -> None:
    _, count, horizon = SHAPES[alias]
    errors, naive, last, held = [], [], [], []
    for seed in range(8):
        whole = values(alias, count + horizon, seed) / 200
        past, actual = whole[:count], whole[count:]
        outlook = look(past, horizon, SEASONS[alias], 60)
        table = outlook.table((0.1, 0.9))
        errors.append(np.mean(np.abs(outlook.forecast - actual)))
        naive.append(np.mean(np.abs(np.resize(past[-SEASONS[alias][0] :], horizon) - actual)))
        last.append(np.mean(np.abs(past[-1] - actual)))
        held.append(np.mean((table[:, 0] <= actual) & (actual <= table[:, 1])))

    assert np.mean(errors) < 0.9 * min(np.mean(naive), np.mean(last))
    assert 0.65 <= np.mean(held) <= 0.98


def test_a_walk_is_left_where_it_is() -> None:
    ratios = []
    for seed in range(10):
        walk = np.cumsum(np.random.default_rng(seed).normal(0, 1, 200)) / 30 + 5
        outlook = look(walk[:180], 12, (7, 365), 60)
        actual = walk[180:192]
        ratios.append(np.mean(np.abs(outlook.forecast - actual)) / np.mean(np.abs(walk[179] - actual)))

    assert np.median(ratios) < 1.15


def test_no_past_forecast_knows_what_came_after_it() -> None:
    whole = values("D", 200) / 50
    changed = np.concatenate([whole[:170], whole[170:] * 1.5])

    before = {one.origin: one.values for one in look(whole, 7, (7,), 60).past if one.origin <= 170}
    after = {one.origin: one.values for one in look(changed, 7, (7,), 60).past if one.origin <= 170}

    assert before.keys() == after.keys()
    assert len(before) > 10
    for origin, said in before.items():
        np.testing.assert_allclose(said, after[origin], rtol=1e-6)


def test_the_same_series_gives_the_same_bits() -> None:
    one, other = (look(values("h", 400) / 100, 24, (24, 168), 60) for _ in range(2))

    assert np.array_equal(one.forecast, other.forecast)
    assert np.array_equal(one.table(LEVELS), other.table(LEVELS))


def test_what_never_was_below_zero_is_not_forecast_there() -> None:
    falling = np.maximum(1.0 - np.arange(60) / 62, 0.0) + np.random.default_rng(1).uniform(0, 0.01, 60)

    outlook = look(falling, 30, (7,), 60)

    assert np.min(outlook.forecast) >= 0
    assert np.min(outlook.table(LEVELS)) >= 0


@pytest.mark.parametrize(
    "history",
    [
        np.array([1.0, 1.5]),
        np.array([1.0, 0.5, 1.0]),
        np.ones(30),
        np.zeros(30),
        np.array([0.0] * 29 + [1.0]),
        np.tile([0.0, 0.0, 0.0, 1.0], 20),
        np.tile([0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.8], 20),
        np.concatenate([np.ones(40), -np.ones(40)]),
        np.linspace(1e-9, 1, 50),
        np.exp(np.linspace(0, 20, 60)) / 5e8,
    ],
    ids=["two", "three", "flat", "nothing", "once", "rare", "weekends", "a step", "a line", "growth"],
)
@pytest.mark.parametrize("horizon", [1, 40])
def test_odd_series_have_finite_forecasts_and_bands_in_order(history: np.ndarray, horizon: int) -> None:
    outlook = look(history, horizon, (7, 365), 60)

    table = outlook.table(LEVELS)

    assert outlook.forecast.shape == (horizon,)
    assert np.all(np.isfinite(outlook.forecast))
    assert np.all(np.isfinite(table))
    assert np.all(np.diff(table, axis=1) >= 0)


def test_demand_on_weekends_only_stays_there() -> None:
    history = np.tile([0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.8], 20)

    outlook = look(history, 7, (7, 365), 60)

    assert np.max(outlook.forecast[:5]) < 0.1 < 0.5 < np.min(outlook.forecast[5:])


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.floats(-1, 1, allow_nan=False).map(lambda x: round(x, 3)), min_size=2, max_size=70),
    st.integers(1, 30),
    st.sampled_from([(), (7, 365), (12,), (24, 168)]),
)
def test_any_series_has_a_forecast(history: list[float], horizon: int, seasons: tuple[int, ...]) -> None:
    outlook = look(np.array(history), horizon, seasons, 24)

    table = outlook.table(LEVELS)

    assert np.all(np.isfinite(table))
    assert np.all(np.diff(table, axis=1) >= 0)
    assert abs(sum(outlook.ensemble.weights.values()) - 1) < 1e-9


@given(st.integers(2, 3000), st.integers(1, 200), st.sampled_from([(), (7,), (24, 168), (52,)]), st.integers(2, 60))
def test_looks_back_are_few_rising_and_in_the_past(
    length: int, horizon: int, seasons: tuple[int, ...], looks: int
) -> None:
    origins = past_origins(length, horizon, seasons, looks)

    assert len(origins) <= looks
    assert origins == sorted(set(origins))
    assert all(0 < origin < length for origin in origins)


def test_other_levels_lie_between_and_beyond_the_engines_own() -> None:
    from sybilion_mcp.engine.bands import LEVELS as OWN
    from sybilion_mcp.engine.bands import NORMAL

    table = np.array([NORMAL])

    found = at_levels(table, (0.01, 0.025, 0.1, 0.333, 0.5, 0.975))

    np.testing.assert_allclose(found[0], [-2.326, -1.96, -1.2816, -0.4316, 0, 1.96], atol=1e-3)
    np.testing.assert_allclose(at_levels(table, OWN), table)


def test_smoothing_follows_a_season_and_a_trend_exactly_where_there_is_nothing_else() -> None:
    season = np.array([0.0, 3.0, -1.0, -2.0])
    history = 10 + np.resize(season, 80)

    found = smoothed(history, 4, [79, 80], 8)

    np.testing.assert_allclose(found[80], 10 + np.resize(season, 8), atol=1e-6)
    np.testing.assert_allclose(found[79], 10 + np.resize(np.roll(season, 1), 8), atol=1e-6)


def test_noise_is_not_explained_by_its_groups() -> None:
    noise = np.random.default_rng(0).normal(0, 1, 700)

    assert explained(noise, np.arange(700) % 7) < 0.03
    assert explained(np.resize([1.0, 2.0, 3.0], 99), np.arange(99) % 3) > 0.999
    assert explained(np.ones(10), np.arange(10) % 2) == 0


def test_many_short_series_take_little_time() -> None:
    history = [values("D", 60, seed) / 60 for seed in range(20)]
    look(history[0], 14, (7, 365), 24)

    begun = time.process_time()
    for one in history:
        look(one, 14, (7, 365), 24).table(LEVELS)

    assert (time.process_time() - begun) / len(history) < 0.12  # 500 within a minute
