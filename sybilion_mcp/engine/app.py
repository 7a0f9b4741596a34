"""The embedded engine behind the Sybilion API's routes, bodies and errors."""

import json
import re
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from datetime import date
from functools import partial
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sybilion_mcp.clock import utc_today
from sybilion_mcp.contract.jobs import JOB_STATUSES
from sybilion_mcp.contract.request import Filters, ForecastRequest
from sybilion_mcp.contract.rules import first_problem
from sybilion_mcp.engine.candidate import Candidate, wants_drivers
from sybilion_mcp.engine.driver_routes import DRIVER_ROUTES
from sybilion_mcp.engine.jobs import Engine
from sybilion_mcp.engine.library import DriverLibrary
from sybilion_mcp.engine.table import SORTABLE, JobQuery, JobRow, TooManyJobs
from sybilion_mcp.engine.wire import Answer, TraceId, account_of, crashed, decode, invalid, read_body, refused

ONE_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")

Today = Callable[[], date]


def build_app(
    home: Path,
    *,
    workers: int = 2,
    today: Today = utc_today,
    executor: Executor | None = None,
    drivers: Path | None = None,
) -> Starlette:
    """The Sybilion API over the embedded engine, with its jobs in `home`/engine.db.

    Works under a server (the lifespan ends the workers) and in process over `httpx.ASGITransport`, where the
    caller awaits `app.state.engine.aclose()`. `executor` replaces the worker processes. `drivers` is the file
    of the driver folder, `home`/drivers.db unless given.
    """
    library = DriverLibrary(drivers or home / "drivers.db")
    engine = Engine(home, workers=workers, executor=executor, candidates=partial(candidates_for, library))

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await engine.look()
        try:
            yield
        finally:
            await engine.aclose()

    app = Starlette(
        routes=[
            Route("/health", health),
            Route("/api/v1/me", me),
            Route("/api/v1/jobs", list_jobs),
            Route("/api/v1/forecasts", submit, methods=["POST"]),
            Route("/api/v1/forecasts/{job_id}", get_job),
            Route("/api/v1/forecasts/{job_id}/artifacts/{name}", get_artifact),
            *DRIVER_ROUTES,
        ],
        middleware=[Middleware(TraceId)],
        exception_handlers={HTTPException: refused, Exception: crashed},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # an unknown path is a 404 like any other
    app.state.engine = engine
    app.state.library = library
    app.state.today = today
    return app


async def candidates_for(library: DriverLibrary, request: str) -> tuple[Candidate, ...]:
    """The driver folder, unless the request asks for no drivers: then a broken folder does not matter either."""
    filters = ForecastRequest.model_validate_json(request).filters or Filters()
    return await library.candidates() if wants_drivers(filters.limit) else ()


async def health(_: Request) -> Response:
    return Answer({"status": "ok", "components": {"engine": {"status": "ok"}}})


async def me(request: Request) -> Response:
    account = account_of(request)
    return Answer(
        {
            "user_id": account,
            "balance_eur_cents": 0,
            "available_eur_cents": 0,
            "api_usage_tier": "embedded",
            "lifetime_paid_cents": 0,
            "payment_count": 0,
            "has_ever_paid": False,
            "role": "user",
            "euro_tranches": [],
        }
    )


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
    return Answer({"job_id": job_id, "poll_url": f"/api/v1/forecasts/{job_id}"}, HTTPStatus.ACCEPTED)


async def get_job(request: Request) -> Response:
    job = await _job(request)
    sizes = await _engine(request).artifact_sizes(job.id) if job.status == "completed" else {}
    artifacts = [
        {
            "name": name,
            "size": size,
            "content_type": "application/json",
            "href": f"/api/v1/forecasts/{job.id}/artifacts/{quote(name)}",
        }
        for name, size in sizes.items()
    ]
    return Answer({**_summary(job), **({"artifacts": artifacts} if artifacts else {})})


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
    return Answer(
        {
            "jobs": [_summary(job) for job in jobs],
            "pagination": {
                "page": query.page,
                "limit": query.limit,
                "total": total,
                "total_pages": -(-total // query.limit),
                "sort": query.sort,
                "order": "desc" if query.descending else "asc",
            },
        }
    )


def _engine(request: Request) -> Engine:
    engine: Engine = request.app.state.engine
    return engine


async def _job(request: Request) -> JobRow:
    job = await _engine(request).get(account_of(request), request.path_params["job_id"])
    if job is None:
        raise HTTPException(HTTPStatus.NOT_FOUND, "job not found")
    return job


def _summary(job: JobRow) -> dict[str, object]:
    summary: dict[str, object] = {
        "job_id": job.id,
        "pipeline_type": "forecast",
        "status": job.status,
        "created_at": job.created_at,
        "settled_at": job.settled_at,
        "settled": job.settled_at is not None,
        "eur_cents_final": job.eur_cents_final,
    }
    return summary if job.pipeline_error is None else {**summary, "pipeline_error": job.pipeline_error}


def _job_query(parameters: Mapping[str, str]) -> JobQuery:
    order = _choice(parameters, "order", ("asc", "desc"), "desc")
    return JobQuery(
        page=_number(parameters, "page", 1, 1_000_000_000),
        limit=_number(parameters, "limit", 50, 200),
        sort=_choice(parameters, "sort", SORTABLE, "created_at"),
        descending=order == "desc",
        status=_choice(parameters, "status", JOB_STATUSES, "") or None,
        pipeline_type=parameters.get("pipeline_type") or None,
    )


def _number(parameters: Mapping[str, str], name: str, default: int, maximum: int) -> int:
    text = parameters.get(name, str(default))
    if not re.fullmatch(r"[0-9]{1,10}", text) or not 1 <= int(text) <= maximum:
        raise HTTPException(HTTPStatus.BAD_REQUEST, f"invalid query parameter {name}: an integer from 1 to {maximum}")
    return int(text)


def _choice(parameters: Mapping[str, str], name: str, choices: tuple[str, ...], default: str) -> str:
    value = parameters.get(name, default)
    if value not in (*choices, default):
        raise HTTPException(HTTPStatus.BAD_REQUEST, f"invalid query parameter {name}: one of {', '.join(choices)}")
    return value


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
