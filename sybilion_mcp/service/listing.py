"""The jobs on a series and on its earlier and later states, one line each."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sybilion_mcp.contract.artifacts import ArtifactError, read_backtest_trajectories, read_input
from sybilion_mcp.contract.jobs import JOB_STATUSES, Job
from sybilion_mcp.explain.backtest import Skill, judge
from sybilion_mcp.explain.differences import said
from sybilion_mcp.explain.wording import counted, significant
from sybilion_mcp.outside import clean, identifier, quoted
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.reading import MOST_BYTES_OF_OTHERS, decoded
from sybilion_mcp.service.related import related, submitted
from sybilion_mcp.store.records import StoredSeries

LISTED = 20

_TRAJECTORIES = "backtest_trajectories.json"


@dataclass(frozen=True, slots=True)
class _Row:
    job: Job
    backend: str
    request: Mapping[str, object]
    data_to: str | None
    skill: Skill | None


async def lines(desk: Desk, series: StoredSeries) -> list[str]:
    """What is known of each job without asking a backend; the jobs on the very same numbers first, newest first."""
    own = await submitted(desk, series.series_id)
    history = {month[:7]: value for month, value in series.points.items()}
    found = await related(desk, series.series_id, history)
    every = list(dict.fromkeys([*own, *found.same, *found.other_states]))
    rows = [row for job_id in every[:LISTED] if (row := await _row(desk, job_id)) is not None]
    more = [f"and {counted(len(every) - LISTED, 'older job')}"] if len(every) > LISTED else []
    return [*(_line(row) for row in rows), *more]


async def panel_lines(desk: Desk, series_id: str) -> list[str]:
    """The jobs on a panel of many series, newest first."""
    every = await submitted(desk, series_id)
    rows = [row for job_id in every[:LISTED] if (row := await _row(desk, job_id)) is not None]
    more = [f"and {counted(len(every) - LISTED, 'older job')}"] if len(every) > LISTED else []
    return [*(_line(row) for row in rows), *more]


async def _row(desk: Desk, job_id: str) -> _Row | None:
    stored = await desk.store.job(job_id)
    if stored is None:
        return None
    submission = await desk.store.submission_of(job_id)
    request = submission.request if submission else await _small(desk, job_id, "input.json")
    request = request if isinstance(request, Mapping) else {}
    return _Row(stored.job, stored.backend, request, _data_to(request), await _skill(desk, job_id))


async def _small(desk: Desk, job_id: str, name: str) -> object:
    kept = await desk.store.artifacts_named(name, [job_id], MOST_BYTES_OF_OTHERS)
    return decoded(kept[job_id]) if job_id in kept else None


async def _skill(desk: Desk, job_id: str) -> Skill | None:
    """The errors of its past forecasts; None where these are not kept or cannot be read, which its report says."""
    try:
        return judge(read_backtest_trajectories(await _small(desk, job_id, _TRAJECTORIES)), {})
    except (ArtifactError, ArithmeticError):
        return None


def _data_to(request: Mapping[str, object]) -> str | None:
    try:
        return max(read_input(request), default=None)
    except ArtifactError:  # a request that cannot be read has no last month
        return None


def _line(row: _Row) -> str:
    job = row.job
    parts = [job.created.date().isoformat()] if job.created else []
    parts += [clean(row.backend, 20), _status(job.status), *_options(row.request)]
    if row.backend == "local":
        parts.append("free")
    elif job.eur_cents_final is not None:
        parts.append(f"{job.eur_cents_final / 100:.2f} EUR")
    if row.data_to:
        parts.append(f"data to {row.data_to}")
    if row.skill and row.skill.mae is not None:
        windows = counted(row.skill.windows_used, "past window")
        parts.append(f"off by {significant(row.skill.mae)} in {windows}")
    return f"- {', '.join(parts)}: sybilion://jobs/{identifier(job.job_id)}"


def _status(status: str) -> str:
    return status if status in JOB_STATUSES else quoted(status, 32)


def _options(request: Mapping[str, object]) -> Iterator[str]:
    for name in ("soft_horizon", "hard_horizon", "recency_factor", "prediction_length"):
        if request.get(name) is not None:
            yield f"{name} {said(request[name])}"
