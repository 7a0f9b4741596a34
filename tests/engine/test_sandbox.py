"""The engine on a port, for clients in any language."""

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from sybilion_mcp.cli import main

from .conftest import settled
from .made_up import months, request, seasonal

pytestmark = pytest.mark.anyio

SERVE = """
import sys
from pathlib import Path
from sybilion_mcp.engine.sandbox import serve_sandbox

serve_sandbox("127.0.0.1", 0, Path(sys.argv[1]))
"""


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A served sandbox and the line it prints."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process, process.stdout.readline()
        process.kill()


async def test_it_prints_its_url_serves_a_forecast_and_ends_cleanly(
    sandbox: tuple[subprocess.Popen[str], str],
) -> None:
    process, line = sandbox
    url = re.search(r"http://\S+:\d+", line)
    assert url is not None
    assert "sk_ops_" in line
    assert "keep what they have" in line
    headers = {"authorization": "Bearer sk_ops_anyone"}

    async with httpx.AsyncClient(base_url=url[0], headers=headers) as client:
        assert (await client.get("/health")).json()["status"] == "ok"
        response = await client.post("/api/v1/forecasts", json=recent_request())
        assert response.status_code == 202, response.text
        job, _ = await settled(client, response.json()["poll_url"])
        assert job["status"] == "completed"
        too_large = await client.post("/api/v1/forecasts", content=b" " * 3_000_000)
        assert too_large.status_code == 413
        running = await client.post("/api/v1/forecasts", json=recent_request())
        assert running.status_code == 202
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)

    assert process.returncode == 0
    assert errors == ""


OPTIONS = ["--balance", "10", "--tier", "1", "--max-jobs", "1", "--requests-per-minute", "3", "--job-seconds", "1"]


def test_it_can_be_started_poor_and_crowded(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sybilion_mcp", "sandbox", "--port", "0", *OPTIONS, "--retention", "5"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            url = re.search(r"http://\S+:\d+", line)
            assert url is not None
            assert "10 EUR cents" in line
            with httpx.Client(base_url=url[0], headers={"authorization": "Bearer sk_ops_anyone"}) as client:
                me = client.get("/api/v1/me").json()
                refused = client.post("/api/v1/forecasts", json=recent_request())
                client.get("/api/v1/usage")
                crowded = client.get("/api/v1/me")
        finally:
            process.terminate()

    assert (me["balance_eur_cents"], me["api_usage_tier"]) == (10, 1)
    assert (refused.status_code, crowded.status_code) == (402, 429)


@pytest.mark.parametrize(
    "option",
    ["--balance=-1", "--balance=1.5", "--max-jobs=0", "--requests-per-minute=x", "--tier=4", "--retention=9999999999"],
)
def test_an_option_that_makes_no_sense_is_refused(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["sandbox", option])

    assert ended.value.code == 2
    assert option.split("=")[0] in capsys.readouterr().err


def test_it_ends_soon_although_a_request_is_still_coming(sandbox: tuple[subprocess.Popen[str], str]) -> None:
    process, line = sandbox
    port = re.search(r"http://\S+:(\d+)", line)
    assert port is not None
    with socket.create_connection(("127.0.0.1", int(port[1])), timeout=20) as connection:
        connection.sendall(SLOW)
        assert connection.recv(100).startswith(b"HTTP/1.1 100")  # the body is being read
        process.send_signal(signal.SIGTERM)

        process.communicate(timeout=10)

    assert process.returncode == -signal.SIGTERM


SLOW = (
    b"POST /api/v1/forecasts HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk_ops_a\r\n"
    b"expect: 100-continue\r\ncontent-length: 100\r\n\r\n"
)


def recent_request() -> dict[str, object]:
    """A valid request as of the real today."""
    now = datetime.now(UTC)
    return request(timeseries=dict(zip(months(60, (now.year, now.month)), seasonal(60), strict=True)))
