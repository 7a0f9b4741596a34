"""The gate: nothing that may cost money passes it unless this installation, this call and this day allow it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import anyio
import pytest

from sybilion_mcp.backends.base import BackendError
from sybilion_mcp.hints import Refusal
from sybilion_mcp.service import ledger
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.spend import (
    EMBEDDED,
    FEWEST,
    NEWEST,
    WITH_DRIVERS,
    WITHOUT_DRIVERS,
    Expectation,
    duration,
    euros,
    expectation,
    expected_for,
)
from sybilion_mcp.service.submit import submit
from tests.hosted import HostedApi, error, reset
from tests.service.conftest import OpenDesk
from tests.service.orders import TITLE, order, refusal_of

pytestmark = pytest.mark.anyio

DEAR = WITH_DRIVERS.eur_cents[1]
CHEAP = WITHOUT_DRIVERS.eur_cents[1]


def another(number: int, **said: Any) -> Any:
    """A question that was not asked before."""
    return order(title=f"{TITLE} ({number})", recency_factor=number / 10_000, **said)


async def settled(
    desk: Desk, api: HostedApi, cents: Sequence[int], *, minutes: int = 5, first: int = 100, **said: Any
) -> list[str]:
    """Jobs of this desk that were submitted, ended and looked at."""
    made = [await submit(desk, another(first + number, **said)) for number in range(len(cents))]
    for one, cost in zip(made, cents, strict=True):
        at = datetime.fromisoformat(api.jobs[one.job_id]["created_at"]) + timedelta(minutes=minutes)
        api.finish(one.job_id, cents=cost, settled_at=at.isoformat())
        await seen(desk, one.job_id)
    return [one.job_id for one in made]


async def seen(desk: Desk, job_id: str) -> None:
    await desk.store.put_job(await desk.backend("sybilion").job(job_id), "sybilion")


async def spent(desk: Desk) -> int:
    return await desk.store.spent_since("2026-01-01")


def test_what_a_forecast_is_expected_to_cost() -> None:
    assert expectation("local", None).eur_cents == (0, 0)
    assert expectation("sybilion", 0) == WITHOUT_DRIVERS
    assert expectation("sybilion", None) == expectation("sybilion", 100) == WITH_DRIVERS
    assert "published" in WITH_DRIVERS.basis


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"read_only": True}, "read_only"),
        ({"spend": "deny"}, "spend_refused"),
        ({"spend": "ask"}, "spend_refused"),
        ({"spend_cap_eur_cents": 62}, "spend_refused"),
    ],
)
async def test_what_is_not_allowed_is_not_sent(
    open_desk: OpenDesk, api: HostedApi, settings: dict[str, Any], code: str
) -> None:
    desk = open_desk(**settings)

    refusal = await refusal_of(submit(desk, order()))

    assert refusal.code == code
    forbidden = settings.keys() & {"read_only"} or settings.get("spend") == "deny"
    assert set(api.requests) <= (set() if forbidden else {"GET /api/v1/me"})
    assert await desk.store.spent_since("2026-01-01") == 0


@pytest.mark.parametrize(
    "settings", [{"read_only": True}, {"spend": "deny"}, {"spend": "ask"}, {"spend_cap_eur_cents": 0}]
)
async def test_a_job_that_is_there_is_answered_all_the_same(
    open_desk: OpenDesk, api: HostedApi, settings: dict[str, Any]
) -> None:
    made = await submit(open_desk(), order())

    again = await submit(open_desk(**settings), order())

    assert (again.job_id, again.reused, len(api.submits)) == (made.job_id, True, 1)


@pytest.mark.parametrize("settings", [{"spend": "deny"}, {"spend": "ask"}, {"spend_cap_eur_cents": 0}])
async def test_the_embedded_engine_is_free_under_every_policy(open_desk: OpenDesk, settings: dict[str, Any]) -> None:
    made = await submit(open_desk(**settings), order(backend="local", max_cost_eur_cents=0))

    assert not made.reused


async def test_read_only_means_the_embedded_engine_too(open_desk: OpenDesk) -> None:
    refusal = await refusal_of(submit(open_desk(read_only=True), order(backend="local")))

    assert refusal.code == "read_only"


async def test_deny_holds_whatever_the_caller_says(open_desk: OpenDesk, api: HostedApi) -> None:
    refusal = await refusal_of(submit(open_desk(spend="deny"), order(max_cost_eur_cents=100_000, resubmit=True)))

    assert refusal.code == "spend_refused"
    assert refusal.changes == {"backend": "local"}
    assert api.submits == []


async def test_ask_names_the_cost_and_the_argument_and_the_agreed_call_goes_through(
    open_desk: OpenDesk, api: HostedApi
) -> None:
    desk = open_desk(spend="ask")

    refusal = await refusal_of(submit(desk, order()))
    assert "0.52 to 0.63 EUR" in refusal.message
    assert "Ask the user" in refusal.hint
    assert f"max_cost_eur_cents={CHEAP}" in refusal.hint
    # The ready-made next call must not be the consent that only a person can give.
    assert refusal.changes == {"backend": "local"}

    made = await submit(desk, order(max_cost_eur_cents=CHEAP))
    assert not made.reused
    assert len(api.submits) == 1


async def test_ask_asks_again_for_every_resubmit(open_desk: OpenDesk, api: HostedApi) -> None:
    desk = open_desk(spend="ask")
    made = await submit(desk, order(max_cost_eur_cents=CHEAP))
    api.finish(made.job_id)
    await seen(desk, made.job_id)

    refusal = await refusal_of(submit(desk, order(resubmit=True)))

    assert refusal.code == "spend_refused"
    assert len(api.submits) == 1


@pytest.mark.parametrize("policy", ["ask", "allow"])
@pytest.mark.parametrize(("driver_limit", "high"), [(0, CHEAP), (None, DEAR)])
async def test_the_limit_of_the_caller_holds_to_the_cent(
    open_desk: OpenDesk, api: HostedApi, policy: str, driver_limit: int | None, high: int
) -> None:
    desk = open_desk(spend=policy)

    refusal = await refusal_of(submit(desk, order(driver_limit=driver_limit, max_cost_eur_cents=high - 1)))
    assert refusal.code == "spend_refused"
    assert str(high) in refusal.hint
    assert api.submits == []

    await submit(desk, order(driver_limit=driver_limit, max_cost_eur_cents=high))
    assert len(api.submits) == 1


async def test_the_daily_cap_counts_what_is_running_and_what_was_charged(
    open_desk: OpenDesk, api: HostedApi, hosted: Desk
) -> None:
    desk = open_desk(spend_cap_eur_cents=3 * CHEAP)
    first = await submit(desk, another(1))
    await submit(desk, another(2))
    await submit(desk, another(3))

    refusal = await refusal_of(submit(desk, another(4)))
    assert refusal.code == "spend_refused"
    assert "1.89 EUR" in refusal.message

    api.finish(first.job_id, cents=0)
    await hosted.store.put_job(await hosted.backend().job(first.job_id), "sybilion")
    await submit(desk, another(4))
    assert len(api.submits) == 4


async def test_over_the_cap_one_hears_what_is_paid_what_is_held_and_what_would_fit(
    open_desk: OpenDesk, api: HostedApi
) -> None:
    desk = open_desk(spend_cap_eur_cents=DEAR + 2 * CHEAP)
    paid = await submit(desk, another(1))
    await submit(desk, another(2))
    api.finish(paid.job_id, cents=40)
    await seen(desk, paid.job_id)
    await submit(desk, another(3, backend="local"))
    await submit(desk, another(4))

    refusal = await refusal_of(submit(desk, another(5, driver_limit=None)))

    assert "expected to cost 2.19 to 3.92 EUR" in refusal.message
    assert "the day may pass its cap of 5.18 EUR" in refusal.message
    assert "0.40 EUR paid, 1.26 EUR reserved for 2 jobs whose costs are not known yet; get_status" in refusal.message
    assert refusal.hint.startswith("Leave outside drivers away with driver_limit=0 (0.52 to 0.63 EUR), which fits, ")
    assert "tomorrow" in refusal.hint
    assert (await submit(desk, another(5))).job_id in api.jobs


async def test_what_is_dearer_than_the_whole_cap_is_not_put_off_until_tomorrow(
    open_desk: OpenDesk, api: HostedApi
) -> None:
    refusal = await refusal_of(submit(open_desk(spend_cap_eur_cents=300), order(driver_limit=None)))
    without = await refusal_of(submit(open_desk(spend_cap_eur_cents=CHEAP - 1), order()))

    assert "by itself it may cost more than the cap of 3.00 EUR a day" in refusal.message
    assert "driver_limit=0" in refusal.hint
    assert "driver_limit=0" not in without.hint
    assert "tomorrow" not in refusal.hint + without.hint
    assert api.submits == []


async def test_the_daily_cap_counts_what_other_processes_spent(open_desk: OpenDesk, api: HostedApi) -> None:
    await submit(open_desk(), another(1))

    refusal = await refusal_of(submit(open_desk(spend_cap_eur_cents=2 * CHEAP - 1), another(2)))

    assert refusal.code == "spend_refused"
    assert len(api.submits) == 1


async def test_the_embedded_engine_does_not_fill_the_cap(open_desk: OpenDesk, api: HostedApi) -> None:
    desk = open_desk(spend_cap_eur_cents=CHEAP)
    await submit(desk, order(backend="local"))

    await submit(desk, order())

    assert len(api.submits) == 1


# What our own settled jobs say


async def test_a_few_settled_jobs_say_more_than_what_was_published(open_desk: OpenDesk, api: HostedApi) -> None:
    desk = open_desk()
    await settled(desk, api, [70, 90, 60, 80])
    assert await expected_for(desk, "sybilion", 0) == WITHOUT_DRIVERS

    await settled(desk, api, [75], first=200)

    assert await expected_for(desk, "sybilion", 0) == Expectation((60, 90), (300, 300), "your own 5 settled jobs")


async def test_of_many_jobs_the_dearest_and_the_cheapest_do_not_count(open_desk: OpenDesk, api: HostedApi) -> None:
    desk = open_desk()
    await settled(desk, api, [1, *range(50, 69), 999])

    found = await expected_for(desk, "sybilion", 0)

    assert (found.eur_cents, found.basis) == ((51, 67), "your own 21 settled jobs")


async def test_only_the_newest_jobs_count(open_desk: OpenDesk, api: HostedApi) -> None:
    desk = open_desk()
    await settled(desk, api, [10] * 3)
    await settled(desk, api, [500] * NEWEST, first=1000)

    assert (await expected_for(desk, "sybilion", 0)).eur_cents == (500, 500)


async def test_jobs_with_and_without_drivers_are_kept_apart(open_desk: OpenDesk, api: HostedApi) -> None:
    desk = open_desk()
    await settled(desk, api, [300] * FEWEST, driver_limit=None)
    await settled(desk, api, [310] * 3, first=200, driver_limit=40)

    assert await expected_for(desk, "sybilion", 0) == WITHOUT_DRIVERS
    assert (await expected_for(desk, "sybilion", None)).eur_cents == (300, 310)
    assert (await expected_for(desk, "sybilion", 7)).basis == "your own 8 settled jobs"
    assert await expected_for(desk, "local", None) == EMBEDDED


async def test_another_account_has_other_prices(open_desk: OpenDesk, api: HostedApi) -> None:
    await settled(open_desk(), api, [70] * FEWEST)

    assert await expected_for(open_desk(api_token="sk_ops_another"), "sybilion", 0) == WITHOUT_DRIVERS
    assert await expected_for(open_desk(api_base_url="http://127.0.0.1:9"), "sybilion", 0) == WITHOUT_DRIVERS
    assert (await expected_for(open_desk(), "sybilion", 0)).eur_cents == (70, 70)


async def test_jobs_that_failed_or_cost_nothing_or_run_say_nothing_about_the_price(
    open_desk: OpenDesk, api: HostedApi
) -> None:
    desk = open_desk()
    await settled(desk, api, [0] * FEWEST)
    for job_id in await settled(desk, api, [20] * FEWEST, first=200):
        api.finish(job_id, "failed", cents=20)
        await seen(desk, job_id)
    for number in range(FEWEST):
        await submit(desk, another(number))

    assert await expected_for(desk, "sybilion", 0) == WITHOUT_DRIVERS


async def test_the_gate_the_answer_and_the_cap_go_by_our_own_jobs(open_desk: OpenDesk, api: HostedApi) -> None:
    """Given an account that pays more than was published, what was published is no consent and no hold any more."""
    desk = open_desk(spend="ask")
    await settled(open_desk(), api, [150, 160, 170, 180, 200])
    before = await spent(desk)

    refusal = await refusal_of(submit(desk, another(1, max_cost_eur_cents=CHEAP)))
    assert "1.50 to 2.00 EUR (your own 5 settled jobs)" in refusal.message
    made = await submit(desk, another(1, max_cost_eur_cents=200))

    assert made.expected.eur_cents == (150, 200)
    assert await spent(desk) - before == 200
    refusal = await refusal_of(submit(open_desk(spend_cap_eur_cents=before + 399), another(2)))
    assert refusal.code == "spend_refused"


def test_ranges_read_well() -> None:
    assert (duration(WITH_DRIVERS), euros(WITH_DRIVERS)) == ("8 to 15 minutes", "2.19 to 3.92 EUR")
    assert (duration(WITHOUT_DRIVERS), duration(EMBEDDED)) == ("2 to 4 minutes", "2 to 30 seconds")
    assert duration(Expectation((1, 2), (20, 121), "")) == "1 to 3 minutes"
    assert (duration(Expectation((7, 7), (40, 40), "")), euros(Expectation((7, 7), (1, 2), ""))) == (
        "40 seconds",
        "0.07 EUR",
    )


# What the cap counts


@pytest.mark.parametrize("status", ["failed", "canceled"])
async def test_a_job_that_came_to_nothing_counts_as_expected_until_its_cost_is_known(
    open_desk: OpenDesk, api: HostedApi, status: str
) -> None:
    desk = open_desk()
    made = await submit(desk, order())
    api.jobs[made.job_id] |= {"status": status}
    await seen(desk, made.job_id)
    assert await spent(desk) == CHEAP

    api.finish(made.job_id, status, cents=7)
    await seen(desk, made.job_id)
    assert await spent(desk) == 7

    await submit(desk, order())  # the question may be asked again, and what the first try cost still counts
    assert await spent(desk) == 7 + CHEAP


async def test_a_submit_whose_answer_was_lost_is_held_and_one_that_was_declined_is_not(
    open_desk: OpenDesk, api: HostedApi
) -> None:
    desk = open_desk()
    api.next("submit", reset(handled=True), error(402, "insufficient available credits for hold"))

    for number in (1, 2):
        with pytest.raises(BackendError):
            await submit(desk, another(number))

    assert await spent(desk) == CHEAP


async def test_what_was_charged_counts_even_above_what_was_expected(open_desk: OpenDesk, api: HostedApi) -> None:
    desk = open_desk(spend_cap_eur_cents=10 * CHEAP)
    await settled(desk, api, [10 * CHEAP - 1])

    refusal = await refusal_of(submit(desk, another(1)))

    assert refusal.code == "spend_refused"


async def test_the_cap_holds_under_eight_submitters_at_once(open_desk: OpenDesk, api: HostedApi) -> None:
    """Given eight desks on one home that all submit at the same time, as many pass as the cap pays for."""
    desks = [open_desk(spend_cap_eur_cents=5 * CHEAP + 1) for _ in range(8)]
    codes: list[str] = []

    async def ask(desk: Desk, number: int) -> None:
        try:
            await submit(desk, another(number))
        except Refusal as refusal:
            codes.append(refusal.code)

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            for number in range(24):
                group.start_soon(ask, desks[number % 8], number)

    assert len(api.submits) == 5
    assert codes == ["spend_refused"] * 19
    assert await spent(desks[0]) == 5 * CHEAP


@pytest.mark.parametrize("settings", [{"read_only": True}, {"spend": "deny"}])
async def test_what_is_forbidden_stays_so_for_a_question_whose_answer_was_lost(
    open_desk: OpenDesk, api: HostedApi, settings: dict[str, Any]
) -> None:
    api.next("submit", reset())
    with pytest.raises(BackendError):
        await submit(open_desk(), order())

    for number in range(3):
        await refusal_of(submit(open_desk(**settings), order(resubmit=number == 2, max_cost_eur_cents=10_000)))

    assert len(api.submits) == 1


@pytest.mark.parametrize("status", ["failed", "canceled"])
@pytest.mark.parametrize(
    ("cents", "settled", "booked"), [(60, True, CHEAP), (None, True, CHEAP), (0, False, CHEAP), (0, True, 0)]
)
async def test_what_a_lost_job_that_came_to_nothing_may_have_cost_still_counts(
    open_desk: OpenDesk,
    api: HostedApi,
    monkeypatch: pytest.MonkeyPatch,
    status: str,
    cents: int | None,
    settled: bool,
    booked: int,
) -> None:
    monkeypatch.setattr(ledger, "LOST_AFTER", timedelta(0))
    desk = open_desk()
    api.next("submit", reset(handled=True))
    with pytest.raises(BackendError):
        await submit(desk, order())
    (job_id,) = api.jobs
    api.jobs[job_id] |= {"status": status, "settled": settled, "eur_cents_final": cents}

    assert not (await submit(desk, order())).reused
    assert await spent(desk) == booked + CHEAP


async def test_a_job_that_runs_is_held_in_full_whatever_it_says_it_costs(open_desk: OpenDesk, api: HostedApi) -> None:
    desk = open_desk(spend_cap_eur_cents=2 * CHEAP - 1)
    made = await submit(desk, another(1))
    api.jobs[made.job_id]["eur_cents_final"] = 0
    await seen(desk, made.job_id)

    assert (await refusal_of(submit(desk, another(2)))).code == "spend_refused"
    assert await spent(desk) == CHEAP
    assert await desk.store.forget_job(made.job_id)
    assert await spent(desk) == CHEAP


async def test_a_limit_is_no_consent_where_a_person_can_be_asked(open_desk: OpenDesk, api: HostedApi) -> None:
    asking = replace(order(max_cost_eur_cents=10_000), person=True)

    refusal = await refusal_of(submit(open_desk(spend="ask"), asking))

    assert (refusal.code, refusal.changes, refusal.retry_after_s) == ("spend_refused", {}, 1)
    assert api.submits == []
    assert not (await submit(open_desk(spend="allow"), asking)).reused
