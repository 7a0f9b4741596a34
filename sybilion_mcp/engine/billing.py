"""Calls that are answered at once and billed by what they return, once per X-Request-ID."""

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from sybilion_mcp.contract.problem import Problem
from sybilion_mcp.engine.accounts import Call, InsufficientCredits, OtherQuestion
from sybilion_mcp.engine.jobs import Engine
from sybilion_mcp.engine.wire import Answer, invalid

MAX_REQUEST_ID = 255  # characters

_OTHER_QUESTION = Problem(
    "request_id_reused", "X-Request-ID", "This id came with another body before; a new question needs a new id."
)


async def billed(
    request: Request,
    account: str,
    endpoint: str,
    body: Mapping[str, object],
    *,
    most: int,
    price: int,
    answer: Callable[[], Awaitable[tuple[object, int]]],
) -> Response:
    """What `answer` returns, a body and how many units it has, charged at `price` each where accounts pay.

    `most` units may come; an account that could not pay for them is refused before anything is computed. A call that
    came before with the same X-Request-ID gets the same answer, and nothing is charged.
    """
    engine: Engine = request.app.state.engine
    accounts = await engine.accounts()
    if accounts is None:
        return Answer((await answer())[0])
    call = Call(account, endpoint, _request_id(request), _hash(body))
    try:
        content = await accounts.answered(call)
        if content is None:
            await accounts.check(account, most * price)
            found, units = await answer()
            content = await accounts.charge(call, units, units * price, json.dumps(found, allow_nan=False))
    except InsufficientCredits as poor:
        sentence = f"insufficient credits: need up to {poor.need}, have {poor.have}"
        raise HTTPException(HTTPStatus.PAYMENT_REQUIRED, sentence) from poor
    except OtherQuestion:
        return invalid(_OTHER_QUESTION, request)
    return Response(content, media_type="application/json")


def _request_id(request: Request) -> str | None:
    given = request.headers.get("x-request-id", "").strip()
    if len(given) > MAX_REQUEST_ID:
        raise HTTPException(HTTPStatus.BAD_REQUEST, f"X-Request-ID is longer than {MAX_REQUEST_ID} characters")
    return given or None


def _hash(body: Mapping[str, object]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
