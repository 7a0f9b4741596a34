"""Artifacts in the store: in pieces, compressed, and checked when they are read."""

import random
import sqlite3
import zlib
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sybilion_mcp.contract.jobs import Job
from sybilion_mcp.store.draft import PIECE_BYTES, DamagedArtifact, Draft
from sybilion_mcp.store.store import Store
from tests.store.keep import fill, put_artifact

pytestmark = pytest.mark.anyio

LARGE = random.Random(3).randbytes(PIECE_BYTES) + b"text " * PIECE_BYTES + b"the end"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = Store(tmp_path)
    for job_id in ("j", "other"):
        await store.put_job(Job.model_validate({"job_id": job_id, "status": "completed"}), "sybilion")
    yield store
    await store.aclose()


def change(home: Path, sql: str) -> None:
    with closing(sqlite3.connect(home / "desk.db")) as file, file:
        assert file.execute(sql).rowcount > 0


async def read(store: Store, job_id: str, name: str) -> bytes:
    kept = await store.kept_artifact(job_id, name)
    assert kept is not None
    return b"".join([piece async for piece in store.pieces(kept)])


@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, len(LARGE)])
async def test_what_is_kept_is_what_was_sent_whole_and_in_pieces(store: Store, size: int) -> None:
    await put_artifact(store, "j", "a", LARGE[:size])

    assert await store.artifact("j", "a") == LARGE[:size]
    assert await read(store, "j", "a") == LARGE[:size]
    assert await store.artifact_sizes("j") == {"a": size}


async def test_nothing_is_kept_of_a_job_that_is_not_remembered(store: Store, tmp_path: Path) -> None:
    assert await put_artifact(store, "j", "a", LARGE)
    assert await store.forget_job("j")

    assert not await put_artifact(store, "j", "a", LARGE)
    with Draft() as draft:
        await fill(draft, LARGE)
        assert not await store.put_draft("j", "a", draft, instead=True)

    with closing(sqlite3.connect(tmp_path / "desk.db")) as file:
        assert file.execute("SELECT (SELECT count(*) FROM pieces) + (SELECT count(*) FROM artifacts)").fetchone() == (
            0,
        )


async def test_what_is_forgotten_is_not_left_in_the_file(store: Store, tmp_path: Path) -> None:
    await put_artifact(store, "j", "a", LARGE)
    await store.forget_job("j")
    await store.aclose()

    assert zlib.compress(LARGE[:PIECE_BYTES])[1000:1100] not in (tmp_path / "desk.db").read_bytes()


async def test_it_is_compressed(store: Store, tmp_path: Path) -> None:
    await put_artifact(store, "j", "a", b"0.123, " * 10**6)
    await store.aclose()

    assert (tmp_path / "desk.db").stat().st_size < 10**6


@given(chunks=st.lists(st.binary(max_size=50), max_size=20), repeats=st.integers(1, 60_000))
async def test_a_draft_gives_back_what_came_however_it_came(chunks: list[bytes], repeats: int) -> None:
    with Draft() as draft:
        await draft.add(b"of an attempt that failed")
        await draft.restart()
        for chunk in chunks:
            await draft.add(chunk * repeats)
        await draft.seal()

        content = b"".join(chunk * repeats for chunk in chunks)
        assert draft.size == len(content)
        assert b"".join([piece async for piece in draft.pieces()]) == content
        if len(content) <= PIECE_BYTES:
            assert await draft.ends() == (content.lstrip()[:1], content.rstrip()[-1:])


DAMAGE = {
    "other bytes": "UPDATE pieces SET content = (SELECT content FROM pieces WHERE job_id = 'other')",
    "no compression": "UPDATE pieces SET content = x'0011' WHERE position = 1",
    "a piece lost": "DELETE FROM pieces WHERE job_id = 'j' AND position = 3",
    "another size": "UPDATE artifacts SET size = size - 1",
    "another hash": "UPDATE artifacts SET sha256 = 'abc'",
}


@pytest.mark.parametrize("damage", DAMAGE)
async def test_what_is_not_what_was_sent_is_never_passed_on(
    store: Store, tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    await put_artifact(store, "j", "a", LARGE)
    await put_artifact(store, "other", "a", b"other")
    await store.aclose()
    change(tmp_path, DAMAGE[damage])

    with pytest.raises(DamagedArtifact):
        await read(store, "j", "a")
    assert await store.artifact("j", "a") is None
    assert "j" not in await store.artifacts_named("a", ["j", "other"], 2**30)
    assert "is damaged" in caplog.text


async def test_a_sound_copy_takes_the_place_of_a_damaged_one(store: Store, tmp_path: Path) -> None:
    await put_artifact(store, "j", "a", LARGE)
    change(tmp_path, DAMAGE["a piece lost"])

    with Draft() as draft:
        await fill(draft, b"anew")
        await store.put_draft("j", "a", draft, instead=True)

    assert await store.artifact("j", "a") == b"anew"
