"""The models: which suit a series, how they are carried forward, and what becomes of one that fails."""

from collections.abc import Callable
from typing import NoReturn

import numpy as np
import pytest

from sybilion_mcp.engine.models import (
    FittedModels,
    Floats,
    autoregression,
    fit,
    forecast,
    is_intermittent,
    last_value,
    seasonal_autoregression,
    seasonal_naive,
    seasonal_share,
    takes_log,
    unit_of,
)

from .made_up import assert_sound, driven, run, seasonal, walk

INTERMITTENT = [0.0, 0.0, 4.0, 0.0, 6.0, 0.0] * 8


def raises(*_: object, **__: object) -> NoReturn:
    raise ValueError("no forecast today")


def says(make: Callable[[int], object]) -> Callable[..., dict[str, object]]:
    """A model's `forward` that answers what `make` makes of the horizon."""
    return lambda *_, h, **__: {"mean": make(h)}


NONSENSE: dict[str, Callable[[int], object]] = {
    "NaN": lambda h: np.full(h, np.nan),
    "one infinity": lambda h: np.array([1.0] * (h - 1) + [np.inf]),
    "far away": lambda h: np.full(h, -1e9),
    "a month too few": lambda h: np.zeros(h - 1),
    "nothing": lambda _: np.empty(0),
    "a single number": lambda _: 0.0,
    "no numbers": lambda h: ["?"] * h,
    "None": lambda _: None,
}


