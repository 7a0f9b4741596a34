"""A data folder that cannot be used, as a host sees it beside the tools: in completion and in resources."""

import anyio
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, ResourceTemplateReference

from sybilion_mcp.service.desk import Desk

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def damaged(desk: Desk) -> None:
    desk.settings.home.mkdir()
    (desk.settings.home / "desk.db").write_bytes(b"this is no database" * 100)


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("sybilion://jobs/{job_id}/report", "job_id"),
        ("sybilion://series/{series_id}", "series_id"),
        ("sybilion://jobs/{job_id}/artifacts/{name}", "name"),
    ],
)
async def test_nothing_is_completed_and_nothing_fails(client: Client, uri: str, name: str) -> None:
    with anyio.fail_after(10):
        found = await client.complete(ResourceTemplateReference(uri=uri), {"name": name, "value": ""})

    assert found.completion.values == []


@pytest.mark.parametrize("uri", ["jobs/abc", "jobs/abc/report", "jobs/abc/artifacts/input.json", "series/s_1"])
async def test_a_resource_tells_what_is_wrong_and_what_to_do(client: Client, uri: str) -> None:
    with anyio.fail_after(10), pytest.raises(MCPError) as caught:
        await client.read_resource(f"sybilion://{uri}")

    assert caught.value.error.code == INTERNAL_ERROR
    assert "storage_failed" in caught.value.error.message
    assert "damaged" in caught.value.error.message
    assert "SYBILION_MCP_HOME" in caught.value.error.message


async def test_what_needs_no_data_folder_is_read(client: Client) -> None:
    with anyio.fail_after(10):
        assert (await client.read_resource("sybilion://guide/limits")).contents
