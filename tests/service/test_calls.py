"""Billed calls that answer at once: one question, one charge, whatever happens on the way."""

import random
import sys
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from sybilion_mcp.backends.base import AnswerError, BackendError
from sybilion_mcp.contract.recommendations import DriverRanking
from sybilion_mcp.hints import Refusal, Subject, explain
from sybilion_mcp.service import subjects
from sybilion_mcp.service.alerts import AlertOrder, alerts
from sybilion_mcp.service.arguments import Options
from sybilion_mcp.service.calls import offer
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.ranking import Ranked, RankingOrder, rank
from sybilion_mcp.service.validate import remember
from sybilion_mcp.settings import Settings
from sybilion_mcp.store.calls import Calls
from tests.billed import BilledApi, billed_api, some_alerts, some_drivers
from tests.conftest import TODAY, good_series
from tests.hosted import Fault, ImpatientDesk, cut, error, garbage, invalid, proxy_error, reset, silence

pytestmark = pytest.mark.anyio

TITLE = "Copper price, London, USD per tonne"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
OpenDesk = Callable[..., Desk]


@pytest.fixture
async def api() -> AsyncIterator[BilledApi]:
    async with billed_api() as api:
        api.drivers, api.alerts = some_drivers(150), some_alerts(12)
        api.clock = NOW - datetime.now(UTC)
        yield api


@pytest.fixture
async def open_desk(api: BilledApi, tmp_path: Path, executor: Executor) -> AsyncIterator[OpenDesk]:
    desks: list[Desk] = []

    def opened(now: datetime = NOW, **settings: Any) -> Desk:
        said = {"home": tmp_path / "home", "api_token": api.token, "api_base_url": api.url, "spend": "allow"}
        made = Settings(**{**said, **settings})
        desks.append(ImpatientDesk(made, today=lambda: TODAY, executor=executor, now=lambda: now))
        return desks[-1]

    yield opened
    for desk in desks:
        await desk.aclose()


def order(limit: int | None = 10, **said: Any) -> RankingOrder:
    about = {name: said.pop(name) for name in ("series_id", "title", "keywords", "regions") if name in said}
    return RankingOrder(subjects.Subject(limit=limit, **{"title": TITLE, **about}), **said)


async def asked(desk: Desk, **said: Any) -> Ranked:
    with anyio.fail_after(20):
        return await rank(desk, order(**said))


# Once


async def test_a_call_carries_an_id_and_brings_its_answer(open_desk: OpenDesk, api: BilledApi) -> None:
    found = await asked(open_desk())

    assert [one.driver_name for one in found.drivers] == [one["driver_name"] for one in api.drivers[:10]]
    ((operation, request_id, body),) = api.calls
    assert (operation, len(request_id)) == ("drivers", 36)
    assert body == {
        "version": "v1",
        "recency_factor": 0.5,
        "timeseries_metadata": {"title": TITLE},
        "filters": {"limit": 10},
    }


LOST = [
    reset(),
    reset(handled=True),
    silence(handled=True),
    cut(handled=True),
    error(502, "upstream"),
    error(503, "busy"),
    proxy_error(503, handled=True),
    proxy_error(504, handled=True),
    error(429, "rate limit exceeded"),
]


@pytest.mark.parametrize("fault", LOST, ids=repr)
async def test_a_try_that_fails_is_repeated_under_the_same_id(
    open_desk: OpenDesk, api: BilledApi, fault: Fault
) -> None:
    api.next("drivers", fault)

    found = await asked(open_desk())

    assert len(found.drivers) == 10
    assert len(api.calls) == 2
    assert len(set(api.request_ids)) == 1
    assert len(api.charges) == 1


