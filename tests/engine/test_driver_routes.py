"""The routes about drivers, over a driver folder."""

import json
import sys
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path

import anyio
import httpx
import numpy as np
import pytest

from sybilion_mcp.engine.library import DriverLibrary

from .conftest import client_of
from .made_up import months, series

pytestmark = pytest.mark.anyio

TITLE = "Copper price in Germany, EUR per tonne"


@pytest.fixture
def library(tmp_path: Path) -> DriverLibrary:
    return DriverLibrary(tmp_path / "drivers.db")


def asking(**changes: object) -> dict[str, object]:
    return {"version": "v1", "timeseries_metadata": {"title": TITLE}, **changes}


async def ranked(client: httpx.AsyncClient, **changes: object) -> dict[str, float]:
    """Driver name → score, in the order of the answer."""
    response = await client.post("/api/v1/drivers", json=asking(**changes))
    assert response.status_code == 200, response.text
    return {one["driver_name"]: one["score"] for one in response.json()["data"]["drivers"]}


def walk(seed: int, count: int = 120) -> list[float]:
    return [float(value) for value in 300 + np.cumsum(np.random.default_rng(seed).normal(0, 2, count))]


def following(leader: list[float], lag: int, noise: float = 0.7) -> dict[str, float]:
    """A series that repeats the leader `lag` months later, with some noise in every change."""
    changes = np.diff(leader)[: len(leader) - lag - 1]
    noisy = changes + np.random.default_rng(99).normal(0, noise, len(changes))
    return series(500 - np.cumsum(noisy))


@pytest.mark.parametrize(("method", "path"), [("GET", "regions"), ("GET", "categories"), ("POST", "drivers")])
@pytest.mark.parametrize("token", [None, "sk_live_1"])
async def test_a_token_is_needed(client: httpx.AsyncClient, method: str, path: str, token: str | None) -> None:
    client.headers.pop("authorization")
    headers = {"authorization": f"Bearer {token}"} if token else {}

    response = await client.request(method, f"/api/v1/{path}", headers=headers, json=asking())

    assert response.status_code == 401
    assert set(response.json()) == {"error", "trace_id"}


async def test_an_absent_folder_answers_with_nothing_and_stays_absent(
    client: httpx.AsyncClient, tmp_path: Path
) -> None:
    assert (await client.get("/api/v1/regions")).json() == {"items": []}
    assert (await client.get("/api/v1/categories")).json() == {"items": []}
    answer = (await client.post("/api/v1/drivers", json=asking())).json()

    assert answer["data"] == {"drivers": []}
    assert "drivers add" in answer["message"]
    assert not (tmp_path / "drivers.db").exists()


async def test_regions_and_categories_are_those_that_have_drivers(
    client: httpx.AsyncClient, library: DriverLibrary
) -> None:
    await library.put({"Rice": series([1.0])}, region="India", category="Food")
    await library.put({"Copper": series([1.0])}, region="Peru", category="Metals")
    await library.put({"Tin": series([1.0])})
    await library.put({"Wheat": series([1.0])}, region="France", category="food")
    copper = next(one for one in await library.candidates() if one.name == "Copper")
    await library.remove([copper.id])

    regions = (await client.get("/api/v1/regions")).json()["items"]
    categories = (await client.get("/api/v1/categories")).json()["items"]

    assert regions == [
        {"id": 1, "name": "India", "latitude": 0.0, "longitude": 0.0},
        {"id": 3, "name": "France", "latitude": 0.0, "longitude": 0.0},
    ]
    assert categories == [{"id": 1, "name": "Food"}]


