"""What is sent to Eomer: the form, and every problem told before anything leaves."""

import csv
import io
import json
import math
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sybilion_mcp.contract import eomer_request
from sybilion_mcp.contract.eomer_form import form_of
from sybilion_mcp.contract.eomer_request import MAX_PREDICTION_LENGTH, check_eomer
from sybilion_mcp.contract.problem import Problem


def days(count: int, start: str = "2024-01-01", step: int = 1) -> dict[str, float]:
    first = datetime.fromisoformat(start)
    return {str((first + timedelta(days=step * number)).date()): float(number) for number in range(count)}


def body(*series: dict[str, Any], **options: object) -> dict[str, object]:
    return {"series": {f"s{number}": one for number, one in enumerate(series)}, "prediction_length": 3, **options}


def codes(problems: list[Problem]) -> list[str]:
    return [one.code for one in problems]


def test_a_good_body_has_no_problem() -> None:
    assert check_eomer(body(days(30), days(10, "2024-01-10"))) == []


@pytest.mark.parametrize(
    ("made", "code", "field"),
    [
        (body(days(1)), "too_short", 'series["s0"]'),
        (body({}), "too_short", 'series["s0"]'),
        ({"series": {}}, "empty_series", "series"),
        (body(days(9) | {"soon": 1.0}), "bad_timestamp", 'series["s0"]["soon"]'),
        (body(days(9) | {"2024-01-03 00:00": 1.0}), "duplicate_timestamp", 'series["s0"]'),
        (body([("2024-01-01", 1.0), ("2024-01-01", 2.0), ("2024-01-02", 1.0)]), "duplicate_timestamp", 'series["s0"]'),
        (body(days(9) | {"2024-01-05": None}), "missing_value", 'series["s0"]'),
        (body(days(9) | {"2024-01-05": math.nan}), "not_finite", 'series["s0"]'),
        (body(days(9) | {"2024-01-05": math.inf}), "not_finite", 'series["s0"]'),
        (body(days(9) | {"2024-01-12": 1.0}), "missing_period", 'series["s0"]'),
        (body(days(9), days(4, "2024-01-01", 7) | {"2024-01-30": 1.0}), "missing_period", 'series["s1"]'),
        (body({"2024-07-15": 1.0, "2024-08-15": 2.0}), "ambiguous_frequency", 'series["s0"]'),
        (body({f"2024-0{m}-15": 1.0 for m in range(1, 9)}), "irregular_frequency", 'series["s0"]'),
        (body(days(9), {"2024-01-01 12:00": 1.0, "2024-01-02 12:00": 1.0}), "mixed_frequency", 'series["s1"]'),
        (body(days(9), prediction_length=0), "bad_prediction_length", "prediction_length"),
        (body(days(9), prediction_length=10**7), "bad_prediction_length", "prediction_length"),
        (body(days(9), presets="very best"), "bad_preset", "presets"),
        (body(days(9), freq="fortnightly"), "bad_freq", "freq"),
        (body(days(9), freq="MS"), "mixed_frequency", 'series["s0"]'),
        (body(days(9, "2024-01-02"), freq="MS"), "freq_differs", 'series["s0"]'),
        (body(days(9), quantile_levels=[0.1, 1.0]), "bad_quantile_levels", "quantile_levels"),
        (body(days(9), target_column="item_id"), "bad_columns", "item_id_column"),
        (body(days(9), prediction_length="12"), "wrong_type", "prediction_length"),
        (body({"2024-01-01": "1"}), "wrong_type", 'series["s0"]'),
        ({}, "wrong_type", "series"),
        ({"series": {"x\ny": days(9)}, "prediction_length": 3}, "bad_item_id", 'series["x y"]'),
        ({"series": {"": days(9)}, "prediction_length": 3}, "bad_item_id", 'series[""]'),
    ],
)
def test_each_rule_names_the_field(made: dict[str, object], code: str, field: str) -> None:
    problems = [one for one in check_eomer(made) if one.severity == "error"]

    assert code in codes(problems)
    told = next(one for one in problems if one.code == code)
    assert told.field == field
    assert told.message.endswith(".")


def test_all_problems_are_told_at_once() -> None:
    made = body(days(1), {"x": 1.0, "2024-01-01": None}, presets="no such", prediction_length=-1, freq="?")

    assert {"too_short", "bad_timestamp", "missing_value", "bad_preset", "bad_prediction_length", "bad_freq"} <= set(
        codes(check_eomer(made))
    )


