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
from sybilion_mcp.explain.results import DRIVERS, WINDOWS, Results, read_results
from sybilion_mcp.explain.trust import Evidence, doubts, next_step
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
    better = compare.warning(compared)
    return Report(
        facts=results.facts,
        today=today,
        unit=unit_of(results.facts.title, _description(results.facts)),
        outlook=outlook,
        skill=results.skill,
        drivers=results.drivers,
        caveats=(
            *doubts(evidence),
            *([Caveat("others", better)] if better else []),
            *(Caveat("data", text) for name, text in results.unreadable.items() if name not in (WINDOWS, DRIVERS)),
        ),
        others=compared,
        next_step=next_step(evidence, compare.best(compared)),
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
    if view == "table":
        return f"{months_ahead.table(report.outlook)}\n{_closer_look(report, 'report')}"

    def text(caveats: int) -> str:
        lines = [sections.opening(report), months_ahead.table(report.outlook), *sections.bands_section(report)]
        lines += report.about("others", "data")[:caveats]
        return "\n".join([*lines, _closer_look(report, "report")])

    return fitted(text, len(report.about("others", "data")), _FORECAST_BYTES)


def render_drivers(report: Report, view: View = "summary", offset: int = 0) -> str:
    """The drivers alone in at most 6 KB; "table" lists every group with weight from `offset` on."""
    if view == "table" and report.drivers is not None and report.drivers.groups:
        groups = report.drivers.groups[offset:]
        return fitted(lambda rows: _driver_page(report, groups[:rows], offset), len(groups), _REPORT_BYTES)
    found = report.drivers is not None and report.drivers.groups
    step = _closer_look(report, "drivers", "table") if found else report.next_step.line

    def text(rows: int) -> str:
        title = sections.drivers_title(report.drivers)
        return "\n".join([f"{title}:", *sections.drivers_section(report, rows), step])

    return fitted(text, driver_groups.LISTED, _REPORT_BYTES)


def _driver_page(report: Report, groups: tuple[DriverGroup, ...], offset: int) -> str:
    end = offset + len(groups)
    total = len(report.drivers.groups) if report.drivers else 0
    table = driver_groups.table(groups)
    if end >= total:
        return f"{table}\n{_closer_look(report, 'report')}"
    arguments: dict[str, JSON] = {
        "job_id": identifier(report.facts.job_id),
        "artifact": "drivers",
        "view": "table",
        "offset": end,
    }
    return f"{table}\n{NextStep('read_artifact', arguments, f'for the other {total - end} groups').line}"


def render_backtest(report: Report, view: View = "summary") -> str:
    """The past errors alone in at most 6 KB; "table" has one past forecast a row."""
    skill = report.skill
    if view == "table" and skill.windows:
        step = _closer_look(report, "report")
        return fitted(
            lambda rows: f"{sections.windows_table(skill.windows[-rows:] if rows else ())}\n{step}",
            skill.windows_used,
            _REPORT_BYTES,
        )
    lines = [*sections.skill_section(report), *sections.bands_section(report)]
    step = _closer_look(report, "backtest", "table") if skill.windows else report.next_step.line
    return "\n".join([*lines, step])


def _closer_look(report: Report, artifact: str, view: str = "summary") -> str:
    arguments: dict[str, JSON] = {"job_id": identifier(report.facts.job_id), "artifact": artifact}
    if view != "summary":
        arguments["view"] = view
    return NextStep("read_artifact", arguments, "for more (free)").line


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
