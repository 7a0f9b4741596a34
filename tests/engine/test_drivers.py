"""The caller's aux series as drivers: found when true, silent when not, and never from the future."""

import json

import numpy as np
import pytest

from sybilion_mcp.engine.pipeline import run_pipeline

from .made_up import driven, months, request, series


def signals(**arguments: object) -> dict:
    data: dict = json.loads(run_pipeline(request(**arguments))["external_signals.json"])["data"]
    return data


def overall(driver: dict, block: str = "importance") -> float:
    value: float = driver[block]["overall"]["max"]
    return value


@pytest.mark.parametrize(("seed", "lag"), [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 6)])
def test_the_true_driver_comes_first_with_its_lag_and_sign(seed: int, lag: int) -> None:
    values, aux, place = driven(seed, lag)

    found = signals(values=values, aux_timeseries=aux)

    true = found.pop(f"aux_{place}")
    assert overall(true) > 60
    assert max(map(overall, found.values())) < 10
    lags = true["importance"]["horizon_1"]
    assert max(lags, key=lags.__getitem__) == f"{lag}.0"
    assert true["direction"]["horizon_3"][f"{lag}.0"] < -0.6
    correlations = {key: value for key, value in true["pearson_correlation"].items() if key != "overall"}
    assert min(correlations, key=correlations.__getitem__) == f"lag_{lag}"


def test_the_shape_is_the_api_s() -> None:
    values, aux, _ = driven(7, 3, decoys=1)

    found = signals(values=values, aux_timeseries=aux, soft_horizon=2)

    assert list(found) == ["aux_0", "aux_1"]
    for name, driver in found.items():
        assert driver["driver_name"] == name
        for block in ("importance", "direction"):
            assert set(driver[block]) == {"horizon_1", "horizon_2", "overall"}
            assert set(driver[block]["overall"]) == {"mean", "min", "max"}
        assert set(driver["pearson_correlation"]) == {*(f"lag_{lag}" for lag in range(1, 13)), "overall"}


def test_pure_noise_hardly_ever_yields_a_driver() -> None:
    with_weight = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        aux = [series(np.cumsum(rng.normal(size=60))) for _ in range(5)]
        found = signals(values=100 + np.cumsum(rng.normal(size=60)), aux_timeseries=aux)
        with_weight += any(overall(driver) > 0 for driver in found.values())

    assert with_weight <= 2


def test_a_true_driver_lowers_the_error_of_past_forecasts() -> None:
    values, aux, _ = driven(4, 3)
    body = request(values, backtest=True)

    def error(body: dict[str, object]) -> float:
        data = json.loads(run_pipeline(body)["backtest_metrics.json"])["data"]
        mae: float = data["12m"]["metrics"]["MAE"]
        return mae

    assert error({**body, "aux_timeseries": aux}) < 0.8 * error(body)


def test_useless_drivers_leave_the_forecast_alone() -> None:
    rng = np.random.default_rng(11)
    values = 100 + np.cumsum(rng.normal(size=60))
    aux = [series(rng.normal(size=60)) for _ in range(3)]

    plain, offered = (
        json.loads(run_pipeline(body)["forecast.json"])["data"]
        for body in (request(values), request(values, aux_timeseries=aux))
    )

    assert offered == plain
    assert offered["pipeline_info"]["drivers_in_forecast"] is False


def test_values_of_a_driver_after_an_origin_do_not_reach_its_window() -> None:
    values, aux, _ = driven(5, 2, decoys=1, count=90)
    later = set(months(90)[-10:])
    changed = [{month: value * (5 if month in later else 1) for month, value in one.items()} for one in aux]

    def window(drivers: list[dict[str, float]]) -> list[object]:
        body = request(values, aux_timeseries=drivers, backtest=True)
        windows = json.loads(run_pipeline(body)["backtest_trajectories.json"])["data"]
        found = next(one for one in windows if one["forecast_start"] == months(90)[-10])
        return [entry["quantile_forecast"] for entry in found["forecast_series"].values()]

    assert window(aux) == window(changed)


@pytest.mark.parametrize(
    "changes",
    [{}, {"filters": {"limit": 0}, "aux_timeseries": [series(range(60))]}],
    ids=["no aux series", "a limit of 0"],
)
def test_without_drivers_there_are_none(changes: dict[str, object]) -> None:
    assert signals(**changes) == {}


@pytest.mark.parametrize(
    "values",
    [[5.0] * 60, [0.0] * 60, [1e300 * (-1) ** index for index in range(60)], [0.0] * 59 + [1e-300]],
    ids=["constant", "zero", "huge", "tiny spike"],
)
def test_hostile_drivers_weigh_nothing(values: list[float]) -> None:
    found = signals(aux_timeseries=[series(values), series(range(60))])

    assert overall(found["aux_0"]) == 0