@pytest.mark.parametrize("fault", [*LOST, garbage(handled=True), error(500, "oops", handled=True)], ids=repr)
async def test_a_call_that_found_no_answer_goes_on_under_its_id_in_another_process(
    open_desk: OpenDesk, api: BilledApi, fault: Fault
) -> None:
    api.always("drivers", fault)
    with pytest.raises(BackendError):
        await asked(open_desk())
    api.well_again()

    found = await asked(open_desk())

    assert len(found.drivers) == 10
    assert len(api.calls) >= 2
    assert len(set(api.request_ids)) == 1
    assert len(api.charges) == 1


async def test_a_call_that_is_cut_off_goes_on_under_its_id(open_desk: OpenDesk, api: BilledApi) -> None:
    api.next("drivers", silence(handled=True))
    async with anyio.create_task_group() as group:
        group.start_soon(asked, open_desk())
        await api.seen(1)
        group.cancel_scope.cancel()

    await asked(open_desk())

    assert len(set(api.request_ids)) == 1
    assert len(api.charges) == 1


KILLED = """
import sys, anyio
from pathlib import Path
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.ranking import RankingOrder, rank
from sybilion_mcp.service.subjects import Subject
from sybilion_mcp.settings import Settings

home, url, token, title = sys.argv[1:]
desk = Desk(Settings(home=Path(home), api_base_url=url, api_token=token, spend="allow"))
anyio.run(rank, desk, RankingOrder(Subject(title=title, limit=10)))
"""


@pytest.mark.parametrize("handled", [False, True])
async def test_a_call_whose_process_is_killed_goes_on_under_its_id(
    open_desk: OpenDesk, api: BilledApi, tmp_path: Path, handled: bool
) -> None:
    api.next("drivers", silence(handled=handled))
    command = [sys.executable, "-c", KILLED, str(tmp_path / "home"), api.url, api.token, TITLE]
    with anyio.fail_after(60):
        async with await anyio.open_process(command, stdout=None, stderr=None) as process:
            await api.seen(1)
            process.kill()

    await asked(open_desk(datetime.now(UTC)))

    assert len(api.calls) == 2
    assert len(set(api.request_ids)) == 1
    assert len(api.charges) == 1


FAULTS = [one for one in LOST if not one.hangs] + [
    garbage(handled=True),
    error(500, "oops"),
    error(402, "insufficient credits"),
]


@pytest.mark.parametrize("seed", range(20))
async def test_whatever_fails_an_agent_that_tries_again_pays_once(
    open_desk: OpenDesk, api: BilledApi, seed: int
) -> None:
    chance = random.Random(seed)
    api.next("drivers", *chance.choices(FAULTS, k=chance.randint(1, 8)))

    for _ in range(9):
        with suppress(BackendError):
            found = await asked(open_desk(spend_cap_eur_cents=50))
            break
    else:
        pytest.fail("no answer came")

    assert len(found.drivers) == 10
    assert len(set(api.request_ids)) == 1
    assert len(api.charges) == 1
    assert await open_desk().store.spent_since("2026-11-22") == 40


async def test_the_same_question_within_a_day_is_not_sent_again(open_desk: OpenDesk, api: BilledApi) -> None:
    first = await asked(open_desk())

    again = await asked(open_desk(NOW + timedelta(hours=23)))

    assert (first.answered.reused, again.answered.reused) == (False, True)
    assert list(again.drivers) == list(first.drivers)
    assert len(api.calls) == 1


async def test_the_charge_is_told_to_one_who_is_there_to_hear_it(open_desk: OpenDesk, api: BilledApi) -> None:
    """Given two who share a call, of which the first one leaves before its answer."""
    desk = open_desk()
    reused = []

    async def ask() -> None:
        reused.append((await asked(desk)).answered.reused)

    async with anyio.create_task_group() as group:
        leaving = anyio.CancelScope()

        async def leaves() -> None:
            with leaving:
                await ask()

        group.start_soon(leaves)
        group.start_soon(ask)
        await api.seen(1)  # the account: the call itself comes after it
        leaving.cancel()

    assert reused == [False]
    assert len(api.charges) == 1


