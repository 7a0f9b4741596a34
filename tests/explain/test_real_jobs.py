"""The reports of real jobs: every number recomputed here from the raw files, by other means."""

import csv
import io
import json
import re
import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from sybilion_mcp.explain.report import (
    JobFacts,
    Report,
    build_report,
    render_backtest,
    render_drivers,
    render_forecast,
    render_report,
    report_data,
)

JOBS = (
    "fed-ces0500000003",
    "fed-fedfunds",
    "fed-nfci",
    "macro-index-baseline",
    "macro-index-recency-10",
    "potash-recency-04",
    "potash-recency-10",
    "robot-imports",
    "robot-imports-keywords",
    "urea-no-drivers",
)
TODAY = date(2026, 6, 10)


class Job:
    """One folder: the raw files and the report made of them."""

    def __init__(self, folder: Path) -> None:
        self.raw: dict[str, Any] = {file.name: json.loads(file.read_text()) for file in folder.glob("*.json")}
        self.status = self.raw.pop("status.json", {})
        self.report: Report = build_report(self.raw, self.facts(), TODAY)
        self.data: dict[str, Any] = report_data(self.report)
        self.text = render_report(self.report)

    def facts(self) -> JobFacts:
        request = self.raw["input.json"]
        return JobFacts(
            job_id=self.status.get("job_id", "unknown"),
            title=request["timeseries_metadata"]["title"],
            backend="sybilion",
            settled_at=self.status.get("settled_at"),
            eur_cents_final=self.status.get("eur_cents_final"),
            request=request,
        )

    @property
    def series(self) -> list[tuple[str, float]]:
        return sorted(self.raw["input.json"]["timeseries"].items())

    def usable_windows(self) -> Iterator[list[tuple[str, float, dict[str, float]]]]:
        """Lists of (date, actual, quantiles) of the windows in which no actual is null."""
        for window in self.raw["backtest_trajectories.json"]["data"]:
            months = [(d, m["actual"], m["quantile_forecast"]) for d, m in window["forecast_series"].items()]
            if None not in [actual for _, actual, _ in months]:
                yield months


@pytest.fixture(scope="session", params=JOBS)
def job(request: pytest.FixtureRequest, shared_data: Path) -> Job:
    return Job(shared_data / "sybilion-jobs" / request.param)


def recomputed(job: Job) -> dict[str, float]:
    """The skill by positions in one list of values, where the package goes by months in a mapping."""
    dates = [day for day, _ in job.series]
    values = [value for _, value in job.series]
    errors, percentages, misses, scaled, naive, last = [], [], [], [], [], []
    inside_80 = inside_90 = 0
    for window in job.usable_windows():
        origin = dates.index(window[0][0])
        medians = [quantiles["0.50"] for _, _, quantiles in window]
        actuals = values[origin : origin + len(window)]
        assert actuals == pytest.approx([actual for _, actual, _ in window])
        errors.append(statistics.fmean(abs(a - m) for a, m in zip(actuals, medians, strict=True)))
        percentages += [abs(a - m) / abs(a) * 100 for a, m in zip(actuals, medians, strict=True)]
        misses += [m - a for a, m in zip(actuals, medians, strict=True)]
        past = values[:origin]
        season = statistics.fmean(abs(b - a) for a, b in zip(past, past[12:], strict=False))
        scaled.append(errors[-1] / season)
        naive.append(statistics.fmean(abs(values[origin + k] - values[origin + k - 12]) for k in range(len(window))))
        last.append(statistics.fmean(abs(actual - past[-1]) for actual in actuals))
        inside_80 += sum(q["0.10"] <= a <= q["0.90"] for _, a, q in window)
        inside_90 += sum(q["0.05"] <= a <= q["0.95"] for _, a, q in window)
    mae = statistics.fmean(errors)
    return {
        "windows_used": len(errors),
        "windows_left_out": len(job.raw["backtest_trajectories.json"]["data"]) - len(errors),
        "mae": mae,
        "mape": statistics.fmean(percentages),
        "mase": statistics.fmean(scaled),
        "relative_to_seasonal_naive": mae / statistics.fmean(naive),
        "relative_to_last_value": mae / statistics.fmean(last),
        "bias": statistics.fmean(misses),
        "coverage_80": inside_80 / len(misses),
        "coverage_90": inside_90 / len(misses),
    }


