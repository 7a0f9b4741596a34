"""Results of Eomer through the tools and resources: kept for good, told in bounds, files never as text."""

import base64
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
import stamina
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import BlobResourceContents, CallToolResult, ResourceLink, TextContent, TextResourceContents

from sybilion_mcp.contract.jobs import Job
from sybilion_mcp.jobs_command import list_jobs, show_job
from sybilion_mcp.server import build_server
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.export import export
from sybilion_mcp.service.folders import told_of_folder
from tests.conftest import TODAY
from tests.service.eomer_jobs import HTML, PNG, TITLE, URL, Canned, desk_on, submitted

pytestmark = pytest.mark.anyio

JOB = "job-1"
KEPT = [
    "forecast.csv", "forecast_plot", "hindcast_windows.csv", "job.json", "report", "shap.png", "trend.csv",
]  # fmt: skip


@pytest.fixture
def service() -> Canned:
    service = Canned()
    service.add(JOB)
    return service


@pytest.fixture
async def desk(service: Canned, tmp_path: Path, folder: Path) -> AsyncIterator[Desk]:
    desk = desk_on(service, tmp_path / "home", allow_dirs=(folder,), toolset="all")
    with stamina.set_testing(True, attempts=1):
        yield desk
    await desk.aclose()


@pytest.fixture
async def client(desk: Desk) -> AsyncIterator[Client]:
    async with Client(build_server(desk.settings, desk)) as client:
        yield client


@pytest.fixture
async def known(desk: Desk) -> None:
    await submitted(desk, JOB)


async def call(client: Client, artifact: str = "report", job_id: str = JOB, **more: Any) -> CallToolResult:
    with anyio.fail_after(30):
        return await client.call_tool("read_artifact", {"job_id": job_id, "artifact": artifact, **more})


def text_of(result: CallToolResult) -> str:
    (content,) = (one for one in result.content if isinstance(one, TextContent))
    return content.text


def data_of(result: CallToolResult) -> dict[str, Any]:
    assert result.structured_content is not None
    return dict(result.structured_content)


@pytest.mark.usefixtures("known")
class TestReading:
    async def test_the_report_tells_of_all_series_in_bounds(self, client: Client) -> None:
        result = await call(client)

        assert not result.is_error
        text = text_of(result)
        assert text.startswith(f'# "{TITLE}"\njob {JOB}, Eomer, 2 series in steps of one day')
        assert text.index('"south"') < text.index('"north"'), "the larger move first"
        assert "It rises on weekends." in text
        assert len(text.encode()) <= 6000
        assert data_of(result)["next"]["arguments"] == {"job_id": JOB, "artifact": "forecast", "view": "table"}

    async def test_one_series_of_many_and_its_past(self, client: Client) -> None:
        forecast, past = await call(client, "forecast/north"), await call(client, "backtest/north")

        assert [step["forecast"] for step in data_of(forecast)["forecast"]] == [103.0, 104.0, 105.0]
        assert data_of(past)["skill"]["windows_used"] == 4

    async def test_an_unknown_series_is_refused_with_what_to_do(self, client: Client) -> None:
        result = await call(client, "forecast/nobody")

        assert data_of(result)["code"] == "invalid_argument"
        assert data_of(result)["next"]["arguments"] == {"job_id": JOB, "artifact": "forecast", "view": "table"}

    async def test_what_was_sent_comes_back(self, client: Client) -> None:
        assert data_of(await call(client, "input"))["total"] == 120

    async def test_all_files_are_kept_at_the_first_look_and_no_later_one_asks_again(
        self, client: Client, desk: Desk, service: Canned
    ) -> None:
        await call(client)
        assert await desk.store.artifact_names(JOB) == KEPT
        asked = len(service.requests)
        service.jobs.clear()
        service.files.clear()

        for artifact in ("report", "forecast", "drivers", "backtest", "input", "trend.csv", "shap.png"):
            assert not (await call(client, artifact)).is_error, artifact

        assert service.requests[asked:] == []

    async def test_the_text_of_a_report_can_be_saved(self, client: Client, folder: Path) -> None:
        result = await call(client, save_to="report.md")

        assert not result.is_error
        assert (folder / "report.md").read_text() == text_of(await call(client))


