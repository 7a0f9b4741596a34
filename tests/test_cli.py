"""The commands, as a person at a terminal uses them."""

import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx
import pytest

from sybilion_mcp import __version__
from sybilion_mcp.cli import main
from sybilion_mcp.service.reading import MOST_BYTES
from tests.conftest import good_series
from tests.explain.made_up import forecast_of, signals_of, trajectories_of
from tests.service.finished import windows_of
from tests.timing import wall_clock


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
        ("SYBILION_MCP_BACKEND", "cloud", "'local', 'sybilion' or 'eomer'"),
        ("SYBILION_MCP_SPEND", "always", "'ask', 'allow' or 'deny'"),
        ("SYBILION_MCP_SPEND_CAP_EUR_CENTS", "-1", "greater than or equal to 0"),
        ("SYBILION_MCP_SPEND_CAP_EUR_CENTS", "ten", "a valid integer"),
        ("SYBILION_MCP_READ_ONLY", "perhaps", "a valid boolean"),
        ("SYBILION_API_BASE_URL", "https://user:word@api.example", "must hold no user, password or query"),
        ("SYBILION_API_BASE_URL", "https://api.example/api/v1", "must end before /api/v1"),
        ("SYBILION_MCP_PUBLIC_URL", "foo", "must be an address"),
        ("SYBILION_MCP_PUBLIC_URL", "forecasts.example.com/mcp", "must be an address"),
        ("SYBILION_MCP_PUBLIC_URL", "https://[forecasts/mcp", "must be an address"),
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
    assert error.startswith(f"sybilion-mcp: {name}: ")
    assert told in error
    assert error.count("\n") == 1


def test_a_misspelt_setting_is_told_when_the_server_starts(tmp_path: Path) -> None:
    """Given a cap that nothing reads, beside a name in small letters, which is read."""
    given = {"SYBILION_MCP_SPEND_CAP_EUR_CENT": "4711", "sybilion_mcp_home": str(tmp_path), "SYBILION_MCP_SPEND": "ask"}
    command = [sys.executable, "-m", "sybilion_mcp", "serve"]

    ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, env=os.environ | given, timeout=60)

    assert ended.returncode == 0
    assert ended.stdout == b""
    assert ended.stderr.decode().splitlines() == [
        "sybilion-mcp: nothing reads SYBILION_MCP_SPEND_CAP_EUR_CENT (did you mean SYBILION_MCP_SPEND_CAP_EUR_CENTS?)"
    ]


def test_a_folder_that_is_not_there_is_told_when_the_server_starts(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sybilion_mcp", "serve", "--allow-dir", str(tmp_path), "--allow-dir", "/nope"]
    given = {"SYBILION_MCP_HOME": str(tmp_path)}

    ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, env=os.environ | given, timeout=60)

    assert ended.returncode == 0
    assert ended.stderr.decode().splitlines() == ["sybilion-mcp: no such folder to allow: /nope"]


