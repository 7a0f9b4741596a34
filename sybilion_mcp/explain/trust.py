"""What speaks against relying on a forecast, and what to do next."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sybilion_mcp.contract.artifacts import PipelineInfo, Window
from sybilion_mcp.contract.months import index_of
from sybilion_mcp.contract.request import MAX_HORIZON
from sybilion_mcp.explain.backtest import Held, Skill
from sybilion_mcp.explain.drivers import LISTED, Drivers
from sybilion_mcp.explain.embedded import driver_limit, offered, tried_horizons, without_drivers
from sybilion_mcp.explain.facts import Caveat, JobFacts
from sybilion_mcp.explain.forecast import ForecastRow, Outlook
from sybilion_mcp.explain.wording import counted, significant
from sybilion_mcp.next_step import NextStep
from sybilion_mcp.outside import identifier

_SHORTFALL = 0.10  # a band that holds this much less than promised is too narrow
_FEW_WINDOWS = 5
_FEW_MONTHS = 6
_EXCESS = 0.15
_MANY_MONTHS = 24
_DISAGREE = 0.10
_STALE_MONTHS = 3
_LOWER_RECENCY = 0.2


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the doubts are looked for in; None for windows or drivers means that the job has no such file."""

    facts: JobFacts
    outlook: Outlook
    windows: Sequence[Window] | None
    skill: Skill
    metrics: Mapping[str, float]
    drivers: Drivers | None
    current_month: str

    @property
    def embedded(self) -> PipelineInfo | None:
        """What the embedded engine says of the forecast; None when the forecast is not its own."""
        return self.outlook.info or (PipelineInfo() if self.facts.free else None)


def doubts(evidence: Evidence) -> tuple[Caveat, ...]:
    """Every reason for doubt, in the order of the report."""
    return (
        *(Caveat("bands", text) for text in _about_bands(evidence)),
        *(Caveat("skill", text) for text in _about_skill(evidence)),
        *(Caveat("verdict", text) for text in _about_verdict(evidence.skill)),
        *(Caveat("drivers", text) for text in _about_drivers(evidence)),
        *(Caveat("data", text) for text in _about_data(evidence)),
    )


def _about_bands(evidence: Evidence) -> Iterator[str]:
    if evidence.outlook.bands == "none":
        yield "The forecast came without bands; how sure it is can only be told from its past errors."
    yield from _degenerate(evidence.outlook.rows)
    if too_narrow(evidence.skill):
        yield f"{held_sentence(evidence.skill)} That is too narrow to rely on."


def too_narrow(skill: Skill) -> bool:
    """Whether the past windows show bands that hold clearly less than they promise."""
    return _short_of(skill.held_80, 0.80) or _short_of(skill.held_90, 0.90)


def too_wide(skill: Skill) -> bool:
    """Whether the 80 % band held clearly more than it promised, over enough months to tell."""
    held = skill.held_80
    return held.share is not None and held.counted >= _MANY_MONTHS and held.share > 0.80 + _EXCESS


def _short_of(held: Held, promised: float) -> bool:
    return held.share is not None and held.counted >= _FEW_MONTHS and held.share < promised - _SHORTFALL


def held_sentence(skill: Skill) -> str:
    """How often the bands as delivered held in the past windows, as counted."""
    parts = [
        f"{held.held} of {held.counted} past months at {promised} % ({100 * held.share:.0f} %)"
        for promised, held in ((80, skill.held_80), (90, skill.held_90))
        if held.share is not None
    ]
    return f"The bands held {' and '.join(parts)}." if parts else "No past month had a band to check."


def _degenerate(rows: Sequence[ForecastRow]) -> Iterator[str]:
    with_80 = [row for row in rows if row.lower_80 is not None and row.upper_80 is not None]
    crossed = [row.month for row in rows if _crossed(row)]
    if crossed:
        yield f"Bands are crossed or leave out their own point forecast in {_months(crossed)}."
    empty = [row.month for row in with_80 if row.lower_80 == row.upper_80]
    if empty:
        yield f"The 80 % band has no width in {_months(empty)}."
    same = [r.month for r in with_80 if (r.lower_80, r.upper_80) == (r.lower_90, r.upper_90)]
    if same and same != empty:
        yield f"The 80 % and the 90 % band are one and the same in {_months(same)}."


def _crossed(row: ForecastRow) -> bool:
    return any(
        low is not None and high is not None and not low <= row.forecast <= high
        for low, high in ((row.lower_80, row.upper_80), (row.lower_90, row.upper_90))
    )


def _about_skill(evidence: Evidence) -> Iterator[str]:
    skill = evidence.skill
    if evidence.windows is None:
        yield "This job has no backtest: how good such forecasts are is not known."
    elif skill.windows_used == 0:
        yield "No past window can be used: each misses an actual. How good such forecasts are is not known."
    elif skill.verdict == "unknown":
        yield "The series itself is not at hand, so past errors cannot be compared with simple rivals."
    elif skill.windows_used < _FEW_WINDOWS:
        yield f"Only {counted(skill.windows_used, 'past window')} could be used: the errors are a rough guide."
    if contradiction := _contradiction(evidence.metrics, skill):
        yield contradiction