class TestWords:
    @pytest.fixture(autouse=True)
    async def folder(self, library: DriverLibrary) -> None:
        numbers = series(walk(1))
        await library.put({"Copper price": numbers, "Zinc price": numbers}, region="World", category="Metals")
        await library.put({"Registered births": numbers, "Exports of copper ore": numbers}, region="Peru")
        await library.put({"Weather": numbers}, region="Germany", category="Climate")

    async def test_shared_words_relate_and_rare_ones_say_more(self, client: httpx.AsyncClient) -> None:
        found = await ranked(client)

        assert next(iter(found)) == "Copper price"
        assert found["Copper price"] > found["Zinc price"] > 0
        assert "Registered births" not in found
        assert found["Weather"] > 0
        assert all(0 < score <= 100 for score in found.values())

    async def test_description_and_keywords_count_too(self, client: httpx.AsyncClient) -> None:
        metadata = {"title": "An unusual quantity of something", "description": "weather", "keywords": ["births"]}

        assert set(await ranked(client, timeseries_metadata=metadata)) == {"Weather", "Registered births"}

    @pytest.mark.parametrize("title", ["Kupferpreis, monatlich im Mittel", "COPPERS (avg. per month)"])
    async def test_case_number_and_the_language_of_a_known_subject_do_not_matter(
        self, client: httpx.AsyncClient, title: str
    ) -> None:
        found = await ranked(client, timeseries_metadata={"title": title})

        assert set(found) == {"Copper price", "Exports of copper ore"}

    async def test_without_a_shared_word_nothing_is_padded(self, client: httpx.AsyncClient) -> None:
        assert await ranked(client, timeseries_metadata={"title": "The number of the total of all"}) == {}

    async def test_filters_choose_by_region_category_and_limit(self, client: httpx.AsyncClient) -> None:
        assert set(await ranked(client, filters={"regions": [2]})) == {"Exports of copper ore"}
        assert set(await ranked(client, filters={"categories": [2], "regions": []})) == {"Weather"}
        assert await ranked(client, filters={"regions": [9999]}) == {}
        assert list(await ranked(client, filters={"limit": 1})) == ["Copper price"]
        assert await ranked(client, filters={"limit": 0}) == {}

    async def test_ids_are_those_of_the_folder(self, client: httpx.AsyncClient, library: DriverLibrary) -> None:
        answer = (await client.post("/api/v1/drivers", json=asking())).json()

        known = {one.id: one.name for one in await library.candidates()}
        assert answer["status"] == 200
        assert all(known[one["hash_id"]] == one["driver_name"] for one in answer["data"]["drivers"])


class TestNumbers:
    async def test_the_series_that_leads_comes_first_and_chance_is_left_out(
        self, client: httpx.AsyncClient, library: DriverLibrary
    ) -> None:
        leader = walk(7, 125)
        await library.put({"A leader": series(leader), **{f"Noise {seed}": series(walk(seed)) for seed in range(20)}})

        found = await ranked(client, timeseries=following(leader, 4))

        assert next(iter(found)) == "A leader"
        assert found["A leader"] > 50
        assert len(found) <= 2

    async def test_numbers_weigh_more_than_words(self, client: httpx.AsyncClient, library: DriverLibrary) -> None:
        leader = walk(7)
        await library.put({"Unnamed": series(leader), "Copper price in Germany": series(walk(8))})

        assert list(await ranked(client, timeseries=following(leader, 1))) == ["Unnamed", "Copper price in Germany"]

    async def test_ties_are_in_the_order_of_names(self, client: httpx.AsyncClient, library: DriverLibrary) -> None:
        leader = walk(7)
        await library.put({"Copper C": series(leader), "Copper A": series(leader), "Copper B": series(leader)})

        first = await ranked(client, timeseries=following(leader, 2))

        assert list(first) == ["Copper A", "Copper B", "Copper C"]
        assert first == await ranked(client, timeseries=following(leader, 2))

    async def test_recent_months_count_for_more_with_a_recency_factor(
        self, client: httpx.AsyncClient, library: DriverLibrary
    ) -> None:
        leader, other = walk(7, 240), walk(8, 240)
        target = series(400 + np.cumsum([0.0, *np.diff(other)[:119], *np.diff(leader)[119:]]))
        await library.put({"Of late": series(leader), "Long ago": series(other)})

        even = await ranked(client, timeseries=target, recency_factor=0)
        recent = await ranked(client, timeseries=target, recency_factor=1)

        assert abs(even["Of late"] - even["Long ago"]) < 15
        assert recent["Of late"] > recent.get("Long ago", 0.0) + 30

    async def test_a_daily_series_is_taken_by_its_monthly_means(
        self, client: httpx.AsyncClient, library: DriverLibrary
    ) -> None:
        leader = walk(7)
        await library.put({"Leader": series(leader)})
        begin = date.fromisoformat(months(120)[0])
        target = {}
        for day in (begin + timedelta(days) for days in range(3652)):
            month = f"{day:%Y-%m}-01"
            if month in series(leader):
                target[day.isoformat()] = series(leader)[month] + (day.day % 3 - 1) / 10

        assert (await ranked(client, timeseries=target))["Leader"] > 65

    @pytest.mark.parametrize(
        "target",
        [
            {"2026-01-01": 1.0},
            series([5.0] * 60),
            series([0.0] * 60),
            series([1e308, -1e308] * 30),
            {"0001-01-01": 1e308, "9999-12-31": -1e308},
            series(walk(3, 20)),
        ],
        ids=["one value", "constant", "zeros", "huge", "far apart", "short"],
    )
    async def test_numbers_that_say_nothing_leave_the_words(
        self, client: httpx.AsyncClient, library: DriverLibrary, target: Mapping[str, float]
    ) -> None:
        await library.put(
            {"Copper": series([1e308, 1e-308] * 60), "Births": series(walk(5)), "Zero": series([0.0] * 90)}
        )

        assert list(await ranked(client, timeseries=target)) == ["Copper"]


