"""Eomer over HTTP: the key of the server is nobody else's."""

import pytest

from tests.engine.eomer.made_up import body
from tests.http.conftest import Open
from tests.test_conversation import data_of

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("caller", [None, "sk_ops_anna_0123456789"])
async def test_the_servers_key_of_eomer_pays_for_no_caller(opened: Open, mode: str, caller: str | None) -> None:
    asked = {"series": body("D", 1, 40)["series"], "backend": "eomer", "max_cost_eur_cents": 500}
    settings = {"eomer_api_key": "the-servers-own-key-0123456789", "eomer_api_base_url": "http://127.0.0.1:9"}

    async with opened(spend="allow", **settings) as house, house.client(caller, mode) as client:
        result = await client.call_tool("submit_forecast", asked)

    assert data_of(result)["code"] == "token_missing"
    assert "cannot be used here" in data_of(result)["message"]
    assert "the-servers-own-key" not in str(result)
