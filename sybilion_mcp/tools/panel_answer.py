"""What validate_series answers about many series for Eomer."""

from collections.abc import Mapping
from dataclasses import asdict

from mcp_types import CallToolResult

from sybilion_mcp.contract.eomer_request import DEFAULT_PREDICTION_LENGTH
from sybilion_mcp.contract.problem import Problem
from sybilion_mcp.next_step import NextStep
from sybilion_mcp.service.arguments import Options, argument_of, fixes, problem_data
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.panels import PanelProfile, PanelValidation
from sybilion_mcp.tools.answer import answer, problem_lines

_MOST_TOLD = 12
"""Problems; each kind is counted, so that more are rare."""


def panel_answer(found: PanelValidation, said: Mapping[str, object], options: Options, missing: str) -> CallToolResult:
    """`said`: the arguments that are to be given again, but for the numbers; `missing`: see `key_missing`."""
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


def key_missing(desk: Desk) -> str:
    """Why nothing can be submitted to Eomer; empty where it can."""
    if desk.over_http:
        return "it works where a server runs over stdio"
    return "" if desk.settings.eomer_api_key else "the user has to set EOMER_API_KEY and to restart the server"


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
