"""The catalogues of regions and categories, kept to be searched without asking the service every time."""

from sqlalchemy import select
from sqlalchemy.dialects.sqlite import insert as upsert

from sybilion_mcp.store.calls import Begin
from sybilion_mcp.store.entries import KeptCatalogue
from sybilion_mcp.store.tables import catalogues


class Catalogues:
    """Every method is one transaction. All raise what those of the store raise."""

    def __init__(self, begin: Begin) -> None:
        self._begin = begin

    async def put(self, source: str, kind: str, kept: KeptCatalogue) -> None:
        values = {"names": list(kept.names.items()), "fetched_at": kept.fetched_at}
        row = upsert(catalogues).values(source=source, kind=kind, **values)
        async with self._begin(writing=True) as connection:
            await connection.execute(row.on_conflict_do_update(set_=values))

    async def get(self, source: str, kind: str) -> KeptCatalogue | None:
        query = select(catalogues).where(catalogues.c.source == source, catalogues.c.kind == kind)
        async with self._begin() as connection:
            row = (await connection.execute(query)).one_or_none()
        return KeptCatalogue(dict(row.names), row.fetched_at) if row else None
