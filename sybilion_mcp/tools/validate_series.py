"""validate_series: everything that is wrong with a series, before it costs anything."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any

from mcp.server.mcpserver import Context
from mcp_types import CallToolResult
from pydantic import BaseModel, Field

from sybilion_mcp.hints import Refusal
from sybilion_mcp.intake.profile import describe as describe_profile
from sybilion_mcp.intake.series import Aggregate, Fill
from sybilion_mcp.next_step import NextStep
from sybilion_mcp.service.arguments import Options, argument_of, fixes, problem_data
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.spend import Expectation, duration, euros, expected_for
from sybilion_mcp.service.triage import Triage, advice, evidence
from sybilion_mcp.service.validate import FileSource, Validation, validate
from sybilion_mcp.tools.answer import answer, answering, problem_lines
from sybilion_mcp.tools.parameters import (
    Backend,
    Description,
    HardHorizon,
    Keywords,
    Next,
    Series,
    SoftHorizon,
    StrictlyPositive,
    Title,
)

_SILENCE = (("aggregate", "none"), ("fill", "none"))


class Problem(BaseModel):
    code: str
    field: str
    message: str
    months: list[str] | None = None
    fix: dict[str, Any] | None = None
    severity: str | None = None


class Answer(BaseModel):
    valid: bool
    series_id: str | None = None
    problems: list[Problem]
    profile: dict[str, Any] | None = None
    allowed_horizons: list[int] | None = None
    triage: dict[str, Any] | None = None
    next: Next


@answering
async def validate_series(
    ctx: Context[Desk, Any],
    series: Series = None,
    file: Annotated[str | None, Field(description="CSV, Excel or Parquet.")] = None,
    date_column: Annotated[str | None, Field(description="If not obvious.")] = None,
    value_column: Annotated[str | None, Field(description="If not obvious.")] = None,
    sheet: Annotated[str | None, Field(description="Excel only.")] = None,
    aggregate: Annotated[Aggregate, Field(description="To months: mean prices, sum sales.")] = "none",
    fill: Annotated[Fill, Field(description="Only if the user agrees.")] = "none",
    soft_horizon: SoftHorizon = None,
    hard_horizon: HardHorizon = None,
    title: Title = None,
    description: Description = None,
    keywords: Keywords = None,
    strictly_positive: StrictlyPositive = None,
    id_column: Annotated[str | None, Field(description="Of many series.")] = None,
    backend: Backend = None,
) -> Annotated[CallToolResult, Answer]:
    """Check a series and its options: all problems at once, with fixes. Free.

    Monthly, unless for eomer. When sound: a series_id to submit. Also for drivers.
    """
    if (series is None) == (file is None):
        raise Refusal(
            "invalid_argument",
            "Give either series or file." if series is None else "Give series or file, not both.",
            "series is an object of date to number; file is a path inside an allowed folder.",
        )
    options = Options(
        title=title,
        description=description,
        keywords=keywords,
        soft_horizon=soft_horizon,
        hard_horizon=hard_horizon,
        strictly_positive=strictly_positive,
    )
    desk = ctx.request_context.lifespan_context
    read = {"file": file, "date_column": date_column, "value_column": value_column, "sheet": sheet}
    read |= {"id_column": id_column, "aggregate": aggregate, "fill": fill}
    said = {name: value for name, value in read.items() if value is not None and (name, value) not in _SILENCE}
    if (backend or desk.settings.default_backend) == "eomer":
        from sybilion_mcp.tools.panel_answer import validated  # most servers never need it

        return await validated(desk, series, fill, options, said)
    if id_column is not None:
        raise _only_for_eomer()
    source = FileSource(file, date_column, value_column, sheet) if file is not None else series or {}
    found = await validate(desk, source, aggregate=aggregate, fill=fill, options=options)
    # Where paying is the default, the free engine has to be named to be meant.
    settings = desk.settings
    free_first = settings.default_backend != "local"
    step = _submit(found, options, free_first) if found.valid else _again(found, {**said, **options.given()})
    advised = found.triage is not None and found.triage.recommendation == "pay for the forecast"
    paid = await expected_for(desk, "sybilion", None) if advised or settings.api_token is not None else None
    return _render(found, step, paid, _on_eomer(found, desk.eomer_missing))


def _only_for_eomer() -> Refusal:
    hint = "Leave id_column out: one monthly series is read here. Eomer takes many series at once."
    return Refusal("invalid_argument", 'Only backend="eomer" takes id_column.', hint, changes={"backend": "eomer"})


def _render(found: Validation, step: NextStep, paid: Expectation | None, hints: Sequence[str]) -> CallToolResult:
    problems = [problem_data(one) for one in found.problems]
    lines = [_headline(found), *problem_lines(problems)]
    if found.profile:
        lines.append(describe_profile(found.profile))
    if found.triage:
        lines += _triage_lines(found.triage, paid)
    lines += [*hints, step.line]
    data = {
        "valid": found.valid,
        "series_id": found.series_id,
        "problems": problems,
        "profile": asdict(found.profile) if found.profile else None,
        "allowed_horizons": list(found.allowed_horizons),
        "triage": _triage_data(found.triage) if found.triage else None,
        "next": step.data,
    }
    return answer("\n".join(lines), data)


def _on_eomer(found: Validation, missing: str) -> list[str]:
    """Where the dates are regular, only not monthly, that they could be taken as they are."""
    kinds = [one.code.removesuffix("_data") for one in found.problems if one.code in ("daily_data", "weekly_data")]
    apart = any(one.code == "missing_month" and "months apart" in one.message for one in found.problems)
    kinds += ["such"] if apart else []
    needs = f" ({missing})" if missing else ""
    return [f'Or leave them as they are: backend="eomer" forecasts {kind} data{needs}.' for kind in kinds]


def _triage_lines(found: Triage, paid: Expectation | None) -> list[str]:
    """What was measured, what paying costs where that is possible or advised, and the advice."""
    lines = [evidence(found)]
    if paid is not None:
        lines.append(f"A paid forecast with outside drivers took {duration(paid)} and {euros(paid)} ({paid.basis}).")
    return [*lines, advice(found)]


def _triage_data(found: Triage) -> dict[str, object]:
    """The figures to four digits; past errors carry no more."""
    figures = asdict(found).items()
    return {name: float(f"{value:.4g}") if isinstance(value, float) else value for name, value in figures}


def _headline(found: Validation) -> str:
    horizons = _ranges(found.allowed_horizons)
    if found.valid and found.profile:
        months = found.profile.length + found.profile.gaps  # the gaps are filled by now
        span = f"{months} months {found.profile.start} … {found.profile.end}"
        return f"Ready: series_id {found.series_id}, {span}, horizons {horizons}."
    errors = [one for one in found.problems if one.severity == "error"]
    fixable = len([one for one in errors if one.fix])
    count = "1 problem" if len(errors) == 1 else f"{len(errors)} problems"
    mendable = found.series_id and not any(one.field.startswith("timeseries") and not one.fix for one in errors)
    sound = f" The numbers are sound; submit them as series_id {found.series_id}." if mendable else ""
    if fixable == len(errors):
        return f"Not ready: {count}, to be fixed by the arguments named.{sound}"
    if fixable:
        return f"Not ready: {count}, {fixable} of them can be fixed by the arguments named.{sound}"
    return f"Not ready: {count}. Correct what is named and call again.{sound}"


def _again(found: Validation, said: Mapping[str, object]) -> NextStep:
    """The same call with every fix; what has none is named for the caller to correct."""
    unfixable = [one for one in found.problems if one.severity == "error" and not one.fix]
    wrong = dict.fromkeys(argument_of(one.field).partition("[")[0] for one in unfixable)
    reason = [f"after correcting {' and '.join(wrong)}"] if wrong else []
    if "file" not in said:
        reason = ["with the same series", *reason]
    return NextStep("validate_series", {**said, **fixes(found.problems)}, " ".join(reason))


def _submit(found: Validation, options: Options, free_first: bool) -> NextStep:
    horizon = options.soft_horizon or (None if options.hard_horizon else max(found.allowed_horizons, default=None))
    advised = free_first and found.triage is not None and found.triage.recommendation == "forecast here"
    backend = "local" if advised else None
    asked = {"soft_horizon": horizon, "hard_horizon": options.hard_horizon, "backend": backend}
    untitled = any(one.code == "title_missing" for one in found.problems)
    return NextStep(
        "submit_forecast",
        {"series_id": found.series_id, **{name: value for name, value in asked.items() if value}},
        "with a title, unless it is a driver" if untitled else "",
    )


def _ranges(horizons: Sequence[int]) -> str:
    if not horizons:
        return "none"
    consecutive = list(range(horizons[0], horizons[-1] + 1)) == list(horizons)
    return f"{horizons[0]}–{horizons[-1]}" if consecutive else " or ".join(str(one) for one in horizons)
