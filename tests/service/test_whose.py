"""Whose job an id is: the store knows, else the default backend is asked, else the other one."""

from collections.abc import Callable

import pytest

from sybilion_mcp.backends.base import AnswerError, BackendError, TransportError
from sybilion_mcp.backends.eomer import EomerClient
from sybilion_mcp.contract.jobs import Job
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.follow import current, follow
from sybilion_mcp.service.whose import backends_of
from tests.hosted import Fault, HostedApi, error, reset
from tests.service.eomer_jobs import KEY, URL, Canned

pytestmark = pytest.mark.anyio

OpenDesk = Callable[..., Desk]


@pytest.fixture
def service() -> Canned:
    service = Canned()
    service.add("at-eomer")
    return service


@pytest.fixture
def desk(open_desk: OpenDesk, service: Canned) -> Desk:
    """With a key for either service; Sybilion is the default."""
    desk = open_desk(eomer_api_key=KEY, eomer_api_base_url=URL)
    desk._backends["eomer"] = EomerClient(URL, KEY, transport=service, retry_seconds=0.1)
    return desk


async def test_the_default_is_asked_first_and_the_other_where_it_knows_nothing(
    desk: Desk, service: Canned, api: HostedApi
) -> None:
    at_sybilion = api.make_job()

    assert (await current(desk, at_sybilion)).backend == "sybilion"
    assert service.requests == []
    assert (await current(desk, "at-eomer")).backend == "eomer"


async def test_whoever_waits_for_an_unknown_job_is_told_by_its_own_service(desk: Desk) -> None:
    async def progress(*_: object) -> None:
        raise AssertionError("it is finished")

    found = await follow(desk, "at-eomer", 0, progress)

    assert (found.backend, found.job.status) == ("eomer", "completed")
    assert "forecast.csv" in found.artifacts


async def test_what_was_found_once_is_not_asked_of_the_default_again(desk: Desk, api: HostedApi) -> None:
    await current(desk, "at-eomer")
    asked = len(api.requests)

    await current(desk, "at-eomer")

    assert api.requests[asked:] == []


async def test_a_remembered_job_is_its_services_whatever_the_default(
    desk: Desk, service: Canned, api: HostedApi
) -> None:
    await desk.store.put_job(Job(job_id="at-eomer", status="running"), "eomer")

    assert (await current(desk, "at-eomer")).job.status == "completed"
    assert api.requests == []


async def test_an_id_that_none_knows_is_the_defaults_failure(desk: Desk) -> None:
    with pytest.raises(AnswerError) as caught:
        await current(desk, "nobody")
    assert (caught.value.status, caught.value.backend) == (404, "sybilion")


@pytest.mark.parametrize("fault", [reset(), error(500, "internal error"), error(401, "invalid token")])
async def test_a_default_that_cannot_tell_ends_the_search(
    desk: Desk, service: Canned, api: HostedApi, fault: Fault
) -> None:
    api.always("job", fault)

    with pytest.raises((AnswerError, TransportError)) as caught:
        await current(desk, "at-eomer")
    assert isinstance(caught.value, BackendError)
    assert service.requests == []


async def test_with_one_key_only_that_service_is_asked(open_desk: OpenDesk) -> None:
    assert backends_of(open_desk()) == ("sybilion",)
    assert backends_of(open_desk(api_token=None)) == ("local",)
    assert backends_of(open_desk(api_token=None, eomer_api_key=KEY)) == ("local", "eomer")
    assert backends_of(open_desk(eomer_api_key=KEY, backend="eomer")) == ("eomer", "sybilion")


async def test_over_http_the_servers_own_key_is_nobodys(open_desk: OpenDesk) -> None:
    desk = open_desk(eomer_api_key=KEY)
    desk.over_http = True

    assert backends_of(desk) == ("sybilion",)
