"""What nobody should send: refused, not repeated in the log, and the server goes on."""

import json
import logging
import zipfile
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import anyio
import pytest

from sybilion_mcp.http.app import Place
from tests.conftest import good_series
from tests.http.conftest import Open
from tests.http.house import ACCEPTED, House, Web, headers_of
from tests.timing import wall_clock

pytestmark = pytest.mark.anyio

KEY = "sk_ops_somebody_0123456789"
SECRET = "content-that-no-log-may-hold"
PING = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "ping"}).encode()
MODERN = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/list"}
PAID = {
    "series": good_series(),
    "title": "Demand for a made-up product",
    "soft_horizon": 12,
    "backend": "sybilion",
    "max_cost_eur_cents": 1000,
}
PUBLIC = Place("0.0.0.0", 8000)


@pytest.fixture(autouse=True)
def everything_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)


async def alive(web: Web) -> None:
    assert (await web.post(PING)).status_code == 200
    health = await web.http.get("http://127.0.0.1:8000/healthz")
    assert health.json()["status"] == "ok"


@pytest.mark.parametrize("era", [{}, MODERN])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "attacker.example"}, 421),
        ({"Host": "127.0.0.1.attacker.example:8000"}, 421),
        ({"Origin": "https://attacker.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Content-Type": "text/plain"}, 400),  # a form of a web page needs no leave for it
    ],
)
async def test_a_web_page_from_elsewhere_does_not_get_in(
    house: House, headers: dict[str, str], status: int, era: dict[str, str]
) -> None:
    async with house.web() as web:
        answer = await web.post(PING, **era, **headers)
        assert answer.status_code == status
        await alive(web)


async def test_the_names_and_pages_that_were_allowed_get_in(opened: Open) -> None:
    settings = {"allowed_hosts": ("forecasts.example.com",), "allowed_origins": ("https://app.example.com",)}
    async with opened(PUBLIC, **settings) as house, house.web() as web:
        names = {"Host": "forecasts.example.com", "Origin": "https://app.example.com"}
        assert (await web.post(PING, KEY, **names)).status_code == 200
        assert (await web.post(PING, KEY, Host="forecasts.example.com:8443")).status_code == 200
        assert (await web.post(PING, KEY, Host="127.0.0.1:8000")).status_code == 421


async def test_a_server_for_everywhere_is_told_its_names_before_it_starts(opened: Open) -> None:
    with pytest.raises(ValueError, match="SYBILION_MCP_ALLOWED_HOSTS"):
        async with opened(PUBLIC):
            pass


async def test_from_other_machines_nobody_gets_in_without_a_key(opened: Open) -> None:
    async with opened(PUBLIC, allowed_hosts=("127.0.0.1",)) as house, house.web() as web:
        answer = await web.post(PING)
        assert answer.status_code == 401
        assert answer.json()["error"] == "key_missing"
        assert (await web.post(PING, KEY)).status_code == 200
        health = await web.http.get("http://127.0.0.1:8000/healthz")
        assert health.status_code == 200


async def test_the_clients_own_token_is_no_key(house: House) -> None:
    async with house.web() as web:
        call = {"name": "submit_forecast", "arguments": PAID}
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}).encode()
        answer = await web.post(body, Authorization=f"Bearer {KEY}")

    assert "token_missing" in answer.text
    assert "X-Sybilion-Api-Key" in answer.text


async def test_without_a_key_the_servers_own_token_is_not_used(opened: Open) -> None:
    async with opened(api_token=KEY, api_base_url="http://127.0.0.1:9") as house, house.web() as web:
        refused = await web.call(None, "submit_forecast", **PAID)
        assert refused["code"] == "token_missing"


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT", "OPTIONS", "HEAD"])
async def test_only_posts_are_answered(house: House, method: str) -> None:
    async with house.web() as web:
        answer = await web.http.request(method, web.url, headers=ACCEPTED)

    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("path", ["/mcp%0A", "/mcp/", "//mcp", "/mcp%00", "/MCP", "/healthz%0A", "/", "/other"])
