"""A user who changes the token stays the same account: what was asked before is not paid again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from sybilion_mcp.backends.base import BackendError
from sybilion_mcp.hints import Refusal, Subject, explain
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.offer import offer
from sybilion_mcp.service.spend import FEWEST, WITHOUT_DRIVERS, expected_for
from sybilion_mcp.service.submit import Submitted, submit
from sybilion_mcp.store.records import Submission
from sybilion_mcp.store.store import Store
from tests.hosted import Fault, HostedApi, cut, error, garbage, proxy_error, reset, silence
from tests.service.conftest import OpenDesk
from tests.service.orders import TITLE, order, refusal_of

pytestmark = pytest.mark.anyio

OLD, NEW, OTHER = "sk_ops_before_rotation", "sk_ops_after_rotation", "sk_ops_somebody_else"
USER = "6f9b3c1e-user-of-two-tokens"
ME = "GET /api/v1/me"

CANNOT_BE_ASKED: dict[str, Fault] = {
    "timeout": silence(),
    "reset": reset(),
    "cut short": cut(),
    "garbage": garbage(),
    "401": error(401, "invalid token"),
    "403": error(403, "forbidden"),
    "429": error(429, "rate limit exceeded"),
    "500": error(500, "oops"),
    "502": error(502, "upstream"),
    "503 of a proxy": proxy_error(503),
}
DOES_NOT_TELL: dict[str, Fault] = {
    "404": error(404, "not found"),
    "503": error(503, "not enabled for this account"),
    "no user": Fault(200, b"{}"),
    "an empty user": Fault(200, b'{"user_id": " "}'),
    "a user that is none": Fault(200, b'{"user_id": {"id": 7}}'),
}


@pytest.fixture(autouse=True)
def rotated(api: HostedApi) -> None:
    """Given one user with two tokens."""
    api.users = {OLD: USER, NEW: USER}


@pytest.fixture
def with_token(open_desk: OpenDesk) -> Callable[..., Desk]:
    return lambda token, **settings: open_desk(api_token=token, **settings)


WithToken = Callable[..., Desk]


async def asked(desk: Desk, **said: Any) -> Submitted:
    with anyio.fail_after(10):
        return await submit(desk, order(**said))


async def failure_of(desk: Desk) -> BackendError:
    with anyio.fail_after(10), pytest.raises(BackendError) as failed:
        await submit(desk, order())
    return failed.value


async def test_a_new_token_of_the_same_user_finds_what_the_old_one_asked(with_token: WithToken, api: HostedApi) -> None:
    made = await asked(with_token(OLD))

    again = await asked(with_token(NEW))

    assert (again.reused, again.job_id, len(api.submits)) == (True, made.job_id, 1)


async def test_each_token_is_asked_about_once_for_good(with_token: WithToken, api: HostedApi) -> None:
    for number in range(3):
        await asked(with_token(OLD), title=f"{TITLE} ({number})")
        await asked(with_token(NEW), title=f"{TITLE} ({number}, anew)")

    assert (api.requests.count(ME), len(api.submits)) == (2, 6)


async def test_many_tokens_later_too_and_back_again(with_token: WithToken, api: HostedApi) -> None:
    tokens = [f"sk_ops_rotated_{number}" for number in range(6)]
    api.users |= dict.fromkeys(tokens, USER)
    first = [await asked(with_token(token), title=f"{TITLE} ({token})") for token in tokens]

    for token in reversed(tokens):
        again = [await asked(with_token(token), title=f"{TITLE} ({one})") for one in tokens]
        assert [one.job_id for one in again] == [one.job_id for one in first]

    assert len(api.submits) == len(tokens)


async def test_another_user_is_another_account(with_token: WithToken, api: HostedApi) -> None:
    api.users[OTHER] = "another user"
    await asked(with_token(OLD))

    made = await asked(with_token(OTHER))

    assert (made.reused, len(api.submits)) == (False, 2)


async def test_the_same_user_elsewhere_is_another_account(with_token: WithToken, api: HostedApi) -> None:
    await asked(with_token(OLD))

    made = await asked(with_token(NEW, api_base_url=api.url.replace("127.0.0.1", "localhost")))

    assert (made.reused, len(api.submits)) == (False, 2)


async def test_a_resubmit_takes_the_place_of_what_another_token_asked(with_token: WithToken, api: HostedApi) -> None:
    old = with_token(OLD)
    first = await asked(old)
    api.finish(first.job_id)
    await old.store.put_job(await old.backend().job(first.job_id), "sybilion")

    second = await asked(with_token(NEW), resubmit=True)

    assert (second.reused, len(api.submits)) == (False, 2)
    assert [(await asked(with_token(token))).job_id for token in (OLD, NEW)] == [second.job_id] * 2


async def test_a_lost_submit_of_one_token_is_found_with_another(with_token: WithToken, api: HostedApi) -> None:
    api.next("submit", reset(handled=True))
    await failure_of(with_token(OLD))
    assert (await refusal_of(submit(with_token(NEW), order()))).code == "submission_unknown"
    api.finish(*api.jobs)

    found = await asked(with_token(NEW))

    assert (found.reused, [found.job_id], len(api.submits)) == (True, list(api.jobs), 1)


async def test_two_tokens_at_the_same_instant_make_one_job(with_token: WithToken, api: HostedApi) -> None:
    outcomes: list[str] = []

    async def ask(desk: Desk, number: int) -> None:
        try:
            outcomes.append((await submit(desk, order(soft_horizon=12 - number))).job_id)
        except Refusal as refusal:
            outcomes.append(refusal.code)

    with anyio.fail_after(20):
        async with anyio.create_task_group() as group:
            for number in range(3):
                for token in (OLD, NEW) * 2:
                    group.start_soon(ask, with_token(token), number)

    assert len(api.submits) == 3
    assert set(outcomes) <= {*api.jobs, "submission_unknown"}
    for number in range(3):
        told = [await asked(with_token(token), soft_horizon=12 - number) for token in (OLD, NEW)]
        assert {one.reused for one in told} == {True}
        assert len({one.job_id for one in told}) == 1


async def test_what_another_process_learned_meanwhile_counts(with_token: WithToken, api: HostedApi) -> None:
    """Given a process that looked before, and goes on after, another one has asked with the same new token."""
    await asked(with_token(OLD), title=f"{TITLE}, another one")
    slow, fast = with_token(NEW), with_token(NEW)
    look = slow.store.current_submission
    made: list[Submitted] = []

    async def look_and_wait(request_hash: str) -> Submission | None:
        found = await look(request_hash)
        if not made:
            made.append(await asked(fast))
        return found

    slow.store.current_submission = look_and_wait  # type: ignore[method-assign]  # the process stops just there
    late = await asked(slow)

    assert (late.reused, late.job_id, len(api.submits)) == (True, made[0].job_id, 2)


async def test_prices_are_those_of_the_account(with_token: WithToken, api: HostedApi) -> None:
    old, new = with_token(OLD), with_token(NEW)
    for number in range(FEWEST):
        made = await asked(old, title=f"{TITLE} ({number})")
        api.finish(made.job_id, cents=70)
        await old.store.put_job(await old.backend().job(made.job_id), "sybilion")
    assert await expected_for(new, "sybilion", 0) == WITHOUT_DRIVERS

    await asked(new, title=f"{TITLE} (0)")

    assert (await expected_for(new, "sybilion", 0)).eur_cents == (70, 70)


async def test_nobody_is_asked_to_pay_for_what_another_token_paid_for(with_token: WithToken, api: HostedApi) -> None:
    await asked(with_token(OLD))

    assert await offer(with_token(NEW, spend="ask"), order()) is None
    assert (await asked(with_token(NEW, spend="ask"))).reused
    assert len(api.submits) == 1


async def test_neither_the_user_nor_a_token_is_written_down(with_token: WithToken, tmp_path: Path) -> None:
    for token in (OLD, NEW):
        desk = with_token(token)
        await asked(desk)
        await desk.aclose()

    written = b"".join(one.read_bytes() for one in (tmp_path / "home").rglob("*") if one.is_file())
    assert b"accounts" in written
    for secret in (OLD, NEW, USER):
        assert secret.encode() not in written


# The service cannot be asked


@pytest.mark.parametrize("cause", CANNOT_BE_ASKED)
async def test_while_nobody_knows_whose_a_token_is_nothing_is_sent(
    with_token: WithToken, api: HostedApi, cause: str
) -> None:
    made = await asked(with_token(OLD))
    api.always("account", CANNOT_BE_ASKED[cause])

    failure = explain(await failure_of(with_token(NEW)), Subject("submit_forecast", {"series_id": "s"}))

    assert failure.hint.startswith("Nothing was sent or charged")
    assert "resubmit" not in failure.hint
    assert len(api.submits) == 1
    assert await with_token(NEW).store.spent_since("2026-01-01") == WITHOUT_DRIVERS.eur_cents[1]
    api.well_again()
    assert (await asked(with_token(NEW))).job_id == made.job_id


@pytest.mark.parametrize("cause", CANNOT_BE_ASKED)
async def test_what_the_token_itself_asked_is_found_all_the_same(
    with_token: WithToken, api: HostedApi, cause: str
) -> None:
    api.next("account", error(404, "not found"))
    made = await asked(with_token(OLD))
    api.always("account", CANNOT_BE_ASKED[cause])

    again = await asked(with_token(OLD))

    assert (again.reused, again.job_id, len(api.submits)) == (True, made.job_id, 1)


async def test_a_token_that_only_finds_what_it_asked_is_known_when_it_is_replaced(
    with_token: WithToken, api: HostedApi
) -> None:
    """Given what was asked before accounts were told apart, or while the service did not tell."""
    api.next("account", error(404, "not found"))
    made = await asked(with_token(OLD))
    await asked(with_token(OLD))

    again = await asked(with_token(NEW))

    assert (again.reused, again.job_id, len(api.submits)) == (True, made.job_id, 1)


@pytest.mark.parametrize("settings", [{"read_only": True}, {"spend": "deny"}])
async def test_where_nothing_may_be_sent_nobody_asks_either(
    with_token: WithToken, api: HostedApi, settings: dict[str, Any]
) -> None:
    made = await asked(with_token(OLD))
    before = len(api.requests)

    await refusal_of(submit(with_token(NEW, **settings), order()))
    assert len(api.requests) == before

    await asked(with_token(NEW))
    assert (await asked(with_token(NEW, **settings))).job_id == made.job_id


# The service does not tell


@pytest.mark.parametrize("cause", DOES_NOT_TELL)
async def test_a_service_that_does_not_tell_leaves_the_token_by_itself(
    with_token: WithToken, api: HostedApi, cause: str
) -> None:
    api.always("account", DOES_NOT_TELL[cause])

    made = await asked(with_token(OLD))
    again = await asked(with_token(OLD))

    assert (again.job_id, again.reused, len(api.submits)) == (made.job_id, True, 1)


@pytest.mark.parametrize("first", [OLD, NEW])
async def test_once_it_tells_what_was_asked_before_is_found_under_every_token(
    with_token: WithToken, api: HostedApi, first: str
) -> None:
    api.always("account", error(404, "not found"))
    made = await asked(with_token(OLD))
    api.well_again()
    for token in (first, *{OLD, NEW} - {first}):
        await asked(with_token(token), title=f"{TITLE} ({token})")

    told = [await asked(with_token(token)) for token in (OLD, NEW)]

    assert [one.job_id for one in told] == [made.job_id] * 2
    assert len(api.submits) == 3


@pytest.mark.parametrize("cause", DOES_NOT_TELL)
async def test_a_service_that_told_of_another_token_is_waited_for(
    with_token: WithToken, api: HostedApi, cause: str
) -> None:
    made = await asked(with_token(OLD))
    api.always("account", DOES_NOT_TELL[cause])

    failure = await failure_of(with_token(NEW))

    assert (failure.operation, failure.backend, len(api.submits)) == ("account", "sybilion", 1)
    api.well_again()
    assert (await asked(with_token(NEW))).job_id == made.job_id


async def test_an_account_keeps_its_first_name(tmp_path: Path) -> None:
    store = Store(tmp_path)
    await store.learn_account("b", "user", "service")
    await store.learn_account("a", "user", "service")
    await store.learn_account("a", "another user", "service")
    await store.learn_account("c", "another user", "service")

    found = [await store.account_names(token) for token in ("a", "b", "c", "unknown")]
    assert found == [["b", "a"], ["b", "a"], ["c"], []]
    assert [await store.knows_accounts(one) for one in ("service", "another")] == [True, False]
    await store.aclose()