class TestFailures:
    """A model that fails is left out and named, and the others go on."""

    @pytest.mark.parametrize("step", ["fit", "forward"])
    def test_one_that_raises(self, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
        monkeypatch.setattr(f"statsforecast.models.AutoCES.{step}", raises)

        artifacts = run(seasonal(), backtest=True)

        assert_sound(artifacts)
        info = artifacts["forecast.json"]["pipeline_info"]
        assert info["models_left_out"] == ["AutoCES"]
        assert "AutoCES" not in info["models"]
        assert len(info["models"]) > 2

    @pytest.mark.parametrize("answer", NONSENSE)
    def test_one_that_answers_nonsense(self, monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
        monkeypatch.setattr("statsforecast.models.AutoCES.forward", says(NONSENSE[answer]))

        artifacts = run(value - 35 for value in walk(48))  # about 64: zero in the logarithm of its unit

        assert_sound(artifacts)
        assert artifacts["forecast.json"]["pipeline_info"]["models_left_out"] == ["AutoCES"]

    def test_one_that_fails_on_what_drivers_leave(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("statsforecast.models.AutoCES.forward", raises)
        target, aux, _ = driven(4, 3, decoys=0, count=72)

        info = run(target, aux_timeseries=aux)["forecast.json"]["pipeline_info"]

        assert info["drivers_in_forecast"] is True
        assert info["models_left_out"] == ["AutoCES"]

    def test_one_without_a_fit_of_its_own(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("statsforecast.models.CrostonSBA.forecast", raises)

        info = run(INTERMITTENT)["forecast.json"]["pipeline_info"]

        assert info["models_left_out"] == ["CrostonSBA"]

    def test_one_that_fails_lately_only(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from statsforecast.models import AutoCES

        usual = AutoCES.forward
        monkeypatch.setattr(AutoCES, "forward", lambda self, y, h: raises() if len(y) == 48 else usual(self, y=y, h=h))

        artifacts = run(walk(48), backtest=True)

        assert_sound(artifacts)
        assert artifacts["forecast.json"]["pipeline_info"]["models_left_out"] == ["AutoCES"]

    def test_when_all_fail_the_last_value_stands(self) -> None:
        history = np.array(walk(40))
        fitted = FittedModels(0, 1.0, {"one": raises, "two": lambda *_: np.full(3, np.nan)}, ("three",))

        members = forecast(fitted, history, 3)

        assert {name: list(values) for name, values in members.values.items()} == {"LastValue": [history[-1]] * 3}
        assert set(members.left_out) == {"one", "two", "three"}


class TestSuited:
    def test_sporadic_demand_gets_models_of_its_own(self) -> None:
        assert "CrostonSBA" in fit(np.array(INTERMITTENT)).models
        assert "CrostonSBA" not in fit(np.array(seasonal())).models

    def test_a_constant_has_one_model(self) -> None:
        assert list(fit(np.full(60, 7.0)).models) == ["LastValue"]

    def test_a_short_series_gets_no_season_of_statsforecast(self) -> None:
        assert "AutoCES" not in fit(np.array(seasonal(24))).models
        assert "AutoCES" in fit(np.array(seasonal(48))).models

    def test_every_model_says_something_of_an_ordinary_series(self) -> None:
        history = np.array(seasonal(48))
        fitted = fit(history)

        members = forecast(fitted, history, 12)

        assert members.left_out == ()
        assert set(members.values) == set(fitted.models)
        assert all(np.all(np.isfinite(one)) and len(one) == 12 for one in members.values.values())


class TestCarriedForward:
    def test_models_go_on_from_later_months_without_a_new_fit(self) -> None:
        values = np.array(seasonal(72))
        later = np.concatenate([values[:60], values[60:] + 500])

        members = forecast(fit(values[:48]), later, 3)

        assert np.median(list(members.values.values()), axis=0) == pytest.approx(np.full(3, later[-1]), abs=100)

    def test_the_unit_does_not_matter(self) -> None:
        values = np.array(seasonal(48))

        plain, other = (forecast(fit(one), one, 6).values for one in (values, values * 2.0**40))

        for name, one in plain.items():
            assert other[name] / 2.0**40 == pytest.approx(one, rel=1e-9)


class TestAutoregressions:
    def test_a_season_goes_on(self) -> None:
        wave = 50 + 10 * np.sin(np.arange(84) * np.pi / 6)

        values = seasonal_autoregression(wave[:72])(wave[:72], 12)

        assert values == pytest.approx(wave[72:], abs=2.0)

    def test_changes_that_turn_around_are_taken_back(self) -> None:
        history = 100 + np.resize([0.0, 1.0], 60)

        values = autoregression(history)(history, 2)

        assert values[0] < history[-1]

    @pytest.mark.parametrize("model", [autoregression, seasonal_autoregression])
    def test_pure_chance_is_hardly_repeated(self, model: Callable[[Floats], Callable[[Floats, int], Floats]]) -> None:
        history = np.array(walk(120, 3))

        values = model(history)(history, 6)

        assert np.all(np.abs(values - history[-1]) < np.std(np.diff(history)))


class TestNaive:
    def test_they_repeat_the_last_value_and_the_last_year(self) -> None:
        history = np.arange(30.0)

        assert list(last_value(history, 3)) == [29.0] * 3
        assert list(seasonal_naive(history, 14)) == [*history[-12:], *history[-12:-10]]
        assert list(seasonal_naive(history[:5], 2)) == [4.0] * 2


class TestTraits:
    def test_intermittent(self) -> None:
        assert is_intermittent(np.array(INTERMITTENT))
        assert not is_intermittent(np.zeros(40))
        assert not is_intermittent(np.ones(40))

    def test_ratio_scale(self) -> None:
        assert takes_log(np.array(seasonal()))
        assert not takes_log(np.array([1.0, 0.0, 2.0]))
        assert not takes_log(np.array([1.0, -1.0]))
        assert not takes_log(np.array([1e-200, 1.0]))

    def test_season_beyond_chance(self) -> None:
        assert seasonal_share(np.resize(np.arange(12.0), 72)) == pytest.approx(1.0)
        assert seasonal_share(np.random.default_rng(1).normal(size=240)) < 0.1
        assert seasonal_share(np.zeros(72)) == seasonal_share(np.arange(12.0)) == 0.0

    @pytest.mark.parametrize("largest", [1.7e308, 1e300, 5.0, 1.0, 1e-300, 5e-324])
    def test_the_unit_is_a_power_of_two_near_the_largest(self, largest: float) -> None:
        unit = unit_of(np.array([np.nan, -largest, largest / 3]))

        assert 1.0 <= largest / unit < 2.0
        assert np.frexp(unit)[0] == 0.5

    def test_nothing_but_zeros_has_unit_one(self) -> None:
        assert unit_of(np.zeros(3)) == 1.0
