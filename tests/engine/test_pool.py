"""Worker processes, seen from outside: what is left when their parent is killed."""

import subprocess
import sys

import pytest

KILLED = """
import os
from sybilion_mcp.engine.pool import Worker

if __name__ == "__main__":
    worker = Worker()
    worker.submit(os.getpid).result()
    os.kill(os.getpid(), 9)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="nothing is tracked there")
def test_nobody_speaks_on_stderr_after_the_server_was_killed() -> None:
    """Python would warn of leaked semaphores, which it clears away; the end of the pipe is the end of all processes."""
    with subprocess.Popen([sys.executable, "-c", KILLED], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        _, said = process.communicate(timeout=60)

    assert process.returncode == -9
    assert said == b""