def test_the_skill_is_what_the_trajectories_show(job: Job) -> None:
    assert job.data["skill"] == {key: pytest.approx(value, rel=1e-6) for key, value in recomputed(job).items()}


def test_the_verdict_is_that_of_the_better_rival(job: Job) -> None:
    expected = recomputed(job)
    ratio = max(expected["relative_to_seasonal_naive"], expected["relative_to_last_value"])

    assert job.data["verdict"] == ("better" if ratio < 0.95 else "worse" if ratio > 1.05 else "same")


def test_the_forecast_is_the_raw_one(job: Job) -> None:
    raw = job.raw["forecast.json"]["data"]["forecast_series"]

    assert [row["month"] for row in job.data["forecast"]] == [day[:7] for day in sorted(raw)]
    for row in job.data["forecast"]:
        given = raw[f"{row['month']}-01"]
        assert row["forecast"] == pytest.approx(given["forecast"], rel=1e-6)
        for name, key in (("lower_80", "0.10"), ("upper_80", "0.90"), ("lower_90", "0.05"), ("upper_90", "0.95")):
            assert row[name] == pytest.approx(given["quantile_forecast"][key], rel=1e-6)
        assert row["past"] == (row["month"] < "2026-06")
    assert job.data["bands"] == "given"
    assert job.data["last_value"] == pytest.approx(job.series[-1][1], rel=1e-6)


def strongest_by_name(job: Job) -> dict[str, dict[str, Any]]:
    """The most important series of each name, from the raw entries."""
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for entry in job.raw["external_signals.json"]["data"].values():
        groups[entry["driver_name"]].append(entry)
    return {
        name: {
            "entry": max(entries, key=lambda entry: entry["importance"]["overall"]["mean"]),
            "series": len(entries),
        }
        for name, entries in groups.items()
    }


def test_each_driver_is_the_strongest_series_of_its_name(job: Job) -> None:
    groups = {name: group for name, group in strongest_by_name(job).items() if len(name) <= 80}
    checked = [driver for driver in job.data["drivers"] if driver["name"] in groups]

    assert len(checked) >= len(job.data["drivers"]) / 2
    for driver in checked:
        entry = groups[driver["name"]]["entry"]
        lags = {int(k[4:]): r for k, r in entry["pearson_correlation"].items() if k.startswith("lag_")}
        lag, correlation = max(lags.items(), key=lambda item: abs(item[1]))
        assert driver["importance"] == pytest.approx(entry["importance"]["overall"]["mean"], abs=0.51)
        assert driver["direction"] == pytest.approx(entry["direction"]["overall"]["mean"], abs=0.001)
        assert (driver["lag"], driver["correlation"]) == (lag, pytest.approx(correlation, abs=0.001))
        assert driver["series"] == groups[driver["name"]]["series"]
        assert ("weak correlation" in driver["doubts"]) == (abs(correlation) < 0.25 and driver["importance"] >= 50)
        assert ("trending quantity" in driver["doubts"]) == ("Population" in driver["name"])


def test_groups_are_counted_as_they_are(job: Job) -> None:
    groups = strongest_by_name(job)
    weightless = sum(group["entry"]["importance"]["overall"]["mean"] == 0 for group in groups.values())
    total = len(job.raw["external_signals.json"]["data"])

    if total:
        assert f"## Drivers ({len(groups)} groups of {total} series; {weightless} without weight)" in job.text


def test_sound_drivers_come_first_each_by_importance_and_correlation(job: Job) -> None:
    keys = [(bool(d["doubts"]), -d["importance"], -abs(d["correlation"])) for d in job.data["drivers"]]

    assert keys == sorted(keys)


