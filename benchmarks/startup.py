"""Cold start over stdio to the first `tools/list`: this server against an empty one on the same SDK, in one run.

Prints a table; `measure` is what the test uses. Bar: at most 1.25 times the empty server.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

EMPTY = "from mcp.server.mcpserver import MCPServer; MCPServer('empty').run('stdio')"
HELLO = (
    '{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},'
    '"clientInfo":{"name":"benchmark","version":"1"}}}\n'
    '{"jsonrpc":"2.0","method":"notifications/initialized"}\n'
    '{"jsonrpc":"2.0","id":2,"method":"tools/list"}\n'
)


def first_tools_list(command: Sequence[str], environment: dict[str, str]) -> float:
    """Seconds from the start of the process to its answer."""
    start = time.perf_counter()
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(HELLO)
        process.stdin.flush()
        for line in process.stdout:
            if '"id":2' in line:
                break
        seconds = time.perf_counter() - start
        process.stdin.close()
        process.wait(10)
    return seconds


def measure(runs: int) -> list[tuple[float, float]]:
    """Seconds of (this server, empty server), run in turn after one warm-up each."""
    ours = [sys.executable, "-m", "sybilion_mcp"]
    empty = [sys.executable, "-c", EMPTY]
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "SYBILION_MCP_HOME": home}
        pairs = [(first_tools_list(ours, environment), first_tools_list(empty, environment)) for _ in range(runs + 1)]
    return pairs[1:]


if __name__ == "__main__":
    mine, bare = (statistics.median(side) for side in zip(*measure(10), strict=True))
    print(f"this server   {mine:.3f} s\nempty server  {bare:.3f} s\nratio         {mine / bare:.2f}   (bar 1.25)")
