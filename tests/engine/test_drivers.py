"""The user's drivers: found when true, silent when not, chosen by the request, never from the future."""

from collections.abc import Sequence

import numpy as np
import pytest

from sybilion_mcp.engine.candidate import Candidate
from sybilion_mcp.engine.drivers import Lead, half_life_months, strongest

from .made_up import ALONE, DRIVEN, Data, candidate, driven, months, noise, run, seasonal, series, truth, walk

SEEDS = (1, 2)


def strongest_lag(driver: Data) -> int:
    """The lag of the strongest plain correlation."""
    correlations = {key: value for key, value in driver["pearson_correlation"].items() if key != "overall"}
    return int(max(correlations, key=lambda key: abs(correlations[key])).removeprefix("lag_"))


def heaviest_lag(driver: Data) -> int:
    """The lag that the forecast of the next month gives the greatest importance."""
    lags = driver["importance"]["horizon_1"]
    return int(float(max(lags, key=lags.__getitem__)))


def forecast(values: list[float], folder: Sequence[Candidate] = ()) -> Data:
    series: Data = run(values, folder)["forecast.json"]["forecast_series"]
    return series


def importance(driver: Data) -> float:
    value: float = driver["importance"]["overall"]["mean"]
    return value


class TestTruth:
    @pytest.mark.parametrize("seed", SEEDS)
    @pytest.mark.parametrize("kind", DRIVEN)
    def test_the_true_driver_comes_first_with_its_lag_and_sign(self, kind: str, seed: int) -> None:
        made = truth(kind, seed)

        found = run(made.target, made.candidates)["external_signals.json"]

        assert max(found, key=lambda one: importance(found[one])) == made.driver
        true = found[made.driver]
        assert (heaviest_lag(true), strongest_lag(true)) == (made.lag, made.lag)
        assert np.sign(true["direction"]["overall"]["mean"]) == made.sign
        assert np.sign(true["pearson_correlation"][f"lag_{made.lag}"]) == made.sign

    @pytest.mark.parametrize("kind", ALONE)
    def test_noise_has_no_driver(self, kind: str) -> None:
        made = noise(kind, 1, count=72)

        artifacts = run(made.target, made.candidates)

        assert artifacts["external_signals.json"] == {}
        assert artifacts["forecast.json"]["pipeline_info"]["drivers_in_forecast"] is False

    def test_noise_in_the_folder_leaves_the_forecast_alone(self) -> None:
        made = noise("walk", 3, count=60)

        assert forecast(made.target, made.candidates) == forecast(made.target)

    def test_a_true_driver_lowers_the_error_of_past_forecasts(self) -> None:
        values, aux, _ = driven(4, 3, decoys=1, count=66)

        metrics = run(values, aux_timeseries=aux, backtest=True, run_baseline=True)["backtest_metrics.json"]["12m"]

        assert metrics["metrics"]["MAE"] < 0.8 * metrics["baseline_metrics"]["MAE"]


