"""The description of the API that the engine speaks (OpenAPI 3.1), made from what the routes themselves use."""

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, get_args

from pydantic import TypeAdapter

from sybilion_mcp import __version__
from sybilion_mcp.clock import utc_today
from sybilion_mcp.contract.jobs import JOB_STATUSES
from sybilion_mcp.engine import answers, paging
from sybilion_mcp.engine import description_examples as examples
from sybilion_mcp.engine.billing import MAX_REQUEST_ID
from sybilion_mcp.engine.description_requests import request_schemas
from sybilion_mcp.engine.job_routes import MAX_PIPELINE_TYPE
from sybilion_mcp.engine.terms import ALERT_EUR_CENTS, DRIVER_EUR_CENTS

Node = dict[str, Any]

_COMPONENTS = "#/components/schemas/"
_ANSWERS: tuple[Any, ...] = (
    answers.ErrorBody,
    answers.InvalidBody,
    answers.Health,
    answers.Accepted,
    answers.Job,
    answers.JobList,
    answers.UsageList,
    answers.Me,
    answers.Regions,
    answers.Categories,
    answers.Ranking,
    answers.Alerts,
)
_ERRORS: Mapping[int, str] = {
    400: "The body is no JSON object, a value has a wrong JSON type, or a parameter a wrong value.",
    401: "The bearer token is missing or invalid.",
    402: "The account has not got enough left.",
    404: "There is no such thing, it is another account's, or it is gone.",
    408: "The body did not come in time.",
    409: "The job is not completed yet.",
    413: "The body is larger than 2 MiB.",
    416: "The range lies beyond the end.",
    422: "A rule is violated; the first one is named.",
    429: "The account makes too many requests (the text speaks of a rate limit), or has too many unfinished jobs.",
    500: "The engine failed.",
}
_READING = (401, 429, 500)
_WRITING = (400, 401, 402, 408, 413, 422, 429, 500)
_INTRODUCTION = (
    "The Sybilion API over the embedded engine. Any token that begins with sk_ops_ is an account of its own. Money is "
    "in integer EUR cents. Every answer carries its id in the header x-trace-id, and errors in their body too."
)


def print_description() -> int:
    sys.stdout.write(json.dumps(description(), indent=2) + "\n")
    return 0


def description(today: date | None = None) -> Node:
    """The whole document; its examples are of `today`."""
    day = today or utc_today()
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Sybilion-compatible API",
            "version": __version__,
            "description": _INTRODUCTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}],
        "paths": {**_job_paths(day), **_driver_paths(day), **_account_paths(), **_health_path()},
        "components": {
            "schemas": {**_answer_schemas(), **request_schemas()},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "sk_ops_…"}},
        },
    }


def _job_paths(today: date) -> Node:
    name = _parameter("name", "path", {"type": "string"}, "of an artifact, as the job lists it")
    wanted = _parameter("Range", "header", {"type": "string"}, "one range of bytes: bytes=0-1023")
    whole = {"description": "The artifact.", "content": {"application/json": {"schema": {}}}}
    part = {"description": "The bytes asked for.", "content": {"application/json": {}}}
    part["headers"] = {"content-range": {"schema": {"type": "string"}, "description": "bytes 0-1023/4096"}}
    submitted = _success("Accepted", "The job is queued.", examples.ACCEPTED)
    submitted["links"] = {
        "job": {"operationId": "getForecast", "parameters": {"job_id": "$response.body#/job_id"}},
    }
    return {
        "/api/v1/forecasts": {
            "post": _operation(
                "submitForecast",
                "Submit a forecast; what it may cost at most is held until it is settled",
                {202: submitted, **_errors(_WRITING, {402: "insufficient available credits for hold"})},
                body=_body("ForecastRequest", examples.forecast_request(today)),
            )
        },
        "/api/v1/forecasts/{job_id}": {
            "get": _operation(
                "getForecast",
                "Look at a job",
                {200: _success("Job", "The job.", examples.JOB), **_errors((*_READING, 404))},
                [_job_id()],
            )
        },
        "/api/v1/forecasts/{job_id}/artifacts/{name}": {
            "get": _operation(
                "getArtifact",
                "Read an artifact of a completed job",
                {200: _traced(whole), 206: _traced(part), **_errors((*_READING, 404, 409, 416))},
                [_job_id(), name, wanted],
            )
        },
        "/api/v1/jobs": {
            "get": _operation(
                "listJobs",
                "List the account's jobs",
                {200: _success("JobList", "One page.", examples.JOBS), **_errors((400, *_READING))},
                [
                    *_paging(get_args(answers.JobSort), "created_at"),
                    _parameter("status", "query", {"enum": list(JOB_STATUSES)}, "only jobs of this status"),
                    _parameter(
                        "pipeline_type",
                        "query",
                        {"type": "string", "maxLength": MAX_PIPELINE_TYPE},
                        "only jobs of this type; all are of type forecast",
                    ),
                ],
            )
        },
    }


