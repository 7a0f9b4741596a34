"""The fixture server of the conformance suite: `python -m tests.clients.conformance_server HOME`.

It comes from the same factory as the product's, with what the suite asks for beyond a forecasting desk beside it, and
with sessions, which some of that needs in earlier eras. Prints its address, and serves until it is ended.
"""

import socket
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

import uvicorn
from mcp.server.mcpserver import MCPServer
from mcp.server.streamable_http import EventCallback, EventMessage, EventStore
from mcp_types import JSONRPCMessage

from sybilion_mcp import server as factory
from sybilion_mcp.settings import Settings
from tests.clients.fixtures.contents import content_tools
from tests.clients.fixtures.questions import question_tools
from tests.clients.fixtures.texts import add_texts, text_prompts


class Events(EventStore):
    """What was sent on each stream, so that a client that lost one can have the rest."""

    def __init__(self) -> None:
        self._sent: list[tuple[str, JSONRPCMessage | None]] = []

    async def store_event(self, stream_id: str, message: JSONRPCMessage | None) -> str:
        self._sent.append((stream_id, message))
        return str(len(self._sent) - 1)

    async def replay_events_after(self, last_event_id: str, send_callback: EventCallback) -> str | None:
        if not last_event_id.isdecimal() or int(last_event_id) >= len(self._sent):
            return None
        last = int(last_event_id)
        stream = self._sent[last][0]
        for number, (of, message) in enumerate(self._sent[last + 1 :], last + 1):
            if of == stream and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream


def build(home: Path) -> MCPServer[Any]:
    """The product's server, whose lists of tools and prompts are longer while it is being built."""
    tools, prompts = factory.tools_of, factory.load_prompts
    more_tools = [*content_tools(), *question_tools()]
    with (
        patch.object(factory, "tools_of", lambda *given: [*tools(*given), *more_tools]),
        patch.object(factory, "load_prompts", lambda: [*prompts(), *text_prompts()]),
    ):
        server = factory.build_server(Settings(home=home, toolset="all"))
    add_texts(server)
    return server


def main(home: Path) -> None:
    app = build(home).streamable_http_app(event_store=Events(), retry_interval=50)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sys.stdout.write(f"MCP server at http://127.0.0.1:{listener.getsockname()[1]}/mcp\n")
        sys.stdout.flush()
        uvicorn.Server(uvicorn.Config(app, http="h11", log_level="warning")).run(sockets=[listener])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
