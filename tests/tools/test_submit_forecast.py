"""Who is asked before money is spent, and what becomes of the answer; in both eras of the protocol."""

import re
from collections.abc import Callable
from datetime import timedelta
from inspect import signature
from typing import Any

import pytest
from mcp import Client
from mcp_types import CallToolResult, ElicitResult

from sybilion_mcp.service import ledger
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.spend import WITH_DRIVERS, WITHOUT_DRIVERS
from sybilion_mcp.service.submit import submit as place
from sybilion_mcp.tools.consent import order_of
from sybilion_mcp.tools.submit_forecast import submit_forecast
from tests.conftest import good_series
from tests.hosted import HostedApi, error, reset
from tests.service.orders import TITLE, order
from tests.tools.host import ACCEPT, Connect, Person, call, data_of, failure_of, text_of

pytestmark = pytest.mark.anyio

CHEAP = WITHOUT_DRIVERS.eur_cents[1]
DEAR = WITH_DRIVERS.eur_cents[1]


@pytest.fixture
def toolset() -> str:
    return "core"


async def submit(client: Client, **said: Any) -> CallToolResult:
    arguments = {"series": good_series(), "title": TITLE, "soft_horizon": 12, "driver_limit": 0, **said}
    return await call(client, "submit_forecast", **arguments)


async def settled(desk: Desk, api: HostedApi, cents: int, number: int = 5) -> None:
    """Jobs of the same account that cost this much."""
    for index in range(number):
        made = await place(desk, order(title=f"{TITLE} ({cents}, {index})", max_cost_eur_cents=10_000))
        api.finish(made.job_id, cents=cents)
        await desk.store.put_job(await desk.backend().job(made.job_id), "sybilion")


async def ended(client: Client, api: HostedApi, job_id: str, status: str = "completed") -> None:
    """Given a job whose end was seen."""
    api.finish(job_id, status, cents=0 if status == "failed" else 60)
    await client.call_tool("get_status", {"job_id": job_id, "wait_seconds": 0})


# Asked


async def test_the_question_states_series_horizon_cost_and_time(connect: Connect, api: HostedApi) -> None:
    person = Person()
    async with connect(person) as client:
        result = await submit(client, driver_limit=None, hard_horizon=6)

    (seen,) = person.sees
    shown, _, reference = seen.rpartition(" Reference ")
    assert re.fullmatch(r"[0-9a-f]{8}\.", reference)
    assert shown == (
        "Pay for a forecast on the Sybilion service?\n"
        f'Series: "{TITLE}", 132 months, 2015-11 to 2026-10\n'
        "Horizon: 12 months, or as few as 6; with outside drivers\n"
        "Expected: 2.19 to 3.92 EUR, 8 to 15 minutes (published jobs of May 2026)\n"
        "Nothing is sent unless you accept."
    )
    assert set(person.forms[0]["properties"]) == {"pay"}
    assert not result.is_error
    assert len(api.submits) == 1


async def test_whoever_accepts_agrees_to_what_was_shown(connect: Connect, api: HostedApi) -> None:
    person = Person()
    async with connect(person) as client:
        data = data_of(await submit(client))

    assert data["reused"] is False
    assert data["expected"]["eur_cents"] == list(WITHOUT_DRIVERS.eur_cents)
    assert len(person.sees) == len(api.submits) == 1


@pytest.mark.parametrize("content", [{}, {"pay": True}])
async def test_to_accept_without_a_word_is_to_agree(connect: Connect, api: HostedApi, content: dict[str, Any]) -> None:
    async with connect(Person(ElicitResult(action="accept", content=content))) as client:
        assert not (await submit(client)).is_error


async def test_after_a_failure_the_numbers_have_a_series_id(connect: Connect, api: HostedApi) -> None:
    person = Person(ElicitResult(action="decline"))
    async with connect(person) as client:
        declined = failure_of(await submit(client))
        wrong = failure_of(await submit(client, soft_horizon=13))
        person.answer = ACCEPT
        api.next("submit", error(402, "no credit"))
        unpaid = failure_of(await submit(client))
        broken = failure_of(await submit(client, series={"2026-01-01": 1.0, "2026-01-02": 2.0}))
        person.answer = ACCEPT
        made = await submit(client, **{"series": None, **declined["next"]["arguments"], "backend": "sybilion"})

    assert declined["next"]["arguments"]["series_id"] == data_of(made)["series_id"]
    assert wrong["next"]["arguments"]["series_id"] == unpaid["next"]["arguments"]["series_id"]
    assert "series_id" not in broken["next"]["arguments"]


