"""Kept artifacts: how they lie in the tables, compressed in pieces, and how their content is checked."""

import hashlib
from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import delete, insert, select, true
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from sybilion_mcp.store.draft import PACKING, PIECE_BYTES, DamagedArtifact, Draft, unpacked
from sybilion_mcp.store.records import KeptArtifact
from sybilion_mcp.store.tables import artifacts, jobs, pieces


class Check:
    """Unpacks the pieces of an artifact in order, and knows in the end whether they are what was sent."""

    def __init__(self, sha256: str, size: int) -> None:
        self.pieces = -(-size // PIECE_BYTES)
        self._expected = (sha256, size)
        self._hash = hashlib.sha256()
        self._size = 0

    async def unpacked(self, packed: bytes | None) -> bytes:
        return await PACKING.run(self.unpack, packed)

    def unpack(self, packed: bytes | None) -> bytes:
        """Raises `DamagedArtifact`."""
        piece = unpacked(packed)
        self._hash.update(piece)
        self._size += len(piece)
        return piece

    def finish(self) -> None:
        """Raises `DamagedArtifact`."""
        if (self._hash.hexdigest(), self._size) != self._expected:
            raise DamagedArtifact("its content is not what was sent")


async def is_remembered(connection: AsyncConnection, job_id: str) -> bool:
    """Whether there is a job to keep something of: one that was forgotten meanwhile is not remembered again."""
    return await connection.scalar(select(jobs.c.job_id).where(jobs.c.job_id == job_id)) is not None


async def put(connection: AsyncConnection, job_id: str, name: str, draft: Draft) -> None:
    """Keep a sealed draft; what is kept already does not change."""
    key = {"job_id": job_id, "name": name}
    row = upsert(artifacts).values(**key, size=draft.size, sha256=draft.sha256)
    if (await connection.execute(row.on_conflict_do_nothing())).rowcount != 1:
        return
    for position in range(draft.count):
        content = await draft.packed(position)
        await connection.execute(insert(pieces).values(**key, position=position, content=content))


async def drop(connection: AsyncConnection, job_id: str, name: str | None = None) -> None:
    """Of a job, one artifact or all."""
    for table in (pieces, artifacts):
        named = true() if name is None else table.c.name == name
        await connection.execute(delete(table).where(table.c.job_id == job_id, named))


async def piece(connection: AsyncConnection, kept: KeptArtifact, position: int) -> bytes | None:
    """One piece, compressed; None when it is missing."""
    query = select(pieces.c.content).where(
        pieces.c.job_id == kept.job_id, pieces.c.name == kept.name, pieces.c.position == position
    )
    content: bytes | None = await connection.scalar(query)
    return content


async def sizes(connection: AsyncConnection, job_id: str) -> dict[str, int]:
    query = select(artifacts.c.name, artifacts.c.size).where(artifacts.c.job_id == job_id)
    return {row.name: row.size for row in (await connection.execute(query)).all()}


async def packed(
    connection: AsyncConnection, name: str, job_ids: Collection[str], most_bytes: int | None
) -> Mapping[KeptArtifact, Sequence[bytes]]:
    """One artifact of several jobs, as it lies there, those of at most `most_bytes`."""
    small = true() if most_bytes is None else artifacts.c.size <= most_bytes
    of_artifact = (pieces.c.job_id == artifacts.c.job_id) & (pieces.c.name == artifacts.c.name)
    query = (
        select(artifacts, pieces.c.content)
        .select_from(artifacts.outerjoin(pieces, of_artifact))
        .where(artifacts.c.name == name, artifacts.c.job_id.in_(job_ids), small)
        .order_by(artifacts.c.job_id, pieces.c.position)
    )
    found: dict[KeptArtifact, list[bytes]] = {}
    for *key, content in (await connection.execute(query)).all():
        found.setdefault(KeptArtifact(*key), []).extend([] if content is None else [content])
    return found


def whole(kept: KeptArtifact, packed: Sequence[bytes]) -> bytes:
    """The artifact as it was sent. Raises `DamagedArtifact`."""
    check = Check(kept.sha256, kept.size)
    content = b"".join(map(check.unpack, packed))
    check.finish()
    return content
