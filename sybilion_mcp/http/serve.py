"""`serve --transport http`: the application under uvicorn, until it is told to end."""

import asyncio
import gc
import signal
import socket
import sys
from contextlib import suppress

import uvicorn
from sse_starlette.sse import AppStatus
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from sybilion_mcp.http.app import Place, build_app, files_allowed
from sybilion_mcp.http.desks import CallerDesks
from sybilion_mcp.settings import Settings

FINISHING_SECONDS = 3
"""For requests that run when the server is told to end; the rest of five seconds is for closing."""
HEAD_SECONDS = 10.0
"""In which the head of a request must have come, from when a connection opens or the last answer was sent."""
MOST_CONNECTIONS = 1000
MOST_FILES = 8192


def serve_http(settings: Settings, host: str, port: int) -> None:
    """Serve until interrupted; port 0 takes a free one. Prints one line with the URL once connections are taken.

    Raises `ValueError` for settings that do not fit together, `OSError` where the address or the data folder cannot
    be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family) as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # or every answer waits for an acknowledgement
        place = Place(host, listener.getsockname()[1])
        desks = CallerDesks(settings, files=files_allowed(settings, place))
        app = build_app(settings, place, desks)
        config = uvicorn.Config(
            app,
            http=Prompt,
            ws="none",
            lifespan="on",
            log_config=None,  # what is logged goes through our handler, which hides secrets
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=MOST_CONNECTIONS,
            timeout_graceful_shutdown=FINISHING_SECONDS,
        )
        AppStatus.enable_automatic_graceful_drain = False  # which would cut off answers that are under way
        signal.signal(signal.SIGTERM, _end)
        _allow_more_files()
        gc.collect()
        gc.freeze()  # what is imported stays: looking through it again and again would take a sixth of every call
        _say(settings, place)
        with suppress(KeyboardInterrupt):  # the other way to end it
            Server(config, desks).run(sockets=[listener])


def _end(_: int, __: object) -> None:
    """For a signal before uvicorn listens to it, and for the one that uvicorn raises again once all is closed."""
    raise SystemExit(0)


def _allow_more_files() -> None:
    """Every connection is one, and every desk a few: more than the thousand that a process may open at first."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(MOST_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):  # some systems have a limit of their own: then it stays as it is
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _say(settings: Settings, place: Place) -> None:
    notes = []
    if settings.api_token is not None:
        notes.append("SYBILION_API_TOKEN is not used over HTTP: every caller sends a key in X-Sybilion-Api-Key.")
    if not place.is_loopback:
        notes.append("Keys and series travel in the clear unless TLS ends in front of this server.")
    for note in notes:
        print(f"sybilion-mcp: {note}", file=sys.stderr, flush=True)
    print(f"MCP server at {place.url}", flush=True)


class Server(uvicorn.Server):
    """Told to end, it first ends the waiting of those who follow a job, so that they are answered."""

    def __init__(self, config: uvicorn.Config, desks: CallerDesks) -> None:
        super().__init__(config)
        self._desks = desks

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._desks.waits.end()
        await super().shutdown(sockets)


class Prompt(H11Protocol):
    """HTTP/1.1 from clients that say what they want soon: uvicorn itself waits for ever."""

    _overdue: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        self._wait()

    def handle_events(self) -> None:
        super().handle_events()
        serving: RequestResponseCycle | None = self.cycle
        if serving is None or serving.response_complete:
            self._wait()
        else:
            self._stop_waiting()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait(self) -> None:
        if self._overdue is None:
            self._overdue = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None
