"""From a job's artifacts to one report: as text for a model, and as data."""

from collections.abc import Mapping, Sequence
from datetime import date

from sybilion_mcp.contract.months import month_index, month_of
from sybilion_mcp.explain import compare, sections
from sybilion_mcp.explain import drivers as driver_groups
from sybilion_mcp.explain import forecast as months_ahead
from sybilion_mcp.explain.backtest import Skill
from sybilion_mcp.explain.drivers import DriverGroup
from sybilion_mcp.explain.facts import JSON, Caveat, JobFacts, Report, View
from sybilion_mcp.explain.forecast import ForecastRow, look_ahead
from sybilion_mcp.explain.next_steps import next_step
from sybilion_mcp.explain.results import DRIVERS, WINDOWS, Results, read_results
from sybilion_mcp.explain.trust import Evidence, doubts
from sybilion_mcp.explain.units import unit_of
from sybilion_mcp.explain.wording import finite, fitted
from sybilion_mcp.next_step import NextStep
from sybilion_mcp.outside import identifier

__all__ = [
    "JSON",
    "JobFacts",
    "Report",
    "View",
    "build_report",
    "render_backtest",
    "render_drivers",
    "render_forecast",
    "render_report",
    "rendered",
    "report_data",
]

_REPORT_BYTES = 6000
_FORECAST_BYTES = 4000


def build_report(
    artifacts: Mapping[str, object], facts: JobFacts, today: date, others: Sequence[Results] = ()
) -> Report:
    """`artifacts` maps file names to decoded JSON. Only forecast.json is needed; raises ArtifactError without it.

    Another file that is missing or cannot be read is said in the report's caveats and counts as missing. `others` are
    the results of other jobs on the same series.
    """
    results = read_results(artifacts, facts)
    outlook = look_ahead(results.forecast, results.history, results.windows or (), results.skill, today)
    evidence = Evidence(results, outlook, current_month=month_of(month_index(today)))
    compared = compare.compare(results, others)
    return Report(
        facts=results.facts,
        today=today,
        unit=unit_of(results.facts.title, _description(results.facts)),
        outlook=outlook,
        skill=results.skill,
        drivers=results.drivers,
        caveats=(
            *doubts(evidence),
            *(Caveat("others", text) for text in compare.warnings(compared)),
            *(Caveat("data", text) for name, text in results.unreadable.items() if name not in (WINDOWS, DRIVERS)),
        ),
        others=compared,
        next_step=next_step(evidence, compared),
    )


def _description(facts: JobFacts) -> str:
    metadata = facts.request.get("timeseries_metadata")
    description = metadata.get("description") if isinstance(metadata, Mapping) else None
    return description if isinstance(description, str) else ""


def render_report(report: Report) -> str:
    """The whole report in at most 6 KB: forecast, past errors, drivers, caveats, next step."""

    def text(rows: int) -> str:
        data = report.about("data")
        blocks = [
            [sections.heading(report)],
            [sections.opening(report)],
            ["## Forecast", months_ahead.table(report.outlook)],
            ["## How good such forecasts were", *sections.skill_section(report)],
            ["## Bands that hold", *sections.bands_section(report)],
            [f"## {sections.drivers_title(report.drivers)}", *sections.drivers_section(report, rows)],
            ["## Other jobs on this series", *compare.lines(report.others)] if report.others else [],
            ["## Caveats", *data] if data else [],
            [report.next_step.line],
        ]
        return "\n\n".join("\n".join(block) for block in blocks if block)

    return fitted(text, driver_groups.LISTED, _REPORT_BYTES)


def render_forecast(report: Report, view: View = "summary") -> str:
    """The forecast alone in at most 4 KB; "table" is the bare CSV."""
    return rendered(report, "forecast", view)[0]


def render_drivers(report: Report, view: View = "summary", offset: int = 0) -> str:
    """The drivers alone in at most 6 KB; "table" lists every group with weight from `offset` on."""
    return rendered(report, "drivers", view, offset)[0]


def render_backtest(report: Report, view: View = "summary") -> str:
    """The past errors alone in at most 6 KB; "table" has one past forecast a row."""
    return rendered(report, "backtest", view)[0]


def rendered(report: Report, artifact: str, view: View = "summary", offset: int = 0) -> tuple[str, NextStep]:
    """ "report", "forecast", "drivers" or "backtest" as text, and the next step with which that ends."""
    match artifact:
        case "forecast":
            return _forecast(report, view)
        case "drivers":
            return _driver_pages(report, offset) if view == "table" and _groups(report) else _drivers(report)
        case "backtest":
            return _backtest(report, view)
        case _:
            return render_report(report), report.next_step


