"""Proof: whether a job was made for a request. Only what the job was asked tells, as it repeats it in input.json."""

import json
from collections.abc import Mapping, Sequence
from math import isclose

from sybilion_mcp.backends.base import AnswerError, Backend, InMemory, TooLargeError
from sybilion_mcp.contract.artifacts import ArtifactError, read_input
from sybilion_mcp.contract.jobs import Job

INPUT = "input.json"
MAX_INPUT_BYTES = 8 * 2**20
"""A request is 2 MiB at most; written anew it may have become longer. More than that is none."""
DEFAULTS: Mapping[str, object] = {
    "soft_horizon": None,
    "hard_horizon": None,
    "backtest": False,
    "strictly_positive": False,
    "recency_factor": None,
    "aux_timeseries": None,
    "filters.limit": None,
    "filters.regions": None,
    "filters.categories": None,
    "timeseries_metadata.title": None,
    "timeseries_metadata.description": None,
    "timeseries_metadata.keywords": None,
    "optimization_budget": "none",
    "max_num_features": None,
    "run_baseline": False,
    "trend_num_classes": None,
    "filters.general_drivers": False,
}
"""What a request may say beside its numbers, and what silence means."""
SAID_BY_ALL = frozenset({"version", "pipeline_version", "frequency"})
"""What tells no question from another."""
DRIVER_LIMITS = (None, 100, 1000)
"""What a service may repeat where no limit was asked for: its documentation names two defaults."""
DECISIVE = frozenset({"soft_horizon", "hard_horizon", "backtest", "strictly_positive", "recency_factor"})
"""What a service repeats as it was sent: where one of these is said on both sides and differs, another was asked."""


async def made_by(
    backend: Backend, job: Job, asked: Mapping[str, object], others: Sequence[Mapping[str, object]] = ()
) -> bool | None:
    """Whether a job was made for this request. None: nobody can tell, or not before it is completed.

    `others` were asked too and may have made it as well; where that is so, nobody can tell.
    """
    if job.status != "completed":
        return None
    sink = InMemory(MAX_INPUT_BYTES)
    try:
        await backend.download(job.job_id, INPUT, sink)
    except AnswerError as error:
        if error.status >= 500 or error.status in (401, 403, 429):  # the next call may learn more
            raise
        return None
    except TooLargeError:
        return None
    came = bytes(sink.content)
    verdict = repeats(came, asked)
    return None if verdict and any(repeats(came, one) is not False for one in others) else verdict


def repeats(content: bytes, asked: Mapping[str, object]) -> bool | None:
    """Whether an input.json says what was asked. None: nobody can tell."""
    try:
        return _same(asked, json.loads(content))
    except (ArtifactError, ValueError, RecursionError):
        return None


def _same(asked: Mapping[str, object], made: Mapping[str, object]) -> bool | None:
    """Whether a job's input is what was asked. None: its numbers are, and not everything else. Raises `ArtifactError`.

    A service may write an option in a way of its own, so that no other difference proves another question.
    """
    ours, theirs = read_input(asked), read_input(made)
    common = ours.keys() & theirs.keys()
    if not common or any(not isclose(ours[month], theirs[month], rel_tol=1e-6, abs_tol=1e-12) for month in common):
        return False
    data = made.get("data")
    here, there = _said(asked), _said(data if "timeseries" not in made and isinstance(data, dict) else made)
    names = {*DEFAULTS, *here, *there} - SAID_BY_ALL
    differing = {name for name in names if here.get(name, DEFAULTS.get(name)) != there.get(name, DEFAULTS.get(name))}
    if here.get("filters.limit") is None and there.get("filters.limit") in DRIVER_LIMITS:
        differing.discard("filters.limit")
    limits = (here.get("filters.limit"), there.get("filters.limit"))
    if "filters.limit" in differing and 0 in limits and limits[1] is not None:
        return False  # with drivers, and without
    if any(name in here and name in there for name in differing & DECISIVE):
        return False
    return None if differing or ours.keys() != theirs.keys() else True


def _said(body: Mapping[str, object]) -> dict[str, object]:
    """What a request says beside the numbers, by its path; null and what is empty say nothing, false and 0 do."""
    said: dict[str, object] = {}
    for name, value in body.items():
        if name != "timeseries":
            said |= {f"{name}.{key}": one for key, one in value.items()} if isinstance(value, dict) else {name: value}
    return {name: one for name, one in said.items() if one is not None and one != "" and one != [] and one != {}}
