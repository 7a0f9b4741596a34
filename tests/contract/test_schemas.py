"""The published schemas accept what the API sends and reject what it never would."""

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from sybilion_mcp.contract.schemas import schema, schema_names, violations

ARTIFACTS = ("backtest_metrics", "backtest_trajectories", "external_signals", "forecast")

VALID: dict[str, dict[str, object]] = {
    "forecast": {
        "version": "1.1",
        "data": {
            "forecast_series": {
                "2026-05-01": {"forecast": 1.5, "quantile_forecast": {"0.05": 1, "0.10": None}},
                "2026-06-01": {"forecast": 2},
            },
            "forecast_horizon": 2,
            "forecast_start": "2026-05-01",
            "forecast_end": "2026-06-01",
            "last_valid_data_index": "2026-04-01",
        },
    },
    "external_signals": {
        "version": "1.1",
        "data": {
            "a": {"driver_name": "name only"},
            "b": {
                "driver_name": "Energy - World",
                "importance": {"horizon_1": {"0.0": 100.0}, "overall": {"mean": 100.0, "min": 100.0, "max": 100.0}},
                "direction": {"horizon_0": {"0.0": -1.0}, "overall": {"mean": -1.0}},
                "pearson_correlation": {"lag_1": 0.5, "overall": {"mean": 0.5}},
            },
        },
    },
    "backtest_metrics": {
        "version": "1.1",
        "data": {"12m": {"metrics": {"MAE": 1.0, "MAPE": None}, "tests": {}, "forecast_start": "2025-01-01"}},
    },
    "backtest_trajectories": {
        "version": "1.1",
        "data": [
            {
                "forecast_start": "2025-04-01",
                "forecast_end": "2025-04-01",
                "metrics": {"MAE": 1.0},
                "forecast_series": {"2025-04-01": {"actual": None, "quantile_forecast": {"0.50": 1}}},
            }
        ],
    },
}

NONSENSE: list[tuple[str, tuple[str | int, ...], object]] = [
    ("forecast", ("version",), "2.0"),
    ("forecast", ("data",), []),
    ("forecast", ("data", "forecast_series"), {}),
    ("forecast", ("data", "forecast_series", "soon"), {"forecast": 1}),
    ("forecast", ("data", "forecast_series", "2026-05-01"), {}),
    ("forecast", ("data", "forecast_series", "2026-05-01", "forecast"), "1.5"),
    ("forecast", ("data", "forecast_series", "2026-05-01", "quantile_forecast", "95 %"), 1),
    ("forecast", ("data", "forecast_horizon"), 0),
    ("external_signals", ("data",), []),
    ("external_signals", ("data", "a"), {}),
    ("external_signals", ("data", "a", "driver_name"), 7),
    ("external_signals", ("data", "b", "importance", "horizon_1", "0.0"), 101),
    ("external_signals", ("data", "b", "direction", "overall", "mean"), -1.5),
    ("external_signals", ("data", "b", "importance", "horizon_1", "soon"), 1),
    ("external_signals", ("data", "b", "pearson_correlation", "lag_1"), 2),
    ("backtest_metrics", ("data", "a year"), {"metrics": {}}),
    ("backtest_metrics", ("data", "12m", "metrics", "MAE"), "1"),
    ("backtest_metrics", ("data", "12m"), {}),
    ("backtest_trajectories", ("data",), {"2025-04-01": {}}),
    ("backtest_trajectories", ("data", 0), {}),
    ("backtest_trajectories", ("data", 0, "forecast_series", "2025-04-01"), {"forecast": 1}),
]


def changed(payload: object, path: tuple[str | int, ...], value: object) -> object:
    """A copy of `payload` with `value` at `path`."""
    copied = copy.deepcopy(payload)
    place: Any = copied
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return copied


def test_the_four_artifacts_have_a_schema() -> None:
    assert set(ARTIFACTS) <= set(schema_names())


@pytest.mark.parametrize("name", schema_names())
def test_a_schema_is_itself_valid_and_says_what_it_describes(name: str) -> None:
    Draft202012Validator.check_schema(schema(name))

    assert schema(name)["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema(name)["$id"] == f"sybilion://schema/{name}"
    assert schema(name)["description"]


def test_an_unknown_schema_is_refused_with_the_known_names() -> None:
    with pytest.raises(KeyError, match="external_signals"):
        schema("../forecast")


@pytest.mark.parametrize("name", ARTIFACTS)
def test_the_documented_shape_is_accepted_with_new_fields(name: str) -> None:
    assert violations(name, VALID[name]) == []
    assert violations(name, {**VALID[name], "version": "1.2", "new": 1}) == []


def test_no_driver_found_is_a_valid_answer() -> None:
    assert violations("external_signals", {"version": "1.1", "data": {}}) == []


@pytest.mark.parametrize(("name", "path", "value"), NONSENSE)
def test_nonsense_is_found_where_it_is(name: str, path: tuple[str | int, ...], value: object) -> None:
    (first, *_) = violations(name, changed(VALID[name], path, value))

    assert first.startswith("$.")


@pytest.mark.parametrize("name", ARTIFACTS)
@pytest.mark.parametrize("payload", [None, [], "x", 1, {}, {"data": {}}, {"version": "1.1"}])
def test_what_has_no_envelope_is_rejected(name: str, payload: object) -> None:
    assert violations(name, payload)


def test_violations_are_few_short_and_on_one_line() -> None:
    series = {f"20{year}-01-01\n\u202e{'x' * 3000}": "y" * 3000 for year in range(10, 40)}
    found = violations("forecast", {"version": "1.1", "data": {"forecast_series": series}}, limit=3)

    assert len(found) == 3
    assert all(len(line) < 400 and line.isprintable() for line in found)


def test_jsonschema_is_loaded_only_by_those_who_validate() -> None:
    code = "import sys, sybilion_mcp.contract.schemas; sys.exit('jsonschema' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", ARTIFACTS)
def test_every_real_file_is_accepted(shared_data: Path, name: str) -> None:
    files = sorted(shared_data.glob(f"sybilion-jobs/*/{name}.json"))

    assert len(files) == 10
    for file in files:
        assert violations(name, json.loads(file.read_text())) == [], file
