"""Clients that other people wrote, each in an environment of its own, see the same server."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import good_series

SECONDS = 90
PLAN = {
    "good": {
        "name": "validate_series",
        "arguments": {"series": good_series(), "title": "Monthly demand for a made-up product in Austria, units"},
    },
    "bad": {"name": "get_status", "arguments": {"job_id": "no-such-job"}},
    "uri": "sybilion://guide/limits",
    "template": "sybilion://guide/{topic}",
    "begun": {"name": "topic", "value": "l"},
    "prompt": {"name": "forecast-and-explain", "arguments": {"subject": "Demand for heat pumps"}},
}
CORE = ["validate_series", "suggest_keywords", "submit_forecast", "get_status", "read_artifact"]


def run(command: list[str], plan: dict[str, object]) -> Any:
    ran = subprocess.run(command, input=json.dumps(plan), capture_output=True, text=True, timeout=SECONDS)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def holds(seen: dict[str, Any]) -> None:
    """Every client sees the same, whatever it is made of."""
    assert seen["server"] == "sybilion-mcp"
    assert seen["protocol"] == "2025-11-25"
    assert seen["tools"][:5] == CORE
    assert len(seen["tools"]) == 10
    assert seen["prompts"] == ["decide-with-forecast", "forecast-and-explain", "prepare-series", "review-backtest"]
    assert "sybilion://jobs/{job_id}/report" in seen["templates"]
    assert seen["resources"] >= 4
    assert seen["guide"].startswith("# Limits")
    assert "Demand for heat pumps" in seen["prompt"]
    assert seen["completed"] == ["limits"]

    assert seen["good"]["is_error"] is False
    assert seen["good"]["data"]["valid"] is True
    assert seen["good"]["data"]["series_id"] in seen["good"]["text"]

    for failed, code in (("bad", "job_not_found"), ("unknown", "unknown_argument")):
        assert seen[failed]["is_error"] is True
        assert seen[failed]["data"]["code"] == code
        assert seen[failed]["text"].startswith(f"{code}: ")


def test_mcp_1_30_over_stdio(older_python: Path, stdio_server: dict[str, object]) -> None:
    holds(run([str(older_python), str(Path(__file__).with_name("client_mcp_1_30.py"))], PLAN | stdio_server))


def test_mcp_1_30_over_http(older_python: Path, http_server: str) -> None:
    plan = PLAN | {"url": http_server}

    holds(run([str(older_python), str(Path(__file__).with_name("client_mcp_1_30.py"))], plan))


@pytest.fixture
def typescript(node: str, packages: Path) -> list[str]:
    return [node, str(Path(__file__).with_name("client_typescript_v1.cjs")), str(packages)]


def test_typescript_v1_over_stdio(typescript: list[str], stdio_server: dict[str, object]) -> None:
    holds(run(typescript, PLAN | stdio_server))


def test_typescript_v1_over_http(typescript: list[str], http_server: str) -> None:
    holds(run(typescript, PLAN | {"url": http_server}))
