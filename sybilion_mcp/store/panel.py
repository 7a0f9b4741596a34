"""A panel, many series of one frequency under one id, as data."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StoredPanel:
    """`series`: item id → timestamp → number, in the order of time; `frequency` as pandas writes it.

    Title and description as the caller last gave them.
    """

    series_id: str
    frequency: str
    series: Mapping[str, Mapping[str, float]]
    title: str | None = None
    description: str | None = None


def panel_id(frequency: str, series: Mapping[str, Mapping[str, float]]) -> str:
    """The same numbers under the same names and dates have the same id, in whatever order the series came."""
    return f"p_{hashlib.sha256(encoded([frequency, dict(sorted(series.items()))])).hexdigest()[:12]}"


def is_panel_id(series_id: str) -> bool:
    """Whether an id is that of a panel; those of monthly series begin otherwise."""
    return series_id.startswith("p_")


def encoded(content: object) -> bytes:
    """As JSON, in one way."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
