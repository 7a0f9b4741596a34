"""The web server itself: clients that take their time, and the key that processes share."""

import socket
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import httpx
import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from sybilion_mcp.http import serve
from sybilion_mcp.http.serve import Prompt
from sybilion_mcp.http.state_key import state_key
from sybilion_mcp.settings import Settings
from tests.timing import wall_clock

pytestmark = pytest.mark.anyio


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads all of a body, then answers."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"hi"})


@pytest.fixture
async def port(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    """Of a server that waits a tenth of a second for the head of a request."""
    monkeypatch.setattr(serve, "HEAD_SECONDS", 0.1)
    config = uvicorn.Config(hello, http=Prompt, ws="none", lifespan="off", log_config=None)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(config)
        async with anyio.create_task_group() as group:
            group.start_soon(server.serve, [listener])
            yield listener.getsockname()[1]
            server.should_exit = True


@pytest.mark.parametrize("head", [b"", b"POST /mcp HTTP/1.1\r\nHost: a\r\nX-Slow: "])
async def test_a_head_that_does_not_come_ends_the_connection(port: int, head: bytes) -> None:
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        if head:
            await stream.send(head)
        with anyio.fail_after(10), pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
            await stream.receive()


@wall_clock
async def test_a_head_that_trickles_in_on_a_used_connection_ends_it_too(port: int) -> None:
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        await stream.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        answered = b""
        while not answered.endswith(b"hi"):
            answered += await stream.receive()
        await stream.send(b"GET / HT")
        with anyio.fail_after(10), pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
            await stream.receive()


@wall_clock
async def test_a_body_has_more_time_than_a_head(port: int) -> None:
    begun = anyio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b"first"
        begun.set()
        with anyio.move_on_after(0.3):
            await anyio.Event().wait()
        yield b"second"

    async with httpx.AsyncClient() as http:
        answer = await http.post(f"http://127.0.0.1:{port}/", content=body())

    assert begun.is_set()
    assert answer.text == "hi"


def test_processes_of_a_folder_share_one_key_that_only_this_user_can_read(tmp_path: Path) -> None:
    home = tmp_path / "home"
    key = state_key(home)

    assert state_key(home) == key
    assert len(key) == 64
    assert [file.name for file in home.iterdir()] == ["request-state.key"]
    assert (home / "request-state.key").stat().st_mode & 0o777 == 0o600
    assert state_key(tmp_path / "other") != key


def test_a_file_that_holds_no_key_is_not_taken_for_one(tmp_path: Path) -> None:
    (tmp_path / "request-state.key").write_text("short")

    with pytest.raises(OSError, match=r"request-state\.key"):
        state_key(tmp_path)


def test_several_names_are_separated_by_commas_or_spaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYBILION_MCP_ALLOWED_HOSTS", "a.example, b.example:8443")
    monkeypatch.setenv("SYBILION_MCP_OAUTH_SCOPES", "forecast read")

    settings = Settings()

    assert settings.allowed_hosts == ("a.example", "b.example:8443")
    assert settings.oauth_scopes == ("forecast", "read")
