"""How good past forecasts of a job of Eomer were, of one series and of many together."""

import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from sybilion_mcp.explain.backtest import FEW_WINDOWS, Held, Skill, judge, verdict_of
from sybilion_mcp.explain.bands import held_sentence, too_narrow, too_wide
from sybilion_mcp.explain.eomer.results import Results
from sybilion_mcp.explain.eomer.wording import several
from sybilion_mcp.explain.forecast import Outlook, flaws
from sybilion_mcp.explain.sections import VERDICTS, compared
from sybilion_mcp.explain.wording import counted, significant

NO_HINDCAST = "This job has no hindcast: how good such forecasts are is not known."


def skills_of(results: Results) -> Mapping[int, Skill]:
    """Place in the table → what its past forecasts say, for the series that have some that count."""
    found: dict[int, Skill] = {}
    for place, one in enumerate(results.table.series, 1):
        past = results.past(one.item_id)
        skill = judge(past, results.history(one.item_id), results.periods.grid) if past else None
        if skill is not None and skill.windows_used:
            found[place] = skill
    return found


def pooled(skills: Sequence[Skill]) -> Skill:
    """All of them as one: what has a unit is None, what is relative is that of the middle series."""
    seasonal = _middle([one.relative_to_seasonal_naive for one in skills])
    last = _middle([one.relative_to_last_value for one in skills])
    verdict, rival = verdict_of(seasonal, last)
    return Skill(
        windows=tuple(window for one in skills for window in one.windows),
        windows_left_out=sum(one.windows_left_out for one in skills),
        mae=None,
        mape=None,
        mase=_middle([one.mase for one in skills]),
        relative_to_seasonal_naive=seasonal,
        relative_to_last_value=last,
        bias=None,
        held_80=_together([one.held_80 for one in skills]),
        held_90=_together([one.held_90 for one in skills]),
        verdict=verdict,
        rival=rival,
        windows_won=sum(one.windows_won for one in skills),
        one_sign=True,
    )


def _middle(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def _together(counts: Sequence[Held]) -> Held:
    return Held(sum(one.held for one in counts), sum(one.counted for one in counts))


def many_lines(skills: Sequence[Skill], all_together: Skill, total: int, word: str) -> list[str]:
    """What the past forecasts of many series say together, the verdict last."""
    if not skills:
        return [NO_HINDCAST]
    judged = [one for one in skills if one.rival is not None]
    windows = several(all_together.windows_used, "past forecast")
    lines = [f"{windows} of {len(skills):,} of {total:,} series count."]
    against = {
        "seasonal naive": all_together.relative_to_seasonal_naive,
        "repeating the last value": all_together.relative_to_last_value,
    }
    parts = [f"against {name} {compared(ratio)}" for name, ratio in against.items() if ratio is not None]
    if parts:
        better = sum(one.verdict == "better" for one in judged)
        worse = sum(one.verdict == "worse" for one in judged)
        lines.append(f"Error of the middle series {'; '.join(parts)}.")
        lines.append(
            f"Against the better of the two, {better:,} series did better, {worse:,} worse, "
            f"{len(judged) - better - worse:,} about as well."
        )
    lines += band_lines(None, all_together, word)
    verdict = f"{VERDICTS[all_together.verdict]} {all_together.rival}" if all_together.rival else "unknown"
    return [*lines, f"Verdict, of the middle series: {verdict}."]


def doubts_of(results: Results, skill: Skill) -> Iterator[str]:
    """What limits the use of past forecasts of one series."""
    if not skill.windows_used:
        yield NO_HINDCAST if not results.windows else "No past forecast of it can be judged."
    elif skill.verdict == "unknown":
        yield "The series itself is not at hand, so past errors cannot be compared with simple rivals."
    elif skill.windows_used < FEW_WINDOWS:
        yield f"Only {counted(skill.windows_used, 'past forecast')} could be used: the errors are a rough guide."


def band_lines(outlook: Outlook | None, skill: Skill, word: str) -> list[str]:
    """Whether bands came and held; without an outlook, of many series together."""
    lines: list[str] = []
    defects: list[str] = []
    if outlook is not None:
        if not outlook.any_delivered:
            lines.append("The forecast came without an 80 % band.")
        defects = list(flaws(outlook.delivered, word))
    narrow = too_narrow(skill)
    judged = " That is too narrow to rely on." if narrow else ""
    if not narrow and not defects and too_wide(skill):
        judged = " They were wider than they had to be."
    lines += defects
    if skill.held_80.counted or skill.held_90.counted:
        lines.append(f"{held_sentence(skill, word)}{judged}")
    if outlook is not None and outlook.bands == "recalibrated" and outlook.changed:
        widths = outlook.half_widths
        lines.append(
            "The bands shown are recalibrated from the errors of these past forecasts (split conformal by distance, "
            f"{counted(widths[0].errors, 'error')} at the first step), and nowhere narrower than delivered."
        )
    return lines


def finite_ratio(ratio: float | None) -> str:
    """A ratio as a cell."""
    if ratio is None or not math.isfinite(ratio):
        return ""
    return significant(ratio, 3)