def test_the_text_shows_the_numbers_of_the_data(job: Job) -> None:
    skill = job.data["skill"]
    tables = {
        header: list(csv.DictReader(io.StringIO(block)))
        for header in ("month", "name")
        for block in re.findall(rf"^({header},[^\n]*\n(?:[^\n]*,[^\n]*,[^\n]*,[^\n]*\n)+)", job.text, re.MULTILINE)
    }

    for row, expected in zip(tables["month"], job.data["forecast"], strict=False):
        half_width = (expected["upper_80"] - expected["lower_80"]) / 2
        assert float(row["forecast"]) == pytest.approx(expected["forecast"], abs=half_width / 5)
    assert f"{skill['windows_used']} of {skill['windows_used'] + skill['windows_left_out']} past windows" in job.text
    assert f"MAPE {skill['mape']:.1f} %" in job.text
    counted = re.search(r"The bands held (\d+) of (\d+) past months at 80 %.* and (\d+) of (\d+) ", job.text)
    assert counted
    assert int(counted[1]) / int(counted[2]) == pytest.approx(skill["coverage_80"])
    assert int(counted[3]) / int(counted[4]) == pytest.approx(skill["coverage_90"])


def test_metrics_that_contradict_are_shown(job: Job) -> None:
    """Every one of these jobs reports a MASE that its windows do not bear out."""
    assert "The service reports" in job.text
    assert "MASE" in job.text.split("The service reports")[1].split("\n")[0]


def test_a_report_is_small_and_quick(job: Job) -> None:
    started = time.perf_counter()
    for _ in range(3):
        render_report(build_report(job.raw, job.facts(), TODAY))
    seconds = (time.perf_counter() - started) / 3

    assert seconds < 0.3
    assert len(job.text.encode()) <= 6000
    assert len(render_forecast(job.report).encode()) <= 4000
    for view in ("summary", "table"):
        assert len(render_drivers(job.report, view).encode()) <= 6000
        assert len(render_backtest(job.report, view).encode()) <= 6000
    assert len(json.dumps(job.data, allow_nan=False)) < 6000


def test_raw_artifacts_shrink_fifteenfold_when_rich_in_drivers(job: Job) -> None:
    raw = sum(len(json.dumps(payload)) for name, payload in job.raw.items() if "input" not in name)

    rich = len(job.raw["external_signals.json"]["data"]) >= 20
    assert raw >= (15 if rich else 10) * len(job.text.encode())


class TestWhatIsKnownAboutThem:
    """Findings that people published about these jobs."""

    def job(self, shared_data: Path, name: str) -> Job:
        return Job(shared_data / "sybilion-jobs" / name)

    def test_urea_rests_on_the_series_alone(self, shared_data: Path) -> None:
        job = self.job(shared_data, "urea-no-drivers")

        assert "No external driver was found: the forecast rests on the series alone." in job.text
        assert "recency_factor=0.2" in job.text.splitlines()[-1]
        assert job.data["drivers"] == []

    def test_the_energy_driver_is_first_for_the_macro_index(self, shared_data: Path) -> None:
        first = self.job(shared_data, "macro-index-baseline").data["drivers"][0]

        assert (first["name"], first["lag"], first["series"]) == ("Energy - United States of America", 2, 21)

    def test_the_two_potash_jobs_have_one_error_and_other_drivers(self, shared_data: Path) -> None:
        one, other = (self.job(shared_data, f"potash-recency-{n}").data for n in ("04", "10"))

        assert one["skill"] == other["skill"]
        assert one["drivers"][0] != other["drivers"][0]

    @pytest.mark.parametrize(
        ("name", "verdict"),
        [("macro-index-baseline", "same"), ("potash-recency-10", "worse"), ("robot-imports-keywords", "better")],
    )
    def test_verdicts(self, shared_data: Path, name: str, verdict: str) -> None:
        assert self.job(shared_data, name).data["verdict"] == verdict
