"""A look at a job that fails tells what was seen before, where something was."""

import re

import pytest

from tests.billed import BilledApi
from tests.conftest import good_series
from tests.hosted import error
from tests.tools.host import Connect, call, data_of, failure_of

pytestmark = pytest.mark.anyio

SUBMIT = {"series": good_series(), "title": "Copper price, London, USD per tonne", "soft_horizon": 6}


@pytest.mark.parametrize(("status", "code"), [(429, "rate_limited"), (503, "unavailable"), (401, "token_rejected")])
async def test_the_last_status_is_told_where_the_look_may_be_made_again(
    connect: Connect, api: BilledApi, status: int, code: str
) -> None:
    async with connect(spend="allow") as client:
        job_id = data_of(await call(client, "submit_forecast", **SUBMIT))["job_id"]
        seen = data_of(await call(client, "get_status", job_id=job_id, wait_seconds=0))["status"]
        api.next("job", *[error(status, "rate limit exceeded")] * 2)
        failure = failure_of(await call(client, "get_status", job_id=job_id, wait_seconds=0))

    assert (seen, failure["code"]) == ("running", code)
    told = re.search(r"When last seen \(\d{4}-\d\d-\d\d \d\d:\d\d UTC\) the job was running\.$", failure["message"])
    assert (told is not None) is (code != "token_rejected")


async def test_of_a_job_that_was_never_seen_nothing_is_told(connect: Connect, api: BilledApi) -> None:
    job_id = api.make_job()
    api.next("job", *[error(429, "rate limit exceeded")] * 2)
    async with connect() as client:
        failure = failure_of(await call(client, "get_status", job_id=job_id, wait_seconds=0))

    assert failure["message"] == "Too many requests within a minute."
