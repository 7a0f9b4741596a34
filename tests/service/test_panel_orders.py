"""Submitting to Eomer: one question, one job, whatever gets lost; and nothing that would cost without a word."""

import json
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import anyio
import httpx
import pytest
import stamina

from sybilion_mcp.backends.base import BackendError, TransportError
from sybilion_mcp.contract.jobs import Job
from sybilion_mcp.hints import Refusal, Subject, explain
from sybilion_mcp.service.arguments import Options, PanelOptions
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.follow import asked_again, current
from sybilion_mcp.service.offer import offer
from sybilion_mcp.service.orders import Order
from sybilion_mcp.service.panel_orders import asked, described
from sybilion_mcp.service.submit import submit
from sybilion_mcp.service.validate import remember
from sybilion_mcp.settings import Settings
from tests.conftest import good_series, until
from tests.engine.eomer.made_up import body
from tests.eomer import Service, desk_of, serving

pytestmark = pytest.mark.anyio

DAILY: dict[str, Any] = {"series": body("D", 2, 40)["series"]}
LOST = httpx.ReadTimeout("nothing came")


class Opening(Protocol):
    """Opens a desk on the one folder of a test, as another process would."""

    def __call__(self, **settings: Any) -> Desk: ...


@pytest.fixture(autouse=True)
def no_pauses() -> Any:
    with stamina.set_testing(True, attempts=2):
        yield


@pytest.fixture
async def service(tmp_path: Path, executor: Executor) -> AsyncIterator[Service]:
    async with serving(tmp_path / "service", executor) as service:
        yield service


@pytest.fixture
async def opened(service: Service, tmp_path: Path) -> AsyncIterator[Opening]:
    async with AsyncExitStack() as stack:

        def opening(**settings: Any) -> Desk:
            desk = desk_of(service, tmp_path / "home", **settings)
            stack.push_async_callback(desk.aclose)
            return desk

        yield opening


def order(**changes: Any) -> Order:
    return replace(Order(Options(soft_horizon=3), series=DAILY["series"], backend="eomer"), **changes)


async def refused(desk: Desk, asked: Order) -> Refusal:
    with pytest.raises(Refusal) as caught:
        await submit(desk, asked)
    return caught.value


def later(desk: Desk, **passed: float) -> None:
    now = desk.now
    desk.now = lambda: now() + timedelta(**passed)


async def lose(desk: Desk, service: Service, *, handled: bool = True) -> None:
    """Given a submit whose answer never came, be the job made or not."""
    service.next(LOST, handled=handled)
    with pytest.raises(TransportError):
        await submit(desk, order())


async def given_up(desk: Desk) -> None:
    """Given that its answer did not come for minutes."""
    await refused(desk, order())
    later(desk, minutes=3)


# What a person is asked


async def test_a_preset_is_shown_as_it_is_written(opened: Opening) -> None:
    found = await asked(opened(), order(panel=PanelOptions(preset="chronos_bolt_small")))

    assert described(found.request)[-1] == "Horizon: 3 periods (D); preset chronos_bolt_small"


# One question, one job


async def test_the_same_question_is_answered_by_the_same_job(opened: Opening, service: Service) -> None:
    first = await submit(opened(), order())

    again = await submit(opened(), order())

    assert (first.reused, again.reused) == (False, True)
    assert again.job_id == first.job_id
    assert len(service.submits) == 1
    assert first.series_id.startswith("p_")


async def test_what_is_said_otherwise_and_means_the_same_is_no_other_question(opened: Opening) -> None:
    desk, turned = opened(), dict(reversed(DAILY["series"].items()))
    first = await submit(desk, order())

    for same in (
        order(series=turned),
        order(series=None, series_id=first.series_id),
        order(options=Options(soft_horizon=3, title="A title, which Eomer is not told", description="Neither")),
        order(panel=PanelOptions(preset="chronos_tiny")),
        order(options=Options(soft_horizon=3, recency_factor=0.5, backtest=True)),
    ):
        assert (await submit(desk, same)).job_id == first.job_id


