"""Other jobs on the same series, among those whose results are kept: found by the numbers, without a backend."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, islice, pairwise, zip_longest
from math import isclose

from sybilion_mcp.contract.artifacts import ArtifactError, read_input
from sybilion_mcp.explain.compare import LISTED
from sybilion_mcp.explain.results import Results, Unread, read_results
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.reading import MOST_BYTES_OF_OTHERS, REPORTED, decoded, facts_of
from sybilion_mcp.store.records import KeptForecast, Submission

LOOKED_AT = 100
"""Finished jobs whose series is looked at, those seen last; jobs on the very same numbers are found beyond that."""
READ = LISTED + 1
"""Jobs that are read to be compared: one more than a report tells of, so that it knows of more."""

_INPUT_BYTES = 2**18  # of each input.json that is read only to know whose series it is
_COMMON = 24
_MOVES = 12
_EQUAL = 0.9

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Related:
    """Jobs on a series, newest first: on the very same numbers, and on an earlier or later state of them."""

    same: tuple[str, ...]
    other_states: tuple[str, ...]

    def beside(self, job_id: str) -> Iterator[str]:
        """The other jobs, one of each kind in turn: where few can be read, both are among them."""
        same, other_states = ([one for one in ids if one != job_id] for ids in (self.same, self.other_states))
        return (one for one in chain.from_iterable(zip_longest(same, other_states)) if one is not None)


def states_of_one_series(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    """Whether two sets of numbers (month → value) are the same series, perhaps to other months and in part revised.

    They share two years at least, and nine tenths of the shared values are equal. So are nine tenths of the months in
    which either moves, and these are a year at least: two rates that stand still together are two series.
    """
    if one == other:
        return bool(one)
    common = sorted(one.keys() & other.keys())
    if len(common) < _COMMON:
        return False
    equal = {month: isclose(one[month], other[month], rel_tol=1e-6, abs_tol=1e-12) for month in common}
    moves = [now for before, now in pairwise(common) if one[before] != one[now] or other[before] != other[now]]
    return (
        sum(equal.values()) >= _EQUAL * len(common)
        and len(moves) >= _MOVES
        and sum(equal[month] for month in moves) >= _EQUAL * len(moves)
    )


async def related(desk: Desk, series_id: str | None, history: Mapping[str, float]) -> Related:
    """The finished jobs on a series (month → value) and on other states of it. Its `series_id` finds the old ones."""
    visible = await _visible(desk, series_id)
    keys = {one.job_id: one.series_id or one.job_id for one in visible}
    numbers = await _numbers(desk, visible)
    alike = {key for key, values in numbers.items() if states_of_one_series(values, history)}
    same = {key for key in alike if numbers[key] == history}
    return Related(
        same=tuple(job_id for job_id, key in keys.items() if key in same),
        other_states=tuple(job_id for job_id, key in keys.items() if key in alike - same),
    )


async def submitted(desk: Desk, series_id: str) -> list[str]:
    """The jobs submitted with these very numbers, whatever became of them, newest first; all of this data folder."""
    return await desk.store.jobs_of_series(series_id)


async def _visible(desk: Desk, series_id: str | None) -> Sequence[KeptForecast]:
    """Whose jobs may be named beside another; this and `submitted` are all that decide it.

    All of this data folder, whatever the token they were made with: it belongs to one user.
    """
    recent = await desk.store.kept_forecasts(LOOKED_AT)
    same = await desk.store.kept_forecasts(LOOKED_AT, series_id) if series_id else []
    return list(dict.fromkeys([*same, *recent]))


async def _numbers(desk: Desk, jobs: Sequence[KeptForecast]) -> dict[str, Mapping[str, float]]:
    """Month → value, by series_id; by job_id for jobs made elsewhere, as far as their input is kept and readable."""
    known = await desk.store.points_of({one.series_id for one in jobs if one.series_id})
    made_elsewhere = [one.job_id for one in jobs if one.series_id is None]
    sent = await desk.store.artifacts_named("input.json", made_elsewhere, _INPUT_BYTES)
    numbers: dict[str, Mapping[str, float]] = {}
    for series_id, points in known.items():
        numbers[series_id] = {month[:7]: value for month, value in points.items()}
    for job_id, content in sent.items():
        with suppress(ArtifactError):  # without numbers it is on no series
            numbers[job_id] = read_input(decoded(content))
    return numbers


async def others(desk: Desk, job_id: str, submission: Submission | None, sent: object) -> list[Results]:
    """The results of other jobs on a job's series. A damaged one is left out, and the log says so.

    `sent` is the decoded input.json of the job, for one that another desk submitted.
    """
    try:
        history = read_input(submission.request if submission else sent)
    except ArtifactError:  # a report can do without; so can this
        return []
    found = await related(desk, submission.series_id if submission else None, history)
    read: list[Results] = []
    for other in islice(found.beside(job_id), 2 * READ):
        if len(read) == READ:
            break
        try:
            read.append(await results_of(desk, other))
        except ValueError as error:  # no artifact of it, or no job
            _log.warning("job %s is left out of a comparison: %s", other, error)
    return read


async def results_of(desk: Desk, job_id: str) -> Results:
    """What is kept of a finished job. Raises ValueError when that cannot be read."""
    stored = await desk.store.job(job_id)
    if stored is None:
        raise ArtifactError("the job itself is not kept")
    sizes = await desk.store.artifact_sizes(job_id)
    artifacts: dict[str, object] = {}
    for name in REPORTED:
        if sizes.get(name, 0) > MOST_BYTES_OF_OTHERS:
            artifacts[name] = Unread("it is too large to be compared with")
        elif name in sizes:
            artifacts[name] = decoded(await desk.store.artifact(job_id, name) or b"")
    submission = await desk.store.submission_of(job_id)
    return read_results(artifacts, facts_of(stored.job, stored.backend, submission, artifacts.get("input.json")))
