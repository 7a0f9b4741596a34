"""What every route shares: who asks, the body of a request, the answer and its errors."""

import hashlib
import json
import logging
import re
import uuid
from collections.abc import Mapping
from http import HTTPStatus

import anyio
from sqlalchemy.exc import DBAPIError
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sybilion_mcp.contract import engine_faults
from sybilion_mcp.contract.problem import Problem
from sybilion_mcp.contract.request import MAX_BODY_BYTES
from sybilion_mcp.engine.answers import Detail, ErrorBody, InvalidBody
from sybilion_mcp.engine.gate import Gate
from sybilion_mcp.engine.library import LibraryError
from sybilion_mcp.hints import Refusal

TOKEN = re.compile(r"Bearer (sk_ops_\S+)", re.IGNORECASE)
_log = logging.getLogger(__name__)
BODY_SECONDS = 20.0  # in which a whole body must have come


def account_of(request: Request) -> str:
    """The account a token stands for: its hash, so that the table holds no secret.

    Raises 401 without a token, 429 when the account has made all the requests of this minute.
    """
    header = request.headers.get("authorization", "")
    if not header.lower().startswith("bearer "):
        raise HTTPException(HTTPStatus.UNAUTHORIZED, "missing bearer token")
    token = TOKEN.fullmatch(header.strip())
    if token is None:
        raise HTTPException(HTTPStatus.UNAUTHORIZED, "invalid bearer token")
    account = hashlib.sha256(token[1].encode()).hexdigest()[:32]
    gate: Gate | None = request.app.state.gate
    if gate is not None:
        gate.admit(account)
    return account


async def read_body(request: Request) -> bytes:
    """The body, as long as it keeps within the limits of size and time; not one chunk more is read."""
    too_large = HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "request body larger than 2 MiB")
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared) > MAX_BODY_BYTES:
        raise too_large
    body = bytearray()
    with anyio.move_on_after(BODY_SECONDS) as waiting:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise too_large
    if waiting.cancelled_caught:
        sentence = f"the request body did not come within {BODY_SECONDS:g} seconds"
        raise HTTPException(HTTPStatus.REQUEST_TIMEOUT, sentence, headers={"connection": "close"})
    return bytes(body)


def decode(content: bytes) -> dict[str, object]:
    try:
        body = json.loads(content)
    except (ValueError, RecursionError) as failure:
        raise HTTPException(HTTPStatus.BAD_REQUEST, f"invalid request body: {failure}") from failure
    if not isinstance(body, dict):
        raise HTTPException(HTTPStatus.BAD_REQUEST, "invalid request body: a JSON object is expected")
    return body


class Answer(JSONResponse):
    """JSON in ASCII: text of a request that is no valid Unicode can be quoted back."""

    def render(self, content: object) -> bytes:
        return json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")


async def refused(request: Request, failure: Exception) -> Response:
    assert isinstance(failure, HTTPException)
    return error_answer(request, failure.status_code, failure.detail, failure.headers)


async def crashed(request: Request, failure: Exception) -> Response:
    _log.warning("a request to the embedded engine failed: %s", type(failure).__name__)
    return error_answer(request, HTTPStatus.INTERNAL_SERVER_ERROR, _fault(failure))


def _fault(failure: Exception) -> str:
    if isinstance(failure, LibraryError):
        return engine_faults.DRIVER_FOLDER
    unusable = isinstance(failure, Refusal) and failure.code == "storage_failed"
    of_files = isinstance(failure, OSError | DBAPIError) and not isinstance(failure, TimeoutError | ConnectionError)
    return engine_faults.FILES if unusable or of_files else "internal error"


def error_answer(request: Request, status: int, sentence: str, headers: Mapping[str, str] | None = None) -> Response:
    trace_id = request.state.trace_id
    body: ErrorBody = {"error": sentence, "trace_id": trace_id}
    return Answer(body, status, {**(headers or {}), "x-trace-id": trace_id})


def invalid(problem: Problem, request: Request) -> Response:
    if problem.status != HTTPStatus.UNPROCESSABLE_ENTITY:
        sentence = f'invalid request body: field "{problem.field}": {problem.message}'
        return error_answer(request, problem.status, sentence)
    detail: Detail = {"field": problem.field, "message": problem.message}
    body: InvalidBody = {"error": "validation_failed", "details": [detail]}
    return Answer(body, HTTPStatus.UNPROCESSABLE_ENTITY)


class TraceId:
    """Gives every request an id that its answer carries in `x-trace-id`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        trace_id = uuid.uuid4().hex
        scope.setdefault("state", {})["trace_id"] = trace_id

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["x-trace-id"] = trace_id
            await send(message)

        await self._app(scope, receive, send_with_id)
