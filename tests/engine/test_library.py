"""The driver folder: what it keeps, what it refuses, and several processes at once."""

import math
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sybilion_mcp.engine import library as module
from sybilion_mcp.engine.library import MAX_NAME_BYTES, DriverLibrary, LibraryError, driver_id, usable_name

from .made_up import series

pytestmark = pytest.mark.anyio

NUMBERS = series([1.0, 2.0, 3.0])
OTHERS = series([9.0, 8.0])

ADD = """
import asyncio, sys
from pathlib import Path
from sybilion_mcp.engine.library import DriverLibrary

async def add(path, mark):
    for number in range(10):
        series = {f"{mark} {number}": {"2026-01-01": 1.0}}
        await DriverLibrary(Path(path)).put(series, region=f"Region {number}", category=mark)

asyncio.run(add(*sys.argv[1:]))
"""


@pytest.fixture
def library(tmp_path: Path) -> DriverLibrary:
    return DriverLibrary(tmp_path / "data" / "drivers.db")


async def test_reading_an_absent_folder_finds_nothing_and_makes_nothing(library: DriverLibrary, tmp_path: Path) -> None:
    contents = await library.contents()

    assert (contents.drivers, contents.regions, contents.categories) == ((), {}, {})
    assert await library.candidates() == ()
    assert await library.remove(["anything"]) == 0
    assert not await anyio.Path(tmp_path / "data").exists()


async def test_what_is_put_in_comes_out_in_the_order_of_ids(library: DriverLibrary) -> None:
    await library.put({"Copper": NUMBERS, "Zinc": OTHERS, "Tin": NUMBERS}, region="World", category="Metals")
    await library.put({"Births": OTHERS})

    found = await library.candidates()

    assert [one.id for one in found] == sorted(one.id for one in found)
    assert {one.name: one.months for one in found} == {
        "Copper": NUMBERS,
        "Zinc": OTHERS,
        "Tin": NUMBERS,
        "Births": OTHERS,
    }
    assert {one.name: (one.region, one.category) for one in found}["Zinc"] == (1, 1)
    assert {one.name: (one.region, one.category) for one in found}["Births"] == (None, None)


async def test_the_same_name_replaces_the_numbers_in_any_case(library: DriverLibrary) -> None:
    first = await library.put({"Copper": NUMBERS}, region="World")
    again = await library.put({"COPPER": OTHERS, "Zinc": OTHERS}, region="WORLD")
    other = await library.put({"Copper": NUMBERS}, region="Peru")

    assert [set(one.replaced) for one in (first, again, other)] == [set(), {"COPPER"}, set()]
    assert (first.beside, again.beside, other.beside) == ({}, {}, {"Copper": (("World", None),)})
    found = await library.contents()

    assert sorted((one.name, one.region, len(one.months)) for one in found.drivers) == [
        ("COPPER", 1, 2),
        ("Copper", 2, 3),
        ("Zinc", 1, 2),
    ]
    assert found.regions == {1: "World", 2: "Peru"}


async def test_without_a_place_a_name_means_the_only_one_or_none(library: DriverLibrary) -> None:
    await library.put({"Copper": NUMBERS}, region="Peru", category="Metals")
    replaced = await library.put({"copper": OTHERS})
    await library.put({"Copper": NUMBERS}, region="Chile")
    unclear = await library.put({"COPPER": OTHERS, "Tin": OTHERS})

    found = [(one.name, one.region, one.category, one.months) for one in await library.candidates()]

    assert replaced.replaced == {"copper"}
    assert set(unclear.unclear["COPPER"]) == {("Peru", "Metals"), ("Chile", None)}
    assert unclear.replaced == frozenset()
    assert sorted(found, key=lambda one: one[0]) == [
        ("Copper", 2, None, NUMBERS),
        ("Tin", None, None, OTHERS),
        ("copper", 1, 1, OTHERS),
    ]


async def test_a_region_keeps_its_id_after_its_last_driver(library: DriverLibrary) -> None:
    await library.put({"Copper": NUMBERS}, region="Peru", category="Metals")
    copper = (await library.candidates())[0].id

    assert await library.remove([copper, "unknown"]) == 1
    emptied = await library.contents()
    await library.put({"Rice": NUMBERS}, region="India")
    await library.put({"Zinc": NUMBERS}, region="Peru", category="metals")
    again = await library.contents()

    assert (emptied.drivers, emptied.regions, emptied.categories) == ((), {}, {})
    assert again.regions == {1: "Peru", 2: "India"}
    assert again.categories == {1: "Metals"}