def test_what_many_series_have_in_common_is_counted() -> None:
    made = {"series": {f"s{number}": days(1) for number in range(500)}, "prediction_length": 3}

    problems = check_eomer(made)

    assert codes(problems) == ["too_short"] * 3
    assert "497 more like it" in problems[-1].message


def test_an_unknown_preset_is_only_a_warning_with_the_nearest_name() -> None:
    (problem,) = check_eomer(body(days(9), presets="chronos_smal"))

    assert (problem.code, problem.severity) == ("unknown_preset", "warning")
    assert problem.fix is not None
    assert problem.fix.value == "chronos_small"


def test_what_is_fixed_as_offered_is_no_problem_any_more() -> None:
    made = body(days(9), presets="no such", prediction_length=10**6, freq="?")

    fixes = {one.fix.field: one.fix.value for one in check_eomer(made) if one.fix}

    assert [one.code for one in check_eomer({**made, **fixes}) if one.severity == "error"] == []


def test_more_than_fits_is_told_before_it_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eomer_request, "MAX_FILE_BYTES", 50)

    (problem,) = check_eomer(body(days(9)))

    assert (problem.code, problem.status) == ("file_too_large", 413)


def test_a_forecast_of_too_many_rows_is_told() -> None:
    made = {"series": {f"s{number}": days(2) for number in range(600)}, "prediction_length": MAX_PREDICTION_LENGTH}

    told = next(one for one in check_eomer(made) if one.code == "too_many_rows")

    assert told.fix is not None
    assert isinstance(told.fix.value, int)
    assert told.fix.value * 600 <= 500_000


def test_the_form_holds_the_table_and_the_options() -> None:
    made = body({"2024-01-02": 2.0, "2024-01-01": 0.1, "2024-01-03": 3.0}, quantile_levels=[0.05, 0.95])

    form = form_of(made)

    assert (
        form.content.decode() == "item_id,timestamp,target\ns0,2024-01-01,0.1\ns0,2024-01-02,2.0\ns0,2024-01-03,3.0\n"
    )
    assert form.fields == {
        "prediction_length": "3",
        "presets": "chronos_tiny",
        "item_id_column": "item_id",
        "timestamp_column": "timestamp",
        "target_column": "target",
        "quantile_levels": "0.05,0.95",
    }


def test_two_observations_tell_nobody_their_frequency_so_it_is_named() -> None:
    assert form_of(body({"2024-01-01": 1.0, "2024-02-01": 2.0})).fields["freq"] == "MS"
    assert "freq" not in form_of(body(days(3))).fields
    assert form_of(body(days(3), freq="1D")).fields["freq"] == "1D"


def test_pairs_survive_json() -> None:
    made = body(list(days(5).items()))

    assert check_eomer(json.loads(json.dumps(made))) == []
    assert form_of(json.loads(json.dumps(made))) == form_of(made)
    assert codes(check_eomer(body([["2024-01-01", "1"], ["2024-01-02", 2.0]]))) == ["wrong_type"]


def test_an_id_with_commas_quotes_and_line_ends_stays_one_cell() -> None:
    form = form_of({"series": {'a,"b"': days(3)}, "prediction_length": 1})

    assert [row[0] for row in csv.reader(io.StringIO(form.content.decode()))] == ["item_id", *['a,"b"'] * 3]


values = st.none() | st.floats() | st.integers() | st.text(max_size=3)
labels = st.text(max_size=12) | st.dates().map(str) | st.datetimes().map(str)
anything = st.dictionaries(st.text(max_size=4), st.dictionaries(labels, values, max_size=5), max_size=4)


@given(anything, st.integers(-5, 2000) | st.text(max_size=3), st.text(max_size=8) | st.none())
def test_whatever_is_asked_the_check_ends_with_problems_or_a_form(series: Any, length: Any, freq: Any) -> None:
    made = {"series": series, "prediction_length": length, **({"freq": freq} if freq is not None else {})}

    problems = check_eomer(made)

    assert all(one.code and one.field and one.message for one in problems)
    if not any(one.severity == "error" for one in problems):
        assert form_of(made).content.startswith(b"item_id,")


@given(st.integers(2, 40), st.integers(1, 20))
def test_regular_series_are_never_a_problem(count: int, number: int) -> None:
    made = {"series": {f"s{one}": days(count) for one in range(number)}, "prediction_length": 1}

    assert check_eomer(made) == []


@pytest.mark.parametrize("item_id", ["a ", " a", "a\u00a0", "\u3000a"])
def test_an_id_with_white_space_around_is_named(item_id: str) -> None:
    problems = check_eomer({"series": {"a": days(30), item_id: days(30)}, "prediction_length": 3})

    assert codes(problems) == ["bad_item_id"]
