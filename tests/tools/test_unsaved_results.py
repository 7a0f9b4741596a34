"""Results that may not be written to a file here: what the model can do instead."""

from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from sybilion_mcp.server import build_server
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.settings import Settings
from tests.service.finished import finished_job
from tests.tools.host import failure_of

pytestmark = pytest.mark.anyio

ASKED = {"job_id": "j1", "artifact": "forecast", "view": "table"}


async def refused(folder: Path, **settings: Any) -> dict[str, Any]:
    desk = Desk(Settings(home=folder / "home", **settings))
    await finished_job(desk, "j1")
    async with Client(build_server(desk.settings, desk)) as client:
        result = await client.call_tool("read_artifact", {**ASKED, "save_to": "forecast.csv"})
    return failure_of(result)


async def test_in_read_only_mode_the_next_call_saves_nothing(tmp_path: Path) -> None:
    failure = await refused(tmp_path, read_only=True, allow_dirs=(tmp_path,))

    assert failure["code"] == "read_only"
    assert failure["next"] == {"tool": "read_artifact", "arguments": ASKED}


async def test_without_an_allowed_folder_nothing_is_said_of_numbers(tmp_path: Path) -> None:
    failure = await refused(tmp_path)

    assert failure["code"] == "file_outside_allowed_folders"
    assert "leave save_to out" in failure["hint"]
    assert "series" not in failure["hint"]
