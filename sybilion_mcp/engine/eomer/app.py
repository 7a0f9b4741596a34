"""The embedded engine behind Eomer's routes, bodies and errors."""

import hashlib
import json
import re
import uuid
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sybilion_mcp import __version__
from sybilion_mcp.contract.media import MEDIA_TYPES
from sybilion_mcp.engine.eomer.asked import Asked
from sybilion_mcp.engine.eomer.failures import JOB_CODES, WireError
from sybilion_mcp.engine.eomer.jobs import EomerEngine, RequestIdTaken
from sybilion_mcp.engine.eomer.upload import read_submit
from sybilion_mcp.engine.table import JobRow, TooManyJobs
from sybilion_mcp.engine.wire import Answer, TraceId, read_body

MODEL_VERSION = f"embedded-{__version__}"
STATUSES: Mapping[str, str] = {"queued": "pending"}
_KEY = re.compile(r"Bearer (\S+)", re.IGNORECASE)
_REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{1,128}", re.ASCII)
_CODES: Mapping[int, str] = {
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "file_too_large",
    HTTPStatus.REQUEST_TIMEOUT: "timeout",
    HTTPStatus.INTERNAL_SERVER_ERROR: "internal_error",
}


def build_eomer_app(home: Path, *, workers: int = 2, executor: Executor | None = None) -> Starlette:
    """Eomer's API over the embedded engine, with its jobs in `home`. Any key is an account of its own.

    Works under a server (the lifespan ends the workers) and in process over `httpx.ASGITransport`, where the caller
    awaits `app.state.engine.aclose()`. `executor` replaces the worker processes.
    """
    engine = EomerEngine(home, workers=workers, executor=executor)

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
            Route("/forecast", submit, methods=["POST"]),
            Route("/forecast/storage-object", submit_storage_object, methods=["POST"]),
            Route("/jobs/{job_id}", get_job),
            Route("/jobs/{job_id}/download", download),
            Route("/jobs/{job_id}/files/{name}", get_file),
        ],
        middleware=[Middleware(TraceId)],
        exception_handlers={WireError: _failed, HTTPException: _refused, Exception: _crashed},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.state.engine = engine
    return app


async def health(_: Request) -> Response:
    return Answer({"status": "ok"})


async def submit(request: Request) -> Response:
    """A request id (`X-Request-ID`) that came before answers with the job of then."""
    account = _account(request)
    given = request.headers.get("x-request-id", "")
    request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
    body = await read_submit(request)
    try:
        job_id, asked = await _engine(request).submit(account, body, request_id)
    except TooManyJobs as full:
        raise WireError(HTTPStatus.TOO_MANY_REQUESTS, "rate_limited", "too many jobs at once") from full
    except RequestIdTaken as taken:
        sentence = "this request id was used for another request"
        raise WireError(HTTPStatus.UNPROCESSABLE_ENTITY, "validation_error", sentence, "X-Request-ID") from taken
    job = await _engine(request).work.get(account, job_id)
    assert job is not None
    answer = {"job_id": job_id, "status": "pending", "created_at": job.created_at}
    return Answer({**answer, "prediction_length": asked.prediction_length}, HTTPStatus.ACCEPTED)


async def submit_storage_object(request: Request) -> Response:
    """There are no storages here, so no object of one is found."""
    _account(request)
    try:
        body = json.loads(await read_body(request))
    except (ValueError, RecursionError) as error:
        raise WireError(HTTPStatus.BAD_REQUEST, "validation_error", "the body is no JSON") from error
    if not isinstance(body, dict) or not isinstance(body.get("object_id"), str):
        raise WireError(HTTPStatus.UNPROCESSABLE_ENTITY, "validation_error", "must be given", "object_id")
    raise WireError(HTTPStatus.NOT_FOUND, "connection_not_found", "the embedded engine has no storages; send a file")


async def get_job(request: Request) -> Response:
    job = await _job(request)
    asked = await _engine(request).asked(job.id)
    document = _document(job, asked)
    if job.status == "completed":
        document |= await _results(request, job)
    return Answer(document)


async def download(request: Request) -> Response:
    return await _file(request, "forecast.csv")


async def get_file(request: Request) -> Response:
    return await _file(request, request.path_params["name"])


