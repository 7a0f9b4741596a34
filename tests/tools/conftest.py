from concurrent.futures import Executor
from pathlib import Path

import pytest

from sybilion_mcp.service.desk import Desk
from sybilion_mcp.settings import Settings
from tests.conftest import TODAY


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The one folder whose files the tools may use."""
    made = tmp_path / "allowed"
    made.mkdir()
    return made


@pytest.fixture
def desk(tmp_path: Path, folder: Path, executor: Executor) -> Desk:
    settings = Settings(home=tmp_path / "home", allow_dirs=(folder,))
    return Desk(settings, today=lambda: TODAY, executor=executor)
