"""Other jobs on the same series, among those whose results are kept: found by the numbers, without a backend."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, islice, pairwise, zip_longest
from math import isclose

import anyio

from sybilion_mcp.backends.base import BackendError
from sybilion_mcp.contract.artifacts import ArtifactError, read_input
from sybilion_mcp.explain.compare import LISTED
from sybilion_mcp.explain.results import Results, Unread, history_of, read_results
from sybilion_mcp.hints import Refusal
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.follow import current
from sybilion_mcp.service.keeping import keep
from sybilion_mcp.service.reading import MOST_BYTES_OF_OTHERS, REPORTED, decoded, facts_of
from sybilion_mcp.store.records import KeptForecast, Submission

LOOKED_AT = 100
"""Finished jobs whose series is looked at, those seen last; jobs on the very same numbers are found beyond that."""
READ = LISTED + 1
"""Jobs that are read to be compared: one more than a report tells of, so that it knows of more."""

_INPUT_BYTES = 2**17  # of each input.json that is read only to know whose series it is
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
    if series_id is not None:
        await _catch_up(desk, series_id)
    visible = await _visible(desk, series_id)
    keys = {one.job_id: one.series_id or one.job_id for one in visible}
    known = await desk.store.points_of({one.series_id for one in visible if one.series_id})
    made_elsewhere = [one.job_id for one in visible if one.series_id is None]
    sent = await desk.store.artifacts_named("input.json", made_elsewhere, _INPUT_BYTES)
    alike, same = await anyio.to_thread.run_sync(_alike, known, sent, history)
    return Related(
        same=tuple(job_id for job_id, key in keys.items() if key in same),
        other_states=tuple(job_id for job_id, key in keys.items() if key in alike - same),
    )


def _alike(
    known: Mapping[str, Mapping[str, float]], sent: Mapping[str, bytes], history: Mapping[str, float]
) -> tuple[set[str], set[str]]:
    """Which are states of one series with `history`, and which have the very same numbers.

    `known` are points by series_id; `sent` the input.json, by job_id, of jobs made elsewhere.
    """
    numbers: dict[str, Mapping[str, float]] = {}
    for series_id, points in known.items():
        numbers[series_id] = {month[:7]: value for month, value in points.items()}
    for job_id, content in sent.items():
        with suppress(ArtifactError):  # without numbers it is on no series
            numbers[job_id] = read_input(decoded(content))
    alike = {key for key, values in numbers.items() if states_of_one_series(values, history)}
    return alike, {key for key in alike if numbers[key] == history}


async def _catch_up(desk: Desk, series_id: str) -> None:
    """Look at the embedded engine's unfinished jobs on a series: it is at hand, and nobody may have asked since."""
    for job_id in await submitted(desk, series_id):
        stored = await desk.store.job(job_id)
        if stored is None or stored.backend != "local" or stored.job.finished:
            continue
        try:
            await keep(desk, (await current(desk, job_id)).job, "local")
        except (Refusal, BackendError) as error:  # it stays as it was known
            _log.warning("job %s could not be looked at: %s", job_id, error)


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


async def others(desk: Desk, job_id: str, submission: Submission | None, sent: object) -> list[Results]:
    """The results of other jobs on a job's series. A damaged one is left out, and the log says so.

    `sent` is the decoded input.json of the job, for one that another desk submitted.
    """
    history = history_of({"input.json": sent}, submission.request if submission else {})
    if not history:
        return []
    found = await related(desk, submission.series_id if submission else None, history)
    read: list[Results] = []
    for other in islice(found.beside(job_id), 2 * READ):
        if len(read) == READ:
            break
        try:
            read.append(await results_of(desk, other))
        except (ValueError, ArithmeticError, RecursionError) as error:  # whatever it holds, it is not this job's fault
            _log.warning("job %s is left out of a comparison: %s", other, error)
    return read


async def results_of(desk: Desk, job_id: str) -> Results:
    """What is kept of a finished job. Raises ValueError when that cannot be read."""
    stored = await desk.store.job(job_id)
    if stored is None:
        raise ArtifactError("the job itself is not kept")
    sizes = await desk.store.artifact_sizes(job_id)
    small = [name for name in REPORTED if 0 < sizes.get(name, 0) <= MOST_BYTES_OF_OTHERS]
    contents = {name: await desk.store.artifact(job_id, name) or b"" for name in small}
    large = {name for name in REPORTED if sizes.get(name, 0) > MOST_BYTES_OF_OTHERS}
    submission = await desk.store.submission_of(job_id)

    def read() -> Results:
        artifacts: dict[str, object] = {name: decoded(content) for name, content in contents.items()}
        artifacts |= dict.fromkeys(large, Unread("it is too large to be compared with"))
        return read_results(artifacts, facts_of(stored.job, stored.backend, submission, artifacts.get("input.json")))

    return await anyio.to_thread.run_sync(read)