@pytest.mark.parametrize(
    "other",
    [
        {"options": Options(soft_horizon=4)},
        {"panel": PanelOptions(preset="chronos_small")},
        {"panel": PanelOptions(quantile_levels=[0.9, 0.1])},
        {"panel": PanelOptions(explainability=False)},
    ],
    ids=str,
)
async def test_other_options_are_another_question(opened: Opening, other: dict[str, Any]) -> None:
    desk = opened()
    first = await submit(desk, order())

    assert (await submit(desk, order(**other))).job_id != first.job_id


async def test_another_key_is_another_account(opened: Opening) -> None:
    await submit(opened(), order())

    assert not (await submit(opened(eomer_api_key="another-key-0123456789"), order())).reused


async def test_the_ledger_holds_the_options_and_not_the_numbers(opened: Opening) -> None:
    desk = opened()
    made = await submit(desk, order(panel=PanelOptions("chronos_small", [0.9, 0.1], True)))

    written = await desk.store.submission_of(made.job_id)

    assert written is not None
    assert len(json.dumps(dict(written.request))) < 400
    assert asked_again(written) == {
        "series_id": made.series_id,
        "soft_horizon": 3,
        "preset": "chronos_small",
        "quantile_levels": [0.1, 0.9],
        "explainability": True,
        "backend": "eomer",
    }


async def test_a_monthly_series_is_a_panel_of_one(opened: Opening, service: Service) -> None:
    desk = opened()
    series_id = await remember(desk, good_series(), Options(title="Monthly demand, made up"))

    made = await submit(desk, order(series=None, series_id=series_id))

    panel = await desk.store.panels.get(made.series_id)
    assert panel is not None
    assert (panel.frequency, panel.title) == ("MS", "Monthly demand, made up")
    assert panel.series == {"series": good_series()}
    assert b"2026-10-01" in service.submits[0].content
    assert (await submit(desk, order(series=good_series()))).job_id == made.job_id


# Lost answers


@pytest.mark.parametrize("handled", [True, False], ids=["made", "not made"])
async def test_a_lost_submit_goes_out_again_only_when_the_user_says_so_and_under_its_id(
    opened: Opening, service: Service, handled: bool
) -> None:
    desk = opened()
    await lose(desk, service, handled=handled)

    early = await refused(desk, order())
    assert (early.code, early.retry_after_s) == ("submission_unknown", 30)
    await given_up(desk)
    told = await refused(desk, order())
    assert "Eomer lists no jobs" in told.hint
    assert "resubmit=true" in told.hint
    assert len(service.submits) == 1

    made = await submit(desk, order(resubmit=True))

    first, second = service.submits
    assert first.headers["x-request-id"] == second.headers["x-request-id"]
    assert (await current(desk, made.job_id)).job.job_id == made.job_id
    assert (await submit(desk, order())).job_id == made.job_id
    assert len(service.submits) == 2


async def test_a_lost_submit_that_is_lost_again_stays_one_job(opened: Opening, service: Service) -> None:
    desk = opened()
    await lose(desk, service)
    await given_up(desk)
    service.next(LOST, handled=True)
    with pytest.raises(TransportError):
        await submit(desk, order(resubmit=True))
    await refused(desk, order(resubmit=True))
    later(desk, minutes=3)

    made = await submit(desk, order(resubmit=True))

    assert len({one.headers["x-request-id"] for one in service.submits}) == 1
    assert len(service.submits) == 3
    assert (await submit(desk, order())).job_id == made.job_id


async def test_a_question_whose_lost_answer_came_to_a_failed_job_can_be_asked_again(
    opened: Opening, service: Service
) -> None:
    desk = opened()
    order = Order(Options(soft_horizon=3), **DAILY, backend="eomer")
    service.next(LOST, handled=True)
    with pytest.raises(TransportError):
        await submit(desk, order)
    begun = desk.now()
    for minutes in (1, 5):  # two looks, far enough apart
        desk.now = partial(begun.__add__, timedelta(minutes=minutes))
        with pytest.raises(Refusal):
            await submit(desk, order)
    failed = await submit(desk, replace(order, resubmit=True))
    told = {"job_id": failed.job_id, "status": "failed", "created_at": "2026-11-22T00:00:00Z", "error_code": "timeout"}
    service.gets = [httpx.Response(200, json=told)]
    assert (await current(desk, failed.job_id)).job.status == "failed"

    again = await submit(desk, replace(order, resubmit=True))

    first, second, third = (one.headers["x-request-id"] for one in service.submits)
    assert first == second != third
    assert again.job_id != failed.job_id


