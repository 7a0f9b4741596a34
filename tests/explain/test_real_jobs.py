"""The reports of real jobs: every number in them recomputed from the raw files, by other means."""

import csv
import io
import json
import math
import re
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.report import tokens
from sybilion_mcp.contract.artifacts import Window, read_backtest_trajectories
from sybilion_mcp.explain.bands import half_widths as package_half_widths
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
from sybilion_mcp.service.folders import report_of_folder
from tests.explain import recomputed
from tests.explain.made_up import trajectories_of, window_of
from tests.explain.numbers import dates, last_place, missing, shown, unexplained
from tests.explain.recomputed import BANDS, JOBS, TODAY, Group, PastForecast, Truth
from tests.timing import cpu_seconds

RICH = 40_000
"""Bytes of external_signals.json from which a job is rich in drivers."""


class Job:
    """One folder: the truth about it and the report made of it."""

    def __init__(self, folder: Path) -> None:
        self.name, self.folder = folder.name, folder
        self.truth = Truth(folder)
        self.raw_bytes = {file.name: file.stat().st_size for file in folder.glob("*.json")}
        self.raw_text = "".join(file.read_text() for file in folder.glob("*.json") if file.name in self.truth.raw)
        self.report: Report = build_report(self.truth.raw, self.facts(), TODAY)
        self.data: dict[str, Any] = report_data(self.report)
        self.text = render_report(self.report)

    def facts(self) -> JobFacts:
        status, request = self.truth.status, self.truth.request
        return JobFacts(
            job_id=status.get("job_id", self.name),
            title=request["timeseries_metadata"]["title"],
            backend="sybilion",
            settled_at=status.get("settled_at"),
            eur_cents_final=status.get("eur_cents_final"),
            request=request,
        )

    @property
    def sections(self) -> dict[str, str]:
        """The text by its headings; the one above the first heading is "", the last line is "next"."""
        body, _, last = self.text.rpartition("\n")
        parts = re.split(r"^## (.*)\n", body, flags=re.MULTILINE)
        named = {"": parts[0], "next": last}
        for heading, section in zip(parts[1::2], parts[2::2], strict=True):
            named[heading.partition(" (")[0]] = f"{heading}\n{section}"
        return named


@cache
def loaded(folder: Path) -> Job:
    return Job(folder)


@pytest.fixture(params=JOBS)
def job(request: pytest.FixtureRequest, shared_data: Path) -> Job:
    return loaded(shared_data / "sybilion-jobs" / request.param)


def table(text: str, first: str) -> list[dict[str, str]]:
    """The rows of the first table whose header begins so."""
    lines = text.split("\n")
    start = next(at for at, line in enumerate(lines) if line.startswith(first))
    columns = lines[start].count(",")
    end = next((at for at, line in enumerate(lines[start:], start) if line.count(",") < columns), len(lines))
    return list(csv.DictReader(io.StringIO("\n".join(lines[start:end]))))


def exactly(value: float) -> Any:
    """As structured content carries it: seven digits."""
    return pytest.approx(value, rel=1e-6)


