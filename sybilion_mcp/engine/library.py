"""The driver folder: monthly series that the user keeps, in one SQLite file that processes share."""

import json
import math
import unicodedata
import uuid
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio.to_thread
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.pool import NullPool

from sybilion_mcp.contract.months import month_index, month_of, parse_wire_date
from sybilion_mcp.contract.option_rules import FILTER_IDS, MAX_KEYWORD_BYTES
from sybilion_mcp.engine.candidate import Candidate
from sybilion_mcp.outside import quoted
from sybilion_mcp.store.sqlite import open_sqlite

MAX_DRIVERS = 1000
MAX_MONTHS = 2400  # of a series: 200 years
MAX_NAME_BYTES = MAX_KEYWORD_BYTES

Place = tuple[str | None, str | None]  # the names of a region and a category

_NAMESPACE = uuid.UUID("5f2f3f0e-6f0d-4c0e-9a53-3c1f0a6d7b52")  # of the ids; another one would rename every driver
_NO_MONTH = "the series has a date that is not the first of a month"

_metadata = sa.MetaData()


def _named(kind: str) -> sa.Table:
    """Names with the ids that filters mean. A row stays for ever, so an id never comes to mean something else."""
    return sa.Table(
        kind,
        _metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False, unique=True),
    )


_regions = _named("regions")
_categories = _named("categories")
_drivers = sa.Table(
    "drivers",
    _metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("region", sa.Integer),
    sa.Column("category", sa.Integer),
    sa.Column("months", sa.Text, nullable=False),  # JSON, YYYY-MM-01 → number, in order
)


class LibraryError(ValueError):
    """What the folder does not take, or cannot hold by itself; the message says why."""


@dataclass(frozen=True, slots=True)
class Contents:
    """The folder at one moment: its drivers by id, and the names of the regions and categories they have."""

    drivers: tuple[Candidate, ...]
    regions: Mapping[int, str]
    categories: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of series that were put in, by the names they were given.

    `beside` has the places of others with the name of a new series. `unclear` has those of the series that are called
    so where nothing tells which of them is meant; such a series is not kept.
    """

    replaced: frozenset[str]
    beside: Mapping[str, tuple[Place, ...]]
    unclear: Mapping[str, tuple[Place, ...]]


class DriverLibrary:
    """The driver folder at `path`. Reading makes no file; every call opens the file and lets go of it again.

    Raises `LibraryError` for what it does not take and for rows that nobody put in, `OSError` and
    `sqlalchemy.exc.DatabaseError` for a file that cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    async def put(
        self, series: Mapping[str, Mapping[str, float]], region: str | None = None, category: str | None = None
    ) -> Kept:
        """Keep monthly series by name; all that are clear, or none.

        A series maps YYYY-MM-01 to finite numbers, gap-free. What is named the same in any case is the same. Without
        `region` and `category` a name means the only series called so, wherever it is from.
        """
        for name, months in series.items():
            check_series(name, months)
        if len({name_key(name) for name in series}) < len(series):
            raise LibraryError("two of the series have the same name")
        async with self._opened(writing=True) as connection:
            known = await _places(connection)
            ids, unclear = _meant(series, known, region, category)
            if len(known.keys() | ids.keys()) > MAX_DRIVERS:
                new, room = len(ids.keys() - known.keys()), MAX_DRIVERS - len(known)
                raise LibraryError(f"the folder takes {MAX_DRIVERS:,} series; it has room for {room:,} of {new:,} new")
            place = await _id_of(connection, _regions, region)
            group = await _id_of(connection, _categories, category)
            for one, name in ids.items():
                numbers = json.dumps(dict(sorted(series[name].items())), allow_nan=False)
                row = {"name": usable_name(name), "months": numbers}
                statement = insert(_drivers).values(id=one, region=place, category=group, **row)
                await connection.execute(statement.on_conflict_do_update(index_elements=["id"], set_=row))
        beside = {name: _called(name, known) for one, name in ids.items() if one not in known}
        return Kept(
            frozenset(name for one, name in ids.items() if one in known),
            {name: tuple(others.values()) for name, others in beside.items() if others},
            unclear,
        )

    async def remove(self, ids: Collection[str]) -> int:
        """Forget drivers by their ids; how many there were. Their regions and categories keep their ids."""
        if not await self._exists():
            return 0
        async with self._opened(writing=True) as connection:
            return (await connection.execute(sa.delete(_drivers).where(_drivers.c.id.in_(ids)))).rowcount

    async def contents(self) -> Contents:
        if not await self._exists():
            return Contents((), {}, {})
        async with self._opened() as connection:
            rows = (await connection.execute(sa.select(_drivers).order_by(_drivers.c.id))).all()
            regions = await _names(connection, _regions, _drivers.c.region)
            categories = await _names(connection, _categories, _drivers.c.category)
        return Contents(await anyio.to_thread.run_sync(_candidates, rows), regions, categories)

    async def candidates(self) -> tuple[Candidate, ...]:
        """All drivers, by id."""
        return (await self.contents()).drivers

    async def regions(self) -> dict[int, str]:
        """Id → name of the regions that some driver has, by id."""
        return await self._used(_regions, _drivers.c.region)

    async def categories(self) -> dict[int, str]:
        """Id → name of the categories that some driver has, by id."""
        return await self._used(_categories, _drivers.c.category)

    async def _used(self, table: sa.Table, used: sa.Column[int]) -> dict[int, str]:
        if not await self._exists():
            return {}
        async with self._opened() as connection:
            return await _names(connection, table, used)

    async def _exists(self) -> bool:
        return await anyio.Path(self._path).exists()

    @asynccontextmanager
    async def _opened(self, *, writing: bool = False) -> AsyncIterator[AsyncConnection]:
        """One transaction; a writing one takes its turn among the writers before it looks."""
        engine = await open_sqlite(self._path, _metadata, poolclass=NullPool)
        try:
            async with engine.begin() as connection:
                await connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")
                yield connection
        finally:
            await engine.dispose()


