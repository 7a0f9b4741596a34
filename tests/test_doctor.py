"""`doctor`: each thing that can be wrong is found and said with what to do, and nothing secret is told."""

import json
import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from sybilion_mcp.cli import main
from sybilion_mcp.doctor import command, engine, folders
from sybilion_mcp.doctor.finding import Finding, ok
from sybilion_mcp.doctor.folders import check_allowed, check_drivers, check_home
from sybilion_mcp.doctor.installation import check_names, check_packages
from sybilion_mcp.doctor.money import check_eomer_key, check_spend, check_token
from sybilion_mcp.doctor.service import check_service
from sybilion_mcp.settings import Settings
from sybilion_mcp.store.migrations import MIGRATIONS

CANARY = "sk_ops_canaryCANARYcanary0042"
ME = {"user_id": "u", "balance_eur_cents": 1500, "available_eur_cents": 1234, "api_usage_tier": "free"}


@pytest.fixture(autouse=True)
def nothing_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("SYBILION_", "EOMER_"))]:
        if name != "SYBILION_MCP_HOME":
            monkeypatch.delenv(name)


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tiny job is left out where it is not what is tested."""

    async def idle(*_: object) -> Finding:
        return ok("engine", "not asked")

    monkeypatch.setattr(command, "check_engine", idle)


@contextmanager
def service(status: int = 200, body: object = ME, clock: timedelta = timedelta(0)) -> Iterator[str]:
    """Answers every GET alike, with a Date of its own; repeats the token it was sent in every header and body."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            sent = self.headers.get("Authorization", "")
            content = json.dumps(body | {"echo": sent} if isinstance(body, dict) else body).encode()
            self.send_response_only(status)
            self.send_header("Date", format_datetime(datetime.now(UTC) + clock, usegmt=True))
            self.send_header("X-Echo", sent)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Silence."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def levels(findings: list[Finding]) -> dict[str, str]:
    return {one.check: one.level for one in findings}


def test_a_fresh_installation_is_sound_and_leaves_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given nothing configured, with the embedded engine doing a real job in a folder of its own."""
    monkeypatch.setenv("SYBILION_MCP_HOME", str(tmp_path / "home"))

    code = main(["doctor", "--json"])

    told = json.loads(capsys.readouterr().out)
    assert (code, told["problems"]) == (0, 0)
    assert "did a tiny job" in next(one["message"] for one in told["findings"] if one["check"] == "engine")
    assert not (tmp_path / "home").exists()


@pytest.mark.usefixtures("no_engine")
@pytest.mark.parametrize("as_json", [True, False])
def test_a_token_is_told_by_its_last_four_characters_at_most(
    *, as_json: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given a service that repeats the token in everything it answers."""
    monkeypatch.setenv("SYBILION_API_TOKEN", CANARY)
    monkeypatch.setenv("EOMER_API_KEY", "another-canary-0815")
    with service(body=ME | {"api_usage_tier": CANARY}) as address:
        monkeypatch.setenv("SYBILION_API_BASE_URL", address)
        code = main(["doctor", *(["--json"] if as_json else [])])

    captured = capsys.readouterr()
    assert code == 0
    assert "one that ends with 0042" in captured.out
    assert "12.34 EUR" in captured.out
    for secret in (CANARY, CANARY[:-4], CANARY[-5:], "another-canary-0815"):
        assert secret not in captured.out + captured.err


@pytest.mark.usefixtures("no_engine")
def test_a_value_that_cannot_be_used_is_a_finding(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SYBILION_MCP_SPEND", "always")
    monkeypatch.setenv("SYBILION_API_TOKEN", CANARY)

    code = main(["doctor"])

    told = capsys.readouterr().out
    assert code == 1
    assert "SYBILION_MCP_SPEND: Input should be" in told
    assert told.rstrip().endswith("1 problem and no warnings.")
    assert CANARY not in told


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("status", "body", "check", "level"),
    [
        (200, ME, "account", "ok"),
        (200, ME | {"available_eur_cents": 0}, "account", "warning"),
        (200, {}, "account", "ok"),
        (200, [], "account", "problem"),
        (401, {"error": "no"}, "account", "problem"),
        (403, {"error": "no"}, "account", "problem"),
        (307, {}, "account", "warning"),
        (503, {}, "account", "warning"),
    ],
)
async def test_the_free_call_says_whether_the_token_is_taken(status: int, body: object, check: str, level: str) -> None:
    with service(status, body) as address:
        found = await check_service(Settings(api_base_url=address, api_token=CANARY))

    assert levels(found) == {"service": "ok", "clock": "ok", check: level}


