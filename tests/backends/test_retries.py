"""What is said of a request that is sent again: nothing, unless somebody asked for the log."""

import logging

import pytest
import stamina

from sybilion_mcp.backends.sybilion import SybilionClient
from tests.hosted import error, reset, serving

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("level", [logging.WARNING, logging.INFO])
async def test_a_try_that_fails_is_logged_without_content_where_wanted(
    level: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(level)
    async with serving() as api:
        client = SybilionClient(api.url, api.token)
        api.next("account", error(503, "private words"), reset())
        with stamina.set_testing(True, attempts=3):
            await client.account()
        await client.aclose()

    told = [one.getMessage() for one in caplog.records if "failed" in one.getMessage()]
    wanted = [
        "try 1 failed, the next in 0.0 s: account: HTTP 503",
        "try 2 failed, the next in 0.0 s: account: unreachable",
    ]
    assert told == (wanted if level == logging.INFO else [])
    assert "private words" not in caplog.text
    assert [one.name for one in caplog.records if one.name.startswith("stamina")] == []
