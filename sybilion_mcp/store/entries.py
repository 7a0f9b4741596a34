"""What the store keeps beside series, submissions and jobs, as data."""

from collections.abc import Mapping
from dataclasses import dataclass

from sybilion_mcp.store.records import StoredJob


@dataclass(frozen=True, slots=True)
class Call:
    """One question put to a service, under one id however often it is sent.

    `state`: open, it may have been charged and its answer is still to come; joined, as open, and sent more than once,
    so that no single failure tells that nothing was charged; refused, nothing was charged; answered. `account` is a
    hash.
    """

    request_id: str
    request_hash: str
    state: str
    operation: str
    backend: str
    account: str
    expected_eur_cents: int
    created_at: str
    answer: Mapping[str, object] | None = None
    answered_at: str | None = None
    units: int | None = None
    eur_cents: int | None = None
    usage_id: str | None = None


@dataclass(frozen=True, slots=True)
class KeptCatalogue:
    """`names`: id → name, as the service wrote it."""

    names: Mapping[int, str]
    fetched_at: str


@dataclass(frozen=True, slots=True)
class ListedJob:
    """`title` is None when another desk submitted it."""

    stored: StoredJob
    first_seen_at: str
    title: str | None