@pytest.mark.anyio
@pytest.mark.parametrize("given", [{"api_token": CANARY}, {"backend": "sybilion"}])
async def test_an_address_with_a_path_that_is_none_is_found(given: dict[str, str]) -> None:
    """Given an address where a web server knows nothing of what is asked."""
    with service(404, {"error": "no"}) as address:
        found = await check_service(Settings.model_validate({"api_base_url": f"{address}/v2/", **given}))

    assert levels(found) == {"service": "problem"}
    assert f"{address}/v2 answers" in found[0].message
    assert "the address alone" in found[0].action


@pytest.mark.usefixtures("no_engine")
def test_an_address_with_what_each_call_adds_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SYBILION_API_BASE_URL", "https://api.example/api/v1/")

    assert main(["doctor"]) == 1
    assert "SYBILION_API_BASE_URL: must end before /api/v1" in capsys.readouterr().out


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("off", "level", "told"),
    [
        (timedelta(seconds=20), "ok", "within"),
        (timedelta(minutes=-9), "warning", "9 minutes ahead of"),
        (timedelta(hours=7), "warning", "7 hours behind"),
    ],
)
async def test_a_clock_that_is_wrong_is_found(off: timedelta, level: str, told: str) -> None:
    """Given a service whose clock is off against ours."""
    with service(clock=off) as address:
        found = await check_service(Settings(api_base_url=address, api_token=CANARY))

    clock = next(one for one in found if one.check == "clock")
    assert clock.level == level
    assert told in clock.message


@pytest.mark.anyio
async def test_without_a_token_nobody_is_asked() -> None:
    assert [one.level for one in await check_service(Settings(api_base_url="http://127.0.0.1:9"))] == ["ok"]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("http://127.0.0.1:9", "cannot be reached"),
        ("nowhere", "no address"),
        ("https://[broken", "no address"),
        ("http://name.invalid", "not encrypted"),
    ],
)
async def test_an_address_that_is_wrong_is_told_without_what_is_secret_in_it(address: str, told: str) -> None:
    found = await check_service(Settings(api_base_url=address, api_token=CANARY))

    assert found[-1].level == "problem"
    assert any(told in one.message for one in found)
    assert not any(CANARY in one.message + one.action for one in found)


