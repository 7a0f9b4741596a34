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

_SPAN = "12m"  # the one span of metrics that the windows beside it cover

Read = TypeVar("Read")


@dataclass(frozen=True, slots=True)
class Results:
    """A job's artifacts as data; None for windows or drivers means that the job has no such file.

    `history` is month → value, empty when it is not at hand; `metrics` are the service's own over the last twelve
    months; `unreadable` says which files could not be read, and why.
    """

    facts: JobFacts
    forecast: Forecast
    history: Mapping[str, float]
    windows: Sequence[Window] | None
    skill: Skill
    metrics: Mapping[str, float]
    drivers: Drivers | None
    unreadable: tuple[str, ...]


def read_results(artifacts: Mapping[str, object], facts: JobFacts) -> Results:
    """`artifacts` maps file names to decoded JSON. Only forecast.json is needed; raises ArtifactError without it."""
    if "forecast.json" not in artifacts:
        raise ArtifactError("forecast.json: missing, so there is no forecast to report")
    forecast = read_forecast(artifacts["forecast.json"])
    unreadable: list[str] = []

    def optional(name: str, read: Callable[[object], Read]) -> Read | None:
        try:
            return read(artifacts[name]) if name in artifacts else None
        except ArtifactError as error:
            unreadable.append(f"Could not be read and is left out: {error}.")
            return None

    history = optional("input.json", read_input) or optional("submit_payload.json", read_input) or _submitted(facts)
    windows = optional("backtest_trajectories.json", read_backtest_trajectories)
    signals = optional("external_signals.json", read_external_signals)
    metrics = optional("backtest_metrics.json", read_backtest_metrics) or {}
    return Results(
        facts=replace(facts, request=_request(artifacts, facts)),
        forecast=forecast,
        history=history,
        windows=windows,
        skill=judge(windows or (), history),
        metrics=metrics.get(_SPAN) or next(iter(metrics.values()), {}),
        drivers=None if signals is None else group_drivers(signals, facts.driver_names),
        unreadable=tuple(unreadable),
    )


def _submitted(facts: JobFacts) -> dict[str, float]:
    try:
        return read_input(facts.request)
    except ArtifactError:  # a request that is not at hand is no fault of the artifacts
        return {}


def _request(artifacts: Mapping[str, object], facts: JobFacts) -> Mapping[str, object]:
    given = facts.request or artifacts.get("submit_payload.json") or artifacts.get("input.json")
    return given if isinstance(given, Mapping) else {}
