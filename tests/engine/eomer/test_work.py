"""One job from its request to its files."""

import csv
import io
import json
import xml.etree.ElementTree as ET
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from sybilion_mcp.contract.eomer import Explainability
from sybilion_mcp.contract.eomer_request import check_eomer
from sybilion_mcp.contract.eomer_table import read_forecast_table
from sybilion_mcp.contract.frequency import Frequency, infer, read_timestamp
from sybilion_mcp.engine.eomer.work import run_eomer

from .made_up import SHAPES, body, labels, series, values


def explanation(files: dict[str, bytes]) -> dict[str, Any]:
    return json.loads(files["explainability.json"])


def rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode())))


@pytest.mark.parametrize("alias", SHAPES)
def test_the_table_goes_on_where_each_series_ends(alias: str) -> None:
    made = body(alias, quantile_levels=[0.9, 0.05, 0.5])
    assert check_eomer(made) == []

    table = read_forecast_table(run_eomer(made)["forecast.csv"])

    assert [one.item_id for one in table.series] == list(series(alias))
    assert table.levels == (0.05, 0.5, 0.9)
    _, count, horizon = SHAPES[alias]
    for one in table.series:
        assert [step.timestamp for step in one.steps] == labels(alias, count + horizon)[count:]
        for step in one.steps:
            assert all(low <= high for low, high in pairwise(step.quantiles.values()))
            assert step.quantiles[0.5] == pytest.approx(step.forecast)


@pytest.mark.parametrize(
    ("alias", "done", "word"),
    [
        ("h", {"trend", "seasonality", "calendar", "hindcast"}, "hour"),
        ("D", {"trend", "seasonality", "hindcast"}, "weekday"),
        ("W-MON", {"trend", "seasonality", "hindcast"}, "month"),
        ("MS", {"trend", "seasonality", "calendar", "hindcast"}, "month"),
    ],
)
def test_trend_season_and_calendar_are_told(alias: str, done: set[str], word: str) -> None:
    told = explanation(run_eomer(body(alias)))

    assert set(told["completed_analyses"]) == done
    assert set(told["selected_analyses"]) == done | set(told["skipped_analyses"])
    assert all(told["skipped_analyses"].values())
    assert f"the {word} explains" in told["overview_markdown"]
    assert "Looking back" in told["overview_markdown"]
    read = Explainability.model_validate(told)
    assert [one.display_order for one in read.artifacts] == sorted(one["display_order"] for one in told["artifacts"])
    assert read.artifacts[0].is_primary_visual
    assert all(
        one.highlights and one.preview_markdown for one in read.artifacts if one.render_inline and one.format == "csv"
    )


def test_the_season_that_is_there_is_the_one_that_is_told() -> None:
    files = run_eomer(body("D", 1))

    effects = {row["label"]: float(row["effect"]) for row in rows(files["seasonality.csv"])}

    assert set(sorted(effects, key=lambda label: -effects[label])[:2]) == {"Saturday", "Sunday"}


def test_the_calendar_tells_what_the_season_leaves() -> None:
    files = run_eomer(body("h", 1, 1000))

    effects = {row["label"]: float(row["effect"]) for row in rows(files["calendar.csv"])}

    weekend = {effects.pop("Saturday"), effects.pop("Sunday")}
    assert min(weekend) - max(effects.values()) > 5


def test_months_of_different_lengths_are_no_calendar_where_the_season_has_them() -> None:
    told = explanation(run_eomer(body("MS", 3)))

    assert "working days explains" not in told["overview_markdown"]


def test_the_hindcast_says_how_such_forecasts_did() -> None:
    files = run_eomer(body("MS", 2))

    found = rows(files["hindcast.csv"])
    assert [row["item_id"] for row in found] == ["MS 0", "MS 1"]
    for row in found:
        assert float(row["mae"]) < float(row["mae_last_value"])
        assert 0 < int(row["held_80"]) <= int(row["counted_80"])
    windows = rows(files["hindcast_windows.csv"])
    known = dict(zip(labels("MS", 96), values("MS", 96), strict=True))
    assert all(float(row["actual"]) == pytest.approx(known[row["timestamp"]]) for row in windows[: 12 * 5])
    assert all(row["cutoff"] < row["timestamp"] and float(row["0.1"]) <= float(row["0.9"]) for row in windows)


