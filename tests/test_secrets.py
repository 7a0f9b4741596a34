"""A token goes nowhere: whatever happens to it, nobody reads it in an answer, a log, a file or a crash."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import anyio
import pytest
import stamina
from mcp import Client
from mcp.shared.exceptions import MCPError

from sybilion_mcp.contract.jobs import Job
from sybilion_mcp.hints import CODES
from sybilion_mcp.secret_text import HIDDEN, HidingFilter, Secrets
from sybilion_mcp.server import build_server
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.settings import Settings
from tests.conftest import ERAS, TODAY, good_series
from tests.hosted import Fault, HostedApi, ImpatientDesk, serving

pytestmark = pytest.mark.anyio

TOKEN = "sk_ops_CANARY0123456789"
OTHER = "session-canary-0123456789"
"""A secret that does not look like one."""
TITLE = "Monthly demand for a made-up product in Austria, units"


@pytest.fixture
async def api() -> AsyncIterator[HostedApi]:
    async with serving() as api:
        yield api


@pytest.fixture(params=[TOKEN, OTHER])
def canary(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def desk(api: HostedApi, tmp_path: Path, executor: Executor, canary: str) -> Desk:
    api.token = canary
    settings = Settings(
        home=tmp_path / "home",
        api_token=canary,
        eomer_api_key="eomer-canary-0123456789",
        api_base_url=api.url,
        spend="allow",
        log_level="DEBUG",
        allow_dirs=(tmp_path,),
    )
    return ImpatientDesk(settings, today=lambda: TODAY, executor=executor)


@pytest.fixture(params=ERAS)
async def client(desk: Desk, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Client]:
    """With everything logged that libraries log, as far as the server lets them."""
    caplog.set_level(logging.DEBUG)
    async with Client(build_server(desk.settings, desk), mode=ERAS[request.param]) as connected:
        yield connected


@pytest.fixture(autouse=True)
def no_pauses_between_retries() -> Iterator[None]:
    with stamina.set_testing(True, attempts=2):
        yield


async def call(client: Client, tool: str, **arguments: Any) -> tuple[dict[str, Any], str]:
    """The data of a call, and everything that the client got of it."""
    with anyio.fail_after(30):
        result = await client.call_tool(tool, arguments)
    return dict(result.structured_content or {}), result.model_dump_json()


def stored(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())


# The configured token


async def test_a_whole_conversation_leaves_no_trace_of_the_token(
    client: Client, desk: Desk, api: HostedApi, canary: str, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    seen = []
    checked, text = await call(client, "validate_series", series=good_series(), title=TITLE)
    seen.append(text)
    made, text = await call(client, "submit_forecast", series_id=checked["series_id"], soft_horizon=12)
    seen.append(text)
    api.finish(made["job_id"])
    local, text = await call(
        client, "submit_forecast", series_id=checked["series_id"], soft_horizon=3, backtest=False, backend="local"
    )
    seen.append(text)
    for job_id in (made["job_id"], local["job_id"]):
        seen.append((await call(client, "get_status", job_id=job_id, wait_seconds=20))[1])
        seen += [
            (await call(client, "read_artifact", job_id=job_id, artifact=part))[1]
            for part in ("report", "forecast", "drivers", "input", "forecast.json")
        ]
        seen += [
            (await client.read_resource(f"sybilion://jobs/{job_id}{part}")).model_dump_json()
            for part in ("", "/report", "/forecast", "/drivers", "/artifacts/input.json")
        ]
    seen.append((await client.read_resource(f"sybilion://series/{checked['series_id']}")).model_dump_json())

    assert [one for one in seen if canary in one] == []
    assert canary not in caplog.text
    kept = stored(tmp_path)
    assert len(kept) > 50_000
    assert canary.encode() not in kept
    assert {path.name for path in (tmp_path / "home").rglob("*.db")} >= {"desk.db"}


ECHOES = {
    "in the sentence of an error": (401, {"error": "invalid token {0}", "trace_id": "{0}"}),
    "in a server error": (500, {"error": "{0}", "trace_id": "trace-{0}", "{0}": 1}),
    "in the details of a refusal": (422, {"error": "{0}", "details": [{"field": "{0}", "message": "{0}"}]}),
    "in garbage": (200, {"{0}": ["{0}"], "job": {"token": "{0}"}}),
}


@pytest.mark.parametrize("echo", ECHOES)
async def test_a_service_that_repeats_the_token_is_not_repeated(
    client: Client, api: HostedApi, canary: str, caplog: pytest.LogCaptureFixture, tmp_path: Path, echo: str
) -> None:
    status, body = ECHOES[echo]
    answer = json.dumps(body).replace("{0}", canary).encode()
    fault = Fault(status, answer, (("x-trace-id", canary), ("x-request-id", canary)))
    job_id = api.make_job()
    for operation in ("submit", "job", "jobs", "artifact"):
        api.always(operation, fault)

    asked = {"series": good_series(), "title": TITLE, "soft_horizon": 12}
    seen = [await call(client, "submit_forecast", **asked) for _ in range(2)]
    seen.append(await call(client, "get_status", job_id=job_id, wait_seconds=0))
    seen.append(await call(client, "read_artifact", job_id=job_id, artifact="forecast"))
    with pytest.raises(MCPError) as caught:
        await client.read_resource(f"sybilion://jobs/{job_id}")

    assert [data["code"] for data, _ in seen if data["code"] not in CODES] == []
    assert [text for _, text in seen if canary in text] == []
    assert canary not in f"{caught.value} {caught.value.error.model_dump_json()}"
    assert canary not in caplog.text
    assert canary.encode() not in stored(tmp_path)


async def test_a_job_that_tells_the_token_is_not_repeated(
    client: Client, desk: Desk, api: HostedApi, canary: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Also where the service writes it into what is shown as data."""
    job_id = api.make_job()
    api.finish(job_id, "failed", pipeline_error={"code": f"bad_{canary}", "detail": f"Bearer {canary} was refused"})

    _, told = await call(client, "get_status", job_id=job_id, wait_seconds=0)

    assert "refused" in told
    assert HIDDEN[1:-1] in told
    assert canary not in told
    assert canary not in caplog.text