async def test_a_proxy_that_finds_no_page_does_not_say_that_a_lost_call_cost_nothing(
    open_desk: OpenDesk, api: BilledApi
) -> None:
    desk = open_desk(spend_cap_eur_cents=60)
    api.always("drivers", proxy_error(502, handled=True))
    with pytest.raises(BackendError):
        await asked(desk)
    api.well_again()
    api.always("drivers", proxy_error(404))
    with pytest.raises(BackendError):
        await asked(desk)
    api.well_again()

    assert await desk.store.spent_since("2026-11-22") == 50
    told = await refusal_of(desk, title=f"{TITLE}, deflated")
    assert "0.50 EUR for calls whose answers got lost" in told.message
    assert len((await asked(desk)).drivers) == 10
    assert len(api.charges) == 1


async def test_a_day_later_the_question_is_a_new_one(open_desk: OpenDesk, api: BilledApi) -> None:
    await asked(open_desk())

    again = await asked(open_desk(NOW + timedelta(hours=25)))

    assert not again.answered.reused
    assert len(set(api.request_ids)) == 2


@pytest.mark.parametrize(
    "other", [{"limit": 11}, {"title": f"{TITLE}, deflated"}, {"recency_factor": 0.1}, {"regions": [3]}]
)
async def test_another_question_is_another_call(open_desk: OpenDesk, api: BilledApi, other: dict[str, Any]) -> None:
    desk = open_desk()
    await asked(desk)

    assert not (await asked(desk, **other)).answered.reused

    assert len(set(api.request_ids)) == 2


async def test_who_asks_at_once_shares_one_call(open_desk: OpenDesk, api: BilledApi) -> None:
    desk = open_desk()
    reused = []

    async def ask() -> None:
        reused.append((await asked(desk)).answered.reused)

    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(ask)

    assert len(api.calls) == 1
    assert sorted(reused) == [False, *[True] * 7]  # it was charged once, and is told once


async def test_processes_that_ask_at_once_use_one_id(open_desk: OpenDesk, api: BilledApi) -> None:
    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(asked, open_desk())

    assert len(set(api.request_ids)) == 1
    assert len(api.charges) == 1


async def test_a_series_brings_its_numbers_and_its_title(open_desk: OpenDesk, api: BilledApi) -> None:
    desk = open_desk()
    series_id = await remember(desk, good_series(), Options(title=TITLE, keywords=["copper"]))

    found = await asked(desk, series_id=series_id, title=None)

    body = api.calls[0][2]
    assert found.with_numbers
    assert body["timeseries"] == good_series()
    assert body["timeseries_metadata"] == {"title": TITLE, "keywords": ["copper"]}


# The gate


async def refusal_of(desk: Desk, **said: Any) -> Refusal:
    with pytest.raises(Refusal) as refused:
        await asked(desk, **said)
    return refused.value


@pytest.mark.parametrize("settings", [{"read_only": True}, {"spend": "deny"}, {"spend": "ask"}])
async def test_nothing_leaves_that_was_not_allowed(
    open_desk: OpenDesk, api: BilledApi, settings: dict[str, Any]
) -> None:
    refused = await refusal_of(open_desk(**settings))

    assert refused.code == ("read_only" if "read_only" in settings else "spend_refused")
    assert api.requests == (["GET /api/v1/me"] if settings == {"spend": "ask"} else [])  # free: whose token it is


async def test_what_was_agreed_to_is_sent(open_desk: OpenDesk, api: BilledApi) -> None:
    await asked(open_desk(spend="ask"), max_cost_eur_cents=50)

    assert len(api.calls) == 1


async def test_a_limit_below_the_highest_price_stops_it(open_desk: OpenDesk, api: BilledApi) -> None:
    refused = await refusal_of(open_desk(), max_cost_eur_cents=49)

    assert "0.50 EUR" in refused.message
    assert "max_cost_eur_cents to 50" in refused.hint
    assert api.calls == []


