"""Panels: many series under the hash of their content."""

from pathlib import Path

import pytest

from sybilion_mcp.store.panel import StoredPanel, is_panel_id, panel_id
from sybilion_mcp.store.store import Store

pytestmark = pytest.mark.anyio

SERIES = {"b": {"2026-01-01": 1.5, "2026-01-02": 2.0}, "a": {"2026-01-01": -3.0}}


async def test_a_panel_is_read_as_it_was_put(tmp_path: Path) -> None:
    store = Store(tmp_path)
    panel = StoredPanel(panel_id("D", SERIES), "D", SERIES, "Two made-up shops", None)

    await store.panels.put(panel)

    assert await store.panels.get(panel.series_id) == panel
    assert await store.panels.get("p_000000000000") is None
    assert list((await store.panels.get(panel.series_id) or panel).series) == ["b", "a"]
    await store.aclose()


async def test_what_is_said_anew_replaces_and_silence_does_not(tmp_path: Path) -> None:
    store, series_id = Store(tmp_path), panel_id("D", SERIES)
    await store.panels.put(StoredPanel(series_id, "D", SERIES, "first", "context"))

    await store.panels.put(StoredPanel(series_id, "D", SERIES, "second"))

    found = await store.panels.get(series_id)
    assert found is not None
    assert (found.title, found.description) == ("second", "context")
    await store.aclose()


def test_the_id_tells_contents_apart_and_not_their_order() -> None:
    other = {"a": SERIES["a"], "b": SERIES["b"]}

    assert panel_id("D", SERIES) == panel_id("D", other)
    assert panel_id("B", SERIES) != panel_id("D", SERIES)
    assert panel_id("D", {**SERIES, "a": {"2026-01-01": -3.1}}) != panel_id("D", SERIES)
    assert is_panel_id(panel_id("D", SERIES))
    assert not is_panel_id("s_0123456789ab")


async def test_ids_are_found_by_how_they_begin(tmp_path: Path) -> None:
    store, series_id = Store(tmp_path), panel_id("D", SERIES)
    await store.panels.put(StoredPanel(series_id, "D", SERIES))

    assert await store.panels.ids("p_", 5) == [series_id]
    assert await store.panels.ids("p%", 5) == []
    await store.aclose()