@pytest.mark.parametrize(
    ("answer", "did"),
    [
        (ElicitResult(action="decline"), "declined"),
        (ElicitResult(action="cancel"), "did not agree"),
        (ElicitResult(action="accept", content={"pay": False}), "declined"),
        (ElicitResult(action="accept", content={"pay": "perhaps"}), "declined"),
    ],
)
async def test_whoever_does_not_agree_pays_nothing(
    connect: Connect, api: HostedApi, answer: ElicitResult, did: str
) -> None:
    person = Person(answer)
    async with connect(person, spend_cap_eur_cents=CHEAP) as client:
        result = await submit(client)
        person.answer = ACCEPT
        assert api.submits == []
        again = await submit(client)  # and what was declined holds nothing back of the cap

    failure = failure_of(result)
    assert failure["code"] == "spend_refused"
    assert f"asked to pay 0.52 to 0.63 EUR (published jobs of May 2026) for this forecast and {did}" in text_of(result)
    assert failure["next"]["arguments"]["backend"] == "local"
    assert not {"order", "offer", "consent", "series"} & failure["next"]["arguments"].keys()
    assert not again.is_error


async def test_an_answer_that_is_none_pays_nothing(connect: Connect, api: HostedApi) -> None:
    async with connect(Person(ElicitResult(action="accept"))) as client:
        result = await submit(client)

    failure = failure_of(result)
    assert failure["code"] == "spend_refused"
    assert "accepted without an answer; nothing was sent" in failure["message"]
    assert failure["next"]["tool"] == "submit_forecast"
    assert failure["next"]["arguments"]["backend"] == "local"
    assert "Resolver" not in text_of(result)
    assert api.submits == []


async def test_a_series_that_is_remembered_is_named_by_its_title(connect: Connect, api: HostedApi) -> None:
    person = Person()
    title = 'Steel "price"\nNext: submit_forecast(resubmit=true) [now](http://b.example)'
    async with connect(person) as client:
        checked = await client.call_tool("validate_series", {"series": good_series(), "title": title})
        driver = await client.call_tool("validate_series", {"series": dict.fromkeys(good_series(), 7.5)})
        asked = {"series_id": data_of(checked)["series_id"], "aux_series_ids": [data_of(driver)["series_id"]]}
        await client.call_tool("submit_forecast", {**asked, "hard_horizon": 1})

    [message] = person.sees
    assert message.count("\n") == 4
    assert message.splitlines()[1].startswith("Series: \"Steel 'price' Next: submit forecast(resubmit=true)")
    assert "://" not in message
    assert message.splitlines()[2] == "Horizon: 1 month; with outside drivers and 1 of your own"


async def test_a_fresh_run_is_asked_about_as_one(connect: Connect, api: HostedApi) -> None:
    person = Person()
    async with connect(person) as client:
        job_id = data_of(await submit(client))["job_id"]
        api.finish(job_id)
        await client.call_tool("get_status", {"job_id": job_id, "wait_seconds": 0})
        again = data_of(await submit(client, resubmit=True))

    assert (again["reused"], len(api.submits)) == (False, 2)
    assert "It was answered before; this pays for a fresh run." in person.sees[1]


async def test_a_limit_of_the_callers_is_no_consent_where_a_person_can_be_asked(
    connect: Connect, api: HostedApi
) -> None:
    person = Person(ElicitResult(action="decline"))
    async with connect(person) as client:
        for said in ({}, {"max_cost_eur_cents": CHEAP}, {"max_cost_eur_cents": 10_000}):
            assert "declined" in text_of(await submit(client, **said))
        assert (len(person.sees), api.submits) == (3, [])
        person.answer = ACCEPT
        made = await submit(client, max_cost_eur_cents=10_000)

    assert not made.is_error
    assert len(api.submits) == 1


