"""Callers over HTTP never meet: not in a series, not in a job, not in a result, not in what is completed for them."""

import json
import random
import re
import sqlite3
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp_types import ResourceTemplateReference

from tests.conftest import good_series
from tests.http.conftest import Open
from tests.http.house import House, Web

pytestmark = pytest.mark.anyio

ANNA, BERT = "sk_ops_anna_0123456789", "another-kind-of-key-0123456789"
UNKNOWN_JOB = "00000000-0000-4000-8000-00000000dead"
INTERLEAVINGS = 1000


def series(name: str, number: int = 0) -> dict[str, float]:
    """Too short to be measured, long enough to be remembered, and nobody else's."""
    step = 100 * len(name) + number
    return {month: value + step for month, value in good_series(41).items()}


async def finished(web: Web, key: str | None, **said: Any) -> str:
    """The id of a job on the embedded engine that has been done."""
    checked = await web.call(key, "validate_series", series=series(str(key)), title="Demand for a made-up product")
    job = await web.call(
        key,
        "submit_forecast",
        series_id=checked["series_id"],
        soft_horizon=1,
        backtest=False,
        driver_limit=0,
        backend="local",
        **said,
    )
    status = await web.call(key, "get_status", job_id=job["job_id"], wait_seconds=45)
    assert status["status"] == "completed"
    return str(job["job_id"])


async def test_a_whole_conversation_works_for_two_callers_and_for_nobody_named(house: House, mode: str) -> None:
    ids: list[str] = []
    for key in (ANNA, BERT, None):
        async with house.client(key, mode) as client:
            said = {"series": series("same"), "title": "Demand for a made-up product", "soft_horizon": 1}
            job = await call(client, "submit_forecast", **said, backtest=False, driver_limit=0, backend="local")
            await call(client, "get_status", job_id=job["job_id"], wait_seconds=45)
            report = await client.call_tool("read_artifact", {"job_id": job["job_id"]})
            resource = await client.read_resource(f"sybilion://jobs/{job['job_id']}/report")
            assert not report.is_error
            assert resource.contents
            ids.append(job["job_id"])

    assert len(set(ids)) == 3, "the same question of another caller is another job"


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    with anyio.fail_after(60):
        result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    return dict(result.structured_content or {})


async def test_what_another_caller_has_is_answered_like_what_nobody_has(house: House) -> None:
    async with house.web() as web:
        job_id = await finished(web, ANNA)
        checked = await web.call(ANNA, "validate_series", series=series("anna"))
        for thief in (BERT, None, ANNA + "x"):
            guessed = await looked_for(web, thief, job_id, checked["series_id"])
            made_up = await looked_for(web, thief, UNKNOWN_JOB, "s_0123456789ab")
            assert guessed.replace(job_id, UNKNOWN_JOB).replace(checked["series_id"], "s_0123456789ab") == made_up


async def looked_for(web: Web, key: str | None, job_id: str, series_id: str) -> str:
    """All that can be asked about a job and a series, and what is answered but for the ids of the traces."""
    tools: dict[str, dict[str, Any]] = {
        "get_status": {"job_id": job_id, "wait_seconds": 0},
        "read_artifact": {"job_id": job_id},
        "submit_forecast": {"series_id": series_id},
    }
    uris = [f"sybilion://jobs/{job_id}{part}" for part in ("", "/report", "/artifacts/forecast.json")]
    answers = [
        *[await web.ask(key, "tools/call", name=tool, arguments=said) for tool, said in tools.items()],
        *[await web.ask(key, "resources/read", uri=uri) for uri in (*uris, f"sybilion://series/{series_id}")],
    ]
    return re.sub("[0-9a-f]{32}", "(trace)", json.dumps(answers))


async def test_completion_knows_only_what_is_the_callers_own(house: House, mode: str) -> None:
    async with house.web() as web:
        job_id = await finished(web, ANNA)

    template = ResourceTemplateReference(type="ref/resource", uri="sybilion://jobs/{job_id}")
    begun = {"name": "job_id", "value": ""}
    async with house.client(ANNA, mode) as anna, house.client(BERT, mode) as bert:
        own = await anna.complete(template, begun)
        others = await bert.complete(template, begun)

    assert own.completion.values == [job_id]
    assert others.completion.values == []


async def test_a_thousand_random_interleavings_never_mix_two_callers(opened: Open) -> None:
    """Given two callers whose calls overlap at random, at first with room for one desk, each sees its own alone."""
    owned: dict[str, set[str]] = {ANNA: set(), BERT: set()}
    async with opened(most_open=1, backend="local") as house, house.web() as web:
        jobs = {key: await finished(web, key) for key in owned}
        await interleaved(web, range(100), owned, jobs)
    async with opened(backend="local") as house, house.web() as web:
        await interleaved(web, range(100, INTERLEAVINGS), owned, jobs)

    assert owned[ANNA]
    assert owned[BERT]
    assert owned[ANNA].isdisjoint(owned[BERT])