async def test_a_job_id_that_another_service_has_used_is_no_answer(opened: Opening, service: Service) -> None:
    desk = opened()
    taken = Job.model_validate({"job_id": "J-1", "status": "completed", "settled": True, "eur_cents_final": 300})
    await desk.store.put_job(taken, "sybilion")
    service.next(httpx.Response(202, json={"job_id": "J-1", "status": "pending"}))

    with pytest.raises((Refusal, BackendError)):
        await submit(desk, Order(Options(soft_horizon=3), **DAILY, backend="eomer"))

    stored = await desk.store.job("J-1")
    assert stored is not None
    assert (stored.backend, stored.job.eur_cents_final) == ("sybilion", 300)


async def test_no_cost_allowed_means_nothing_is_sent(opened: Opening, service: Service) -> None:
    desk = opened(spend="allow")
    with pytest.raises(Refusal) as refused:
        await submit(desk, Order(Options(soft_horizon=3), **DAILY, backend="eomer", max_cost_eur_cents=0))

    assert refused.value.code == "spend_refused"
    assert service.submits == []


async def test_a_resubmit_of_an_answered_question_is_a_new_job(opened: Opening, service: Service) -> None:
    desk = opened()
    first = await submit(desk, order())
    later(desk, minutes=1)
    while not (await current(desk, first.job_id)).job.finished:
        pass

    second = await submit(desk, order(resubmit=True))

    assert second.job_id != first.job_id
    assert len({one.headers["x-request-id"] for one in service.submits}) == 2


@pytest.mark.parametrize("first", [0, 1], ids=["the first answer comes first", "the second answer comes first"])
async def test_answers_to_both_of_two_sends_are_the_same_job(opened: Opening, service: Service, first: int) -> None:
    slow, other = opened(), opened()
    held = [service.hold(), service.hold()]
    made: list[str] = []

    async def submitted(desk: Desk, asked: Order) -> None:
        made.append((await submit(desk, asked)).job_id)

    async with anyio.create_task_group() as group:
        group.start_soon(submitted, slow, order())
        await until(lambda: len(service.submits) == 1)
        later(other, minutes=3)
        await given_up(other)
        group.start_soon(submitted, other, order(resubmit=True))
        await until(lambda: len(service.submits) == 2)
        held[first].set()
        await until(lambda: len(made) == 1)
        held[1 - first].set()

    assert made[0] == made[1]
    again = await submit(opened(), order())
    assert (again.job_id, again.reused) == (made[0], True)
    assert len(service.submits) == 2


async def test_what_the_service_declines_may_be_asked_again(opened: Opening, service: Service) -> None:
    desk = opened()
    service.next(httpx.Response(429, json={"error_code": "rate_limited"}))
    with pytest.raises(BackendError) as declined:
        await submit(desk, order())
    assert explain(declined.value, Subject("submit_forecast")).retry_after_s == 60

    assert not (await submit(desk, order())).reused


# What Eomer does not take


@pytest.mark.parametrize(
    "options",
    [
        Options(keywords=["price"]),
        Options(hard_horizon=3),
        Options(recency_factor=0.9),
        Options(backtest=False),
        Options(strictly_positive=True),
        Options(regions=[1]),
        Options(driver_limit=0),
    ],
    ids=str,
)
async def test_what_would_be_ignored_is_refused_with_a_fix(opened: Opening, service: Service, options: Options) -> None:
    refusal = await refused(opened(), order(options=options))

    (name,) = options.given()
    assert (refusal.code, refusal.changes) == ("invalid_argument", {name: None})
    assert name in refusal.message
    assert service.requests == []


@pytest.mark.parametrize("panel", [PanelOptions(preset="chronos_tiny"), PanelOptions(explainability=True)], ids=str)
async def test_what_only_eomer_takes_is_refused_elsewhere(opened: Opening, panel: PanelOptions) -> None:
    refusal = await refused(opened(), Order(Options(), series=good_series(), backend="local", panel=panel))

    assert (refusal.code, refusal.changes) == ("invalid_argument", dict.fromkeys(panel.given()))