async def test_without_a_limit_the_highest_price_is_said_and_a_cheaper_way(open_desk: OpenDesk) -> None:
    refused = await refusal_of(open_desk(spend="ask"), limit=None)

    assert "50.00 EUR" in refused.message
    assert "limit=25 it costs at most 1.25 EUR" in refused.hint


async def test_the_cap_counts_calls_and_submits_alike(open_desk: OpenDesk, api: BilledApi) -> None:
    desk = open_desk(spend_cap_eur_cents=100)
    await asked(desk)
    assert await desk.store.spent_since("2026-11-22") == 40  # what the usage shows, not the 50 that were expected

    refused = await refusal_of(desk, limit=13)

    assert "0.40 EUR" in refused.message
    await asked(desk, limit=12)


async def test_the_cap_holds_when_many_ask_at_once(open_desk: OpenDesk, api: BilledApi) -> None:
    outcomes: list[str] = []

    async def one(number: int) -> None:
        try:
            await asked(open_desk(spend_cap_eur_cents=120), title=f"{TITLE} {number}")
            outcomes.append("answered")
        except Refusal as refused:
            outcomes.append(refused.code)

    async with anyio.create_task_group() as group:
        for number in range(8):
            group.start_soon(one, number)

    assert 2 <= outcomes.count("answered") <= 3  # 50 are bound while a call runs, 40 stay
    assert set(outcomes) == {"answered", "spend_refused"}


async def test_a_call_without_an_answer_binds_what_it_may_cost(open_desk: OpenDesk, api: BilledApi) -> None:
    api.always("drivers", reset(handled=True))
    desk = open_desk(spend_cap_eur_cents=60)
    with pytest.raises(BackendError):
        await asked(desk)
    api.well_again()

    assert await desk.store.spent_since("2026-11-22") == 50
    await refusal_of(desk, title=f"{TITLE}, deflated")
    await asked(desk)  # the same one is bound already
    assert await desk.store.spent_since("2026-11-22") == 40


@pytest.mark.parametrize(
    "fault",
    [
        error(402, "insufficient credits: need up to 50, have 3"),
        error(401, "invalid token"),
        error(429, "rate limit exceeded"),
        error(503, "the drivers feature is not enabled"),
        invalid("timeseries_metadata.title", "too rude"),
        reset(),
    ],
    ids=repr,
)
async def test_what_the_service_did_not_take_costs_nothing(open_desk: OpenDesk, api: BilledApi, fault: Fault) -> None:
    api.always("drivers", fault)
    desk = open_desk(spend_cap_eur_cents=60)
    with pytest.raises(BackendError):
        await asked(desk)
    api.well_again()

    spent = await desk.store.spent_since("2026-11-22")

    assert spent == (50 if fault == reset() else 0)  # a connection that breaks tells nothing