async def test_only_the_very_path_is_the_endpoint(opened: Open, path: str) -> None:
    """Given a server that lets nobody in without a key, no other way leads to it."""
    async with opened(PUBLIC, allowed_hosts=("127.0.0.1",)) as house, house.web() as web:
        for key in (KEY, None):
            headers = ACCEPTED | headers_of(key)
            answer = await web.http.post(f"http://127.0.0.1:8000{path}", content=PING, headers=headers)
            assert (answer.status_code, answer.json()["error"]) == (404, "not_found")
        assert (await web.post(PING, KEY)).status_code == 200


BEHIND_A_PROXY = [
    {"allowed_hosts": ("forecasts.example.com",)},
    {"allowed_hosts": ("localhost", "forecasts.example.com:8443")},
    {"public_url": "https://forecasts.example.com/mcp"},
]


@pytest.mark.parametrize("settings", BEHIND_A_PROXY)
async def test_behind_a_proxy_of_this_machine_callers_are_not_at_it(
    opened: Open, tmp_path: Path, settings: dict[str, Any]
) -> None:
    async with opened(allow_dirs=(tmp_path,), backend="local", **settings) as house, house.web() as web:
        nobody = await web.post(PING, Host="forecasts.example.com")
        disguised = await web.post(PING)
        reading = await web.call(KEY, "validate_series", file="sales.csv")

    assert nobody.status_code == disguised.status_code == 401
    assert reading["code"] == "file_outside_allowed_folders"


async def test_other_names_of_this_machine_keep_the_server_its_own(opened: Open) -> None:
    async with opened(allowed_hosts=("localhost:9000", "127.0.0.2", "[::1]:9000")) as house, house.web() as web:
        assert (await web.post(PING, Host="localhost:9000")).status_code == 200


@pytest.mark.parametrize("header", ["Host", "Origin"])
async def test_a_header_from_elsewhere_is_not_logged_as_it_came(
    house: House, header: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with house.web() as web:
        await web.post(PING, **{header: f"http://{SECRET}"})

    assert f"Invalid {header} header" in caplog.messages
    assert SECRET not in caplog.text


@pytest.mark.parametrize("declared", [True, False])
async def test_ten_megabytes_of_json_in_an_argument_are_refused(
    house: House, declared: bool, caplog: pytest.LogCaptureFixture
) -> None:
    call = {"name": "validate_series", "arguments": {"title": SECRET, "series": {"2024-01-01": "9" * 10_000_000}}}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}).encode()

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 65_536):
            yield body[start : start + 65_536]

    async with house.web() as web, aclosing(pieces()) as chunks:
        answer = await web.http.post(web.url, content=body if declared else chunks, headers=ACCEPTED)
        assert answer.status_code == 413
        await alive(web)

    assert SECRET not in caplog.text