def _driver_paths(today: date) -> Node:
    poor = {402: "insufficient credits: need up to 500, have 3"}
    ranked = _success("Ranking", "The drivers, the most relevant first.", examples.RANKING)
    alerts = _success("Alerts", "The series that moved much in their latest month.", examples.ALERTS)
    regions = _success("Regions", "All regions of the driver folder.", examples.REGIONS)
    categories = _success("Categories", "All categories of the driver folder.", examples.CATEGORIES)
    return {
        "/api/v1/drivers": {
            "post": _operation(
                "rankDrivers",
                f"Rank drivers for a series, at {DRIVER_EUR_CENTS} EUR cents for each that is returned",
                {200: ranked, **_errors(_WRITING, poor)},
                [_request_id()],
                _body("DriverRequest", examples.driver_request()),
            )
        },
        "/api/v1/alerts": {
            "post": _operation(
                "findAlerts",
                f"Find alerts, at {ALERT_EUR_CENTS} EUR cents for each that is returned",
                {200: alerts, **_errors(_WRITING, poor)},
                [_request_id()],
                _body("AlertRequest", examples.alert_request(today)),
            )
        },
        "/api/v1/regions": {"get": _operation("listRegions", "List regions", {200: regions, **_errors(_READING)})},
        "/api/v1/categories": {
            "get": _operation("listCategories", "List categories", {200: categories, **_errors(_READING)})
        },
    }


def _account_paths() -> Node:
    me = _success("Me", "The account.", examples.ME)
    usage = _success("UsageList", "One page.", examples.USAGE)
    sorts = _paging(get_args(answers.UsageSort), "id")
    return {
        "/api/v1/me": {"get": _operation("getAccount", "Look at the account", {200: me, **_errors(_READING)})},
        "/api/v1/usage": {
            "get": _operation("listUsage", "List the charges", {200: usage, **_errors((400, *_READING))}, sorts)
        },
    }


def _health_path() -> Node:
    well = _success("Health", "All is well.", examples.HEALTHY)
    degraded = _success("Health", "A component fails.", examples.DEGRADED)
    operation = _operation("getHealth", "Is the service well?", {200: well, 503: degraded, **_errors((500,))})
    return {"/health": {"get": {**operation, "security": []}}}


def _operation(
    name: str, summary: str, responses: Mapping[int, Node], parameters: Sequence[Node] = (), body: Node | None = None
) -> Node:
    answered = {str(status): responses[status] for status in sorted(responses)}
    operation: Node = {"operationId": name, "summary": summary, "parameters": list(parameters), "responses": answered}
    return operation if body is None else {**operation, "requestBody": body}


def _success(schema: str, said: str, example: object) -> Node:
    return _traced({"description": said, "content": _json(schema, example)})


def _errors(statuses: Sequence[int], sentences: Mapping[int, str] | None = None) -> dict[int, Node]:
    """The errors of an operation; `sentences` are those that differ from one operation to another."""
    said = {**examples.SENTENCES, **(sentences or {})}
    return {
        status: _traced({"description": _ERRORS[status], "content": _error_content(status, said)})
        for status in statuses
    }


def _error_content(status: int, said: Mapping[int, str]) -> Node:
    if status == 422:
        return _json("InvalidBody", examples.INVALID)
    return _json("ErrorBody", {"error": said[status], "trace_id": examples.TRACE_ID})


def _traced(response: Node) -> Node:
    trace = {"schema": {"type": "string"}, "required": True, "description": "the id of this answer"}
    return {**response, "headers": {"x-trace-id": trace, **response.get("headers", {})}}


def _json(schema: str, example: object) -> Node:
    return {"application/json": {"schema": {"$ref": f"{_COMPONENTS}{schema}"}, "examples": {"one": {"value": example}}}}


def _body(schema: str, example: object) -> Node:
    return {"required": True, "content": _json(schema, example)}


def _parameter(name: str, place: str, schema: Node, said: str) -> Node:
    return {"name": name, "in": place, "required": place == "path", "schema": schema, "description": said}


def _job_id() -> Node:
    return _parameter("job_id", "path", {"type": "string"}, "of a job of this account")


def _request_id() -> Node:
    said = (
        "names the call: within a day one that comes again is answered the same and not charged again; with another "
        "body it is refused (422)"
    )
    return _parameter("X-Request-ID", "header", {"type": "string", "maxLength": MAX_REQUEST_ID}, said)


def _paging(sorts: Sequence[str], default: str) -> list[Node]:
    page = {"type": "integer", "minimum": 1, "maximum": paging.MAX_PAGE, "default": 1}
    limit = {"type": "integer", "minimum": 1, "maximum": paging.MAX_LIMIT, "default": paging.DEFAULT_LIMIT}
    return [
        _parameter("page", "query", page, "the first page is 1"),
        _parameter("limit", "query", limit, "rows of a page"),
        _parameter("sort", "query", {"enum": list(sorts), "default": default}, "the column to sort by"),
        _parameter("order", "query", {"enum": list(get_args(answers.Order)), "default": "desc"}, "the direction"),
    ]


def _answer_schemas() -> Node:
    adapters: list[tuple[Any, Any, TypeAdapter[Any]]] = [
        (one.__name__, "serialization", TypeAdapter(one)) for one in _ANSWERS
    ]
    _, shared = TypeAdapter.json_schemas(adapters, ref_template=_COMPONENTS + "{model}")
    found: Node = shared["$defs"]
    return found
