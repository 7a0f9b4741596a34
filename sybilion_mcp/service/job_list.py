"""The account's jobs and the remembered ones as one list, the newest first, in pages that do not shift."""

import base64
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import anyio

from sybilion_mcp.backends.base import BackendError, TransportError
from sybilion_mcp.contract.jobs import Job, instant, is_job_id
from sybilion_mcp.hints import Refusal, Subject, explain
from sybilion_mcp.next_step import NextStep
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.follow import looking
from sybilion_mcp.store.entries import ListedJob

MOST_REMEMBERED = 2000
"""Older ones are left to `sybilion-mcp jobs list`."""
REMOTE_PAGE = 100
MOST_PAGES = 25
REMOTE_SECONDS = 15.0
LOOK_SECONDS = 10.0
"""For asking after jobs that were unfinished when they were last seen."""
_LONGEST_CURSOR = 400
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Row:
    """`seen`: the backend has just said so; otherwise it is what is remembered."""

    job: Job
    backend: str
    created: datetime
    title: str | None
    seen: bool

    @property
    def place(self) -> tuple[datetime, str]:
        return self.created, self.job.job_id


@dataclass(frozen=True, slots=True)
class JobPage:
    """`cursor` leads to the next page; None at the end. `failure`: why the account's jobs are not among them."""

    rows: Sequence[Row]
    cursor: str | None
    failure: str | None


@dataclass(frozen=True, slots=True)
class _Cursor:
    """Behind which job a page begins, and on which page of the service it was."""

    created: datetime
    job_id: str
    page: int

    @property
    def place(self) -> tuple[datetime, str]:
        return self.created, self.job_id


@dataclass
class _Remote:
    """What the service listed. `pages`: job → the page that it was on."""

    jobs: dict[str, Job]
    pages: dict[str, int]
    more: bool = False
    failure: str | None = None


async def job_page(desk: Desk, status: str | None, limit: int, cursor: str | None) -> JobPage:
    """Raises `Refusal` for a cursor that is none."""
    after = _decoded(cursor) if cursor is not None else None
    remembered = {one.stored.job.job_id: one for one in await desk.store.job_list.newest(MOST_REMEMBERED)}
    remote = await _listed(desk, remembered, status, limit, after)
    rows = [_of_remote(job, remembered.get(job.job_id)) for job in remote.jobs.values()]
    rows += [_of_memory(one) for name, one in remembered.items() if name not in remote.jobs]
    fitting = [row for row in rows if status is None or row.job.status == status]
    behind = sorted((row for row in fitting if _behind(row, after)), key=lambda row: row.place, reverse=True)
    shown = behind[:limit]
    more = len(behind) > limit or remote.more
    following = None
    if shown and more:
        page = max([remote.pages.get(row.job.job_id, 0) for row in shown] + [after.page if after else 1])
        following = _encoded(_Cursor(*shown[-1].place, page))
    fresh = [row for row in await _looked_after(desk, shown) if status is None or row.job.status == status]
    return JobPage(fresh, following, remote.failure)


async def _listed(
    desk: Desk, remembered: Mapping[str, ListedJob], status: str | None, limit: int, after: _Cursor | None
) -> _Remote:
    """The account's jobs behind the cursor, as many as may be shown, with those that lie before it on their pages."""
    remote = _Remote({}, {})
    if desk.settings.api_token is None and desk.settings.default_backend != "sybilion":
        return remote
    number = max(after.page - 1, 1) if after else 1  # a job that is gone lets the others move up
    try:
        with anyio.fail_after(REMOTE_SECONDS):
            for page in range(number, number + MOST_PAGES):
                jobs = (await desk.sybilion("sybilion").jobs_page(page, REMOTE_PAGE, status)).jobs
                remote.jobs |= {job.job_id: job for job in jobs}
                remote.pages |= {job.job_id: page for job in jobs}
                remote.more = len(jobs) >= REMOTE_PAGE
                rows = [_of_remote(job, remembered.get(job.job_id)) for job in remote.jobs.values()]
                if not remote.more or sum(_behind(row, after) for row in rows) > limit:
                    break
    except TimeoutError:
        late = TransportError("jobs", "timed_out", sent=True)
        remote.failure = explain(late, Subject("list_jobs")).message
    except (BackendError, Refusal) as error:
        remote.failure = explain(error, Subject("list_jobs")).message
    return remote


def _of_remote(job: Job, known: ListedJob | None) -> Row:
    """A list says less of a finished job than was seen of it. Its place is where it was remembered."""
    if known is None:
        return Row(job, "sybilion", job.created or _LONG_AGO, None, seen=True)
    better = known.stored.job if known.stored.job.finished else job
    return Row(better, known.stored.backend, _created(known), known.title, seen=True)


def _of_memory(known: ListedJob) -> Row:
    return Row(known.stored.job, known.stored.backend, _created(known), known.title, seen=known.stored.job.finished)


def _created(known: ListedJob) -> datetime:
    return known.stored.job.created or instant(known.first_seen_at) or _LONG_AGO


def _behind(row: Row, after: _Cursor | None) -> bool:
    return after is None or row.place < after.place


async def _looked_after(desk: Desk, rows: Sequence[Row]) -> list[Row]:
    """The rows, with a look at each job that was unfinished when it was last seen."""
    looked = list(rows)
    with anyio.move_on_after(LOOK_SECONDS):
        for place, row in enumerate(rows):
            if not row.seen:
                with suppress(BackendError, Refusal):
                    backend, job_id = desk.backend(row.backend), row.job.job_id
                    job = await desk.looks.now((backend.name, job_id), looking(desk, backend, job_id, remembered=True))
                    looked[place] = replace(row, job=job, seen=True)
    return looked


def _encoded(cursor: _Cursor) -> str:
    content = json.dumps([cursor.created.isoformat(), cursor.job_id, cursor.page], separators=(",", ":"))
    return base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")


def _decoded(text: str) -> _Cursor:
    with suppress(ValueError, TypeError):  # cut, made up, or of something else
        if len(text) <= _LONGEST_CURSOR:
            created, job_id, page = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
            at = datetime.fromisoformat(created)
            if (
                at.tzinfo is not None
                and isinstance(job_id, str)
                and is_job_id(job_id)
                and type(page) is int
                and page > 0
            ):
                return _Cursor(at, job_id, page)
    raise Refusal(
        "invalid_argument",
        "The cursor is none that list_jobs answered.",
        "Leave it out for the newest jobs, or copy the whole cursor of the page before.",
        next=NextStep("list_jobs"),
    )
