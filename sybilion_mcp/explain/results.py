"""Everything that a job's artifacts say, read: the ground that reports and comparisons stand on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from sybilion_mcp.contract.artifacts import (
    ArtifactError,
    Forecast,
    Window,
    read_backtest_metrics,
    read_backtest_trajectories,
    read_external_signals,
    read_forecast,
    read_input,
)
from sybilion_mcp.explain.backtest import Skill, judge
from sybilion_mcp.explain.drivers import Drivers, group_drivers
from sybilion_mcp.explain.facts import JobFacts

REQUESTS = ("input.json", "submit_payload.json")
"""Files that hold the series: as the pipeline saw it goes before as it was sent."""
WINDOWS, DRIVERS = "backtest_trajectories.json", "external_signals.json"

_SPAN = "12m"  # the one span of metrics that the windows beside it cover

Read = TypeVar("Read")


@dataclass(frozen=True, slots=True)
class Unread:
    """Stands for an artifact that is there and was not decoded. `why`, our own words, follows its name and a colon."""

    why: str


@dataclass(frozen=True, slots=True)
class Results:
    """A job's artifacts as data; windows and drivers are None where the job has no such file, or it is `unreadable`.

    `history` is month → value, empty when it is not at hand; `metrics` are the service's own over the last twelve
    months; `unreadable` maps the name of a file that could not be read to a sentence on why.
    """

    facts: JobFacts
    forecast: Forecast
    history: Mapping[str, float]
    windows: Sequence[Window] | None
    skill: Skill
    metrics: Mapping[str, float]
    drivers: Drivers | None
    unreadable: Mapping[str, str]


def read_results(artifacts: Mapping[str, object], facts: JobFacts) -> Results:
    """`artifacts` maps file names of the API to decoded JSON, or to `Unread`.

    Only forecast.json is needed; raises ArtifactError without it.
    """
    forecast = _forecast(artifacts)
    left_out = {name: f"{name}: {given.why}" for name, given in artifacts.items() if isinstance(given, Unread)}

    def optional(name: str, read: Callable[[object], Read]) -> Read | None:
        try:
            return read(artifacts[name]) if name in artifacts and name not in left_out else None
        except ArtifactError as error:
            left_out[name] = str(error)
            return None

    for name in REQUESTS:  # for what is said of one that cannot be read
        if optional(name, read_input):
            break
    history = history_of(artifacts, facts.request)
    windows = optional(WINDOWS, read_backtest_trajectories)
    signals = optional(DRIVERS, read_external_signals)
    metrics = optional("backtest_metrics.json", read_backtest_metrics) or {}
    return Results(
        facts=replace(facts, request=_request(artifacts, facts)),
        forecast=forecast,
        history=history,
        windows=windows,
        skill=judge(windows or (), history),
        metrics=metrics.get(_SPAN) or next(iter(metrics.values()), {}),
        drivers=None if signals is None else group_drivers(signals, facts.driver_names),
        unreadable={name: f"Could not be read and is left out: {reason}." for name, reason in left_out.items()},
    )


def history_of(artifacts: Mapping[str, object], request: Mapping[str, object]) -> Mapping[str, float]:
    """The series of a job as its report reads it, month → value; empty where it is not at hand."""
    for given in (*(artifacts.get(name) for name in REQUESTS), request):
        try:
            if given is not None and (history := read_input(given)):
                return history
        except ArtifactError:  # the report itself says so
            continue
    return {}


def _forecast(artifacts: Mapping[str, object]) -> Forecast:
    given = artifacts.get("forecast.json")
    if "forecast.json" not in artifacts:
        raise ArtifactError("forecast.json: missing, so there is no forecast to report")
    if isinstance(given, Unread):
        raise ArtifactError(f"forecast.json: {given.why}")
    return read_forecast(given)


def _request(artifacts: Mapping[str, object], facts: JobFacts) -> Mapping[str, object]:
    given = (facts.request, artifacts.get("submit_payload.json"), artifacts.get("input.json"))
    return next((one for one in given if one and isinstance(one, Mapping)), {})
