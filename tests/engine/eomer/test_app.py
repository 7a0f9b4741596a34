"""Eomer's wire over the embedded engine."""

import io
from pathlib import Path

import anyio
import httpx
import pytest

from sybilion_mcp.contract.eomer import EomerJob
from sybilion_mcp.contract.eomer_form import form_of
from sybilion_mcp.contract.eomer_table import read_forecast_table
from sybilion_mcp.engine.eomer import jobs, upload
from sybilion_mcp.engine.jobs import MAX_UNFINISHED

from .conftest import Build, client_of, finished, post
from .made_up import SHAPES, body, labels

pytestmark = pytest.mark.anyio

SMALL = body("D", 2, 40)
FIELDS = set(EomerJob.model_fields)


def refused(response: httpx.Response, status: int, code: str) -> None:
    assert (response.status_code, response.json()["error_code"]) == (status, code), response.text
    assert response.json()["error"]
    assert response.headers["x-trace-id"] == response.json()["request_id"]


@pytest.mark.parametrize("alias", SHAPES)
async def test_from_a_table_to_a_forecast_and_its_explanation(client: httpx.AsyncClient, alias: str) -> None:
    response = await post(client, body(alias), **{"X-Request-ID": "ask-1"})
    assert response.status_code == 202, response.text
    assert {"job_id", "status", "created_at", "prediction_length"} == set(response.json())
    assert response.json()["status"] == "pending"

    job = EomerJob.model_validate(await finished(client, response.json()["job_id"]))

    assert (job.status, job.error, job.error_code) == ("completed", None, None)
    assert (job.num_items, job.prediction_length, job.request_id) == (3, SHAPES[alias][2], "ask-1")
    assert job.elapsed_seconds is not None
    assert job.explainability is not None
    table = read_forecast_table((await client.get(str(job.download_url))).content)
    _, count, horizon = SHAPES[alias]
    assert [one.timestamp for one in table.series[0].steps] == labels(alias, count + horizon)[count:]
    for file in job.files[2:]:
        answer = await client.get(str(file.url))
        assert answer.status_code == 200
        assert file.media_type is None or answer.headers["content-type"].startswith(file.media_type)


async def test_a_job_has_every_field_of_the_wire_from_the_start(client: httpx.AsyncClient) -> None:
    job_id = (await post(client, SMALL)).json()["job_id"]

    first = (await client.get(f"/jobs/{job_id}")).json()
    last = await finished(client, job_id)

    assert set(first) == set(last) == FIELDS
    assert first["config_hash"] == last["config_hash"] != last["dataset_hash"]


async def test_in_worker_processes_it_is_the_same(serve: Build, tmp_path: Path) -> None:
    tables = []
    for processes in (False, True):
        async with client_of(serve(tmp_path / str(processes), processes=processes)) as client:
            job_id = (await post(client, SMALL)).json()["job_id"]
            assert (await finished(client, job_id))["status"] == "completed"
            tables.append((await client.get(f"/jobs/{job_id}/download")).content)

    assert tables[0] == tables[1]


async def test_an_excel_file_is_read_like_its_csv(client: httpx.AsyncClient) -> None:
    import csv
    from datetime import datetime

    import openpyxl

    form = form_of(SMALL)
    workbook = openpyxl.Workbook()
    assert workbook.active is not None
    rows = list(csv.reader(io.StringIO(form.content.decode())))
    workbook.active.append(rows[0])
    for item, at, value in rows[1:]:
        workbook.active.append([item, datetime.fromisoformat(at), float(value)])
    file = io.BytesIO()
    workbook.save(file)

    one = (await post(client, SMALL)).json()["job_id"]
    files = {"file": ("series.xlsx", file.getvalue(), "application/octet-stream")}
    other = (await client.post("/forecast", data=dict(form.fields), files=files)).json()["job_id"]

    tables = []
    for job_id in (one, other):
        assert (await finished(client, job_id))["status"] == "completed"
        tables.append((await client.get(f"/jobs/{job_id}/download")).content)
    assert tables[0] == tables[1]


