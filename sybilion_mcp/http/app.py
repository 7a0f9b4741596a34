"""The server over HTTP as one ASGI application: stateless, so that any process of a folder answers any request."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from mcp.server.auth.settings import AuthSettings
from mcp.server.context import ServerRequestContext
from mcp.server.request_state import RequestStateSecurity
from mcp.server.transport_security import TransportSecuritySettings
from pydantic import AnyHttpUrl
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from sybilion_mcp import __version__
from sybilion_mcp.http.caller import caller_of
from sybilion_mcp.http.desks import CallerDesks, Keyed
from sybilion_mcp.http.gate import BODY_SECONDS, Gate
from sybilion_mcp.http.oauth import Issuer, JwtVerifier, is_loopback, is_secure
from sybilion_mcp.http.state_key import state_key
from sybilion_mcp.server import build_server
from sybilion_mcp.settings import Settings

PATH = "/mcp"
MAX_BODY_BYTES = 4 * 1024 * 1024
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


@dataclass(frozen=True, slots=True)
class Place:
    """Where the server listens. `port` is the one it got."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        return is_loopback(self.host)

    @property
    def url(self) -> str:
        return f"http://{self._shown}:{self.port}{PATH}"

    @property
    def names(self) -> tuple[str, ...]:
        """The names under which it can be meant without being told so; none where it listens everywhere."""
        if self.is_loopback:
            return _LOOPBACK
        return () if self.host in ("0.0.0.0", "::", "") else (self._shown,)  # noqa: S104 - told from, not bound to

    @property
    def _shown(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host


def build_app(settings: Settings, place: Place, desks: CallerDesks, *, body_seconds: float = BODY_SECONDS) -> ASGIApp:
    """The endpoint at `PATH` and `/healthz`. Its lifespan ends with the desks closed.

    Raises `ValueError` for settings that do not fit together, `OSError` where the data folder cannot be used.
    """
    issuer = issuer_of(settings, place)
    local = is_local(settings, place)
    server = build_server(
        settings,
        seats=desks if local else Keyed(desks),
        request_state_security=RequestStateSecurity(keys=[state_key(settings.home)], bind_principal=_principal(desks)),
        auth=_auth(issuer, settings, place),
        token_verifier=JwtVerifier(issuer) if issuer else None,
    )

    logging.getLogger("mcp.server.transport_security").addFilter(_without_the_value)
    server.custom_route("/healthz", methods=["GET"])(_healthz)
    app = server.streamable_http_app(
        streamable_http_path=PATH,
        stateless_http=True,
        max_request_body_size=MAX_BODY_BYTES,
        transport_security=_security(settings, place),
    )
    keyless = local or issuer is not None  # who has no token either is told first where tokens are given
    scopes = issuer.scopes if issuer else ()
    return Gate(app, PATH, keyless=keyless, scopes=scopes, body_seconds=body_seconds)


async def _healthz(_: Request) -> Response:
    return JSONResponse({"status": "ok", "version": __version__})


def _without_the_value(record: logging.LogRecord) -> bool:
    """The SDK logs headers as they came: what is wrong is told, and not what somebody sent."""
    record.msg, record.args = record.getMessage().partition(":")[0], None
    return True


def is_local(settings: Settings, place: Place) -> bool:
    """Whether callers sit at this machine. Who names the server otherwise reaches it through a proxy, from anywhere."""
    names = [urlsplit(f"//{host}").hostname for host in settings.allowed_hosts]
    return place.is_loopback and settings.public_url is None and all(map(is_loopback, names))


def files_allowed(settings: Settings, place: Place) -> bool:
    """Whether the files of this machine are the callers' own."""
    return is_local(settings, place) and settings.oauth_issuer is None


def issuer_of(settings: Settings, place: Place) -> Issuer | None:
    if settings.oauth_issuer is None:
        if settings.oauth_audience or settings.oauth_scopes or settings.oauth_jwks_url:
            raise ValueError("SYBILION_MCP_OAUTH_… without SYBILION_MCP_OAUTH_ISSUER protects nothing")
        return None
    audience = settings.oauth_audience or public_url(settings, place)
    return Issuer(settings.oauth_issuer, audience, settings.oauth_scopes, settings.oauth_jwks_url)


def public_url(settings: Settings, place: Place) -> str:
    """Where clients reach the endpoint."""
    if settings.public_url is not None:
        if not is_secure(settings.public_url):
            raise ValueError("SYBILION_MCP_PUBLIC_URL must be an https address")
        return settings.public_url
    if not place.is_loopback:
        raise ValueError("set SYBILION_MCP_PUBLIC_URL to the address of the endpoint, as https://example.com/mcp")
    return place.url


def _auth(issuer: Issuer | None, settings: Settings, place: Place) -> AuthSettings | None:
    if issuer is None:
        return None
    return AuthSettings(
        issuer_url=AnyHttpUrl(issuer.url),
        resource_server_url=AnyHttpUrl(public_url(settings, place)),
        required_scopes=list(issuer.scopes) or None,
        validate_token_resource=False,  # the verifier checks the audience
    )


def _security(settings: Settings, place: Place) -> TransportSecuritySettings:
    """Which Host and Origin headers are taken; without it a web page could reach a server of this machine."""
    public = urlsplit(settings.public_url or "")
    hosts = [*settings.allowed_hosts, *place.names, *([public.netloc] if public.netloc else [])]
    if not hosts:
        raise ValueError("set SYBILION_MCP_ALLOWED_HOSTS to the names under which clients reach this server")
    origins = [*settings.allowed_origins, *([f"{public.scheme}://{public.netloc}"] if public.netloc else [])]
    if place.is_loopback:
        origins += [f"http://{name}:*" for name in _LOOPBACK]
    with_ports = [f"{host}:*" for host in hosts if not _has_port(host)]
    return TransportSecuritySettings(allowed_hosts=[*hosts, *with_ports], allowed_origins=origins)


def _has_port(host: str) -> bool:
    return ":" in host.rpartition("]")[2]


def _principal(desks: CallerDesks) -> Callable[[ServerRequestContext[Any, Any]], str | None]:
    """What a person agreed to holds for the caller who was asked."""

    def principal(ctx: ServerRequestContext[Any, Any]) -> str | None:
        return desks.id_of(caller_of(ctx.request)) if isinstance(ctx.request, Request) else None

    return principal
