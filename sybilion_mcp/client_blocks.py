"""What a client of this server wants in its settings: a block for each client, made from what is true here."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from sybilion_mcp.client_script import script

CLIENTS = ("claude-desktop", "claude-code", "cursor", "vscode", "python")
NAME = "forecasting"
TOKEN = "SYBILION_API_TOKEN"  # noqa: S105 — the name of a variable, no secret
KEY_HEADER = "X-Sybilion-Api-Key"
PASTE = "PASTE-YOUR-SYBILION-TOKEN-HERE"

_INPUT = "sybilion-api-token"
_REFERENCES = {
    "claude-desktop": PASTE,
    "claude-code": f"${{{TOKEN}}}",
    "cursor": f"${{env:{TOKEN}}}",
    "vscode": f"${{input:{_INPUT}}}",
}
"""How each client names a token that is not written into its file; Claude Desktop knows no way."""


@dataclass(frozen=True, slots=True)
class Setup:
    """How the server is started, or where it is. `flags` are those of `serve`, `token` says whether it needs one,
    `url` is that of a server over HTTP."""

    command: tuple[str, ...]
    flags: tuple[str, ...] = ()
    token: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    url: str | None = None


def here() -> tuple[str, ...]:
    """The command that starts this very installation, wherever a client starts it from."""
    interpreter = Path(sys.executable)
    for name in ("sybilion-mcp", "sybilion-mcp.exe"):
        if os.access(interpreter.with_name(name), os.X_OK):
            return (str(interpreter.with_name(name)),)
    return (str(interpreter), "-m", "sybilion_mcp")


def block(client: str, setup: Setup) -> str:
    """The text to paste: JSON, or for `python` a program."""
    if client == "python":
        return script(_started(setup), setup.environment, setup.url, TOKEN if setup.token else "", KEY_HEADER)
    return json.dumps(_settings(client, setup), indent=2, ensure_ascii=False) + "\n"


def server_entry(client: str, setup: Setup) -> dict[str, object]:
    """What stands under the name of the server."""
    reference = _REFERENCES[client]
    if setup.url is None:
        command, *arguments = _started(setup)
        environment = ({TOKEN: reference} if setup.token else {}) | dict(setup.environment)
        typed = {} if client in ("claude-desktop", "cursor") else {"type": "stdio"}
        return typed | {"command": command, "args": arguments} | ({"env": environment} if environment else {})
    if client == "claude-desktop":
        return _bridge(setup.url, reference if setup.token else None)
    typed = {} if client == "cursor" else {"type": "http"}
    return typed | {"url": setup.url} | ({"headers": {KEY_HEADER: reference}} if setup.token else {})


def _settings(client: str, setup: Setup) -> dict[str, object]:
    entry = {NAME: server_entry(client, setup)}
    if client != "vscode":
        return {"mcpServers": entry}
    asked = {"type": "promptString", "id": _INPUT, "description": "Sybilion API token", "password": True}
    return ({"inputs": [asked]} if setup.token else {}) | {"servers": entry}


def _bridge(url: str, key: str | None) -> dict[str, object]:
    """The file of Claude Desktop names programs only; mcp-remote is one that speaks HTTP for it."""
    arguments = ["-y", "mcp-remote", url, "--transport", "http-only", *(["--allow-http"] if in_clear(url) else [])]
    if key is None:
        return {"command": "npx", "args": arguments}
    # No blank after the colon: on Windows an argument with one arrives in two parts.
    return {"command": "npx", "args": [*arguments, "--header", f"{KEY_HEADER}:${{{TOKEN}}}"], "env": {TOKEN: key}}


def in_clear(url: str) -> bool:
    """Whether what is sent to this address can be read on the way."""
    address = urlsplit(url)
    return address.scheme == "http" and address.hostname not in ("localhost", "127.0.0.1", "::1")


def _started(setup: Setup) -> list[str]:
    return [*setup.command, "serve", *setup.flags]


def place(client: str, platform: str, environment: Mapping[str, str]) -> str:
    """Where the block belongs."""
    if client == "claude-desktop":
        return f"{_desktop_file(platform, environment)} (in the app: Settings, Developer, Edit Config)"
    return {
        "claude-code": ".mcp.json in the folder of your project, or `claude mcp add-json` as below",
        "cursor": f"{Path.home() / '.cursor' / 'mcp.json'} for all projects, .cursor/mcp.json for one",
        "vscode": ".vscode/mcp.json in the workspace, or the command `MCP: Open User Configuration`",
        "python": "a file such as forecast.py; it needs `pip install 'mcp>=2.3,<3'`",
    }[client]


def _desktop_file(platform: str, environment: Mapping[str, str]) -> Path:
    name = "claude_desktop_config.json"
    if platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "Claude" / name
    if platform == "win32":
        return Path(environment.get("APPDATA", "%APPDATA%")) / "Claude" / name
    return Path(environment.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "Claude" / name
