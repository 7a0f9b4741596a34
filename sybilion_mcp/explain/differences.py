"""What two jobs on one series were asked differently, in the API's own names."""

from collections.abc import Iterator, Mapping, Sequence

from sybilion_mcp.explain.wording import counted
from sybilion_mcp.outside import quoted

_OPTIONS: Mapping[str, object] = {
    "soft_horizon": None,
    "hard_horizon": None,
    "recency_factor": None,
    "backtest": False,
    "strictly_positive": False,
    "run_baseline": False,
    "max_num_features": None,
    "optimization_budget": "none",
    "trend_num_classes": None,
}
"""Field of a request → what the API takes for silence; None where that is nothing, or not published."""

_FILTERS = {"regions": "regions", "categories": "categories", "limit": "driver_limit", "general_drivers": None}
"""Field of `filters` → the argument that callers know it by, where that is another."""

_NAMED_IDS = 5
_PLAIN = (str, bool, int, float)
_LARGEST = 1e9  # no option is larger


def differences(there: Mapping[str, object], here: Mapping[str, object]) -> tuple[str, ...]:
    """What two requests ask differently beside the numbers: "recency_factor 0.4 there, 1 here". `there` comes first.

    Nothing when one of them is not at hand.
    """
    if not there or not here:
        return ()
    ours, theirs = _body(here), _body(there)
    return (*_of_options(theirs, ours), *_of_filters(theirs, ours), *_of_words(theirs, ours), *_of_aux(theirs, ours))


def _body(request: Mapping[str, object]) -> Mapping[str, object]:
    inner = request.get("data")
    return inner if "timeseries" not in request and isinstance(inner, Mapping) else request


def _of_options(there: Mapping[str, object], here: Mapping[str, object]) -> Iterator[str]:
    for name, silence in _OPTIONS.items():
        yield from _differing(name, _known(there.get(name), silence), _known(here.get(name), silence))


def _of_filters(there: Mapping[str, object], here: Mapping[str, object]) -> Iterator[str]:
    theirs, ours = _part(there, "filters"), _part(here, "filters")
    for name, argument in _FILTERS.items():
        silence = False if name == "general_drivers" else None
        yield from _differing(argument or name, _known(theirs.get(name), silence), _known(ours.get(name), silence))


def _of_words(there: Mapping[str, object], here: Mapping[str, object]) -> Iterator[str]:
    theirs, ours = _part(there, "timeseries_metadata"), _part(here, "timeseries_metadata")
    for name in ("title", "description", "keywords"):
        if _known(theirs.get(name) or None, None) != _known(ours.get(name) or None, None):
            yield f"other {name}"


def _of_aux(there: Mapping[str, object], here: Mapping[str, object]) -> Iterator[str]:
    theirs, ours = _aux(there), _aux(here)
    if len(theirs) != len(ours):
        yield f"{_aux_count(theirs)} there, {len(ours) or 'none'} here"
    elif any(_apart(one, other) for one, other in zip(theirs, ours, strict=True)):
        yield "other aux_series_ids"


def _aux(request: Mapping[str, object]) -> list[Mapping[str, object]]:
    given = request.get("aux_timeseries")
    return [one for one in given if isinstance(one, Mapping)] if isinstance(given, list) else []


def _aux_count(given: Sequence[object]) -> str:
    return f"{len(given) or 'no'} aux_series_ids"


def _apart(one: Mapping[str, object], other: Mapping[str, object]) -> bool:
    """Whether two series differ in a month that both have; a later state of a series is the same series."""
    return any(_known(one[month], None) != _known(other[month], None) for month in one.keys() & other.keys())


def _differing(name: str, there: object, here: object) -> Iterator[str]:
    if there != here:
        yield f"{name} {said(there)} there, {said(here)} here"


def _known(value: object, silence: object) -> object:
    """A value as it is compared: the order of ids says nothing, and neither do an empty list and null."""
    if isinstance(value, list):
        plain = [one if isinstance(one, _PLAIN) else "?" for one in value]
        return sorted(plain, key=lambda one: (isinstance(one, str), str(one))) or silence
    if value is None:
        return silence
    return value if isinstance(value, _PLAIN) else "?"  # what no option is; requests come from outside


def said(value: object) -> str:
    """An option's value, which may be from outside, as it may stand in an answer."""
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"{value:g}" if -_LARGEST <= value <= _LARGEST else "out of range"
    if isinstance(value, list):
        more = f" and {counted(len(value) - _NAMED_IDS, 'more id')}" if len(value) > _NAMED_IDS else ""
        return f"{', '.join(said(one) for one in value[:_NAMED_IDS])}{more}"
    return quoted(str(value), 20)


def _part(request: Mapping[str, object], name: str) -> Mapping[str, object]:
    given = request.get(name)
    return given if isinstance(given, Mapping) else {}
