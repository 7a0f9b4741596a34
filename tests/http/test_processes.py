"""Several server processes on one folder, and how a process ends."""

import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from mcp import Client
from mcp_types import ElicitRequestParams, ElicitResult, ResourceTemplateReference

from tests.hosted import serving
from tests.http.house import ACCEPTED, Web
from tests.http.processes import ENDING_SECONDS, client_of, recent_series, server
from tests.timing import wall_clock

pytestmark = pytest.mark.anyio

KEY = "a-key-of-somebody-0123456789"
TITLE = "Monthly demand for a made-up product"


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    with anyio.fail_after(60):
        result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    return dict(result.structured_content or {})


@wall_clock
async def test_the_whole_conversation_works_whichever_process_answers(tmp_path: Path, mode: str) -> None:
    home = tmp_path / "home"
    async with (
        server(home, "--backend", "local") as one,
        server(home, "--backend", "local") as other,
        client_of(one, other, key=KEY, mode=mode) as client,
    ):
        checked = await call(client, "validate_series", series=recent_series(), title=TITLE)
        job = await call(client, "submit_forecast", series_id=checked["series_id"], soft_horizon=3, backtest=False)
        again = await call(client, "submit_forecast", series_id=checked["series_id"], soft_horizon=3, backtest=False)
        assert (again["job_id"], again["reused"]) == (job["job_id"], True)
        for _ in range(2):  # once on each
            status = await call(client, "get_status", job_id=job["job_id"], wait_seconds=45)
            assert status["status"] == "completed"
            report = await call(client, "read_artifact", job_id=job["job_id"])
            assert len(report["forecast"]) == 3
        for part in ("", "/report", "/forecast", "/artifacts/forecast.json"):
            for _ in range(2):
                assert (await client.read_resource(f"sybilion://jobs/{job['job_id']}{part}")).contents
        template = ResourceTemplateReference(type="ref/resource", uri="sybilion://jobs/{job_id}")
        for _ in range(2):
            found = await client.complete(template, {"name": "job_id", "value": ""})
            assert found.completion.values == [job["job_id"]]
        for process in (one, other):
            code, seconds = await process.end()
            assert code == 0
            assert seconds <= ENDING_SECONDS

    for process in (one, other):
        assert KEY not in process.log.read_text()
        assert "Traceback" not in process.log.read_text()


async def test_a_person_who_is_asked_by_one_process_is_heard_by_the_other(tmp_path: Path) -> None:
    asked: list[str] = []

    async def person(_: object, params: ElicitRequestParams) -> ElicitResult:
        asked.append(params.message)
        return ElicitResult(action="accept", content={"pay": True})

    home = tmp_path / "home"
    async with serving() as api:
        said = {"SYBILION_API_BASE_URL": api.url}
        async with (
            server(home, **said) as one,
            server(home, **said) as other,
            client_of(one, other, key=api.token, person=person) as client,
        ):
            checked = await call(client, "validate_series", series=recent_series(), title=TITLE)
            question = {"series_id": checked["series_id"], "soft_horizon": 12, "driver_limit": 0}
            job = await call(client, "submit_forecast", **question)
            again = await call(client, "submit_forecast", **question)
            api.finish(job["job_id"])
            status = await call(client, "get_status", job_id=job["job_id"], wait_seconds=45)

        assert len(asked) == 1
        assert len(api.submits) == 1
        assert (again["job_id"], again["reused"]) == (job["job_id"], True)
        assert status["status"] == "completed"
        assert api.token not in one.log.read_text() + other.log.read_text()


async def test_what_was_agreed_to_for_one_caller_is_no_consent_of_another(tmp_path: Path) -> None:
    """Given the sealed state of a call that asked Anna, Bert's answer with it is refused."""
    home = tmp_path / "home"
    async with serving() as api:
        api.users.update({"anna-0123456789": "anna", "bert-0123456789": "bert"})
        async with server(home, SYBILION_API_BASE_URL=api.url) as one, httpx.AsyncClient(timeout=30) as http:
            arguments = {"series": recent_series(), "title": TITLE, "soft_horizon": 12, "driver_limit": 0}
            first = await modern(http, one.url, "anna-0123456789", arguments)
            state = first["result"]["requestState"]
            [question] = first["result"]["inputRequests"]
            answered = {question: {"action": "accept", "content": {"pay": True}}}
            stolen = await modern(
                http, one.url, "bert-0123456789", arguments, requestState=state, inputResponses=answered
            )

        assert stolen["error"]["data"] == {"reason": "invalid_request_state"}
        assert api.submits == []


async def modern(http: httpx.AsyncClient, url: str, key: str, arguments: dict[str, Any], **more: Any) -> Any:
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}},
    }
    params = {"name": "submit_forecast", "arguments": arguments, "_meta": meta, **more}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    headers = {"MCP-Protocol-Version": "2026-07-28", "Mcp-Method": "tools/call", "Mcp-Name": "submit_forecast"}
    answer = await http.post(url, json=body, headers={**ACCEPTED, **headers, "X-Sybilion-Api-Key": key})
    return answer.json()


