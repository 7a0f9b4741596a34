"""The program as hosts start it: whatever it logs, keeps or writes when it breaks, no token is in it."""

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio
import pytest

from sybilion_mcp.secret_text import HIDDEN
from tests.canaries import DISGUISES, EOMER, OTHER, TOKEN, in_databases, stored, tells
from tests.conftest import good_series
from tests.hosted import Fault, HostedApi, serving

pytestmark = pytest.mark.anyio

TITLE = "Monthly demand for a made-up product in Austria, units"


@pytest.fixture
async def api() -> AsyncIterator[HostedApi]:
    async with serving() as api:
        yield api


CARELESS = """
import asyncio, gc, logging, os, sys, threading, warnings
from sybilion_mcp import cli, server

told = "{} and {!r} and {}".format(os.environ["SYBILION_API_TOKEN"].strip(), os.environ, os.environ["EOMER_API_KEY"])

class Careless:
    def __del__(self):
        raise ValueError(told)

class Handler(logging.Handler):
    def emit(self, record):
        try:
            raise OSError(told)
        except OSError:
            self.handleError(record)

async def fail():
    raise LookupError(told)

async def forget():
    task = asyncio.create_task(fail())
    await asyncio.wait([task])
    del task
    gc.collect()

def fall():
    raise RuntimeError(told)

def build(settings):
    built = build_server(settings)
    Careless()
    thread = threading.Thread(target=fall)
    thread.start()
    thread.join()
    asyncio.run(forget())
    warnings.warn(told)
    logging.getLogger("careless").addHandler(Handler())
    logging.getLogger("careless").error("%s", told)
    sys.stderr.write("written " + told)
    print(os.environ, file=sys.stderr)
    error = ExceptionGroup(told, [KeyError(told), OSError(2, told, told)])
    error.add_note(told)
    raise error from ValueError(told)

build_server, server.build_server = server.build_server, build
cli.main(["serve"])
"""


@pytest.mark.parametrize("canary", [TOKEN, OTHER, f" {OTHER} \n", f"{OTHER}\n{TOKEN}"])
def test_no_crash_tells_the_token(tmp_path: Path, canary: str) -> None:
    """Given bugs that raise with all they know: in a thread, a task, a finalizer, a log handler, and to the end."""
    said = {"SYBILION_MCP_HOME": str(tmp_path), "SYBILION_API_TOKEN": canary, "EOMER_API_KEY": EOMER}
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", CARELESS],
        env={**said, "PYTHONPATH": os.pathsep.join(sys.path), "SYBILION_MCP_LOG_LEVEL": "DEBUG"},
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 1
    for kind in (b"ValueError", b"LookupError", b"RuntimeError", b"ExceptionGroup", b"UserWarning", b"environ("):
        assert kind in done.stderr
    assert HIDDEN.encode() in done.stderr
    for part in (*canary.split(), EOMER):
        assert not tells(done.stdout + done.stderr, part)


