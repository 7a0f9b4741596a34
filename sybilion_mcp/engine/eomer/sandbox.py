"""The embedded engine on a port behind Eomer's wire."""

import socket
import sys
from contextlib import suppress
from pathlib import Path

from sybilion_mcp.engine.sandbox import ENDING_SECONDS


def serve_eomer_sandbox(host: str, port: int, home: Path) -> None:
    """Serve until interrupted; port 0 takes a free one. Prints one line with the URL once connections are taken."""
    import uvicorn

    from sybilion_mcp.engine.eomer.app import build_eomer_app

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, port), family=family) as listener:
        shown = f"[{host}]" if family == socket.AF_INET6 else host
        sys.stdout.write(
            f"Eomer-compatible API at http://{shown}:{listener.getsockname()[1]} "
            "(Authorization: Bearer <anything>; every key is an account of its own)\n"
        )
        sys.stdout.flush()
        config = uvicorn.Config(
            build_eomer_app(home),
            http="h11",
            lifespan="on",
            log_level="warning",
            timeout_graceful_shutdown=ENDING_SECONDS,
        )
        with suppress(KeyboardInterrupt):  # the way to end it
            uvicorn.Server(config).run(sockets=[listener])
