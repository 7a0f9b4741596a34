"""Results: read once, kept for good, and said to be missing when they are."""

import json
import random
import sqlite3
import tracemalloc
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest

from sybilion_mcp.backends.base import AnswerError, BackendError, TransportError
from sybilion_mcp.hints import Subject, explain
from sybilion_mcp.service import results, sybilion_results
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.follow import Running, follow
from sybilion_mcp.service.reading import MOST_BYTES
from sybilion_mcp.service.submit import submit
from tests.hosted import Fault, HostedApi, error, reset, silence
from tests.service.conftest import OpenDesk
from tests.service.orders import TITLE, order, refusal_of
from tests.store.full import leave_room
from tests.store.keep import put_artifact

pytestmark = pytest.mark.anyio


async def silent(_: Running, __: float) -> None:
    """Progress that nobody listens to."""


@pytest.fixture
async def job_id(hosted: Desk, api: HostedApi) -> str:
    """A completed and settled job of our own that nobody has looked at yet."""
    made = await submit(hosted, order())
    api.finish(made.job_id, cents=61)
    return made.job_id


def sends(api: HostedApi, job_id: str, name: str, content: bytes) -> None:
    """From now on the job has this artifact, and lists it so."""
    api.artifacts[job_id][name] = content
    api.finish(job_id)


async def test_the_report_is_made_of_the_artifacts_and_of_what_was_asked(hosted: Desk, job_id: str) -> None:
    report = await sybilion_results.report(hosted, job_id)

    assert (report.facts.job_id, report.facts.title, report.facts.backend) == (job_id, TITLE, "sybilion")
    assert report.facts.eur_cents_final == 61


async def test_a_job_made_elsewhere_is_reported_from_its_own_input(hosted: Desk, api: HostedApi) -> None:
    request = {"timeseries_metadata": {"title": "Made on the dashboard"}, "timeseries": {"2026-10-01": 1.0}}
    job_id = api.make_job(request)
    api.finish(job_id)

    assert (await sybilion_results.report(hosted, job_id)).facts.title == "Made on the dashboard"


async def test_an_artifact_is_what_the_api_sent(hosted: Desk, api: HostedApi, job_id: str) -> None:
    for name, content in api.artifacts[job_id].items():
        assert await results.artifact(hosted, job_id, name) == content


async def test_everything_stays_readable_when_the_api_has_forgotten_the_job(
    open_desk: OpenDesk, api: HostedApi, hosted: Desk, job_id: str
) -> None:
    await follow(hosted, job_id, 0, silent)
    sent = dict(api.artifacts[job_id])
    api.forget(job_id)
    later = open_desk()

    assert (await sybilion_results.report(later, job_id)).facts.title == TITLE
    for name, content in sent.items():
        assert await results.artifact(later, job_id, name) == content
    assert (await follow(later, job_id, 45, silent)).job.settled
    assert (await submit(later, order())).job_id == job_id


@pytest.mark.parametrize("settings", [{"api_base_url": "http://127.0.0.1:1"}, {"api_token": "sk_ops_revoked"}])
async def test_what_is_kept_is_read_without_the_service(
    open_desk: OpenDesk, api: HostedApi, hosted: Desk, job_id: str, settings: dict[str, Any]
) -> None:
    """Also when one artifact was on offer and could never be had."""
    api.jobs[job_id]["artifacts"].append({"name": "info.json", "size": 12})
    await follow(hosted, job_id, 0, silent)
    cut_off = open_desk(**settings)

    report = await sybilion_results.report(cut_off, job_id)

    assert report.facts.title == TITLE
    assert await results.artifact(cut_off, job_id, "forecast.json") == api.artifacts[job_id]["forecast.json"]
    assert (await follow(cut_off, job_id, 45, silent)).job.finished


async def test_what_is_kept_is_read_without_a_token(
    open_desk: OpenDesk, api: HostedApi, hosted: Desk, job_id: str
) -> None:
    api.jobs[job_id]["artifacts"].append({"name": "info.json", "size": 12})
    await follow(hosted, job_id, 0, silent)
    without = Desk(open_desk(api_token=None).settings, today=hosted.today)

    try:
        assert (await sybilion_results.report(without, job_id)).facts.title == TITLE
        assert (await follow(without, job_id, 45, silent)).job.finished
    finally:
        await without.aclose()


@pytest.mark.parametrize("fault", [error(503, "down"), reset(), silence()])
async def test_a_report_is_not_made_of_half_the_results(
    hosted: Desk, api: HostedApi, job_id: str, fault: Fault
) -> None:
    """Drivers that could not be fetched are no absence of drivers."""
    api.next("artifact", Fault(200, api.artifacts[job_id]["forecast.json"]), *[fault] * 9)

    with anyio.fail_after(10), pytest.raises(BackendError):
        await sybilion_results.report(hosted, job_id)
    api.well_again()

    assert (await sybilion_results.report(hosted, job_id)).facts.title == TITLE


