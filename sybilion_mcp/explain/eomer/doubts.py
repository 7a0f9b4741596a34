"""What speaks against relying on a forecast of Eomer, beside its past errors."""

from collections.abc import Iterator, Sequence
from datetime import date

from sybilion_mcp.explain.eomer.results import Results
from sybilion_mcp.explain.eomer.wording import quoted_id, several
from sybilion_mcp.explain.wording import counted

_NAMED = 3


def caveats(results: Results, today: date) -> tuple[str, ...]:
    said = (_about_time(results, today), _about_rows(results), _about_series(results))
    return tuple(text for texts in (*said, results.unreadable.values()) for text in texts)


def _about_time(results: Results, today: date) -> Iterator[str]:
    periods = results.periods
    ends = [one.steps[-1].timestamp for one in results.table.series]
    past = sum(periods.grid.over(end, today) for end in ends)
    if past == len(ends):
        yield "Every step of the forecast is past: this says nothing about the future."
    elif past:
        yield f"The forecasts of {past:,} of {len(ends):,} series are past."
    elif results.alone:
        steps = results.table.series[0].steps
        over = sum(periods.grid.over(step.timestamp, today) for step in steps)
        if over:
            yield f"{over} of {counted(len(steps), 'step')} {'is' if over == 1 else 'are'} already past."


def _about_rows(results: Results) -> Iterator[str]:
    table = results.table
    if table.left_out:
        yield f"{several(table.left_out, 'row')} of the forecast had no timestamp or no number and are left out."
    if table.conflicting:
        yield f"{several(table.conflicting, 'row')} told something else for a step that came before; the last counts."
    if not table.levels:
        yield "The forecast came without quantiles, so there are no bands."
    asked = results.job.prediction_length if results.job else None
    short = sum(len(one.steps) < asked for one in table.series) if asked else 0
    if short:
        yield f"{asked} steps were asked for; {short:,} of {len(table.series):,} series have fewer."


def _about_series(results: Results) -> Iterator[str]:
    if results.panel is None:
        yield "The series themselves are not at hand: last values and usual changes are not known."
        return
    if results.alone and len(results.panel.series) == 1:
        return
    told = {one.item_id for one in results.table.series}
    missing = [item_id for item_id in results.panel.series if item_id not in told]
    if missing:
        yield f"{len(missing):,} of the series sent came without a forecast: {_named(missing)}."
    unknown = [item_id for item_id in told if item_id not in results.panel.series]
    if unknown:
        yield f"{len(unknown):,} of the series with a forecast were not sent by this desk under that id."


def _named(item_ids: Sequence[str]) -> str:
    more = f" and {len(item_ids) - _NAMED:,} more" if len(item_ids) > _NAMED else ""
    return f"{', '.join(quoted_id(one) for one in item_ids[:_NAMED])}{more}"
