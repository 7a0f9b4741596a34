"""Other people's clients, where this machine has them, and servers for them to talk to."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = Path(os.environ.get("CLIENTS_NODE_MODULES") or ROOT / ".clients" / "node_modules")
OLDER_PYTHON = Path(os.environ.get("CLIENTS_MCP_1_30") or ROOT / ".venv-client" / "bin" / "python")

Serving = Callable[..., str]


@pytest.fixture(scope="session")
def older_python() -> Path:
    """The interpreter of an environment with `mcp` 1.30; `make test` and `make clients` make it."""
    if not OLDER_PYTHON.exists():
        pytest.skip("there is no environment with mcp 1.30 beside this one: make clients")
    return OLDER_PYTHON


@pytest.fixture(scope="session")
def node() -> str:
    """Node 22 or newer: the one that CLIENTS_NODE names, that `make clients` brought, or on the PATH."""
    brought = PACKAGES / ".bin" / "node"
    for found in (os.environ.get("CLIENTS_NODE"), str(brought), shutil.which("node")):
        if found and Path(found).exists():
            told = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=30).stdout
            major = re.match(r"v(\d+)", told)
            if major and int(major[1]) >= 22:
                return found
    pytest.skip("there is no Node 22 or newer: install it, or make clients")


@pytest.fixture(scope="session")
def packages() -> Path:
    """The folder node_modules with the clients and the conformance suite."""
    if not (PACKAGES / "@modelcontextprotocol" / "sdk").is_dir():
        pytest.skip("the clients from npm are not here: make clients")
    return PACKAGES


@pytest.fixture
def stdio_server(tmp_path: Path) -> dict[str, object]:
    """How a client starts the server, with every tool."""
    env = {"SYBILION_MCP_HOME": str(tmp_path / "home"), "SYBILION_MCP_TOOLSET": "all", "PATH": os.environ["PATH"]}
    return {"command": sys.executable, "args": ["-m", "sybilion_mcp"], "env": env}


@pytest.fixture
def http_server(tmp_path: Path) -> Iterator[str]:
    """The address of the product as it is served, with every tool."""
    with serving(["-m", "sybilion_mcp", "serve", "--transport", "http", "--port", "0"], tmp_path) as address:
        yield address


@contextmanager
def serving(arguments: Sequence[str], folder: Path) -> Iterator[str]:
    """A server process that prints where it listens; it is told to end afterwards."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SYBILION_", "EOMER_"))}
    environment |= {"SYBILION_MCP_HOME": str(folder / "home"), "SYBILION_MCP_TOOLSET": "all"}
    # Nothing leaves this machine, whatever key a client brings.
    environment |= {"SYBILION_API_BASE_URL": "http://127.0.0.1:9", "SYBILION_MCP_SPEND": "deny"}
    with (
        (folder / "server.log").open("w") as log,
        subprocess.Popen(
            [sys.executable, *arguments], stdout=subprocess.PIPE, stderr=log, env=environment, cwd=ROOT, text=True
        ) as process,
    ):
        assert process.stdout is not None
        try:
            address = re.search(r"http://\S+", process.stdout.readline())
            assert address, (folder / "server.log").read_text()
            yield address[0]
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