class TestSignals:
    def test_the_shape_is_the_api_s(self) -> None:
        values, aux, _ = driven(7, 3, decoys=1, count=72)

        found = run(values, aux_timeseries=aux, soft_horizon=2)["external_signals.json"]

        assert list(found) == ["aux_0", "aux_1"]
        for name, driver in found.items():
            assert driver["driver_name"] == name
            for block in ("importance", "direction"):
                assert set(driver[block]) == {"horizon_1", "horizon_2", "overall"}
                assert set(driver[block]["overall"]) == {"mean", "min", "max"}
            assert set(driver["pearson_correlation"]) == {*(f"lag_{lag}" for lag in range(1, 13)), "overall"}

    def test_aux_series_are_kept_and_those_of_no_use_weigh_nothing(self) -> None:
        values, aux, place = driven(5, 2, decoys=3, count=72)

        found = run(values, aux_timeseries=aux)["external_signals.json"]

        weights = {name: importance(driver) for name, driver in found.items()}
        assert list(weights) == [f"aux_{number}" for number in range(4)]
        assert weights.pop(f"aux_{place}") > 50
        assert set(weights.values()) == {0.0}

    def test_without_a_true_driver_no_aux_series_is_listed(self) -> None:
        aux = [series(walk(60, seed)) for seed in (21, 22)]

        artifacts = run(walk(60), aux_timeseries=aux)

        assert artifacts["external_signals.json"] == {}

    def test_a_folder_s_series_goes_by_its_own_name(self) -> None:
        values, aux, _ = driven(6, 4, decoys=0, count=72)

        found = run(values, [candidate("copper", aux[0])])["external_signals.json"]

        assert {name: driver["driver_name"] for name, driver in found.items()} == {"copper": "The series copper"}

    @pytest.mark.parametrize(
        "values",
        [
            [5.0] * 72,
            [0.0] * 72,
            [1e300 * (-1) ** index for index in range(72)],
            [0.0] * 71 + [1e-300],
            [1.7e308 / (index + 1) for index in range(72)],
            [value * 1e-305 for value in walk(72, 9)],
        ],
        ids=["constant", "zero", "huge", "tiny spike", "falls from the largest", "tiny"],
    )
    def test_a_hostile_series_weighs_nothing_beside_a_true_one(self, values: list[float]) -> None:
        target, aux, _ = driven(5, 2, decoys=0, count=72)

        found = run(target, [candidate("odd", series(values))], aux_timeseries=aux)["external_signals.json"]

        assert list(found) == ["aux_0"]
        assert importance(found["aux_0"]) > 50

    @pytest.mark.parametrize("unit", [1e-300, 1e300])
    def test_the_unit_of_a_driver_does_not_matter(self, unit: float) -> None:
        target, aux, _ = driven(5, 2, decoys=0, count=72)
        scaled = {month: value * unit for month, value in aux[0].items()}

        plain, other = (run(target, [candidate("one", one)])["external_signals.json"] for one in (aux[0], scaled))

        assert importance(other["one"]) == pytest.approx(importance(plain["one"]))


class TestMonths:
    """A series of the folder has months of its own."""

    @pytest.mark.parametrize("late", [1, 2])
    def test_one_that_comes_late_still_leads(self, late: int) -> None:
        target, aux, _ = driven(8, 4, decoys=0, count=72)
        known = dict(list(aux[0].items())[:-late])

        found = run(target, [candidate("late", known)])["external_signals.json"]

        assert heaviest_lag(found["late"]) == 4

    def test_one_that_comes_later_than_it_leads_says_nothing(self) -> None:
        target, aux, _ = driven(8, 2, decoys=0, count=72)
        known = dict(list(aux[0].items())[:-3])

        assert run(target, [candidate("late", known)])["external_signals.json"] == {}

    def test_months_after_the_target_s_last_are_not_looked_at(self) -> None:
        target, aux, _ = driven(8, 4, decoys=0, count=72)
        beyond = {**aux[0], **dict.fromkeys(months(6, last=(2026, 11)), 1e6)}

        plain, longer = (run(target, [candidate("one", one)]) for one in (aux[0], beyond))

        assert longer == plain
        assert longer["external_signals.json"] != {}

    def test_one_may_begin_before_or_after_the_target(self) -> None:
        target, aux, _ = driven(8, 3, decoys=0, count=100)
        older = {**dict(zip(months(24, last=(2018, 1)), walk(24), strict=True)), **aux[0]}
        younger = dict(list(aux[0].items())[30:])

        found = [run(target, [candidate("one", one)])["external_signals.json"] for one in (aux[0], older, younger)]

        assert found[1] == found[0]
        assert heaviest_lag(found[2]["one"]) == 3

    def test_those_that_cover_too_little_are_named(self) -> None:
        target, aux, _ = driven(8, 3, decoys=0, count=72)
        pairs = list(aux[0].items())
        elsewhere = dict(zip(months(60, last=(1999, 12)), walk(60), strict=True))
        folder = [
            candidate("good", aux[0]),
            candidate("young", dict(pairs[-10:])),
            candidate("ended", dict(pairs[:-24])),
            candidate("elsewhere", elsewhere),
            candidate("empty", {}),
        ]

        info = run(target, folder)["forecast.json"]["pipeline_info"]

        assert info["candidates_too_short"] == [
            f"The series {name}" for name in ("young", "ended", "elsewhere", "empty")
        ]
        assert info["drivers_in_forecast"] is True

    def test_the_target_itself_is_no_driver_of_it(self) -> None:
        target, aux, _ = driven(8, 3, decoys=0, count=72)
        folder = [candidate("copy", series(target)), candidate("in cents", series(100 * value for value in target))]

        artifacts = run(target, [*folder, candidate("good", aux[0])])

        assert artifacts["forecast.json"]["pipeline_info"]["candidates_same_as_series"] == [one.name for one in folder]
        assert set(artifacts["external_signals.json"]) == {"good"}


