"""The sections of a report as text; `report` puts them together."""

import math
from collections.abc import Sequence

from sybilion_mcp.contract.months import month_index, month_of
from sybilion_mcp.explain import drivers as driver_groups
from sybilion_mcp.explain import forecast as months_ahead
from sybilion_mcp.explain.backtest import FEW_WINDOWS, SAME, Skill, WindowScore
from sybilion_mcp.explain.bands import RANKED, too_narrow
from sybilion_mcp.explain.drivers import DriverGroup, Drivers
from sybilion_mcp.explain.facts import Report
from sybilion_mcp.explain.forecast import Outlook
from sybilion_mcp.explain.wording import MINUS, Speech, counted, csv, percent, plain, signed, significant, step_for
from sybilion_mcp.outside import identifier, quoted

VERDICTS = {"better": "better than", "same": "about as good as", "worse": "worse than"}
_SCALE_OF_MASE = "(1 = the mean 12-month change in the past)"
_MANY_SERIES = 10
_NO_BIAS = 0.1  # of the mean absolute error


def heading(report: Report) -> str:
    """The title and one line on the job: who, from when, what it cost, what is past."""
    facts, outlook = report.facts, report.outlook
    parts = [f"job {identifier(facts.job_id)}", facts.answered_by]
    if outlook.last_month:
        parts.append(f"input to {outlook.last_month}")
    if facts.settled_on:
        parts.append(f"settled {facts.settled_on}")
    parts.append(facts.cost or "cost not known")
    read = month_of(month_index(report.today))
    return f"# {quoted(facts.title or 'untitled', 120)}\n{', '.join(parts)}. Read in {read}."


def opening(report: Report) -> str:
    """The answer first: where the series goes, how such forecasts did, what the model leaned on."""
    sentences = [months_ahead.path(report.outlook, report.unit), how_sure(report.skill)]
    if report.drivers is not None and report.drivers.groups:
        sentences.append(_strongest(report.drivers.groups, used=_drivers_used(report) is not False))
    elif report.drivers is not None and not report.drivers.series:
        embedded = report.facts.free or report.outlook.info is not None
        sentences.append("The forecast stands on the series alone." if embedded else "No external driver was found.")
    return " ".join(sentences)


def _drivers_used(report: Report) -> bool | None:
    """What the embedded engine says of itself; the hosted service does not say it."""
    return report.outlook.info.drivers_in_forecast if report.outlook.info else None


def how_sure(skill: Skill) -> str:
    """In a sentence."""
    if skill.rival is None:
        return "How good such forecasts are is not known."
    narrow = "; their bands were too narrow" if too_narrow(skill) else ""
    if skill.windows_used < FEW_WINDOWS:
        tried = "The one past forecast that can be judged was"
        tried = tried if skill.windows_used == 1 else f"The {skill.windows_used} past forecasts that can be judged were"
        return f"{tried} {VERDICTS[skill.verdict]} {skill.rival}{narrow}."
    return f"Past forecasts were {VERDICTS[skill.verdict]} {skill.rival}{narrow}."


def _strongest(groups: Sequence[DriverGroup], *, used: bool) -> str:
    """The first group, and how it stands among the others: the strongest of all may be doubtful, or one of many."""
    first = groups[0]
    link = ""
    if first.correlation is not None:
        link = f" (lag {first.lag}, correlation {signed(first.correlation).replace('-', MINUS)})"
    if first.doubts:
        link += f"; doubtful: {', '.join(first.doubts)}"
    if not used:
        return f"Most closely related, though not used, is {quoted(first.name)}{link}."
    weights = [group.importance or 0 for group in groups]
    sound = "Of the drivers without doubts the" if max(weights) > weights[0] else "The"
    alike = sum(weight == weights[0] for weight in weights[1:])
    others = f", as much on {counted(alike, 'other')}" if alike else ""
    return f"{sound} model leaned most on {quoted(first.name)}{link}{others}."


def bands_section(report: Report) -> list[str]:
    """Whether bands held, and what the recalibrated ones rest on, beside the originals."""
    outlook, lines = report.outlook, list(report.about("bands"))
    if outlook.bands == "recalibrated" and outlook.changed:
        lines.append(_recalibration(outlook))
        if outlook.any_delivered:
            lines += ["As delivered:", months_ahead.delivered_table(outlook)]
    return lines


def _recalibration(outlook: Outlook) -> str:
    """What the recalibrated bands rest on, and where they end."""
    widths = outlook.half_widths
    first, last = widths[0].errors, widths[-1].errors
    counts = counted(first, "error") if first == last else f"{counted(first, 'error')} one month ahead, {last}"
    distance = "at each distance" if first == last else f"at {counted(len(widths), 'month')}"
    text = f"They are as wide as those errors ask for (split conformal by distance, {counts} {distance})"
    text += ", and nowhere narrower than delivered." if outlook.any_delivered else "."
    if min(width.errors for width in widths) < RANKED:
        text += f" Where there are fewer than {RANKED} errors they are widened."
    if any(row.lower_80 is None for row in outlook.rows):
        text += f" Beyond {counted(len(widths), 'month')} no past error is known, so there is no band."
    return text


def skill_section(report: Report) -> list[str]:
    """The errors of the past windows in plain words, the verdict last."""
    return skill_lines(report.skill, report.unit, report.about("skill"), _SCALE_OF_MASE)


