"""Completion: ids and names that exist, from what has been typed."""

from collections.abc import Awaitable, Callable

import anyio
import pytest
from mcp import Client
from mcp_types import PromptReference, ResourceTemplateReference

from sybilion_mcp.contract.jobs import Job
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.store.panel import StoredPanel
from sybilion_mcp.store.records import StoredSeries
from tests.store.keep import put_artifact

pytestmark = pytest.mark.anyio

JOB = "sybilion://jobs/{job_id}/report"
ARTIFACT = "sybilion://jobs/{job_id}/artifacts/{name}"
SERIES = "sybilion://series/{series_id}"
GUIDE = "sybilion://guide/{topic}"
SCHEMA = "sybilion://schema/{name}"
Completing = Callable[..., Awaitable[list[str]]]


@pytest.fixture
def complete(client: Client) -> Completing:
    async def completing(uri: str, name: str, typed: str = "", **chosen: str) -> list[str]:
        reference = ResourceTemplateReference(uri=uri)
        with anyio.fail_after(5):
            found = await client.complete(reference, {"name": name, "value": typed}, context_arguments=chosen)
        return found.completion.values

    return completing


@pytest.fixture
async def memories(desk: Desk) -> None:
    """Two jobs with artifacts, two series."""
    for job_id in ("abc-1", "abd-2"):
        await desk.store.put_job(Job(job_id=job_id, status="completed", settled=True), "local")
        await put_artifact(desk.store, job_id, f"forecast-{job_id}.json", b"{}")
        await put_artifact(desk.store, job_id, "input.json", b"{}")
    for series_id in ("s_aa", "s_ab"):
        await desk.store.put_series(StoredSeries(series_id, {"2026-01-01": 1.0}))


@pytest.mark.usefixtures("memories")
async def test_jobs_and_series_are_completed_from_what_is_typed(complete: Completing) -> None:
    assert sorted(await complete(JOB, "job_id")) == ["abc-1", "abd-2"]
    assert await complete(JOB, "job_id", "abd") == ["abd-2"]
    assert sorted(await complete(SERIES, "series_id", "s_a")) == ["s_aa", "s_ab"]
    assert await complete(SERIES, "series_id", "x") == []


@pytest.mark.usefixtures("memories")
async def test_many_series_are_completed_as_one_series_is(desk: Desk, complete: Completing) -> None:
    await desk.store.panels.put(StoredPanel("p_0123456789ab", "D", {"shop": {"2026-01-01": 1.0}}))

    assert await complete(SERIES, "series_id", "p_") == ["p_0123456789ab"]
    assert len(await complete(SERIES, "series_id")) == 3


@pytest.mark.usefixtures("memories")
async def test_artifacts_are_those_of_the_chosen_job(complete: Completing) -> None:
    assert await complete(ARTIFACT, "name", job_id="abc-1") == ["forecast-abc-1.json", "input.json"]
    assert await complete(ARTIFACT, "name", "in", job_id="abd-2") == ["input.json"]
    assert await complete(ARTIFACT, "name", job_id="unknown") == []
    assert await complete(ARTIFACT, "name") == []


async def test_guides_and_schemas_are_completed(complete: Completing) -> None:
    assert set(await complete(GUIDE, "topic")) == {"limits", "keywords", "errors", "reading-drivers", "eomer"}
    assert await complete(GUIDE, "topic", "re") == ["reading-drivers"]
    assert "forecast_request" in await complete(SCHEMA, "name")
    assert await complete(SCHEMA, "name", "back") == ["backtest_metrics", "backtest_trajectories"]


@pytest.mark.usefixtures("memories")
async def test_prompts_that_take_a_job_know_the_jobs(client: Client) -> None:
    reference = PromptReference(name="review-backtest")

    found = await client.complete(reference, {"name": "job_id", "value": "abc"})

    assert found.completion.values == ["abc-1"]


@pytest.mark.parametrize("typed", ["%", "_", "'", "\\", "a" * 10_000, "\x00"])
async def test_nothing_fits_and_nothing_fails(complete: Completing, typed: str) -> None:
    for uri, name in ((JOB, "job_id"), (SERIES, "series_id"), (GUIDE, "topic"), (SCHEMA, "name"), (JOB, "unknown")):
        assert await complete(uri, name, typed) == []


async def test_at_most_100_values_are_given(client: Client, desk: Desk) -> None:
    for number in range(101):
        await desk.store.put_job(Job(job_id=f"j{number:03d}", status="running"), "local")

    found = await client.complete(ResourceTemplateReference(uri=JOB), {"name": "job_id", "value": "j"})

    assert (len(found.completion.values), found.completion.has_more) == (100, True)
