"""The tools' flat arguments and the API's nested request: one mapping, used in both directions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sybilion_mcp.contract.option_rules import DEFAULT_RECENCY_FACTOR
from sybilion_mcp.contract.problem import Problem
from sybilion_mcp.contract.request import PIPELINE_VERSION
from sybilion_mcp.next_step import LONGEST
from sybilion_mcp.outside import visible_json


@dataclass(frozen=True, slots=True)
class Options:
    """What a caller may say about a forecast beside the numbers. None means not said.

    Texts are kept without the white space around them, which would make the same question another one.
    """

    title: str | None = None
    description: str | None = None
    keywords: Sequence[str] | None = None
    soft_horizon: int | None = None
    hard_horizon: int | None = None
    recency_factor: float | None = None
    backtest: bool | None = None
    strictly_positive: bool | None = None
    regions: Sequence[int] | None = None
    categories: Sequence[int] | None = None
    driver_limit: int | None = None

    def __post_init__(self) -> None:
        for name, said in stripped({"title": self.title, "description": self.description}).items():
            object.__setattr__(self, name, said)
        if self.keywords is not None:
            object.__setattr__(self, "keywords", [one.strip() for one in self.keywords])

    def given(self) -> dict[str, object]:
        """Argument → value, as JSON takes it, of what was said."""
        said = ((name, getattr(self, name)) for name in self.__slots__)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in said if value is not None}


def stripped(texts: Mapping[str, str | None]) -> dict[str, str | None]:
    """The same texts without the white space around them."""
    return {name: None if text is None else text.strip() for name, text in texts.items()}


@dataclass(frozen=True, slots=True)
class PanelOptions:
    """What a caller may say about a forecast of Eomer alone. None means not said."""

    preset: str | None = None
    quantile_levels: Sequence[float] | None = None
    explainability: bool | None = None

    def given(self) -> dict[str, object]:
        """Argument → value of what was said."""
        said = ((name, getattr(self, name)) for name in self.__slots__)
        return {name: value for name, value in said if value is not None}


WIRE_FIELDS = {
    "title": "timeseries_metadata.title",
    "description": "timeseries_metadata.description",
    "keywords": "timeseries_metadata.keywords",
    "regions": "filters.regions",
    "categories": "filters.categories",
    "driver_limit": "filters.limit",
}
"""Argument of a tool → field of the API, where the two differ."""

_ARGUMENTS = {field: argument for argument, field in WIRE_FIELDS.items()} | {
    "timeseries": "series",
    "aux_timeseries": "aux_series_ids",
    "body": "series",  # nothing else that a caller passes can grow so large
    "prediction_length": "soft_horizon",
    "presets": "preset",
}


def to_body(
    points: Mapping[str, float], options: Options, aux: Sequence[Mapping[str, float]] = ()
) -> dict[str, object]:
    """The request body for a series (YYYY-MM-01 → number) and the options that were given."""
    nested: dict[str, dict[str, object]] = {"": {}, "timeseries_metadata": {}, "filters": {}}
    for argument, value in options.given().items():
        owner, _, name = WIRE_FIELDS.get(argument, argument).rpartition(".")
        nested[owner][name] = value
    return {
        "pipeline_version": PIPELINE_VERSION,
        "frequency": "monthly",
        **nested[""],
        "timeseries_metadata": nested["timeseries_metadata"],
        **({"filters": nested["filters"]} if nested["filters"] else {}),
        **({"aux_timeseries": [dict(one) for one in aux]} if aux else {}),
        "timeseries": dict(points),
    }


def options_of(body: Mapping[str, object]) -> dict[str, object]:
    """The other way round: argument → value of what a request asks for beside its title, numbers and our defaults."""
    if "prediction_length" in body:
        return _panel_options(body)
    said: dict[str, object] = {}
    for argument in Options.__slots__:
        owner, _, name = WIRE_FIELDS.get(argument, argument).rpartition(".")
        holder = body.get(owner) if owner else body
        if owner != "timeseries_metadata" and isinstance(holder, Mapping) and holder.get(name) is not None:
            said[argument] = holder[name]
    defaults = {"recency_factor": DEFAULT_RECENCY_FACTOR, "backtest": True}
    return {argument: value for argument, value in said.items() if value != defaults.get(argument)}


def _panel_options(body: Mapping[str, object]) -> dict[str, object]:
    """The same for a request to Eomer."""
    from sybilion_mcp.contract.eomer_request import DEFAULT_PRESET  # most servers never need it

    explained = body.get("explainability")
    said = {
        "soft_horizon": body["prediction_length"],
        "preset": None if body.get("presets") == DEFAULT_PRESET else body.get("presets"),
        "quantile_levels": body.get("quantile_levels"),
        "explainability": explained.get("enabled") if isinstance(explained, Mapping) else None,
    }
    return {argument: value for argument, value in said.items() if value is not None}


def argument_of(field: str) -> str:
    """The argument a caller knows a field by: `filters.regions[0]` → `regions[0]`."""
    name, bracket, rest = field.partition("[")
    return f"{_ARGUMENTS.get(name, name)}{bracket}{rest}"


def problem_data(problem: Problem) -> dict[str, object]:
    """A problem as the answers show it, in the tools' own argument names."""
    data: dict[str, object] = {
        "code": problem.code,
        "field": argument_of(problem.field),
        "message": problem.message,
    }
    if problem.months:
        data["months"] = list(problem.months[:12])
    if problem.fix and len(visible_json(problem.fix.value)) <= 2 * LONGEST:
        data["fix"] = {"argument": argument_of(problem.fix.field), "value": problem.fix.value}
    if problem.severity == "warning":
        data["severity"] = "warning"
    return data


def fixes(problems: Sequence[Problem]) -> dict[str, object]:
    """What to change in one round: argument → value."""
    return {argument_of(one.fix.field): one.fix.value for one in problems if one.fix}
