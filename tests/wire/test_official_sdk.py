"""The service's own Python SDK against the sandbox: every method of its client, unchanged."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anyio
import pytest
from sybilion import Client
from sybilion._api.models.filters import Filters
from sybilion._api.models.forecast_request_v1 import ForecastRequestV1
from sybilion._api.models.recommend_request_v1 import RecommendRequestV1
from sybilion._api.models.timeseries_metadata import TimeseriesMetadata

from sybilion_mcp.engine.app import build_app
from sybilion_mcp.engine.library import DriverLibrary
from sybilion_mcp.engine.terms import ALERT_EUR_CENTS, DRIVER_EUR_CENTS, Terms, Tier
from tests.conftest import TODAY, good_series
from tests.wire.described import Canned
from tests.wire.served import served

TITLE = "Copper price in Germany, EUR per tonne"
METADATA = TimeseriesMetadata(title=TITLE, keywords=["copper"])

Connect = Callable[..., Client]


def error_of(status: int) -> Callable[[Callable[[], object]], str]:
    """The sentence that the SDK raises for an answer of that status."""

    def sentence(call: Callable[[], object]) -> str:
        with pytest.raises(Exception) as raised:  # noqa: PT011  (the SDK raises a bare Exception)
            call()
        assert getattr(raised.value.__cause__, "status", None) == status
        return str(raised.value)

    return sentence


@pytest.fixture
def connect(tmp_path: Path, executor: Executor) -> Iterator[Connect]:
    """Clients of a sandbox on these terms, each with a token of its own unless it is named."""
    with ExitStack() as stack:

        def client(terms: Terms | None = None, token: str = "sk_ops_sdk", jobs: Executor = executor) -> Client:
            app = build_app(tmp_path / "sandbox", today=lambda: TODAY, executor=jobs, terms=terms or Terms())
            connected = Client(token=token, base_url=stack.enter_context(served(app)))
            stack.callback(connected._api.api_client.rest_client.pool_manager.clear)
            return connected

        yield client


@pytest.fixture
def library(tmp_path: Path) -> None:
    jump = {**good_series(), "2026-11-01": 400.0}
    series = {"Copper price": jump, "Copper stocks": jump}
    anyio.run(DriverLibrary(tmp_path / "sandbox" / "drivers.db").put, series, "Peru", "Metals")


def forecast(**changes: Any) -> ForecastRequestV1:
    given = {"soft_horizon": 3, "recency_factor": 0.5, "timeseries_metadata": METADATA, "timeseries": good_series()}
    return ForecastRequestV1(pipeline_version="v1", frequency="monthly", **{**given, **changes})


def drivers(**changes: Any) -> RecommendRequestV1:
    return RecommendRequestV1(**{"version": "v1", "recency_factor": 0.5, "timeseries_metadata": METADATA, **changes})


def test_the_client_has_no_method_that_is_not_used_here() -> None:
    used = {"me", "get_usage", "iter_usage_pages", "list_jobs", "iter_jobs_pages", "list_regions", "list_categories"}
    used |= {"submit_forecast", "get_forecast", "wait_forecast", "get_forecast_artifact", "get_drivers", "get_alerts"}

    assert {name for name in vars(Client) if not name.startswith("_")} == used


def test_a_forecast_is_submitted_waited_for_read_and_charged(connect: Connect) -> None:
    client = connect()
    before = client.me()

    accepted = client.submit_forecast(forecast(backtest=True))
    held = client.me()
    job = client.wait_forecast(accepted.job_id, poll_s=0.05, timeout_s=60)
    content = client.get_forecast_artifact(accepted.job_id, "forecast.json")

    assert (job.job_id, job.status, job.settled) == (accepted.job_id, "completed", True)
    assert {"forecast.json", "backtest_metrics.json"} <= {one.name for one in job.artifacts}
    assert json.loads(bytes(content))["data"]["forecast_horizon"] == 3
    assert held.available_eur_cents < before.available_eur_cents
    after = client.me()
    (event,) = client.get_usage().usage_events
    (summary,) = client.list_jobs().jobs
    assert (event.endpoint, event.units, event.async_job_id) == ("forecast", 1, accepted.job_id)
    assert event.eur_cents_charged == summary.eur_cents_final > 0
    assert after.balance_eur_cents == after.available_eur_cents == before.balance_eur_cents - event.eur_cents_charged


def test_the_account_tells_its_trial_and_its_tier(connect: Connect) -> None:
    me = connect(Terms(credit_eur_cents=700, tier=Tier(2, 600, 5))).me()

    assert (me.balance_eur_cents, me.api_usage_tier, me.role, me.has_ever_paid) == (700, 2, "user", False)
    assert me.signup_trial is not None
    assert me.signup_trial.remaining_eur_cents == me.signup_trial.initial_eur_cents == 700
    assert me.signup_trial.expires_at > me.signup_trial.granted_at
    assert [one.source for one in me.euro_tranches] == ["signup_trial"]


@pytest.mark.usefixtures("library")
def test_drivers_and_alerts_are_billed_by_what_they_return(connect: Connect) -> None:
    client = connect()

    ranked = client.get_drivers(drivers(filters=Filters(limit=1))).data.drivers
    alerts = client.get_alerts(metadata=METADATA, context_enriched=True, filters=Filters(limit=5), date_to="2026-11-22")

    assert [one.driver_name for one in ranked] == ["Copper price"]
    assert {one["name"] for one in alerts} == {"Copper price", "Copper stocks"}
    assert all(one["pct_change"] > 50 and one["news"] == [] for one in alerts)
    charged = [(one.endpoint, one.units, one.eur_cents_charged) for one in client.get_usage(order="asc").usage_events]
    assert charged == [("drivers", 1, DRIVER_EUR_CENTS), ("alerts", 2, 2 * ALERT_EUR_CENTS)]


@pytest.mark.usefixtures("library")
def test_catalogues_are_listed(connect: Connect) -> None:
    client = connect()

    assert [(one.id, one.name, one.latitude) for one in client.list_regions().items] == [(1, "Peru", 0.0)]
    assert [(one.id, one.name) for one in client.list_categories().items] == [(1, "Metals")]


@pytest.mark.usefixtures("library")
def test_lists_come_in_pages(connect: Connect) -> None:
    client = connect(jobs=Canned())
    ids = [client.submit_forecast(forecast()).job_id for _ in range(5)]
    for one in ids:
        client.wait_forecast(one, poll_s=0.01, timeout_s=60)
    client.get_drivers(drivers(filters=Filters(limit=1)))

    jobs = list(client.iter_jobs_pages(limit=2, order="asc", status="completed", pipeline_type="forecast"))
    usage = list(client.iter_usage_pages(limit=4, sort="eur_cents_charged"))
    cheapest = client.list_jobs(sort="eur_cents_final", order="asc", page=3, limit=2)

    assert [[one.job_id for one in page.jobs] for page in jobs] == [ids[:2], ids[2:4], ids[4:]]
    assert [len(page.usage_events) for page in usage] == [4, 2]
    assert usage[-1].usage_events[-1].endpoint == "drivers"
    assert (cheapest.pagination.total, cheapest.pagination.total_pages, len(cheapest.jobs)) == (5, 3, 1)
    assert next(iter(connect(token="sk_ops_nobody").iter_jobs_pages())).jobs == []


def test_health_is_reported(connect: Connect) -> None:
    assert connect()._api.health_get().status == "ok"


class TestErrors:
    def test_an_invalid_token_is_401(self, connect: Connect) -> None:
        assert "bearer token" in error_of(401)(connect(token="sk_live_1").me)

    def test_credit_that_does_not_suffice_is_402(self, connect: Connect) -> None:
        client = connect(Terms(credit_eur_cents=3))

        assert error_of(402)(lambda: client.submit_forecast(forecast())) == "insufficient available credits for hold"
        need = f"insufficient credits: need up to {2 * DRIVER_EUR_CENTS}, have 3"
        assert error_of(402)(lambda: client.get_drivers(drivers(filters=Filters(limit=2)))) == need
        with pytest.raises(Exception, match="insufficient credits: need up to 600, have 3"):
            client.get_alerts(metadata=METADATA, context_enriched=False)

    def test_an_unknown_job_is_404(self, connect: Connect) -> None:
        client = connect()

        assert error_of(404)(lambda: client.get_forecast("0d7c2f4e-8a51-4c3b-9e6f-2b1a7d5c9e80")) == "job not found"

    def test_an_artifact_before_completion_is_409(self, connect: Connect) -> None:
        client = connect(Terms(job_seconds=3600))
        job = client.submit_forecast(forecast()).job_id

        assert "artifacts" in error_of(409)(lambda: client.get_forecast_artifact(job, "forecast.json"))
        with pytest.raises(TimeoutError):
            client.wait_forecast(job, poll_s=0.01, timeout_s=0.1)

    def test_a_violated_rule_is_422(self, connect: Connect) -> None:
        client = connect()

        assert error_of(422)(lambda: client.submit_forecast(forecast(hard_horizon=6))) == "validation_failed"

    def test_too_many_jobs_are_429(self, connect: Connect) -> None:
        client = connect(Terms(job_seconds=3600, tier=Tier(1, 600, 1), credit_eur_cents=300))
        client.submit_forecast(forecast())

        assert error_of(429)(lambda: client.submit_forecast(forecast())) == "too many concurrent jobs"

    def test_too_many_requests_are_429(self, connect: Connect) -> None:
        client = connect(Terms(tier=Tier(1, 2, 1)))
        client.me()
        client.list_jobs()

        assert "rate limit" in error_of(429)(client.me)