async def interleaved(web: Web, seeds: range, owned: dict[str, set[str]], jobs: dict[str, str]) -> None:
    for seed in seeds:
        chance = random.Random(seed)
        turns = [ANNA, BERT, *([chance.choice([ANNA, BERT])] if seed % 3 == 0 else [])]
        chance.shuffle(turns)
        async with anyio.create_task_group() as group:
            for key in turns:
                group.start_soon(one_turn, web, chance, key, owned, jobs)


async def one_turn(web: Web, chance: random.Random, key: str, owned: dict[str, set[str]], jobs: dict[str, str]) -> None:
    other = BERT if key == ANNA else ANNA
    match chance.randrange(5):
        case 0:
            checked = await web.call(key, "validate_series", series=series(key, chance.randrange(20)))
            owned[key].add(checked["series_id"])
        case 1 if owned[other]:
            theirs = chance.choice(sorted(owned[other]))
            answer = await web.ask(key, "resources/read", uri=f"sybilion://series/{theirs}")
            assert "series_not_found" in str(answer)
        case 2:
            answer = await web.call(key, "get_status", job_id=jobs[other], wait_seconds=0)
            assert answer["code"] == "job_not_found"
        case 3:
            answer = await web.call(key, "get_status", job_id=jobs[key], wait_seconds=0)
            assert answer["status"] == "completed"
        case _:
            ref = {"type": "ref/resource", "uri": "sybilion://series/{series_id}"}
            found = await web.ask(key, "completion/complete", ref=ref, argument={"name": "series_id", "value": "s_"})
            assert owned[other].isdisjoint(found["completion"]["values"])


async def test_no_key_is_kept_or_logged(opened: Open, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    async with opened(backend="local") as house, house.web() as web:
        for key in (ANNA, BERT):
            await finished(web, key)
            answer = await web.call(key, "validate_series", series=series(key), title=f"My key is {key}")
            assert answer["code"] == "secret_in_text"
            assert key not in str(answer)

    kept = b"".join(file.read_bytes() for file in (tmp_path / "home").rglob("*") if file.is_file())
    names = "".join(str(file) for file in (tmp_path / "home").rglob("*"))
    for key in (ANNA, BERT):
        assert key.encode() not in kept
        assert key not in names
        assert key not in caplog.text


async def test_a_made_up_key_changes_nothing_that_others_read(house: House) -> None:
    """Given keys that are words of another caller's answers, they stand there as before."""
    async with house.web() as web:
        said = {"series": series("same"), "title": "Electricity demand of a made-up town"}
        series_id = (await web.call(BERT, "validate_series", **said))["series_id"]
        before = await web.ask(BERT, "resources/read", uri=f"sybilion://series/{series_id}")
        for key in ("Electricity", series_id, "validate_series", "submit_forecast"):
            await web.ask(key, "tools/list")
        after = await web.ask(BERT, "resources/read", uri=f"sybilion://series/{series_id}")
        again = await web.call(BERT, "validate_series", **said)

    assert after == before
    assert again["series_id"] == series_id
    assert "[token]" not in str((after, again))


async def test_every_caller_has_a_folder_of_its_own_which_only_this_user_can_read(house: House, tmp_path: Path) -> None:
    async with house.web() as web:
        for key in (ANNA, BERT, None):
            await web.call(key, "validate_series", series=series("same"))

    folders = list((tmp_path / "home" / "callers").iterdir())
    assert len(folders) == 3
    assert all(folder.stat().st_mode & 0o077 == 0 for folder in folders)
    assert all(rows(folder / "desk.db") == 1 for folder in folders)


def rows(file: Path) -> int:
    connection = sqlite3.connect(file)
    try:
        return int(connection.execute("SELECT count(*) FROM series").fetchone()[0])
    finally:
        connection.close()


@pytest.mark.parametrize("key", ["", "short", "with space in it", "tab\tin it 12345", "back\\slash", "x" * 129])
async def test_a_key_that_cannot_be_one_is_refused(house: House, key: str) -> None:
    async with house.web() as web:
        answer = await web.post(b"{}", key)

    assert answer.status_code == 400
    assert answer.json()["error"] == "implausible_key"


async def test_two_keys_in_one_request_are_refused(house: House) -> None:
    async with house.web() as web:
        headers = [("X-Sybilion-Api-Key", ANNA), ("X-Sybilion-Api-Key", BERT)]
        answer = await web.http.post(web.url, content=b"{}", headers=headers)

    assert answer.status_code == 400
