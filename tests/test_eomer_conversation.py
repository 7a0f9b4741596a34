"""Eomer through the tools: from raw numbers of any frequency to the forecast and why it is so."""

import csv
import io
import json
import time
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.client import ClientRequestContext
from mcp_types import CallToolResult, ElicitRequestFormParams, ElicitRequestURLParams, ElicitResult

from sybilion_mcp.server import build_server
from tests.conftest import ERAS, good_series
from tests.engine.eomer.made_up import SHAPES, body
from tests.eomer import Service, desk_of, serving
from tests.test_conversation import call, data_of, text_of

pytestmark = pytest.mark.anyio

SECONDS = 20.0


@pytest.fixture
async def service(tmp_path: Path, executor: Executor) -> AsyncIterator[Service]:
    async with serving(tmp_path / "service", executor) as service:
        yield service


@pytest.fixture(params=ERAS)
async def client(
    service: Service, tmp_path: Path, request: pytest.FixtureRequest, executor: Executor
) -> AsyncIterator[Client]:
    """A client of a server that knows Eomer, once for each era of the protocol."""
    desk = desk_of(service, tmp_path / "home", allow_dirs=(tmp_path,))
    desk.executor = executor
    async with Client(build_server(desk.settings, desk), mode=ERAS[request.param]) as connected:
        yield connected


async def following(client: Client, result: CallToolResult, tool: str, **more: Any) -> CallToolResult:
    """The call that an answer names as the next one."""
    step = data_of(result)["next"]
    assert step["tool"] == tool
    return await call(client, tool, **{**step["arguments"], **more})


async def told(client: Client, series: dict[str, Any], horizon: int) -> dict[str, CallToolResult]:
    """What each tool answers on the way, each call as the answer before names it."""
    checked = await call(client, "validate_series", series=series, backend="eomer", soft_horizon=horizon)
    made = await following(client, checked, "submit_forecast")
    status = await following(client, made, "get_status", wait_seconds=45)
    report = await following(client, status, "read_artifact")
    job_id = data_of(made)["job_id"]
    drivers = await call(client, "read_artifact", job_id=job_id, artifact="drivers")
    return {"check": checked, "made": made, "status": status, "report": report, "drivers": drivers}


async def test_three_series_of_four_frequencies_go_the_whole_way_within_seconds(client: Client, tmp_path: Path) -> None:
    began = time.monotonic()
    for alias in SHAPES:
        asked: dict[str, Any] = body(alias)
        found = await told(client, asked["series"], asked["prediction_length"])

        assert data_of(found["check"])["profile"]["series"] == 3
        assert (data_of(found["status"])["status"], data_of(found["status"])["num_items"]) == ("completed", 3)
        raw = await call(
            client,
            "read_artifact",
            job_id=data_of(found["made"])["job_id"],
            artifact="forecast.csv",
            save_to=f"{alias}.csv",
        )
        rows = (tmp_path / f"{alias}.csv").read_text(encoding="utf-8").splitlines()
        assert (len(rows) - 1, bool(data_of(raw)["saved_to"])) == (3 * asked["prediction_length"], True)
        assert all(item in text_of(found["report"]) for item in ("Forecast", "Verdict"))
        assert "trend" in text_of(found["drivers"])
        assert max(len(text_of(one).encode()) for one in found.values()) <= 6144
    assert time.monotonic() - began <= SECONDS


async def test_the_table_that_is_sent_and_the_one_that_is_read_fit_together(client: Client, service: Service) -> None:
    asked: dict[str, Any] = body("D", 2, 40)
    found = await told(client, asked["series"], 3)

    sent = service.submits[0].content.decode()
    table = sent[sent.index("item_id,timestamp,target") :].partition("\r\n")[0]
    rows = [row for row in csv.reader(io.StringIO(table)) if row]
    assert len(rows) == 1 + 2 * 40
    assert {(row[0], row[1]): float(row[2]) for row in rows[1:]} == {
        (item, label): value for item, points in asked["series"].items() for label, value in points.items()
    }
    assert {row[0] for row in rows[1:]} <= set(text_of(found["report"]).replace('"', ",").split(","))


def a_series(alias: str) -> Any:
    made: Any = body(alias, 1, 60)["series"]
    return next(iter(made.values()))


async def test_regular_numbers_that_are_not_monthly_tell_of_eomer(client: Client) -> None:
    quarters = {f"{2014 + at // 4}-{at % 4 * 3 + 1:02d}-01": float(at % 7) for at in range(40)}
    for series, kind in ((a_series("D"), "daily"), (a_series("W-MON"), "weekly"), (quarters, "such")):
        result = await client.call_tool("validate_series", {"series": series})

        assert f'backend="eomer" forecasts {kind} data' in text_of(result)
    good = await client.call_tool("validate_series", {"series": good_series()})
    assert "eomer" not in text_of(good)


