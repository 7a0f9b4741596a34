"""Panels: many series of one frequency under one id, remembered beside the monthly series."""

import json
import zlib
from collections.abc import Mapping
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.sqlite import insert as upsert

from sybilion_mcp.store.calls import Begin
from sybilion_mcp.store.draft import PACKING
from sybilion_mcp.store.panel import StoredPanel, encoded
from sybilion_mcp.store.records import now
from sybilion_mcp.store.tables import panels


class Panels:
    """Every method is one transaction. All raise Refusal `storage_failed` when the file cannot be used."""

    def __init__(self, begin: Begin) -> None:
        self._begin = begin

    async def put(self, panel: StoredPanel) -> None:
        """Remember a panel; what is now said about it replaces what was said before, silence does not."""
        said = {"title": panel.title, "description": panel.description}
        details = {name: value for name, value in said.items() if value is not None}
        packed = await PACKING.run(_packed, panel.series)
        row = upsert(panels).values(
            series_id=panel.series_id, frequency=panel.frequency, series=packed, details=details, created_at=now()
        )
        merged = func.json_patch(panels.c.details, json.dumps(details))
        async with self._begin(writing=True) as connection:
            await connection.execute(row.on_conflict_do_update(set_={"details": merged}))

    async def get(self, series_id: str) -> StoredPanel | None:
        async with self._begin() as connection:
            row = (await connection.execute(select(panels).where(panels.c.series_id == series_id))).one_or_none()
        if row is None:
            return None
        return StoredPanel(row.series_id, row.frequency, await PACKING.run(_unpacked, row.series), **row.details)

    async def ids(self, prefix: str, limit: int) -> list[str]:
        """Those that begin so, the newest first."""
        query = select(panels.c.series_id).where(panels.c.series_id.startswith(prefix, autoescape=True))
        async with self._begin() as connection:
            return list(await connection.scalars(query.order_by(panels.c.created_at.desc()).limit(limit)))


def _packed(series: Mapping[str, Mapping[str, float]]) -> bytes:
    return zlib.compress(encoded({item: dict(points) for item, points in series.items()}))


def _unpacked(packed: bytes) -> Any:
    return json.loads(zlib.decompress(packed))
