"""Nobody is asked to pay for what the account cannot pay; where nobody can tell, the person is asked."""

from typing import Any

import pytest

from tests.billed import BilledApi
from tests.conftest import good_series
from tests.hosted import error
from tests.tools.host import Connect, Person, call, failure_of

pytestmark = pytest.mark.anyio

TITLE = "Copper price, London, USD per tonne"
SUBMIT = {"series": good_series(), "title": TITLE, "soft_horizon": 6, "driver_limit": 0}
CALLS = [("submit_forecast", SUBMIT, 52), ("rank_drivers", {"title": TITLE, "limit": 5}, 25)]


@pytest.mark.parametrize(("tool", "arguments", "least"), CALLS)
async def test_less_than_it_costs_at_least_is_told_instead(
    connect: Connect, api: BilledApi, tool: str, arguments: dict[str, Any], least: int
) -> None:
    api.me = {"available_eur_cents": least - 1}
    person = Person()
    async with connect(person) as client:
        told = failure_of(await call(client, tool, **arguments))

    assert told["code"] == "insufficient_balance"
    assert f"{(least - 1) / 100:.2f} EUR are available" in told["message"]
    assert told["next"]["arguments"]["backend"] == "local"
    assert (person.sees, api.submits, api.calls) == ([], [], [])


@pytest.mark.parametrize(("tool", "arguments", "least"), CALLS)
async def test_enough_or_an_account_that_is_not_told_is_asked_about(
    connect: Connect, api: BilledApi, tool: str, arguments: dict[str, Any], least: int
) -> None:
    person = Person()
    async with connect(person) as client:
        for me in ({"available_eur_cents": least}, {"available_eur_cents": None}):
            api.me = me
            answered = await call(client, tool, **arguments | {"title": f"{TITLE}, {me}"})
            assert not answered.is_error
        api.next("account", *[error(404, "not found")] * 4)
        await call(client, tool, **arguments | {"title": f"{TITLE}, not told"})

    assert len(person.sees) == 3
