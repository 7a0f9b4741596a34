"""What the embedded engine says of its own forecasts: what became of the driver series, and which horizons it tried."""

from collections.abc import Mapping, Sequence

from sybilion_mcp.contract.pipeline_info import PipelineInfo
from sybilion_mcp.outside import quoted

_ALONE = "the forecast stands on the series alone"
_NAMED = 3
_HOW = (
    "To offer some: aux_series_ids of series that may lead this one; or the user runs `sybilion-mcp drivers add FILE`, "
    "and the same request goes again with resubmit=true (free)."
)


def offered(info: PipelineInfo, request: Mapping[str, object]) -> tuple[int, int]:
    """How many driver series came with the request, and how many the driver folder offered beside them."""
    aux = request.get("aux_timeseries")
    own = 0 if driver_limit(request) == 0 or not isinstance(aux, list) else len(aux)
    return own, max((info.candidates_offered or 0) - own, 0)


def driver_limit(request: Mapping[str, object]) -> object:
    filters = request.get("filters")
    return filters.get("limit") if isinstance(filters, Mapping) else None


def without_drivers(info: PipelineInfo, request: Mapping[str, object]) -> str:
    """Why a forecast of the embedded engine has no drivers, and how it may get some."""
    if driver_limit(request) == 0:
        return f"No driver was asked for (driver_limit=0): {_ALONE}."
    own, folder = offered(info, request)
    folder_tried = max(folder - len(info.candidates_too_short) - len(info.candidates_same_as_series), 0)
    tried, filtered = own + folder_tried, _filtered_out(info, request)
    if not tried and filtered:
        return f"No driver series was tried: {_ALONE}.{filtered}"
    not_tried = _not_tried(info) + filtered
    if not tried:
        none = "could be tried" if not_tried else "was offered"
        return f"No driver series {none}: {_ALONE}.{not_tried} {_HOW}"
    was, is_ = ("was", "is") if tried == 1 else ("were", "are")
    why = "did not lower the error of past forecasts"
    if info.driverless_fallback:
        why = f"{is_} not used, as no horizon met the quality rule"
    return f"{_sources(own, folder_tried)} {was} tried and {why}: {_ALONE}.{not_tried}"


def _sources(own: int, folder: int) -> str:
    parts = [(own, "given with the request"), (folder, "of the driver folder")]
    found = [(number, where) for number, where in parts if number]
    if len(found) == 1:
        return f"{found[0][0]} driver series {found[0][1]}"
    return f"{own + folder} driver series ({', '.join(f'{number} {where}' for number, where in found)})"


def _not_tried(info: PipelineInfo) -> str:
    reasons = {
        "for too few months in common or an end long ago": info.candidates_too_short,
        "being this series itself": info.candidates_same_as_series,
    }
    return "".join(f" Not tried, {why}: {_named(names)}." for why, names in reasons.items() if names)


def _filtered_out(info: PipelineInfo, request: Mapping[str, object]) -> str:
    """The request's filters where none of the driver folder passed them, otherwise nothing."""
    filters = request.get("filters")
    if info.candidates_offered is None or offered(info, request)[1] or not isinstance(filters, Mapping):
        return ""
    asked = [f"{name}={_ids(ids)}" for name in ("regions", "categories") if isinstance(ids := filters.get(name), list)]
    wanted = ", ".join(one for one in asked if not one.endswith("[]"))
    if not wanted:
        return ""
    return (
        f" The filters ({wanted}) let none of the driver folder through; `sybilion-mcp drivers list` shows the ids of "
        "what is in it."
    )


def _ids(given: Sequence[object]) -> str:
    ids = [str(one) for one in given if type(one) is int]
    return f"[{', '.join(ids[:_NAMED])}{', …' if len(ids) > _NAMED else ''}]"


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{', '.join(quoted(name, 40) for name in names[:_NAMED])}{more}"


def tried_horizons(info: PipelineInfo, asked: int | None, months: int) -> str | None:
    """Why the forecast is shorter than `asked`, or none of its horizons was good; None when neither is the case."""
    shorter = f"{asked} months were asked for, {months} delivered" if asked and months < asked else ""
    measured = _measured(info)
    if info.driverless_fallback:
        begin = f"{shorter}, and no horizon" if shorter else "No horizon"
        return (
            f"{begin} met the engine's quality rule{f': {measured}' if measured else ''}. This is the run without "
            "drivers at the lowest horizon asked for; a naive forecast was the better guide so far."
        )
    if not shorter:
        return None
    if not measured:
        return f"{shorter}: the engine stepped down to a shorter horizon."
    return f"{shorter}: {measured}, more than the engine's quality rule allows."


def _measured(info: PipelineInfo) -> str:
    """The past errors at the horizons that were not good enough."""
    failed = [(rung.horizon, rung.relative_error) for rung in info.ladder if not rung.good]
    errors = [error for _, error in failed if error is not None]
    if not errors:
        return ""
    first, last = min(horizon for horizon, _ in failed), max(horizon for horizon, _ in failed)
    ahead = f"{first} months" if first == last else f"{first} to {last} months"
    low, high = f"{min(errors):.2f}", f"{max(errors):.2f}"
    times = low if low == high else f"{low} to {high}"
    when = f"at {ahead} past forecasts, over more years than the backtest,"
    return f"{when} had {times} times the error of the better naive one"
