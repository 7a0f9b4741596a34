"""Submit: one question, one job, whatever happens on the way."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest

from sybilion_mcp.backends import sybilion
from sybilion_mcp.backends.base import AnswerError, BackendError
from sybilion_mcp.hints import Refusal
from sybilion_mcp.service import ledger
from sybilion_mcp.service.arguments import Options
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.follow import follow
from sybilion_mcp.service.submit import Order, Submitted, submit
from sybilion_mcp.service.validate import validate
from sybilion_mcp.store.records import Submission
from tests.conftest import TODAY, good_series, until
from tests.hosted import Fault, HostedApi, cut, error, garbage, proxy_error, reset, silence
from tests.service.conftest import OpenDesk
from tests.service.orders import TITLE, order, refusal_of

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


async def test_several_who_ask_at_once_make_one_job(open_desk: OpenDesk, api: HostedApi) -> None:
    outcomes: list[str] = []

    async def ask(desk: Desk) -> None:
        try:
            outcomes.append((await submit(desk, order())).job_id)
        except Refusal as refusal:
            outcomes.append(refusal.code)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(ask, open_desk())

    assert len(api.submits) == 1
    assert set(outcomes) <= {*api.jobs, "submission_unknown"}
    assert (await asked(open_desk(), order())).reused


# Asking anew


async def test_resubmit_makes_a_new_job_which_then_answers(hosted: Desk, api: HostedApi) -> None:
    first = await asked(hosted, order())
    api.finish(first.job_id)
    second = await asked(hosted, order(resubmit=True))
    third = await asked(hosted, order())

    assert (second.reused, second.job_id != first.job_id) == (False, True)
    assert (third.reused, third.job_id) == (True, second.job_id)
    assert len(api.submits) == 2


async def test_a_refused_resubmit_leaves_the_old_answer_standing(hosted: Desk, api: HostedApi) -> None:
    first = await asked(hosted, order())
    api.finish(first.job_id)
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
    api.finish(first.job_id)
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
    api.finish(first.job_id)
    await lost(hosted, api, reset(), order(resubmit=True))

    again = await asked(hosted, order())

    assert (again.reused, again.job_id, len(api.submits)) == (True, first.job_id, 2)
    assert not (await asked(hosted, order(resubmit=True))).reused


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
    api.finish(first.job_id)
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
    other = order(title=f"{TITLE}, another one")
    await lost(hosted, api, reset(handled=True), other)
    await lost(hosted, api, reset())

    for _ in range(2):
        await unknown(hosted, order())
        await unknown(hosted, other)

    assert len(api.submits) == 2


@pytest.mark.usefixtures("much_later")
async def test_the_job_of_a_question_on_its_way_is_not_taken(open_desk: OpenDesk, api: HostedApi) -> None:
    other = order(title=f"{TITLE}, another one")
    await lost(open_desk(), api, reset())
    api.next("submit", silence(handled=True))
    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(lost, open_desk(), api, silence(handled=True), other)
            await api.seen(2)
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
    assert await store.begin_submission(replace(known, submission_id="s", state="sending", job_id=None))

    found = await asked(open_desk(), order())

    assert (found.reused, found.job_id, len(api.submits)) == (True, "another", 1)


async def test_what_was_written_down_before_a_long_sleep_is_not_sent(open_desk: OpenDesk, api: HostedApi) -> None:
    clock = [datetime.now(UTC)]
    slept, other = open_desk(), open_desk()
    slept.now = other.now = lambda: clock[0]
    begin = slept.store.begin_submission

    async def begin_and_sleep(new: Submission, *, cap_eur_cents: int | None = None) -> bool:
        begun = await begin(new, cap_eur_cents=cap_eur_cents)
        clock[0] += timedelta(hours=1)
        assert not (await asked(other, order())).reused
        return begun

    slept.store.begin_submission = begin_and_sleep  # type: ignore[method-assign]  # the process stops just there
    assert (await refusal_of(submit(slept, order()))).code == "submission_unknown"

    assert (await asked(slept, order())).reused
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


@pytest.mark.parametrize("content", [None, b"<html>", b"[" * 5000, b'{"timeseries": 7}', b"cut to fewer months"])
@pytest.mark.usefixtures("much_later")
async def test_a_completed_job_that_does_not_say_its_numbers_is_neither_taken_nor_paid_again(
    hosted: Desk, api: HostedApi, content: bytes | None
) -> None:
    await lost(hosted, api, reset(handled=True))
    (job_id,) = api.jobs
    api.finish(job_id)
    if content is None:
        api.always("artifact", error(404, "gone"))
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


async def test_a_resubmit_does_not_overtake_one_that_is_just_being_sent(open_desk: OpenDesk, api: HostedApi) -> None:
    with anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(lost, open_desk(), api, silence(handled=True))
            await api.seen(1)
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
    """Given two questions on the same numbers, the answer to one of them lost, and only the other one's job there."""
    one, another = order(strictly_positive=False), order(**other)
    asked_first, asked_second = (one, another) if ours_first else (another, one)
    await asked(hosted, asked_first)
    body = api.submits[0]
    api.jobs.clear()
    api.next("submit", reset())
    with pytest.raises(BackendError):
        await submit(hosted, asked_second)
    api.finish(api.make_job(body))

    made = await asked(hosted, asked_second)

    assert not made.reused
