"""What the embedded engine says of a forecast of its own, read tolerantly; the API says nothing of the kind."""

from collections.abc import Iterator
from dataclasses import dataclass

from sybilion_mcp.contract.numbers import sane_number
from sybilion_mcp.contract.request import MAX_HORIZON

_MOST_SERIES = 10**6  # no folder holds as many


@dataclass(frozen=True, slots=True)
class Rung:
    """A horizon that was tried; `relative_error` is the past error ÷ that of the better naive forecast."""

    horizon: int
    relative_error: float | None
    good: bool


@dataclass(frozen=True, slots=True)
class PipelineInfo:
    """What the embedded engine says of a forecast of its own; the API says nothing of the kind.

    `candidates_offered` counts the driver series of the request and of the user's folder, also those of the folder
    that were not tried: too short, or the series itself. Their names are outside text. `baseline_backtest_mae` is
    the mean absolute error of the backtest's windows without drivers. None where it is not said.
    """

    drivers_in_forecast: bool | None = None
    driverless_fallback: bool = False
    ladder: tuple[Rung, ...] = ()
    baseline_backtest_mae: float | None = None
    candidates_offered: int | None = None
    candidates_too_short: tuple[str, ...] = ()
    candidates_same_as_series: tuple[str, ...] = ()


def read_pipeline_info(given: object) -> PipelineInfo | None:
    """What of it has the expected type; the rest counts as not said."""
    if not isinstance(given, dict):
        return None
    used, offered = given.get("drivers_in_forecast"), given.get("candidates_offered")
    return PipelineInfo(
        drivers_in_forecast=used if isinstance(used, bool) else None,
        driverless_fallback=given.get("driverless_fallback") is True,
        ladder=tuple(_rungs(_list(given.get("ladder")))),
        baseline_backtest_mae=sane_number(given.get("baseline_backtest_mae")),
        candidates_offered=offered if type(offered) is int and 0 <= offered < _MOST_SERIES else None,
        candidates_too_short=_names(given.get("candidates_too_short")),
        candidates_same_as_series=_names(given.get("candidates_same_as_series")),
    )


def _rungs(entries: list[object]) -> Iterator[Rung]:
    for entry in entries[:MAX_HORIZON]:
        horizon, good = (entry.get("horizon"), entry.get("good")) if isinstance(entry, dict) else (None, None)
        if isinstance(entry, dict) and type(horizon) is int and 1 <= horizon <= MAX_HORIZON and isinstance(good, bool):
            yield Rung(horizon, sane_number(entry.get("relative_error")), good)


def _names(value: object) -> tuple[str, ...]:
    return tuple(one for one in _list(value) if isinstance(one, str))


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
