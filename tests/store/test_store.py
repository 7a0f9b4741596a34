"""The store: what one process writes, another one sees; one question has one current submission."""

import gc
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from sybilion_mcp.contract.jobs import ArtifactRef, Job
from sybilion_mcp.hints import Refusal
from sybilion_mcp.store.records import KeptForecast, OverCap, StoredSeries, Submission, new_id, now
from sybilion_mcp.store.store import Store
from tests.store.keep import put_artifact

pytestmark = pytest.mark.anyio

POINTS = {"2026-03-01": 3.0, "2026-01-01": 0.1 + 0.2, "2026-02-01": -1e300}
Opening = Callable[[], Store]


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Opening]:
    """Opens the same home again and again, as other processes would."""
    stores: list[Store] = []

    def open_store() -> Store:
        stores.append(Store(tmp_path / "home" / "deep"))
        return stores[-1]

    yield open_store
    for store in stores:
        await store.aclose()


def question(**changes: Any) -> Submission:
    asked = Submission(
        submission_id=new_id(),
        request_hash="hash",
        state="sending",
        backend="sybilion",
        account="ours",
        series_id="s_1",
        request={"soft_horizon": 12},
        aux_series_ids=["s_2"],
        driver_names={"aux_0": "Öl"},
        job_id=None,
        replaces=None,
        expected_eur_cents=392,
        created_at=now(),
    )
    return replace(asked, **changes)


def job(job_id: str = "j1", **changes: object) -> Job:
    return Job.model_validate({"job_id": job_id, "status": "running", **changes})


async def test_a_second_store_sees_series_submissions_jobs_and_artifacts(opened: Opening) -> None:
    first, second = opened(), opened()
    asked = question()
    done = job(status="completed", settled=True, eur_cents_final=332, artifacts=[ArtifactRef(name="a.json", size=3)])
    await first.put_series(StoredSeries("s_1", POINTS, title="Öl", keywords=["a", "b"]))
    assert await first.begin_submission(asked)
    await first.accept_submission(asked.submission_id, job(), "sybilion")
    await first.put_job(done, "sybilion")
    await put_artifact(first, "j1", "a.json", b"\x00\xff{}")

    series = await second.series("s_1")
    assert series == StoredSeries("s_1", POINTS, title="Öl", keywords=["a", "b"])
    assert series is not None
    assert list(series.points) == list(POINTS)
    assert await second.current_submission("hash") == replace(asked, state="accepted", job_id="j1")
    assert await second.submission_of("j1") == replace(asked, state="accepted", job_id="j1")
    stored = await second.job("j1")
    assert stored is not None
    assert (stored.job, stored.backend) == (done, "sybilion")
    assert await second.artifact("j1", "a.json") == b"\x00\xff{}"
    assert await second.artifact_names("j1") == ["a.json"]


async def test_everything_stays_after_closing(opened: Opening) -> None:
    store = opened()
    await store.put_job(job(), "sybilion")
    await put_artifact(store, "j1", "a.json", b"1")
    await store.aclose()

    assert await store.artifact("j1", "a.json") == b"1"


async def test_what_is_not_there_is_none(opened: Opening) -> None:
    store = opened()

    assert await store.series("s") is None
    assert await store.job("j") is None
    assert await store.artifact("j", "a") is None
    assert await store.artifact_names("j") == []
    assert await store.current_submission("hash") is None
    assert await store.submission_of("j") is None
    assert await store.submitted_job_ids() == frozenset()
    assert await store.spent_since("") == 0


async def test_many_stores_open_a_fresh_home_at_the_same_instant(opened: Opening) -> None:
    async def use(store: Store, number: int) -> None:
        await store.put_job(job("j"), "sybilion")
        await put_artifact(store, "j", f"{number:02d}", b"x")

    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            for number in range(12):
                group.start_soon(use, opened(), number)

    assert await opened().artifact_names("j") == [f"{number:02d}" for number in range(12)]


PROCESS = """
import sys, anyio, pathlib
from sybilion_mcp.contract.jobs import Job
from sybilion_mcp.store.store import Store
from tests.store.keep import put_artifact

async def main():
    store = Store(pathlib.Path(sys.argv[1]))
    print("ready", flush=True)
    sys.stdin.readline()
    await store.put_job(Job(job_id="j", status="completed"), "sybilion")
    await put_artifact(store, "j", sys.argv[2], b"x")
    await store.aclose()

anyio.run(main)
"""