@pytest.mark.parametrize(
    "address", [f"https://user:{OTHER}@host", f"https://host?token={OTHER}", f"https://host/{OTHER}@x#{OTHER}"]
)
def test_an_address_with_a_secret_is_refused(tmp_path: Path, address: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sybilion_mcp"],
        env={"SYBILION_API_BASE_URL": address, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 2
    assert b"SYBILION_API_TOKEN" in done.stderr
    assert not tells(done.stdout + done.stderr, OTHER)


def messages(*calls: tuple[str, dict[str, Any]]) -> str:
    client = {"name": "test", "version": "1"}
    begin = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": client}
    lines: list[dict[str, Any]] = [{"id": 0, "method": "initialize", "params": begin}]
    lines.append({"method": "notifications/initialized"})
    for number, (tool, arguments) in enumerate(calls, 1):
        asked = {"method": "tools/call", "params": {"name": tool, "arguments": arguments}}
        lines.append({"id": number, **({"method": tool, "params": arguments} if "/" in tool else asked)})
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


def echoing(api: HostedApi, canary: str) -> str:
    """A job of a service that repeats its caller's token wherever there is room for text."""
    api.token = canary
    names = ("x-trace-id", "x-request-id", "set-cookie", "server", "www-authenticate", "x-ratelimit-policy")
    api.headers = {**dict.fromkeys(names, f'token="{canary}"'), f"x-{canary}": canary}
    job_id = api.make_job({"timeseries": good_series(), "timeseries_metadata": {"title": f"Demand, {canary}"}})
    forms = [canary, *(disguise(canary) for disguise in DISGUISES.values())]
    driver = {"driver_name": f"Price of {canary}", "importance": {"overall": {"mean": 90}}, canary: forms}
    signals = {"version": "1.1", "echo": forms, "data": {canary: driver}}
    api.artifacts[job_id] |= {
        "external_signals.json": json.dumps(signals).encode(),
        "notes.json": json.dumps([canary + "x" * length for length in range(2_000)]).encode(),
    }
    api.finish(job_id, title=canary, pipeline_info={canary: forms}, poll_url=f"/{canary}")
    api.jobs[job_id]["artifacts"].append({"name": f"{canary}.json", "size": 3})
    return job_id


def environment(api: HostedApi, folder: Path) -> dict[str, str]:
    return {
        "SYBILION_MCP_HOME": str(folder / "home"),
        "SYBILION_MCP_LOG_LEVEL": "DEBUG",
        "SYBILION_MCP_SPEND": "allow",
        "SYBILION_MCP_ALLOW_DIRS": str(folder),
        "SYBILION_API_TOKEN_FILE": str(folder / "token"),
        "SYBILION_API_BASE_URL": api.url,
        "EOMER_API_KEY": EOMER,
        "PYTHONASYNCIODEBUG": "1",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }


@pytest.mark.parametrize("canary", [TOKEN, OTHER])
async def test_a_process_that_logs_everything_writes_no_token(api: HostedApi, tmp_path: Path, canary: str) -> None:
    """A real server at debug level, a service that echoes the token in all it says, and the token in what is asked."""
    (tmp_path / "token").write_text(f" {canary}\n", encoding="utf-8")
    job_id, failed_id = echoing(api, canary), api.make_job()
    api.finish(failed_id, "failed", pipeline_error={"code": f"bad_{canary}", "detail": f"Bearer {canary} was refused"})
    error = {"error": f"invalid {canary}", "trace_id": canary, "details": [{"field": canary, "message": canary}]}
    asked = {"series": good_series(), "title": TITLE, "soft_horizon": 12}
    parts = ("report", "forecast", "drivers", "input", "external_signals.json", "notes.json")
    uris = [f"jobs/{job_id}{part}" for part in ("", "/report", "/drivers", "/artifacts/external_signals.json")]
    uris += [f"series/{canary}", f"guide/{quote(quote(canary))}", f"schema/%E2%80%8B{canary.replace('_', '%5F')}"]
    typed = {"ref": {"type": "ref/prompt", "name": "decide-with-forecast"}, "argument": {"name": "x", "value": canary}}
    calls: list[tuple[str, dict[str, Any]]] = [
        ("submit_forecast", {**asked, "title": f"{TITLE} {canary}"}),
        ("get_status", {"job_id": failed_id, "wait_seconds": 0}),
        *(("read_artifact", {"job_id": job_id, "artifact": part, "view": "raw"}) for part in parts),
        ("read_artifact", {"job_id": job_id, "artifact": "notes.json", "save_to": str(tmp_path / "saved.json")}),
        *(("resources/read", {"uri": f"sybilion://{uri}"}) for uri in uris),
        ("prompts/get", {"name": "decide-with-forecast", "arguments": {"job_id": canary, "decision": canary}}),
        ("completion/complete", typed),
    ]
    broken = f'{{"jsonrpc": "2.0", "Bearer {canary}\n{{"jsonrpc": "2.0", "id": 77, "method": "{canary}"}}\n'

    with anyio.fail_after(90):
        told = [*await spoken(environment(api, tmp_path), ("get_status", {"job_id": job_id, "wait_seconds": 0}))]
        told += await spoken(environment(api, tmp_path), *calls, more=broken)
        for operation in ("submit", "job", "jobs", "artifact", "account"):
            api.always(operation, Fault(401 if operation == "submit" else 500, json.dumps(error).encode()))
        failing = ("get_status", {"job_id": "unknown-job", "wait_seconds": 0})
        told += await spoken(environment(api, tmp_path), ("submit_forecast", asked), failing)

    assert b"secret_in_text" in told[2]
    assert b"was refused" in told[2]
    assert all(len(errors) > 500 for errors in told[1::2])  # it does log
    assert [one for one in told if tells(one, canary) or tells(one, EOMER)] == []
    (tmp_path / "token").unlink()
    kept = await in_databases(tmp_path / "home")
    assert HIDDEN.encode() in kept
    assert len(kept) > 2_000_000
    assert not tells(kept, canary)
    assert not tells(stored(tmp_path), canary)
    saved = (tmp_path / "saved.json").read_bytes()
    assert json.loads(saved)[1999] == HIDDEN.ljust(len(canary), "*") + "x" * 1999
    assert len(saved) == len(api.artifacts[job_id]["notes.json"])


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
    assert b"SYBILION_MCP_SPEND" in done.stderr
    assert TOKEN.encode() not in done.stdout + done.stderr
