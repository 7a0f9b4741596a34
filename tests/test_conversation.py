"""The forecasting conversation from the broken series to the report, as an agent has it."""

import itertools
import json
import random
from collections.abc import Mapping
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp_types import CallToolResult, TextContent

from sybilion_mcp.service.desk import Desk
from tests.conftest import good_series

pytestmark = pytest.mark.anyio

TITLE = "Monthly demand for a made-up product in Austria, units"


async def call(client: Client, tool: str, **arguments: Any) -> CallToolResult:
    with anyio.fail_after(60):
        result = await client.call_tool(tool, arguments)
    assert not result.is_error, text_of(result)
    return result


def text_of(result: CallToolResult) -> str:
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))


def data_of(result: CallToolResult) -> dict[str, Any]:
    assert result.structured_content is not None
    return result.structured_content


async def finished_job(client: Client, series: Mapping[str, float] | None = None, **options: Any) -> str:
    """Given a job that has run to its end."""
    checked = data_of(await call(client, "validate_series", series=dict(series or good_series()), title=TITLE))
    made = data_of(await call(client, "submit_forecast", series_id=checked["series_id"], soft_horizon=12, **options))
    status = data_of(await call(client, "get_status", job_id=made["job_id"], wait_seconds=45))
    assert (status["status"], status["settled"]) == ("completed", True)
    return str(made["job_id"])


async def test_every_next_step_leads_from_a_broken_series_to_the_report(client: Client) -> None:
    series: dict[str, Any] = good_series()
    series["2021-03-01"] = None
    del series["2022-05-01"]

    first = data_of(await call(client, "validate_series", series=series, soft_horizon=13, title=TITLE))
    assert not first["valid"]
    assert first["next"]["tool"] == "validate_series"

    repaired = data_of(await call(client, "validate_series", **{**first["next"]["arguments"], "series": series}))
    assert repaired["valid"]

    answer = repaired
    seen = []
    while answer["next"]["tool"] != "read_artifact":
        step = answer["next"]
        seen.append(step["tool"])
        answer = data_of(await call(client, step["tool"], **step["arguments"]))
    report = data_of(await call(client, "read_artifact", **answer["next"]["arguments"]))

    assert seen[0] == "submit_forecast"
    assert set(seen[1:]) == {"get_status"}
    assert len(report["forecast"]) == 12
    assert report["skill"]["windows_used"] >= 12
    assert report["verdict"] in ("better", "same", "worse")


async def test_a_12_month_forecast_is_at_most_4_kb_and_everything_else_6(client: Client) -> None:
    job_id = await finished_job(client)

    for artifact, limit in (("forecast", 4000), ("report", 6000), ("drivers", 6000), ("backtest", 6000)):
        for view in ("summary", "table"):
            result = await call(client, "read_artifact", job_id=job_id, artifact=artifact, view=view)
            data = json.dumps(data_of(result), ensure_ascii=False)
            assert len((text_of(result) + data).encode()) <= limit, (artifact, view)


async def test_raw_views_come_in_pages_that_together_hold_everything(client: Client) -> None:
    job_id = await finished_job(client)

    offset, records = 0, {}
    while True:
        result = await call(client, "read_artifact", job_id=job_id, artifact="forecast", view="raw", offset=offset)
        data = data_of(result)
        assert len(text_of(result).encode()) <= 6000
        records |= data["records"]
        offset = data["next"]["arguments"].get("offset")
        if offset is None:
            break

    months = [path for path in records if path.startswith("data.forecast_series.")]
    assert len(months) == 12
    assert records["version"] == "1.1"


async def test_tools_and_resources_tell_the_same(client: Client) -> None:
    job_id = await finished_job(client)

    for part in ("report", "forecast", "drivers", "backtest"):
        told = text_of(await call(client, "read_artifact", job_id=job_id, artifact=part))
        read = (await client.read_resource(f"sybilion://jobs/{job_id}/{part}")).contents[0]
        assert read.model_dump()["text"] == told


async def test_the_same_question_is_answered_by_the_same_job(client: Client) -> None:
    job_id = await finished_job(client)
    checked = data_of(await call(client, "validate_series", series=good_series(), title=TITLE))

    again = await call(client, "submit_forecast", series_id=checked["series_id"], soft_horizon=12)

    assert (data_of(again)["job_id"], data_of(again)["reused"]) == (job_id, True)
    assert "Nothing was charged" in text_of(again)


async def test_drivers_are_named_as_the_caller_knows_them(client: Client) -> None:
    chance = random.Random(3)
    price = list(itertools.accumulate((chance.gauss(0, 1) for _ in range(133)), initial=60.0))
    months = list(good_series())
    leading = dict(zip(months, price[2:], strict=True))
    demand = {month: 3 * price[step] + chance.gauss(0, 0.5) for step, month in enumerate(months)}
    checked = data_of(await call(client, "validate_series", series=leading, title="A price that leads by two months"))

    job_id = await finished_job(client, demand, aux_series_ids=[checked["series_id"]])

    report = await call(client, "read_artifact", job_id=job_id)
    assert "A price that leads by two months" in text_of(report)


async def test_answers_end_with_the_next_step(client: Client) -> None:
    job_id = await finished_job(client)
    answers = [
        await call(client, "validate_series", series=good_series(50)),
        await call(client, "suggest_keywords", title="aluminium price"),
        await call(client, "get_status", job_id=job_id),
        await call(client, "read_artifact", job_id=job_id),
        await call(client, "read_artifact", job_id=job_id, artifact="input"),
    ]

    for answer in answers:
        assert text_of(answer).splitlines()[-1].startswith("Next: ")
        assert data_of(answer)["next"]["tool"]


async def test_a_second_process_sees_series_jobs_and_results(client: Client, desk: Desk) -> None:
    job_id = await finished_job(client)

    other = Desk(desk.settings, today=desk.today, executor=desk.executor)
    try:
        assert await other.store.artifact_names(job_id)
        stored = await other.store.job(job_id)
        assert stored is not None
        assert stored.job.settled
    finally:
        await other.aclose()
