"""docs/clients.md and the README show what `config` prints."""

import json
import re
from pathlib import Path

import pytest

from sybilion_mcp.client_blocks import Setup, block

ROOT = Path(__file__).parents[1]
COMMAND = ("/path/to/sybilion-mcp/.venv/bin/sybilion-mcp",)
FOLDER = ("--allow-dir", "/path/to/your/spreadsheets")
URL = "https://forecasts.example.com/mcp"
SHOWN = {
    "claude-desktop": ("claude-desktop", Setup(COMMAND, FOLDER)),
    "claude-code with a token": ("claude-code", Setup(COMMAND, FOLDER, token=True)),
    "cursor with a token": ("cursor", Setup(COMMAND, FOLDER, token=True)),
    "vscode with a token": ("vscode", Setup(COMMAND, FOLDER, token=True)),
    "python": ("python", Setup(COMMAND)),
    "vscode over HTTP": ("vscode", Setup(COMMAND, token=True, url=URL)),
}


def blocks() -> dict[str, str]:
    text = (ROOT / "docs" / "clients.md").read_text(encoding="utf-8")
    return dict(re.findall(r"<!-- (.+?) -->\n```\w+\n(.*?)```", text, re.DOTALL))


@pytest.mark.parametrize("shown", SHOWN)
def test_a_block_in_the_text_is_what_config_prints(shown: str) -> None:
    client, setup = SHOWN[shown]

    assert blocks()[shown] == block(client, setup)


def test_no_other_block_is_in_the_text() -> None:
    assert blocks().keys() == SHOWN.keys()


def test_the_block_in_the_readme_is_the_same() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.search(r"## In Claude Desktop\n.*?```json\n(.*?)```", text, re.DOTALL)

    assert found is not None
    assert json.loads(found[1]) == json.loads(blocks()["claude-desktop"])