def driver_id(name: str, region: str | None, category: str | None) -> str:
    """The id of what a series is called, as a UUID; upper and lower case are the same."""
    called = [name_key(part) if part is not None else None for part in (name, region, category)]
    return str(uuid.uuid5(_NAMESPACE, json.dumps(called)))


def name_key(text: str) -> str:
    """Equal for names that the folder takes for one. Raises `LibraryError` as `usable_name` does."""
    return _key(usable_name(text))


def usable_name(text: str) -> str:
    """The name as the folder keeps it: on one line, without characters that cannot be seen.

    Raises `LibraryError` when nothing is left or more than MAX_NAME_BYTES are.
    """
    visible = (one if one.isprintable() else " " if one.isspace() else "" for one in unicodedata.normalize("NFC", text))
    name = " ".join("".join(visible).split())
    if not name:
        raise LibraryError("the name is empty")
    if (size := len(name.encode())) > MAX_NAME_BYTES:
        raise LibraryError(f"the name has {size:,} bytes, more than {MAX_NAME_BYTES}")
    return name


def check_series(name: str, months: Mapping[str, float]) -> None:
    """Raises `LibraryError` for a series that the folder does not take, whatever else is in it."""
    usable_name(name)
    if not months:
        raise LibraryError("the series holds no month")
    first, last = _month(min(months)), _month(max(months))
    span = last - first + 1
    if span > MAX_MONTHS:
        raise LibraryError(f"the series spans {span:,} months, more than {MAX_MONTHS:,}")
    expected = [month_of(index) for index in range(first, last + 1)]
    missing = next((month for month in expected if f"{month}-01" not in months), None)
    if missing is not None:
        raise LibraryError(f"the series has no value for {missing}")
    if len(months) > span:
        raise LibraryError(_NO_MONTH)
    endless = next((month for month, value in months.items() if not _is_finite(value)), None)
    if endless is not None:
        raise LibraryError(f"the value of {endless[:7]} is no finite number")