async def test_results_that_are_gone_for_good_are_said_to_be(hosted: Desk, api: HostedApi, job_id: str) -> None:
    api.artifacts[job_id].clear()

    assert (await refusal_of(sybilion_results.report(hosted, job_id))).code == "artifact_not_found"
    assert (await refusal_of(results.artifact(hosted, job_id, "forecast.json"))).code == "artifact_not_found"


async def test_a_name_that_is_not_on_offer_is_not_asked_for(hosted: Desk, api: HostedApi, job_id: str) -> None:
    await follow(hosted, job_id, 0, silent)
    seen = len(api.requests)

    refusal = await refusal_of(results.artifact(hosted, job_id, "secrets.json"))

    assert refusal.code == "artifact_not_found"
    assert refusal.next is not None
    assert refusal.next.tool == "get_status"
    assert len(api.requests) == seen


async def test_an_unfinished_job_is_not_ready(hosted: Desk) -> None:
    made = await submit(hosted, order())

    for reading in (
        sybilion_results.report(hosted, made.job_id),
        results.artifact(hosted, made.job_id, "forecast.json"),
    ):
        refusal = await refusal_of(reading)
        assert (refusal.code, refusal.retry_after_s) == ("not_ready", 20)
        assert refusal.next is not None
        assert (refusal.next.tool, refusal.next.arguments["job_id"]) == ("get_status", made.job_id)


@pytest.mark.parametrize("status", ["failed", "canceled"])
async def test_a_job_that_came_to_nothing_has_no_results(hosted: Desk, api: HostedApi, status: str) -> None:
    made = await submit(hosted, order())
    api.finish(made.job_id, status, artifacts=[{"name": "errors.json"}])

    refusal = await refusal_of(sybilion_results.report(hosted, made.job_id))

    assert refusal.code == "job_failed"
    assert status in refusal.message


@pytest.mark.parametrize(
    "content", [b"", b"<html>", b"[" * 5000, b"{}", b"[]", b'{"version": "9.0", "data": {}}', b"\xff"]
)
async def test_a_broken_forecast_is_unreadable_and_still_there(
    hosted: Desk, api: HostedApi, job_id: str, content: bytes
) -> None:
    sends(api, job_id, "forecast.json", content)

    refusal = await refusal_of(sybilion_results.report(hosted, job_id))

    assert refusal.code == "unreadable_artifact"
    assert await results.artifact(hosted, job_id, "forecast.json") == content


@pytest.mark.parametrize("name", ["external_signals.json", "input.json"])
@pytest.mark.parametrize("content", [b"<html>", b"[" * 5000, b" " * (MOST_BYTES + 1)])
async def test_a_side_file_that_cannot_be_read_is_left_out_and_said(
    hosted: Desk, api: HostedApi, job_id: str, name: str, content: bytes
) -> None:
    sends(api, job_id, name, content)

    report = await sybilion_results.report(hosted, job_id)

    assert any(f"left out: {name}: " in caveat.text for caveat in report.caveats)
    assert report.facts.title == TITLE


async def test_a_side_file_that_is_too_large_to_be_sent_is_left_out_and_said(
    hosted: Desk, api: HostedApi, job_id: str
) -> None:
    sound = Fault(200, api.artifacts[job_id]["forecast.json"])
    api.next("artifact", sound, error(413, "artifact too large"))

    report = await sybilion_results.report(hosted, job_id)

    assert any("left out: external_signals.json: " in caveat.text for caveat in report.caveats)


async def test_a_forecast_that_is_too_large_is_refused_without_being_decoded(
    hosted: Desk, api: HostedApi, job_id: str
) -> None:
    sends(api, job_id, "forecast.json", api.artifacts[job_id]["forecast.json"] + b" " * MOST_BYTES)

    for _ in ("fetched", "kept"):
        refusal = await refusal_of(sybilion_results.report(hosted, job_id))
        assert refusal.code == "artifact_too_large"
        assert "forecast.json has 2.0 MiB" in refusal.message
        assert "save_to" in refusal.hint


async def test_what_is_too_large_to_be_read_in_pages_is_refused(hosted: Desk, api: HostedApi, job_id: str) -> None:
    sends(api, job_id, "input.json", b" " * (results.PAGED_BYTES + 1))

    for _ in ("fetched", "kept"):
        refusal = await refusal_of(results.artifact(hosted, job_id, "input.json"))
        assert refusal.code == "artifact_too_large"
        assert "save_to" in refusal.hint


async def test_a_large_artifact_that_is_kept_is_not_read_for_a_report(
    hosted: Desk, api: HostedApi, job_id: str
) -> None:
    await follow(hosted, job_id, 0, silent)
    await sybilion_results.report(hosted, job_id)  # imports
    await put_artifact(hosted.store, job_id, "backtest_metrics.json", bytes(100 * 2**20))
    tracemalloc.start()
    try:
        report = await sybilion_results.report(hosted, job_id)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert any("backtest_metrics.json: its 100.0 MiB are more than" in caveat.text for caveat in report.caveats)
    assert most < 20 * 2**20


# What is kept


