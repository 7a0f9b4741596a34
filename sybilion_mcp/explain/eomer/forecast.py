"""The forecast of a job of Eomer: of one series step by step, of many by the size of their moves."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from sybilion_mcp.explain.backtest import Skill
from sybilion_mcp.explain.eomer.ahead import Move, One, look_at, moves
from sybilion_mcp.explain.eomer.doubts import caveats
from sybilion_mcp.explain.eomer.past import band_lines, pooled, skills_of
from sybilion_mcp.explain.eomer.results import Results
from sybilion_mcp.explain.eomer.tables import delivered_csv, levels_csv, moves_csv, moves_data, steps_csv, steps_data
from sybilion_mcp.explain.eomer.wording import fitting, following, reading, several, without_none
from sybilion_mcp.explain.forecast import path
from sybilion_mcp.explain.sections import how_sure
from sybilion_mcp.explain.told import Asked, Told
from sybilion_mcp.explain.units import unit_of
from sybilion_mcp.explain.wording import finite

TOP = 10
"""Series whose moves are told first."""
MOVE = (
    "move = change from the last value to the last step ÷ the mean change over as many periods in the series' own "
    "past: 1 is usual, whatever its scale; empty where that past is not known."
)


def unit(results: Results) -> str | None:
    """Of one series; a title says nothing of the units of many."""
    return unit_of(results.facts.title, "") if results.alone else None


def opening(results: Results, one: One) -> str:
    """Where one series goes, and how such forecasts did."""
    return f"{path(one.outlook, unit(results), results.periods.grid.at)} {how_sure(one.skill)}"


def opening_of_many(results: Results, ranked: Sequence[Move], together: Skill) -> str:
    known = [(one.last_value, one.step.forecast) for one in ranked if one.last_value is not None]
    higher = sum(forecast > last for last, forecast in known)
    lower = sum(forecast < last for last, forecast in known)
    table = results.table.series
    steps = sorted({len(one.steps) for one in table})
    ahead = several(steps[0], "step") if len(steps) == 1 else f"{steps[0]} to {steps[-1]} steps"
    ends = sorted({results.periods.written(one.steps[-1].timestamp) for one in table})
    until = ends[0] if len(ends) == 1 else f"{ends[0]} to {ends[-1]}"
    goes = f"{higher:,} end higher than their last value, {lower:,} lower" if known else "last values are not known"
    return f"{len(table):,} series, {ahead} ahead, until {until}: {goes}. {how_sure(together)}"


def steps_told(results: Results, place: int, asked: Asked, today: date) -> Told:
    """One series: the answer in a sentence, its steps, and whether its bands held; from `offset` on the steps alone."""
    one = look_at(results, place, today)
    chosen, total = asked.of(len(one.steps)), len(one.steps)
    first = asked.view == "summary" and not asked.offset
    known = caveats(results, today) if first and results.alone else ()

    def render(rows: int) -> Told:
        shown = chosen[:rows]
        end = shown[-1] + 1 if shown else total
        step = reading(results, "report" if results.alone else "forecast")
        if end < total:
            step = following(results, asked, end, f"of {total:,} steps")
        table = levels_csv if asked.view == "table" else steps_csv
        lines = [table(one, results.periods, shown)]
        if first:
            lines = [opening(results, one), *lines, *band_lines(one.outlook, one.skill, results.periods.grid.word)]
            lines += _as_delivered(results, one, shown)
        data = {
            "last_value": finite(one.outlook.last_value),
            "forecast": steps_data(one, results.periods, shown),
            "bands": one.outlook.bands,
            "caveats": list(known) if first else None,
            "total": total,
            "next_offset": end if end < total else None,
        }
        return Told("\n".join([*lines, *known, step.line]), without_none(data), step)

    return fitting(render, len(chosen))


def _as_delivered(results: Results, one: One, shown: range) -> list[str]:
    if not (one.outlook.bands == "recalibrated" and one.outlook.changed and one.outlook.any_delivered):
        return []
    return ["As delivered:", delivered_csv(one, results.periods, shown)]


def moves_told(results: Results, asked: Asked) -> Told:
    """The series by the size of their moves: first the largest, then page after page all the others."""
    ranked = moves(results)
    first = asked.view == "summary" and not asked.offset
    if first:
        asked = replace(asked, limit=asked.limit or TOP)
    chosen, total = asked.of(len(ranked)), len(ranked)
    together = pooled(list(skills_of(results).values())) if first else None

    def render(rows: int) -> Told:
        shown = chosen[:rows]
        page = [ranked[place] for place in shown]
        end = shown[-1] + 1 if shown else total
        step = reading(results, "report")
        if end < total:
            rest = replace(asked, view="table", limit=None if first else asked.limit)
            step = following(results, rest, end, f"of {total:,} series")
        lines = [moves_csv(page)]
        if together is not None:
            lines = [opening_of_many(results, ranked, together), "The largest moves:", *lines, MOVE]
        lines.append("One series, step by step: artifact=forecast/#NO, or forecast/ and its item_id.")
        data = {"series": moves_data(page), "total": total, "next_offset": end if end < total else None}
        return Told("\n".join([*lines, step.line]), without_none(data), step)

    return fitting(render, len(chosen))
