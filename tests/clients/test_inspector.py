"""The Inspector's command line as a client, in both eras, over both transports."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import good_series

SECONDS = 60
TOOL_FAILED = 5  # its exit code for an answer that is an error
SERIES = json.dumps({"series": good_series(), "title": "Monthly demand for a made-up product in Austria, units"})

pytestmark = pytest.mark.parametrize("era", ["legacy", "modern"])


class Inspector:
    """One connection for each call, as the command line has it."""

    def __init__(self, command: list[str], target: list[str], era: str, folder: Path) -> None:
        patience = ["--connect-timeout", str(1000 * SECONDS)]
        self._start = [*command, "--cli", "--format", "json", "--protocol-era", era, *patience]
        self._target = target
        self._home = folder

    def ask(self, method: str, *arguments: str, code: int = 0) -> Any:
        """The result of a method, which the Inspector takes for well-formed."""
        ran = subprocess.run(
            [*self._start, "-q", "--method", method, *arguments, *self._target],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            env={"HOME": str(self._home)},
        )
        assert ran.returncode == code, ran.stderr
        return json.loads(ran.stdout)["result"]

    def lint(self) -> str:
        """What it says about the schemas of the tools; everything that fails somewhere ends it with a code."""
        ran = subprocess.run(
            [*self._start, "--strict", "--method", "tools/list", *self._target],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            env={"HOME": str(self._home)},
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stderr


@pytest.fixture
def command(node: str, packages: Path) -> list[str]:
    return [node, str(packages / "@modelcontextprotocol/inspector/clients/launcher/build/index.js")]


@pytest.fixture
def over_stdio(command: list[str], era: str, stdio_server: dict[str, Any], tmp_path: Path) -> Inspector:
    given = [part for name, value in stdio_server["env"].items() for part in ("-e", f"{name}={value}")]
    return Inspector(command, [*given, "--", stdio_server["command"], *stdio_server["args"]], era, tmp_path)


@pytest.fixture
def over_http(command: list[str], era: str, http_server: str, tmp_path: Path) -> Inspector:
    return Inspector(command, ["--transport", "http", "--server-url", http_server], era, tmp_path)


def talks(inspector: Inspector, era: str) -> None:
    tools = inspector.ask("tools/list")["tools"]
    good = inspector.ask("tools/call", "--tool-name", "validate_series", "--tool-args-json", SERIES)
    unknown = '{"job_id": "no-such-job"}'
    bad = inspector.ask("tools/call", "--tool-name", "get_status", "--tool-args-json", unknown, code=TOOL_FAILED)
    guide = inspector.ask("resources/read", "--uri", "sybilion://guide/limits")
    prompt = inspector.ask(
        "prompts/get", "--prompt-name", "forecast-and-explain", "--prompt-args", "subject=Heat pumps"
    )

    assert len(tools) == 10
    assert good["structuredContent"]["valid"] is True
    assert bad["isError"] is True
    assert bad["structuredContent"]["code"] == "job_not_found"
    assert guide["contents"][0]["text"].startswith("# Limits")
    assert "Heat pumps" in prompt["messages"][0]["content"]["text"]
    assert ("_meta" in good) == (era == "modern")


def test_it_talks_over_stdio(over_stdio: Inspector, era: str) -> None:
    talks(over_stdio, era)


def test_it_talks_over_http(over_http: Inspector, era: str) -> None:
    talks(over_http, era)


def test_it_finds_no_fault_with_the_schemas(over_stdio: Inspector, era: str) -> None:
    told = over_stdio.lint()

    assert "error" not in told.lower(), era
    assert "warning" not in told.lower(), era
