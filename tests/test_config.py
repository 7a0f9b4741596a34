"""`config`: blocks that can be pasted as they are, that start this installation, and that hold no token."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sybilion_mcp.cli import main
from sybilion_mcp.client_blocks import CLIENTS, Setup, block, place

TOKEN = "sk_ops_canaryCANARYcanary0042"
JSON_CLIENTS = [client for client in CLIENTS if client != "python"]


@pytest.fixture(autouse=True)
def nothing_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("SYBILION_", "EOMER_"))]:
        monkeypatch.delenv(name)


def entry(text: str) -> Any:
    """What stands under the server's name."""
    settings = json.loads(text)
    return settings.get("mcpServers", settings.get("servers"))["forecasting"]


@pytest.mark.parametrize("client", JSON_CLIENTS)
def test_a_block_is_json_and_starts_this_installation(client: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", client]) == 0

    captured = capsys.readouterr()
    made = entry(captured.out)
    version = subprocess.run([made["command"], *made["args"][:-1], "--version"], capture_output=True, timeout=60)
    assert made["args"][-1] == "serve"
    assert version.stdout.startswith(b"sybilion-mcp ")
    assert Path(made["command"]).is_absolute()
    assert "env" not in made
    assert captured.err.startswith("It belongs in ")


def test_what_a_running_server_does_not_take_from_a_client_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setenv("SYBILION_API_TOKEN", TOKEN)

    assert main(["config", "claude-desktop", "--http", "https://desk.example/mcp", "--allow-dir", str(tmp_path)]) == 0
    remote = capsys.readouterr().err
    assert main(["config", "claude-desktop", "--allow-dir", str(tmp_path)]) == 0
    started = capsys.readouterr().err

    assert "SYBILION_API_TOKEN_FILE" not in remote
    assert "Folders are left out" in remote
    assert "SYBILION_API_TOKEN_FILE" in started
    assert "Folders are left out" not in started


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("url", [None, "https://desk.example/mcp"])
def test_a_configured_token_is_never_printed(
    client: str, url: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SYBILION_API_TOKEN", TOKEN)
    monkeypatch.setenv("SYBILION_API_BASE_URL", f"https://api.example/{TOKEN}")

    assert main(["config", client, *(["--http", url] if url else [])]) == 0

    captured = capsys.readouterr()
    assert TOKEN not in captured.out + captured.err
    assert "SYBILION_API_TOKEN" in captured.out or "sybilion-api-token" in captured.out
    if url is None:
        assert "SYBILION_API_BASE_URL is left out" in captured.err


def test_each_client_names_a_token_in_its_own_way(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SYBILION_API_TOKEN", TOKEN)
    named = {}
    for client in JSON_CLIENTS:
        main(["config", client])
        named[client] = entry(capsys.readouterr().out)["env"]["SYBILION_API_TOKEN"]

    assert named == {
        "claude-desktop": "PASTE-YOUR-SYBILION-TOKEN-HERE",
        "claude-code": "${SYBILION_API_TOKEN}",
        "cursor": "${env:SYBILION_API_TOKEN}",
        "vscode": "${input:sybilion-api-token}",
    }


def test_what_this_shell_has_set_goes_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given relative paths, a token in a file, and folders that may be used; clients start elsewhere."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "token").write_text(TOKEN)
    monkeypatch.setenv("SYBILION_API_TOKEN_FILE", "token")
    monkeypatch.setenv("SYBILION_MCP_HOME", "data")
    monkeypatch.setenv("SYBILION_MCP_SPEND_CAP_EUR_CENTS", "500")

    main(["config", "claude-desktop", "--allow-dir", "sheets", "--backend", "local"])

    captured = capsys.readouterr()
    made = entry(captured.out)
    assert made["env"] == {
        "SYBILION_API_TOKEN_FILE": str(tmp_path / "token"),
        "SYBILION_MCP_HOME": str(tmp_path / "data"),
        "SYBILION_MCP_SPEND_CAP_EUR_CENTS": "500",
    }
    assert made["args"][-4:] == ["--backend", "local", "--allow-dir", str(tmp_path / "sheets")]
    assert "There is no folder" in captured.err
    assert TOKEN not in captured.out + captured.err


@pytest.mark.parametrize("client", JSON_CLIENTS)
def test_a_server_over_http(client: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """With a token its key travels in a header of its own; without one there is none."""
    url = "http://desk.example:8000/mcp"
    main(["config", client, "--http", url])
    bare = entry(capsys.readouterr().out)
    monkeypatch.setenv("SYBILION_API_TOKEN", TOKEN)
    main(["config", client, "--http", url])
    captured = capsys.readouterr()
    made = entry(captured.out)

    assert "not encrypted" in captured.err
    if client == "claude-desktop":
        assert (url in bare["args"], "--allow-http" in bare["args"], "--header" in bare["args"]) == (True, True, False)
        assert made["args"][-1] == "X-Sybilion-Api-Key:${SYBILION_API_TOKEN}"
    else:
        assert bare["url"] == made["url"] == url
        assert "headers" not in bare
        assert made["headers"].keys() == {"X-Sybilion-Api-Key"}


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("https://desk.example", "https://desk.example/mcp"),
        ("http://127.0.0.1:8000/", "http://127.0.0.1:8000/mcp"),
        ("https://desk.example/mcp/", "https://desk.example/mcp"),
        ("https://desk.example/mcp", "https://desk.example/mcp"),
        ("https://desk.example/forecasts/", "https://desk.example/forecasts"),
    ],
)
def test_an_address_gets_the_path_where_servers_answer(
    given: str, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["config", "cursor", "--http", given]) == 0

    captured = capsys.readouterr()
    assert entry(captured.out)["url"] == url
    assert ("answers at /mcp" in captured.err) is not url.endswith("/mcp")


@pytest.mark.parametrize("url", ["desk.example", "http://", "https://[broken", "file:///tmp"])
def test_what_is_no_address_is_refused(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "cursor", "--http", url]) == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    "url",
    [
        f"https://someone:{TOKEN}@desk.example/mcp",
        "https://someone:pass-phrase@desk.example/mcp",
        f"https://desk.example/mcp?key={TOKEN}",
        "https://desk.example/session-key-of-mine/mcp",
    ],
)
def test_an_address_with_a_secret_is_refused_and_not_repeated(
    client: str, url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SYBILION_API_TOKEN", "session-key-of-mine")

    assert main(["config", client, "--http", url]) == 2

    captured = capsys.readouterr()
    assert captured.out == ""
    assert "give it without" in captured.err
    assert not any(one in captured.err for one in (TOKEN, "pass-phrase", "session-key-of-mine", "desk.example"))


def test_an_unknown_client_is_refused_with_the_clients(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["config", "emacs"])

    told = capsys.readouterr().err
    assert [client for client in CLIENTS if client not in told] == []


@pytest.mark.parametrize(
    ("platform", "told"),
    [("darwin", "Library/Application Support/Claude"), ("win32", "Claude"), ("linux", ".config/Claude")],
)
def test_the_file_of_claude_desktop(platform: str, told: str) -> None:
    assert told in place("claude-desktop", platform, {"APPDATA": "C:/Users/someone/AppData/Roaming"})


def test_the_program_holds_the_conversation(tmp_path: Path) -> None:
    """The printed program itself is run, with this interpreter's server."""
    setup = Setup(
        command=(sys.executable, "-m", "sybilion_mcp"),
        environment={"SYBILION_MCP_HOME": str(tmp_path / "home")},
    )
    program = tmp_path / "forecast.py"
    program.write_text(block("python", setup), encoding="utf-8")

    ran = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=120)

    assert ran.stderr == ""
    assert len(ran.stdout.splitlines()) == 7
    assert "80 %:" in ran.stdout


@pytest.mark.parametrize("url", [None, "http://127.0.0.1:8000/mcp"])
@pytest.mark.parametrize("token", [True, False])
def test_every_printed_program_is_python(url: str | None, *, token: bool) -> None:
    """Also with quotes and backslashes in a path."""
    setup = Setup(command=('C:\\it\'s\\"mine"\\sybilion-mcp.exe',), token=token, url=url)

    program = block("python", setup)

    compile(program, "forecast.py", "exec")
    assert ("SYBILION_API_TOKEN" in program) == token