def _about_verdict(skill: Skill) -> Iterator[str]:
    if skill.verdict == "worse":
        yield f"Past forecasts of this job were worse than {skill.rival}."
    elif skill.verdict == "same":
        yield f"Past forecasts of this job were no better than {skill.rival}."


def _contradiction(metrics: Mapping[str, float], skill: Skill) -> str | None:
    """The service's own MAPE and MASE, where they do not follow from the windows delivered beside them."""
    pairs = (("MAPE", skill.mape, " %"), ("MASE", skill.mase, ""))
    wrong = [
        f"{name} {significant(metrics[name])}{unit} (recomputed {significant(value)}{unit})"
        for name, value, unit in pairs
        if value is not None and name in metrics and abs(metrics[name] - value) > _DISAGREE * value
    ]
    if not wrong:
        return None
    return f"The service reports {' and '.join(wrong)}, which is not what its own windows show."


def _about_drivers(evidence: Evidence) -> Iterator[str]:
    drivers = evidence.drivers
    if drivers is None:
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
    request = evidence.facts.request
    if evidence.embedded is not None:
        return without_drivers(evidence.embedded, request)
    found = "No external driver was found: the forecast rests on the series alone."
    if driver_limit(request) == 0:
        return f"{found} None was asked for (driver_limit=0)."
    recency = request.get("recency_factor")
    tried = f" (here {recency:g})" if isinstance(recency, int | float) else ""
    return f"{found} A lower recency_factor{tried} may find some; it makes the run longer and dearer."


def _about_data(evidence: Evidence) -> Iterator[str]:
    outlook = evidence.outlook
    months = len(outlook.rows)
    if outlook.past_months == months:
        yield "Every forecast month is past: this says nothing about the future."
    elif outlook.past_months:
        yield f"{outlook.past_months} of {months} forecast months are already past."
    if outlook.last_month is not None:
        age = index_of(evidence.current_month) - index_of(outlook.last_month)
        if age > _STALE_MONTHS:
            yield f"The data ended in {outlook.last_month}, {age} months ago."
    soft = evidence.facts.request.get("soft_horizon")
    asked = soft if isinstance(soft, int) and months < soft <= MAX_HORIZON else None
    if evidence.embedded is not None:
        if told := tried_horizons(evidence.embedded, asked, months):
            yield told
    elif asked:
        yield f"{asked} months were asked for, {months} delivered: the service stepped down to a shorter horizon."


def _months(months: Sequence[str]) -> str:
    return months[0] if len(months) == 1 else f"{len(months)} months ({months[0]} to {months[-1]})"


def next_step(evidence: Evidence) -> NextStep:
    """One call: newer data, or a run that has what this one lacks, otherwise a closer look."""
    if evidence.outlook.past_months == len(evidence.outlook.rows):
        return NextStep("validate_series", {}, "with the latest months: every forecast month is past (free)")
    changes: dict[str, object] = {}
    reasons = []
    if evidence.windows is None:
        changes["backtest"] = True
        reasons.append("to learn how good such forecasts are")
    if _may_find_drivers(evidence):
        reasons.append(_find_drivers(evidence, changes))
    if evidence.skill.verdict == "worse" and not evidence.facts.free:
        changes["backend"] = "local"
        reasons.append(f"to try the embedded engine (free), since {evidence.skill.rival} did better than this")
    if reasons:
        paid = not evidence.facts.free and changes.get("backend") != "local"
        with_it = "" if "series_id" in evidence.facts.again else "with its series "
        reason = with_it + " and ".join(reasons) + (" (costs money)" if paid else "")
        return NextStep("submit_forecast", {**evidence.facts.again, **changes}, reason)
    many = evidence.drivers is not None and len(evidence.drivers.groups) > LISTED
    look = {"job_id": identifier(evidence.facts.job_id), "artifact": "drivers" if many else "backtest"}
    return NextStep("read_artifact", {**look, "view": "table"}, "for more (free)")


def _may_find_drivers(evidence: Evidence) -> bool:
    """Whether there are none and asking otherwise may bring some; what the embedded engine tried, it need not again."""
    request = evidence.facts.request
    if evidence.drivers is None or evidence.drivers.series or driver_limit(request) == 0:
        return False
    return evidence.embedded is None or offered(evidence.embedded, request) == (0, 0)


def _find_drivers(evidence: Evidence, changes: dict[str, object]) -> str:
    recency = evidence.facts.request.get("recency_factor")
    if evidence.embedded is None and isinstance(recency, int | float) and recency > 0:
        changes["recency_factor"] = _LOWER_RECENCY if recency > _LOWER_RECENCY else 0.0
        return "to look for drivers"
    return "with aux_series_ids of series that may lead this one"