def _month(text: str) -> int:
    day = parse_wire_date(text)
    if day is None or day.day != 1:
        raise LibraryError(_NO_MONTH)
    return month_index(day)


def _is_finite(value: object) -> bool:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # an integer of JSON has no limit
        return False


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name.casefold())


async def _places(connection: AsyncConnection) -> dict[str, tuple[str, Place]]:
    """Id → key and place of all drivers. Their numbers are not looked at, so a broken row can be replaced."""
    wanted = (
        sa.select(_drivers.c.id, _drivers.c.name, _regions.c.name, _categories.c.name)
        .outerjoin(_regions, _drivers.c.region == _regions.c.id)
        .outerjoin(_categories, _drivers.c.category == _categories.c.id)
    )
    return {one: (_key(str(name)), (region, group)) for one, name, region, group in await connection.execute(wanted)}


def _meant(
    names: Collection[str], known: Mapping[str, tuple[str, Place]], region: str | None, category: str | None
) -> tuple[dict[str, str], dict[str, tuple[Place, ...]]]:
    """Id → name of the series, and the places that come into question where more than one does."""
    ids: dict[str, str] = {}
    unclear: dict[str, tuple[Place, ...]] = {}
    for name in names:
        found = _called(name, known) if region is None and category is None else {}
        if len(found) > 1:
            unclear[name] = tuple(found.values())
        else:
            ids[next(iter(found), driver_id(name, region, category))] = name
    return ids, unclear


def _called(name: str, known: Mapping[str, tuple[str, Place]]) -> dict[str, Place]:
    """Id → place of the drivers of that name."""
    key = name_key(name)
    return {one: place for one, (called, place) in known.items() if called == key}


async def _id_of(connection: AsyncConnection, table: sa.Table, name: str | None) -> int | None:
    """The id of a region or category, a new one for a new name."""
    if name is None:
        return None
    shown = usable_name(name)
    found: int | None = await connection.scalar(sa.select(table.c.id).where(table.c.key == _key(shown)))
    if found is not None:
        return found
    new = int(await connection.scalar(sa.select(sa.func.coalesce(sa.func.max(table.c.id), 0) + 1)) or 1)
    if new not in FILTER_IDS:
        raise LibraryError(f"the folder knows {FILTER_IDS[-1]:,} {table.name} and takes no more")
    await connection.execute(insert(table).values(id=new, name=shown, key=_key(shown)))
    return new


async def _names(connection: AsyncConnection, table: sa.Table, used: sa.Column[int]) -> dict[int, str]:
    """Id → name of what some driver has, by id."""
    wanted = sa.select(table.c.id, table.c.name).where(table.c.id.in_(sa.select(used))).order_by(table.c.id)
    return {row.id: str(row.name) for row in await connection.execute(wanted)}


def _candidates(rows: Sequence[sa.Row[Any]]) -> tuple[Candidate, ...]:
    return tuple(_candidate(row) for row in rows)


def _candidate(row: sa.Row[Any]) -> Candidate:
    """Raises `LibraryError` for a row that `put` did not write, as far as that shows."""
    try:
        months = json.loads(row.months)
        if not isinstance(months, dict) or str(uuid.UUID(row.id)) != row.id:
            raise LibraryError("it is damaged")
        check_series(row.name, months)
        if not all(isinstance(number, int | None) for number in (row.region, row.category)):
            raise LibraryError("its region or category is no id")
    except LibraryError as error:
        raise LibraryError(f"{quoted(str(row.name), 60)}: {error}") from error
    except (ValueError, TypeError, AttributeError, RecursionError) as error:  # no JSON, no text, no UUID, no end
        raise LibraryError(f"{quoted(str(row.name), 60)}: it is damaged") from error
    return Candidate(row.id, row.name, dict(sorted(months.items())), row.region, row.category)
