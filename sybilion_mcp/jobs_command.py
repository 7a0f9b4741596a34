"""`jobs`: what is remembered of jobs and kept of their results, at a terminal."""

import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import anyio

from sybilion_mcp.backends.base import BackendError
from sybilion_mcp.contract.jobs import FINAL_STATUSES, Job, instant
from sybilion_mcp.explain.facts import JobFacts
from sybilion_mcp.explain.wording import counted
from sybilion_mcp.hints import Refusal
from sybilion_mcp.next_step import shown
from sybilion_mcp.outside import clean, identifier, quoted
from sybilion_mcp.service.arguments import options_of
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.export import export
from sybilion_mcp.service.reading import MOST_BYTES_OF_OTHERS, decoded, facts_of
from sybilion_mcp.settings import Settings
from sybilion_mcp.store.records import RememberedJob, StoredJob
from sybilion_mcp.terminal import complain, meant, not_remembered, say, told


def list_jobs(settings: Settings, status: str | None, limit: int) -> int:
    """Print the jobs that were seen last first; `limit` is at least 1, or it's a mistake of the caller: 2."""
    if limit < 1:
        complain("--limit takes 1 or more.")
        return 2

    async def work(desk: Desk) -> int:
        jobs = await desk.store.remembered_jobs(limit, status)
        rows = [_row(one, await _facts(desk, one.stored)) for one in jobs]
        if not rows:
            say("No job is remembered here." if status is None else f"No job is remembered as {status}.")
        for line in _table(rows):
            say(line)
        return 0

    return _run(settings, work)


def show_job(settings: Settings, text: str) -> int:
    """Print what is known of a job, without asking its backend."""

    async def work(desk: Desk) -> int:
        stored = await _job(desk, text)
        facts = await _facts(desk, stored)
        sizes = await desk.store.artifact_sizes(stored.job.job_id)
        say("\n".join([*_about(stored, facts), *_kept(stored.job, sizes)]))
        return 0

    return _run(settings, work)


def export_job(settings: Settings, text: str, folder: Path) -> int:
    """Write a finished job to a new folder; 1 when something of it cannot be had."""

    async def work(desk: Desk) -> int:
        job_id = (await _job(desk, text)).job.job_id
        exported = await export(desk, job_id, folder)
        of_job = f"of job {identifier(job_id)} to {shown(str(folder))}"
        say(f"Wrote {counted(len(exported.written), 'artifact')} {of_job}.")
        for name, file in exported.written.items():
            if name != file:
                say(f"{quoted(name)} is no name for a file here; it is {file}.")
        for name, reason in exported.missing.items():
            complain(f"{identifier(name)} is missing: {reason}")
        if exported.missing:
            complain("What is there can be used. To try again, name another folder.")
        return 1 if exported.missing else 0

    return _run(settings, work)


def forget_job(settings: Settings, text: str, *, ask: bool) -> int:
    """Drop a job and what is kept of it, once that is confirmed; 1 when it is not."""

    async def work(desk: Desk) -> int:
        stored = await _job(desk, text)
        free = (await _facts(desk, stored)).free
        if ask and not _confirmed(await _question(desk, stored)):
            complain("Nothing was forgotten. With --yes nobody is asked.")
            return 1
        await desk.store.forget_job(stored.job.job_id)
        counts = "" if free else " What it cost still counts for the day it was submitted."
        say(f"Forgot job {identifier(stored.job.job_id)}.{counts}")
        for copy in desk.store.backups():
            say(f"A copy that an upgrade made may still hold it; delete it when you need it no longer: {copy}")
        return 0

    return _run(settings, work)


def _run(settings: Settings, work: Callable[[Desk], Awaitable[int]]) -> int:
    async def with_desk() -> int:
        desk = Desk(settings)
        try:
            return await work(desk)
        finally:
            await desk.aclose()

    try:
        return anyio.run(with_desk)
    except (Refusal, BackendError) as error:
        complain(told(error))
        return 1


async def _job(desk: Desk, text: str) -> StoredJob:
    """The only remembered job whose id is this, or begins so. Raises `Refusal`."""
    job_id = await meant(desk, text)
    stored = await desk.store.job(job_id) if job_id else None
    if stored is None:
        raise not_remembered(text)
    return stored