async def test_defaults_hold_where_a_form_says_nothing(client: httpx.AsyncClient) -> None:
    files = {"file": ("x.csv", form_of(SMALL).content)}

    response = await client.post("/forecast", files=files)

    assert response.status_code == 202, response.text
    assert response.json()["prediction_length"] == 24


CSV = b"item_id,timestamp,target\nA,2024-01-01,1\nA,2024-01-02,2\nA,2024-01-03,3\n"


@pytest.mark.parametrize(
    ("fields", "content", "status", "code"),
    [
        ({"presets": "chronos_gigantic"}, CSV, 422, "invalid_preset"),
        ({"prediction_length": "0"}, CSV, 422, "validation_error"),
        ({"prediction_length": "ten"}, CSV, 422, "validation_error"),
        ({"prediction_length": "1" * 5000}, CSV, 422, "validation_error"),
        ({"item_id_column": "shop"}, CSV, 422, "validation_error"),
        ({"freq": "now and then"}, CSV, 422, "validation_error"),
        ({"quantile_levels": "0.1,x"}, CSV, 422, "validation_error"),
        ({"quantile_levels": "0.1,nan"}, CSV, 422, "validation_error"),
        ({"explainability": "[1]"}, CSV, 422, "validation_error"),
        ({"explainability": "[" * 20_000}, CSV, 422, "validation_error"),
        ({}, b"", 422, "validation_error"),
        ({}, b"item_id,timestamp,target\n", 422, "validation_error"),
        ({}, b"item_id,timestamp,target\nA,2024-01-01,1\n", 422, "validation_error"),
        ({}, CSV + b"A,2024-01-03,4\n", 422, "validation_error"),
        ({}, CSV + b"A,2024-01-09,4\n", 422, "validation_error"),
        ({}, CSV + b"A,2024-01-04,\n", 422, "validation_error"),
        ({}, CSV + b"A,2024-01-04,four\n", 422, "validation_error"),
        ({}, CSV + b"A,2024-01-04,1e999\n", 422, "validation_error"),
        ({}, CSV + b"A,soon,4\n", 422, "validation_error"),
        ({}, b"\xff\xfe\x00", 422, "validation_error"),
        ({}, b"PK\x03\x04 no workbook", 422, "validation_error"),
    ],
)
async def test_what_cannot_be_forecast_is_refused_at_once(
    client: httpx.AsyncClient, fields: dict[str, str], content: bytes, status: int, code: str
) -> None:
    response = await client.post("/forecast", data=fields, files={"file": ("x.csv", content)})

    refused(response, status, code)


async def test_a_form_that_is_none_is_refused(client: httpx.AsyncClient) -> None:
    refused(await client.post("/forecast", data={"presets": "chronos_tiny"}), 422, "validation_error")
    refused(await client.post("/forecast", data={"file": "text"}), 422, "validation_error")
    broken = {"content-type": "multipart/form-data; boundary=x"}
    refused(await client.post("/forecast", content=b"--y\r\n", headers=broken), 400, "validation_error")
    refused(
        await client.post("/forecast", content=b"--y", headers={"content-type": "multipart/form-data"}),
        400,
        "validation_error",
    )


@pytest.mark.parametrize("declared", [True, False])
async def test_a_file_beyond_the_limit_is_not_read_to_its_end(
    client: httpx.AsyncClient, declared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload, "MAX_FORM_BYTES", 1000)
    monkeypatch.setattr(upload, "MAX_FILE_BYTES", 500)
    headers = {"content-type": "multipart/form-data; boundary=x"}

    async def pieces():
        for _ in range(100):
            yield b"x" * 100

    content = b"x" * 2000 if declared else pieces()
    refused(await client.post("/forecast", content=content, headers=headers), 413, "file_too_large")
    files = {"file": ("x.csv", b"x" * 600)}
    refused(await client.post("/forecast", files=files), 413, "file_too_large")


@pytest.mark.parametrize("header", [None, "Bearer", "Basic abc", "Bearer a b"])
async def test_without_a_key_nothing_is_told(client: httpx.AsyncClient, header: str | None) -> None:
    del client.headers["authorization"]
    headers = {"authorization": header} if header else {}

    for path in ("/jobs/x", "/jobs/x/download", "/jobs/x/files/report.md"):
        refused(await client.get(path, headers=headers), 401, "auth_failed")
    refused(await client.post("/forecast", headers=headers), 401, "auth_failed")


