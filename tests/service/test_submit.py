"""Submit: one question, one job, whatever happens on the way."""

import json
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import httpx
import pytest

from sybilion_mcp.backends import sybilion
from sybilion_mcp.backends.base import AnswerError, BackendError
from sybilion_mcp.hints import Refusal, Subject, explain
from sybilion_mcp.next_step import NextStep
from sybilion_mcp.service import ledger, sending
from sybilion_mcp.service.arguments import Options
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.follow import follow
from sybilion_mcp.service.orders import Order
from sybilion_mcp.service.proof import MAX_INPUT_BYTES
from sybilion_mcp.service.submit import Submitted, submit
from sybilion_mcp.service.validate import validate
from sybilion_mcp.store.database import Database
from sybilion_mcp.store.records import Submission, timestamp
from tests.conftest import TODAY, good_series, until
from tests.hosted import Fault, HostedApi, ImpatientDesk, cut, error, garbage, proxy_error, reset, silence
from tests.service.conftest import OpenDesk
from tests.service.locks import locked
from tests.service.orders import TITLE, order, refusal_of
from tests.store.keep import put_artifact
from tests.timing import wall_clock

pytestmark = pytest.mark.anyio

LOSSES: dict[str, Callable[..., Fault]] = {
    "timeout": silence,
    "reset": reset,
    "cut short": cut,
    "garbage": garbage,
    "500": lambda **how: error(500, "oops", **how),
    "502": lambda **how: error(502, "upstream", **how),
    "503": lambda **how: error(503, "unavailable", **how),
    "503 of a proxy": lambda **how: proxy_error(503, **how),
    "504": lambda **how: proxy_error(504, **how),
}