async def _facts(desk: Desk, stored: StoredJob) -> JobFacts:
    job_id = stored.job.job_id
    submission = await desk.store.submission_of(job_id)
    kept = {} if submission else await desk.store.artifacts_named("input.json", [job_id], MOST_BYTES_OF_OTHERS)
    sent = decoded(kept[job_id]) if job_id in kept else None
    return facts_of(stored.job, stored.backend, submission, sent)


def _row(one: RememberedJob, facts: JobFacts) -> tuple[str, ...]:
    job = one.stored.job
    made = _time(job.created or instant(one.first_seen_at))
    about = (_horizon(facts.request), facts.cost or "-", counted(len(one.sizes), "artifact"))
    return made, clean(facts.backend, 20), _status(one.stored), *about, identifier(job.job_id), quoted(facts.title)


def _status(stored: StoredJob) -> str:
    """What is not final may have changed since it was seen."""
    job, seen = stored.job, instant(stored.seen_at)
    status = clean(job.status, 20)
    gone = f", no longer known to the {'engine' if stored.backend == 'local' else 'service'}" if stored.gone_at else ""
    if job.status in FINAL_STATUSES:
        return f"{status}{gone}"
    return f"{status} when last seen{f' {_time(seen)}' if seen else ''}{gone}"


def _cost(facts: JobFacts) -> str:
    return facts.cost or ("not told by Eomer" if facts.backend == "eomer" else "not known yet")


def _horizon(request: Mapping[str, object]) -> str:
    asked = [request.get(name) for name in ("hard_horizon", "soft_horizon")]
    months = list(dict.fromkeys(one for one in asked if isinstance(one, int)))
    if not months and isinstance(periods := request.get("prediction_length"), int):
        return counted(periods, "period")
    return f"{' to '.join(map(str, months))} {'month' if months == [1] else 'months'}" if months else "-"


def _time(at: datetime | None) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if at else "-"


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Columns of text."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _about(stored: StoredJob, facts: JobFacts) -> list[str]:
    job = stored.job
    settled = "settled" if job.settled else "not settled"
    lines = [f"Job {identifier(job.job_id)}: {_status(stored)}, {settled}, backend {clean(facts.backend, 20)}."]
    lines.append(f"Series: {quoted(facts.title)}")
    if job.created:
        ended = f", settled {_time(job.ended)}" if job.ended else ""
        lines.append(f"Made {_time(job.created)}{ended}.")
    lines.append(f"Cost: {_cost(facts)}.")
    if job.pipeline_error and job.pipeline_error.code:
        lines.append(f"The service gives the reason {quoted(job.pipeline_error.code)}.")
    options = options_of(facts.request)
    asked = ", ".join(f"{name} {clean(shown(value), 120)}" for name, value in options.items())
    return [*lines, f"Asked: {asked or ('nothing but our defaults' if facts.request else 'not known')}."]


def _kept(job: Job, sizes: dict[str, int]) -> list[str]:
    names = [identifier(name) for name in sorted({one.name for one in job.artifacts} - sizes.keys())]
    lines = ["Kept:" if sizes else "Nothing is kept of it."]
    lines += [f"  {identifier(name)}  {size:,} bytes" for name, size in sorted(sizes.items())]
    lines += [f"Listed and not kept yet: {', '.join(names[:20])}."] if names else []
    return lines


async def _question(desk: Desk, stored: StoredJob) -> str:
    job = stored.job
    facts = await _facts(desk, stored)
    kept = counted(len(await desk.store.artifact_sizes(job.job_id)), "kept artifact")
    about = f"{quoted(facts.title)}, {clean(job.status, 20)}, cost {_cost(facts)}, {kept}"
    running = "" if job.finished else " It is not finished, and goes on at the service."
    again = "a new job" if facts.free else "a new job, paid again"
    return (
        f"Forget job {identifier(job.job_id)} ({about})?{running}\n"
        f"What is kept of it is gone for good, and the same question would be {again}. [y/N] "
    )


def _confirmed(question: str) -> bool:
    sys.stdout.write(question)
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")
