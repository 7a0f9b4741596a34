"""What validate_series answers about many series for Eomer."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from mcp_types import CallToolResult

from sybilion_mcp.contract.eomer_request import DEFAULT_PREDICTION_LENGTH
from sybilion_mcp.contract.problem import Problem
from sybilion_mcp.intake.panel_table import PanelColumns
from sybilion_mcp.intake.series import Fill
from sybilion_mcp.next_step import NextStep
from sybilion_mcp.service.arguments import Options, argument_of, fixes, problem_data
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.orders import useless_options
from sybilion_mcp.service.panel_orders import refuse_useless
from sybilion_mcp.service.panels import PanelFile, PanelProfile, PanelValidation, validate_panel
from sybilion_mcp.tools.answer import answer, problem_lines

_MOST_TOLD = 12
"""Problems; each kind is counted, so that more are rare."""


async def validated(
    desk: Desk, series: Mapping[str, object] | None, fill: Fill, options: Options, said: Mapping[str, Any]
) -> CallToolResult:
    """Check many series by the rules of Eomer. `said`: the file, and how the series are to be read."""
    if "aggregate" in said:
        raise useless_options("eomer", ["aggregate"])
    refuse_useless(options)
    columns = PanelColumns(said.get("date_column"), said.get("value_column"), said.get("id_column"))
    source = PanelFile(said["file"], columns, said.get("sheet")) if "file" in said else series or {}
    found = await validate_panel(desk, source, fill=fill, options=options)
    return _answer(found, {**said, **options.given(), "backend": "eomer"}, options, desk.eomer_missing)


def _answer(found: PanelValidation, said: Mapping[str, object], options: Options, missing: str) -> CallToolResult:
    """`said`: the arguments that are to be given again, but for the numbers; `missing`: why Eomer cannot be asked."""
    told = _most_important(found.problems)
    problems = [problem_data(one) for one in told]
    lines = [_headline(found), *problem_lines(problems)]
    if len(told) < len(found.problems):
        lines.append(f"{len(found.problems) - len(told)} more problems.")
    if found.profile is not None:
        lines += _facts(found.profile)
    if missing:
        lines.append(f"Eomer cannot be asked yet: {missing}.")
    step = _submit(found, options) if found.valid else _again(found, said)
    data = {
        "valid": found.valid,
        "series_id": found.series_id,
        "problems": problems,
        "profile": asdict(found.profile) if found.profile else None,
        "next": step.data,
    }
    return answer("\n".join([*lines, step.line]), data)


def _most_important(problems: tuple[Problem, ...]) -> list[Problem]:
    """Errors come before warnings."""
    return sorted(problems, key=lambda one: one.severity == "warning")[:_MOST_TOLD]


def _headline(found: PanelValidation) -> str:
    if found.valid and found.profile is not None:
        return f"Ready for Eomer: series_id {found.series_id}, {_span(found.profile)}."
    errors = sum(one.severity == "error" for one in found.problems)
    count = "1 problem" if errors == 1 else f"{errors} problems"
    sound = f" The numbers are sound; submit them as series_id {found.series_id}." if found.series_id else ""
    return f"Not ready for Eomer: {count}.{sound}"


def _span(profile: PanelProfile) -> str:
    series = "1 series" if profile.series == 1 else f"{profile.series:,} series"
    return f"{series}, one value each {profile.period} ({profile.frequency}), {profile.start} … {profile.end}"


def _facts(profile: PanelProfile) -> list[str]:
    lengths = f"{profile.longest:,} periods"
    if profile.shortest != profile.longest:
        lengths = f"{profile.shortest:,} to {profile.longest:,} periods"
    ended = (
        f"; {profile.ended:,} end before {profile.end}, and are forecast from their own ends" if profile.ended else ""
    )
    return [
        f"Length: {lengths}{ended}.",
        f"soft_horizon counts such periods: 1 to {profile.longest_horizon:,}, else {DEFAULT_PREDICTION_LENGTH}.",
        "Nothing is measured beforehand: how good the forecast is shows in its hindcast, where the service sends one.",
    ]


def _submit(found: PanelValidation, options: Options) -> NextStep:
    asked = {"series_id": found.series_id, "soft_horizon": options.soft_horizon, "backend": "eomer"}
    return NextStep("submit_forecast", {name: value for name, value in asked.items() if value is not None})


def _again(found: PanelValidation, said: Mapping[str, object]) -> NextStep:
    """The same call with every fix; what has none is named for the caller to correct."""
    unfixable = [one for one in found.problems if one.severity == "error" and not one.fix]
    wrong = dict.fromkeys(argument_of(one.field).partition("[")[0] for one in unfixable)
    reason = [f"after correcting {' and '.join(wrong)}"] if wrong else []
    if "file" not in said:
        reason = ["with the same series", *reason]
    return NextStep("validate_series", {**said, **fixes(found.problems)}, " ".join(reason))
