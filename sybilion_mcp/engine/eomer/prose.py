"""The explanation of a job as Eomer gives it: an overview, analyses done and skipped, tables and a picture."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sybilion_mcp.contract.frequency import Frequency
from sybilion_mcp.engine.eomer.explain import TOLD, Pattern, Portrait

NAMED = 5  # series that the overview and the previews tell of
ANALYSES = ("trend", "seasonality", "calendar", "hindcast")
UNKNOWN = "the embedded engine has no such analysis"

Table = Sequence[Sequence[object]]
"""A header and rows."""


@dataclass(frozen=True, slots=True)
class Told:
    """A series with what there is to tell; numbers in its own unit, `last` and `end` its last value and forecast."""

    item_id: str
    portrait: Portrait
    unit: float
    last: float
    end: float


def overview(series: Sequence[Told], grid: Frequency, periods: int) -> str:
    """The whole in a few sentences; the series whose forecasts move most come first."""
    many = len(series) > 1
    subject = f"{len(series)} series were" if many else "One series was"
    lines = [f"{subject} forecast {_count(periods, grid.word)} ahead by the embedded engine."]
    told = sorted(series, key=lambda one: (-abs(one.end - one.last) / (abs(one.last) or 1.0), one.item_id))[:NAMED]
    lines += [f"- {one.item_id}: {_about(one, grid)}" for one in told]
    if len(series) > NAMED:
        lines.append(f"- and {len(series) - NAMED} more, in the tables.")
    lines.append(_track_record(series))
    return "\n".join(lines)


def skipped(series: Sequence[Told], grid: Frequency, asked: Mapping[str, object]) -> dict[str, str]:
    """Analysis → why it was not made for any series."""
    found = {}
    if not any(one.portrait.season for one in series):
        why = (
            f"fewer than two rounds of a season were observed ({grid.alias})" if grid.seasons else "no season is usual"
        )
        found["seasonality"] = why
    if not any(one.portrait.calendar for one in series):
        found["calendar"] = "the series are too short, or their periods too long, for a calendar to show"
    if not any(one.portrait.hindcast for one in series):
        found["hindcast"] = "no series is long enough to look back as far as the forecast looks ahead"
    others = [name for name, wanted in asked.items() if wanted is True and name not in (*ANALYSES, "enabled")]
    return found | dict.fromkeys(others, UNKNOWN)


def trend_table(series: Sequence[Told]) -> Table:
    header = ("item_id", "direction", "periods", "mean_before", "mean_last")
    rows = []
    for one in series:
        trend = one.portrait.trend
        scaled = (_plain(trend.before * one.unit), _plain(trend.after * one.unit))
        rows.append((one.item_id, trend.direction, trend.periods, *scaled))
    return [header, *rows]


def pattern_table(series: Sequence[Told], name: str) -> Table:
    """`name` is season or calendar."""
    rows = []
    for one in series:
        pattern: Pattern | None = getattr(one.portrait, name)
        for label, effect in pattern.effects.items() if pattern else ():
            assert pattern is not None
            share = _plain(100 * pattern.share)
            rows.append((one.item_id, pattern.name, label, _plain(effect * one.unit), pattern.counts[label], share))
    return [("item_id", "by", "label", "effect", "observations", "share_percent"), *rows]


def hindcast_table(series: Sequence[Told]) -> Table:
    rows = []
    for one in series:
        past = one.portrait.hindcast
        if past is not None:
            repeat = "" if past.mae_repeat is None else _plain(past.mae_repeat * one.unit)
            errors = (_plain(past.mae * one.unit), _plain(past.mae_last_value * one.unit), repeat)
            rows.append((one.item_id, past.windows, *errors, past.held_80, past.counted_80))
    header = ("item_id", "windows", "mae", "mae_last_value", "mae_last_season", "held_80", "counted_80")
    return [header, *rows]


def as_csv(table: Table) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(table)
    return text.getvalue().encode()


def as_markdown(table: Table, rows: int = 2 * NAMED) -> str:
    """The first rows of a table; a cell cannot break out of it."""
    shown = [[str(cell).replace("|", "/").replace("\n", " ") for cell in row] for row in table[: rows + 1]]
    lines = [f"| {' | '.join(row)} |" for row in shown]
    more = [f"… and {len(table) - 1 - rows} more rows"] if len(table) - 1 > rows else []
    return "\n".join([lines[0], "|" + " --- |" * len(shown[0]), *lines[1:], *more])


def highlights(series: Sequence[Told], name: str, grid: Frequency) -> list[str]:
    """A sentence for each of the first series that have something to tell of an analysis."""
    told: Iterable[tuple[Told, str]] = ((one, _said(one, name, grid)) for one in series)
    return [f"{one.item_id}: {text}" for one, text in told if text][:NAMED]


def _said(one: Told, name: str, grid: Frequency) -> str:
    portrait = one.portrait
    if name == "trend":
        return _trend(one, grid)
    if name == "hindcast":
        return _hindcast(one)
    pattern = portrait.season if name == "seasonality" else portrait.calendar
    return _pattern(one, pattern) if pattern else ""


def _about(one: Told, grid: Frequency) -> str:
    ends = f"last value {_plain(one.last)}, forecast {_plain(one.end)} for the last {grid.word} ahead"
    parts = [ends, _trend(one, grid)]
    patterns = [one.portrait.season, one.portrait.calendar]
    parts += [_pattern(one, pattern) for pattern in patterns if pattern is not None and pattern.share >= TOLD]
    return "; ".join(part for part in parts if part) + "."


def _trend(one: Told, grid: Frequency) -> str:
    trend = one.portrait.trend
    if trend.periods < 2:  # two numbers are no trend
        return ""
    change = _part(one, trend.after - trend.before)
    span = _count(trend.periods, grid.word)
    return f"{trend.direction}, {change} over the last {span} against the {_count(trend.periods, grid.word)} before"


def _pattern(one: Told, pattern: Pattern) -> str:
    if pattern.share < TOLD:
        return f"the {pattern.name} explains hardly any of the movement"
    high, low = pattern.highest, pattern.lowest
    ends = f"highest at {high} ({_part(one, pattern.effects[high])}), lowest at {low} "
    ends += f"({_part(one, pattern.effects[low])})"
    movement = "movement around the trend" if pattern is one.portrait.season else "movement that the season leaves"
    return f"the {pattern.name} explains {100 * pattern.share:.0f} % of the {movement}, {ends}"


def _hindcast(one: Told) -> str:
    past = one.portrait.hindcast
    if past is None:
        return ""
    rivals = [rival for rival in (past.mae_last_value, past.mae_repeat) if rival is not None]
    beside = f"{past.mae / min(rivals):.2f} times that of the better naive forecast" if min(rivals) > 0 else "no rival"
    held = f"the 80 % band held {past.held_80} of {past.counted_80} times"
    return f"off by {_plain(past.mae * one.unit)} on average over {past.windows} past forecasts, {beside}; {held}"


def _track_record(series: Sequence[Told]) -> str:
    known = [one.portrait.hindcast for one in series if one.portrait.hindcast]
    if not known:
        return "How good such forecasts are is not known: no series is long enough to look back."
    held, counted = sum(one.held_80 for one in known), sum(one.counted_80 for one in known)
    rivals = [min(x for x in (one.mae_last_value, one.mae_repeat) if x is not None) for one in known]
    better = sum(one.mae < rival for one, rival in zip(known, rivals, strict=True))
    return (
        f"Looking back, the forecasts of {better} of {len(known)} series were better than the better naive one, and "
        f"the 80 % bands held {100 * held / counted:.0f} % of the time."
    )


def _part(one: Told, difference: float) -> str:
    """A difference as a part of the level where that makes sense, else in the unit of the series."""
    portrait = one.portrait
    if portrait.positive and portrait.level > 0:
        return f"{100 * difference / portrait.level:+.1f} %"
    return f"{difference * one.unit:+.4g}"


def _count(number: int, word: str) -> str:
    if word.startswith("period of"):
        return f"{number} {'period' if number == 1 else 'periods'} of {word.removeprefix('period of ')}"
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _plain(value: float) -> str:
    return f"{value:.6g}"