@wall_clock
async def test_a_body_that_trickles_in_is_cut_off(opened: Open, caplog: pytest.LogCaptureFixture) -> None:
    never = anyio.Event()

    async def trickle() -> AsyncIterator[bytes]:
        yield json.dumps({"jsonrpc": "2.0", "note": SECRET}).encode()[:-1]
        await never.wait()

    async with opened(body_seconds=0.2) as house, house.web() as web, aclosing(trickle()) as chunks:
        with anyio.fail_after(10):
            answer = await web.http.post(web.url, content=chunks, headers=ACCEPTED)
        assert (answer.status_code, answer.json()["error"]) == (408, "body_too_slow")
        await alive(web)

    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": ' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001,
        b'{"jsonrpc": "2.0", "id": ' + b"9" * 5_000 + b', "method": "ping"}',
        b"[" + b",".join([PING] * 100) + b"]",
        b'{"jsonrpc": "2.0", "id": 1, "method": "content-that-no-log-may-hold"}',
        b'{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": "content-that-no-log-may-hold"}',
    ],
)
@pytest.mark.parametrize("era", [{}, MODERN])
async def test_bodies_that_are_no_request_are_refused(
    house: House, body: bytes, era: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    async with house.web() as web:
        answer = await web.post(body, **era)
        assert answer.status_code < 500
        assert answer.status_code >= 400 or "error" in answer.text
        await alive(web)

    assert not [one for one in caplog.records if one.levelno >= logging.WARNING and SECRET in one.getMessage()]


@pytest.mark.parametrize(
    "name", ["../desk.db", "..", "/etc/passwd", "..%2f..%2fdesk.db", "forecast.json\0", "a" * 5_000, "..\\desk.db"]
)
async def test_tricks_in_the_name_of_an_artifact_lead_nowhere(house: House, name: str) -> None:
    async with house.web() as web:
        for job_id in ("00000000-0000-4000-8000-000000000000", "..", "../../engine"):
            read = await web.call(KEY, "read_artifact", job_id=job_id, artifact=name)
            assert read["code"] in ("job_not_found", "artifact_not_found", "invalid_argument")
            told = await web.ask(KEY, "resources/read", uri=f"sybilion://jobs/{job_id}/artifacts/{name}")
            assert "error" in told
        await alive(web)


@pytest.mark.parametrize("key", [KEY, None])
@pytest.mark.parametrize("path", ["/taken.json", "../taken.json", "~/taken.json", "taken.json"])
async def test_over_http_no_file_is_read_or_written(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str | None, path: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken.json").write_text("date,value\n2024-01-01,1\n")
    async with house.web() as web:
        read = await web.call(key, "validate_series", file=path)
        job_id = "00000000-0000-4000-8000-000000000000"
        written = await web.call(key, "read_artifact", job_id=job_id, artifact="forecast.json", save_to=path)

    assert read["code"] == "file_outside_allowed_folders"
    assert "over HTTP" in read["message"]
    assert written["code"] in ("file_outside_allowed_folders", "job_not_found")


async def test_the_allowed_folders_are_for_who_sits_at_this_machine(opened: Open, tmp_path: Path) -> None:
    """Given a folder that was allowed, only a caller without a key, whom only this machine can be, may use it."""
    folder = tmp_path / "allowed"
    folder.mkdir()
    rows = "\n".join(f"{month},{value}" for month, value in good_series(41).items())
    (folder / "sales.csv").write_text(f"date,value\n{rows}\n")
    async with opened(allow_dirs=(folder,), backend="local") as house, house.web() as web:
        own = await web.call(None, "validate_series", file="sales.csv")
        others = await web.call(KEY, "validate_series", file="sales.csv")
        outside = await web.call(None, "validate_series", file="../home/desk.db")

    assert own["series_id"]
    assert others["code"] == outside["code"] == "file_outside_allowed_folders"


async def test_a_workbook_that_unpacks_to_gigabytes_is_refused(
    opened: Open, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "allowed"
    folder.mkdir()
    bomb(folder / "bomb.xlsx")
    async with opened(allow_dirs=(folder,), backend="local") as house, house.web() as web:
        with anyio.fail_after(20):
            answer = await web.call(None, "validate_series", file="bomb.xlsx")
        assert answer["code"].startswith("file_")
        await alive(web)


def bomb(path: Path) -> None:
    """A small file whose sheet is half a gigabyte of spaces."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
        with packed.open("xl/worksheets/sheet1.xml", "w") as sheet:
            for _ in range(512):
                sheet.write(b" " * 2**20)
        packed.writestr("[Content_Types].xml", "<Types/>")


async def test_a_failure_of_ours_is_told_without_content(
    house: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("a mistake")

    monkeypatch.setattr("sybilion_mcp.service.validate.points_of", broken)
    async with house.web() as web:
        answer = await web.call(KEY, "validate_series", series={"2024-01-01": SECRET}, title=SECRET)
        assert answer["code"] == "internal_error"
        await alive(web)

    assert KEY not in caplog.text
    assert SECRET not in caplog.text
