"""The program that `config python --http` prints, against a server that runs already."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sybilion_mcp.client_blocks import Setup, block


@pytest.mark.parametrize("token", [False, True])
def test_the_program_talks_http(*, token: bool, http_server: str, tmp_path: Path) -> None:
    """Without a key the embedded engine answers; with one, forecasts cost, which this server does not allow."""
    program = tmp_path / "forecast.py"
    program.write_text(block("python", Setup(command=(), token=token, url=http_server)), encoding="utf-8")

    ran = subprocess.run(
        [sys.executable, program],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"SYBILION_API_TOKEN": "sk_ops_of_nobody_at_all"},
    )

    if token:
        assert ran.returncode == 1
        assert ran.stderr.startswith("spend_refused: ")
    else:
        assert ran.stderr == ""
        assert "80 %:" in ran.stdout
