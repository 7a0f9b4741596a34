"""get_account: what there is, what is held, what was charged, and what may be spent from here."""

import pytest

from tests.billed import BilledApi
from tests.hosted import error
from tests.tools.host import Connect, call, data_of, failure_of, text_of

pytestmark = pytest.mark.anyio

ME = {
    "user_id": "u1",
    "balance_eur_cents": 1340,
    "available_eur_cents": 1114,
    "api_usage_tier": 2,
    "lifetime_paid_cents": 5000,
    "payment_count": 1,
    "has_ever_paid": True,
    "role": "user",
    "euro_tranches": [
        {"id": "t2", "remaining_eur_cents": 900, "expires_at": "2027-05-01T00:00:00Z", "source": "stripe"},
        {"id": "t1", "remaining_eur_cents": 440, "expires_at": "2026-12-01T00:00:00Z", "source": "signup_trial"},
    ],
    "signup_trial": {"remaining_eur_cents": 440, "expires_at": "2026-12-01T00:00:00Z"},
}
TITLE = "Copper price, London, USD per tonne"


@pytest.fixture(autouse=True)
def account(api: BilledApi) -> None:
    api.me = dict(ME)


async def test_balance_holds_tier_and_trial_are_told(connect: Connect) -> None:
    async with connect(spend_cap_eur_cents=500) as client:
        result = await call(client, "get_account")

    assert text_of(result).splitlines() == [
        "Available: 11.14 EUR, balance 13.40 EUR, held for running jobs 2.26 EUR.",
        'Tier: "2"; paid so far 50.00 EUR.',
        "Trial credit left: 4.40 EUR, until 2026-12-01.",
        "Next to expire: 4.40 EUR, until 2026-12-01.",
        "Spent or promised from here today (UTC): 0.00 EUR, of at most 5.00 EUR a day; "
        "the user is asked before anything is paid for.",
        "Next: get_account(include_usage=true)",
    ]
    data = data_of(result)
    assert (data["available_eur_cents"], data["held_eur_cents"], data["tier"]) == (1114, 226, "2")
    assert "charges" not in data


async def test_recent_charges_are_told_when_asked_for(connect: Connect, api: BilledApi) -> None:
    async with connect(spend="allow") as client:
        await call(client, "rank_drivers", title=TITLE, limit=5)
        result = await call(client, "get_account", include_usage=True)

    (charge,) = data_of(result)["charges"]
    assert (charge["what"], charge["units"], charge["eur_cents"]) == ("drivers", 5, 20)
    assert ',"drivers",5,0.20,' in text_of(result)
    assert "Spent or promised from here today (UTC): 0.20 EUR" in text_of(result)
    assert data_of(result)["spent_today_eur_cents"] == 20


async def test_without_a_token_it_is_free(connect: Connect, api: BilledApi) -> None:
    async with connect(api_token=None) as client:
        result = await call(client, "get_account", include_usage=True)

    assert "it is free, and has no account" in text_of(result)
    assert data_of(result)["backend"] == "local"
    assert api.requests == []


async def test_a_rejected_token_is_told(connect: Connect, api: BilledApi) -> None:
    api.always("account", error(401, "invalid token"))
    async with connect() as client:
        result = await call(client, "get_account")

    assert failure_of(result)["code"] == "token_rejected"
    assert "Retrying is useless" in failure_of(result)["hint"]
    assert failure_of(result)["next"] == {"tool": "validate_series", "arguments": {}}


@pytest.mark.parametrize("strange", [{}, {"balance_eur_cents": "many", "api_usage_tier": None, "euro_tranches": None}])
async def test_an_account_of_another_shape_is_still_told(
    connect: Connect, api: BilledApi, strange: dict[str, object]
) -> None:
    api.me = strange
    async with connect() as client:
        result = await call(client, "get_account")

    assert not result.is_error
    assert text_of(result).startswith("Available: not told")


async def test_without_usage_the_rest_is_told(connect: Connect, api: BilledApi) -> None:
    api.keeps_usage = False
    async with connect() as client:
        result = await call(client, "get_account", include_usage=True)

    assert not result.is_error
    assert "11.14 EUR" in text_of(result)


@pytest.mark.parametrize(
    ("cap", "said"),
    [
        (None, "without a daily cap; whatever is asked for is paid for without asking."),
        (500, "of at most 5.00 EUR a day; what the cap allows is paid for without asking."),
    ],
)
async def test_a_cap_is_spoken_of_where_there_is_one(connect: Connect, cap: int | None, said: str) -> None:
    async with connect(spend="allow", spend_cap_eur_cents=cap) as client:
        result = await call(client, "get_account")

    assert f"Spent or promised from here today (UTC): 0.00 EUR, {said}" in text_of(result)