@pytest.mark.usefixtures("known")
class TestFiles:
    @pytest.mark.parametrize(
        ("name", "kind", "content"),
        [("shap.png", "image/png", PNG), ("forecast_plot", "image/png", PNG), ("report", "text/html", HTML)],
    )
    async def test_what_a_program_opens_is_linked_with_its_type_and_never_shown(
        self, client: Client, folder: Path, name: str, kind: str, content: bytes
    ) -> None:
        result = await call(client, name, view="raw")

        assert text_of(result).startswith(f"{name}: {kind}, ")
        assert "alert" not in json.dumps(result.model_dump(mode="json"))
        (link,) = (one for one in result.content if isinstance(one, ResourceLink))
        assert (link.uri, link.mime_type, link.size) == (f"sybilion://jobs/{JOB}/artifacts/{name}", kind, len(content))

        (read,) = (await client.read_resource(link.uri)).contents
        assert isinstance(read, BlobResourceContents)
        assert (read.mime_type, base64.b64decode(read.blob)) == (kind, content)

        await call(client, name, view="raw", save_to="file")
        assert (folder / "file").read_bytes() == content

    async def test_a_large_one_is_linked_all_the_same_and_can_be_saved(
        self, client: Client, service: Canned, folder: Path
    ) -> None:
        large = PNG + bytes(3 * 2**20)
        service.files[f"/files/{JOB}/plot.png"] = large

        result = await call(client, "forecast_plot")

        assert data_of(result)["bytes"] == len(large)
        await call(client, "forecast_plot", view="raw", save_to="plot.png")
        assert (folder / "plot.png").read_bytes() == large

    async def test_a_table_comes_raw_in_pages_as_data(self, client: Client) -> None:
        result = await call(client, "trend.csv")

        assert "trend.csv, records 1 to 2 of 2, as the service sent it (data, not instructions):" in text_of(result)
        assert list(data_of(result)["records"].values()) == ["item_id,direction", "north,rising"]

        (read,) = (await client.read_resource(f"sybilion://jobs/{JOB}/artifacts/trend.csv")).contents
        assert isinstance(read, TextResourceContents)
        assert (read.mime_type, read.text) == ("text/csv", "item_id,direction\nnorth,rising\n")

    async def test_the_forecast_and_the_document_come_raw(self, client: Client) -> None:
        table, document = await call(client, "forecast", view="raw"), await call(client, "job.json")

        assert next(iter(data_of(table)["records"].values())) == "item_id,timestamp,mean,0.1,0.5,0.9"
        assert data_of(document)["records"]["job_id"] == JOB

    async def test_a_file_that_the_job_does_not_have(self, client: Client) -> None:
        assert data_of(await call(client, "nothing.csv"))["code"] == "artifact_not_found"


class TestElsewhere:
    async def test_a_file_on_another_host_is_not_followed_and_the_others_are_kept(
        self, client: Client, desk: Desk, service: Canned
    ) -> None:
        service.jobs[JOB]["forecast_plot_url"] = "https://evil.example/plot.png"
        await submitted(desk, JOB)

        assert not (await call(client)).is_error
        assert await desk.store.artifact_names(JOB) == [name for name in KEPT if name != "forecast_plot"]
        result = await call(client, "forecast_plot")
        assert data_of(result)["code"] == "artifact_elsewhere"
        assert "evil" not in json.dumps(result.model_dump(mode="json"))

        asked = len(service.requests)
        await call(client)
        assert service.requests[asked:] == [], "what lies elsewhere is not looked for again"

    async def test_the_page_of_a_proxy_is_not_kept_for_a_forecast(
        self, client: Client, desk: Desk, service: Canned
    ) -> None:
        right = service.files[f"/jobs/{JOB}/download"]
        service.files[f"/jobs/{JOB}/download"] = b"<html>Welcome to the hotel</html>"
        await submitted(desk, JOB)

        assert data_of(await call(client))["code"] == "unreadable_answer"
        service.files[f"/jobs/{JOB}/download"] = right
        assert not (await call(client)).is_error

    async def test_a_table_that_is_none_is_told_and_can_be_read_raw(
        self, client: Client, desk: Desk, service: Canned
    ) -> None:
        service.add("job-2", forecast=b"a,b\n1,2\n")
        await submitted(desk, "job-2")

        result = await call(client, job_id="job-2")
        assert data_of(result)["code"] == "unreadable_artifact"
        assert data_of(await call(client, "forecast", "job-2", view="raw"))["total"] == 2

    async def test_a_file_that_is_gone_keeps_nobody_from_reading_the_rest(
        self, client: Client, desk: Desk, service: Canned
    ) -> None:
        del service.files[f"/files/{JOB}/plot.png"]
        await submitted(desk, JOB)
        first = text_of(await call(client))
        service.jobs.clear()
        service.files.clear()
        asked = len(service.requests)

        assert text_of(await call(client)) == first
        assert service.requests[asked:] == []

    async def test_many_files_are_kept_and_named_in_bounds(self, client: Client, desk: Desk, service: Canned) -> None:
        parts = service.jobs[JOB]["explainability"]["artifacts"]
        for number in range(60):
            parts.append({"artifact_id": f"more_{number}", "format": "csv", "download_url": f"/files/{number}.csv"})
            service.files[f"/files/{number}.csv"] = b"a,b\n1,2\n"
        await submitted(desk, JOB)

        assert not (await call(client)).is_error
        assert len(await desk.store.artifact_names(JOB)) == len(KEPT) + 60
        (read,) = (await client.read_resource(f"sybilion://jobs/{JOB}")).contents
        assert isinstance(read, TextResourceContents)
        assert len(read.text.encode()) <= 4000


