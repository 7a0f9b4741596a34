"""Billed calls and catalogues as they are kept."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from sybilion_mcp.store.entries import Call, KeptCatalogue
from sybilion_mcp.store.records import OverCap
from sybilion_mcp.store.store import Store

pytestmark = pytest.mark.anyio

DAY = "2026-11-22"
NEW = Call("id-1", "question", "open", "drivers", "sybilion", "us", 50, f"{DAY}T10:00:00.000+00:00")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    made = Store(tmp_path / "home")
    yield made
    await made.aclose()


async def test_the_first_to_begin_decides_the_id(store: Store) -> None:
    first = await store.calls.begin(NEW)
    second = await store.calls.begin(replace(NEW, request_id="id-2"))

    assert (first, second) == ((NEW, True), (NEW, False))


async def test_no_single_failure_tells_that_a_call_of_two_senders_cost_nothing(store: Store) -> None:
    await store.calls.begin(NEW)
    assert await store.calls.join("id-1")

    await store.calls.refuse("id-1")
    joined = await store.calls.current("question")
    assert joined is not None
    assert joined.state == "joined"
    assert await store.spent_since(DAY) == 50

    await store.calls.refuse("id-1", never_taken=True)
    assert await store.spent_since(DAY) == 0


@pytest.mark.parametrize("told", ["refused", "answered"])
async def test_what_was_told_meanwhile_is_not_joined(store: Store, told: str) -> None:
    await store.calls.begin(NEW)
    await (store.calls.refuse("id-1") if told == "refused" else store.calls.put_answer("id-1", {}, "now", 1, 5))

    assert not await store.calls.join("id-1")


async def test_what_was_refused_begins_again_under_its_id(store: Store) -> None:
    await store.calls.begin(NEW)
    await store.calls.refuse("id-1")
    refused = await store.calls.current("question")
    assert refused is not None
    assert refused.state == "refused"
    assert await store.spent_since(DAY) == 0

    again, _ = await store.calls.begin(replace(NEW, request_id="id-2", expected_eur_cents=40), replaces=refused)

    assert (again.request_id, again.state, again.expected_eur_cents) == ("id-1", "open", 40)
    assert await store.spent_since(DAY) == 40


async def test_what_was_refused_meanwhile_passes_the_cap_again(store: Store) -> None:
    """Given one who looked before another began and was refused, and a cap that something else has filled since."""
    await store.calls.begin(NEW, cap_eur_cents=60)
    await store.calls.refuse("id-1")
    await store.calls.begin(replace(NEW, request_id="id-2", request_hash="other"), cap_eur_cents=60)

    with pytest.raises(OverCap):
        await store.calls.begin(replace(NEW, request_id="id-3"), cap_eur_cents=60)
    begun, _ = await store.calls.begin(replace(NEW, request_id="id-3"), cap_eur_cents=100)

    assert (begun.request_id, begun.state) == ("id-1", "open")
    assert await store.spent_since(DAY) == 100


async def test_a_lost_call_stays_counted_when_it_is_agreed_to_again(store: Store) -> None:
    lost, _ = await store.calls.begin(NEW)
    later = replace(NEW, request_id="id-2", created_at="2026-11-23T11:00:00.000+00:00")

    assert await store.calls.begin(later, replaces=lost) == (later, True)
    assert await store.calls.begin(replace(later, request_id="id-3"), replaces=lost) == (later, False)

    assert await store.spent_since(DAY) == 100
    assert await store.spent_since("2026-11-23") == 50


async def test_an_answer_is_kept_until_it_is_replaced_and_its_cost_after_that(store: Store) -> None:
    await store.calls.begin(NEW)
    await store.calls.put_answer("id-1", {"data": {"drivers": []}}, "at", 3, 15)
    answered = await store.calls.current("question")
    assert answered is not None
    assert (answered.state, answered.answer, answered.units) == ("answered", {"data": {"drivers": []}}, 3)

    renewed, _ = await store.calls.begin(replace(NEW, request_id="id-2"), replaces=answered)

    assert renewed.request_id == "id-2"
    assert await store.spent_since(DAY) == 65


async def test_an_answer_is_not_taken_back(store: Store) -> None:
    await store.calls.begin(NEW)
    await store.calls.put_answer("id-1", {"first": 1}, "at", 3, 15)
    await store.calls.put_answer("id-1", {"second": 2}, "at", 9, 45)
    await store.calls.refuse("id-1")

    kept = await store.calls.current("question")

    assert kept is not None
    assert (kept.answer, kept.state) == ({"first": 1}, "answered")


async def test_the_cap_stops_a_call_before_it_is_written_down(store: Store) -> None:
    await store.calls.begin(NEW, cap_eur_cents=60)

    with pytest.raises(OverCap) as over:
        await store.calls.begin(replace(NEW, request_id="id-2", request_hash="other"), cap_eur_cents=60)

    assert over.value.spent == 50
    assert await store.calls.current("other") is None


async def test_the_answer_of_another_try_is_told_from_the_first(store: Store) -> None:
    await store.calls.begin(NEW)

    assert await store.calls.put_answer("id-1", {}, "at", 10, 50)
    assert not await store.calls.put_answer("id-1", {}, "later", 10, 50)


async def test_a_charge_is_booked_for_one_call(store: Store) -> None:
    for request_id in ("id-1", "id-2"):
        await store.calls.begin(replace(NEW, request_id=request_id, request_hash=request_id))
        await store.calls.put_answer(request_id, {}, "at", 10, 50)

    assert await store.calls.book("id-1", "usage-7", 41)
    assert not await store.calls.book("id-2", "usage-7", 41)
    assert not await store.calls.book("id-1", "usage-8", 7)

    assert await store.calls.booked("us", 10) == {"usage-7"}
    assert [one.eur_cents for one in await store.calls.told("drivers", "us", 10)] == [41]
    assert await store.calls.told("alerts", "us", 10) == await store.calls.told("drivers", "them", 10) == []
    assert await store.spent_since(DAY) == 91


async def test_a_catalogue_is_replaced_by_a_newer_one(store: Store) -> None:
    await store.catalogues.put("https://a", "region", KeptCatalogue({1: "World", 2: "Europe"}, "monday"))
    await store.catalogues.put("https://a", "region", KeptCatalogue({3: "Asia"}, "tuesday"))

    assert await store.catalogues.get("https://a", "region") == KeptCatalogue({3: "Asia"}, "tuesday")
    assert await store.catalogues.get("https://a", "category") is None
    assert await store.catalogues.get("https://b", "region") is None


async def test_a_database_from_before_gets_the_tables(tmp_path: Path, store: Store) -> None:
    """Given a file of the same version without them."""
    from contextlib import closing
    from sqlite3 import connect

    await store.spent_since(DAY)
    await store.aclose()
    with closing(connect(tmp_path / "home" / "desk.db")) as file:
        file.executescript("DROP TABLE calls; DROP TABLE catalogues")

    assert await store.calls.begin(NEW) == (NEW, True)