def skill_lines(skill: Skill, unit: str | None, caveats: Sequence[str], scale: str) -> list[str]:
    """`scale` says what a MASE of 1 is."""
    if skill.mae is None or skill.bias is None:
        return list(caveats)
    total = skill.windows_used + skill.windows_left_out
    left_out = f" ({skill.windows_left_out} left out for missing actuals)" if skill.windows_left_out else ""
    speech = Speech(unit)
    mae = speech.with_unit(speech.error(skill.mae))
    percent_says = skill.mape is not None and math.isfinite(skill.mape) and skill.one_sign
    mape = f", MAPE {significant(skill.mape or 0.0, 2)} %" if percent_says else ""
    mase = "" if skill.mase is None else f", MASE {significant(skill.mase, 2)} {scale}"
    return [
        f"{skill.windows_used} of {counted(total, 'past window')} count{left_out}. "
        f"Median forecast off by {mae}{mape}{mase}.",
        *against(skill),
        _bias(skill.bias, skill.mae, speech),
        *caveats,
        f"Verdict: {VERDICTS[skill.verdict]} {skill.rival}." if skill.rival else "Verdict: unknown.",
    ]


def against(skill: Skill) -> list[str]:
    rivals = {
        "seasonal naive": skill.relative_to_seasonal_naive,
        "repeating the last value": skill.relative_to_last_value,
    }
    parts = [f"against {name} {compared(ratio)}" for name, ratio in rivals.items() if ratio is not None]
    nearer = f" Nearer than {skill.rival} in {skill.windows_won} of {counted(skill.windows_used, 'window')}."
    return [f"Error {'; '.join(parts)}.{nearer}"] if parts else []


def compared(ratio: float) -> str:
    """One error against another, in words."""
    if not math.isfinite(ratio):
        return "larger, since that made none"
    if ratio >= 2:
        return f"{significant(ratio, 2)} times as large"
    text = f"{percent(abs(ratio - 1))} {'smaller' if ratio < 1 else 'larger'}"
    return f"{text}, which is no difference" if abs(ratio - 1) <= SAME else text


def _bias(bias: float, mae: float, speech: Speech) -> str:
    if abs(bias) <= _NO_BIAS * mae:
        return "The forecasts ran neither high nor low."
    return f"The forecasts ran {'high' if bias > 0 else 'low'}, by {speech.error(abs(bias), 2)} on average."


def drivers_section(report: Report, rows: int) -> list[str]:
    """The chosen groups and what they mean."""
    drivers, caveats = report.drivers, list(report.about("drivers"))
    if drivers is None or not drivers.groups:
        return caveats
    shown = driver_groups.chosen(drivers, rows)
    hidden = len(drivers.groups) - len(shown)
    more = f'{counted(hidden, "more group")} with weight: read_artifact(artifact="drivers", view="table").'
    same = " It is the same at every horizon in this job." if drivers.same_at_every_horizon else ""
    many = drivers.series >= _MANY_SERIES
    chance = f" Of {drivers.series} series, some go along with this one by chance." if many else ""
    return [
        driver_groups.table(shown),
        *([more] if hidden else []),
        *caveats,
        f"Importance says how much the model leaned on a series, not what moves this one.{same}{chance}",
        worth(report),
    ]


def worth(report: Report) -> str:
    """What is known of it: the job's own run without drivers, or another job on the series that had none."""
    info, skill = report.outlook.info, report.skill
    if info is not None and info.drivers_in_forecast and info.baseline_backtest_mae and skill.mae is not None:
        change = compared(skill.mae / info.baseline_backtest_mae)
        return f"What the drivers are worth: error against the same forecasts without them {change}."
    for other in report.others:
        if other.without_drivers and other.errors and other.errors.verdict != "unknown" and other.errors.there > 0:
            windows = f"over {counted(other.errors.windows, 'common window')}"
            change = compared(other.errors.here / other.errors.there)
            return f"What the drivers are worth: error against the driverless job below {change}, {windows}."
    if report.facts.request.get("run_baseline") is True:
        return "What the drivers are worth: compare with the driverless run that run_baseline added to the job."
    run = "a free run" if report.facts.free else "a second, paid run"
    return f"What the drivers are worth: not measured by this job; {run} with driver_limit=0 would show it."


def drivers_title(drivers: Drivers | None) -> str:
    if drivers is None or not drivers.series:
        return "Drivers"
    weightless = f"; {drivers.weightless_groups} without weight" if drivers.weightless_groups else ""
    return f"Drivers ({counted(drivers.group_count, 'group')} of {drivers.series} series{weightless})"


def windows_table(scores: tuple[WindowScore, ...], word: str = "month") -> str:
    """One past forecast a row, errors in the series' unit; the last column counts its months."""
    step = step_for(min((s.mae for s in scores if s.mae > 0), default=None), [])
    header = f"start,end,mae,mape,seasonal_naive_mae,last_value_mae,bias,held_80,held_90,{word}s"
    return csv(
        header,
        [
            [
                score.start,
                score.end,
                plain(score.mae, step),
                plain(score.mape, 0.1),
                plain(score.seasonal_naive_mae, step),
                plain(score.last_value_mae, step),
                plain(score.bias, step),
                str(score.held_80.held) if score.held_80.counted else "",
                str(score.held_90.held) if score.held_90.counted else "",
                str(score.months),
            ]
            for score in scores
        ],
    )