async def test_many_processes_open_a_fresh_home_at_the_same_instant(opened: Opening, tmp_path: Path) -> None:
    home = str(tmp_path / "home" / "deep")
    names = ["a", "b", "c", "d"]
    async with AsyncExitStack() as stack:
        commands = [[sys.executable, "-W", "error", "-c", PROCESS, home, name] for name in names]
        processes = [await stack.enter_async_context(await anyio.open_process(one, stderr=None)) for one in commands]
        with anyio.fail_after(60):
            for process in processes:
                assert process.stdout is not None
                assert (await process.stdout.receive()).startswith(b"r")
            for process in processes:
                assert process.stdin is not None
                await process.stdin.send(b"go\n")
            assert [await process.wait() for process in processes] == [0, 0, 0, 0]

    assert await opened().artifact_names("j") == names


async def test_a_cancelled_call_leaves_nothing_behind(opened: Opening, caplog: pytest.LogCaptureFixture) -> None:
    for step in range(20):
        store = opened()
        await opened().put_job(job(f"j{step}"), "sybilion")
        with anyio.move_on_after(step / 2000):
            for number in range(5):
                await put_artifact(store, f"j{step}", str(number), b"x")
                await anyio.lowlevel.checkpoint()
        kept = await store.artifact_names(f"j{step}")
        assert kept == [str(number) for number in range(len(kept))]
        await store.aclose()

    gc.collect()
    assert caplog.text == ""


# Series


async def test_details_are_kept_when_a_later_call_says_nothing(opened: Opening) -> None:
    store = opened()
    full = StoredSeries("s_1", POINTS, "A title", "What it is", ("a", "b"), strictly_positive=True)
    await store.put_series(full)
    await store.put_series(StoredSeries("s_1", POINTS))

    assert await store.series("s_1") == replace(full, keywords=["a", "b"])


async def test_what_is_said_anew_replaces_what_was_said(opened: Opening) -> None:
    store = opened()
    await store.put_series(StoredSeries("s_1", POINTS, "A title", "What it is", ["a", "b"], strictly_positive=True))
    await store.put_series(StoredSeries("s_1", POINTS, title='"quoted" \\ Öl', keywords=[], strictly_positive=False))

    assert await store.series("s_1") == StoredSeries("s_1", POINTS, '"quoted" \\ Öl', "What it is", [], False)


async def test_ids_are_completed_from_what_is_typed_newest_first(opened: Opening) -> None:
    store = opened()
    for name in ("s_aa", "s_ab", "s%ab", "s_b"):
        await store.put_series(StoredSeries(name, POINTS))
        await store.put_job(job(name.replace("%", "-")), "local")

    assert sorted(await store.series_ids("s_a", 9)) == ["s_aa", "s_ab"]
    assert await store.series_ids("s%", 9) == ["s%ab"]
    assert len(await store.job_ids("", 3)) == 3


# Submissions


async def test_a_question_stands_once(opened: Opening) -> None:
    first, second = opened(), opened()

    assert await first.begin_submission(question())
    assert not await second.begin_submission(question())
    assert await second.begin_submission(question(request_hash="another"))


async def test_of_many_who_ask_at_once_one_asks(opened: Opening) -> None:
    answers: list[bool] = []

    async def ask(store: Store) -> None:
        answers.append(await store.begin_submission(question()))

    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            for _ in range(8):
                group.start_soon(ask, opened())

    assert sorted(answers) == [False] * 7 + [True]


async def test_of_many_who_replace_at_once_one_replaces(opened: Opening) -> None:
    standing = question()
    assert await opened().begin_submission(standing)
    answers: list[bool] = []

    async def ask(store: Store) -> None:
        answers.append(await store.begin_submission(question(replaces=standing.submission_id)))

    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            for _ in range(8):
                group.start_soon(ask, opened())

    assert sorted(answers) == [False] * 7 + [True]


async def test_a_rejected_replacement_gives_the_place_back(opened: Opening) -> None:
    store = opened()
    standing = question()
    anew = question(replaces=standing.submission_id)
    assert await store.begin_submission(standing)
    await store.accept_submission(standing.submission_id, job(), "sybilion")
    assert await store.begin_submission(anew)

    await store.reject_submission(anew.submission_id)

    current = await store.current_submission("hash")
    assert current is not None
    assert (current.submission_id, current.job_id) == (standing.submission_id, "j1")


async def test_rejected_and_retired_questions_may_be_asked_again(opened: Opening) -> None:
    store = opened()
    for end in (store.reject_submission, store.retire_submission):
        asked = question()
        assert await store.begin_submission(asked)
        await end(asked.submission_id)
        assert await store.current_submission("hash") is None


