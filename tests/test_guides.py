"""The guides name the numbers and codes that the package goes by."""

from pathlib import Path

import sybilion_mcp
from sybilion_mcp.contract.eomer_request import (
    DEFAULT_PREDICTION_LENGTH,
    DEFAULT_PRESET,
    MAX_FILE_BYTES,
    MAX_FORECAST_ROWS,
    MAX_PREDICTION_LENGTH,
    MAX_SERIES,
    MIN_OBSERVATIONS,
)
from sybilion_mcp.engine.drivers import HALF_LIFE
from sybilion_mcp.engine.jobs import JOB_SECONDS, MAX_UNFINISHED
from sybilion_mcp.engine.outlook import QUALITY
from sybilion_mcp.engine.pipeline import EFFORT
from sybilion_mcp.hint_words import JOB_WORDS
from sybilion_mcp.service.tariffs import ALERTS, DRIVERS

GUIDES = Path(sybilion_mcp.__file__).parent / "guide"


def guide(topic: str) -> str:
    return (GUIDES / f"{topic}.md").read_text(encoding="utf-8")


def test_the_limits_are_those_of_the_embedded_engine() -> None:
    text = guide("limits")

    assert f"at most {MAX_UNFINISHED} unfinished jobs" in text
    assert f"at most {JOB_SECONDS:g} s" in text
    assert f"at most {QUALITY} times" in text
    assert f"0.5^(a × recency_factor ÷ {HALF_LIFE:g})" in text


def test_the_limits_tell_what_a_budget_buys() -> None:
    text = guide("limits")

    assert f"({', '.join(EFFORT)}: " in text
    assert f"looks back {', '.join(str(one.origins) for one in EFFORT.values())} months" in text
    assert f"at most {', '.join(str(one.links) for one in EFFORT.values())} driver lags" in text


def test_the_errors_name_every_way_a_job_of_the_engine_fails() -> None:
    text = guide("errors")

    assert [code for code in JOB_WORDS if f"`{code}`" not in text] == []
    assert f"takes {MAX_UNFINISHED} " in text
    assert f"{JOB_SECONDS:g} s" in text


def test_the_limits_tell_what_calls_cost() -> None:
    text = guide("limits")

    for tariff in (DRIVERS, ALERTS):
        each = f"about {tariff.cents:g} EUR cents for each {tariff.unit} that comes"
        assert f"{each}; without `limit` up to {tariff.most} of them" in text


def test_the_guide_to_eomer_names_its_limits() -> None:
    text = guide("eomer")

    assert f"1–{MAX_PREDICTION_LENGTH}, {DEFAULT_PREDICTION_LENGTH} unless said" in text
    assert f"at most {MAX_FORECAST_ROWS:,}" in text
    assert f"up to {MAX_SERIES} series and {MAX_FILE_BYTES >> 20} MiB" in text
    assert f"`{DEFAULT_PRESET}` unless said" in text
    assert f"at least {MIN_OBSERVATIONS} observations" in text


def test_guides_are_short() -> None:
    assert {file.name for file in GUIDES.glob("*.md") if file.stat().st_size > 6000} == set()