def test_a_token_in_a_file_that_others_may_read(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{CANARY}\n")
    file.chmod(0o644)

    found = list(check_token(Settings(api_token_file=file), {}))

    assert levels(found) == {"token": "ok", "token file": "warning"}
    assert "chmod 600" in found[1].action


@pytest.mark.parametrize(
    ("token", "level"),
    [("sk_ops_with a blank in it", "problem"), ("sk_ops_ä", "problem"), ("abcdefghijklmnopqrstuvwxyz", "warning")],
)
def test_a_token_that_can_be_none(token: str, level: str) -> None:
    settings = Settings(api_token=token)

    found = list(check_token(settings, {"SYBILION_API_TOKEN": token}))

    assert [one.level for one in found] == [level]
    assert token not in found[0].message


def test_a_token_that_is_missing(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    both = Settings(api_token=CANARY, api_token_file=tmp_path / "empty")

    assert [one.level for one in check_token(Settings(), {})] == ["ok"]
    assert [one.level for one in check_token(Settings(backend="sybilion"), {})] == ["problem"]
    assert [one.level for one in check_token(Settings(api_token_file=tmp_path / "none"), {})] == ["problem"]
    assert [one.level for one in check_token(Settings(api_token_file=tmp_path / "empty"), {})] == ["problem"]
    assert [one.level for one in check_token(both, {"SYBILION_API_TOKEN": CANARY})] == ["warning", "ok"]


@pytest.mark.parametrize(
    ("settings", "level"),
    [
        ({}, None),
        ({"backend": "eomer"}, "problem"),
        ({"eomer_api_key": "with a blank in it"}, "problem"),
        ({"eomer_api_key": "eomer-key-of-some-length-4321"}, "ok"),
    ],
)
def test_the_key_of_eomer(settings: dict[str, Any], level: str | None) -> None:
    found = list(check_eomer_key(Settings(**settings)))

    assert [one.level for one in found] == ([level] if level else [])
    assert not any(str(settings.get("eomer_api_key", "-key-of-")) in one.message for one in found)


def test_with_a_key_of_eomer_something_may_cost() -> None:
    assert check_spend(Settings(eomer_api_key="eomer-key", spend="allow")).level == "warning"


@pytest.mark.parametrize(
    ("policy", "cap", "level"), [("ask", None, "ok"), ("allow", None, "warning"), ("allow", 500, "ok")]
)
def test_what_may_be_spent_without_a_person(policy: str, cap: int | None, level: str) -> None:
    settings = Settings.model_validate({"api_token": CANARY, "spend": policy, "spend_cap_eur_cents": cap})

    assert check_spend(settings).level == level


def database(home: Path, version: int) -> Path:
    home.mkdir()
    path = home / "desk.db"
    path.touch(mode=0o600)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE jobs (id TEXT)")
        connection.execute(f"PRAGMA user_version={version}")
        connection.commit()
    return path


@pytest.mark.parametrize(
    ("version", "level", "told"),
    [
        (len(MIGRATIONS), "ok", "sound"),
        (0, "ok", "at the next start"),
        (len(MIGRATIONS) + 1, "problem", "this program knows"),
    ],
)
def test_the_version_of_the_database(version: int, level: str, told: str, tmp_path: Path) -> None:
    path = database(tmp_path / "home", version)
    before = path.read_bytes(), sorted(path.parent.iterdir())

    found = next(one for one in check_home(path.parent) if one.check == "database")

    assert found.level == level
    assert told in found.message
    assert (path.read_bytes(), sorted(path.parent.iterdir())) == before


def test_a_database_that_a_server_has_open_is_read_as_the_server_sees_it(tmp_path: Path) -> None:
    """Given a version that stands in the write-ahead log only."""
    path = database(tmp_path / "home", 0)
    with closing(sqlite3.connect(path)) as server:
        server.execute("PRAGMA journal_mode=WAL")
        server.execute(f"PRAGMA user_version={len(MIGRATIONS)}")
        server.commit()
        found = next(one for one in check_home(path.parent) if one.check == "database")

    assert f"version {len(MIGRATIONS)}, sound" in found.message


@pytest.mark.parametrize("size", [folders.CHECKED_BYTES, 0])
def test_a_database_whose_server_was_killed_is_read_without_a_trace(
    size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a write-ahead log that nobody has open; a large database is read without it."""
    monkeypatch.setattr(folders, "CHECKED_BYTES", size)
    path, home = database(tmp_path / "server", 0), tmp_path / "home"
    home.mkdir()
    with closing(sqlite3.connect(path)) as server:
        server.execute("PRAGMA journal_mode=WAL")
        server.execute(f"PRAGMA user_version={len(MIGRATIONS)}")
        server.commit()
        for name in ("desk.db", "desk.db-wal"):
            shutil.copy(path.with_name(name), home)
    before = {file.name: file.read_bytes() for file in home.iterdir()}

    found = next(one for one in check_home(home) if one.check == "database")

    assert found.message.startswith(f"desk.db, version {len(MIGRATIONS) if size else 0}")
    assert {file.name: file.read_bytes() for file in home.iterdir()} == before


def test_a_damaged_database_others_who_read_it_and_old_copies(tmp_path: Path) -> None:
    path = database(tmp_path / "home", len(MIGRATIONS))
    path.with_name("desk.db.v0.bak").write_bytes(b"x" * 1000)
    path.chmod(0o644)
    assert levels(list(check_home(path.parent))) == {
        "data folder": "ok",
        "free space": "ok",
        "database": "warning",
        "backups": "warning",
    }

    path.write_bytes(b"no database at all" * 300)
    assert levels(list(check_home(path.parent)))["database"] == "problem"


def test_a_data_folder_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert [one.level for one in check_home(tmp_path / "file")] == ["problem"]
    assert [one.level for one in check_home(tmp_path / "file" / "home")] == ["problem"]


@pytest.mark.usefixtures("no_engine")
def test_a_path_that_nobody_can_look_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Given a name that is too long for the file system."""
    monkeypatch.setenv("SYBILION_MCP_HOME", str(tmp_path / ("x" * 300)))

    assert main(["doctor"]) == 1
    assert "cannot be looked at: File name too long" in capsys.readouterr().out


def test_a_data_folder_that_cannot_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test may run as a user who can write everywhere."""
    monkeypatch.setattr("os.access", lambda *_: False)

    assert levels(list(check_home(tmp_path / "home")))["data folder"] == "problem"
    assert [one.level for one in check_allowed((tmp_path,))] == ["problem"]


@pytest.mark.anyio
@pytest.mark.parametrize(("backend", "level"), [("local", "problem"), ("sybilion", "warning")])
async def test_an_engine_that_is_not_installed(backend: str, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "find_spec", lambda _: None)

    found = await engine.check_engine(Settings.model_validate({"backend": backend}))

    assert found.level == level
    assert "sybilion-mcp[engine]" in found.action


@pytest.mark.anyio
async def test_an_engine_that_does_not_answer_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "SECONDS", 0.0)

    found = await engine.check_engine(Settings())

    assert found.level == "problem"
    assert "not done within" in found.message


@pytest.mark.parametrize(("free", "level"), [(10**10, "ok"), (5 * 10**8, "warning"), (10**6, "problem")])
def test_little_room_is_told(free: int, level: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        def __init__(self) -> None:
            self.free = free

    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage())

    assert levels(list(check_home(tmp_path)))["free space"] == level


def test_allowed_folders(tmp_path: Path) -> None:
    found = list(check_allowed((tmp_path, tmp_path / "none", Path("/"))))

    assert [one.level for one in found] == ["ok", "problem", "warning"]
    assert [one.level for one in check_allowed(())] == ["ok"]


def test_the_driver_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, table = tmp_path / "home" / "drivers.db", tmp_path / "prices.csv"
    table.write_text("date,copper\n" + "".join(f"2025-{month:02d}-01,{month}\n" for month in range(1, 13)))
    assert check_drivers(file).level == "ok"

    assert main(["drivers", "add", str(table)]) == 0
    capsys.readouterr()
    assert check_drivers(file).message.startswith("1 series in")

    file.write_bytes(b"no database at all" * 300)
    assert check_drivers(file).level == "problem"


def test_a_misspelt_name_is_found() -> None:
    told = check_names({"SYBILION_MCP_SPND": "deny", "SYBILION_MCP_HOME": "/x", "PATH": "/bin"})

    assert told.level == "warning"
    assert "did you mean SYBILION_MCP_SPEND?" in told.message
    assert check_names({"SYBILION_API_TOKEN": CANARY}).level == "ok"


@pytest.mark.parametrize(
    ("wanted", "level"),
    [
        (["mcp<3,>=2.3", "sqlalchemy[asyncio]>=2.0.40", "jsonschema>=4; extra == 'x'"], "ok"),
        (["mcp<2"], "problem"),
        (["mcp>=99.1"], "problem"),
        (["no-such-package-here>=1"], "problem"),
        (["no-such-package-here>=1; extra == 'dev'"], "ok"),
    ],
)
def test_packages_outside_their_bounds(wanted: list[str], level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sybilion_mcp.doctor.installation.requires", lambda _: wanted)

    assert check_packages().level == level