class TestData:
    def test_the_skill_is_what_the_trajectories_show(self, job: Job) -> None:
        assert job.data["skill"] == {name: exactly(value) for name, value in job.truth.skill.items()}
        assert job.data["verdict"] == job.truth.verdict

    def test_the_forecast_is_the_raw_one(self, job: Job) -> None:
        raw = job.truth.forecast

        assert [row["month"] for row in job.data["forecast"]] == [day[:7] for day in sorted(raw)]
        for day, row in zip(sorted(raw), job.data["forecast"], strict=True):
            assert row["forecast"] == exactly(raw[day]["forecast"])
            assert row["past"] == (day < "2026-06-01")
        assert job.data["last_value"] == exactly(job.truth.values[-1])

    def test_the_bands_are_those_to_rely_on(self, job: Job) -> None:
        assert job.data["bands"] == ("recalibrated" if job.truth.unreliable else "given")
        for day, row in zip(job.truth.months_ahead, job.data["forecast"], strict=True):
            assert {name: row[name] for name in BANDS} == {
                name: exactly(value) for name, value in job.truth.bands(day).items()
            }

    def test_every_driver_speaks_for_its_name(self, job: Job) -> None:
        for driver, group in zip(job.data["drivers"], listed(job), strict=True):
            assert driver["importance"] == pytest.approx(group.importance, abs=0.5)
            assert driver["direction"] == pytest.approx(group.direction, abs=0.000501)
            assert driver["correlation"] == pytest.approx(group.correlation, abs=0.000501)
            assert (driver["lag"], driver["series"]) == (group.lag, group.series)
            assert set(driver["doubts"]) == group.doubts

    def test_the_strongest_drivers_are_listed_the_sound_ones_first(self, job: Job) -> None:
        expected = job.truth.weighty
        found = listed(job)
        sound = [group for group in found if not group.doubts]

        assert len(found) == min(12, len(expected))
        assert [*sound, *(group for group in found if group.doubts)] == found
        for kind in (sound, found[len(sound) :]):
            same_kind = [group for group in expected if bool(group.doubts) == bool(kind and kind[0].doubts)]
            assert [group.rank for group in kind] == [group.rank for group in same_kind[: len(kind)]]

    def test_the_rest_is_what_the_files_say(self, job: Job) -> None:
        truth = job.truth
        assert job.data["cost_eur_cents"] == job.truth.status.get("eur_cents_final")
        assert not set(job.data) - {
            *("last_value", "forecast", "bands", "skill", "verdict", "drivers", "unit", "cost_eur_cents", "caveats")
        }
        known = [*about_the_errors(truth), *about_the_metrics(truth), *about_the_scale(truth), *about_the_bands(truth)]
        known += [80, 90, truth.request["recency_factor"], *about_the_months(truth), *range(1, len(truth.forecast))]
        assert unexplained("\n".join(job.data["caveats"]), known) == []


def listed(job: Job) -> list[Group]:
    """The groups of the names that the data lists."""
    return [group_of(job, driver["name"]) for driver in job.data["drivers"]]


def group_of(job: Job, name: str) -> Group:
    """The one group whose name begins and ends as the shown one does, letters and digits alone."""

    def letters(text: str) -> str:
        return "".join(filter(str.isalnum, text))

    begin, _, end = name.partition("…")
    found = [
        group
        for group in job.truth.groups
        if letters(group.name).startswith(letters(begin)) and letters(group.name).endswith(letters(end))
        and ("…" in name or letters(group.name) == letters(name))
    ]  # fmt: skip
    assert len(found) == 1, name
    return found[0]


class TestTables:
    def test_forecast(self, job: Job) -> None:
        rows = table(job.text, "month,forecast")

        for row, day in zip(rows, job.truth.months_ahead, strict=True):
            expected = {"forecast": job.truth.forecast[day]["forecast"], **job.truth.bands(day)}
            assert row["month"] == day[:7]
            assert all(shown(row[name]).shows(value) for name, value in expected.items())
            assert row.get("past", "") == ("past" if day < "2026-06-01" else "")

    def test_rounding_costs_little_of_a_band(self, job: Job) -> None:
        for row, day in zip(table(job.text, "month,forecast"), job.truth.months_ahead, strict=True):
            bands = job.truth.bands(day)
            for name, value in bands.items():
                assert float(row[name]) == pytest.approx(value, abs=(bands["upper_80"] - bands["lower_80"]) / 10)

    def test_bands_as_delivered_stand_beside_recalibrated_ones(self, job: Job) -> None:
        truth = job.truth
        other = [day for day in truth.months_ahead if truth.bands(day) != truth.delivered(day)]
        assert ("month,given_lower_80" in job.text) == bool(other)
        rows = table(job.text, "month,given_lower_80") if other else []
        for row, day in zip(rows, other, strict=True):
            assert row["month"] == day[:7]
            assert all(shown(row[f"given_{name}"]).shows(value) for name, value in truth.delivered(day).items())

    def test_drivers(self, job: Job) -> None:
        rows = table(job.text, "name,") if job.truth.weighty else []

        for row, driver, group in zip(rows, job.data["drivers"], listed(job), strict=True):
            assert row["name"] == driver["name"]
            assert float(row["importance"]) == driver["importance"]
            assert shown(row["direction"]).shows(group.direction)
            assert shown(row["correlation"]).shows(group.correlation)
            assert (int(row["lag"]), int(row["series"])) == (group.lag, group.series)
            assert set(filter(None, row["doubt"].split("; "))) == group.doubts

    def test_every_group_with_weight_once_in_the_pages(self, job: Job) -> None:
        seen: list[Group] = []
        while len(seen) < len(job.truth.weighty):
            rows = table(render_drivers(job.report, "table", len(seen)), "name,")
            assert rows
            seen += [group_of(job, row["name"]) for row in rows]

        assert [group.rank for group in seen] == [group.rank for group in job.truth.weighty]
        assert {group.name for group in seen} == {group.name for group in job.truth.weighty}

    def test_past_forecasts(self, job: Job) -> None:
        rows = table(render_backtest(job.report, "table"), "start,")

        measures = ("mae", "seasonal_naive_mae", "last_value_mae", "bias")
        half_a_step = last_place(row[name] for row in rows for name in measures) / 2
        for row, window in zip(rows, job.truth.windows, strict=True):
            assert (row["start"], row["end"]) == (window.months[0].day[:7], window.months[-1].day[:7])
            for name, value in zip(measures, (window.mae, window.naive, window.last, window.bias), strict=True):
                assert float(row[name]) == pytest.approx(value, abs=half_a_step * 1.000001)
            assert shown(row["mape"]).shows(window.mape)
            counts = (window.held_80, window.held_90, len(window.months))
            assert (int(row["held_80"]), int(row["held_90"]), int(row["months"])) == counts


