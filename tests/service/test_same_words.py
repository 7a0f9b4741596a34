"""White space around what a caller says makes no other question, so that nobody pays twice for it."""

from collections.abc import AsyncIterator
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import anyio
import pytest

from sybilion_mcp.service.alerts import AlertOrder, alerts
from sybilion_mcp.service.arguments import Options
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.ranking import RankingOrder, rank
from sybilion_mcp.service.subjects import Subject
from sybilion_mcp.service.submit import Order, submit
from sybilion_mcp.service.validate import remember
from sybilion_mcp.settings import Settings
from tests.billed import BilledApi, billed_api, some_alerts, some_drivers
from tests.conftest import TODAY, good_series
from tests.hosted import ImpatientDesk

pytestmark = pytest.mark.anyio

TITLE = "Copper price, London, USD per tonne"
PLAIN: dict[str, Any] = {"title": TITLE, "description": "As reported", "keywords": ["copper", "mining"]}
SPACED: dict[str, Any] = {"title": f"{TITLE} ", "description": "\n As reported\t", "keywords": [" copper", "mining  "]}


@pytest.fixture
async def api() -> AsyncIterator[BilledApi]:
    async with billed_api() as api:
        api.drivers, api.alerts = some_drivers(9), some_alerts(9)
        yield api


@pytest.fixture
async def desk(api: BilledApi, tmp_path: Path, executor: Executor) -> AsyncIterator[Desk]:
    said = {"home": tmp_path, "api_token": api.token, "api_base_url": api.url, "spend": "allow"}
    desk = ImpatientDesk(Settings.model_validate(said), today=lambda: TODAY, executor=executor)
    with anyio.fail_after(30):
        yield desk
    await desk.aclose()


async def test_a_ranking_and_alerts_are_paid_for_once(desk: Desk, api: BilledApi) -> None:
    for said in (PLAIN, SPACED):
        subject = Subject(limit=5, **said)
        ranked, alerted = await rank(desk, RankingOrder(subject)), await alerts(desk, AlertOrder(subject))
        assert ranked.answered.reused is alerted.answered.reused is (said is SPACED)

    assert [operation for operation, _, _ in api.calls] == ["drivers", "alerts"]
    assert api.calls[0][2]["timeseries_metadata"] == PLAIN


async def test_words_of_white_space_are_none(desk: Desk, api: BilledApi) -> None:
    """Given a series whose title is remembered with a blank behind it."""
    series_id = await remember(desk, good_series(), Options(title=f"{TITLE} "))

    await rank(desk, RankingOrder(Subject(series_id=series_id, title=" ", description="\n", limit=5)))

    assert api.calls[0][2]["timeseries_metadata"] == {"title": TITLE}


async def test_a_forecast_is_paid_for_once(desk: Desk, api: BilledApi) -> None:
    made = [
        await submit(desk, Order(Options(soft_horizon=6, **said), series=good_series())) for said in (PLAIN, SPACED)
    ]

    assert [one.reused for one in made] == [False, True]
    assert len(api.submits) == 1
