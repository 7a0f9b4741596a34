"""What a host and a model read before the first call."""

import json
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from sybilion_mcp.server import build_server
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.settings import Settings
from tests.conftest import ERAS, TODAY

pytestmark = pytest.mark.anyio

CORE = ["validate_series", "suggest_keywords", "submit_forecast", "get_status", "read_artifact"]
ALL = [*CORE, "rank_drivers", "get_alerts", "find_filters", "list_jobs", "get_account"]
PROMPTS = {"forecast-and-explain", "prepare-series", "review-backtest", "decide-with-forecast"}
TEMPLATES = {
    "sybilion://jobs/{job_id}",
    "sybilion://jobs/{job_id}/report",
    "sybilion://jobs/{job_id}/forecast",
    "sybilion://jobs/{job_id}/drivers",
    "sybilion://jobs/{job_id}/backtest",
    "sybilion://jobs/{job_id}/artifacts/{name}",
    "sybilion://series/{series_id}",
    "sybilion://guide/{topic}",
    "sybilion://schema/{name}",
}


@pytest.fixture(params=ERAS)
async def client_of_all(request: pytest.FixtureRequest, tmp_path: Path, executor: Executor) -> AsyncIterator[Client]:
    """A client of a server that serves every tool, once for each era of the protocol."""
    desk = Desk(Settings(home=tmp_path / "home", toolset="all"), today=lambda: TODAY, executor=executor)
    async with Client(build_server(desk.settings, desk), mode=ERAS[request.param]) as connected:
        yield connected


async def tools_of(client: Client) -> list[dict[str, Any]]:
    listed = await client.list_tools()
    return [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in listed.tools]


async def test_the_core_tools_come_in_the_order_of_work(client: Client) -> None:
    assert [tool["name"] for tool in await tools_of(client)] == CORE


async def test_all_tools_are_the_core_ones_and_five_more(client_of_all: Client) -> None:
    assert [tool["name"] for tool in await tools_of(client_of_all)] == ALL


async def size_of_catalogue(client: Client) -> int:
    listed = (await client.list_tools()).model_dump(mode="json", by_alias=True, exclude_none=True)
    listed.pop("_meta", None)
    return len(json.dumps(listed, separators=(",", ":")))


async def test_the_catalogue_is_at_most_7_kb(client: Client) -> None:
    assert await size_of_catalogue(client) <= 7000


async def test_the_catalogue_of_all_tools_is_at_most_12_kb(client_of_all: Client) -> None:
    assert await size_of_catalogue(client_of_all) <= 12_000


async def test_every_parameter_is_described_and_no_schema_refers(client_of_all: Client) -> None:
    for tool in await tools_of(client_of_all):
        schema = tool["inputSchema"]
        assert "$ref" not in json.dumps(schema), tool["name"]
        assert "anyOf" not in json.dumps(schema), tool["name"]
        for name, parameter in schema["properties"].items():
            assert parameter.get("description"), f"{tool['name']}.{name}"
            assert "type" in parameter, f"{tool['name']}.{name}"


async def test_every_tool_has_a_title_a_description_and_all_four_hints(client_of_all: Client) -> None:
    for tool in await tools_of(client_of_all):
        assert tool["title"]
        assert len(tool["description"]) >= 60
        hints = {"readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"}
        assert hints <= tool["annotations"].keys(), tool["name"]


async def test_only_what_changes_or_costs_is_not_read_only(client_of_all: Client) -> None:
    changing = [tool["name"] for tool in await tools_of(client_of_all) if not tool["annotations"]["readOnlyHint"]]

    # read_artifact writes files with save_to
    assert changing == ["submit_forecast", "read_artifact", "rank_drivers", "get_alerts"]


async def test_output_schemas_tell_the_answer_and_the_failure(client_of_all: Client) -> None:
    for tool in await tools_of(client_of_all):
        schema = tool["outputSchema"]
        answer, failure = schema["anyOf"]
        assert schema["type"] == "object"
        assert set(answer["required"]) <= schema["properties"].keys()
        assert "next" in schema["properties"]
        assert failure == {"required": ["code", "hint"]}


async def test_instructions_name_the_order_of_work_in_900_characters(client: Client) -> None:
    instructions = client.instructions or ""

    assert len(instructions) <= 900
    places = [instructions.index(tool) for tool in CORE]
    assert places == sorted(places)


async def test_instructions_for_all_tools_name_those_too_in_900_characters(client_of_all: Client) -> None:
    instructions = client_of_all.instructions or ""

    assert len(instructions) <= 900
    assert [tool for tool in ALL if tool not in instructions] == []
    assert "always set limit" in instructions


async def test_instructions_tell_which_service_is_for_what(client: Client) -> None:
    instructions = client.instructions or ""

    assert 'Other than monthly, or many series: backend="eomer"' in instructions
    assert '"sybilion" for outside drivers' in instructions
    assert "Without a key: local." in instructions


async def test_resources_and_prompts_are_those_of_the_interface(client: Client) -> None:
    templates = (await client.list_resource_templates()).resource_templates
    prompts = (await client.list_prompts()).prompts

    assert {template.uri_template for template in templates} == TEMPLATES
    assert all(template.title and template.mime_type and template.description for template in templates)
    assert {prompt.name for prompt in prompts} == PROMPTS


async def test_jobs_are_never_listed_but_guides_and_schemas_are(client: Client) -> None:
    listed = {resource.uri for resource in (await client.list_resources()).resources}

    assert {f"sybilion://guide/{topic}" for topic in ("limits", "keywords", "errors", "reading-drivers")} <= listed
    assert {"sybilion://schema/forecast_request", "sybilion://schema/forecast"} <= listed
    assert not any("/jobs/" in uri for uri in listed)