async def test_without_a_key_the_check_still_works_and_says_so(tmp_path: Path, service: Service) -> None:
    desk = desk_of(service, tmp_path / "home", eomer_api_key=None)
    async with Client(build_server(desk.settings, desk)) as client:
        result = await call(client, "validate_series", series=body("D", 1, 60)["series"], backend="eomer")

    assert "the user has to set EOMER_API_KEY" in text_of(result)
    assert data_of(result)["valid"]


async def test_a_file_of_5000_series_is_checked_in_4_kb(client: Client, tmp_path: Path) -> None:
    names = [f"shop <{number}> [x](http://evil.test) {'very ' * 20}long" for number in range(5000)]
    good = [f'"{name}",2026-01-0{day},{day}' for name in names for day in range(1, 5)]
    wrong = {2: "", 3: "much"}
    bad = [f'"{name}",2026-01-0{day},{wrong.get(day, day)}' for name in names for day in range(1, 6) if day != 4]
    for file, rows in (("good.csv", good), ("bad.csv", bad)):
        (tmp_path / file).write_text("\n".join(["item_id,timestamp,target", *rows]), encoding="utf-8")
        result = await client.call_tool("validate_series", {"file": file, "backend": "eomer"})

        assert len(text_of(result).encode()) <= 4096
        assert len(json.dumps(data_of(result))) <= 4096
        assert data_of(result)["valid"] == (file == "good.csv")
        assert "http://" not in text_of(result)


async def test_many_columns_that_could_tell_series_apart_are_named(client: Client, tmp_path: Path) -> None:
    rows = [f"{sku},{store},2026-01-0{day},1" for sku in "ab" for store in "xy" for day in range(1, 6)]
    (tmp_path / "sales.csv").write_text("\n".join(["sku,store,day,sold", *rows]), encoding="utf-8")

    result = await client.call_tool("validate_series", {"file": "sales.csv", "backend": "eomer"})

    assert data_of(result)["code"] == "column_ambiguous"
    assert "id_column" in data_of(result)["hint"]


async def test_both_services_in_one_conversation(client: Client) -> None:
    checked = await call(client, "validate_series", series=good_series(), title="Monthly demand, made up, in units")
    local = await call(
        client, "submit_forecast", series_id=data_of(checked)["series_id"], soft_horizon=6, backend="local"
    )
    asked: dict[str, Any] = body("D", 2, 40)
    panel = await call(client, "validate_series", series=asked["series"], backend="eomer")
    made = await following(client, panel, "submit_forecast")

    for one, backend in ((local, "local"), (made, "eomer")):
        status = await following(client, one, "get_status", wait_seconds=45)
        assert (data_of(status)["backend"], data_of(status)["status"]) == (backend, "completed")
        await following(client, status, "read_artifact")


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("action", ["accept", "decline"])
async def test_a_person_decides_where_the_host_can_ask_one(
    tmp_path: Path, service: Service, era: str, action: Any
) -> None:
    asked: list[str] = []

    async def person(
        context: ClientRequestContext, params: ElicitRequestFormParams | ElicitRequestURLParams
    ) -> ElicitResult:
        asked.append(params.message)
        return ElicitResult(action=action, content={"pay": True} if action == "accept" else None)

    desk = desk_of(service, tmp_path / "home", spend="ask")
    said = {"series": body("D", 2, 40)["series"], "soft_horizon": 3, "backend": "eomer"}
    async with Client(build_server(desk.settings, desk), mode=ERAS[era], elicitation_callback=person) as client:
        result = await client.call_tool("submit_forecast", said)

    assert len(asked) == 1
    assert asked[0].startswith("Send a forecast to Eomer, which your plan there pays for?\nSeries: 2 series")
    assert len(service.submits) == (1 if action == "accept" else 0)
    if action == "decline":
        assert data_of(result)["code"] == "spend_refused"
        assert "did not agree" in text_of(result) or "declined" in text_of(result)


async def test_an_id_column_is_for_eomer_alone(client: Client, tmp_path: Path) -> None:
    rows = [f"{sku},{store},2026-01-0{day},1" for sku in "ab" for store in "x" for day in range(1, 6)]
    (tmp_path / "sales.csv").write_text("\n".join(["sku,store,day,sold", *rows]), encoding="utf-8")
    said = {"file": "sales.csv", "id_column": "sku"}

    monthly = data_of(await client.call_tool("validate_series", {**said, "backend": "local"}))
    many = data_of(await client.call_tool("validate_series", {**said, "backend": "eomer"}))
    summed = data_of(await client.call_tool("validate_series", {**said, "backend": "eomer", "aggregate": "sum"}))

    assert (monthly["code"], monthly["next"]["arguments"]["backend"]) == ("invalid_argument", "eomer")
    assert (many["valid"], many["profile"]["series"]) == (True, 2)
    assert (summed["code"], "aggregate" in summed["next"]["arguments"]) == ("invalid_argument", False)
