"""Jobs of Eomer that are completed and still on their way to where they were ordered to."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import stamina

from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.follow import Followed, follow
from tests.service.eomer_jobs import Canned, desk_on, submitted

pytestmark = pytest.mark.anyio

JOB = "job-1"
COMPLETED = datetime(2026, 11, 22, 8, 1, tzinfo=UTC)


@pytest.fixture
def service() -> Canned:
    service = Canned()
    service.add(JOB)
    return service


@pytest.fixture
async def desk(service: Canned, tmp_path: Path) -> AsyncIterator[Desk]:
    desk = desk_on(service, tmp_path / "home")
    desk.now = lambda: COMPLETED + timedelta(minutes=5)
    with stamina.set_testing(True, attempts=1):
        yield desk
    await desk.aclose()


async def looked_at(desk: Desk) -> Followed:
    async def unheard(*_: object) -> None: ...

    return await follow(desk, JOB, 0, unheard)


async def kept_document(desk: Desk) -> dict[str, object]:
    content = await desk.store.artifact(JOB, "job.json")
    assert content is not None
    document: dict[str, object] = json.loads(content)
    return document


async def known_with(desk: Desk, service: Canned, delivery: str | None) -> None:
    """Given a job that was looked at, and kept, while its delivery was in this state."""
    service.jobs[JOB]["delivery_status"] = delivery
    await submitted(desk, JOB)
    await looked_at(desk)
    assert (await kept_document(desk))["delivery_status"] == delivery
    service.requests.clear()


@pytest.mark.parametrize("before", ["pending", "in_progress", "RUNNING"])
@pytest.mark.parametrize(("after", "error"), [("delivered", None), ("failed", "no such bucket")])
async def test_how_a_delivery_ended_is_seen_and_kept(
    desk: Desk, service: Canned, before: str, after: str, error: str | None
) -> None:
    await known_with(desk, service, before)
    service.jobs[JOB] |= {"delivery_status": after, "delivery_error": error}

    found = await looked_at(desk)

    assert found.job.more is not None
    assert (found.job.more.delivery_status, found.job.more.delivery_error) == (after, error)
    assert (await kept_document(desk))["delivery_status"] == after
    service.requests.clear()
    await looked_at(desk)
    assert service.requests == []


@pytest.mark.parametrize("state", [None, "", "delivered", "completed", "failed", "a word of tomorrow"])
async def test_a_job_that_is_not_on_its_way_is_not_looked_at_again(
    desk: Desk, service: Canned, state: str | None
) -> None:
    await known_with(desk, service, state)

    await looked_at(desk)

    assert service.requests == []


async def test_a_day_later_nothing_more_is_expected(desk: Desk, service: Canned) -> None:
    await known_with(desk, service, "pending")
    desk.now = lambda: COMPLETED + timedelta(days=1)

    found = await looked_at(desk)

    assert service.requests == []
    assert found.job.status == "completed"


async def test_while_nobody_answers_what_is_known_stays(desk: Desk, service: Canned) -> None:
    await known_with(desk, service, "pending")
    del service.jobs[JOB]

    found = await looked_at(desk)

    assert found.job.status == "completed"
    assert "forecast.csv" in found.artifacts
    assert (await kept_document(desk))["delivery_status"] == "pending"
