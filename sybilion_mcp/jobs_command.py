"""`jobs`: what is remembered of jobs and kept of their results, at a terminal."""

import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import anyio

from sybilion_mcp import hints
from sybilion_mcp.backends.base import BackendError
from sybilion_mcp.contract.jobs import Job
from sybilion_mcp.explain.facts import JobFacts
from sybilion_mcp.explain.wording import counted
from sybilion_mcp.hints import Refusal, Subject
from sybilion_mcp.next_step import shown
from sybilion_mcp.outside import clean, identifier, quoted
from sybilion_mcp.service.arguments import options_of
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.export import export
from sybilion_mcp.service.reading import MOST_BYTES_OF_OTHERS, decoded, facts_of
from sybilion_mcp.settings import Settings
from sybilion_mcp.store.records import RememberedJob, StoredJob

_MEANT = 5  # ids that are named where several begin alike


def list_jobs(settings: Settings, status: str | None, limit: int) -> int:
    """Print the jobs that were seen last first."""

    async def work(desk: Desk) -> int:
        jobs = await desk.store.remembered_jobs(max(limit, 1), status)
        rows = [_row(one, await _facts(desk, one.stored)) for one in jobs]
        if not rows:
            _say("No job is remembered here." if status is None else f"No job is remembered as {status}.")
        for line in _table(rows):
            _say(line)
        return 0

    return _run(settings, work)


def show_job(settings: Settings, text: str) -> int:
    """Print what is known of a job, without asking its backend."""

    async def work(desk: Desk) -> int:
        stored = await _meant(desk, text)
        facts = await _facts(desk, stored)
        sizes = await desk.store.artifact_sizes(stored.job.job_id)
        _say("\n".join([*_about(stored.job, facts), *_kept(stored.job, sizes)]))
        return 0

    return _run(settings, work)


def export_job(settings: Settings, text: str, folder: Path) -> int:
    """Write a finished job to a new folder."""

    async def work(desk: Desk) -> int:
        job_id = (await _meant(desk, text)).job.job_id
        written = await export(desk, job_id, folder)
        _say(f"Wrote {counted(len(written), 'artifact')} of job {identifier(job_id)} to {shown(str(folder))}.")
        for name, file in written.items():
            if name != file:
                _say(f"{quoted(name)} is no name for a file here; it is {file}.")
        return 0

    return _run(settings, work)


def forget_job(settings: Settings, text: str, *, ask: bool) -> int:
    """Drop a job and what is kept of it, once that is confirmed; 1 when it is not."""

    async def work(desk: Desk) -> int:
        stored = await _meant(desk, text)
        if ask and not _confirmed(await _question(desk, stored)):
            _complain("Nothing was forgotten. With --yes nobody is asked.")
            return 1
        await desk.store.forget_job(stored.job.job_id)
        _say(f"Forgot job {identifier(stored.job.job_id)}. What it cost still counts for the day it was submitted.")
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
        failure = hints.explain(error, Subject("read_artifact"))
        _complain(f"{failure.message} {failure.hint}")
        return 1


async def _meant(desk: Desk, text: str) -> StoredJob:
    """The only remembered job whose id is this, or begins so."""
    found = [text] if await desk.store.job(text) else await desk.store.job_ids(text, _MEANT + 1)
    stored = await desk.store.job(found[0]) if len(found) == 1 else None
    if stored is not None:
        return stored
    if not found:
        message = f"No job that is remembered here has the id {quoted(text)}, or one that begins so."
        raise Refusal("job_not_found", message, "`sybilion-mcp jobs list` shows them.")
    names = ", ".join(identifier(one) for one in found[:_MEANT]) + (", …" if len(found) > _MEANT else "")
    raise Refusal("job_not_found", f"Several ids begin with {quoted(text)}: {names}.", "Write more of the one meant.")


async def _facts(desk: Desk, stored: StoredJob) -> JobFacts:
    job_id = stored.job.job_id
    submission = await desk.store.submission_of(job_id)
    kept = {} if submission else await desk.store.artifacts_named("input.json", [job_id], MOST_BYTES_OF_OTHERS)
    sent = decoded(kept[job_id]) if job_id in kept else None
    return facts_of(stored.job, stored.backend, submission, sent)


def _row(one: RememberedJob, facts: JobFacts) -> tuple[str, ...]:
    job = one.stored.job
    day = (job.created.date().isoformat() if job.created else one.first_seen_at)[:10]
    cost = facts.cost or "-"
    kept = counted(len(one.sizes), "artifact")
    return day, clean(facts.backend, 20), clean(job.status, 20), cost, kept, identifier(job.job_id), quoted(facts.title)


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Columns of text."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _about(job: Job, facts: JobFacts) -> list[str]:
    settled = "settled" if job.settled else "not settled"
    lines = [f"Job {identifier(job.job_id)}: {clean(job.status, 20)}, {settled}, backend {clean(facts.backend, 20)}."]
    lines.append(f"Series: {quoted(facts.title)}")
    if job.created:
        ended = f", settled {job.ended:%Y-%m-%d %H:%M}" if job.ended else ""
        lines.append(f"Made {job.created:%Y-%m-%d %H:%M}{ended}.")
    lines.append(f"Cost: {facts.cost or 'not known yet'}.")
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
    about = f"{quoted(facts.title)}, {clean(job.status, 20)}, cost {facts.cost or 'not known yet'}, {kept}"
    running = "" if job.finished else " It is not finished, and goes on at the service."
    return (
        f"Forget job {identifier(job.job_id)} ({about})?{running}\n"
        "What is kept of it is gone for good, and the same question would be a new job, paid again. [y/N] "
    )


def _confirmed(question: str) -> bool:
    sys.stdout.write(question)
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _complain(text: str) -> None:
    sys.stderr.write(f"{text}\n")
