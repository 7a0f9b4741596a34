"""`config`: a ready block for a client on stdout, and on stderr where it belongs. A token is never printed."""

import json
import os
import re
import shlex
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from sybilion_mcp.client_blocks import NAME, PASTE, Setup, block, here, in_clear, place, server_entry
from sybilion_mcp.secret_text import Secrets
from sybilion_mcp.settings import Settings

CARRIED = (
    "SYBILION_API_TOKEN_FILE",
    "SYBILION_API_BASE_URL",
    "SYBILION_MCP_BACKEND",
    "SYBILION_MCP_HOME",
    "SYBILION_MCP_SPEND",
    "SYBILION_MCP_SPEND_CAP_EUR_CENTS",
    "SYBILION_MCP_READ_ONLY",
    "SYBILION_MCP_TOOLSET",
    "SYBILION_MCP_LOG_LEVEL",
)
"""What is set in this shell and goes into the block: clients start the server without the shell's environment."""

ENDPOINT = "/mcp"
_USER = re.compile(r"\w+://[^/]*@")  # an address with a name or a password in it
_KEY_GOES = "A key of the Sybilion API goes into a header, which the block names once SYBILION_API_TOKEN is set.\n"
_PATHS = ("SYBILION_API_TOKEN_FILE", "SYBILION_MCP_HOME")


def config(client: str, settings: Settings, given: Mapping[str, str], *, url: str | None) -> int:
    """Print the block; 0, or 2 when the address of the server is none. `given`: flags of `serve` with their values."""
    if url is not None and not _is_address(url):
        sys.stderr.write("sybilion-mcp: --http takes the address of a running server, as http://127.0.0.1:8000/mcp\n")
        return 2
    secrets = Secrets(settings.secrets)
    if url is not None and ("@" in url or secrets.within(url)):
        sys.stderr.write("sybilion-mcp: the address holds a name, a password or a key: give it without. " + _KEY_GOES)
        return 2
    url = url if url is None else _endpoint(url)
    environment, left_out = _carried(os.environ, secrets)
    if os.environ.get("SYBILION_API_TOKEN"):
        environment.pop("SYBILION_API_TOKEN_FILE", None)  # it is not read then
    folders = [_absolute(folder) for folder in settings.allow_dirs]
    flags = [*given.items(), *(("--allow-dir", folder) for folder in folders)]
    setup = Setup(
        command=here(),
        flags=tuple(part for flag in flags for part in flag),
        token=settings.default_backend == "sybilion" and "SYBILION_API_TOKEN_FILE" not in environment,
        environment=environment,
    )
    if url is not None:
        setup = replace(setup, url=url, environment={}, token=settings.default_backend == "sybilion")
    sys.stdout.write(block(client, setup))
    missing = [folder for folder in folders if url is None and not Path(folder).is_dir()]
    notes = _notes(client, setup)
    if url is not None and folders:
        notes.append("Folders are left out: a server that runs already was told its own (serve --allow-dir).")
    if url is None and (settings.default_backend == "eomer" or settings.eomer_api_key):
        notes.append("Eomer's key is not in the block: add EOMER_API_KEY to the server's environment there.")
    for line in [*notes, *(f"There is no folder {folder} yet." for folder in missing)]:
        sys.stderr.write(f"{line}\n")
    for name in left_out:
        sys.stderr.write(f"{name} is left out: a secret stands in it.\n")
    return 0


def _is_address(url: str) -> bool:
    try:
        return urlsplit(url).scheme in ("http", "https") and bool(urlsplit(url).hostname)
    except ValueError:
        return False


def _endpoint(url: str) -> str:
    """A server answers at one path alone, and at no other that looks like it."""
    address = urlsplit(url)
    return address._replace(path=address.path.rstrip("/") or ENDPOINT).geturl()


def _carried(environment: Mapping[str, str], secrets: Secrets) -> tuple[dict[str, str], list[str]]:
    """What goes into the block, and the names of what is left out because a secret stands in it."""
    given = {name: environment[name] for name in CARRIED if environment.get(name)}
    secret = [name for name, value in given.items() if secrets.within(value) or _USER.match(value)]
    kept = {name: value for name, value in given.items() if name not in secret}
    return {name: _absolute(Path(value)) if name in _PATHS else value for name, value in kept.items()}, secret


def _absolute(path: Path) -> str:
    """A client starts the server in a folder of its own choice. Links stay as they are."""
    return str(path.expanduser().absolute())


def _notes(client: str, setup: Setup) -> list[str]:
    notes = [f"It belongs in {place(client, sys.platform, os.environ)}."]
    if client != "python":
        notes.append(f"Where the file has servers already, add {NAME} beside them. Restart the client afterwards.")
    if client == "claude-code":
        entry = shlex.quote(json.dumps(server_entry(client, setup), ensure_ascii=False))
        notes.append(f"For all your projects instead: claude mcp add-json --scope user {NAME} {entry}")
    if setup.token and client == "claude-desktop":
        or_file = ", or name a file that holds it in SYBILION_API_TOKEN_FILE" if setup.url is None else ""
        notes.append(f"Put your token in place of {PASTE}{or_file}.")
    elif setup.token and client != "vscode":
        notes.append("The token is read from SYBILION_API_TOKEN in the environment the client is started from.")
    if setup.url is not None and urlsplit(setup.url).path != ENDPOINT:
        notes.append(f"A server answers at {ENDPOINT}; that address works only where something in front maps it.")
    if setup.token and setup.url is not None and in_clear(setup.url):
        notes.append("That address is not encrypted: the token can be read on the way. Use https.")
    return notes
