"""The commands, as a person at a terminal uses them."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from sybilion_mcp import __version__
from sybilion_mcp.cli import main
from tests.conftest import good_series


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])

    assert ended.value.code == 0
    assert capsys.readouterr().out == f"sybilion-mcp {__version__}\n"


def test_an_unknown_command_is_refused_with_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["forecast"])

    assert ended.value.code == 2
    assert "serve" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("SYBILION_MCP_BACKEND", "cloud", "backend"),
        ("SYBILION_MCP_SPEND", "always", "spend"),
        ("SYBILION_MCP_SPEND_CAP_EUR_CENTS", "-1", "spend_cap_eur_cents"),
    ],
)
def test_a_setting_that_cannot_be_used_is_told_in_a_line(
    name: str, value: str, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(SystemExit) as ended:
        main(["serve"])

    error = capsys.readouterr().err
    assert ended.value.code == 2
    assert told in error
    assert "Traceback" not in error


def test_explain_tells_the_report_of_a_folder(shared_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = shared_data / "sybilion-jobs" / "macro-index-baseline"

    assert main(["explain", str(folder)]) == 0
    text = capsys.readouterr().out
    assert main(["explain", str(folder), "--json"]) == 0
    data = json.loads(capsys.readouterr().out)

    assert "11 of 13 past windows count" in text
    assert data["skill"]["windows_used"] == 11
    assert data["cost_eur_cents"] == 332


def test_explain_of_a_folder_without_a_forecast_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", str(tmp_path)]) == 1
    assert "forecast.json" in capsys.readouterr().err


@pytest.mark.parametrize(("file", "content"), [("forecast.json", "{"), ("status.json", "[]")])
def test_explain_of_garbage_names_the_file(
    file: str, content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / file).write_text(content)

    assert main(["explain", str(tmp_path)]) == 1
    assert file in capsys.readouterr().err


def test_explain_of_an_unknown_job_is_a_failure_with_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "no-such-job"]) == 1
    assert capsys.readouterr().err.startswith("job_not_found: ")


def test_the_sandbox_serves_the_api_to_any_client(tmp_path: Path) -> None:
    """A submit with plain HTTP, as any client in any language makes it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sybilion_mcp", "sandbox", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "SYBILION_MCP_HOME": str(tmp_path)},
    )
    try:
        assert process.stdout is not None
        url = re.search(r"http://\S+", process.stdout.readline())
        assert url is not None
        headers = {"Authorization": "Bearer sk_ops_anything"}
        with httpx.Client(base_url=url[0], headers=headers, timeout=20) as api:
            body = {
                "pipeline_version": "v1",
                "frequency": "monthly",
                "recency_factor": 0.5,
                "soft_horizon": 3,
                "timeseries_metadata": {"title": "A made-up series for the sandbox"},
                "timeseries": good_series(60),
            }
            assert api.get("/health").json()["status"] == "ok"
            accepted = api.post("/api/v1/forecasts", json=body)
            assert accepted.status_code == 202
            assert api.get(accepted.json()["poll_url"]).json()["status"] in ("queued", "running", "completed")
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()