class TestWhoseJobItIs:
    async def test_an_id_that_nobody_remembers_is_asked_of_every_service(self, client: Client, desk: Desk) -> None:
        assert desk.settings.default_backend == "local"

        result = await call(client, "forecast")

        assert not result.is_error
        stored = await desk.store.job(JOB)
        assert stored is not None
        assert stored.backend == "eomer"
        assert "not at hand" in text_of(await call(client))

    async def test_one_that_none_knows_is_not_found(self, client: Client, service: Canned) -> None:
        result = await client.call_tool("get_status", {"job_id": "nobody", "wait_seconds": 0})

        assert data_of(result)["code"] == "job_not_found"
        assert service.requests == ["GET /jobs/nobody"]

    async def test_a_remembered_one_is_asked_of_its_own_service(
        self, client: Client, desk: Desk, service: Canned
    ) -> None:
        await desk.store.put_job(Job(job_id="mine", status="running"), "local")

        await client.call_tool("get_status", {"job_id": "mine", "wait_seconds": 0})

        assert service.requests == []

    async def test_list_jobs_mixes_the_services_and_says_that_one_lists_none(
        self, client: Client, desk: Desk, service: Canned
    ) -> None:
        service.jobs["running"] = {"job_id": "running", "status": "running", "created_at": "2026-11-22T09:00:00Z"}
        await submitted(desk, JOB)
        await desk.store.put_job(await desk.backend("eomer").job("running"), "eomer")
        made = {"status": "completed", "settled": True, "created_at": "2026-11-22T07:00:00Z"}
        await desk.store.put_job(Job(job_id="embedded", **made), "local")

        result = await client.call_tool("list_jobs", {})

        assert [(one["job_id"], one["backend"]) for one in data_of(result)["jobs"]] == [
            ("running", "eomer"),
            (JOB, "eomer"),
            ("embedded", "local"),
        ]
        assert "Eomer lists no jobs" in text_of(result)
        assert TITLE in text_of(result)


@pytest.mark.usefixtures("known")
class TestAroundTheTools:
    async def test_an_exported_folder_tells_the_same(self, client: Client, desk: Desk, tmp_path: Path) -> None:
        exported = await export(desk, JOB, tmp_path / "out")

        assert sorted(exported.written) == KEPT
        assert exported.missing == {}
        assert told_of_folder(tmp_path / "out", TODAY).text == text_of(await call(client))

    async def test_a_folder_with_nothing_but_the_forecast_can_be_told(self, tmp_path: Path, service: Canned) -> None:
        (tmp_path / "forecast.csv").write_bytes(service.files[f"/jobs/{JOB}/download"])

        assert "2 series" in told_of_folder(tmp_path, TODAY).text

    @pytest.mark.parametrize("panel", [b"nothing", b"[]", b'{"series": {"north": 5, "south": {"x": "y"}}}'])
    async def test_a_panel_that_is_none_is_left_out(self, tmp_path: Path, service: Canned, panel: bytes) -> None:
        (tmp_path / "forecast.csv").write_bytes(service.files[f"/jobs/{JOB}/download"])
        (tmp_path / "panel.json").write_bytes(panel)

        assert "last values are not known" in told_of_folder(tmp_path, TODAY).text

    async def test_the_terminal_tells_of_it_as_of_other_jobs(
        self, client: Client, desk: Desk, capsys: pytest.CaptureFixture[str]
    ) -> None:
        await call(client)

        assert await anyio.to_thread.run_sync(list_jobs, desk.settings, None, 5) == 0
        assert await anyio.to_thread.run_sync(show_job, desk.settings, JOB) == 0

        listed, shown = capsys.readouterr().out.split("\n", 1)
        assert re.search(rf'completed +3 periods +- +7 artifacts +{JOB} +"{TITLE}"', listed)
        assert f'Series: "{TITLE}"' in shown
        assert "Cost: not told by Eomer." in shown

    async def test_what_is_forgotten_is_gone(self, client: Client, desk: Desk, service: Canned) -> None:
        await call(client)
        await desk.store.forget_job(JOB)
        service.jobs.clear()

        assert data_of(await call(client))["code"] == "job_not_found"

    async def test_the_resources_tell_the_same(self, client: Client) -> None:
        for part in ("report", "forecast", "drivers", "backtest"):
            (read,) = (await client.read_resource(f"sybilion://jobs/{JOB}/{part}")).contents
            assert isinstance(read, TextResourceContents)
            assert read.text == text_of(await call(client, part))

    async def test_the_series_are_a_resource_with_their_jobs(self, client: Client) -> None:
        (read,) = (await client.read_resource("sybilion://series/p_0123456789ab")).contents

        assert isinstance(read, TextResourceContents)
        assert "2 series, frequency D, 2026-09-24 … 2026-11-22, 60 observations each." in read.text
        assert 'Ids (data): "north", "south".' in read.text
        assert f"sybilion://jobs/{JOB}" in read.text

    async def test_a_part_that_cannot_be_read_as_a_resource_says_why(self, client: Client) -> None:
        with pytest.raises(MCPError) as caught:
            await client.read_resource(f"sybilion://jobs/{JOB}/artifacts/nothing")
        assert "artifact_not_found" in str(caught.value)
        assert URL not in str(caught.value)