@pytest.fixture
def log_of_before() -> Iterator[None]:
    """A server that starts in this process takes the log over: afterwards it is as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.usefixtures("log_of_before")
@pytest.mark.parametrize("command", [["serve", "--transport", "http"], ["sandbox"], ["sandbox", "--api", "eomer"]])
def test_a_port_that_cannot_be_used_is_told_in_a_line(
    command: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SYBILION_MCP_HOME", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for port, told in ((str(taken.getsockname()[1]), "in use"), ("99999", "from 0 to 65,535")):
            assert main([*command, "--port", port]) == 2
            error = capsys.readouterr().err
            assert error.startswith("sybilion-mcp: ")
            assert told in error
            assert error.count("\n") == 1


@pytest.mark.usefixtures("log_of_before")
@pytest.mark.parametrize("flag", [["--port", "9000"], ["--host", "0.0.0.0"]])
def test_an_address_without_http_is_refused(flag: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", *flag]) == 2
    assert "--transport http" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="there are no terminals of this kind")
def test_at_a_terminal_it_says_that_it_waits_and_ends_when_interrupted(tmp_path: Path) -> None:
    import pty

    ours, theirs = pty.openpty()
    environment = os.environ | {"SYBILION_MCP_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "sybilion_mcp"]
    with subprocess.Popen(command, stdin=theirs, stderr=subprocess.PIPE, env=environment) as process:
        os.close(theirs)
        assert process.stderr is not None
        told = process.stderr.readline().decode()
        process.send_signal(signal.SIGINT)
        ended = process.wait(20)
        rest = process.stderr.read()
    os.close(ours)

    assert "waiting for a client" in told
    assert "sybilion-mcp config" in told
    assert (ended, rest) == (-signal.SIGINT, b"")


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


@pytest.mark.parametrize("content", ["{", "[]", "\x00", "[" * 5000, " " * (MOST_BYTES + 1)])
def test_explain_of_a_broken_forecast_names_the_file(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "forecast.json").write_text(content)

    assert main(["explain", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("forecast.json")
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("external_signals.json", "{"),
        ("backtest_metrics.json", "[" * 5000),
        ("backtest_trajectories.json", " " * (MOST_BYTES + 1)),
        ("input.json", "<html>"),
        ("submit_payload.json", "<html>"),
        ("status.json", "[]"),
    ],
)
def test_explain_leaves_out_a_side_file_that_cannot_be_read_and_says_so(
    name: str, content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_job(tmp_path / "job")
    (tmp_path / "job" / name).write_text(content)

    assert main(["explain", str(tmp_path / "job")]) == 0
    assert f"Could not be read and is left out: {name}: " in capsys.readouterr().out


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_explain_tells_no_token_of_ours_that_stands_in_an_artifact(
    flags: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = f"Plain-Secret-1234{len(flags)}"
    write_job(tmp_path / "job", timeseries_metadata={"title": f"Sales {secret} of a product"})
    monkeypatch.setenv("SYBILION_API_TOKEN", secret)

    assert main(["explain", str(tmp_path / "job"), *flags]) == 0

    told = "".join(capsys.readouterr())
    assert flags or "Sales" in told
    assert secret not in told


def test_explain_compares_a_folder_with_those_beside_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    series = good_series()
    write_job(tmp_path / "mine", series, error=8.0, recency_factor=1.0)
    write_job(tmp_path / "same series", series, error=4.0, recency_factor=0.4)
    write_job(tmp_path / "another", {month: value * 2 for month, value in series.items()})
    write_job(tmp_path / "earlier", dict(list(series.items())[:-2]))
    (tmp_path / "no job").mkdir()
    (tmp_path / "notes.txt").write_text("no folder")

    assert main(["explain", str(tmp_path / "mine")]) == 0

    section = capsys.readouterr().out.partition("## Other jobs on this series\n")[2]
    assert section.startswith("Job sameseries hindcasts better than this one: error 4.00 there, 8.00 here")
    assert "recency_factor 0.4 there, 1 here" in section
    assert "\nearlier (Sybilion): data to 2026-08 there, 2026-10 here" in section
    assert "another" not in section


def test_explain_follows_no_links_to_other_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_job(tmp_path / "elsewhere" / "job")
    write_job(tmp_path / "here" / "mine", recency_factor=1.0)
    (tmp_path / "here" / "link").symlink_to(tmp_path / "elsewhere" / "job")
    write_job(tmp_path / "here" / "hollow")
    for file in (tmp_path / "here" / "hollow").iterdir():
        file.unlink()
        file.symlink_to(tmp_path / "elsewhere" / "job" / file.name)

    assert main(["explain", str(tmp_path / "here" / "mine")]) == 0
    assert "## Other jobs" not in capsys.readouterr().out


def test_a_copy_of_the_same_job_is_not_another_job(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("mine", "copy of mine"):
        write_job(tmp_path / name)
        (tmp_path / name / "status.json").write_text('{"job_id": "j-1", "status": "completed", "settled": true}')

    assert main(["explain", str(tmp_path / "mine")]) == 0
    assert "## Other jobs" not in capsys.readouterr().out


@pytest.mark.parametrize("broken", ["forecast.json", "input.json", "status.json"])
def test_explain_is_not_stopped_by_a_damaged_folder_beside(
    broken: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_job(tmp_path / "mine")
    write_job(tmp_path / "damaged")
    write_job(tmp_path / "sound", recency_factor=0.9)
    (tmp_path / "damaged" / broken).write_text("{")

    assert main(["explain", str(tmp_path / "mine")]) == 0
    assert "\nsound (Sybilion): recency_factor 0.9 there, 0.5 here" in capsys.readouterr().out


@wall_clock
def test_explain_looks_at_few_of_many_folders_and_stays_fast(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(60):
        write_job(tmp_path / f"job-{number:02}", recency_factor=number / 60)
    main(["explain", str(tmp_path / "job-00")])  # imports
    capsys.readouterr()

    started = time.perf_counter()
    assert main(["explain", str(tmp_path / "job-59")]) == 0

    assert "There are more jobs on this series." in capsys.readouterr().out
    assert time.perf_counter() - started < 2  # 0.1 s on a quiet machine


def test_the_help_says_that_folders_are_compared(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["explain", "--help"])

    assert "compared with the job folders beside it" in " ".join(capsys.readouterr().out.split())


def write_job(folder: Path, series: Mapping[str, float] | None = None, *, error: float = 4.0, **asked: object) -> None:
    """A folder of artifacts as downloaded, without a status.json."""
    points = dict(series or good_series())
    artifacts = {
        "forecast.json": forecast_of([110, 120, 130], first="2026-11"),
        "external_signals.json": signals_of(),
        "backtest_trajectories.json": trajectories_of(*windows_of(points, error)),
        "input.json": {"soft_horizon": 3, "recency_factor": 0.5, "timeseries": points, **asked},
    }
    folder.mkdir(parents=True)
    for name, content in artifacts.items():
        (folder / name).write_text(json.dumps(content))


def test_explain_of_an_unknown_job_is_a_failure_with_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "no-such-job"]) == 1

    error = capsys.readouterr().err
    assert error.startswith("No such job: ")
    assert error.endswith("`sybilion-mcp jobs list` shows the jobs that are remembered here.\n")
    assert "Next:" not in error
    assert "the user" not in error


@pytest.mark.parametrize("flag", [["--tier", "1"], ["--balance", "5"], ["--openapi"]])
def test_the_sandbox_of_eomer_takes_no_terms_of_sybilion(flag: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sandbox", "--api", "eomer", *flag]) == 2
    assert f"{flag[0]} is for --api sybilion only" in capsys.readouterr().err


def test_the_sandbox_serves_eomer_too(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "sybilion_mcp", "sandbox", "--api", "eomer", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "SYBILION_MCP_HOME": str(tmp_path)},
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        url = re.search(r"http://[^ ]+", line)
        assert url is not None
        assert line.startswith("Eomer-compatible API")
        assert httpx.get(f"{url[0]}/jobs/none", headers={"Authorization": "Bearer any"}).status_code == 404
    finally:
        process.terminate()
        process.wait(20)
        assert process.stdout is not None
        process.stdout.close()


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