async def test_a_download_that_is_shorter_than_listed_is_not_kept_and_made_again_at_the_next_look(
    hosted: Desk, api: HostedApi, job_id: str
) -> None:
    whole = api.artifacts[job_id]["forecast.json"]
    api.next("artifact", *[Fault(200, whole[:-9])] * 2)

    with pytest.raises(TransportError) as caught:
        await results.artifact(hosted, job_id, "forecast.json")

    assert caught.value.kind == "unreadable_answer"
    assert await hosted.store.artifact_names(job_id) == []
    await follow(hosted, job_id, 0, silent)
    assert await hosted.store.artifact(job_id, "forecast.json") == whole


def damage(home: Path, name: str) -> None:
    with closing(sqlite3.connect(home / "desk.db")) as file, file:
        assert file.execute("UPDATE pieces SET content = x'00' WHERE name = ?", [name]).rowcount == 1


async def test_a_damaged_copy_is_fetched_again_as_long_as_the_service_has_it(
    hosted: Desk, api: HostedApi, job_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    await follow(hosted, job_id, 0, silent)
    damage(hosted.settings.home, "forecast.json")

    assert (await sybilion_results.report(hosted, job_id)).facts.title == TITLE

    assert await hosted.store.artifact(job_id, "forecast.json") == api.artifacts[job_id]["forecast.json"]
    assert "is damaged" in caplog.text


async def test_a_damaged_copy_that_the_service_has_forgotten_is_said_to_be_one(
    hosted: Desk, api: HostedApi, job_id: str
) -> None:
    await follow(hosted, job_id, 0, silent)
    damage(hosted.settings.home, "forecast.json")
    api.forget(job_id)

    refusal = await refusal_of(results.artifact(hosted, job_id, "forecast.json"))

    assert refusal.code == "storage_failed"
    assert "damaged" in refusal.message
    assert await results.artifact(hosted, job_id, "input.json")


async def test_a_damaged_copy_is_never_written_to_a_file(
    open_desk: OpenDesk, api: HostedApi, job_id: str, tmp_path: Path
) -> None:
    desk = open_desk(allow_dirs=(tmp_path,))
    await follow(desk, job_id, 0, silent)
    damage(desk.settings.home, "forecast.json")

    path = await results.save_artifact(desk, str(tmp_path / "sound.json"), job_id, "forecast.json")
    assert path.read_bytes() == api.artifacts[job_id]["forecast.json"]

    damage(desk.settings.home, "forecast.json")
    api.forget(job_id)
    await refusal_of(results.save_artifact(desk, str(tmp_path / "none.json"), job_id, "forecast.json"))
    assert not [one async for one in anyio.Path(tmp_path).glob("*none*")]


async def test_without_room_the_report_is_made_of_what_was_downloaded(
    open_desk: OpenDesk,
    api: HostedApi,
    hosted: Desk,
    job_id: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    noise = random.Random(1).randbytes(2**19).hex().encode()
    sends(api, job_id, "forecast.json", api.artifacts[job_id]["forecast.json"][:-1] + b', "noise": "%b"}' % noise)
    await hosted.aclose()
    with monkeypatch.context() as full:
        leave_room(full, hosted.settings.home, pages=20)
        desk = open_desk()

        assert (await sybilion_results.report(desk, job_id)).facts.title == TITLE

        assert "forecast.json" not in await desk.store.artifact_names(job_id)
        assert f"'forecast.json' of job {job_id} is not kept: There is no room left" in caplog.text
    later = open_desk()
    await sybilion_results.report(later, job_id)
    assert "forecast.json" in await later.store.artifact_names(job_id)


async def test_a_job_that_was_unfinished_and_is_forgotten_is_a_clear_failure(hosted: Desk, api: HostedApi) -> None:
    made = await submit(hosted, order())
    api.forget(made.job_id)

    with pytest.raises(AnswerError) as caught:
        await sybilion_results.report(hosted, made.job_id)

    failure = explain(caught.value, Subject("read_artifact", {"job_id": made.job_id}))
    assert failure.code == "job_not_found"
    assert "no longer keeps it" in failure.message
    assert not failure.retryable


async def test_an_unknown_job_is_the_answer_of_the_api(hosted: Desk) -> None:
    with pytest.raises(AnswerError) as caught:
        await sybilion_results.report(hosted, "no-such-job")

    assert caught.value.status == 404


async def test_an_unreachable_service_is_told_as_such(open_desk: OpenDesk) -> None:
    with pytest.raises(TransportError):
        await sybilion_results.report(open_desk(api_base_url="http://127.0.0.1:1"), "some-job")


async def test_the_embedded_engine_gives_a_report(embedded: Desk) -> None:
    made = await submit(embedded, order(backtest=False, soft_horizon=3))
    with anyio.fail_after(60):
        await follow(embedded, made.job_id, 45, silent)

    report = await sybilion_results.report(embedded, made.job_id)

    assert (report.facts.backend, report.facts.title) == ("local", TITLE)
    forecast = json.loads(await results.artifact(embedded, made.job_id, "forecast.json"))
    assert len(forecast["data"]["forecast_series"]) == 3
