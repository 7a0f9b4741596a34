"""What is looked at before a request reaches the protocol: its method, its key, and how slowly its body comes."""

from collections.abc import Sequence
from http import HTTPStatus

import anyio
from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sybilion_mcp.http.caller import KEY_MISSING, ImplausibleKey, key_in

BODY_SECONDS = 20.0
"""In which a whole body must have come."""

_CHALLENGES = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_NEVER = float("inf")


class Gate:
    """Around the application. `path` is guarded, what tells nothing of anybody is open, and there is nothing else.

    `keyless`: whether a request without a key may come in. `scopes` are those that an OAuth token must have.
    """

    def __init__(
        self, app: ASGIApp, path: str, *, keyless: bool, scopes: Sequence[str] = (), body_seconds: float = BODY_SECONDS
    ) -> None:
        self._app = app
        self._path = path
        self._keyless = keyless
        self._scopes = " ".join(scopes)
        self._body_seconds = body_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _is_open(scope["path"]):
            await self._app(scope, receive, send)
            return
        if scope["path"] != self._path:  # also what the application might take for it, as the path and a line end
            missing = _told(HTTPStatus.NOT_FOUND, "not_found", f"The endpoint is {self._path}.")
            await missing(scope, receive, send)
            return
        refused = self._refused(scope)
        if refused is not None:
            await refused(scope, receive, send)
            return
        with anyio.CancelScope(deadline=anyio.current_time() + self._body_seconds) as patience:

            async def receive_in_time() -> Message:
                message = await receive()
                if not message.get("more_body", False):  # all of it is here, or nobody is there any more
                    patience.deadline = _NEVER
                return message

            await self._app(scope, receive_in_time, self._challenging(send))
        if patience.cancelled_caught:
            late = f"The body did not come within {self._body_seconds:g} seconds."
            await _told(HTTPStatus.REQUEST_TIMEOUT, "body_too_slow", late, {"connection": "close"})(
                scope, receive, send
            )

    def _refused(self, scope: Scope) -> JSONResponse | None:
        if scope["method"] != "POST":
            # No session, so no stream of messages that a GET could open and no session that a DELETE could end.
            return _told(HTTPStatus.METHOD_NOT_ALLOWED, "method_not_allowed", "Only POST.", {"allow": "POST"})
        try:
            key = key_in(scope)
        except ImplausibleKey:
            wrong = "X-Sybilion-Api-Key must be there once and hold 8 to 128 visible ASCII characters, no backslash."
            return _told(HTTPStatus.BAD_REQUEST, "implausible_key", wrong)
        if key is None and not self._keyless:
            challenge = {"www-authenticate": "X-Sybilion-Api-Key"}
            return _told(HTTPStatus.UNAUTHORIZED, "key_missing", KEY_MISSING, challenge)
        return None

    def _challenging(self, send: Send) -> Send:
        """Say in a challenge which scopes a token needs; the SDK does not."""
        if not self._scopes:
            return send

        async def challenge(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] in _CHALLENGES:
                headers = MutableHeaders(scope=message)
                if headers.get("www-authenticate", "").startswith("Bearer "):
                    headers["www-authenticate"] += f', scope="{self._scopes}"'
            await send(message)

        return challenge


def _is_open(path: str) -> bool:
    return path == "/healthz" or path.startswith("/.well-known/")


def _told(status: HTTPStatus, error: str, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": error, "message": message}, status, headers)
