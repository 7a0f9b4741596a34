"""The routes of forecasts: submit, look, list, and read artifacts."""

import json
import re
from http import HTTPStatus
from typing import get_args
from urllib.parse import quote

from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sybilion_mcp.contract.jobs import JOB_STATUSES
from sybilion_mcp.contract.rules import first_problem
from sybilion_mcp.engine import paging
from sybilion_mcp.engine.accounts import InsufficientCredits
from sybilion_mcp.engine.answers import Accepted, Artifact, Job, JobList, JobSort, JobSummary
from sybilion_mcp.engine.jobs import Engine
from sybilion_mcp.engine.table import JobQuery, JobRow, TooManyJobs
from sybilion_mcp.engine.wire import Answer, account_of, decode, invalid, read_body

ONE_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")
MAX_PIPELINE_TYPE = 64  # characters


async def submit(request: Request) -> Response:
    account = account_of(request)
    body = decode(await read_body(request))
    problem = first_problem(body, request.app.state.today())
    if problem is not None:
        return invalid(problem, request)
    try:
        job_id = await _engine(request).submit(account, json.dumps(body))
    except TooManyJobs as full:
        raise HTTPException(HTTPStatus.TOO_MANY_REQUESTS, "too many concurrent jobs") from full
    except InsufficientCredits as poor:
        raise HTTPException(HTTPStatus.PAYMENT_REQUIRED, "insufficient available credits for hold") from poor
    answer: Accepted = {"job_id": job_id, "poll_url": f"/api/v1/forecasts/{job_id}"}
    return Answer(answer, HTTPStatus.ACCEPTED)


async def get_job(request: Request) -> Response:
    job = await _job(request)
    sizes = await _engine(request).artifact_sizes(job.id) if job.status == "completed" else {}
    artifacts: list[Artifact] = [
        {
            "name": name,
            "size": size,
            "content_type": "application/json",
            "href": f"/api/v1/forecasts/{job.id}/artifacts/{quote(name)}",
        }
        for name, size in sizes.items()
    ]
    summary = _summary(job)
    if not artifacts:
        return Answer(summary)
    answer: Job = {**summary, "artifacts": artifacts}
    return Answer(answer)


async def get_artifact(request: Request) -> Response:
    job = await _job(request)
    if job.status != "completed":
        raise HTTPException(HTTPStatus.CONFLICT, f"job is {job.status}: artifacts are available once it is completed")
    content = await _engine(request).artifact(job.id, request.path_params["name"])
    if content is None:
        raise HTTPException(HTTPStatus.NOT_FOUND, "artifact not found")
    return _ranged(content, request.headers.get("range", ""))


async def list_jobs(request: Request) -> Response:
    account = account_of(request)
    query = _job_query(request.query_params)
    jobs, total = await _engine(request).page(account, query)
    answer: JobList = {
        "jobs": [_summary(job) for job in jobs],
        "pagination": paging.pagination(query.page, query.limit, total, query.sort, descending=query.descending),
    }
    return Answer(answer)


JOB_ROUTES = (
    Route("/api/v1/jobs", list_jobs),
    Route("/api/v1/forecasts", submit, methods=["POST"]),
    Route("/api/v1/forecasts/{job_id}", get_job),
    Route("/api/v1/forecasts/{job_id}/artifacts/{name}", get_artifact),
)


def _engine(request: Request) -> Engine:
    engine: Engine = request.app.state.engine
    return engine


async def _job(request: Request) -> JobRow:
    job = await _engine(request).get(account_of(request), request.path_params["job_id"])
    if job is None:
        raise HTTPException(HTTPStatus.NOT_FOUND, "job not found")
    return job


def _summary(job: JobRow) -> JobSummary:
    summary: JobSummary = {
        "job_id": job.id,
        "pipeline_type": "forecast",
        "status": job.status,
        "created_at": job.created_at,
        "settled_at": job.settled_at,
        "settled": job.settled_at is not None,
        "eur_cents_final": job.eur_cents_final,
    }
    if job.pipeline_error is not None:
        summary["pipeline_error"] = job.pipeline_error
        summary["terminal_reason"] = job.pipeline_error["detail"]
    return summary


def _job_query(parameters: QueryParams) -> JobQuery:
    pipeline_type = parameters.get("pipeline_type", "")
    if len(pipeline_type) > MAX_PIPELINE_TYPE:
        sentence = f"invalid query parameter pipeline_type: at most {MAX_PIPELINE_TYPE} characters"
        raise HTTPException(HTTPStatus.BAD_REQUEST, sentence)
    return JobQuery(
        page=paging.page(parameters),
        limit=paging.limit(parameters),
        sort=paging.choice(parameters, "sort", get_args(JobSort), "created_at"),
        descending=paging.descending(parameters),
        status=paging.choice(parameters, "status", JOB_STATUSES, "") or None,
        pipeline_type=pipeline_type or None,
    )


def _ranged(content: bytes, wanted: str) -> Response:
    """The whole content, or the one byte range asked for; a header with another unit or several ranges is ignored."""
    match = ONE_RANGE.fullmatch(wanted.strip())
    headers = {"accept-ranges": "bytes"}
    if match is None or match[0] == "bytes=-":
        return Response(content, headers=headers, media_type="application/json")
    size = len(content)
    if match[1]:
        start, end = int(match[1]), min(int(match[2]) + 1 if match[2] else size, size)
    else:
        start, end = max(size - int(match[2]), 0), size
    if match[1] and match[2] and int(match[2]) < int(match[1]):
        return Response(content, headers=headers, media_type="application/json")
    if start >= end:
        raise HTTPException(
            HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
            "requested range not satisfiable",
            headers={"content-range": f"bytes */{size}"},
        )
    headers["content-range"] = f"bytes {start}-{end - 1}/{size}"
    return Response(content[start:end], HTTPStatus.PARTIAL_CONTENT, headers, "application/json")
