"""The gate: nothing that may cost money passes it unless this installation, this call and this day allow it."""

from typing import Any

import anyio
import pytest

from sybilion_mcp.hints import Refusal
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.spend import WITH_DRIVERS, WITHOUT_DRIVERS, expectation
from sybilion_mcp.service.submit import submit
from tests.hosted import HostedApi
from tests.service.conftest import OpenDesk
from tests.service.orders import TITLE, order, refusal_of

pytestmark = pytest.mark.anyio

DEAR = WITH_DRIVERS.eur_cents[1]
CHEAP = WITHOUT_DRIVERS.eur_cents[1]


def another(number: int, **said: Any) -> Any:
    """A question that was not asked before."""
    return order(title=f"{TITLE} ({number})", **said)


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
    assert api.requests == []
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


async def test_the_daily_cap_counts_what_other_processes_spent(open_desk: OpenDesk, api: HostedApi) -> None:
    await submit(open_desk(), another(1))

    refusal = await refusal_of(submit(open_desk(spend_cap_eur_cents=2 * CHEAP - 1), another(2)))

    assert refusal.code == "spend_refused"
    assert len(api.submits) == 1


async def test_the_daily_cap_holds_when_several_processes_submit_at_once(open_desk: OpenDesk, api: HostedApi) -> None:
    desks = [open_desk(spend_cap_eur_cents=2 * CHEAP) for _ in range(3)]
    codes: list[str] = []

    async def ask(desk: Desk, number: int) -> None:
        try:
            await submit(desk, another(number))
        except Refusal as refusal:
            codes.append(refusal.code)

    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            for number in range(6):
                group.start_soon(ask, desks[number % 3], number)

    assert len(api.submits) == 2
    assert codes == ["spend_refused"] * 4


async def test_the_embedded_engine_does_not_fill_the_cap(open_desk: OpenDesk, api: HostedApi) -> None:
    desk = open_desk(spend_cap_eur_cents=CHEAP)
    await submit(desk, order(backend="local"))

    await submit(desk, order())

    assert len(api.submits) == 1
