"""Two jobs on one series, as an agent has them: the report of the second says how it differs, the same everywhere."""

import json
from functools import partial
from pathlib import Path

import anyio.to_thread
import pytest
from mcp import Client
from mcp_types import TextResourceContents

from sybilion_mcp import explain_command
from sybilion_mcp.cli import main
from sybilion_mcp.service.desk import Desk
from tests.conftest import until
from tests.service.finished import finished_job as kept_job
from tests.test_conversation import call, data_of, finished_job, text_of

pytestmark = pytest.mark.anyio

SECTION = "## Other jobs on this series\n"


async def read(client: Client, uri: str) -> str:
    (content,) = (await client.read_resource(uri)).contents
    assert isinstance(content, TextResourceContents)
    return content.text


async def test_the_report_of_a_second_job_says_how_it_differs(client: Client) -> None:
    first = await finished_job(client)
    second = await finished_job(client, recency_factor=1.0, driver_limit=0, resubmit=False)

    result = await call(client, "read_artifact", job_id=second)

    section = text_of(result).partition(SECTION)[2]
    assert section.startswith(f"{first} (embedded engine, 2")
    assert "free): recency_factor 0.5 there, 1 here; driver_limit not set there, 0 here" in section
    assert "common windows" in section
    assert len(text_of(result).encode()) <= 6000
    assert len(json.dumps(data_of(result), ensure_ascii=False).encode()) <= 6000
    assert await read(client, f"sybilion://jobs/{second}/report") == text_of(result)
    assert SECTION in text_of(await call(client, "read_artifact", job_id=first))


async def test_tool_resource_and_command_tell_the_same(
    client: Client, desk: Desk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explain_command, "Desk", partial(Desk, today=desk.today))
    await kept_job(desk, "first", error=2.0)
    await kept_job(desk, "second", recency_factor=1.0)

    told = text_of(await call(client, "read_artifact", job_id="second"))

    assert "Job first hindcasts better than this one" in told
    assert told.splitlines()[-1].startswith(
        'Next: read_artifact(job_id="first", artifact="report") of the job that hindcasts better'
    )
    assert await read(client, "sybilion://jobs/second/report") == told
    assert await in_a_thread("explain", "second") == 0
    assert capsys.readouterr().out == f"{told}\n"


async def in_a_thread(*argv: str) -> int:
    """A command has an event loop of its own."""
    return await anyio.to_thread.run_sync(main, argv)


def test_the_folder_of_a_real_job_is_compared_with_the_one_beside_it(
    shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", str(shared_data / "sybilion-jobs" / "potash-recency-10")]) == 0

    section = capsys.readouterr().out.partition(SECTION)[2]
    assert section.startswith("0a4c5dd4-0c31-4bcc-9f8c-80f473abfe9c (Sybilion, 2026-05-31, 2.60 EUR): ")
    assert "The same error came with different drivers" in section


async def test_a_job_that_nobody_followed_is_told_as_it_is_now(client: Client, desk: Desk) -> None:
    first = await finished_job(client)
    made = data_of(
        await call(
            client, "submit_forecast", series_id=await series_of(desk, first), recency_factor=1.0, soft_horizon=12
        )
    )
    await until(partial(ended_behind, desk, made["job_id"]))

    listed = await read(client, f"sybilion://series/{made['series_id']}")
    report = text_of(await call(client, "read_artifact", job_id=first))

    assert "queued" not in listed
    assert listed.count("completed") == 2
    assert f"\n{made['job_id']} (embedded engine" in report


async def ended_behind(desk: Desk, job_id: str) -> bool:
    """Whether the engine is done; the desk itself does not look."""
    return (await desk.backend("local").job(job_id)).finished


async def series_of(desk: Desk, job_id: str) -> str:
    submission = await desk.store.submission_of(job_id)
    assert submission is not None
    return submission.series_id
