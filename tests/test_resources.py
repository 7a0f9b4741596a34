"""Resources: every template reads, and what is not there says so."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from typing import Any

import anyio
import jsonschema
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS, TextResourceContents

from sybilion_mcp.service.desk import Desk
from tests.conftest import good_series
from tests.service.finished import finished_job

pytestmark = pytest.mark.anyio

TITLE = "Monthly demand for a made-up product in Austria, units"
MARKDOWN = "text/markdown"
Reading = Callable[[str], Any]


@pytest.fixture
def read(client: Client) -> Reading:
    """Reads one resource: its text and its MIME type."""

    async def reading(uri: str) -> tuple[str, str | None]:
        with anyio.fail_after(60):
            (content,) = (await client.read_resource(uri)).contents
        assert isinstance(content, TextResourceContents)
        assert str(content.uri) == uri
        return content.text, content.mime_type

    return reading


async def called(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    with anyio.fail_after(60):
        result = await client.call_tool(tool, arguments)
    assert not result.is_error
    assert result.structured_content is not None
    return dict(result.structured_content)


@pytest.fixture
async def series_id(client: Client) -> str:
    return str((await called(client, "validate_series", series=good_series(), title=TITLE))["series_id"])


@pytest.fixture
async def job_id(client: Client, series_id: str) -> str:
    made = await called(client, "submit_forecast", series_id=series_id, soft_horizon=3, backtest=False)
    await called(client, "get_status", job_id=made["job_id"], wait_seconds=45)
    return str(made["job_id"])


async def refused(reading: Reading, uri: str) -> MCPError:
    with pytest.raises(MCPError) as caught:
        await reading(uri)
    assert "Traceback" not in caught.value.message
    return caught.value


async def test_the_templates_are_those_of_the_design_each_with_title_and_mime_type(client: Client) -> None:
    templates = (await client.list_resource_templates()).resource_templates

    assert {one.uri_template for one in templates} == {
        "sybilion://jobs/{job_id}",
        *(f"sybilion://jobs/{{job_id}}/{part}" for part in ("report", "forecast", "drivers", "backtest")),
        "sybilion://jobs/{job_id}/artifacts/{name}",
        "sybilion://series/{series_id}",
        "sybilion://guide/{topic}",
        "sybilion://schema/{name}",
    }
    assert all(one.title and one.description and one.mime_type for one in templates)


async def test_guides_and_schemas_are_listed_and_read(client: Client, read: Reading) -> None:
    listed = {str(one.uri): one for one in (await client.list_resources()).resources}

    assert {f"sybilion://guide/{topic}" for topic in ("limits", "keywords", "errors", "reading-drivers")} <= set(listed)
    for uri, one in listed.items():
        text, mime_type = await read(uri)
        assert mime_type == one.mime_type
        assert text.startswith("# " if mime_type == MARKDOWN else "{")


async def test_jobs_are_never_listed(client: Client, job_id: str) -> None:
    assert not [one for one in (await client.list_resources()).resources if job_id in str(one.uri)]


async def test_a_job_tells_its_status_and_where_its_results_are(read: Reading, job_id: str) -> None:
    text, mime_type = await read(f"sybilion://jobs/{job_id}")

    assert mime_type == MARKDOWN
    assert text.startswith(f"Job {job_id}: completed, settled, backend local.")
    assert f"sybilion://jobs/{job_id}/artifacts/forecast.json" in text
    assert f"sybilion://jobs/{job_id}/report" in text


@pytest.mark.parametrize("part", ["report", "forecast", "drivers", "backtest"])
async def test_every_part_of_a_job_reads_as_markdown(read: Reading, job_id: str, part: str) -> None:
    text, mime_type = await read(f"sybilion://jobs/{job_id}/{part}")

    assert mime_type == MARKDOWN
    assert 40 < len(text.encode()) <= 6000


async def test_an_artifact_is_what_was_sent(read: Reading, job_id: str, desk: Desk) -> None:
    text, mime_type = await read(f"sybilion://jobs/{job_id}/artifacts/forecast.json")

    assert mime_type == "application/json"
    assert text.encode() == await desk.store.artifact(job_id, "forecast.json")
    assert len(json.loads(text)["data"]["forecast_series"]) == 3


async def test_a_series_tells_what_it_is_and_its_jobs(read: Reading, series_id: str, job_id: str) -> None:
    text, mime_type = await read(f"sybilion://series/{series_id}")

    assert mime_type == MARKDOWN
    assert text.startswith(f'Series {series_id}: "{TITLE}"')
    assert "132 months" in text
    assert f"sybilion://jobs/{job_id}" in text


async def test_a_series_lists_the_jobs_on_it_and_on_its_other_states(read: Reading, desk: Desk) -> None:
    series_id = await finished_job(desk, "mine", recency_factor=0.4)
    await finished_job(desk, "broken", kept={"backtest_trajectories.json": b"{"})
    await finished_job(desk, "earlier", dict(list(good_series().items())[:-3]), error=7.5)
    await finished_job(desk, "dashboard", submitted=False)
    await finished_job(desk, "failed", status="failed")
    await finished_job(desk, "another", {month: value * 2 for month, value in good_series().items()})

    text, _ = await read(f"sybilion://series/{series_id}")

    jobs = {line.rpartition("/")[2]: line for line in text.splitlines() if line.startswith("- ")}
    assert set(jobs) == {"mine", "broken", "failed", "dashboard", "earlier"}
    assert list(jobs)[-1] == "earlier"
    assert (
        "sybilion, completed, soft_horizon 3, recency_factor 0.4, 0.61 EUR, data to 2026-10, "
        "off by 4.00 in 10 past windows: sybilion://jobs/mine" in jobs["mine"]
    )
    assert "data to 2026-07, off by 7.50 in 10 past windows" in jobs["earlier"]
    assert "off by" not in jobs["broken"]
    assert ", failed, " in jobs["failed"]


async def test_of_many_jobs_a_series_lists_twenty_and_counts_the_rest(read: Reading, desk: Desk) -> None:
    for number in range(23):
        series_id = await finished_job(desk, f"job-{number}", recency_factor=number / 23)

    text, _ = await read(f"sybilion://series/{series_id}")

    listed = [line for line in text.splitlines() if line.startswith("- ")]
    assert len(listed) == 20
    assert listed[0].endswith("sybilion://jobs/job-22")
    assert text.endswith("and 3 older jobs")
    assert len(text.encode()) < 6000


async def test_schemas_are_json_schemas(read: Reading) -> None:
    for name in ("forecast_request", "forecast", "external_signals", "backtest_metrics", "backtest_trajectories"):
        text, mime_type = await read(f"sybilion://schema/{name}")
        assert mime_type == "application/schema+json"
        jsonschema.Draft202012Validator.check_schema(json.loads(text))


@pytest.mark.parametrize(
    ("uri", "hint"),
    [
        ("sybilion://jobs/no-such-job", "validate_series"),
        ("sybilion://jobs/no-such-job/report", "job_not_found"),
        ("sybilion://jobs/no-such-job/artifacts/forecast.json", "job_not_found"),
        ("sybilion://series/s_000000000000", "validate_series"),
        ("sybilion://guide/cooking", "limits"),
        ("sybilion://schema/cooking", "forecast"),
        ("sybilion://cooking/soup", "Unknown resource"),
        ("sybilion://jobs/a/b/c/d", "Unknown resource"),
        ("file:///etc/passwd", "Unknown resource"),
    ],
)
async def test_what_does_not_exist_is_an_invalid_parameter_with_a_hint(read: Reading, uri: str, hint: str) -> None:
    error = await refused(read, uri)

    assert error.code == INVALID_PARAMS
    assert hint in error.message


@pytest.mark.parametrize("name", ["no-such.json", "..%2F..%2Fetc%2Fpasswd", "%2E%2E"])
async def test_an_artifact_that_does_not_exist(read: Reading, job_id: str, name: str) -> None:
    error = await refused(read, f"sybilion://jobs/{job_id}/artifacts/{name}")

    assert error.code == INVALID_PARAMS
    assert "root:" not in error.message


@pytest.fixture
def busy(executor: Executor) -> Iterator[None]:
    """The only thread that runs jobs is held, so that new jobs wait."""
    release = threading.Event()
    executor.submit(release.wait, 60)
    yield
    release.set()


@pytest.mark.usefixtures("busy")
async def test_a_job_that_is_not_finished_says_what_to_do(client: Client, read: Reading, series_id: str) -> None:
    made = await called(client, "submit_forecast", series_id=series_id, soft_horizon=3)

    error = await refused(read, f"sybilion://jobs/{made['job_id']}/report")

    assert error.code == INTERNAL_ERROR
    assert "not_ready" in error.message
    assert f'Next: get_status(job_id="{made["job_id"]}"' in error.message
    text, _ = await read(f"sybilion://jobs/{made['job_id']}")
    assert "not settled" in text
