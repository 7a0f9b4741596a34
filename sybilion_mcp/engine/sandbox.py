"""The embedded engine on a port: a Sybilion-compatible API for any client."""

import socket
from contextlib import suppress
from pathlib import Path

from sybilion_mcp.engine.terms import Terms

ENDING_SECONDS = 3  # for requests that are still open when the sandbox is told to end


def serve_sandbox(host: str, port: int, home: Path, drivers: Path | None = None, terms: Terms | None = None) -> None:
    """Serve until interrupted; port 0 takes a free one. Prints one line with the URL once connections are taken.

    `drivers` is the file of the driver folder, `home`/drivers.db unless given. Without `terms` it bills generously.
    """
    import uvicorn

    from sybilion_mcp.engine.app import build_app

    terms = terms or Terms()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family) as listener:
        # What it accepts takes this over; asyncio sees no TCP in such a socket, and answers would wait 40 ms.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        shown = f"[{host}]" if family == socket.AF_INET6 else host
        print(
            f"Sybilion-compatible API at http://{shown}:{listener.getsockname()[1]} "
            "(Authorization: Bearer sk_ops_<anything>; every token is an account of its own, "
            f"which begins with {terms.credit_eur_cents:,} EUR cents; those that {home} knows "
            "keep what they have: take another token, or another SYBILION_MCP_HOME, to start afresh)",
            flush=True,
        )
        app = build_app(home, drivers=drivers, terms=terms)
        config = uvicorn.Config(
            app, http="h11", lifespan="on", log_level="warning", timeout_graceful_shutdown=ENDING_SECONDS
        )
        with suppress(KeyboardInterrupt):  # the way to end it
            uvicorn.Server(config).run(sockets=[listener])