async def test_each_key_is_an_account_of_its_own(serve: Build, tmp_path: Path) -> None:
    app = serve(tmp_path)
    async with client_of(app, "one") as one, client_of(app, "other") as other:
        job_id = (await post(one, SMALL, **{"X-Request-ID": "same"})).json()["job_id"]

        refused(await other.get(f"/jobs/{job_id}"), 404, "job_not_found")
        refused(await other.get(f"/jobs/{job_id}/download"), 404, "job_not_found")
        assert (await post(other, SMALL, **{"X-Request-ID": "same"})).json()["job_id"] != job_id


async def test_one_request_id_is_one_job_also_at_once_and_after_a_restart(serve: Build, tmp_path: Path) -> None:
    ask = {"X-Request-ID": "r-1"}
    found: list[str] = []
    async with client_of(serve(tmp_path)) as client:

        async def again() -> None:
            found.append((await post(client, SMALL, **ask)).json()["job_id"])

        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(again)
        refused(await post(client, body("D", 1, 40), **ask), 422, "validation_error")
    async with client_of(serve(tmp_path)) as client:
        found.append((await post(client, SMALL, **ask)).json()["job_id"])
        assert (await post(client, SMALL)).json()["job_id"] not in found

    assert len(found) == 6
    assert len(set(found)) == 1


async def test_results_exist_once_the_job_is_completed(
    serve: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "run_many", _fail)
    async with client_of(serve(tmp_path)) as client:
        job_id = (await post(client, SMALL)).json()["job_id"]

        job = await finished(client, job_id)
        refused(await client.get(f"/jobs/{job_id}/download"), 409, "job_not_completed")

    assert (job["status"], job["error_code"]) == ("failed", "pipeline_failed")
    assert "no such luck" in str(job["error"])


def _fail(_: str) -> dict[str, bytes]:
    raise ArithmeticError("no such luck")


async def test_no_file_but_the_jobs_own_is_served(client: httpx.AsyncClient) -> None:
    job_id = (await post(client, SMALL)).json()["job_id"]
    await finished(client, job_id)

    for name in ("nothing.csv", "..%2Fengine.db", "%2e%2e%2fasked.db"):
        assert (await client.get(f"/jobs/{job_id}/files/{name}")).status_code == 404


async def test_a_picture_that_is_opened_runs_nothing(client: httpx.AsyncClient) -> None:
    job_id = (await post(client, SMALL)).json()["job_id"]
    job = await finished(client, job_id)

    answer = await client.get(str(job["forecast_plot_url"]))

    assert answer.headers["content-type"] == "image/svg+xml"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_there_are_no_storages(client: httpx.AsyncClient) -> None:
    url = "/forecast/storage-object"

    refused(await client.post(url, json={"object_id": "o"}), 404, "connection_not_found")
    refused(await client.post(url, json={}), 422, "validation_error")
    refused(await client.post(url, content=b"{"), 400, "validation_error")


async def test_unknown_paths_and_methods_are_told_in_the_same_shape(client: httpx.AsyncClient) -> None:
    assert (await client.get("/health")).json() == {"status": "ok"}
    for response in (await client.get("/nowhere"), await client.get("/forecast"), await client.post("/jobs/x")):
        assert response.status_code in (404, 405)
        assert response.json()["error_code"]


async def test_an_account_has_so_many_jobs_at_once(
    serve: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    go = threading.Event()

    def wait(_: str) -> dict[str, bytes]:
        go.wait(30)
        return {"forecast.csv": b""}

    monkeypatch.setattr(jobs, "run_many", wait)
    async with client_of(serve(tmp_path)) as client:
        try:
            answers = [await post(client, SMALL) for _ in range(MAX_UNFINISHED + 1)]
        finally:
            go.set()

        assert [one.status_code for one in answers] == [202] * MAX_UNFINISHED + [429]
        refused(answers[-1], 429, "rate_limited")
        await finished(client, answers[-2].json()["job_id"])