def compared(ratio: float) -> float:
    """A ratio of errors as it is told: in percent of difference, from two on as a factor."""
    return ratio if ratio >= 2 else 100 * abs(ratio - 1)


def about_the_errors(truth: Truth) -> list[float]:
    skill = truth.skill
    total = skill["windows_used"] + skill["windows_left_out"]
    ratios = [compared(skill[f"relative_to_{rival}"]) for rival in ("seasonal_naive", "last_value")]
    told = [skill["windows_used"], total, skill["windows_left_out"], skill["mae"], skill["mape"], skill["mase"]]
    told.append(truth.windows_won)
    return [*told, *ratios, *([abs(skill["bias"])] if abs(skill["bias"]) > 0.1 * skill["mae"] else [])]


def about_the_metrics(truth: Truth) -> list[float]:
    """The service's own, where they are not what its windows show."""
    own = {name.upper(): truth.skill[name] for name in ("mae", "mape", "mase")}
    apart = {name: truth.metrics[name] for name in own if abs(truth.metrics[name] - own[name]) > 0.1 * own[name]}
    return [*apart.values(), *(own[name] for name in apart)]


def about_the_scale(truth: Truth) -> list[float]:
    """What MASE is relative to, here and as the service seems to have it."""
    return [1, 12, truth.metrics["MAE"] / truth.metrics["MASE"], truth.yearly_change]


def about_the_months(truth: Truth) -> list[float]:
    ahead, asked = len(truth.forecast), truth.request["soft_horizon"]
    past = sum(day < "2026-06-01" for day in truth.forecast)
    return [*([past, ahead] if past else []), *([asked, ahead] if asked > ahead else [])]


def about_the_bands(truth: Truth) -> list[float]:
    """How often the bands of past forecasts held."""
    return [value for one in truth.held for value in (one, truth.counted, 100 * one / truth.counted)]


