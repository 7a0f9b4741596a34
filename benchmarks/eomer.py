"""Three series of four frequencies through the tools, on the embedded engine behind Eomer's wire on a port.

    python -m benchmarks.eomer [--series N]

Each conversation is validate_series, submit_forecast, get_status, and read_artifact for the forecast and for the
explanation. The server is in memory, the wire a process of its own (`sandbox --api eomer`), whose start is not
counted. Exit code 1 when the four together take longer than the bar.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from math import pi, sin
from pathlib import Path
from typing import Any

import anyio
from mcp import Client

from benchmarks.scoring import Bar, positive, print_bars, print_table
from sybilion_mcp.server import build_server
from sybilion_mcp.settings import Settings

BAR_SECONDS = 20.0
START = datetime(2022, 1, 3)
SHAPES = {"hourly": (500, 24, 24), "daily": (400, 14, 7), "weekly": (156, 13, 52), "monthly": (96, 12, 12)}
"""Frequency → periods of history, periods ahead, periods of a season."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=positive, default=3, help="in each job")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sandbox(Path(folder)) as url:
        rows = anyio.run(conversations, Path(folder), url, asked.series)
    print_table(["frequency", "check", "submit", "wait", "forecast", "explanation", "seconds"], rows)
    total = sum(float(row[-1]) for row in rows)
    return 0 if print_bars([Bar("four frequencies, all calls, s", total, high=BAR_SECONDS)]) else 1


@contextmanager
def sandbox(folder: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "sybilion_mcp", "sandbox", "--api", "eomer", "--port", "0"]
    environment = {"SYBILION_MCP_HOME": str(folder / "service")}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment})
    try:
        assert process.stdout is not None
        found = re.search(r"http://[0-9.:]+", process.stdout.readline())
        assert found is not None
        yield found[0]
    finally:
        process.terminate()
        process.wait(10)


async def conversations(folder: Path, url: str, series: int) -> list[list[str]]:
    settings = Settings(home=folder / "desk", eomer_api_key="any-key-will-do", eomer_api_base_url=url, spend="allow")
    async with Client(build_server(settings)) as client:
        return [await conversation(client, name, series) for name in SHAPES]


async def conversation(client: Client, name: str, series: int) -> list[str]:
    _, ahead, _ = SHAPES[name]
    numbers = {f"{name} {number}": made_up(name, number) for number in range(series)}
    times: list[float] = []
    checked = await call(client, times, "validate_series", series=numbers, backend="eomer", soft_horizon=ahead)
    made = await call(client, times, "submit_forecast", **checked["next"]["arguments"])
    status = await call(client, times, "get_status", job_id=made["job_id"], wait_seconds=45)
    assert status["status"] == "completed", status
    await call(client, times, "read_artifact", job_id=made["job_id"], artifact="forecast")
    await call(client, times, "read_artifact", job_id=made["job_id"], artifact="drivers")
    return [name, *(f"{seconds:.2f}" for seconds in [*times, sum(times)])]


async def call(client: Client, times: list[float], tool: str, **arguments: Any) -> dict[str, Any]:
    began = time.perf_counter()
    result = await client.call_tool(tool, arguments)
    times.append(time.perf_counter() - began)
    assert not result.is_error, result.content
    found: dict[str, Any] | None = result.structured_content
    assert found is not None
    return found


def made_up(name: str, number: int) -> dict[str, float]:
    length, _, season = SHAPES[name]
    values = [
        100 + 0.05 * at + 12 * sin(2 * pi * (at + number) / season) + (at * 7919 % 13) / 3 for at in range(length)
    ]
    return {label(name, at): round(value, 3) for at, value in enumerate(values)}


def label(name: str, at: int) -> str:
    if name == "monthly":
        return f"{2016 + at // 12}-{at % 12 + 1:02d}-01"
    step = {"hourly": timedelta(hours=1), "daily": timedelta(days=1), "weekly": timedelta(weeks=1)}[name]
    return (START + at * step).strftime("%Y-%m-%d %H:%M" if name == "hourly" else "%Y-%m-%d")


if __name__ == "__main__":
    sys.exit(main())