class TestChoice:
    """Fields of the request that say which drivers may enter."""

    def test_a_limit_of_0_means_no_driver_at_all(self) -> None:
        target, aux, _ = driven(8, 3, decoys=0, count=72)

        artifacts = run(target, [candidate("a", aux[0])], aux_timeseries=aux, filters={"limit": 0})

        assert artifacts["external_signals.json"] == {}
        assert artifacts["forecast.json"]["forecast_series"] == forecast(target)

    def test_a_limit_holds_for_the_folder_and_not_for_aux_series(self) -> None:
        target, aux = two_drivers()
        folder = [candidate("a", aux[0]), candidate("b", aux[1])]

        def listed(**changes: object) -> set[str]:
            return set(run(target, folder, **changes)["external_signals.json"])

        assert listed() == {"a", "b"}
        assert len(listed(filters={"limit": 1})) == 1
        both = run(target, folder[:1], aux_timeseries=aux[1:], filters={"limit": 1})["external_signals.json"]
        assert set(both) == {"aux_0", "a"}

    @pytest.mark.parametrize("label", ["region", "category"])
    def test_filters_let_through_what_they_name(self, label: str) -> None:
        target, aux = two_drivers()
        folder = [candidate("a", aux[0], **{label: 3}), candidate("b", aux[1], **{label: 4})]
        field = {"region": "regions", "category": "categories"}[label]

        def listed(*wanted: int) -> set[str]:
            return set(run(target, folder, filters={field: list(wanted)})["external_signals.json"])

        assert (listed(4), listed(3, 4), listed(5)) == ({"b"}, {"a", "b"}, set())

    def test_filters_do_not_hold_for_aux_series(self) -> None:
        target, aux, _ = driven(8, 3, decoys=0, count=72)

        assert set(run(target, aux_timeseries=aux, filters={"regions": [3]})["external_signals.json"]) == {"aux_0"}

    def test_max_num_features_limits_drivers_times_lags(self) -> None:
        target, aux = two_drivers()

        found = run(target, aux_timeseries=aux, max_num_features=1)["external_signals.json"]

        assert sum(importance(driver) > 0 for driver in found.values()) == 1
        assert all(len(driver["importance"]["horizon_1"]) == 1 for driver in found.values())

    @pytest.mark.parametrize("field", ["general_drivers", "trend_num_classes"])
    def test_fields_without_effect_are_taken(self, field: str) -> None:
        changes: dict[str, object] = (
            {"filters": {"general_drivers": True}} if field == "general_drivers" else {"trend_num_classes": 3}
        )

        assert run(seasonal(), **changes)["forecast.json"] == run(seasonal())["forecast.json"]


@pytest.mark.parametrize(("lately", "stronger"), [(True, 1.0), (False, 0.0)])
def test_evidence_weighs_by_its_age(lately: bool, stronger: float) -> None:
    rng = np.random.default_rng(5)
    driver, own, month = rng.normal(0, 1, 120), rng.normal(0, 1, 120), np.arange(120)
    holds = month >= 50 if lately else month < 70
    target = 100 + np.cumsum(own + 1.2 * holds * np.concatenate([np.zeros(2), driver[:-2]]))
    lead = Lead("a", "A series", 100 + np.cumsum(driver))

    sizes = {factor: strongest(target, [lead], half_life_months(factor))[0] for factor in (0.0, 1.0)}

    assert max(sizes, key=sizes.__getitem__) == stronger
    assert sizes[0.0] != sizes[1.0]


def test_without_recency_old_evidence_counts_like_new() -> None:
    def half_life(factor: float) -> float | None:
        months: float | None = run(recency_factor=factor)["forecast.json"]["pipeline_info"]["evidence_half_life_months"]
        return months

    forgetting, faster = half_life(0.4), half_life(0.8)
    assert half_life(0.0) is None
    assert forgetting is not None
    assert faster is not None
    assert faster < forgetting


def two_drivers(count: int = 84) -> tuple[list[float], list[dict[str, float]]]:
    """A target that follows one series by 2 months and, as strongly, another by 4."""
    rng = np.random.default_rng(12)
    changes = rng.normal(0, 1, (2, count + 4))
    own = changes[0, 2 : count + 2] - changes[1, :count] + rng.normal(0, 0.5, count)
    aux = [series(100 + np.cumsum(row[4:])) for row in changes]
    return [float(value) for value in 300 + np.cumsum(own)], aux
