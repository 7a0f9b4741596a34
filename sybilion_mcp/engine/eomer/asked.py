"""What each job was asked for, and under which request id: the same id again is the same job."""

import asyncio
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import NullPool

from sybilion_mcp.store.sqlite import open_sqlite

_metadata = sa.MetaData()
_asked = sa.Table(
    "asked",
    _metadata,
    sa.Column("account", sa.Text, primary_key=True),
    sa.Column("request_id", sa.Text, primary_key=True),
    sa.Column("job_id", sa.Text, nullable=False, index=True),
    sa.Column("config_hash", sa.Text, nullable=False),
    sa.Column("dataset_hash", sa.Text, nullable=False),
    sa.Column("num_items", sa.Integer, nullable=False),
    sa.Column("prediction_length", sa.Integer, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A submit as it is remembered; the hashes are those of its options and of its series."""

    request_id: str
    config_hash: str
    dataset_hash: str
    num_items: int
    prediction_length: int


def asked_of(body: Mapping[str, object], request_id: str) -> Asked:
    options = {name: value for name, value in body.items() if name != "series"}
    series, length = body["series"], body["prediction_length"]
    assert isinstance(series, dict)
    assert isinstance(length, int)
    return Asked(request_id, _hash(options), _hash(series), len(series), length)


class AskedTable:
    """In `path`, once it is opened."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._opened: AsyncEngine | None = None
        self._opening = asyncio.Lock()

    async def open(self) -> None:
        async with self._opening:
            if self._opened is None:
                self._opened = await open_sqlite(self._path, _metadata, poolclass=NullPool)

    @property
    def _engine(self) -> AsyncEngine:
        assert self._opened is not None, "open() comes first"
        return self._opened

    async def job_of(self, account: str, request_id: str) -> tuple[str, Asked] | None:
        """The job that this request id made."""
        wanted = sa.select(_asked).where(_asked.c.account == account, _asked.c.request_id == request_id)
        async with self._engine.connect() as connection:
            row = (await connection.execute(wanted)).one_or_none()
        return None if row is None else (row.job_id, _read(row))

    async def of_job(self, job_id: str) -> Asked | None:
        async with self._engine.connect() as connection:
            row = (await connection.execute(sa.select(_asked).where(_asked.c.job_id == job_id))).first()
        return None if row is None else _read(row)

    async def note(self, account: str, job_id: str, asked: Asked) -> str:
        """Write down which job a request id made; the id of the first one where another process was quicker."""
        row = insert(_asked).values(account=account, job_id=job_id, **asdict(asked)).on_conflict_do_nothing()
        async with self._engine.begin() as connection:
            await connection.execute(row)
        first = await self.job_of(account, asked.request_id)
        assert first is not None
        return first[0]

    async def aclose(self) -> None:
        if self._opened is not None:
            await self._opened.dispose()


def _read(row: sa.Row[tuple[object, ...]]) -> Asked:
    return Asked(row.request_id, row.config_hash, row.dataset_hash, row.num_items, row.prediction_length)


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