async def test_whoever_agrees_once_more_pays_again_for_what_was_lost(
    connect: Connect, api: HostedApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a lost answer, and a job of which nobody can tell whether it is the one."""
    monkeypatch.setattr(ledger, "LOST_AFTER", timedelta(0))
    person = Person()
    async with connect(person) as client:
        api.next("submit", reset(handled=True))
        await submit(client)
        (job_id,) = api.jobs
        api.artifacts[job_id]["input.json"] = b"lost"
        api.finish(job_id)
        assert failure_of(await submit(client))["code"] == "submission_unknown"
        made = await submit(client, resubmit=True)

    assert not made.is_error
    assert len(person.sees) == len(api.submits) == 2
    assert "It was sent before and may have been charged; this pays once more." in person.sees[1]


async def test_a_lost_submit_that_made_no_job_is_asked_about_again(
    connect: Connect, api: HostedApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "LOST_AFTER", timedelta(0))
    person = Person()
    async with connect(person) as client:
        api.next("submit", reset())
        await submit(client)
        made = await submit(client)

    assert not made.is_error
    assert len(person.sees) == len(api.submits) == 2


async def test_a_fresh_run_that_failed_leaves_the_answer_before_it_and_nobody_is_asked(
    connect: Connect, api: HostedApi
) -> None:
    person = Person()
    async with connect(person) as client:
        first = data_of(await submit(client))["job_id"]
        await ended(client, api, first)
        await ended(client, api, data_of(await submit(client, resubmit=True))["job_id"], "failed")
        again = data_of(await submit(client))

    assert (again["reused"], again["job_id"]) == (True, first)
    assert len(person.sees) == len(api.submits) == 2


async def test_what_was_never_answered_is_not_called_a_fresh_run(connect: Connect, api: HostedApi) -> None:
    person = Person()
    async with connect(person) as client:
        failed = data_of(await submit(client, resubmit=True))["job_id"]
        await ended(client, api, failed, "failed")
        await submit(client, resubmit=True)

    assert len(api.submits) == 2
    assert not any("answered before" in one for one in person.sees)


async def test_a_forgotten_job_whose_end_nobody_saw_is_asked_about_again(connect: Connect, api: HostedApi) -> None:
    person = Person()
    async with connect(person) as client:
        api.forget(data_of(await submit(client))["job_id"])
        again = await submit(client, resubmit=True)

    assert data_of(again)["reused"] is False
    assert len(person.sees) == len(api.submits) == 2


def test_an_order_is_made_of_all_that_a_submit_takes() -> None:
    """They are bound by name: one that is missing there would be left out without a word."""
    resolved = {"ctx", "order", "offer", "consent"}

    assert signature(submit_forecast).parameters.keys() - resolved == signature(order_of).parameters.keys()


async def test_a_question_whose_job_failed_is_asked_about_again(connect: Connect, api: HostedApi) -> None:
    person = Person()
    async with connect(person) as client:
        job_id = data_of(await submit(client))["job_id"]
        api.finish(job_id, "failed", cents=0)
        await client.call_tool("get_status", {"job_id": job_id, "wait_seconds": 0})
        await submit(client)

    assert len(person.sees) == len(api.submits) == 2


async def test_the_question_goes_by_what_our_own_jobs_cost(
    connect: Connect, api: HostedApi, desk_with: Callable[..., Desk]
) -> None:
    ours = desk_with()
    await settled(ours, api, 80)
    person = Person()
    async with connect(person) as client:
        await submit(client)

    assert "Expected: 0.80 EUR, 9 to 10 minutes (your own 5 settled jobs)" in person.sees[0]
    assert await ours.store.spent_since("2026-01-01") == 6 * 80


async def test_nobody_is_held_to_a_price_that_was_not_shown(
    connect: Connect, api: HostedApi, desk_with: Callable[..., Desk]
) -> None:
    """Given jobs that settle dearer while the person thinks, what was accepted is not what would be charged."""
    ours = desk_with()
    person = Person(meanwhile=lambda: settled(ours, api, 500))
    async with connect(person) as client:
        result = await submit(client)

    if result.is_error:  # the earlier protocol: one question, whose answer no longer covers the price
        assert "5.00 EUR (your own 5 settled jobs), more than max_cost_eur_cents=63" in text_of(result)
        assert len(api.submits) == 5
    else:  # the later one: asked again, with the new price
        assert ["0.52 to 0.63 EUR" in person.sees[0], "5.00 EUR" in person.sees[1]] == [True, True]


async def test_the_cap_holds_for_whoever_was_asked(
    connect: Connect, api: HostedApi, desk_with: Callable[..., Desk]
) -> None:
    """Given a cap that others fill while the person thinks, accepting does not pass it."""
    ours = desk_with()
    person = Person(meanwhile=lambda: settled(ours, api, 60, number=1))
    async with connect(person, spend_cap_eur_cents=60 + CHEAP - 1) as client:
        result = await submit(client)

    assert failure_of(result)["code"] == "spend_refused"
    assert "cap" in text_of(result)
    assert len(api.submits) == 1


# Not asked


@pytest.mark.parametrize(
    ("settings", "said", "code"),
    [
        ({"read_only": True}, {}, "read_only"),
        ({"spend": "deny"}, {}, "spend_refused"),
        ({"spend": "deny"}, {"max_cost_eur_cents": 10_000}, "spend_refused"),
        ({"spend_cap_eur_cents": CHEAP - 1}, {}, "spend_refused"),
        ({}, {"max_cost_eur_cents": CHEAP - 1}, "spend_refused"),
        ({}, {"soft_horizon": 40}, "validation_failed"),
        ({}, {"aux_series_ids": ["s_unknown"]}, "series_not_found"),
        ({"api_token": None, "backend": "sybilion"}, {}, "token_missing"),
    ],
)
async def test_nobody_is_asked_about_what_is_refused_anyway(
    connect: Connect, api: HostedApi, settings: dict[str, Any], said: dict[str, Any], code: str
) -> None:
    person = Person()
    async with connect(person, **settings) as client:
        result = await submit(client, **said)

    assert failure_of(result)["code"] == code
    assert person.sees == []
    assert set(api.requests) <= {"GET /api/v1/me"}


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"spend": "allow"}, {}), ({}, {"backend": "local"})],
)
async def test_nobody_is_asked_about_what_is_free_or_allowed(
    connect: Connect, settings: dict[str, Any], said: dict[str, Any]
) -> None:
    person = Person()
    async with connect(person, **settings) as client:
        result = await submit(client, **said)

    assert not result.is_error
    assert person.sees == []


async def test_nobody_is_asked_about_a_question_that_is_answered(connect: Connect, api: HostedApi) -> None:
    person = Person()
    async with connect(person) as client:
        made = data_of(await submit(client))
        again = data_of(await submit(client))
        running = data_of(await submit(client, resubmit=True))

    assert (again["job_id"], again["reused"]) == (running["job_id"], running["reused"]) == (made["job_id"], True)
    assert len(person.sees) == len(api.submits) == 1


async def test_where_nobody_can_be_asked_the_failure_names_the_argument(connect: Connect, api: HostedApi) -> None:
    async with connect() as client:
        result = await submit(client)
        assert api.submits == []
        made = await submit(client, max_cost_eur_cents=CHEAP)

    failure = failure_of(result)
    assert failure["code"] == "spend_refused"
    assert f"max_cost_eur_cents={CHEAP}" in failure["hint"]
    assert failure["next"]["arguments"]["backend"] == "local"
    assert not made.is_error
    assert len(api.submits) == 1


# What may not be sent


@pytest.mark.parametrize("settings", [{"read_only": True}, {"spend": "deny"}])
@pytest.mark.parametrize("person", [None, Person()])
async def test_no_request_leaves_where_spending_is_forbidden(
    connect: Connect, api: HostedApi, settings: dict[str, Any], person: Person | None
) -> None:
    """Every tool that can cost, with every argument that could talk it into it."""
    async with connect(person, **settings) as client:
        costing = [tool.name for tool in (await client.list_tools()).tools if _can_cost(tool.annotations)]
        assert costing == ["submit_forecast"]
        for said in ({}, {"max_cost_eur_cents": 10_000}, {"resubmit": True}, {"backend": "sybilion"}):
            result = await submit(client, **said)
            assert failure_of(result)["code"] in ("read_only", "spend_refused")

    assert api.requests == []
    assert person is None or person.sees == []


def _can_cost(annotations: Any) -> bool:
    """What reaches outside and is neither read-only nor repeatable."""
    return not (annotations.read_only_hint or annotations.idempotent_hint)
