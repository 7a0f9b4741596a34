"""A job as a folder, with what can be had of it."""

import json
from pathlib import Path

import anyio
import pytest

from sybilion_mcp.backends.base import AnswerError, BackendError, TransportError
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.export import export
from sybilion_mcp.service.follow import follow
from tests.hosted import Fault, HostedApi, error, reset

pytestmark = pytest.mark.anyio

NAMES = ["external_signals.json", "forecast.json", "input.json"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "exports").mkdir()
    return tmp_path / "exports" / "mine"


@pytest.fixture
def finished(api: HostedApi) -> str:
    job_id = api.make_job()
    api.finish(job_id)
    return job_id


async def silent(*_: object) -> None:
    pass


async def test_what_is_not_kept_yet_is_fetched(hosted: Desk, api: HostedApi, finished: str, folder: Path) -> None:
    exported = await export(hosted, finished, folder)

    assert (exported.written, exported.missing) == ({name: name for name in NAMES}, {})
    for name in NAMES:
        assert (folder / name).read_bytes() == api.artifacts[finished][name]


GONE = (error(404, "gone"), "does not have it")
LARGE = (error(413, "artifact too large"), "larger than")
GARBAGE = (Fault(200, b"<!doctype html>"), "not an answer of its API")


@pytest.mark.parametrize(("fault", "why"), [GONE, LARGE, GARBAGE])
async def test_one_that_cannot_be_had_keeps_nobody_from_the_others(
    hosted: Desk, api: HostedApi, finished: str, folder: Path, fault: Fault, why: str
) -> None:
    twice = 2 if fault.status == 200 else 1  # what is not as listed is asked for again
    sound = [Fault(200, api.artifacts[finished][name]) for name in ("forecast.json", "input.json")]
    # its names come as listed: forecast, signals, input; first all are kept, then what is missing is tried again
    api.next("artifact", sound[0], *[fault] * twice, sound[1], *[fault] * twice)

    exported = await export(hosted, finished, folder)

    assert list(exported.written) == ["forecast.json", "input.json"]
    assert list(exported.missing) == ["external_signals.json"]
    assert why in exported.missing["external_signals.json"]
    there = [one.name async for one in anyio.Path(folder).iterdir()]
    assert sorted(there) == ["forecast.json", "input.json", "status.json"]
    assert json.loads((folder / "status.json").read_text())["job_id"] == finished


@pytest.mark.parametrize("fault", [error(503, "down"), reset()])
async def test_a_service_that_is_away_is_not_asked_for_each(
    hosted: Desk, api: HostedApi, finished: str, folder: Path, fault: Fault
) -> None:
    api.next("artifact", Fault(200, api.artifacts[finished]["forecast.json"]), *[fault] * 50)

    with anyio.fail_after(20):
        exported = await export(hosted, finished, folder)

    assert list(exported.written) == ["forecast.json"]
    assert list(exported.missing) == ["external_signals.json", "input.json"]
    assert sum("/artifacts/" in one for one in api.requests) == 1 + 2 * 2  # each asked twice by the client
    assert (folder / "forecast.json").exists()


@pytest.mark.parametrize(("fault", "kind"), [(error(503, "down"), AnswerError), (reset(), TransportError)])
async def test_where_nothing_can_be_had_it_fails_and_leaves_no_folder(
    hosted: Desk, api: HostedApi, finished: str, folder: Path, fault: Fault, kind: type[BackendError]
) -> None:
    api.always("artifact", fault)

    with anyio.fail_after(20), pytest.raises(kind):
        await export(hosted, finished, folder)

    assert not list(folder.parent.iterdir())


async def test_what_is_kept_needs_no_service(hosted: Desk, api: HostedApi, finished: str, folder: Path) -> None:
    with anyio.fail_after(20):
        await follow(hosted, finished, 0, silent)
    api.forget(finished)

    exported = await export(hosted, finished, folder)

    assert list(exported.written) == NAMES
    assert not exported.missing