@pytest.fixture
def much_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than two minutes have gone by since every lost submit."""
    monkeypatch.setattr(ledger, "LOST_AFTER", timedelta(0))


async def asked(desk: Desk, asking: Order) -> Submitted:
    with anyio.fail_after(10):
        return await submit(desk, asking)


async def lost(desk: Desk, api: HostedApi, fault: Fault, asking: Order | None = None) -> None:
    """Given a submit whose answer never came."""
    api.next("submit", fault)
    with anyio.fail_after(10), pytest.raises(BackendError):
        await submit(desk, asking or order())


async def silent(_: object, __: float) -> None:
    """Progress that nobody listens to."""


async def finished(desk: Desk, api: HostedApi, job_id: str, status: str = "completed", *, cents: int = 332) -> None:
    """Given a job whose end somebody has seen."""
    api.finish(job_id, status, cents=cents)
    await follow(desk, job_id, 0, silent)


# One question, one job


async def test_a_question_makes_a_job(hosted: Desk, api: HostedApi) -> None:
    made = await asked(hosted, order())

    assert (made.reused, made.backend, made.job_id in api.jobs) == (False, "sybilion", True)
    assert made.expected.eur_cents == (52, 63)
    sent = api.submits[0]
    assert sent["pipeline_version"] == "v1"
    assert sent["timeseries"] == good_series()
    assert sent["timeseries_metadata"] == {"title": TITLE}
    assert (sent["backtest"], sent["recency_factor"], sent["soft_horizon"]) == (True, 0.5, 12)


async def test_the_same_question_is_answered_by_the_same_job(hosted: Desk, api: HostedApi) -> None:
    made = await asked(hosted, order())
    again = await asked(hosted, order())

    assert (again.job_id, again.reused) == (made.job_id, True)
    assert again.expected.eur_cents == (0, 0)
    assert len(api.submits) == 1


async def test_the_same_question_from_another_process_too(open_desk: OpenDesk, api: HostedApi) -> None:
    made = await asked(open_desk(), order())
    again = await asked(open_desk(), order())

    assert (again.job_id, again.reused) == (made.job_id, True)
    assert len(api.submits) == 1


async def test_the_same_question_by_series_id_or_by_numbers(hosted: Desk, api: HostedApi) -> None:
    made = await asked(hosted, order())
    again = await asked(hosted, order(series_id=made.series_id, title=None))

    assert (again.job_id, again.reused) == (made.job_id, True)
    assert len(api.submits) == 1


@pytest.mark.parametrize(
    "aloud",
    [
        {"backtest": True},
        {"recency_factor": 0.5},
        {"strictly_positive": False},
        {"keywords": []},
        {"regions": []},
        {"categories": []},
        {"description": ""},
        {"backend": "sybilion"},
    ],
    ids=str,
)
async def test_a_default_said_aloud_asks_the_same_question(
    hosted: Desk, api: HostedApi, aloud: dict[str, object]
) -> None:
    made = await asked(hosted, order())
    again = await asked(hosted, order(**aloud))

    assert (again.job_id, again.reused) == (made.job_id, True)
    assert len(api.submits) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"soft_horizon": 6},
        {"title": f"{TITLE} (new)"},
        {"backtest": False},
        {"recency_factor": 0.0},
        {"strictly_positive": True},
        {"driver_limit": 5},
        {"series": good_series(121)},
        {"regions": [7]},
    ],
    ids=lambda other: next(iter(other)),
)
async def test_another_question_makes_another_job(hosted: Desk, api: HostedApi, other: dict[str, object]) -> None:
    made = await asked(hosted, order())
    second = await asked(hosted, order(**other))

    assert (second.reused, second.job_id != made.job_id) == (False, True)
    assert len(api.submits) == 2


async def test_another_account_or_address_is_another_question(open_desk: OpenDesk, api: HostedApi) -> None:
    made = await asked(open_desk(), order())
    api.token = "sk_ops_somebody_else"
    elsewhere = api.url.replace("127.0.0.1", "localhost")
    jobs = [made, await asked(open_desk(), order()), await asked(open_desk(api_base_url=elsewhere), order())]

    assert [one.reused for one in jobs] == [False] * 3
    assert len({one.job_id for one in jobs}) == len(api.submits) == 3


@pytest.mark.parametrize("written", ["{}/", "{}//", "HTTP://LOCALHOST:{port}"])
async def test_one_address_can_be_written_in_several_ways(open_desk: OpenDesk, api: HostedApi, written: str) -> None:
    address = api.url.replace("127.0.0.1", "localhost")
    made = await asked(open_desk(api_base_url=address), order())

    again = await asked(open_desk(api_base_url=written.format(address, port=address.split(":")[-1])), order())

    assert (again.reused, again.job_id) == (True, made.job_id)


async def test_embedded_and_hosted_are_asked_separately(hosted: Desk, api: HostedApi) -> None:
    here = await asked(hosted, order(backend="local"))
    there = await asked(hosted, order())

    assert (here.backend, there.backend, there.reused) == ("local", "sybilion", False)
    assert here.expected.eur_cents == (0, 0)


async def test_the_embedded_engine_answers_a_question_once_too(open_desk: OpenDesk) -> None:
    made = await asked(open_desk(backend="local"), order())
    again = await asked(open_desk(backend="local"), order())

    assert (again.job_id, again.reused) == (made.job_id, True)


@pytest.mark.parametrize("backend", ["sybilion", "local"])
@pytest.mark.parametrize("together", [True, False])
async def test_several_who_ask_at_once_get_one_job(
    open_desk: OpenDesk, monkeypatch: pytest.MonkeyPatch, backend: str, together: bool
) -> None:
    """In one process, or each in its own."""
    monkeypatch.setattr(sending, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(sending, "WAITED_SECONDS", 9)
    outcomes: list[Submitted] = []
    one = open_desk(backend=backend)

    async def ask(desk: Desk) -> None:
        outcomes.append(await submit(desk, order()))

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(ask, one if together else open_desk(backend=backend))

    assert len({made.job_id for made in outcomes}) == 1
    assert sorted(made.reused for made in outcomes) == [False, True, True, True, True]


@pytest.mark.parametrize("together", [True, False])
async def test_who_asks_while_another_call_is_sending_hears_that_nothing_is_lost(
    patient: Desk, open_desk: OpenDesk, api: HostedApi, monkeypatch: pytest.MonkeyPatch, together: bool
) -> None:
    monkeypatch.setattr(sending, "WAITED_SECONDS", 0)
    heard: list[Refusal] = []

    async def ask() -> None:
        heard.append(await unknown(patient if together else open_desk(), order()))

    made = await in_flight(patient, api, ask)

    assert heard[0].retry_after_s == 5
    assert "is being sent by another call" in heard[0].message
    assert "lost" not in heard[0].message
    assert (await asked(open_desk(), order())).job_id == made.job_id
    assert not [one for one in api.requests if "/jobs" in one]


async def test_who_waits_asks_itself_when_the_other_call_was_declined(
    patient: Desk, open_desk: OpenDesk, api: HostedApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(sending, "WAITED_SECONDS", 9)
    api.next("submit", error(402, "no credit"))
    second: list[Submitted] = []

    async def ask() -> None:
        second.append(await submit(open_desk(), order()))

    async def first() -> None:
        with pytest.raises(AnswerError):
            await submit(patient, order())

    with anyio.fail_after(20):
        async with held_back(api) as go, anyio.create_task_group() as group:
            group.start_soon(first)
            await until(lambda: "held back" in api.requests)
            group.start_soon(ask)
            go.set()

    assert [made.reused for made in second] == [False]
    assert list(api.jobs) == [second[0].job_id]


async def test_the_same_numbers_described_otherwise_at_once_are_two_questions(
    patient: Desk, open_desk: OpenDesk, api: HostedApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As they are one after the other."""
    monkeypatch.setattr(sending, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(sending, "WAITED_SECONDS", 9)
    made: list[Submitted] = []

    async def ask(desk: Desk, title: str) -> None:
        made.append(await submit(desk, order(title=title)))

    with anyio.fail_after(20):
        async with held_back(api) as go, anyio.create_task_group() as group:
            group.start_soon(ask, patient, TITLE)
            await until(lambda: "held back" in api.requests)
            group.start_soon(ask, open_desk(), f"{TITLE}, again")
            go.set()

    assert [one.reused for one in made] == [False, False]
    assert len(api.jobs) == 2


# Jobs that the service forgot


@pytest.mark.parametrize("backend", ["sybilion", "local"])
async def test_a_job_that_the_service_forgot_is_no_answer_for_good(
    open_desk: OpenDesk, api: HostedApi, backend: str
) -> None:
    desk = open_desk(backend=backend)
    made = await asked(desk, order())
    here = desk.backend()
    if backend == "local":

        async def gone(job_id: str) -> Any:
            raise AnswerError("job", 404, None, None)

        here.job = gone  # type: ignore[method-assign]  # the engine has lost its table
    else:
        api.forget(made.job_id)
    with pytest.raises(BackendError):
        await follow(desk, made.job_id, 0, silent)

    if backend == "local":
        again = await asked(desk, order())
        assert (again.reused, again.job_id != made.job_id) == (False, True)
        return
    refusal = await refusal_of(submit(desk, order()))
    assert refusal.code == "job_not_found"
    assert f"no longer knows its job {made.job_id}" in refusal.message
    assert "dashboard" in refusal.hint
    assert "resubmit=true" in refusal.hint
    assert len(api.submits) == 1
    again = await asked(desk, order(resubmit=True))
    assert (again.reused, (await asked(desk, order())).job_id) == (False, again.job_id)


async def test_a_job_that_was_unknown_only_for_a_while_answers_again(hosted: Desk, api: HostedApi) -> None:
    made = await asked(hosted, order())
    api.next("job", error(404, "job not found"))
    with pytest.raises(BackendError):
        await follow(hosted, made.job_id, 0, silent)

    assert (await asked(hosted, order())).job_id == made.job_id
    known = await hosted.store.job(made.job_id)
    assert known is not None
    assert known.gone_at is None
    assert len(api.submits) == 1


# Asking anew


async def test_resubmit_makes_a_new_job_which_then_answers(hosted: Desk, api: HostedApi) -> None:
    first = await asked(hosted, order())
    await finished(hosted, api, first.job_id)
    second = await asked(hosted, order(resubmit=True))
    third = await asked(hosted, order())

    assert (second.reused, second.job_id != first.job_id) == (False, True)
    assert (third.reused, third.job_id) == (True, second.job_id)
    assert len(api.submits) == 2


async def test_a_refused_resubmit_leaves_the_old_answer_standing(hosted: Desk, api: HostedApi) -> None:
    first = await asked(hosted, order())
    await finished(hosted, api, first.job_id)
    api.next("submit", error(429, "too many concurrent jobs"))
    with pytest.raises(AnswerError):
        await submit(hosted, order(resubmit=True))

    again = await asked(hosted, order())

    assert (again.job_id, again.reused) == (first.job_id, True)
    assert len(api.jobs) == 1


async def test_an_unfinished_job_answers_even_a_resubmit(hosted: Desk, api: HostedApi) -> None:
    first = await asked(hosted, order())

    again = await asked(hosted, order(resubmit=True))

    assert (again.reused, again.job_id, len(api.submits)) == (True, first.job_id, 1)


async def test_a_job_that_the_service_has_forgotten_can_be_made_again(hosted: Desk, api: HostedApi) -> None:
    await asked(hosted, order())
    api.next("job", error(404, "job not found"))

    again = await asked(hosted, order(resubmit=True))

    assert (again.reused, len(api.submits)) == (False, 2)


async def test_several_who_resubmit_at_once_make_one_new_job(open_desk: OpenDesk, api: HostedApi) -> None:
    first = await asked(open_desk(), order())
    await finished(open_desk(), api, first.job_id)
    outcomes: list[str] = []

    async def ask(desk: Desk) -> None:
        try:
            outcomes.append((await submit(desk, order(resubmit=True))).job_id)
        except Refusal as refusal:
            outcomes.append(refusal.code)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(ask, open_desk())

    assert len(api.submits) == 2
    assert set(outcomes) <= {*api.jobs, "submission_unknown"} - {first.job_id}
    assert (await asked(open_desk(), order(resubmit=True))).reused


@pytest.mark.usefixtures("much_later")
async def test_a_lost_resubmit_that_made_no_job_leaves_the_old_answer_standing(hosted: Desk, api: HostedApi) -> None:
    first = await asked(hosted, order())
    await finished(hosted, api, first.job_id)
    await lost(hosted, api, reset(), order(resubmit=True))

    again = await asked(hosted, order())

    assert (again.reused, again.job_id, len(api.submits)) == (True, first.job_id, 2)
    assert not (await asked(hosted, order(resubmit=True))).reused


async def test_a_resubmit_that_came_to_nothing_leaves_the_old_answer_standing(hosted: Desk, api: HostedApi) -> None:
    first = await asked(hosted, order())
    await finished(hosted, api, first.job_id)
    second = await asked(hosted, order(resubmit=True))
    await finished(hosted, api, second.job_id, "failed")

    again = await asked(hosted, order())

    assert (again.reused, again.job_id, len(api.submits)) == (True, first.job_id, 2)


@pytest.mark.parametrize("status", ["failed", "canceled"])
async def test_a_job_that_came_to_nothing_does_not_stand_in_the_way(hosted: Desk, api: HostedApi, status: str) -> None:
    first = await asked(hosted, order())
    api.finish(first.job_id, status, cents=63)
    await follow(hosted, first.job_id, 0, silent)

    second = await asked(hosted, order())

    assert (second.reused, second.job_id != first.job_id) == (False, True)
    assert await hosted.store.spent_since("2026-01-01") == 63 + 63


@pytest.mark.parametrize("status", [400, 401, 402, 413, 422, 429])
async def test_a_submit_that_was_declined_may_be_made_again(hosted: Desk, api: HostedApi, status: int) -> None:
    api.next("submit", error(status, "no"))
    with pytest.raises(AnswerError):
        await submit(hosted, order())
    assert await hosted.store.spent_since("2026-01-01") == 0

    made = await asked(hosted, order())

    assert not made.reused
    assert len(api.jobs) == 1


async def test_a_submit_that_never_left_may_be_made_again(open_desk: OpenDesk, api: HostedApi) -> None:
    with pytest.raises(BackendError):
        await submit(open_desk(api_base_url="http://127.0.0.1:1"), order())
    with pytest.raises(BackendError):
        await submit(open_desk(api_base_url="http://127.0.0.1:1"), order())

    assert await open_desk().store.spent_since("2026-01-01") == 0
    assert api.submits == []


# Lost answers


@pytest.mark.parametrize("loss", LOSSES)
async def test_a_lost_answer_is_found_in_the_job_list(open_desk: OpenDesk, api: HostedApi, loss: str) -> None:
    await lost(open_desk(), api, LOSSES[loss](handled=True))
    api.finish(*api.jobs)

    found = await asked(open_desk(), order())

    assert (found.reused, list(api.jobs)) == (True, [found.job_id])
    assert len(api.submits) == 1
    assert (await asked(open_desk(), order())).job_id == found.job_id


@pytest.mark.parametrize("loss", LOSSES)
async def test_while_no_job_shows_nothing_is_sent(hosted: Desk, api: HostedApi, loss: str) -> None:
    await lost(hosted, api, LOSSES[loss]())

    for resubmit in (False, True):
        refusal = await refusal_of(submit(hosted, order(resubmit=resubmit)))
        assert (refusal.code, refusal.retry_after_s) == ("submission_unknown", 30)

    assert len(api.submits) == 1


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.usefixtures("much_later")
async def test_after_two_minutes_without_a_job_it_is_sent_again(hosted: Desk, api: HostedApi, loss: str) -> None:
    await lost(hosted, api, LOSSES[loss]())

    made = await asked(hosted, order())

    assert (made.reused, list(api.jobs)) == (False, [made.job_id])
    assert len(api.submits) == 2


@pytest.mark.usefixtures("much_later")
async def test_even_much_later_a_job_that_shows_is_taken(hosted: Desk, api: HostedApi) -> None:
    await lost(hosted, api, reset(handled=True))
    api.finish(*api.jobs)

    found = await asked(hosted, order())

    assert (found.reused, len(api.submits)) == (True, 1)


async def test_a_submit_cancelled_on_its_way_is_found_later(hosted: Desk, api: HostedApi) -> None:
    api.next("submit", silence(handled=True))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(submit, hosted, order())
        await until(lambda: bool(api.jobs))  # the service has taken it
        tasks.cancel_scope.cancel()
    api.finish(*api.jobs)

    found = await asked(hosted, order())

    assert (found.reused, len(api.submits)) == (True, 1)


@pytest.mark.usefixtures("much_later")
async def test_a_resubmit_whose_answer_was_lost_makes_no_third_job(hosted: Desk, api: HostedApi) -> None:
    first = await asked(hosted, order())
    await finished(hosted, api, first.job_id)
    await lost(hosted, api, reset(handled=True), order(resubmit=True))
    api.finish(list(api.jobs)[1])

    found = await asked(hosted, order(resubmit=True))

    assert (found.reused, found.job_id != first.job_id) == (True, True)
    assert len(api.jobs) == len(api.submits) == 2


@pytest.mark.usefixtures("much_later")
async def test_a_lost_job_that_somebody_looked_at_is_still_found(hosted: Desk, api: HostedApi) -> None:
    await lost(hosted, api, reset(handled=True))
    (job_id,) = api.jobs
    api.finish(job_id)
    await follow(hosted, job_id, 0, silent)

    found = await asked(hosted, order())

    assert (found.reused, found.job_id, len(api.submits)) == (True, job_id, 1)


async def test_jobs_of_other_questions_and_of_before_are_not_taken(hosted: Desk, api: HostedApi) -> None:
    api.make_job(created=datetime.now(UTC) - timedelta(minutes=5))
    await asked(hosted, order(title=f"{TITLE}, another one"))
    await lost(hosted, api, reset())

    refusal = await refusal_of(submit(hosted, order()))

    assert refusal.code == "submission_unknown"
    assert len(api.submits) == 2


@pytest.mark.usefixtures("much_later")
async def test_which_of_several_new_jobs_it_was_is_not_guessed(hosted: Desk, api: HostedApi) -> None:
    await lost(hosted, api, reset(handled=True))
    api.make_job()

    refusal = await refusal_of(submit(hosted, order()))

    assert refusal.code == "submission_unknown"
    assert len(api.submits) == 1


# Which job a lost submit made


def made_at(api: HostedApi, job_id: str, minutes: float | None) -> None:
    """Given a job that the service's clock dates so many minutes from now, or not at all."""
    at = None if minutes is None else (datetime.now(UTC) + timedelta(minutes=minutes)).isoformat()
    api.jobs[job_id]["created_at"] = at


async def unknown(desk: Desk, asking: Order) -> Refusal:
    refusal = await refusal_of(submit(desk, asking))
    assert refusal.code == "submission_unknown"
    return refusal


@pytest.mark.usefixtures("much_later")
async def test_of_two_lost_questions_none_takes_the_job_of_the_other(hosted: Desk, api: HostedApi) -> None:
    other = order(soft_horizon=6)
    await lost(hosted, api, reset(handled=True), other)
    await lost(hosted, api, reset())

    for _ in range(2):
        await unknown(hosted, order())
        await unknown(hosted, other)

    assert len(api.submits) == 2


@pytest.mark.usefixtures("much_later")
async def test_the_job_of_a_question_on_its_way_is_not_taken(open_desk: OpenDesk, api: HostedApi) -> None:
    other = order(soft_horizon=6)
    await lost(open_desk(), api, reset())
    api.next("submit", silence(handled=True))
    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(lost, open_desk(), api, silence(handled=True), other)
            await until(lambda: len(api.submits) == 2)
            await unknown(open_desk(), order())

    assert len(api.submits) == 2


@pytest.mark.parametrize("minutes", [-59, -10, 10, 59, None])
@pytest.mark.usefixtures("much_later")
async def test_an_unfinished_job_is_neither_taken_nor_paid_again(
    hosted: Desk, api: HostedApi, minutes: float | None
) -> None:
    await lost(hosted, api, reset(handled=True))
    (job_id,) = api.jobs
    made_at(api, job_id, minutes)

    for resubmit in (False, True):
        refusal = await unknown(hosted, order(resubmit=resubmit))
        assert job_id in refusal.message
        assert "Do not set resubmit" in refusal.hint
        assert refusal.retry_after_s == 120
    assert len(api.submits) == 1


@pytest.mark.parametrize("minutes", [-59, -10, 10, 59, None])
@pytest.mark.usefixtures("much_later")
async def test_the_job_is_known_by_its_content_whatever_the_clocks_say(
    hosted: Desk, api: HostedApi, minutes: float | None
) -> None:
    await lost(hosted, api, reset(handled=True))
    (job_id,) = api.jobs
    made_at(api, job_id, minutes)
    api.finish(job_id)

    assert (await asked(hosted, order())).job_id == job_id


@pytest.mark.usefixtures("much_later")
async def test_two_lost_questions_find_their_own_jobs(hosted: Desk, api: HostedApi) -> None:
    other = order(soft_horizon=6)
    await lost(hosted, api, reset(handled=True), other)
    await lost(hosted, api, reset(handled=True))
    theirs, ours = api.jobs
    api.finish(theirs)
    api.finish(ours)

    found = [(await asked(hosted, asking)).job_id for asking in (order(), other)]

    assert (found, len(api.submits)) == ([ours, theirs], 2)


OTHERS: dict[str, dict[str, object]] = {
    "another horizon": {"soft_horizon": 6},
    "a horizon to step down to": {"hard_horizon": 3},
    "another title": {"timeseries_metadata": {"title": f"{TITLE}, another one"}},
    "keywords": {"timeseries_metadata": {"title": TITLE, "keywords": ["demand"]}},
    "regions": {"filters": {"limit": 0, "regions": [42]}},
    "a driver": {"aux_timeseries": [good_series()]},
}


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.usefixtures("much_later")
async def test_a_job_of_the_same_numbers_that_asks_for_something_else_is_not_taken(
    hosted: Desk, api: HostedApi, other: str
) -> None:
    await lost(hosted, api, reset())
    theirs = api.make_job({**api.submits[0], **OTHERS[other]})
    api.finish(theirs)

    outcome = "made anew"
    try:
        assert (await submit(hosted, order())).job_id != theirs
    except Refusal as refusal:
        outcome = refusal.code

    assert outcome == ("made anew" if other == "another horizon" else "submission_unknown")


@pytest.mark.usefixtures("much_later")
async def test_what_the_service_fills_in_makes_no_other_question(hosted: Desk, api: HostedApi) -> None:
    await lost(hosted, api, reset(handled=True), order(driver_limit=None))
    (job_id,) = api.jobs
    filled = {"hard_horizon": None, "strictly_positive": False, "filters": {"limit": 1000}, "run_baseline": False}
    api.artifacts[job_id]["input.json"] = json.dumps({**api.submits[0], **filled}).encode()
    api.finish(job_id)

    assert (await asked(hosted, order(driver_limit=None))).job_id == job_id


@pytest.mark.parametrize("status", ["failed", "canceled"])
@pytest.mark.usefixtures("much_later")
async def test_a_lost_job_that_came_to_nothing_does_not_stand_in_the_way(
    hosted: Desk, api: HostedApi, status: str
) -> None:
    await lost(hosted, api, reset(handled=True))
    api.finish(*api.jobs, status)

    made = await asked(hosted, order())

    assert (made.reused, len(api.submits)) == (False, 2)


@pytest.mark.parametrize("fault", [silence(), reset(), error(503, "down"), error(429, "rate limit"), error(401, "no")])
@pytest.mark.usefixtures("much_later")
async def test_while_the_content_cannot_be_had_nothing_is_decided(hosted: Desk, api: HostedApi, fault: Fault) -> None:
    await lost(hosted, api, reset(handled=True))
    api.finish(*api.jobs)
    api.always("artifact", fault)

    with anyio.fail_after(10), pytest.raises(BackendError):
        await submit(hosted, order())
    api.well_again()

    assert (await asked(hosted, order())).reused
    assert len(api.submits) == 1


async def test_a_submit_whose_process_died_on_the_way_is_found(open_desk: OpenDesk, api: HostedApi) -> None:
    made = await asked(open_desk(), order())
    api.finish(made.job_id)
    store = open_desk().store
    known = await store.submission_of(made.job_id)
    assert known is not None
    await store.retire_submission(known.submission_id)
    api.artifacts["another"] = api.artifacts[made.job_id]
    api.jobs["another"] = {**api.jobs[made.job_id], "job_id": "another"}
    before = timestamp(datetime.now(UTC) - 2 * sending.SENT_WITHIN)
    died = replace(known, submission_id="s", state="sending", job_id=None, created_at=before)
    assert await store.begin_submission(died)

    found = await asked(open_desk(), order())

    assert (found.reused, found.job_id, len(api.submits)) == (True, "another", 1)


async def made_later(desk: Desk, clock: list[datetime]) -> None:
    """Two looks, minutes apart, find no job of the question; then it is sent."""
    await unknown(desk, order())
    clock[0] += timedelta(minutes=2)
    assert not (await asked(desk, order())).reused


async def test_what_was_written_down_before_a_long_sleep_is_not_sent(open_desk: OpenDesk, api: HostedApi) -> None:
    clock = [datetime.now(UTC)]
    slept, other = open_desk(), open_desk()
    slept.now = other.now = lambda: clock[0]
    begin = slept.store.begin_submission

    async def begin_and_sleep(new: Submission, *, cap_eur_cents: int | None = None) -> bool:
        begun = await begin(new, cap_eur_cents=cap_eur_cents)
        clock[0] += timedelta(hours=1)
        await made_later(other, clock)
        return begun

    slept.store.begin_submission = begin_and_sleep  # type: ignore[method-assign]  # the process stops just there
    assert (await refusal_of(submit(slept, order()))).code == "submission_unknown"

    assert (await asked(slept, order())).reused
    assert len(api.submits) == 1


async def test_a_computer_that_sleeps_while_it_connects_sends_nothing(
    open_desk: OpenDesk, api: HostedApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a process that stops when its connection is there, and another one that meanwhile makes the job."""
    clock = [datetime.now(UTC)]
    slept, other = open_desk(), open_desk()
    slept.now = other.now = lambda: clock[0]
    await asked(slept, order(title=f"{TITLE}, another one"))
    connect = anyio.connect_tcp
    asleep = [False]

    async def connect_and_sleep(*args: Any, **kwargs: Any) -> Any:
        connection = await connect(*args, **kwargs)
        if not asleep[0]:
            asleep[0] = True
            clock[0] += timedelta(hours=1)
            await made_later(other, clock)
        return connection

    monkeypatch.setattr(anyio, "connect_tcp", connect_and_sleep)
    assert (await refusal_of(submit(slept, order()))).code == "submission_unknown"

    assert (await asked(slept, order())).reused
    assert len(api.submits) == 2


async def test_a_question_held_back_too_long_is_not_lost(hosted: Desk, api: HostedApi) -> None:
    clock = [datetime.now(UTC)]
    hosted.now = lambda: clock[0]
    await asked(hosted, order(title=f"{TITLE}, another one"))
    spent = await hosted.store.spent_since("2026-01-01")
    begin = hosted.store.begin_submission

    async def begin_and_sleep(new: Submission, *, cap_eur_cents: int | None = None) -> bool:
        begun = await begin(new, cap_eur_cents=cap_eur_cents)
        clock[0] += timedelta(seconds=31)
        return begun

    hosted.store.begin_submission = begin_and_sleep  # type: ignore[method-assign]  # the process stops just there
    await unknown(hosted, order())
    hosted.store.begin_submission = begin  # type: ignore[method-assign]  # as it was

    assert await hosted.store.spent_since("2026-01-01") == spent
    assert not (await asked(hosted, order())).reused
    assert len(api.submits) == 2


@pytest.mark.parametrize("days", [-40, -3, 3, 40])
@pytest.mark.usefixtures("much_later")
async def test_a_clock_that_is_days_off_finds_its_job_all_the_same(hosted: Desk, api: HostedApi, days: int) -> None:
    """Given a computer whose clock is wrong, and a service that says what time it is."""
    api.clock = timedelta(days=days)
    await lost(hosted, api, reset(handled=True))
    (job_id,) = api.jobs
    made_at(api, job_id, days * 24 * 60 + 1)
    api.finish(job_id)
    for _ in range(200):  # a page of older jobs, and of younger ones
        made_at(api, api.make_job(), days * 24 * 60 - 50 * 60)
        made_at(api, api.make_job(), days * 24 * 60 + 50 * 60)

    assert (await asked(hosted, order())).job_id == job_id
    assert len(api.submits) == 1


@pytest.mark.parametrize("minutes", [-27 * 60, 27 * 60, 3 * 24 * 60])
@pytest.mark.usefixtures("much_later")
async def test_jobs_of_another_day_are_not_meant(hosted: Desk, api: HostedApi, minutes: float) -> None:
    await lost(hosted, api, reset())
    made_at(api, api.make_job(), minutes)

    made = await asked(hosted, order())

    assert (made.reused, len(api.submits)) == (False, 2)


@pytest.mark.usefixtures("much_later")
async def test_a_completed_job_is_taken_for_its_numbers(hosted: Desk, api: HostedApi) -> None:
    await lost(hosted, api, reset(handled=True))
    (job_id,) = api.jobs
    api.finish(job_id)
    api.finish(api.make_job({"timeseries": good_series(121)}))
    api.make_job()

    found = await asked(hosted, order())

    assert (found.reused, found.job_id, len(api.submits)) == (True, job_id, 1)


@pytest.mark.usefixtures("much_later")
async def test_completed_jobs_of_other_numbers_are_not_meant(hosted: Desk, api: HostedApi) -> None:
    await lost(hosted, api, reset())
    others = {month: value + 1 for month, value in good_series().items()}
    api.finish(api.make_job({"timeseries": others}))

    made = await asked(hosted, order())

    assert (made.reused, len(api.submits)) == (False, 2)


@pytest.mark.usefixtures("much_later")
async def test_of_a_crowd_of_jobs_the_nearest_are_read(hosted: Desk, api: HostedApi) -> None:
    for _ in range(25):
        crowded = api.make_job({"timeseries": good_series(121)})
        made_at(api, crowded, -30)
        api.finish(crowded)
    await lost(hosted, api, reset())

    await unknown(hosted, order())
    assert len([one for one in api.requests if "/artifacts/" in one]) == 20
    api.finish(ours := api.make_job(api.submits[0]))

    assert (await asked(hosted, order())).job_id == ours


@pytest.mark.parametrize(
    "content", [None, b"<html>", b"[" * 5000, b'{"timeseries": 7}', b"cut to fewer months", b"long"]
)
@pytest.mark.usefixtures("much_later")
async def test_a_completed_job_that_does_not_say_its_numbers_is_neither_taken_nor_paid_again(
    hosted: Desk, api: HostedApi, content: bytes | None
) -> None:
    await lost(hosted, api, reset(handled=True))
    (job_id,) = api.jobs
    api.finish(job_id)
    if content is None:
        api.always("artifact", error(404, "gone"))
    elif content.startswith(b"long"):
        content = json.dumps(api.submits[0]).encode() + b" " * MAX_INPUT_BYTES
    elif content.startswith(b"cut"):
        shorter = dict(list(good_series().items())[12:])
        content = json.dumps({"timeseries": shorter}).encode()
    api.artifacts[job_id]["input.json"] = content or b""

    assert job_id in (await unknown(hosted, order())).message
    assert len(api.submits) == 1


@pytest.mark.usefixtures("much_later")
async def test_a_job_far_down_the_list_is_found(hosted: Desk, api: HostedApi) -> None:
    await lost(hosted, api, reset(handled=True))
    (job_id,) = api.jobs
    api.finish(job_id)
    for _ in range(450):
        made_at(api, api.make_job(), 120)

    assert (await asked(hosted, order())).job_id == job_id


@pytest.mark.usefixtures("much_later")
async def test_a_list_too_long_to_read_decides_nothing(
    hosted: Desk, api: HostedApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sybilion, "JOB_PAGES", 2)
    await lost(hosted, api, reset())
    for _ in range(450):
        made_at(api, api.make_job(), 120)

    refusal = await unknown(hosted, order())

    assert "resubmit=true" in refusal.hint
    assert len(api.submits) == 1


@pytest.mark.parametrize("entry", [{"status": "running"}, {"job_id": "no id/", "status": "running"}, None])
@pytest.mark.usefixtures("much_later")
async def test_a_list_with_an_unreadable_job_decides_nothing(
    hosted: Desk, api: HostedApi, entry: dict[str, object] | None
) -> None:
    await lost(hosted, api, reset())
    api.next("jobs", Fault(200, json.dumps({"jobs": [entry]}).encode()), Fault(200, b'{"jobs": null}'))

    for _ in range(2):
        with anyio.fail_after(10), pytest.raises(BackendError):
            await submit(hosted, order())

    assert len(api.submits) == 1


@pytest.mark.usefixtures("much_later")
async def test_resubmit_after_an_answer_that_cannot_be_found_asks_anew(open_desk: OpenDesk, api: HostedApi) -> None:
    await lost(open_desk(), api, reset())
    candidates = [api.make_job(), api.make_job()]
    for job_id in candidates:
        api.artifacts[job_id]["input.json"] = b"lost"
        api.finish(job_id)

    refusal = await unknown(open_desk(), order())
    assert all(job_id in refusal.message for job_id in candidates)
    assert "resubmit=true" in refusal.hint
    assert (await refusal_of(submit(open_desk(spend="ask"), order(resubmit=True)))).code == "spend_refused"
    made = await asked(open_desk(), order(resubmit=True))

    assert (made.reused, len(api.submits)) == (False, 2)
    assert (await asked(open_desk(), order())).job_id == made.job_id


async def test_a_resubmit_does_not_overtake_one_that_is_just_being_sent(
    open_desk: OpenDesk, api: HostedApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(lost, open_desk(), api, silence(handled=True))
            await until(lambda: len(api.submits) == 1)
            monkeypatch.setattr(sending, "WAITED_SECONDS", 0)
            await unknown(open_desk(), order(resubmit=True))

    assert len(api.submits) == 1


async def test_one_job_id_for_two_questions_is_not_believed(hosted: Desk, api: HostedApi) -> None:
    made = await asked(hosted, order())
    api.next("submit", Fault(202, json.dumps({"job_id": made.job_id}).encode()))

    await unknown(hosted, order(title=f"{TITLE}, another one"))

    assert (await asked(hosted, order())).job_id == made.job_id


@pytest.mark.parametrize("fault", [silence(), reset(), garbage(), error(503, "down"), error(401, "no")])
@pytest.mark.usefixtures("much_later")
async def test_without_the_job_list_nothing_is_decided(hosted: Desk, api: HostedApi, fault: Fault) -> None:
    await lost(hosted, api, reset(handled=True))
    api.finish(*api.jobs)
    api.next("jobs", fault, fault)

    with anyio.fail_after(10), pytest.raises(BackendError):
        await submit(hosted, order())
    assert len(api.submits) == 1
    api.well_again()

    assert (await asked(hosted, order())).reused


async def test_a_lost_submit_counts_as_spent_until_it_is_known(hosted: Desk, api: HostedApi) -> None:
    await lost(hosted, api, reset())

    assert await hosted.store.spent_since("2026-01-01") == 63


# Nothing is sent that breaks a rule


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"soft_horizon": 13}, "validation_failed"),
        ({"soft_horizon": None}, "validation_failed"),
        ({"title": "Short"}, "validation_failed"),
        ({"series": good_series(100)}, "validation_failed"),
        ({"series": {"2026-10-01": "many"}}, "validation_failed"),
        ({"series": {}}, "validation_failed"),
        ({"recency_factor": 1.5}, "validation_failed"),
        ({"regions": [0]}, "validation_failed"),
        ({"series_id": "s_000000000000"}, "series_not_found"),
        ({"aux_series_ids": ["s_000000000000"]}, "series_not_found"),
    ],
)
async def test_what_breaks_a_rule_is_refused_before_anything_is_sent(
    hosted: Desk, api: HostedApi, wrong: dict[str, object], code: str
) -> None:
    refusal = await refusal_of(submit(hosted, order(**wrong)))

    assert refusal.code == code
    assert api.requests == []
    assert await hosted.store.spent_since("2026-01-01") == 0


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"series_id": "s_000000000000"}, '"s_000000000000" (series_id)'),
        ({"aux_series_ids": ["s_000000000000"]}, '"s_000000000000" (aux_series_ids[0])'),
    ],
)
async def test_a_series_that_is_not_known_is_named_with_its_argument(
    hosted: Desk, wrong: dict[str, object], told: str
) -> None:
    assert told in (await refusal_of(submit(hosted, order(**wrong)))).message


async def test_an_order_without_numbers_says_what_to_do(hosted: Desk) -> None:
    refusal = await refusal_of(submit(hosted, Order(Options(title=TITLE, soft_horizon=12))))

    assert refusal.code == "invalid_argument"
    assert refusal.next is not None
    assert refusal.next.tool == "validate_series"


async def test_numbers_and_a_series_id_at_once_are_refused(hosted: Desk, api: HostedApi) -> None:
    made = await asked(hosted, order())

    refusal = await refusal_of(submit(hosted, order(series_id=made.series_id, series=good_series(121))))

    assert refusal.code == "invalid_argument"
    assert len(api.submits) == 1


async def test_all_problems_come_at_once_and_their_fixes_hold(hosted: Desk, api: HostedApi) -> None:
    refusal = await refusal_of(submit(hosted, order(soft_horizon=14, hard_horizon=13, recency_factor=2.0)))

    assert len(refusal.problems) >= 3
    assert not (await asked(hosted, order(**refusal.changes))).reused
    assert len(api.submits) == 1


async def test_what_was_said_when_validating_goes_along(hosted: Desk, api: HostedApi) -> None:
    options = Options(title=TITLE, description="Units sold", keywords=["demand"], strictly_positive=True)
    checked = await validate(hosted, good_series(), options=options)

    await asked(hosted, order(series_id=checked.series_id, title=None))

    said = api.submits[0]["timeseries_metadata"]
    assert said == {"title": TITLE, "description": "Units sold", "keywords": ["demand"]}
    assert api.submits[0]["strictly_positive"] is True


async def test_driver_series_are_trimmed_to_the_months_of_the_target(hosted: Desk, api: HostedApi) -> None:
    driver = await validate(hosted, good_series(150), options=Options(title="A driver with a longer history"))

    made = await asked(hosted, order(aux_series_ids=[driver.series_id]))

    (aux,) = api.submits[0]["aux_timeseries"]
    assert list(aux) == list(api.submits[0]["timeseries"])
    known = await hosted.store.submission_of(made.job_id)
    assert known is not None
    assert known.driver_names == {"aux_0": "A driver with a longer history"}


async def test_a_driver_that_lacks_months_is_refused(hosted: Desk, api: HostedApi) -> None:
    driver = await validate(hosted, good_series(121), options=Options())

    refusal = await refusal_of(submit(hosted, order(aux_series_ids=[driver.series_id])))

    assert refusal.code == "validation_failed"
    assert api.requests == []


# What a former version guessed


async def guessed(desk: Desk, api: HostedApi, other: dict[str, Any] | None) -> str:
    """Given a completed job that a former version took for the answer of a lost submit; `other` is what it was asked.

    None when nobody can tell, because the service does not keep it any longer.
    """
    made = await asked(desk, order())
    api.finish(made.job_id)
    if other is None:
        api.forget(made.job_id)
    else:
        content = {**api.submits[0], **other}
        api.artifacts[made.job_id]["input.json"] = json.dumps(content).encode()
    await desk.aclose()
    with closing(sqlite3.connect(desk.settings.home / "desk.db")) as file, file:
        file.execute("UPDATE submissions SET state = 'adopted'")
        file.execute("UPDATE jobs SET snapshot = json_set(snapshot, '$.status', 'completed')")
    return made.job_id


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.usefixtures("much_later")
async def test_a_guess_that_was_right_is_confirmed(hosted: Desk, api: HostedApi, kept: bool) -> None:
    job_id = await guessed(hosted, api, {})
    if kept:
        await put_artifact(hosted.store, job_id, "input.json", api.artifacts[job_id]["input.json"])
        api.forget(job_id)

    found = [(await asked(hosted, order())).job_id for _ in range(2)]

    assert (found, len(api.submits)) == ([job_id] * 2, 1)
    known = await hosted.store.submission_of(job_id)
    assert known is not None
    assert known.state == "accepted"


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.usefixtures("much_later")
async def test_a_guess_that_was_wrong_is_looked_for_anew(hosted: Desk, api: HostedApi, kept: bool) -> None:
    wrong = await guessed(hosted, api, {"soft_horizon": 6})
    if kept:
        await put_artifact(hosted.store, wrong, "input.json", api.artifacts[wrong]["input.json"])
    api.finish(right := api.make_job(api.submits[0]))

    found = [(await asked(hosted, order())).job_id for _ in range(2)]

    assert (found, len(api.submits)) == ([right] * 2, 1)


async def test_a_guess_that_cannot_be_checked_is_the_users(hosted: Desk, api: HostedApi) -> None:
    job_id = await guessed(hosted, api, None)

    refusal = await unknown(hosted, order())
    assert job_id in refusal.message
    assert "resubmit=true" in refusal.hint
    assert len(api.submits) == 1

    assert not (await asked(hosted, order(resubmit=True))).reused
    assert (await asked(hosted, order())).reused
    assert len(api.submits) == 2


# Tokens


async def test_without_a_token_the_hosted_service_is_not_asked(open_desk: OpenDesk, api: HostedApi) -> None:
    desk = open_desk(api_token=None)
    plain = Desk(desk.settings, today=desk.today)

    refusal = await refusal_of(submit(plain, order(backend="sybilion")))
    await plain.aclose()

    assert refusal.code == "token_missing"
    assert api.requests == []


@pytest.mark.parametrize("token", ["sk_ops_ünusable", "sk_ops_two\nlines", "sk_ops_\x00"])
async def test_a_token_that_no_header_can_carry_is_rejected_here(
    open_desk: OpenDesk, api: HostedApi, token: str
) -> None:
    desk = open_desk(api_token=token)
    plain = Desk(desk.settings, today=desk.today)

    refusal = await refusal_of(submit(plain, order()))
    await plain.aclose()

    assert refusal.code == "token_rejected"
    assert "ünusable" not in f"{refusal.message}{refusal.hint}"
    assert api.requests == []


async def test_space_around_a_token_does_no_harm(open_desk: OpenDesk, api: HostedApi) -> None:
    spaced = Desk(open_desk(api_token=f" {api.token}\n").settings, today=lambda: TODAY)

    made = await asked(spaced, order())
    await spaced.aclose()

    assert (await asked(open_desk(), order())).job_id == made.job_id
    assert len(api.submits) == 1


OTHER_QUESTIONS: list[dict[str, object]] = [
    {"backtest": False},
    {"recency_factor": 0.0},
    {"strictly_positive": True},
    {"driver_limit": None},
    {"soft_horizon": 6},
]


@pytest.mark.parametrize("other", OTHER_QUESTIONS, ids=str)
@pytest.mark.parametrize("ours_first", [True, False])
@pytest.mark.usefixtures("much_later")
async def test_the_job_of_another_question_is_never_taken(
    hosted: Desk, api: HostedApi, other: dict[str, Any], ours_first: bool
) -> None:
    """Given two questions on the same numbers, the answer to one of them lost, and only a job of the other one there.

    What its input.json leaves unsaid proves nothing: then it is the user's to say whose it is.
    """
    one, another = order(strictly_positive=False), order(**other)
    asked_first, asked_second = (one, another) if ours_first else (another, one)
    await asked(hosted, asked_first)
    body = api.submits[0]
    api.jobs.clear()
    api.next("submit", reset())
    with pytest.raises(BackendError):
        await submit(hosted, asked_second)
    api.finish(theirs := api.make_job(body))

    decided = {"backtest", "recency_factor", "soft_horizon"} & other.keys() or (
        other == {"driver_limit": None} and ours_first
    )
    if decided:
        assert not (await asked(hosted, asked_second)).reused
    else:
        assert theirs in (await unknown(hosted, asked_second)).message


# The job is made, and its id cannot be written down


@contextmanager
def locking(desk: Desk, api: HostedApi) -> Iterator[None]:
    """The database is locked from the moment that a submit arrives at the service."""
    answer = api.answer
    with ExitStack() as lock:

        async def locked_first(method: str, path: str, headers: dict[str, str], body: bytes) -> Fault:
            if method == "POST":
                lock.enter_context(locked(desk.settings.home))
            return await answer(method, path, headers, body)

        api.answer = locked_first  # type: ignore[method-assign]  # the lock comes just then
        yield
    api.answer = answer  # type: ignore[method-assign]  # as it was


@pytest.fixture
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long for a lock."""
    begin = Database.begin

    def hasty(self: Database, *, writing: bool = False, patience: float | None = None) -> Any:
        return begin(self, writing=writing, patience=0.2)

    monkeypatch.setattr(Database, "begin", hasty)


@pytest.mark.parametrize("resubmit", [False, True])
@pytest.mark.usefixtures("short_patience")
async def test_a_job_whose_id_cannot_be_written_down_is_named(hosted: Desk, api: HostedApi, resubmit: bool) -> None:
    if resubmit:
        await finished(hosted, api, (await asked(hosted, order())).job_id)
    with locking(hosted, api):
        refusal = await unknown(hosted, order(resubmit=resubmit))

    job_id = list(api.jobs)[-1]
    failure = explain(refusal, Subject("submit_forecast", {"series_id": "s", "resubmit": resubmit}))
    assert job_id in failure.message
    assert "nothing was changed" not in failure.message
    assert failure.next == NextStep("get_status", {"job_id": job_id})
    assert not failure.retryable
    api.finish(job_id)
    found = await asked(hosted, order(resubmit=resubmit))
    assert (found.reused, found.job_id, len(api.submits)) == (True, job_id, 1 + resubmit)


@pytest.mark.parametrize("fault", [error(402, "no credit"), error(500, "oops"), reset(handled=True)])
@pytest.mark.usefixtures("short_patience")
async def test_a_locked_database_does_not_hide_what_the_service_said(
    hosted: Desk, api: HostedApi, fault: Fault
) -> None:
    await hosted.store.series("")
    api.next("submit", fault)
    with locking(hosted, api), anyio.fail_after(10), pytest.raises(BackendError) as caught:
        await submit(hosted, order())

    assert caught.value.operation == "submit"
    await unknown(hosted, order())
    assert len(api.submits) == 1


@wall_clock
@pytest.mark.parametrize("answered", [True, False])
async def test_a_cancelled_submit_returns_at_once_although_the_database_is_locked(
    hosted: Desk, api: HostedApi, answered: bool
) -> None:
    await asked(hosted, order(soft_horizon=6))
    if not answered:
        api.next("submit", silence(handled=True))
    with locking(hosted, api), anyio.move_on_after(20) as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(submit, hosted, order())
            await until(lambda: len(api.jobs) == 2)
            began = anyio.current_time()
            tasks.cancel_scope.cancel()
        assert anyio.current_time() - began < 0.5

    assert not scope.cancelled_caught
    api.finish(list(api.jobs)[1])
    assert (await asked(hosted, order())).reused
    assert len(api.submits) == 2


# The same wish once more


async def test_a_resubmit_that_is_repeated_is_the_same_wish_until_its_job_was_seen_to_end(
    hosted: Desk, api: HostedApi
) -> None:
    await finished(hosted, api, (await asked(hosted, order())).job_id)
    second = await asked(hosted, order(resubmit=True))
    api.finish(second.job_id)

    again = await asked(hosted, order(resubmit=True))
    assert (again.reused, again.job_id, len(api.submits)) == (True, second.job_id, 2)
    assert again.job is not None
    assert again.job.finished  # now it was seen

    assert not (await asked(hosted, order(resubmit=True))).reused


async def test_a_resubmit_whose_job_is_found_to_have_failed_is_made_again(hosted: Desk, api: HostedApi) -> None:
    await finished(hosted, api, (await asked(hosted, order())).job_id)
    second = await asked(hosted, order(resubmit=True))
    api.finish(second.job_id, "failed")

    again = await asked(hosted, order(resubmit=True))

    assert (again.reused, len(api.submits)) == (False, 3)


async def test_on_the_embedded_engine_a_resubmit_makes_a_job_while_another_one_runs(embedded: Desk) -> None:
    first = await asked(embedded, order())
    second = await asked(embedded, order(resubmit=True))
    retried = await asked(embedded, order(resubmit=True))

    assert (second.reused, second.job_id != first.job_id) == (False, True)
    assert (retried.reused, retried.job_id) == (True, second.job_id)


# Clocks, sleep, and other lost questions


@asynccontextmanager
async def held_back(api: HostedApi) -> AsyncIterator[anyio.Event]:
    """The first submit arrives, and its job is made, only when the event is set."""
    go, answer, first = anyio.Event(), api.answer, [True]

    async def slow(method: str, path: str, headers: dict[str, str], body: bytes) -> Fault:
        if method == "POST" and first:
            first.clear()
            api.requests.append("held back")
            await go.wait()
        return await answer(method, path, headers, body)

    api.answer = slow  # type: ignore[method-assign]  # the network is slow just then
    yield go
    api.answer = answer  # type: ignore[method-assign]  # as it was


@pytest.fixture
def patient(open_desk: OpenDesk, api: HostedApi) -> Desk:
    """A desk that waits long for answers."""
    desk = open_desk()
    assert isinstance(desk, ImpatientDesk)
    desk._client = sybilion.SybilionClient(api.url, api.token, timeout=httpx.Timeout(20))
    return desk


async def in_flight(desk: Desk, api: HostedApi, meanwhile: Callable[[], Awaitable[object]]) -> Submitted:
    """What becomes of a submit while whose body is on its way something else happens."""
    made: list[Submitted] = []

    async def submitted() -> None:
        made.append(await submit(desk, order()))

    with anyio.fail_after(20):
        async with held_back(api) as go, anyio.create_task_group() as group:
            group.start_soon(submitted)
            await until(lambda: "held back" in api.requests)
            await meanwhile()
            go.set()
    return made[0]


async def test_a_submit_on_its_way_from_here_is_not_lost_however_late_it_is(
    patient: Desk, api: HostedApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "WAITED_SECONDS", 0)

    async def hours_later() -> None:
        for hours in (1, 2, 3):
            patient.now = lambda hours=hours: datetime.now(UTC) + timedelta(hours=hours)  # type: ignore[misc]  # hours pass
            await unknown(patient, order(resubmit=hours == 3))

    made = await in_flight(patient, api, hours_later)

    assert (await asked(patient, order())).job_id == made.job_id
    assert len(api.submits) == 1


async def test_a_clock_that_leaps_does_not_make_a_submit_on_its_way_a_lost_one(
    patient: Desk, open_desk: OpenDesk, api: HostedApi
) -> None:
    ahead = open_desk()
    ahead.now = lambda: datetime.now(UTC) + timedelta(minutes=10)

    made = await in_flight(patient, api, lambda: unknown(ahead, order()))

    assert (await asked(ahead, order())).job_id == made.job_id
    assert len(api.submits) == 1


async def test_a_lost_submit_is_sent_again_when_two_looks_minutes_apart_find_nothing(
    hosted: Desk, api: HostedApi
) -> None:
    clock = [datetime.now(UTC)]
    hosted.now = lambda: clock[0]
    await lost(hosted, api, reset())
    for seconds in (600, 30, 60):
        clock[0] += timedelta(seconds=seconds)
        await unknown(hosted, order())
    clock[0] += timedelta(seconds=30)

    assert not (await asked(hosted, order())).reused
    assert len(api.submits) == 2


async def test_looks_are_told_apart_by_the_clock_of_the_service(hosted: Desk, api: HostedApi) -> None:
    """Given a clock of this computer that leaps between two looks."""
    await lost(hosted, api, reset())
    api.clock = timedelta()
    await unknown(hosted, order())
    backend = hosted.backend()
    hosted.now = lambda: datetime.now(UTC) + timedelta(minutes=10)
    recent = backend.recent_jobs

    async def seen_by_a_clock_ahead(since: datetime) -> Any:
        found = await recent(since)
        backend.ahead = timedelta(minutes=-10)
        return found

    backend.recent_jobs = seen_by_a_clock_ahead  # type: ignore[method-assign]  # what the client finds by itself
    await unknown(hosted, order())

    assert len(api.submits) == 1


async def test_a_submit_by_a_clock_that_was_ahead_is_not_stuck(open_desk: OpenDesk, api: HostedApi) -> None:
    wrong, right, clock = open_desk(), open_desk(), [datetime.now(UTC)]
    wrong.now = lambda: clock[0] + timedelta(days=30)
    right.now = lambda: clock[0]
    await lost(wrong, api, reset())
    await unknown(wrong, order())
    await unknown(right, order())
    clock[0] += timedelta(minutes=2)

    assert not (await asked(right, order())).reused


@pytest.mark.usefixtures("much_later")
async def test_the_job_of_a_clock_that_was_ahead_is_found(open_desk: OpenDesk, api: HostedApi) -> None:
    wrong = open_desk()
    wrong.now = lambda: datetime.now(UTC) + timedelta(days=30)
    await lost(wrong, api, reset(handled=True))
    api.finish(*api.jobs)

    assert (await asked(open_desk(), order())).reused
    assert len(api.submits) == 1


@pytest.mark.parametrize("ours_first", [True, False])
@pytest.mark.usefixtures("much_later")
async def test_a_number_of_drivers_that_was_asked_for_is_no_default(
    hosted: Desk, api: HostedApi, ours_first: bool
) -> None:
    """Given two lost questions, one for five drivers and one for the usual number, only one of which made a job."""
    five, usual = order(driver_limit=5), order(driver_limit=None)
    await lost(hosted, api, reset(handled=False), usual)
    await lost(hosted, api, reset(handled=True), five)
    api.finish(*api.jobs)

    for asking in (five, usual) if ours_first else (usual, five):
        await unknown(hosted, asking)

    assert len(api.submits) == 2


@pytest.mark.usefixtures("much_later")
async def test_a_default_that_is_written_down_may_have_been_asked_for_as_well(hosted: Desk, api: HostedApi) -> None:
    hundred, usual = order(driver_limit=100), order(driver_limit=None)
    await lost(hosted, api, reset(handled=False), usual)
    await lost(hosted, api, reset(handled=True), hundred)
    api.finish(*api.jobs)

    for asking in (usual, hundred):
        await unknown(hosted, asking)


FIELDS: dict[str, dict[str, Any]] = {
    "optimization_budget": {"optimization_budget": "low"},
    "max_num_features": {"max_num_features": 3},
    "run_baseline": {"run_baseline": True},
    "trend_num_classes": {"trend_num_classes": 2},
    "general_drivers": {"filters": {"limit": 0, "general_drivers": True}},
    "what nobody knows": {"a_new_option": 7},
}


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.usefixtures("much_later")
async def test_what_was_never_asked_from_here_proves_nothing(hosted: Desk, api: HostedApi, name: str) -> None:
    await lost(hosted, api, reset())
    theirs = api.make_job({**api.submits[0], **FIELDS[name]})
    api.finish(theirs)

    assert theirs in (await unknown(hosted, order())).message


@pytest.mark.usefixtures("much_later")
async def test_documented_defaults_that_are_written_down_ask_the_same(hosted: Desk, api: HostedApi) -> None:
    await lost(hosted, api, reset(handled=True), order(driver_limit=None))
    (job_id,) = api.jobs
    filled = {"optimization_budget": "none", "run_baseline": False, "max_num_features": None, "version": "1.1"}
    filters = {"limit": 100, "general_drivers": False}
    api.artifacts[job_id]["input.json"] = json.dumps({**api.submits[0], **filled, "filters": filters}).encode()
    api.finish(job_id)

    assert (await asked(hosted, order(driver_limit=None))).job_id == job_id


# The same arguments, described anew


async def described_anew(desk: Desk, api: HostedApi, fault: Fault) -> Order:
    """Given a lost submit of a series that was validated with other keywords since."""
    checked = await validate(desk, good_series(), options=Options(title=TITLE))
    again = order(series_id=checked.series_id, title=None)
    await lost(desk, api, fault, again)
    await validate(desk, good_series(), options=Options(title=TITLE, keywords=["demand"]))
    return again


async def test_the_same_arguments_described_anew_wait_for_the_lost_answer(hosted: Desk, api: HostedApi) -> None:
    again = await described_anew(hosted, api, reset(handled=True))
    (job_id,) = api.jobs

    for resubmit in (False, True):
        refusal = await unknown(hosted, replace(again, resubmit=resubmit))
        assert "under another title, description or keywords" in refusal.message
        assert job_id in refusal.message
    api.finish(job_id)
    refusal = await unknown(hosted, again)
    assert refusal.next == NextStep("get_status", {"job_id": job_id})
    assert len(api.submits) == 1

    assert not (await asked(hosted, again)).reused  # now it is known what is there already


@pytest.mark.usefixtures("much_later")
async def test_what_was_described_otherwise_and_made_no_job_stands_in_nobodys_way(hosted: Desk, api: HostedApi) -> None:
    again = await described_anew(hosted, api, reset())

    assert not (await asked(hosted, again)).reused
    assert len(api.jobs) == 1
