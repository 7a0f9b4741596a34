"""Pages about a job of Eomer that never split a row: its explanation, its past errors, and the series as sent."""

from collections.abc import Iterator
from datetime import date
from functools import partial
from itertools import islice

from sybilion_mcp.explain.backtest import Skill
from sybilion_mcp.explain.eomer.ahead import look_at
from sybilion_mcp.explain.eomer.explanation import ROOMS, TITLE, Explanation, Room
from sybilion_mcp.explain.eomer.forecast import unit
from sybilion_mcp.explain.eomer.past import NO_HINDCAST, band_lines, doubts_of, many_lines, pooled, skills_of
from sybilion_mcp.explain.eomer.results import Results
from sybilion_mcp.explain.eomer.tables import errors_csv, errors_data, skill_data
from sybilion_mcp.explain.eomer.wording import fits, fitting, following, quoted_id, reading, shown_id, without_none
from sybilion_mcp.explain.sections import skill_lines, windows_table
from sybilion_mcp.explain.told import Asked, Told
from sybilion_mcp.explain.wording import finite

_PAGE_ROWS = 400  # more than fit


def explanation(results: Results, asked: Asked) -> Told:
    """The explanation alone: all that it says in general, then its parts, page after page."""
    told = Explanation(results.explanation, results.files)
    parts = told.parts
    chosen = asked.of(parts)
    bare = asked.offset > 0

    def render(room: Room, rows: int) -> Told:
        shown = chosen[:rows]
        end = shown[-1] + 1 if shown else parts
        step = reading(results, "report")
        if end < parts:
            step = following(results, asked, end, f"of {parts} parts")
        lines = [*([] if bare else told.general(room)), *told.part_lines(shown, room)]
        data = {
            "explanation": None if bare else told.data(room),
            "parts": told.parts_data(shown, room),
            "total": parts,
            "next_offset": end if end < parts else None,
        }
        return Told("\n".join([f"{TITLE}:", *lines, step.line]), without_none(data), step)

    made = (fitting(partial(render, room), len(chosen)) for room in ROOMS)
    return next((one for one in made if fits(one)), render(ROOMS[-1], 1))


def errors(results: Results, asked: Asked) -> Told:
    """How good the past forecasts of many series were: together, then one by one in the table's order."""
    skills = skills_of(results)
    together = pooled(list(skills.values()))
    total = len(results.table.series)
    head = [] if asked.offset else many_lines(list(skills.values()), together, total, results.periods.grid.word)
    every: list[tuple[int, str, Skill]] = [
        (place, results.table.series[place - 1].item_id, skill) for place, skill in skills.items()
    ]
    chosen = asked.of(len(every))

    def render(rows: int) -> Told:
        shown = chosen[:rows]
        end = shown[-1] + 1 if shown else len(every)
        step = reading(results, "report")
        if end < len(every):
            step = following(results, asked, end, f"of {len(every):,} series")
        table = [errors_csv([every[place] for place in shown])] if shown else []
        lines = [*(head or ([] if table else [NO_HINDCAST])), *table]
        data = {
            "skill": skill_data(together),
            "verdict": together.verdict,
            "series": errors_data([every[place] for place in shown]),
            "total": len(every),
            "next_offset": end if end < len(every) else None,
        }
        return Told("\n".join([*lines, step.line]), without_none(data), step)

    return fitting(render, len(chosen))


def past(results: Results, place: int, asked: Asked) -> Told:
    """How good the past forecasts of one series were; as a table one past forecast a row."""
    one = look_at(results, place, date.max)
    if asked.view == "table" and one.skill.windows:
        return _windows(results, one.skill, asked)
    doubts = tuple(doubts_of(results, one.skill))
    lines = skill_lines(one.skill, unit(results), doubts, results.periods.scale)
    lines += band_lines(one.outlook, one.skill, results.periods.grid.word)
    step = reading(results, asked.artifact, view="table") if one.skill.windows else reading(results, "report")
    data = {"skill": skill_data(one.skill), "verdict": one.skill.verdict, "caveats": list(doubts)}
    return Told("\n".join([*lines, step.line]), data, step)


def _windows(results: Results, skill: Skill, asked: Asked) -> Told:
    chosen = asked.of(skill.windows_used)

    def render(rows: int) -> Told:
        shown = chosen[:rows]
        end = shown[-1] + 1 if shown else skill.windows_used
        step = reading(results, "report")
        if end < skill.windows_used:
            step = following(results, asked, end, f"of {skill.windows_used}")
        data = {"skill": skill_data(skill), "verdict": skill.verdict, "total": skill.windows_used}
        table = windows_table(tuple(skill.windows[place] for place in shown), "step")
        return Told(f"{table}\n{step.line}", data, step)

    return fitting(render, len(chosen))


def sent(results: Results, place: int | None, asked: Asked) -> Told:
    """The series as they were sent, one observation a row, by series and time."""
    if results.panel is None:
        step = reading(results, "report")
        text = "The series of this job are not at hand: another desk sent them, and Eomer does not give them back."
        return Told(f"{text}\n{step.line}", {}, step)
    chosen_id = results.table.series[place - 1].item_id if place is not None else None
    total = sum(1 for _ in _observations(results, chosen_id))
    chosen = asked.of(total)
    page = list(islice(_observations(results, chosen_id), chosen.start, min(chosen.stop, chosen.start + _PAGE_ROWS)))

    def render(rows: int) -> Told:
        shown = page[:rows]
        end = chosen.start + len(shown)
        step = reading(results, "report")
        if shown and end < total:
            step = following(results, asked, end, f"of {total:,} rows")
        lines = [",".join([quoted_id(one), label, f"{value:.12g}"]) for one, label, value in shown]
        data = {
            "rows": [[shown_id(one), label, finite(value, 12)] for one, label, value in shown],
            "total": total,
            "next_offset": end if shown and end < total else None,
        }
        head = f"As sent, rows {chosen.start + 1} to {end} of {total:,}:" if shown else "No rows here:"
        return Told("\n".join([head, "item_id,timestamp,value", *lines, step.line]), without_none(data), step)

    return fitting(render, len(page))


def _observations(results: Results, item_id: str | None) -> Iterator[tuple[str, str, float]]:
    assert results.panel is not None
    series = results.panel.series
    if item_id is not None:
        points = results.panel.of(item_id, alone=results.alone)
        yield from ((item_id, label, value) for label, value in points.items())
        return
    for one, points in series.items():
        yield from ((one, label, value) for label, value in points.items())
