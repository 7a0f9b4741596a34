"""Rows of forecasts, of moves and of past errors: as CSV and as data."""

import math
from collections.abc import Sequence

from sybilion_mcp.contract.eomer_table import Step
from sybilion_mcp.explain.backtest import Skill
from sybilion_mcp.explain.eomer.ahead import Move, One, widest_band
from sybilion_mcp.explain.eomer.past import finite_ratio
from sybilion_mcp.explain.eomer.periods import Periods
from sybilion_mcp.explain.eomer.wording import quoted_id, shown_id, without_none
from sybilion_mcp.explain.forecast import ForecastRow
from sybilion_mcp.explain.wording import csv, finite, plain, step_for

_BANDS = ("lower_80", "upper_80", "lower_90", "upper_90")
_LARGE = 1000.0  # moves; beyond, only that they are larger is told
MOVES = "no,item_id,last_value,forecast,lower_80,upper_80,move"
ERRORS = "no,item_id,windows,mae,mase,to_seasonal_naive,to_last_value,held_80,of_80"


def steps_csv(one: One, periods: Periods, chosen: range) -> str:
    """The steps with their bands; where there is none of 80 % or 90 %, with the widest that the table holds."""
    rows = [one.outlook.rows[place] for place in chosen]
    bands, step = _bands_of(one.outlook.rows), one.outlook.step
    past = any(row.past for row in one.outlook.rows)
    other = None if bands else widest_band(_levels(one.steps))
    names = [periods.label, "forecast", *bands, *(_named(other) if other else ()), *(["past"] if past else [])]
    cells = []
    for place, row in zip(chosen, rows, strict=True):
        values = [row.forecast, *(getattr(row, name) for name in bands)]
        values += [one.steps[place].quantiles.get(level) for level in other] if other else []
        mark = ["past" if row.past else ""] if past else []
        cells.append([row.month, *(plain(value, step) for value in values), *mark])
    return csv(",".join(names), cells)


def steps_data(one: One, periods: Periods, chosen: range) -> list[dict[str, object]]:
    bands = _bands_of(one.outlook.rows)
    return [
        {
            periods.label: row.month,
            "forecast": finite(row.forecast),
            **{name: finite(getattr(row, name)) for name in bands},
            "past": row.past,
        }
        for row in (one.outlook.rows[place] for place in chosen)
    ]


def levels_csv(one: One, periods: Periods, chosen: range) -> str:
    """The steps as delivered, with every level that the table holds."""
    levels, step = _levels(one.steps), one.outlook.step
    cells = []
    for place in chosen:
        given = one.steps[place]
        values = [given.forecast, *(given.quantiles.get(level) for level in levels)]
        cells.append([periods.written(given.timestamp), *(plain(value, step) for value in values)])
    return csv(",".join([periods.label, "forecast", *(f"q{level:g}" for level in levels)]), cells)


def delivered_csv(one: One, periods: Periods, chosen: range) -> str:
    """The bands as they came, where others are shown."""
    bands = _bands_of(one.outlook.delivered)
    rows = [one.outlook.delivered[place] for place in chosen]
    cells = [[row.month, *(plain(getattr(row, name), one.outlook.step) for name in bands)] for row in rows]
    return csv(",".join([periods.label, *(f"given_{name}" for name in bands)]), cells)


def _bands_of(rows: Sequence[ForecastRow]) -> list[str]:
    return [name for name in _BANDS if any(getattr(row, name) is not None for row in rows)]


def _levels(steps: Sequence[Step]) -> list[float]:
    return sorted({level for one in steps for level in one.quantiles})


def _named(band: tuple[float, float]) -> tuple[str, str]:
    percent = f"{100 * (band[1] - band[0]):g}"
    return f"lower_{percent}", f"upper_{percent}"


def moves_csv(moves: Sequence[Move]) -> str:
    rows = []
    for one in moves:
        low, high = one.band
        width = high - low if low is not None and high is not None else None
        step = step_for(width, [value for value in (one.last_value, one.step.forecast) if value is not None])
        values = (plain(value, step) for value in (one.last_value, one.step.forecast, low, high))
        rows.append([str(one.place), quoted_id(one.item_id), *values, _size(one.size)])
    return csv(MOVES, rows)


def _size(size: float | None) -> str:
    if size is None:
        return ""
    if abs(size) >= _LARGE:
        return f"{'-' if size < 0 else ''}over {_LARGE:g}"
    return f"{size:+.2f}"


def moves_data(moves: Sequence[Move]) -> dict[str, object]:
    """Columns once, then the rows: many series in few bytes."""
    rows = [
        [
            one.place,
            shown_id(one.item_id),
            finite(one.last_value, 5),
            finite(one.step.forecast, 5),
            *(finite(value, 5) for value in one.band),
            None if one.size is None or math.isinf(one.size) else round(one.size, 2),
        ]
        for one in moves
    ]
    return {"columns": MOVES.split(","), "rows": rows}


def errors_csv(places: Sequence[tuple[int, str, Skill]]) -> str:
    rows = []
    for place, item_id, skill in places:
        step = step_for(skill.mae, [])
        ratios = (skill.mase, skill.relative_to_seasonal_naive, skill.relative_to_last_value)
        held = (str(skill.held_80.held), str(skill.held_80.counted)) if skill.held_80.counted else ("", "")
        cells = (plain(skill.mae, step), *map(finite_ratio, ratios))
        rows.append([str(place), quoted_id(item_id), str(skill.windows_used), *cells, *held])
    return csv(ERRORS, rows)


def errors_data(places: Sequence[tuple[int, str, Skill]]) -> dict[str, object]:
    rows = [
        [
            place,
            shown_id(item_id),
            skill.windows_used,
            *(finite(value, 3) for value in (skill.mae, skill.mase)),
            *(finite(value, 3) for value in (skill.relative_to_seasonal_naive, skill.relative_to_last_value)),
            skill.held_80.held,
            skill.held_80.counted,
        ]
        for place, item_id, skill in places
    ]
    return {"columns": ERRORS.split(","), "rows": rows}


def skill_data(skill: Skill) -> dict[str, object]:
    return without_none(
        {
            "windows_used": skill.windows_used,
            "windows_left_out": skill.windows_left_out,
            "mae": finite(skill.mae),
            "mape": finite(skill.mape),
            "mase": finite(skill.mase),
            "relative_to_seasonal_naive": finite(skill.relative_to_seasonal_naive),
            "relative_to_last_value": finite(skill.relative_to_last_value),
            "bias": finite(skill.bias),
            "coverage_80": finite(skill.held_80.share),
            "coverage_90": finite(skill.held_90.share),
        }
    )