async def test_what_one_process_is_told_does_not_say_that_the_try_of_another_cost_nothing(
    open_desk: OpenDesk, api: BilledApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a call on its way that another process joins, and loses the answer; then the first one is told 429."""
    first, second = open_desk(), open_desk()
    on_its_way, told = anyio.Event(), anyio.Event()

    async def late(*_: object) -> DriverRanking:
        on_its_way.set()
        await told.wait()
        raise AnswerError("drivers", 429, {"error": "rate limit exceeded"}, None)

    async def refused() -> None:
        with pytest.raises(AnswerError):
            await asked(first)

    with monkeypatch.context() as patched:
        patched.setattr(first.backend(), "rank_drivers", late)
        async with anyio.create_task_group() as group:
            group.start_soon(refused)
            await on_its_way.wait()
            api.always("drivers", reset(handled=True))
            with pytest.raises(BackendError):
                await asked(second)
            told.set()
    api.well_again()

    assert await first.store.spent_since("2026-11-22") == 50
    assert len((await asked(first)).drivers) == 10
    assert len(api.charges) == 1


async def test_an_answer_that_cannot_be_kept_is_answered_and_costs_once(
    open_desk: OpenDesk, api: BilledApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = open_desk()

    async def full(*_: object) -> None:
        raise Refusal("storage_failed", "no room")

    with monkeypatch.context() as patched:
        patched.setattr(Calls, "put_answer", full)
        assert len((await asked(desk)).drivers) == 10

    assert len((await asked(desk)).drivers) == 10
    assert len(set(api.request_ids)) == 1
    assert len(api.charges) == 1


async def test_who_agreed_is_not_asked_again_while_the_answer_is_missing(open_desk: OpenDesk, api: BilledApi) -> None:
    api.always("drivers", reset(handled=True))
    desk = open_desk(spend="ask")
    with pytest.raises(BackendError):
        await asked(desk, max_cost_eur_cents=50)
    api.well_again()

    assert await offer(desk, await order().question(desk)) is None
    assert len((await asked(desk)).drivers) == 10
    assert len(api.charges) == 1


async def test_after_a_day_a_lost_call_has_to_be_agreed_to_again_and_both_count(
    open_desk: OpenDesk, api: BilledApi
) -> None:
    api.always("drivers", reset(handled=True))
    with pytest.raises(BackendError):
        await asked(open_desk(spend="ask"), max_cost_eur_cents=50)
    api.well_again()
    tomorrow = open_desk(NOW + timedelta(hours=25), spend="ask", spend_cap_eur_cents=60)

    offered = await offer(tomorrow, await order().question(tomorrow))
    refused = await refusal_of(tomorrow)
    assert offered is not None
    for told in (offered.question, refused.hint):
        assert "An earlier try on 2026-11-22 may have been charged already, up to 0.50 EUR" in told
    found = await asked(tomorrow, max_cost_eur_cents=50)

    assert found.answered.earlier.startswith("An earlier try on 2026-11-22 may have been charged already")
    assert len(set(api.request_ids)) == 2
    assert await tomorrow.store.spent_since("2026-11-23") <= 50
    assert 50 < await tomorrow.store.spent_since("2026-11-22") <= 100


async def test_what_the_service_does_not_take_a_day_after_a_lost_call_leaves_only_that_counted(
    open_desk: OpenDesk, api: BilledApi
) -> None:
    api.always("drivers", reset(handled=True))
    with pytest.raises(BackendError):
        await asked(open_desk())
    api.well_again()
    api.always("drivers", error(402, "insufficient credits"))
    tomorrow = open_desk(NOW + timedelta(hours=25))

    with pytest.raises(BackendError):
        await asked(tomorrow)

    assert await tomorrow.store.spent_since("2026-11-22") == 50
    assert await tomorrow.store.spent_since("2026-11-23") == 0


# What it cost


async def test_the_usage_tells_what_a_call_cost(open_desk: OpenDesk, api: BilledApi) -> None:
    found = await asked(open_desk())

    assert found.answered.cost is not None
    assert (found.answered.cost.eur_cents, found.answered.cost.told) == (40, True)


@pytest.mark.parametrize("case", ["no usage", "another like it", "another clock"])
async def test_a_charge_that_cannot_be_told_is_what_so_many_usually_cost(
    open_desk: OpenDesk, api: BilledApi, case: str
) -> None:
    api.keeps_usage = case != "no usage"
    if case == "another like it":
        api.charge("drivers", 10, 77)
    if case == "another clock":
        api.clock -= timedelta(days=3)

    found = await asked(open_desk())

    assert found.answered.cost is not None
    assert (found.answered.cost.eur_cents, found.answered.cost.told) == (50, False)


async def test_charges_of_other_things_are_told_apart(open_desk: OpenDesk, api: BilledApi) -> None:
    api.charge("alerts", 10, 60)
    api.charge("forecast", 1, 300)
    api.charge("drivers", 9, 36)

    found = await asked(open_desk())

    assert found.answered.cost is not None
    assert found.answered.cost.eur_cents == 40


async def test_own_charges_say_more_than_published_ones(open_desk: OpenDesk, api: BilledApi) -> None:
    desk = open_desk()
    for limit in range(10, 15):
        await asked(desk, limit=limit)

    refused = await refusal_of(desk, limit=100, max_cost_eur_cents=1)

    assert "4.00 EUR" in refused.message
    assert "your own 5 calls" in refused.message


# Alerts and the embedded engine


async def test_alerts_are_billed_the_same_way(open_desk: OpenDesk, api: BilledApi) -> None:
    api.next("alerts", proxy_error(502, handled=True))
    desk = open_desk()
    asked_for = AlertOrder(subjects.Subject(title=TITLE, limit=5), date_from="2026-10-01")

    found = await alerts(desk, asked_for)
    again = await alerts(desk, asked_for)

    assert len(found.alerts) == 5
    assert found.answered.cost is not None
    assert (found.answered.cost.eur_cents, again.answered.reused) == (30, True)
    assert len(set(api.request_ids)) == 1
    assert api.calls[0][2] == {
        "metadata": {"title": TITLE},
        "context_enriched": False,
        "date_from": "2026-10-01",
        "filters": {"limit": 5},
    }


@pytest.mark.parametrize("settings", [{"spend": "deny"}, {"read_only": True}, {"spend_cap_eur_cents": 0}])
async def test_the_embedded_engine_ranks_for_nothing(
    open_desk: OpenDesk, api: BilledApi, settings: dict[str, Any]
) -> None:
    found = await asked(open_desk(**settings), backend="local", limit=None)

    assert (list(found.drivers), found.answered.cost) == ([], None)
    assert api.requests == []


# Requests and failures


async def test_what_breaks_a_rule_is_named_by_its_argument_and_never_sent(open_desk: OpenDesk, api: BilledApi) -> None:
    refused = await refusal_of(open_desk(), title="Copper", limit=2000, regions=[0])

    assert [one.field for one in refused.problems] == ["title", "regions[0]", "limit"]
    assert refused.changes == {"regions": [], "limit": 1000}
    assert api.requests == []


async def test_dates_of_alerts_are_checked(open_desk: OpenDesk, api: BilledApi) -> None:
    bad = AlertOrder(subjects.Subject(title=TITLE), date_from="2026-13-01", date_to="2026-01-01")
    with pytest.raises(Refusal) as refused:
        await alerts(open_desk(), bad)

    assert [one.field for one in refused.value.problems] == ["date_from"]
    assert api.requests == []


async def test_an_unknown_series_is_told(open_desk: OpenDesk, api: BilledApi) -> None:
    assert (await refusal_of(open_desk(), series_id="s_none")).code == "series_not_found"


async def test_many_series_are_told_as_such_and_not_as_forgotten(open_desk: OpenDesk, api: BilledApi) -> None:
    refused = await refusal_of(open_desk(), series_id="p_0123456789ab")

    assert refused.code == "invalid_argument"
    assert "one monthly series" in refused.message
    assert refused.next is not None
    assert (refused.next.tool, api.requests) == ("validate_series", [])


async def test_a_failure_after_a_lost_try_says_that_the_same_call_goes_on(open_desk: OpenDesk, api: BilledApi) -> None:
    api.next("drivers", reset(handled=True), error(402, "insufficient credits"))
    with pytest.raises(AnswerError) as failed:
        await asked(open_desk())

    failure = explain(failed.value, Subject("rank_drivers", {"title": TITLE, "limit": 10}))

    assert failure.code == "insufficient_balance"
    assert "the very same call goes on" in failure.hint
    assert await open_desk().store.spent_since("2026-11-22") == 50