async def test_a_crash_does_not_tell_the_token(
    client: Client, desk: Desk, canary: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a bug that raises with the token in its message, the log has the place and not the token."""

    async def broken(*_: object) -> Job:
        raise RuntimeError(f"no header for Bearer {canary}") from ValueError(canary)

    monkeypatch.setattr(desk.store, "job", broken)
    _, told = await call(client, "get_status", job_id="j1", wait_seconds=0)
    with pytest.raises(MCPError) as caught:
        await client.read_resource("sybilion://jobs/j1")

    assert "internal_error" in told
    assert canary not in told
    assert canary not in str(caught.value)
    assert "RuntimeError" in caplog.text
    assert HIDDEN in caplog.text
    assert canary not in caplog.text


# A token in an argument

PASTED = {
    "title": {"title": f"Demand for steel in Austria {TOKEN}"},
    "description": {"description": f"use the key {TOKEN}, please"},
    "keywords": {"keywords": ["steel", TOKEN]},
}


@pytest.mark.parametrize("where", PASTED)
@pytest.mark.parametrize("tool", ["validate_series", "submit_forecast"])
@pytest.mark.parametrize("secret", [TOKEN, OTHER, "sk_ops_somebody_elses", "eomer-canary-0123456789"])
@pytest.mark.parametrize("canary", [OTHER], indirect=True)
async def test_a_token_that_was_pasted_is_refused_before_anything_is_kept(
    client: Client,
    api: HostedApi,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    where: str,
    tool: str,
    secret: str,
) -> None:
    said = json.loads(json.dumps(PASTED[where]).replace(TOKEN, secret))

    data, told = await call(client, tool, series=good_series(), soft_horizon=12, **{"title": TITLE, **said})

    assert data["code"] == "secret_in_text"
    assert data["message"].startswith(f"{where} of {tool} holds")
    assert data["next"]["tool"] == tool
    assert where not in data["next"]["arguments"]
    assert data["next"]["arguments"]["soft_horizon"] == 12
    assert api.requests == []
    for text in (told, caplog.text):
        assert secret not in text
    assert secret.encode() not in stored(tmp_path)
    assert not (tmp_path / "home" / "desk.db").exists()


@pytest.mark.parametrize("canary", [TOKEN], indirect=True)
async def test_a_token_is_refused_wherever_it_stands(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    """In any tool, in arguments of any shape, and where the call does not fit anyway."""
    calls: list[tuple[str, dict[str, Any]]] = [
        ("suggest_keywords", {"title": f"{TITLE} {TOKEN.lower()}"}),
        ("get_status", {"job_id": TOKEN}),
        ("read_artifact", {"job_id": "j1", "save_to": f"results/{TOKEN}.txt"}),
        ("validate_series", {"series": json.dumps({TOKEN: 1})}),
        ("validate_series", {"series": {"2020-01-01": {"deep": [[{TOKEN: 1}]]}}}),
        ("submit_forecast", {"api_token": TOKEN}),
        ("submit_forecast", {TOKEN: 1, "titel": "x"}),
    ]
    for tool, arguments in calls:
        data, told = await call(client, tool, **arguments)
        assert data["code"] == "secret_in_text", tool
        assert TOKEN.lower() not in told.lower()
    data, told = await call(client, f"submit_{TOKEN}", title=TOKEN)
    assert data["code"] == "unknown_tool"
    assert TOKEN not in told
    with pytest.raises(MCPError) as caught:
        await client.read_resource(f"sybilion://series/{TOKEN}")
    assert TOKEN not in f"{caught.value} {caught.value.error.model_dump_json()}"
    assert TOKEN not in caplog.text


@pytest.mark.parametrize("canary", [OTHER], indirect=True)
async def test_words_about_tokens_are_no_tokens(client: Client) -> None:
    """Nor is a secret that is too short to be one."""
    data, _ = await call(
        client, "validate_series", series=good_series(), title=TITLE, description="Tokens begin with sk_ops_ (see docs)"
    )

    assert data["valid"]
    assert not Secrets(["", "abc"]).within({"abc": ["abc", 1, None]})


# Logs


def test_what_is_logged_keeps_its_shape() -> None:
    hiding = HidingFilter()
    hiding.know([OTHER])
    record = logging.LogRecord("x", logging.DEBUG, "", 1, "a %s b %s", (f"<{OTHER}>", TOKEN), None)

    assert hiding.filter(record)
    assert logging.Formatter().format(record) == f"a <{HIDDEN}> b {HIDDEN}"


# The program as hosts start it


def messages(*calls: tuple[str, dict[str, Any]]) -> str:
    client = {"name": "test", "version": "1"}
    begin = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client}
    lines: list[dict[str, Any]] = [{"id": 0, "method": "initialize", "params": begin}]
    lines.append({"method": "notifications/initialized"})
    for number, (tool, arguments) in enumerate(calls, 1):
        lines.append({"id": number, "method": "tools/call", "params": {"name": tool, "arguments": arguments}})
    return "\n".join(json.dumps({"jsonrpc": "2.0", **line}) for line in lines) + "\n"


async def spoken(
    environment: dict[str, str], *calls: tuple[str, dict[str, Any]], more: str = ""
) -> tuple[bytes, bytes]:
    """What a server process writes to stdout and stderr until all calls are answered and its input ends."""
    command = [sys.executable, "-m", "sybilion_mcp"]
    wanted = set(range(len(calls) + 1))
    async with await anyio.open_process(command, env=environment) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        errors: list[bytes] = []

        async def read_errors(stderr: Any) -> None:
            errors.extend([chunk async for chunk in stderr])

        async with anyio.create_task_group() as group:
            group.start_soon(read_errors, process.stderr)
            await process.stdin.send((more + messages(*calls)).encode())
            out = b""
            async for chunk in process.stdout:
                out += chunk
                answered = {json.loads(line).get("id") for line in out.split(b"\n")[:-1]}
                if wanted <= answered:
                    break
            await process.stdin.aclose()
            await process.wait()
    return out, b"".join(errors)


@pytest.mark.parametrize("canary", [TOKEN, OTHER])
async def test_a_process_that_logs_everything_writes_no_token(api: HostedApi, tmp_path: Path, canary: str) -> None:
    """A real server at debug level: a paid job, failures that echo the token, a token in broken input."""
    api.token = canary
    (tmp_path / "token").write_text(f"{canary}\n", encoding="utf-8")
    environment = {
        "SYBILION_MCP_HOME": str(tmp_path / "home"),
        "SYBILION_MCP_LOG_LEVEL": "DEBUG",
        "SYBILION_MCP_SPEND": "allow",
        "SYBILION_API_TOKEN_FILE": str(tmp_path / "token"),
        "SYBILION_API_BASE_URL": api.url,
        "PYTHONASYNCIODEBUG": "1",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    job_id = api.make_job()
    api.always("artifact", Fault(500, json.dumps({"error": canary, "trace_id": canary}).encode()))
    asked = {"series": good_series(), "title": TITLE, "soft_horizon": 12}

    with anyio.fail_after(90):
        out, errors = await spoken(
            environment,
            ("submit_forecast", asked),
            ("submit_forecast", {**asked, "title": f"{TITLE} {canary}"}),
            ("get_status", {"job_id": job_id, "wait_seconds": 0}),
            ("read_artifact", {"job_id": job_id, "artifact": "forecast"}),
            more=f'{{"jsonrpc": "2.0", "Bearer {canary}\n{{"jsonrpc": "2.0", "id": 77, "method": "{canary}"}}\n',
        )

    assert len(api.submits) == 1
    assert b"secret_in_text" in out
    assert len(errors) > 500  # it does log
    assert canary.encode() not in errors
    assert canary.encode() not in out.replace(b"77", b"")
    (tmp_path / "token").unlink()
    assert canary.encode() not in stored(tmp_path)


def test_a_start_that_fails_tells_no_token(tmp_path: Path) -> None:
    said = {"SYBILION_MCP_HOME": str(tmp_path), "SYBILION_API_TOKEN": TOKEN, "SYBILION_MCP_SPEND": TOKEN}
    done = subprocess.run(
        [sys.executable, "-m", "sybilion_mcp"],
        env={**said, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 2
    assert b"spend" in done.stderr
    assert TOKEN.encode() not in done.stdout + done.stderr