class TestSentences:
    """Each number in the sentences of a section is one of those recomputed for it, and none of these is missing."""

    def test_opening(self, job: Job) -> None:
        truth, text = job.truth, job.sections[""]
        final = truth.forecast[truth.months_ahead[-1]]["forecast"]
        bands = truth.bands(truth.months_ahead[-1])
        first = listed(job)[:1]
        cents = truth.status.get("eur_cents_final")
        told = [truth.values[-1], final, bands["lower_80"], bands["upper_80"]]
        told += [value for group in first for value in (group.lag, group.correlation)]
        told += [] if cents is None else [cents / 100]
        shown_weights = [driver["importance"] for driver in job.data["drivers"][:1]]
        alike = sum(round(group.importance) in shown_weights for group in truth.weighty) - 1
        told += [alike] if alike > 0 else []
        body = text.replace(job.facts().job_id, "")

        assert unexplained(body, [*told, 80, 100 * (final / truth.values[-1] - 1)]) == []
        assert missing(body, told) == []
        settled = [truth.status["settled_at"][:10]] if "settled_at" in truth.status else []
        ends = [truth.dates[-1][:7], truth.months_ahead[-1][:7]]
        assert dates(body) == [ends[0], *settled, "2026-06", *ends]

    def test_past_errors(self, job: Job) -> None:
        truth, text = job.truth, job.sections["How good such forecasts were"]
        told = [*about_the_errors(truth), *about_the_metrics(truth)]

        assert unexplained(text, [*told, *about_the_scale(truth)]) == []
        assert missing(text, told) == []

    def test_bands(self, job: Job) -> None:
        truth, text = job.truth, job.sections["Bands that hold"]
        told = about_the_bands(truth)
        rests_on = [len(truth.windows), len(truth.months_ahead)]

        assert unexplained(text, [*told, 80, 90, *rests_on, *range(1, len(truth.months_ahead))]) == []
        assert missing(text, told) == []

    def test_drivers(self, job: Job) -> None:
        truth, text = job.truth, job.sections["Drivers"]
        weightless = len(truth.groups) - len(truth.weighty)
        hidden = len(truth.weighty) - len(job.data["drivers"])
        told = [len(truth.groups), truth.series, *filter(None, [weightless, hidden])] if truth.series else []

        assert unexplained(text, [*told, truth.request["recency_factor"]]) == []
        assert missing(text, told) == []

    def test_caveats(self, job: Job) -> None:
        text, told = job.sections.get("Caveats", ""), about_the_months(job.truth)

        assert unexplained(text, told) == []
        assert missing(text, told) == []

    def test_no_section_goes_unchecked(self, job: Job) -> None:
        assert set(job.sections) <= {
            *("", "Forecast", "How good such forecasts were", "Bands that hold", "Drivers", "Caveats", "next")
        }

    def test_a_verdict_is_told_in_words(self, job: Job) -> None:
        rival = "repeating the last value"
        if job.truth.skill["relative_to_seasonal_naive"] > job.truth.skill["relative_to_last_value"]:
            rival = "seasonal naive"
        words = {"better": "better than", "same": "about as good as", "worse": "worse than"}[job.truth.verdict]

        assert f"Verdict: {words} {rival}." in job.text
        assert f"Past forecasts were {words} {rival}" in job.sections[""]


def test_the_report_of_the_folder_is_this_one_beside_other_jobs(job: Job) -> None:
    text = render_report(report_of_folder(job.folder, TODAY))

    assert re.sub(r"^## Other jobs on this series\n(?:.+\n)+\n", "", text, flags=re.MULTILINE) == job.text


class TestSize:
    def test_a_report_is_small_and_quick(self, job: Job) -> None:
        assert cpu_seconds(lambda: render_report(build_report(job.truth.raw, job.facts(), TODAY)), rounds=3) < 0.3
        assert len(job.text.encode()) <= 6000
        assert len(render_forecast(job.report).encode()) <= 4000
        for view in ("summary", "table"):
            assert len(render_drivers(job.report, view).encode()) <= 6000
            assert len(render_backtest(job.report, view).encode()) <= 6000
        assert len(json.dumps(job.data, allow_nan=False)) < 6000

    def test_a_report_is_a_fifteenth_of_what_a_driver_rich_job_sends(self, job: Job) -> None:
        rich = job.raw_bytes["external_signals.json"] > RICH

        assert tokens(job.raw_text) >= (15 if rich else 8) * tokens(job.text)