@wall_clock
async def test_told_to_end_it_answers_who_waits_and_goes(tmp_path: Path, mode: str) -> None:
    """Given a caller who waits long for a job, SIGTERM brings the answer at once, and exit code 0 soon."""
    async with serving() as api:
        job_id = api.make_job()
        async with server(tmp_path / "home", SYBILION_API_BASE_URL=api.url) as one:
            status: dict[str, Any] = {}

            async def wait(client: Client) -> None:
                status.update(await call(client, "get_status", job_id=job_id, wait_seconds=45))

            async with client_of(one, key=api.token, mode=mode) as client, anyio.create_task_group() as group:
                await client.list_tools()  # or the client would ask for the schema of the answer afterwards
                group.start_soon(wait, client)
                with anyio.fail_after(30):
                    await api.seen(1)
                code, seconds = await one.end()

        assert status["status"] == "running"
        assert code == 0
        assert seconds <= ENDING_SECONDS
        assert "Traceback" not in one.log.read_text()


@wall_clock
async def test_told_to_end_while_a_job_runs_it_leaves_the_job_to_the_next(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with server(home, "--backend", "local") as one, httpx.AsyncClient(timeout=60) as http:
        web = Web(http, one.url)
        said = {"series": recent_series(240), "title": TITLE, "soft_horizon": 12}
        job = await web.call(KEY, "submit_forecast", **said)
        code, seconds = await one.end()
    async with server(home, "--backend", "local") as other, httpx.AsyncClient(timeout=60) as http:
        status = await Web(http, other.url).call(KEY, "get_status", job_id=job["job_id"], wait_seconds=45)

    assert (code, status["status"]) == (0, "completed")
    assert seconds <= ENDING_SECONDS


@wall_clock
async def test_a_slow_head_and_a_slow_body_do_not_keep_it_from_ending(tmp_path: Path) -> None:
    async with server(tmp_path / "home") as one:
        url = httpx.URL(one.url)
        heads = [b"POST /mcp HT", b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{"]
        streams = [await anyio.connect_tcp(url.host, url.port or 0) for _ in heads]
        for stream, head in zip(streams, heads, strict=True):
            await stream.send(head)
        async with httpx.AsyncClient() as http:
            assert (await http.get(url.copy_with(path="/healthz"))).json()["status"] == "ok"
        code, seconds = await one.end()
        for stream in streams:
            await stream.aclose()

    assert code == 0
    assert seconds <= ENDING_SECONDS


@pytest.mark.parametrize(
    ("flags", "environment", "complaint"),
    [
        (("--host", "0.0.0.0"), {}, "SYBILION_MCP_ALLOWED_HOSTS"),
        ((), {"SYBILION_MCP_OAUTH_SCOPES": "forecast"}, "SYBILION_MCP_OAUTH_ISSUER"),
        ((), {"SYBILION_MCP_OAUTH_ISSUER": "http://issuer.example"}, "https"),
        (("--host", "203.0.113.7"), {}, "203.0.113.7"),
    ],
)
async def test_what_it_cannot_be_started_with_is_told_in_a_line(
    tmp_path: Path, flags: tuple[str, ...], environment: dict[str, str], complaint: str
) -> None:
    command = [sys.executable, "-m", "sybilion_mcp", "serve", "--transport", "http", "--port", "0", *flags]
    with anyio.fail_after(30):
        ended = await anyio.run_process(command, check=False, env=env_of(tmp_path) | environment)

    assert ended.returncode == 2
    assert complaint in ended.stderr.decode()
    assert "Traceback" not in ended.stderr.decode()


def env_of(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "SYBILION_MCP_HOME": str(tmp_path / "home")}


async def test_the_token_of_the_environment_is_said_not_to_be_used(tmp_path: Path) -> None:
    async with server(tmp_path / "home", SYBILION_API_TOKEN="sk_ops_of_the_server") as one:
        await one.end()

    told = one.log.read_text()
    assert "SYBILION_API_TOKEN is not used over HTTP" in told
    assert "sk_ops_of_the_server" not in told


async def test_what_is_logged_is_json_with_the_id_of_the_request(tmp_path: Path) -> None:
    async with serving() as api:
        async with (
            server(tmp_path / "home", SYBILION_API_BASE_URL=api.url, SYBILION_MCP_LOG_LEVEL="INFO") as one,
            httpx.AsyncClient(timeout=60) as http,
        ):
            said = {"name": "get_status", "arguments": {"job_id": api.make_job(), "wait_seconds": 0}}
            meta = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
            await Web(http, one.url).ask(api.token, "tools/call", **said)
            await Web(http, one.url).ask(api.token, "tools/call", **said, _meta=meta)

        lines = [json.loads(line) for line in one.log.read_text().splitlines()]
        own, callers = [line for line in lines if line["message"].startswith("sybilion job: 200")]
        assert own["level"] == "INFO"
        assert len(own["trace_id"]) == 32
        assert callers["trace_id"] == "0af7651916cd43dd8448eb211c80319c"


async def test_more_callers_than_a_process_may_open_files_for_at_first_are_served(tmp_path: Path) -> None:
    """Given a limit of 256 open files, 120 callers with desks of their own, each of several files, are answered."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    try:
        async with server(tmp_path / "home", "--backend", "local") as one:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
            async with httpx.AsyncClient(timeout=60) as http:
                for number in range(120):
                    said = {"ref": {"type": "ref/resource", "uri": "sybilion://jobs/{job_id}"}}
                    found = await Web(http, one.url).ask(
                        f"key-of-caller-{number:04d}",
                        "completion/complete",
                        **said,
                        argument={"name": "job_id", "value": ""},
                    )
                    assert found["completion"]["values"] == []
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