async def test_a_full_folder_takes_replacements_but_nothing_new(
    library: DriverLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_DRIVERS", 2)
    await library.put({"Copper": NUMBERS, "Zinc": NUMBERS})

    assert (await library.put({"Zinc": OTHERS})).replaced == {"Zinc"}
    with pytest.raises(LibraryError, match="takes 2 series"):
        await library.put({"Copper": OTHERS, "Tin": NUMBERS}, region="Peru")

    assert {one.name: one.months for one in await library.candidates()} == {"Copper": NUMBERS, "Zinc": OTHERS}


@pytest.mark.parametrize(
    ("name", "months"),
    [
        ("", NUMBERS),
        ("\x00\u200b ", NUMBERS),
        ("ä" * 128, NUMBERS),
        ("Copper", {}),
        ("Copper", {"0001-01-01": 1.0, "2026-01-01": 1.0}),
        ("Copper", {"2026-01-01": 1.0, "2026-03-01": 1.0}),
        ("Copper", {"2026-01-01": 1.0, "2026-01-15": 1.0, "2026-02-01": 1.0}),
        ("Copper", {"2026-1-1": 1.0}),
        ("Copper", {"2026-01-01": math.nan}),
        ("Copper", {"2026-01-01": -math.inf}),
        ("Copper", {"2026-01-01": 10**400}),
        ("Copper", {"2026-01-01": True}),
    ],
    ids=[
        "no name",
        "nothing to see",
        "256 bytes",
        "no month",
        "2,000 years",
        "gap",
        "a day",
        "no date",
        "NaN",
        "endless",
        "too large",
        "no number",
    ],
)
async def test_what_the_folder_does_not_take_leaves_it_as_it_was(
    library: DriverLibrary, name: str, months: dict[str, float]
) -> None:
    with pytest.raises(LibraryError):
        await library.put({"Tin": NUMBERS, name: months})

    assert await library.candidates() == ()


async def test_two_spellings_of_one_name_are_not_put_in_at_once(library: DriverLibrary) -> None:
    with pytest.raises(LibraryError, match="same name"):
        await library.put({"Copper": NUMBERS, "copper": OTHERS})


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("months", "{"),
        ("months", "[1, 2]"),
        ("months", "{}"),
        ("months", "null"),
        ("months", "[" * 100_000),
        ("months", b"\xff\x00"),
        ("months", '{"2026-01-01": "1"}'),
        ("months", '{"2026-01-01": NaN}'),
        ("months", '{"2026-01-01": 1, "2026-03-01": 2}'),
        ("months", '{"2026-01-01": ' + "9" * 5000 + "}"),
        ("name", b"\xff"),
        ("name", ""),
        ("id", "no UUID"),
        ("id", b"\xff"),
        ("region", "Peru"),
    ],
)
async def test_a_row_that_nobody_put_in_is_an_error_of_the_folder(
    library: DriverLibrary, tmp_path: Path, column: str, value: str | bytes
) -> None:
    await library.put({"Copper": NUMBERS}, region="Peru")
    with closing(sqlite3.connect(tmp_path / "data" / "drivers.db")) as connection, connection:
        connection.execute(f"UPDATE drivers SET {column} = ?", [value])

    with pytest.raises(LibraryError):
        await library.contents()


async def test_processes_add_at_the_same_time_and_agree_on_ids(library: DriverLibrary, tmp_path: Path) -> None:
    path = str(tmp_path / "data" / "drivers.db")
    async with anyio.create_task_group() as adding:
        for mark in ("One", "Two"):
            adding.start_soon(anyio.run_process, [sys.executable, "-c", ADD, path, mark])

    found = await library.contents()

    assert len(found.drivers) == 20
    assert sorted(found.regions) == list(range(1, 11))
    assert sorted(found.regions.values()) == [f"Region {number}" for number in range(10)]
    assert sorted(found.categories.values()) == ["One", "Two"]


@given(st.text())
def test_names_are_one_visible_line_of_bounded_length(text: str) -> None:
    try:
        name = usable_name(text)
    except LibraryError:
        return

    assert name.isprintable()
    assert name == name.strip()
    assert len(name.encode()) <= MAX_NAME_BYTES
    assert usable_name(name) == name
    assert driver_id(text, None, None) == driver_id(name, None, None)


def test_the_parts_of_a_name_are_not_mixed_up() -> None:
    calls = [("a", "b", None), ("a", None, "b"), ("b", "a", None), ("a b", None, None), ("a", "b", "c")]

    assert len({driver_id(*call) for call in calls}) == len(calls)
    assert driver_id("Öl", "EU", None) == driver_id("öl", "eu", None)
