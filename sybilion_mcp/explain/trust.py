"""What speaks against relying on a forecast."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sybilion_mcp.contract.months import index_of
from sybilion_mcp.contract.pipeline_info import PipelineInfo
from sybilion_mcp.contract.request import MAX_HORIZON
from sybilion_mcp.explain.backtest import Skill, seasonal_change
from sybilion_mcp.explain.bands import held_sentence, too_narrow, too_wide
from sybilion_mcp.explain.differences import said
from sybilion_mcp.explain.embedded import driver_limit, tried_horizons, without_drivers
from sybilion_mcp.explain.facts import Caveat
from sybilion_mcp.explain.forecast import Outlook, flaws
from sybilion_mcp.explain.results import DRIVERS, WINDOWS, Results
from sybilion_mcp.explain.wording import counted, significant

_ROUGH = 5  # windows; errors from fewer are a rough guide
_DISAGREE = 0.10
_STALE_MONTHS = 3


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the doubts are looked for in."""

    results: Results
    outlook: Outlook
    current_month: str

    @property
    def embedded(self) -> PipelineInfo | None:
        """What the embedded engine says of the forecast; None when the forecast is not its own."""
        return self.outlook.info or (PipelineInfo() if self.results.facts.free else None)


def doubts(evidence: Evidence) -> tuple[Caveat, ...]:
    """Every reason for doubt, in the order of the report."""
    return (
        *(Caveat("bands", text) for text in _about_bands(evidence)),
        *(Caveat("skill", text) for text in _about_skill(evidence)),
        *(Caveat("verdict", text) for text in _about_verdict(evidence.results.skill)),
        *(Caveat("drivers", text) for text in _about_drivers(evidence)),
        *(Caveat("data", text) for text in _about_data(evidence)),
    )


def _about_bands(evidence: Evidence) -> Iterator[str]:
    outlook, skill = evidence.outlook, evidence.results.skill
    if not outlook.any_delivered:
        yield "The forecast came without bands."
    elif any(row.lower_80 is None or row.lower_90 is None for row in outlook.delivered):
        yield "Some months came without bands."
    defects = list(flaws(outlook.delivered))
    yield from defects
    narrow = too_narrow(skill)
    judged = " That is too narrow to rely on." if narrow else ""
    if not narrow and not defects and too_wide(skill):
        judged = " They were wider than they had to be."
    if skill.held_80.counted or skill.held_90.counted:
        yield f"{held_sentence(skill)}{judged}"
    elif outlook.any_delivered:
        yield "No past month had a band to check."
    if outlook.bands == "none":
        yield "No past error tells how wide they should be."
    elif outlook.bands == "recalibrated" and outlook.changed:
        yield "The bands shown with the forecast are recalibrated from this job's own past errors."
    elif outlook.bands == "recalibrated":
        yield "Recalibrated from this job's own past errors, those of this forecast stay as delivered: wide enough."
    elif narrow:
        yield "No past error reaches as far ahead as this forecast, so its bands stay as delivered."


def _about_skill(evidence: Evidence) -> Iterator[str]:
    skill = evidence.results.skill
    if WINDOWS in evidence.results.unreadable:
        yield f"{evidence.results.unreadable[WINDOWS]} How good such forecasts are is not known."
    elif evidence.results.windows is None:
        yield "This job has no backtest: how good such forecasts are is not known."
    elif skill.windows_used == 0:
        yield "No past window can be used: each misses an actual. How good such forecasts are is not known."
    elif skill.verdict == "unknown":
        yield "The series itself is not at hand, so past errors cannot be compared with simple rivals."
    elif skill.windows_used < _ROUGH:
        yield f"Only {counted(skill.windows_used, 'past window')} could be used: the errors are a rough guide."
    if contradiction := _contradiction(evidence):
        yield contradiction


def _about_verdict(skill: Skill) -> Iterator[str]:
    if skill.verdict == "worse":
        yield f"Past forecasts of this job were worse than {skill.rival}."
    elif skill.verdict == "same":
        yield f"Past forecasts of this job were no better than {skill.rival}."