async def test_a_lost_question_still_stands(opened: Opening) -> None:
    store = opened()
    asked = question()
    assert await store.begin_submission(asked)
    await store.lose_submission(asked.submission_id)

    assert await store.current_submission("hash") == replace(asked, state="unknown")
    assert not await store.begin_submission(question())


async def test_jobs_that_were_only_looked_at_were_not_submitted_here(opened: Opening) -> None:
    store = opened()
    asked = question()
    assert await store.begin_submission(asked)
    await store.accept_submission(asked.submission_id, job("ours"), "sybilion")
    await store.put_job(job("theirs"), "sybilion")

    assert await store.submitted_job_ids() == frozenset({"ours"})


# Lost submissions and the jobs they may have made


async def lost(store: Store, **changes: Any) -> Submission:
    """A question whose answer never came."""
    asked = question(**changes)
    assert await store.begin_submission(asked)
    await store.lose_submission(asked.submission_id)
    return asked


async def test_a_job_answers_one_submission(opened: Opening) -> None:
    store = opened()
    await submitted(store, "j1")
    asked = await lost(store)

    assert not await store.accept_submission(asked.submission_id, job("j1"), "sybilion")


async def test_an_older_look_does_not_replace_what_is_known(opened: Opening) -> None:
    store = opened()
    done = job(status="completed", settled=True, eur_cents_final=332)
    await store.put_job(done, "sybilion")

    for late in (job(status="running"), job(status="completed"), job(status="completed", settled=True)):
        for anew in (True, False):
            assert await store.put_job(late, "sybilion", anew=anew)

    stored = await store.job("j1")
    assert stored is not None
    assert stored.job == done


async def test_what_is_not_seen_anew_is_written_down_only_where_it_is_remembered(opened: Opening) -> None:
    store = opened()

    assert not await store.put_job(job(), "sybilion", anew=False)
    assert await store.job("j1") is None


async def test_what_a_failed_fresh_run_was_to_replace_answers_again(opened: Opening) -> None:
    store = opened()
    first = await submitted(store, "j1")
    fresh = question(request_hash=first.request_hash, replaces=first.submission_id)
    assert await store.begin_submission(fresh)
    assert await store.accept_submission(fresh.submission_id, job("j2"), "sybilion")

    await store.retire_submission(fresh.submission_id)

    assert await store.current_submission(first.request_hash) == replace(first, state="accepted", job_id="j1")


async def test_a_lost_submission_that_has_a_job_is_neither_lost_nor_rejected_again(opened: Opening) -> None:
    store = opened()
    asked = await lost(store)
    assert await store.accept_submission(asked.submission_id, job(), "sybilion")

    await store.lose_submission(asked.submission_id)
    await store.reject_submission(asked.submission_id)

    assert await store.current_submission("hash") == replace(asked, state="accepted", job_id="j1")


async def test_finding_a_job_does_not_forget_what_is_known_about_it(opened: Opening) -> None:
    store = opened()
    done = job(status="completed", settled=True, artifacts=[ArtifactRef(name="a.json")])
    await store.put_job(done, "sybilion")

    assert await store.accept_submission((await lost(store)).submission_id, job(), "sybilion")

    stored = await store.job("j1")
    assert stored is not None
    assert stored.job == done


# Money


async def test_the_cap_holds_among_many_who_write_at_once(opened: Opening) -> None:
    begun: list[str] = []

    async def ask(store: Store, name: str) -> None:
        with suppress(OverCap):
            assert await store.begin_submission(question(request_hash=name), cap_eur_cents=3 * 392)
            begun.append(name)

    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            for number in range(8):
                group.start_soon(ask, opened(), f"question {number}")

    assert len(begun) == 3


async def test_who_is_over_the_cap_hears_what_is_spent_and_replaces_nothing(opened: Opening) -> None:
    store = opened()
    standing = await submitted(store, "j1", cents=100)

    with pytest.raises(OverCap) as caught:
        await store.begin_submission(
            question(request_hash="j1", replaces=standing.submission_id), cap_eur_cents=100 + 391
        )

    assert caught.value.spent == 100
    assert await store.current_submission("j1") == replace(standing, state="accepted", job_id="j1")


async def test_the_cap_is_one_of_the_day(opened: Opening) -> None:
    store = opened()
    await submitted(store, "yesterday", created_at="2026-11-21T23:59:59.999+00:00")

    assert await store.begin_submission(question(created_at="2026-11-22T00:00:00.000+00:00"), cap_eur_cents=392)


async def test_a_cost_below_nothing_is_no_cost(opened: Opening) -> None:
    store = opened()
    await submitted(store, "odd")
    negative = Job.model_construct(**{**job("odd").model_dump(), "eur_cents_final": -100_000})
    await store.put_job(negative, "sybilion")

    assert await store.spent_since("2026-01-01") == 392


