"""A token goes nowhere: whatever happens to it, nobody reads it in an answer, a log or a file."""

import json
import logging
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Executor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio
import pytest
import stamina
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, ResourceTemplateReference

from sybilion_mcp.contract.jobs import Job
from sybilion_mcp.hints import CODES
from sybilion_mcp.secret_text import HIDDEN, Secrets
from sybilion_mcp.server import build_server
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.settings import Settings
from tests.canaries import DISGUISES, EOMER, OTHER, TOKEN, UNSEEN, Disguise, in_databases, stored, tells
from tests.conftest import ERAS, TODAY, good_series
from tests.hosted import Fault, HostedApi, ImpatientDesk, serving

pytestmark = pytest.mark.anyio

TITLE = "Monthly demand for a made-up product in Austria, units"


@pytest.fixture
async def api() -> AsyncIterator[HostedApi]:
    async with serving() as api:
        yield api


@pytest.fixture(params=[TOKEN, OTHER])
def canary(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def desk(api: HostedApi, tmp_path: Path, executor: Executor, canary: str) -> Desk:
    api.token = canary
    settings = Settings(
        home=tmp_path / "home",
        api_token=canary,
        eomer_api_key=EOMER,
        api_base_url=api.url,
        spend="allow",
        log_level="DEBUG",
        allow_dirs=(tmp_path,),
    )
    return ImpatientDesk(settings, today=lambda: TODAY, executor=executor)


@pytest.fixture(params=ERAS)
async def client(desk: Desk, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Client]:
    """With everything logged that libraries log, as far as the server lets them."""
    caplog.set_level(logging.DEBUG)
    async with Client(build_server(desk.settings, desk), mode=ERAS[request.param]) as connected:
        yield connected


@pytest.fixture(autouse=True)
def no_pauses_between_retries() -> Iterator[None]:
    with stamina.set_testing(True, attempts=2):
        yield


async def call(client: Client, tool: str, **arguments: Any) -> tuple[dict[str, Any], str]:
    """The data of a call, and everything that the client got of it."""
    with anyio.fail_after(30):
        result = await client.call_tool(tool, arguments)
    return dict(result.structured_content or {}), result.model_dump_json()


# The configured token


async def test_a_whole_conversation_leaves_no_trace_of_the_token(
    client: Client, desk: Desk, api: HostedApi, canary: str, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    seen = []
    checked, text = await call(client, "validate_series", series=good_series(), title=TITLE)
    seen.append(text)
    made, text = await call(client, "submit_forecast", series_id=checked["series_id"], soft_horizon=12)
    seen.append(text)
    api.finish(made["job_id"])
    local, text = await call(
        client, "submit_forecast", series_id=checked["series_id"], soft_horizon=3, backtest=False, backend="local"
    )
    seen.append(text)
    for job_id in (made["job_id"], local["job_id"]):
        seen.append((await call(client, "get_status", job_id=job_id, wait_seconds=20))[1])
        seen += [
            (await call(client, "read_artifact", job_id=job_id, artifact=part))[1]
            for part in ("report", "forecast", "drivers", "input", "forecast.json")
        ]
        seen += [
            (await client.read_resource(f"sybilion://jobs/{job_id}{part}")).model_dump_json()
            for part in ("", "/report", "/forecast", "/drivers", "/artifacts/input.json")
        ]
    seen.append((await client.read_resource(f"sybilion://series/{checked['series_id']}")).model_dump_json())

    assert [one for one in seen if canary in one] == []
    assert canary not in caplog.text
    kept = stored(tmp_path)
    assert len(kept) > 50_000
    assert canary.encode() not in kept
    assert {path.name for path in (tmp_path / "home").rglob("*.db")} >= {"desk.db"}


ECHOES = {
    "in the sentence of an error": (401, {"error": "invalid token {0}", "trace_id": "{0}"}),
    "in a server error": (500, {"error": "{0}", "trace_id": "trace-{0}", "{0}": 1}),
    "in the details of a refusal": (422, {"error": "{0}", "details": [{"field": "{0}", "message": "{0}"}]}),
    "in garbage": (200, {"{0}": ["{0}"], "job": {"token": "{0}"}}),
}


@pytest.mark.parametrize("echo", ECHOES)
async def test_a_service_that_repeats_the_token_is_not_repeated(
    client: Client, api: HostedApi, canary: str, caplog: pytest.LogCaptureFixture, tmp_path: Path, echo: str
) -> None:
    status, body = ECHOES[echo]
    answer = json.dumps(body).replace("{0}", canary).encode()
    fault = Fault(status, answer, (("x-trace-id", canary), ("x-request-id", canary)))
    job_id = api.make_job()
    for operation in ("submit", "job", "jobs", "artifact"):
        api.always(operation, fault)

    asked = {"series": good_series(), "title": TITLE, "soft_horizon": 12}
    seen = [await call(client, "submit_forecast", **asked) for _ in range(2)]
    seen.append(await call(client, "get_status", job_id=job_id, wait_seconds=0))
    seen.append(await call(client, "read_artifact", job_id=job_id, artifact="forecast"))
    with pytest.raises(MCPError) as caught:
        await client.read_resource(f"sybilion://jobs/{job_id}")

    assert [data["code"] for data, _ in seen if data["code"] not in CODES] == []
    assert [text for _, text in seen if canary in text] == []
    assert canary not in f"{caught.value} {caught.value.error.model_dump_json()}"
    assert canary not in caplog.text
    assert canary.encode() not in stored(tmp_path)


async def test_a_job_that_tells_the_token_is_not_repeated(
    client: Client, desk: Desk, api: HostedApi, canary: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Also where the service writes it into what is shown as data."""
    job_id = api.make_job()
    api.finish(job_id, "failed", pipeline_error={"code": f"bad_{canary}", "detail": f"Bearer {canary} was refused"})

    _, told = await call(client, "get_status", job_id=job_id, wait_seconds=0)

    assert "refused" in told
    assert HIDDEN[1:-1] in told
    assert canary not in told
    assert canary not in caplog.text


async def test_a_crash_does_not_tell_the_token(
    client: Client, desk: Desk, canary: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Given a bug that raises with the token in its message, the log has the place and not the token."""

    async def broken(*_: object) -> Job:
        raise RuntimeError(f"no header for Bearer {canary}") from ValueError(canary)

    monkeypatch.setattr(desk.store, "job", broken)
    _, told = await call(client, "get_status", job_id="j1", wait_seconds=0)
    with pytest.raises(MCPError) as caught:
        await client.read_resource("sybilion://jobs/j1")

    assert "internal_error" in told
    assert canary not in told
    assert canary not in str(caught.value)
    assert "RuntimeError" in caplog.text
    assert HIDDEN in caplog.text
    assert canary not in caplog.text


# A token in an argument

PASTED = {
    "title": {"title": f"Demand for steel in Austria {TOKEN}"},
    "description": {"description": f"use the key {TOKEN}, please"},
    "keywords": {"keywords": ["steel", TOKEN]},
}


@pytest.mark.parametrize("where", PASTED)
@pytest.mark.parametrize("tool", ["validate_series", "submit_forecast"])
@pytest.mark.parametrize("secret", [TOKEN, OTHER, "sk_ops_somebody_elses", "eomer-canary-0123456789"])
@pytest.mark.parametrize("canary", [OTHER], indirect=True)
async def test_a_token_that_was_pasted_is_refused_before_anything_is_kept(
    client: Client,
    api: HostedApi,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    where: str,
    tool: str,
    secret: str,
) -> None:
    said = json.loads(json.dumps(PASTED[where]).replace(TOKEN, secret))

    data, told = await call(client, tool, series=good_series(), soft_horizon=12, **{"title": TITLE, **said})

    assert data["code"] == "secret_in_text"
    assert data["message"].startswith(f"{where} of {tool} holds")
    assert data["next"]["tool"] == tool
    assert where not in data["next"]["arguments"]
    assert data["next"]["arguments"]["soft_horizon"] == 12
    assert api.requests == []
    for text in (told, caplog.text):
        assert secret not in text
    assert secret.encode() not in stored(tmp_path)
    assert not (tmp_path / "home" / "desk.db").exists()


@pytest.mark.parametrize("canary", [TOKEN], indirect=True)
async def test_a_token_is_refused_wherever_it_stands(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    """In any tool, in arguments of any shape, and where the call does not fit anyway."""
    calls: list[tuple[str, dict[str, Any]]] = [
        ("suggest_keywords", {"title": f"{TITLE} {TOKEN.lower()}"}),
        ("get_status", {"job_id": TOKEN}),
        ("read_artifact", {"job_id": "j1", "save_to": f"results/{TOKEN}.txt"}),
        ("validate_series", {"series": json.dumps({TOKEN: 1})}),
        ("validate_series", {"series": {"2020-01-01": {"deep": [[{TOKEN: 1}]]}}}),
        ("submit_forecast", {"api_token": TOKEN}),
        ("submit_forecast", {TOKEN: 1, "titel": "x"}),
    ]
    for tool, arguments in calls:
        data, told = await call(client, tool, **arguments)
        assert data["code"] == "secret_in_text", tool
        assert not tells(told, TOKEN)
    data, told = await call(client, f"submit_{TOKEN}", title=TITLE)
    assert (data["code"], data.get("next")) == ("secret_in_text", None)
    assert not tells(told, TOKEN)
    assert not tells(caplog.text, TOKEN)


@pytest.mark.parametrize("disguise", [*DISGUISES.values(), *UNSEEN.values()], ids=[*DISGUISES, *UNSEEN])
@pytest.mark.parametrize("canary", [TOKEN, OTHER], indirect=True)
async def test_a_token_in_disguise_is_refused_in_every_kind_of_request(
    client: Client, api: HostedApi, canary: str, caplog: pytest.LogCaptureFixture, tmp_path: Path, disguise: Disguise
) -> None:
    pasted = disguise(canary)
    data, told = await call(client, "validate_series", series=good_series(), title=f"{TITLE} {pasted}")
    assert data["code"] == "secret_in_text"
    for asking in (
        client.read_resource(f"sybilion://guide/{quote(pasted)}"),
        client.read_resource(f"sybilion://jobs/{quote(pasted)}/report"),
        client.get_prompt("decide-with-forecast", {"job_id": "j", "decision": f"buy with {pasted}?"}),
        client.get_prompt(pasted, {}),
    ):
        with pytest.raises(MCPError) as caught:
            await asking
        assert caught.value.code == INVALID_PARAMS
        assert caught.value.message.startswith("secret_in_text: ")
        assert "SYBILION_API_TOKEN" in caught.value.message
        told += f"{caught.value} {caught.value.error.model_dump_json()}"
    reference = ResourceTemplateReference(uri="sybilion://jobs/{job_id}")
    completed = await client.complete(reference, {"name": "job_id", "value": pasted})

    assert completed.completion.values == []
    assert not tells(told, canary)
    assert not tells(caplog.text, canary)
    assert api.requests == []
    assert not (tmp_path / "home" / "desk.db").exists()


async def test_a_token_in_a_file_is_not_told(client: Client, canary: str, tmp_path: Path) -> None:
    """As the name of a column, as a date, as a number."""
    for name, rows in {
        "column": [f"month,{canary},x", "2020-01-01,1,2"],
        "date": ["month,value", f"{canary},1"],
        "number": ["month,value", f"2020-01-01,{canary}"],
    }.items():
        (tmp_path / f"{name}.csv").write_text("\n".join(rows), encoding="utf-8")

        _, told = await call(client, "validate_series", file=str(tmp_path / f"{name}.csv"))

        assert not tells(told, canary), name
        assert not tells(await in_databases(tmp_path / "home"), canary), name


@pytest.mark.parametrize("canary", [OTHER], indirect=True)
async def test_words_about_tokens_are_no_tokens(client: Client) -> None:
    """Nor is a secret that is too short to be one."""
    data, _ = await call(
        client, "validate_series", series=good_series(), title=TITLE, description="Tokens begin with sk_ops_ (see docs)"
    )

    assert data["valid"]
    assert not Secrets(["", "abc"]).within({"abc": ["abc", 1, None]})
