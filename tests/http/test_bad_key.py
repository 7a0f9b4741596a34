"""A key that the service does not take, as a caller over HTTP is told it."""

import pytest

from tests.billed import billed_api
from tests.hosted import error
from tests.http.conftest import Open

pytestmark = pytest.mark.anyio


async def test_the_header_is_named_and_not_what_this_server_was_started_with(opened: Open) -> None:
    async with billed_api() as api:
        api.always("account", error(401, "invalid bearer token"))
        async with opened(api_base_url=api.url, toolset="all") as house, house.web() as web:
            failure = await web.call("sk_ops_wrong_0123456789", "get_account")

    assert failure["code"] == "token_rejected"
    assert failure["message"] == "The service does not accept the key of the header X-Sybilion-Api-Key."
    assert "restart" not in failure["hint"]
    assert "SYBILION_API_TOKEN" not in str(failure)
    assert failure["next"] == {"tool": "validate_series", "arguments": {}}