async def submitted(store: Store, job_id: str, *, cents: int | None = None, **changes: Any) -> Submission:
    asked = question(request_hash=job_id, **changes)
    assert await store.begin_submission(asked)
    made = job(job_id, settled=cents is not None, eur_cents_final=cents)
    await store.accept_submission(asked.submission_id, made, asked.backend)
    return asked


async def test_spent_is_what_settled_jobs_cost_and_others_may_cost(opened: Opening) -> None:
    store = opened()
    await submitted(store, "settled", cents=219)
    await submitted(store, "free", cents=0)
    await submitted(store, "running")
    lost = question(request_hash="lost")
    assert await store.begin_submission(lost)
    await store.lose_submission(lost.submission_id)
    rejected = question(request_hash="rejected")
    assert await store.begin_submission(rejected)
    await store.reject_submission(rejected.submission_id)

    assert await store.spent_since("2026-01-01") == 219 + 0 + 392 + 392


async def test_what_a_failed_job_cost_counts_when_its_question_is_retired(opened: Opening) -> None:
    store = opened()
    asked = await submitted(store, "failed", cents=63)

    await store.retire_submission(asked.submission_id)

    assert await store.spent_since("2026-01-01") == 63


async def test_only_what_was_submitted_since_counts(opened: Opening) -> None:
    store = opened()
    await submitted(store, "yesterday", cents=100, created_at="2026-11-21T23:59:59.999+00:00")
    await submitted(store, "today", cents=10, created_at="2026-11-22T00:00:00.000+00:00")

    assert await store.spent_since("2026-11-22") == 10


async def test_an_artifact_once_kept_does_not_change(opened: Opening) -> None:
    store = opened()
    await store.put_job(job("j"), "sybilion")
    await put_artifact(store, "j", "a", b"first")
    await put_artifact(store, "j", "a", b"second")

    assert await store.artifact("j", "a") == b"first"


async def test_sizes_are_told_and_large_artifacts_are_left_out(opened: Opening) -> None:
    store = opened()
    for job_id in ("j1", "j2"):
        await store.put_job(job(job_id), "sybilion")
    await put_artifact(store, "j1", "input.json", bytes(10))
    await put_artifact(store, "j1", "forecast.json", b"")
    await put_artifact(store, "j2", "input.json", bytes(11))

    assert await store.artifact_sizes("j1") == {"input.json": 10, "forecast.json": 0}
    assert await store.artifact_sizes("j3") == {}
    assert await store.artifacts_named("input.json", ["j1", "j2", "j3"], 10) == {"j1": bytes(10)}


async def test_kept_forecasts_are_those_of_completed_jobs_newest_first(opened: Opening) -> None:
    store = opened()
    for number, (status, kept) in enumerate([("completed", True), ("failed", True), ("completed", False)]):
        asked = question(request_hash=f"hash {number}", series_id=f"s_{number}")
        assert await store.begin_submission(asked)
        await store.accept_submission(asked.submission_id, job(f"j{number}", status=status), "sybilion")
        await put_artifact(store, f"j{number}", "forecast.json" if kept else "input.json", b"{}")
    await store.put_job(job("elsewhere", status="completed"), "sybilion")
    await put_artifact(store, "elsewhere", "forecast.json", b"{}")

    assert set(await store.kept_forecasts(9)) == {KeptForecast("elsewhere", None), KeptForecast("j0", "s_0")}
    assert len(await store.kept_forecasts(1)) == 1
    assert await store.kept_forecasts(9, "s_0") == [KeptForecast("j0", "s_0")]
    assert await store.jobs_of_series("s_1") == ["j1"]


async def test_the_numbers_of_several_series_are_read_at_once(opened: Opening) -> None:
    store = opened()
    await store.put_series(StoredSeries("s_1", POINTS))

    assert await store.points_of(["s_1", "s_2"]) == {"s_1": POINTS}


@pytest.mark.parametrize("damage", ["a file in its place", "garbage in the database"])
async def test_a_data_folder_that_cannot_be_used_is_told_as_that(tmp_path: Path, damage: str) -> None:
    home = tmp_path / "home"
    if damage == "a file in its place":
        home.write_text("not a folder")
    else:
        home.mkdir()
        (home / "desk.db").write_bytes(b"this is no database" * 100)
    store = Store(home)

    with pytest.raises(Refusal) as refused:
        await store.job_ids("", 1)

    assert refused.value.code == "storage_failed"
    await store.aclose()