async def _file(request: Request, name: str) -> Response:
    job = await _job(request)
    if job.status != "completed":
        raise WireError(HTTPStatus.CONFLICT, "job_not_completed", f"the job is {STATUSES.get(job.status, job.status)}")
    content = await _engine(request).work.artifact(job.id, name)
    if content is None:
        raise WireError(HTTPStatus.NOT_FOUND, "job_not_found", "the job has no such file")
    kind = MEDIA_TYPES.get(name.rpartition(".")[2], "application/octet-stream")
    # A picture opened by itself in a browser is a document: it loads and runs nothing.
    headers = {"x-content-type-options": "nosniff", "content-security-policy": "default-src 'none'; style-src 'none'"}
    return Response(content, headers=headers, media_type=kind)


def _document(job: JobRow, asked: Asked | None) -> dict[str, object]:
    """Every field of a job; what is not there is null."""
    failed = job.pipeline_error
    ended = job.settled_at if job.status in ("completed", "failed") else None
    absent = (
        "download_url", "report_url", "external_covariate_metadata", "explainability", "explainability_url",
        "forecast_plot_url", "delivery_status", "delivery_connection_id", "delivery_uri", "delivery_error",
    )  # fmt: skip
    return {
        "job_id": job.id,
        "status": STATUSES.get(job.status, job.status),
        "created_at": job.created_at,
        "completed_at": ended,
        "elapsed_seconds": None if ended is None else _seconds(job.created_at, ended),
        "num_items": asked and asked.num_items,
        "prediction_length": asked and asked.prediction_length,
        "error": failed and failed.get("detail"),
        "error_code": JOB_CODES.get(failed["code"], "internal_error") if failed else None,
        **dict.fromkeys(absent),
        "request_id": asked and asked.request_id,
        "config_hash": asked and asked.config_hash,
        "dataset_hash": asked and asked.dataset_hash,
        "model_version": MODEL_VERSION,
    }


async def _results(request: Request, job: JobRow) -> dict[str, object]:
    """Where the files of a completed job are, and its explanation with the addresses filled in."""
    engine = _engine(request).work
    names = await engine.artifact_sizes(job.id)
    base = f"{str(request.base_url).rstrip('/')}/jobs/{job.id}"

    def url(name: str) -> str | None:
        return f"{base}/files/{quote(name)}" if name in names else None

    explanation = await engine.artifact(job.id, "explainability.json")
    told = None if explanation is None else json.loads(explanation)
    for one in told["artifacts"] if told else ():
        one |= {"download_url": url(one["output_path"]), "embed_url": None}
    return {
        "download_url": f"{base}/download",
        "report_url": url("report.md"),
        "explainability": told,
        "explainability_url": url("explainability.json"),
        "forecast_plot_url": url("forecast_plot.svg"),
    }


def _seconds(begun: str, ended: str) -> float:
    return round((datetime.fromisoformat(ended) - datetime.fromisoformat(begun)).total_seconds(), 3)


def _engine(request: Request) -> EomerEngine:
    engine: EomerEngine = request.app.state.engine
    return engine


def _account(request: Request) -> str:
    """The account a key stands for: its hash, so that the table holds no secret."""
    key = _KEY.fullmatch(request.headers.get("authorization", "").strip())
    if key is None:
        raise WireError(HTTPStatus.UNAUTHORIZED, "auth_failed", "a bearer key is needed")
    return hashlib.sha256(key[1].encode()).hexdigest()[:32]


async def _job(request: Request) -> JobRow:
    engine = _engine(request)
    await engine.look()
    job = await engine.work.get(_account(request), request.path_params["job_id"])
    if job is None:
        raise WireError(HTTPStatus.NOT_FOUND, "job_not_found", "no such job")
    return job


async def _failed(request: Request, failure: Exception) -> Response:
    assert isinstance(failure, WireError)
    return _error(request, failure.status, failure.code, failure.sentence, failure.field)


async def _refused(request: Request, failure: Exception) -> Response:
    assert isinstance(failure, HTTPException)
    code = _CODES.get(failure.status_code, "validation_error")
    return _error(request, failure.status_code, code, failure.detail, None, failure.headers)


async def _crashed(request: Request, _: Exception) -> Response:
    return _error(request, HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", "internal error", None)


def _error(
    request: Request, status: int, code: str, sentence: str, field: str | None, headers: Mapping[str, str] | None = None
) -> Response:
    trace_id = request.state.trace_id
    body: dict[str, object] = {"error": sentence, "error_code": code, "request_id": trace_id}
    if field is not None:
        body["details"] = [{"field": field, "message": sentence}]
    return Answer(body, status, {**(headers or {}), "x-trace-id": trace_id})
