"""The answers about a job of Eomer: which part of it is asked, and the report on all of it."""

from collections.abc import Callable
from datetime import date

from sybilion_mcp.explain.eomer import pages
from sybilion_mcp.explain.eomer.ahead import One, look_at, moves
from sybilion_mcp.explain.eomer.doubts import caveats
from sybilion_mcp.explain.eomer.explanation import NARROW, ROOMS, TITLE, Explanation, Room
from sybilion_mcp.explain.eomer.forecast import MOVE, TOP, moves_told, opening, opening_of_many, steps_told, unit
from sybilion_mcp.explain.eomer.past import band_lines, doubts_of, many_lines, pooled, skills_of
from sybilion_mcp.explain.eomer.results import Results, find_series
from sybilion_mcp.explain.eomer.tables import moves_csv, moves_data, skill_data, steps_csv, steps_data
from sybilion_mcp.explain.eomer.wording import MOST_BYTES, reading, several, without_none
from sybilion_mcp.explain.sections import skill_lines
from sybilion_mcp.explain.told import Asked, Told
from sybilion_mcp.explain.wording import finite
from sybilion_mcp.next_step import NextStep
from sybilion_mcp.outside import identifier, quoted

PARTS = ("report", "forecast", "drivers", "backtest", "input")
OF_ONE = ("forecast", "backtest", "input")
"""Parts that can be asked of one series of many: forecast/ITEM."""


def told(results: Results, asked: Asked, today: date) -> Told:
    """`asked` names one of `PARTS`, or one of `OF_ONE`, a slash and a series. Raises `UnknownSeries`."""
    part, slash, item = asked.artifact.partition("/")
    place = find_series(results, item) if slash else 1 if results.alone else None
    match part:
        case "drivers":
            return pages.explanation(results, asked)
        case "input":
            return pages.sent(results, place, asked)
        case "backtest":
            return pages.errors(results, asked) if place is None else pages.past(results, place, asked)
        case "forecast":
            return moves_told(results, asked) if place is None else steps_told(results, place, asked, today)
        case _:
            return _in_bounds(_Whole(results, today).told)


class _Whole:
    """A report on all of a job, of one series or of many."""

    def __init__(self, results: Results, today: date) -> None:
        self.results, self.today = results, today
        self.one = look_at(results, 1, today) if results.alone else None
        self.ranked = [] if self.one else moves(results)
        self.skills = [self.one.skill] if self.one else list(skills_of(results).values())
        self.skill = self.one.skill if self.one else pooled(self.skills)
        self.caveats = caveats(results, today)
        self.explanation = Explanation(results.explanation, results.files)

    def told(self, rows: int, parts: int, room: Room) -> Told:
        """With so many rows of the forecast, and so many parts of the explanation in so much room."""
        results, one, step = self.results, self.one, self._next()
        shown = range(min(parts, self.explanation.parts))
        blocks = [
            [_heading(results, one, self.today)],
            [opening(results, one) if one else opening_of_many(results, self.ranked, self.skill)],
            ["## Forecast", *(self._steps(one, rows) if one else self._moves(rows))],
            ["## How good such forecasts were", *self._past()],
            [f"## {TITLE}", *self.explanation.lines(shown, room)],
            ["## Caveats", *self.caveats] if self.caveats else [],
            [step.line],
        ]
        return Told("\n\n".join("\n".join(block) for block in blocks if block), self._data(rows, room), step)

    def _data(self, rows: int, room: Room) -> dict[str, object]:
        results, one = self.results, self.one
        forecast: dict[str, object] = {"series": moves_data(self.ranked[: min(rows, TOP)]), "total": len(self.ranked)}
        if one:
            steps = steps_data(one, results.periods, range(min(rows, len(one.steps))))
            forecast = {"last_value": finite(one.outlook.last_value), "forecast": steps}
        return without_none(
            {
                **forecast,
                "bands": one.outlook.bands if one else "given" if results.table.levels else "none",
                "skill": skill_data(self.skill),
                "verdict": self.skill.verdict,
                "explanation": self.explanation.data(room),
                "frequency": results.periods.alias,
                "caveats": list(self.caveats),
            }
        )

    def _steps(self, one: One, rows: int) -> list[str]:
        shown = range(min(rows, len(one.steps)))
        left = len(one.steps) - len(shown)
        more = [f'{several(left, "more step")}: read_artifact(artifact="forecast").'] if left else []
        return [steps_csv(one, self.results.periods, shown), *more]

    def _moves(self, rows: int) -> list[str]:
        return ["The largest moves:", moves_csv(self.ranked[: min(rows, TOP)]), MOVE]

    def _past(self) -> list[str]:
        results, one, word = self.results, self.one, self.results.periods.grid.word
        if one is None:
            return many_lines(self.skills, self.skill, len(results.table.series), word)
        doubts = tuple(doubts_of(results, one.skill))
        lines = skill_lines(one.skill, unit(results), doubts, results.periods.scale)
        return [*lines, *band_lines(one.outlook, one.skill, word)]

    def _next(self) -> NextStep:
        if self.one is None:
            return reading(self.results, "forecast", "for every series (free)", view="table")
        return reading(self.results, "drivers" if self.results.explanation else "forecast")


def _in_bounds(render: Callable[[int, int, Room], Told]) -> Told:
    """As much of the forecast and of the explanation as 6 KB of text hold."""
    wishes = ((rows, parts, room) for room in ROOMS for rows in (48, 24, 12, 6) for parts in (8, 5, 3, 1))
    for rows, parts, room in wishes:
        made = render(rows, parts, room)
        if len(made.text.encode()) <= MOST_BYTES:
            return made
    return _without_the_longest(render(3, 0, NARROW))


def _without_the_longest(told: Told) -> Told:
    """Whole lines are left out, the longest first, but for the title and the next step."""
    head, *lines, last = told.text.split("\n")
    while lines and len("\n".join([head, *lines, last]).encode()) > MOST_BYTES:
        lines.remove(max(lines, key=len))
    return Told("\n".join([head, *lines, last]), told.data, told.step)


def _heading(results: Results, one: One | None, today: date) -> str:
    """The title and one line on the job."""
    facts = results.facts
    parts = [f"job {identifier(facts.job_id)}", facts.answered_by]
    if results.periods.alias:
        series = "" if one else f"{len(results.table.series):,} series "
        parts.append(f"{series}in steps of one {results.periods.grid.word}")
    if one and one.outlook.last_month:
        parts.append(f"input to {one.outlook.last_month}")
    if facts.settled_on:
        parts.append(f"completed {facts.settled_on}")
    parts.append(facts.cost or "Eomer tells no cost")
    return f"# {quoted(facts.title or 'untitled', 120)}\n{', '.join(parts)}. Read on {today.isoformat()}."
