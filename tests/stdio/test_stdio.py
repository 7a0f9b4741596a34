"""The program as hosts start it: a subprocess that speaks JSON-RPC on stdout and nothing else."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters

from benchmarks.startup import measure
from sybilion_mcp.tools import MORE_TOOLS
from tests.conftest import ERAS, good_series
from tests.timing import wall_clock

pytestmark = pytest.mark.anyio

TITLE = "Monthly demand for a made-up product in Austria, units"


class Wire:
    """A server process and the bytes it writes: every line on stdout must be a JSON-RPC message."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._stdin, self._stdout = process.stdin, process.stdout

    def send(self, line: str) -> None:
        self._stdin.write(line + "\n")
        self._stdin.flush()

    def ask(self, number: int, method: str, **params: Any) -> Any:
        self.send(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}))
        while True:
            received = json.loads(self._stdout.readline())
            assert received["jsonrpc"] == "2.0"
            if received.get("id") == number:
                return received["result"]

    def call(self, number: int, tool: str, **arguments: Any) -> dict[str, Any]:
        answer = self.ask(number, "tools/call", name=tool, arguments=arguments)
        assert isinstance(answer["structuredContent"], dict)
        return answer["structuredContent"]


@pytest.mark.parametrize("level", ["WARNING", "DEBUG"])
def test_stdout_carries_nothing_but_json_rpc_while_a_job_runs(tmp_path: Path, level: str) -> None:
    """A whole job with real workers, and garbage on stdin, leave no stray byte on stdout."""
    log = tmp_path / "stderr"
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [sys.executable, "-m", "sybilion_mcp"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={"SYBILION_MCP_HOME": str(tmp_path), "SYBILION_MCP_LOG_LEVEL": level},
            text=True,
        ) as process,
        killed_after(process, seconds=90),
    ):
        wire = Wire(process)
        client = {"name": "test", "version": "1"}
        wire.ask(1, "initialize", protocolVersion="2025-11-25", capabilities={}, clientInfo=client)
        wire.send('{"jsonrpc": "2.0", "method": "notifications/initialized"}\nthis is no JSON')
        series_id = wire.call(2, "validate_series", series=good_series(), title=TITLE)["series_id"]
        job_id = wire.call(3, "submit_forecast", series_id=series_id, soft_horizon=3)["job_id"]
        status = wire.call(4, "get_status", job_id=job_id, wait_seconds=45)
        rest, _ = process.communicate(timeout=20)

    assert status["status"] == "completed"
    assert rest == ""
    assert "Traceback" not in log.read_text()
    assert process.returncode == 0


@contextmanager
def killed_after(process: subprocess.Popen[str], seconds: float) -> Iterator[None]:
    """No test waits for ever on a process that does not answer."""
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@pytest.mark.parametrize("era", ERAS)
async def test_a_real_client_holds_the_conversation_in_both_eras(era: str, tmp_path: Path) -> None:
    server = StdioServerParameters(
        command=sys.executable, args=["-m", "sybilion_mcp"], env={"SYBILION_MCP_HOME": str(tmp_path)}
    )
    with anyio.fail_after(90):
        async with Client(server, mode=ERAS[era]) as client:
            assert client.protocol_version == era
            checked = await client.call_tool("validate_series", {"series": json.dumps(good_series()), "title": TITLE})
            asked = {"series_id": checked.structured_content["series_id"], "soft_horizon": 6}
            made = await client.call_tool("submit_forecast", asked)
            job_id = made.structured_content["job_id"]
            await client.call_tool("get_status", {"job_id": job_id, "wait_seconds": 45})
            report = await client.call_tool("read_artifact", {"job_id": job_id})

    assert len(report.structured_content["forecast"]) == 6


async def test_a_flag_brings_every_tool(tmp_path: Path) -> None:
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "sybilion_mcp", "serve", "--toolset", "all"],
        env={"SYBILION_MCP_HOME": str(tmp_path)},
    )
    with anyio.fail_after(90):
        async with Client(server) as client:
            names = {tool.name for tool in (await client.list_tools()).tools}

    assert len(names) == 10
    assert set(MORE_TOOLS) < names


async def test_a_job_survives_the_end_of_its_server(tmp_path: Path) -> None:
    """Given a server that ends right after a submit, the next one on the same data folder finishes the job."""
    server = StdioServerParameters(
        command=sys.executable, args=["-m", "sybilion_mcp"], env={"SYBILION_MCP_HOME": str(tmp_path)}
    )
    with anyio.fail_after(120):
        async with Client(server) as client:
            arguments = {"series": good_series(), "title": TITLE, "soft_horizon": 12}
            job_id = (await client.call_tool("submit_forecast", arguments)).structured_content["job_id"]
        async with Client(server) as client:
            found = {"status": "queued"}
            while found["status"] in ("queued", "running"):
                waited = await client.call_tool("get_status", {"job_id": job_id, "wait_seconds": 45})
                found = waited.structured_content

    assert found["status"] == "completed"


@wall_clock
def test_the_first_tools_list_is_as_fast_as_an_empty_servers() -> None:
    # The fastest of several: what else the machine does meanwhile can only add.
    ours, empty = (min(side) for side in zip(*measure(runs=8), strict=True))

    assert ours <= 1.25 * empty, f"{ours:.3f} s against {empty:.3f} s"