def test_too_short_series_say_what_could_not_be_told() -> None:
    files = run_eomer(body("D", 2, 3))

    told = explanation(files)
    assert told["completed_analyses"] == ["trend"]
    assert set(told["skipped_analyses"]) == {"seasonality", "calendar", "hindcast"}
    assert "is not known" in told["overview_markdown"]
    assert "hindcast.csv" not in files


def test_analyses_of_others_are_skipped_with_a_reason_and_all_of_them_on_request() -> None:
    asked = run_eomer(body("D", 1, 30, explainability={"enabled": True, "shap": True, "feature_importance": False}))
    none = run_eomer(body("D", 1, 30, explainability={"enabled": False}))

    assert "no such analysis" in explanation(asked)["skipped_analyses"]["shap"]
    assert "feature_importance" not in explanation(asked)["skipped_analyses"]
    assert set(none) == {"forecast.csv"}


def test_the_picture_is_plain_and_holds_no_more_than_it_shows() -> None:
    made = {"series": {'<script>alert(1)</script> & "co"': series("D", 1, 60)["D 0"]}, "prediction_length": 5}

    picture = run_eomer(made)["forecast_plot.svg"]

    root = ET.fromstring(picture)
    assert {one.tag.rpartition("}")[2] for one in root.iter()} == {
        "svg",
        "title",
        "rect",
        "g",
        "text",
        "polygon",
        "polyline",
    }
    assert b"href" not in picture
    lines = [one.attrib["points"].split() for one in root.iter() if "points" in one.attrib]
    places = [tuple(map(float, place.split(","))) for line in lines for place in line]
    assert all(70 <= across <= 720 and 28 <= down <= 150 for across, down in places)
    assert len(picture) < 10_000


def test_an_id_cannot_break_out_of_a_table() -> None:
    made = {"series": {"a|b": series("D", 1, 60)["D 0"]}, "prediction_length": 5}

    preview = explanation(run_eomer(made))["artifacts"][1]["preview_markdown"]

    assert len({line.count("|") for line in preview.splitlines()}) == 1


def test_values_keep_their_size() -> None:
    for factor in (1e-9, 1.0, 1e12):
        scaled = {label: value * factor for label, value in series("MS", 1)["MS 0"].items()}
        table = read_forecast_table(run_eomer({"series": {"A": scaled}, "prediction_length": 3})["forecast.csv"])
        assert 30 < table.series[0].steps[0].forecast / factor < 300


def test_the_same_request_gives_the_same_bytes() -> None:
    assert run_eomer(body("W-MON", 2)) == run_eomer(body("W-MON", 2))


@pytest.mark.parametrize(
    ("first", "step", "alias"), [("2024-01-31", 0, "ME"), ("2024-01-01", 90, "QS"), ("2024-01-01", 365, "YS")]
)
def test_other_frequencies_go_on_too(first: str, step: int, alias: str) -> None:
    import pandas as pd

    stamps = pd.date_range(first, periods=30, freq=alias)
    made = {"series": {"A": {str(at.date()): float(n % 4) for n, at in enumerate(stamps)}}, "prediction_length": 4}
    assert check_eomer(made) == []

    table = read_forecast_table(run_eomer(made)["forecast.csv"])

    ahead = [at for one in table.series[0].steps if (at := read_timestamp(one.timestamp)) is not None]
    found = infer(ahead)
    assert isinstance(found, Frequency)
    assert found.alias == alias
    assert ahead[0] == (stamps[-1] + stamps.freq).to_pydatetime()


def test_series_may_end_at_different_times() -> None:
    long, short = series("D", 2, 60).values()
    made = {"series": {"long": long, "short": dict(list(short.items())[:40])}, "prediction_length": 2}

    table = read_forecast_table(run_eomer(made)["forecast.csv"])

    assert [one.steps[0].timestamp for one in table.series] == [labels("D", 61)[60], labels("D", 61)[40]]
    assert np.all(np.isfinite([step.forecast for one in table.series for step in one.steps]))