def _groups(report: Report) -> tuple[DriverGroup, ...]:
    return report.drivers.groups if report.drivers else ()


def _forecast(report: Report, view: View) -> tuple[str, NextStep]:
    step = _closer_look(report, "report")
    if view == "table":
        return f"{months_ahead.table(report.outlook)}\n{step.line}", step
    caveats = report.about("others", "data")

    def text(rows: int) -> str:
        lines = [sections.opening(report), months_ahead.table(report.outlook), *sections.bands_section(report)]
        return "\n".join([*lines, *caveats[:rows], step.line])

    return fitted(text, len(caveats), _FORECAST_BYTES), step


def _drivers(report: Report) -> tuple[str, NextStep]:
    step = _closer_look(report, "drivers", "table") if _groups(report) else report.next_step

    def text(rows: int) -> str:
        title = sections.drivers_title(report.drivers)
        return "\n".join([f"{title}:", *sections.drivers_section(report, rows), step.line])

    return fitted(text, driver_groups.LISTED, _REPORT_BYTES), step


def _driver_pages(report: Report, offset: int) -> tuple[str, NextStep]:
    """As many groups from `offset` on as fit; the next step leads to the others."""
    groups = _groups(report)[offset:]

    def step(rows: int) -> NextStep:
        left = len(groups) - rows
        if left <= 0:
            return _closer_look(report, "report")
        page = {**_closer_look(report, "drivers", "table").arguments, "offset": offset + rows}
        return NextStep("read_artifact", page, f"for the other {left} groups")

    def text(rows: int) -> str:
        return f"{driver_groups.table(groups[:rows])}\n{step(rows).line}"

    page = fitted(text, len(groups), _REPORT_BYTES)
    return page, step(page.count("\n") - 1)  # a header before the rows, and the step after them


def _backtest(report: Report, view: View) -> tuple[str, NextStep]:
    skill = report.skill
    if view == "table" and skill.windows:
        step = _closer_look(report, "report")

        def text(rows: int) -> str:
            return f"{sections.windows_table(skill.windows[-rows:] if rows else ())}\n{step.line}"

        return fitted(text, skill.windows_used, _REPORT_BYTES), step
    step = _closer_look(report, "backtest", "table") if skill.windows else report.next_step
    return "\n".join([*sections.skill_section(report), *sections.bands_section(report), step.line]), step


def _closer_look(report: Report, artifact: str, view: str = "summary") -> NextStep:
    arguments: dict[str, JSON] = {"job_id": identifier(report.facts.job_id), "artifact": artifact}
    if view != "summary":
        arguments["view"] = view
    return NextStep("read_artifact", arguments, "for more (free)")


def report_data(report: Report) -> dict[str, JSON]:
    """The report as structured content: finite numbers to seven digits, null for what is not known."""
    drivers = driver_groups.chosen(report.drivers, driver_groups.LISTED) if report.drivers else ()
    return {
        "last_value": finite(report.outlook.last_value),
        "forecast": [_row_data(row) for row in report.outlook.rows],
        "bands": report.outlook.bands,
        "skill": _skill_data(report.skill),
        "verdict": report.skill.verdict,
        "drivers": [_driver_data(group) for group in drivers],
        **({"unit": report.unit} if report.unit else {}),
        **({"other_jobs": compare.data(report.others)} if report.others else {}),
        "cost_eur_cents": 0 if report.facts.free else report.facts.eur_cents_final,
        "caveats": [caveat.text for caveat in report.caveats],
    }


def _row_data(row: ForecastRow) -> JSON:
    return {
        "month": row.month,
        "forecast": finite(row.forecast),
        "lower_80": finite(row.lower_80),
        "upper_80": finite(row.upper_80),
        "lower_90": finite(row.lower_90),
        "upper_90": finite(row.upper_90),
        "past": row.past,
    }


def _skill_data(skill: Skill) -> JSON:
    return {
        "windows_used": skill.windows_used,
        "windows_left_out": skill.windows_left_out,
        "mae": finite(skill.mae),
        "mape": finite(skill.mape),
        "mase": finite(skill.mase),
        "relative_to_seasonal_naive": finite(skill.relative_to_seasonal_naive),
        "relative_to_last_value": finite(skill.relative_to_last_value),
        "bias": finite(skill.bias),
        "coverage_80": finite(skill.held_80.share),
        "coverage_90": finite(skill.held_90.share),
    }


def _driver_data(group: DriverGroup) -> JSON:
    return {
        "name": group.name,
        "importance": group.importance,
        "direction": None if group.direction is None else round(group.direction, 3),
        "lag": group.lag,
        "correlation": None if group.correlation is None else round(group.correlation, 3),
        "series": group.series,
        "doubts": list(group.doubts),
    }
