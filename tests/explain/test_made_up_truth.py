"""Where the truth is known because it was made up, the report tells it: the driver, its lag, its sign."""

import json
from datetime import date

import pytest

from sybilion_mcp.engine.pipeline import run_pipeline
from sybilion_mcp.explain.report import Report, build_report, render_report, report_data
from tests.engine.made_up import DRIVEN, Truth, noise, request, truth
from tests.explain.made_up import facts_of

TODAY = date(2026, 6, 15)
SEEDS = (11, 12, 13)


def report_on(made: Truth) -> Report:
    artifacts = run_pipeline(request(made.target, soft_horizon=6), made.candidates)
    return build_report({name: json.loads(content) for name, content in artifacts.items()}, facts_of(), TODAY)


@pytest.mark.parametrize("kind", DRIVEN)
def test_the_first_driver_of_the_report_is_the_true_one(kind: str) -> None:
    found = 0
    for seed in SEEDS:
        made = truth(kind, seed)
        report = report_on(made)
        if report.drivers is None or not report.drivers.groups:  # the engine may miss one in ten, and then names none
            continue
        first, opening = report.drivers.groups[0], render_report(report).split("\n\n")[1]
        assert (first.name, first.lag, first.doubts) == (f"The series {made.driver}".replace("_", " "), made.lag, ())
        assert first.direction
        assert first.correlation
        assert (first.direction > 0, first.correlation > 0) == (made.sign > 0, made.sign > 0)
        assert f'"{first.name}" (lag {made.lag}, correlation {"+" if made.sign > 0 else "−"}' in opening
        found += 1

    assert found >= len(SEEDS) - 1


def test_where_nothing_drives_the_series_the_report_names_no_driver() -> None:
    report = report_on(noise("walk", 11, count=72))

    assert report_data(report)["drivers"] == []
    assert "The forecast stands on the series alone." in render_report(report).split("\n\n")[1]