@pytest.mark.parametrize(
    ("changes", "code", "fix"),
    [
        ({"options": Options(soft_horizon=0)}, "bad_prediction_length", {"soft_horizon": 1}),
        ({"options": Options(soft_horizon=1001)}, "bad_prediction_length", {"soft_horizon": 1000}),
        ({"panel": PanelOptions(preset="very best")}, "bad_preset", {"preset": "chronos_tiny"}),
        ({"panel": PanelOptions(quantile_levels=[1.5])}, "bad_quantile_levels", {}),
    ],
)
async def test_options_are_checked_before_anything_is_sent(
    opened: Opening, service: Service, changes: dict[str, Any], code: str, fix: dict[str, Any]
) -> None:
    refusal = await refused(opened(), order(**changes))

    assert refusal.code == "validation_failed"
    assert [one.code for one in refusal.problems] == [code]
    assert refusal.changes == fix
    assert service.requests == []


async def test_broken_series_lead_back_to_the_check(opened: Opening) -> None:
    holed = {"a": {"2026-01-01": 1.0, "2026-01-02": None, "2026-01-03": 1.0, "2026-01-04": 1.0}}

    refusal = await refused(opened(), order(series=holed))

    assert refusal.next is not None
    assert (refusal.next.tool, refusal.next.arguments) == ("validate_series", {"backend": "eomer", "fill": "linear"})


async def test_a_panel_is_nothing_for_the_other_services(opened: Opening) -> None:
    desk = opened()
    made = await submit(desk, order())

    refusal = await refused(desk, Order(Options(), series_id=made.series_id, backend="local"))

    assert refusal.code == "invalid_argument"
    assert "eomer" in refusal.hint
    unknown = await refused(desk, order(series=None, series_id="p_000000000000"))
    assert unknown.code == "series_not_found"


# Money


async def test_nothing_leaves_where_it_may_not(opened: Opening, service: Service) -> None:
    read_only = await refused(opened(read_only=True), order(max_cost_eur_cents=500))
    denied = await refused(opened(spend="deny"), order(max_cost_eur_cents=500))
    capped = await refused(opened(spend_cap_eur_cents=0), order(max_cost_eur_cents=500))

    assert [one.code for one in (read_only, denied, capped)] == ["read_only", "spend_refused", "spend_refused"]
    assert "no price" in denied.message
    assert "used up" in capped.message
    assert service.requests == []


@pytest.mark.parametrize("limit", [None, 0])
async def test_without_anybody_to_ask_the_limit_is_the_word(
    opened: Opening, service: Service, limit: int | None
) -> None:
    desk = opened(spend="ask")

    refusal = await refused(desk, order(max_cost_eur_cents=limit))

    assert refusal.code == "spend_refused"
    assert "max_cost_eur_cents" in refusal.hint
    assert "no limit can be set" in refusal.hint
    assert service.requests == []
    assert not (await submit(desk, order(max_cost_eur_cents=300))).reused


async def test_a_person_is_asked_about_what_is_sent(opened: Opening) -> None:
    desk = opened(spend="ask")

    asked = await offer(desk, order())

    assert asked is not None
    assert "Eomer" in asked.question
    assert "2 series" in asked.question
    assert "no price" in asked.question
    unasked = await refused(desk, order(person=True, max_cost_eur_cents=300))
    assert unasked.retry_after_s == 1
    assert not (await submit(desk, order(person=True, agreed_to=asked.request_hash))).reused
    assert await offer(desk, order()) is None


async def test_an_unknown_price_counts_nothing_towards_the_cap(opened: Opening) -> None:
    desk = opened(spend_cap_eur_cents=100)

    await submit(desk, order())

    assert await desk.store.spent_since("2000-01-01") == 0


async def test_without_a_key_it_is_said_where_to_put_one(tmp_path: Path) -> None:
    desk = Desk(Settings(home=tmp_path, spend="allow"))

    refusal = await refused(desk, order())

    assert refusal.code == "token_missing"
    assert "EOMER_API_KEY" in refusal.hint
    await desk.aclose()
