"""A stand-in for the hosted API's calls that answer at once: billed once per X-Request-ID, with usage and account."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.hosted import ROOT, Fault, HostedApi, error, served

DRIVER_CENTS = 4
ALERT_CENTS = 6
_OPERATIONS = {"drivers": "drivers", "alerts": "alerts", "usage": "usage", "me": "account"}
_OPERATIONS |= {"regions": "regions", "categories": "categories"}


def json_answer(content: object) -> Fault:
    return Fault(200, json.dumps(content).encode(), (("content-type", "application/json"),))


@dataclass
class BilledApi(HostedApi):
    """`calls`: operation, request id and body of each billed request that arrived, also of those that failed.

    `charges`: request id → usage event. `clock`: how far it goes wrong.
    """

    drivers: list[dict[str, Any]] = field(default_factory=list)
    alerts: list[dict[str, Any]] = field(default_factory=list)
    names: dict[str, list[tuple[int, str]]] = field(default_factory=lambda: {"regions": [], "categories": []})
    me: dict[str, Any] = field(default_factory=dict)
    calls: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    charges: dict[str, dict[str, Any]] = field(default_factory=dict)
    clock: timedelta = timedelta()
    keeps_usage: bool = True
    _request_id: str = ""

    @property
    def request_ids(self) -> list[str]:
        return [request_id for _, request_id, _ in self.calls]

    async def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Fault:
        operation = self._operation(method, path)
        if operation in ("drivers", "alerts"):
            self._request_id = headers["x-request-id"]
            self.calls.append((operation, self._request_id, json.loads(body)))
        return await super().answer(method, path, headers, body)

    def _operation(self, method: str, path: str) -> str:
        step = path.removeprefix(f"{ROOT}/").partition("?")[0]
        return _OPERATIONS.get(step) or super()._operation(method, path)

    def _handle(self, operation: str, path: str, body: bytes) -> Fault:
        if operation in ("drivers", "alerts"):
            return self._billed(operation, json.loads(body))
        if operation in ("regions", "categories"):
            return json_answer({"items": [{"id": number, "name": name} for number, name in self.names[operation]]})
        if operation == "usage":
            events = sorted(self.charges.values(), key=lambda one: str(one["created_at"]), reverse=True)
            return json_answer({"usage_events": events}) if self.keeps_usage else error(404, "not found")
        if operation == "jobs" and (status := re.search(r"status=(\w+)", path)):
            jobs = self.jobs
            self.jobs = {name: job for name, job in jobs.items() if job["status"] == status[1]}
            try:
                return super()._handle(operation, path, body)
            finally:
                self.jobs = jobs
        return super()._handle(operation, path, body)

    def told_of(self, token: str) -> dict[str, object]:
        return super().told_of(token) | self.me

    def _billed(self, operation: str, body: dict[str, Any]) -> Fault:
        limit = body.get("filters", {}).get("limit", 100)
        found = (self.drivers if operation == "drivers" else self.alerts)[:limit]
        cents = len(found) * (DRIVER_CENTS if operation == "drivers" else ALERT_CENTS)
        event = {"id": len(self.charges) + 1, "endpoint": operation, "units": len(found), "credits_charged": cents}
        event |= {"eur_cents_charged": cents, "created_at": (datetime.now(UTC) + self.clock).isoformat()}
        self.charges.setdefault(self._request_id, event)
        answers = {
            "drivers": {"status": "success", "message": "", "data": {"drivers": found}},
            "alerts": {"alerts": found},
        }
        return json_answer(answers[operation])

    def charge(self, endpoint: str, units: int, cents: int) -> None:
        """A charge of somebody else's call."""
        at = (datetime.now(UTC) + self.clock).isoformat()
        event = {"id": len(self.charges) + 1, "endpoint": endpoint, "units": units, "created_at": at}
        self.charges[f"other-{len(self.charges)}"] = {**event, "credits_charged": cents, "eur_cents_charged": cents}


def some_drivers(count: int) -> list[dict[str, Any]]:
    return [
        {"hash_id": f"h{one}", "driver_name": f"Energy {one} - Germany", "score": round(0.99 - one / 1000, 3)}
        for one in range(count)
    ]


def some_alerts(count: int) -> list[dict[str, Any]]:
    return [
        {
            "name": f"Copper stocks {one}",
            "pct_change": (one + 1) * (-1) ** one * 1.5,
            "trending": one == 0,
            "news": [
                {
                    "title": f"Copper inventories move again, part {one}",
                    "description": "What happened, at length. " * 20,
                    "url": f"https://news.example.com/copper/{one}?utm_source=feed",
                    "source_name": "Example News",
                    "category": "business",
                    "published_at": "2026-11-20T08:00:00Z",
                    "trending": False,
                }
            ],
        }
        for one in range(count)
    ]


@asynccontextmanager
async def billed_api() -> AsyncIterator[BilledApi]:
    async with served(BilledApi()) as api:
        yield api