class TestRefusals:
    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"version": "v2"}, "version"),
            ({"version": None}, "version"),
            ({"recency_factor": 1.5}, "recency_factor"),
            ({"timeseries_metadata": {"title": "short"}}, "timeseries_metadata.title"),
            ({"timeseries_metadata": None}, "timeseries_metadata.title"),
            ({"timeseries_metadata": {"title": TITLE, "keywords": [""]}}, "timeseries_metadata.keywords[0]"),
            ({"filters": {"regions": [1, 0]}}, "filters.regions[1]"),
            ({"filters": {"categories": [10000]}}, "filters.categories[0]"),
            ({"filters": {"limit": 1001}}, "filters.limit"),
            ({"timeseries": {}}, "timeseries"),
            ({"timeseries": {"2026-02-30": 1.0, "2026-01-01": 1.0}}, 'timeseries["2026-02-30"]'),
            ({"filters": {"limit": -1}, "version": "V1"}, "version"),
        ],
    )
    async def test_a_violated_rule_is_422_with_one_detail(
        self, client: httpx.AsyncClient, changes: dict[str, object], field: str
    ) -> None:
        response = await client.post("/api/v1/drivers", json=asking(**changes))

        assert response.status_code == 422
        assert response.json()["error"] == "validation_failed"
        assert [one["field"] for one in response.json()["details"]] == [field]

    @pytest.mark.parametrize("number", ["NaN", "1e999"])
    async def test_numbers_that_are_not_finite_are_422(self, client: httpx.AsyncClient, number: str) -> None:
        body = json.dumps(asking(timeseries={"2026-01-01": 0.5})).replace("0.5", number)

        response = await client.post("/api/v1/drivers", content=body)

        assert response.status_code == 422

    @pytest.mark.parametrize(
        "changes",
        [
            {"version": 1},
            {"recency_factor": "0.5"},
            {"filters": {"limit": "10"}},
            {"filters": {"regions": [1.5]}},
            {"timeseries": [1.0]},
            {"timeseries": {"2026-01-01": "1"}},
            {"timeseries_metadata": {"title": 7}},
        ],
    )
    async def test_a_wrong_json_type_is_400(self, client: httpx.AsyncClient, changes: dict[str, object]) -> None:
        response = await client.post("/api/v1/drivers", json=asking(**changes))

        assert response.status_code == 400
        assert next(iter(changes)) in response.json()["error"]

    @pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"version": "\\ud800"}'])
    async def test_what_is_no_request_is_400(self, client: httpx.AsyncClient, body: bytes) -> None:
        assert (await client.post("/api/v1/drivers", content=body)).status_code == 400

    async def test_the_body_is_bounded(self, client: httpx.AsyncClient) -> None:
        assert (await client.post("/api/v1/drivers", content=b" " * (2**21 + 1))).status_code == 413


async def test_numpy_waits_for_the_first_ranking_with_numbers() -> None:
    modules = "engine.app", "engine.ranking", "drivers_command"
    imports = "; ".join(f"import sybilion_mcp.{module}" for module in modules)

    heavy = await anyio.run_process(
        [sys.executable, "-c", f"{imports}; import sys; print({{'numpy'}} & {{*sys.modules}})"]
    )

    assert heavy.stdout.strip() == b"set()"


async def test_the_desk_and_the_sandbox_can_share_a_folder(tmp_path: Path) -> None:
    from sybilion_mcp.engine.app import build_app

    await DriverLibrary(tmp_path / "drivers.db").put({"Copper": series([1.0])}, region="Peru")
    for home in ("engine", "sandbox"):
        app = build_app(tmp_path / home, drivers=tmp_path / "drivers.db")
        async with client_of(app) as client:
            assert (await client.get("/api/v1/regions")).json()["items"][0]["name"] == "Peru"
        await app.state.engine.aclose()