def _contradiction(evidence: Evidence) -> str | None:
    """The service's own measures beside ours where they differ, and what the numbers themselves tell of the reason."""
    metrics, skill = evidence.results.metrics, evidence.results.skill
    ours = {"MAE": skill.mae, "MAPE": skill.mape, "MASE": skill.mase}
    wrong = {
        name: value
        for name, value in ours.items()
        if value is not None and name in metrics and abs(metrics[name] - value) > _DISAGREE * value
    }
    if not wrong:
        return None
    told = [
        f"{name} {_with_unit(name, metrics[name])} (recomputed {_with_unit(name, value)})"
        for name, value in wrong.items()
    ]
    reasons = list(_reasons(metrics, "MASE" in wrong, seasonal_change(evidence.results.history)))
    why = f": {', and '.join(reasons)}" if reasons else ""
    return f"The service reports {_listed(told)}, which its own windows do not show{why}."


def _reasons(metrics: Mapping[str, float], scale_differs: bool, change: float | None) -> Iterator[str]:
    mae, rmse, mase = (metrics.get(name) for name in ("MAE", "RMSE", "MASE"))
    if mae and mae == rmse:
        yield "its RMSE equals its MAE, which errors of several months would not give"
    if scale_differs and mae and mase and change:
        scale = mae / mase
        if not change / 3 < scale < change * 3:
            usual = f"the series changes by {significant(change)} in 12 months"
            yield f"its MASE divides by {significant(scale)}, where {usual}"


def _with_unit(measure: str, value: float) -> str:
    return f"{significant(value)} %" if measure == "MAPE" else significant(value)


def _listed(parts: Sequence[str]) -> str:
    return f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else parts[0]


def _about_drivers(evidence: Evidence) -> Iterator[str]:
    drivers = evidence.results.drivers
    if DRIVERS in evidence.results.unreadable:
        yield evidence.results.unreadable[DRIVERS]
    elif drivers is None:
        yield "The job came without a list of drivers."
    elif not drivers.series:
        yield _no_drivers(evidence)
    elif not drivers.groups:
        yield "No driver carries weight: the forecast rests on the series alone."
    else:
        if evidence.outlook.info and evidence.outlook.info.drivers_in_forecast is False:
            yield "The forecast itself does not use them: they did not lower its past errors."
        if not drivers.sound:
            yield "Every driver that carries weight is doubtful."


def _no_drivers(evidence: Evidence) -> str:
    request = evidence.results.facts.request
    if evidence.embedded is not None:
        return without_drivers(evidence.embedded, request)
    found = "No external driver was found: the forecast rests on the series alone."
    if driver_limit(request) == 0:
        return f"{found} None was asked for (driver_limit=0)."
    recency = request.get("recency_factor")
    tried = f" (here {said(recency)})" if isinstance(recency, int | float) else ""
    return f"{found} A lower recency_factor{tried} may find some; it makes the run longer and dearer."


def _about_data(evidence: Evidence) -> Iterator[str]:
    outlook = evidence.outlook
    months = len(outlook.rows)
    if outlook.past_months == months:
        yield "Every forecast month is past: this says nothing about the future."
    elif outlook.past_months:
        are = "is" if outlook.past_months == 1 else "are"
        yield f"{outlook.past_months} of {months} forecast months {are} already past."
    if outlook.last_month is not None:
        wait = index_of(outlook.rows[0].month) - index_of(outlook.last_month) - 1
        if wait > 0:
            yield f"The forecast leaves out the {counted(wait, 'month')} after the data."
        age = index_of(evidence.current_month) - index_of(outlook.last_month)
        if age > _STALE_MONTHS:
            yield f"The data ended in {outlook.last_month}, {age} months ago."
    soft = evidence.results.facts.request.get("soft_horizon")
    asked = soft if isinstance(soft, int) and months < soft <= MAX_HORIZON else None
    if evidence.embedded is not None:
        if told := tried_horizons(evidence.embedded, asked, months):
            yield told
    elif asked:
        yield f"{asked} months were asked for, {months} delivered: the service stepped down to a shorter horizon."