class TestWhatIsKnownAboutThem:
    """Findings that people published about these jobs."""

    def job(self, shared_data: Path, name: str) -> Job:
        return loaded(shared_data / "sybilion-jobs" / name)

    def test_urea_rests_on_the_series_alone(self, shared_data: Path) -> None:
        job = self.job(shared_data, "urea-no-drivers")

        assert "No external driver was found: the forecast rests on the series alone." in job.text
        assert "A lower recency_factor (here 0.6) may find some" in job.text
        assert job.sections["next"].startswith("Next: validate_series() with the latest months")
        assert job.data["drivers"] == []

    @pytest.mark.parametrize(("name", "lag"), [("macro-index-baseline", 2), ("macro-index-recency-10", 3)])
    def test_the_energy_driver_is_first_for_the_macro_index(self, shared_data: Path, name: str, lag: int) -> None:
        job = self.job(shared_data, name)
        first = job.data["drivers"][0]
        entries = job.truth.raw["external_signals.json"]["data"].values()
        alike = [entry for entry in entries if entry["driver_name"] == first["name"]]

        assert (first["name"], first["lag"]) == ("Energy - United States of America", lag)
        assert first["series"] == len(alike) > 20
        assert f'leaned most on "Energy - United States of America" (lag {lag}, ' in job.sections[""]
        assert len({driver["name"] for driver in job.data["drivers"]}) == len(job.data["drivers"])

    @pytest.mark.parametrize(
        ("name", "verdict", "mase", "held"),
        [
            ("robot-imports", "better", 1.25, 15),
            ("robot-imports-keywords", "better", 1.08, 20),
            ("fed-ces0500000003", "worse", 0.21, 23),
            ("fed-fedfunds", "worse", 0.20, 21),
            ("fed-nfci", "better", 0.18, 26),
            ("macro-index-baseline", "same", 0.90, 21),
            ("potash-recency-10", "worse", 0.32, 19),
        ],
    )
    def test_verdict_and_coverage(self, shared_data: Path, name: str, verdict: str, mase: float, held: int) -> None:
        data = self.job(shared_data, name).data

        assert data["verdict"] == verdict
        assert data["skill"]["mase"] == pytest.approx(mase, abs=0.005)
        assert data["skill"]["coverage_80"] == exactly(held / 33)


class TestRecalibration:
    @given(
        st.lists(
            st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3),
            min_size=1,
            max_size=30,
        )
    )
    def test_the_package_finds_the_same_widths(self, misses: list[list[float]]) -> None:
        windows = read_backtest_trajectories(
            trajectories_of(*(window_of("2025-01", [(0.0, miss) for miss in window]) for window in misses))
        )
        found = [(width.of_80, width.of_90) for width in package_half_widths(windows)]

        assert found == [pytest.approx(pair, rel=1e-3, abs=1e-9) for pair in recomputed.half_widths(misses)]

    @pytest.mark.parametrize("level", recomputed.STUDENT)
    @pytest.mark.parametrize("n", range(1, 60))
    def test_as_many_errors_as_promised_lie_within(self, n: int, level: Fraction) -> None:
        width = recomputed.half_width([float(error) for error in range(1, n + 1)], level)

        assert sum(error <= width for error in range(1, n + 1)) >= min(n, math.ceil((n + 1) * level))

    def test_left_out_windows_lie_within_as_often_as_promised(self, shared_data: Path) -> None:
        """Each window against all others of its job. The ranks make this nearly certain; the next test does not."""
        found = [held_of(out, others_of(truth, out)) for truth in truths(shared_data) for out in truth.windows]
        counted, of_80, of_90, delivered = map(sum, zip(*found, strict=True))

        assert 0.75 <= of_80 / counted <= 0.86
        assert 0.86 <= of_90 / counted <= 0.96
        assert delivered / counted < 0.65

    def test_windows_lie_within_what_was_known_before_them(self, shared_data: Path) -> None:
        """Each window against those of its job that had ended before it began, where these were five or more."""
        known = [
            (out, before)
            for truth in truths(shared_data)
            for out in truth.windows
            if len(before := [one for one in others_of(truth, out) if f"{one.end}-01" < out.months[0].day]) >= 5
        ]
        counted, of_80, of_90, delivered = map(sum, zip(*(held_of(*one) for one in known), strict=True))

        assert counted >= 100
        assert 0.75 <= of_80 / counted <= 0.90
        assert of_90 / counted >= 0.85
        assert delivered / counted < 0.65


def truths(shared_data: Path) -> list[Truth]:
    """One job for each set of past forecasts: the two potash jobs share theirs."""
    return [loaded(shared_data / "sybilion-jobs" / name).truth for name in JOBS if name != "potash-recency-10"]


def others_of(truth: Truth, out: PastForecast) -> list[Window]:
    given = read_backtest_trajectories(truth.raw["backtest_trajectories.json"])
    return [window for window in given if window.start != out.months[0].day[:7]]


def held_of(out: PastForecast, others: list[Window]) -> tuple[int, int, int, int]:
    """The months of a window, and how many lay within 80 and 90 % bands of the others' errors, and as delivered."""
    pairs = list(zip(out.months, package_half_widths(others), strict=True))
    of_80 = sum(abs(month.miss) <= width.of_80 for month, width in pairs)
    return len(pairs), of_80, sum(abs(month.miss) <= width.of_90 for month, width in pairs), out.held_80
