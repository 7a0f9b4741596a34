"""What a host sees of jobs that the service has forgotten, and of a data folder that fails."""

from collections.abc import AsyncIterator
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import pytest
import stamina
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import TextResourceContents

from sybilion_mcp.server import build_server
from sybilion_mcp.service.results import PAGED_BYTES
from sybilion_mcp.settings import Settings
from tests.conftest import TODAY, good_series
from tests.hosted import HostedApi, ImpatientDesk
from tests.tools.host import call, data_of, failure_of, text_of

pytestmark = pytest.mark.anyio

TITLE = "Monthly demand for a made-up product in Austria, units"


@pytest.fixture
async def client(api: HostedApi, tmp_path: Path, executor: Executor) -> AsyncIterator[Client]:
    settings = Settings(
        home=tmp_path / "home", api_token=api.token, api_base_url=api.url, spend="allow", allow_dirs=(tmp_path,)
    )
    desk = ImpatientDesk(settings, today=lambda: TODAY, executor=executor)
    with stamina.set_testing(True, attempts=1):
        async with Client(build_server(settings, desk)) as client:
            yield client
    await desk.aclose()


@pytest.fixture
async def job_id(client: Client, api: HostedApi) -> str:
    """A job of ours that the service has made and not finished."""
    made = await call(client, "submit_forecast", series=good_series(), title=TITLE, soft_horizon=3, driver_limit=0)
    return str(data_of(made)["job_id"])


@pytest.fixture
async def forgotten(client: Client, api: HostedApi, job_id: str) -> str:
    """It was completed and looked at, and the service has forgotten it since."""
    api.finish(job_id)
    await call(client, "get_status", job_id=job_id, wait_seconds=0)
    api.forget(job_id)
    api.requests.clear()
    return job_id


async def test_a_job_of_another_token_is_not_called_lost(
    client: Client, api: HostedApi, job_id: str, tmp_path: Path, executor: Executor
) -> None:
    api.users["sk_ops_of_somebody_else"] = "somebody else"
    settings = Settings(
        home=tmp_path / "home", api_token="sk_ops_of_somebody_else", api_base_url=api.url, spend="allow"
    )
    desk = ImpatientDesk(settings, today=lambda: TODAY, executor=executor)
    made = api.jobs.pop(job_id)  # not shown to them
    with stamina.set_testing(True, attempts=1):
        async with Client(build_server(settings, desk)) as theirs:
            told = failure_of(await call(theirs, "get_status", job_id=job_id, wait_seconds=0))
    await desk.aclose()
    api.jobs[job_id] = made

    assert told["code"] == "job_not_found"
    assert "made with another token" in told["message"]
    assert "do not submit it again" in told["hint"]
    stored = await desk.store.job(job_id)
    assert stored is not None
    assert stored.gone_at is None
    await desk.aclose()
    assert data_of(await call(client, "get_status", job_id=job_id, wait_seconds=0))["status"] == made["status"]


@pytest.mark.parametrize("artifact", ["report", "forecast", "drivers", "backtest"])
@pytest.mark.parametrize("view", ["summary", "table"])
async def test_every_reading_of_a_forgotten_job_stays(
    client: Client, api: HostedApi, forgotten: str, artifact: str, view: str
) -> None:
    result = await call(client, "read_artifact", job_id=forgotten, artifact=artifact, view=view)

    assert not result.is_error, text_of(result)
    assert api.requests == []


async def test_its_status_its_raw_pages_and_its_files_stay(
    client: Client, api: HostedApi, forgotten: str, tmp_path: Path
) -> None:
    status = await call(client, "get_status", job_id=forgotten)
    raw = await call(client, "read_artifact", job_id=forgotten, artifact="input", view="raw")
    saved = await call(
        client, "read_artifact", job_id=forgotten, artifact="forecast", view="raw", save_to=str(tmp_path / "f.json")
    )

    assert not status.is_error
    assert not raw.is_error
    assert not saved.is_error
    assert (tmp_path / "f.json").read_bytes().startswith(b'{"version"')
    assert api.requests == []


@pytest.mark.parametrize("part", ["", "/report", "/forecast", "/drivers", "/backtest", "/artifacts/forecast.json"])
async def test_its_resources_stay(client: Client, api: HostedApi, forgotten: str, part: str) -> None:
    (content,) = (await client.read_resource(f"sybilion://jobs/{forgotten}{part}")).contents

    assert isinstance(content, TextResourceContents)
    assert content.text
    assert api.requests == []


@pytest.mark.parametrize("tool", ["get_status", "read_artifact"])
async def test_a_job_that_was_unfinished_and_is_forgotten_says_so(
    client: Client, api: HostedApi, job_id: str, tool: str
) -> None:
    api.forget(job_id)

    result = await call(client, tool, job_id=job_id)

    failure = failure_of(result)
    assert failure["code"] == "job_not_found"
    assert failure["retryable"] is False


async def test_an_artifact_that_is_too_large_for_an_answer_is_written_to_a_file(
    client: Client, api: HostedApi, job_id: str, tmp_path: Path
) -> None:
    api.artifacts[job_id]["info.json"] = b" " * (PAGED_BYTES + 1)
    api.finish(job_id)

    refused = await call(client, "read_artifact", job_id=job_id, artifact="info.json", view="raw")
    saved = await call(client, "read_artifact", job_id=job_id, artifact="info.json", save_to=str(tmp_path / "info"))

    failure = failure_of(refused)
    assert failure["code"] == "artifact_too_large"
    assert "save_to" in failure["hint"]
    assert not saved.is_error
    assert (tmp_path / "info").stat().st_size == PAGED_BYTES + 1
    with pytest.raises(MCPError, match="save_to"):
        await client.read_resource(f"sybilion://jobs/{job_id}/artifacts/info.json")


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("validate_series", {"series": good_series()}),
        ("get_status", {"job_id": "j1"}),
        ("read_artifact", {"job_id": "j1"}),
        ("submit_forecast", {"series": good_series(), "title": TITLE, "soft_horizon": 3}),
    ],
)
async def test_a_damaged_database_is_a_failure_with_a_hint_and_nothing_is_sent(
    client: Client, api: HostedApi, tmp_path: Path, tool: str, arguments: dict[str, Any]
) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "desk.db").write_bytes(b"this is no database" * 1000)

    result = await call(client, tool, **arguments)

    failure = failure_of(result)
    assert failure["code"] == "storage_failed"
    assert "SYBILION_MCP_HOME" in failure["hint"]
    assert api.submits == []
