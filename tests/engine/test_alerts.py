"""Alerts: the series of the driver folder whose latest month moved much."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from sybilion_mcp.engine.library import DriverLibrary

from .made_up import months, series

pytestmark = pytest.mark.anyio

CALM = [100.0, 101.0] * 12
ASKED = {"metadata": {"title": "Copper price in Germany, EUR per tonne"}, "context_enriched": False}


@pytest.fixture
def library(tmp_path: Path) -> DriverLibrary:
    return DriverLibrary(tmp_path / "drivers.db")


async def alerts(client: httpx.AsyncClient, **changes: object) -> list[dict[str, Any]]:
    response = await client.post("/api/v1/alerts", json={**ASKED, **changes})
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["alerts"]
    return found


async def names(client: httpx.AsyncClient, **changes: object) -> list[str]:
    return [one["name"] for one in await alerts(client, **changes)]


async def test_a_series_that_moved_much_is_an_alert(client: httpx.AsyncClient, library: DriverLibrary) -> None:
    await library.put({"Surge": series([*CALM, 126.25]), "Calm": series([*CALM, 103.9])})

    assert await alerts(client) == [{"name": "Surge", "pct_change": 25.0, "trending": False, "news": []}]


async def test_a_decline_is_negative_and_three_months_one_way_are_a_trend(
    client: httpx.AsyncClient, library: DriverLibrary
) -> None:
    await library.put({"Decline": series([*CALM, 100.0, 99.0, 49.5]), "Debt": series([*(-x for x in CALM), -202.0])})

    found = {one["name"]: (one["pct_change"], one["trending"]) for one in await alerts(client)}

    assert found == {"Decline": (-50.0, True), "Debt": (-100.0, False)}


async def test_related_ones_come_first_then_the_more_unusual(client: httpx.AsyncClient, library: DriverLibrary) -> None:
    await library.put({"Tea": series([*CALM, 300.0]), "Rice": series([*CALM, 200.0]), "Copper": series([*CALM, 150.0])})

    assert await names(client) == ["Copper", "Tea", "Rice"]
    assert await names(client, filters={"limit": 2}) == ["Copper", "Tea"]
    assert await names(client, filters={"limit": 0}) == []


async def test_filters_choose_by_region_and_category(client: httpx.AsyncClient, library: DriverLibrary) -> None:
    await library.put({"Peruvian": series([*CALM, 200.0])}, region="Peru")
    await library.put({"Metal": series([*CALM, 200.0])}, category="Metals")

    assert await names(client, filters={"regions": [1]}) == ["Peruvian"]
    assert await names(client, filters={"categories": [1]}) == ["Metal"]
    assert await names(client, filters={"regions": [9999]}) == []


async def test_the_latest_month_lies_within_the_dates(client: httpx.AsyncClient, library: DriverLibrary) -> None:
    await library.put({"Now": series([*CALM, 200.0]), "Once": series([*CALM, 200.0, 200.0, 201.0])})
    long_ago = dict(zip(months(25, (2024, 1)), [*CALM, 200.0], strict=True))
    await library.put({"Long ago": long_ago})

    assert await names(client) == ["Now"]
    assert await names(client, date_to="2026-03-31") == ["Once"]
    assert await names(client, date_from="2023-01-01", date_to="2025-01-01") == ["Long ago"]
    assert await names(client, date_from="2026-06-01") == []
    assert set(await names(client, date_from="2023-01-01")) == {"Now", "Long ago"}
    assert await names(client, date_to="0001-01-01") == []


@pytest.mark.parametrize(
    "values",
    [
        [100.0] * 25,
        [*CALM[:12], 900.0],
        [*([0.0, 1.0] * 12), 0.0, 99.0],
        [1e308, -1e308] * 12,
        [*CALM, 1e308, -1e308],
        [5e-324] * 24 + [1e308],
        [7.0],
    ],
    ids=["constant", "short", "from zero", "huge", "too huge", "too small before", "one value"],
)
async def test_what_says_nothing_is_no_alert(
    client: httpx.AsyncClient, library: DriverLibrary, values: Sequence[float]
) -> None:
    await library.put({"Odd": series(values)})

    assert await names(client) == []


async def test_a_first_move_after_years_is_one(client: httpx.AsyncClient, library: DriverLibrary) -> None:
    await library.put({"Duty": series([*[100.0] * 24, 101.0])})

    assert await names(client) == ["Duty"]


async def test_an_empty_folder_has_none(client: httpx.AsyncClient) -> None:
    assert await alerts(client) == []


@pytest.mark.parametrize(
    ("changes", "status", "told"),
    [
        ({"metadata": {"title": "short"}}, 422, "metadata.title"),
        ({"context_enriched": None}, 422, "context_enriched"),
        ({"date_from": "2026-02-30"}, 422, "date_from"),
        ({"date_from": "2026-02-01", "date_to": "2026-01-01"}, 422, "date_to"),
        ({"filters": {"limit": 1001}}, 422, "filters.limit"),
        ({"metadata": "title"}, 400, "metadata"),
        ({"context_enriched": "yes"}, 400, "context_enriched"),
    ],
)
async def test_a_request_that_is_wrong_is_refused(
    client: httpx.AsyncClient, changes: dict[str, object], status: int, told: str
) -> None:
    response = await client.post("/api/v1/alerts", json={**ASKED, **changes})

    assert response.status_code == status
    if status == 422:
        assert [one["field"] for one in response.json()["details"]] == [told]
    else:
        assert told in response.json()["error"]
