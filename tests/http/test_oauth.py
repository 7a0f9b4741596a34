"""The server as an OAuth resource server: whom it lets in, and how it tells the others where to go."""

import base64
import hashlib
import hmac
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from sybilion_mcp.http import oauth
from sybilion_mcp.http.app import Place
from sybilion_mcp.http.oauth import Issuer, JwtVerifier
from tests.conftest import good_series
from tests.http.conftest import Open
from tests.http.house import House
from tests.http.issuer import AUDIENCE, ISSUER, Authority, rsa_key

pytestmark = pytest.mark.anyio

PING = b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}'
Guarded = Callable[..., AbstractAsyncContextManager[House]]


@pytest.fixture(scope="module")
def one_key() -> Any:
    return rsa_key()


@pytest.fixture
def authority(one_key: Any) -> Authority:
    return Authority({"one": one_key})


@pytest.fixture
def guarded(opened: Open, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Guarded:
    """A server that takes tokens of the authority with the scope `forecast`."""

    @asynccontextmanager
    async def open_house(*place: Place, **settings: Any) -> AsyncIterator[House]:
        monkeypatch.setattr(
            "sybilion_mcp.http.app.JwtVerifier", lambda issuer: JwtVerifier(issuer, authority.transport())
        )
        said = {"oauth_issuer": ISSUER, "oauth_scopes": ("forecast",), "backend": "local", **settings}
        async with opened(*place, **said) as house:
            yield house

    return open_house


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_who_has_a_token_of_the_issuer_gets_in(guarded: Guarded, authority: Authority, mode: str) -> None:
    async with guarded() as house, house.client(mode=mode, **bearer(authority.token())) as client:
        assert (await client.list_tools()).tools


async def test_the_others_are_told_where_tokens_are_given(guarded: Guarded) -> None:
    async with guarded() as house, house.web() as web:
        refused = await web.post(PING)
        challenge = refused.headers["www-authenticate"]
        where = "http://127.0.0.1:8000/.well-known/oauth-protected-resource/mcp"
        described = await web.http.get(where)

    assert refused.status_code == 401
    assert challenge.startswith("Bearer ")
    assert f'resource_metadata="{where}"' in challenge
    assert 'scope="forecast"' in challenge
    told = described.json()
    assert told["resource"] == AUDIENCE
    assert told["authorization_servers"] == [ISSUER]
    assert told["scopes_supported"] == ["forecast"]


async def test_a_token_without_the_scope_is_told_which_one_it_needs(guarded: Guarded, authority: Authority) -> None:
    async with guarded() as house, house.web() as web:
        refused = await web.post(PING, **bearer(authority.token(scope="other")))
        listed = await web.post(PING, **bearer(authority.token(scope=None, scp=["forecast"])))

    assert refused.status_code == 403
    assert 'error="insufficient_scope"' in refused.headers["www-authenticate"]
    assert 'scope="forecast"' in refused.headers["www-authenticate"]
    assert listed.status_code == 200


PAST = datetime.now(UTC) - timedelta(minutes=5)


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://other.example"},
        {"iss": ISSUER + "/"},
        {"aud": "https://other.example/mcp"},
        {"aud": None},
        {"sub": None},
        {"sub": 7},
        {"exp": PAST},
        {"exp": None},
        {"nbf": datetime.now(UTC) + timedelta(days=1)},
    ],
)
async def test_a_token_that_is_not_for_this_server_is_refused(
    guarded: Guarded, authority: Authority, claims: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    token = encoded(authority, claims)
    async with guarded() as house, house.web() as web:
        assert (await web.post(PING, **bearer(token))).status_code == 401

    assert token not in caplog.text


def encoded(authority: Authority, claims: dict[str, Any]) -> str:
    """Also with a subject that the library would not sign."""
    if not isinstance(claims.get("sub"), int):
        return authority.token(**claims)
    good = jwt.decode(authority.token(), options={"verify_signature": False})
    return jwt.api_jws.encode(json.dumps(good | claims).encode(), authority.keys["one"], "RS256", {"kid": "one"})


async def test_a_token_that_the_issuer_did_not_sign_is_refused(guarded: Guarded, authority: Authority) -> None:
    public = authority.keys["one"].public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    head, claims, signature = authority.token().split(".")
    forged = [
        Authority({"one": rsa_key()}).token(),
        jwt.encode(jwt.decode(authority.token(), options={"verify_signature": False}), None, algorithm="none"),
        symmetric(authority, pem),
        f"{head}.{claims}.{signature[:-4]}AAAA",
        f"{head}.{claims}.",
        "no.token.at-all",
        "x" * 20_000,
    ]
    async with guarded() as house, house.web() as web:
        for token in forged:
            assert (await web.post(PING, **bearer(token))).status_code == 401


def symmetric(authority: Authority, public: bytes) -> str:
    """Signed with the public key as a shared secret, which a careless verifier would believe."""
    _, claims, _ = authority.token().split(".")
    head = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"one","typ":"JWT"}').rstrip(b"=").decode()
    sealed = hmac.new(public, f"{head}.{claims}".encode(), hashlib.sha256).digest()
    return f"{head}.{claims}.{base64.urlsafe_b64encode(sealed).rstrip(b'=').decode()}"


async def test_persons_are_separate_also_with_one_key(guarded: Guarded, authority: Authority) -> None:
    """Given a key that two persons share, a person with two keys, and one without, all are callers of their own."""
    anna, bert = bearer(authority.token()), bearer(authority.token(sub="bert"))
    key, other = "shared-key-0123456789", "other-key-0123456789"
    async with guarded() as house:
        async with house.client(key, **anna) as client:
            checked = await client.call_tool("validate_series", {"series": good_series(41)})
        uri = f"sybilion://series/{(checked.structured_content or {})['series_id']}"
        async with house.client(key, **anna) as client:
            assert (await client.read_resource(uri)).contents
        for one, headers in ((key, bert), (other, anna), (None, anna)):
            async with house.client(one, **headers) as client:
                with pytest.raises(Exception, match="series_not_found"):
                    await client.read_resource(uri)


async def test_a_key_of_two_persons_is_kept_while_one_of_them_is_there(
    guarded: Guarded, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    key = "shared-key-9876543210"
    async with guarded(most_open=1) as house, house.web() as web:
        for person in ("anna", "bert"):
            assert (await web.post(PING, key, **bearer(authority.token(sub=person)))).status_code == 200
        logging.getLogger("careless").warning("logged %s", key)

    assert "logged [token]" in caplog.messages


SUBMIT = {"series": good_series(), "title": "Demand for a made-up product", "soft_horizon": 3, "backend": "local"}
SUBMITTING = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "tools/call",
    "params": {"name": "submit_forecast", "arguments": SUBMIT},
}


async def test_a_person_without_a_key_has_the_embedded_engine_on_this_machine(
    guarded: Guarded, authority: Authority
) -> None:
    hosted = {**SUBMIT, "backend": "sybilion", "max_cost_eur_cents": 1000}
    async with guarded(backend=None) as house, house.client(**bearer(authority.token())) as client:
        free = await client.call_tool("submit_forecast", SUBMIT)
        paid = await client.call_tool("submit_forecast", hosted)

    assert "job_id" in (free.structured_content or {})
    assert (paid.structured_content or {})["code"] == "token_missing"


@pytest.mark.parametrize("place", [Place("0.0.0.0", 8000), Place("127.0.0.1", 8000)])
async def test_from_elsewhere_a_person_needs_a_key_as_well(
    guarded: Guarded, authority: Authority, place: Place
) -> None:
    public = {"public_url": "https://forecasts.example.com/mcp", "oauth_audience": AUDIENCE}
    async with guarded(place, **public) as house, house.web() as web:
        for token, key, status, told in (
            (None, None, 401, "Bearer"),
            (authority.token(exp=PAST), None, 401, "Bearer"),
            (authority.token(), None, 200, "key_missing: Send your own key"),
            (authority.token(), "key-of-a-person-0123", 200, '"job_id"'),
        ):
            headers = {"Host": "forecasts.example.com"} | (bearer(token) if token else {})
            answer = await web.post(json.dumps(SUBMITTING).encode(), key, **headers)
            assert answer.status_code == status, answer.text
            assert told in answer.text + answer.headers.get("www-authenticate", "")
            assert ('"job_id"' in answer.text) is (key is not None)


# Keys


async def test_keys_are_fetched_once_and_again_for_one_that_is_new(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    verifier = JwtVerifier(Issuer(ISSUER, AUDIENCE), authority.transport())
    for _ in range(3):
        assert await verifier.verify_token(authority.token())
    assert authority.asked.count("/keys") == 1

    authority.keys["two"] = ec.generate_private_key(ec.SECP256R1())
    assert await verifier.verify_token(authority.token("two", "ES256")) is None, "not so soon after the last time"
    monkeypatch.setattr(oauth, "PAUSE_SECONDS", 0)
    assert await verifier.verify_token(authority.token("two", "ES256"))
    assert await verifier.verify_token(authority.token())


async def test_an_issuer_that_is_gone_for_a_while_keeps_nobody_out_who_is_known(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oauth, "PAUSE_SECONDS", 0)
    verifier = JwtVerifier(Issuer(ISSUER, AUDIENCE), authority.transport())
    authority.broken = True
    assert await verifier.verify_token(authority.token()) is None
    authority.broken = False
    assert await verifier.verify_token(authority.token())
    authority.broken = True
    monkeypatch.setattr(oauth, "KEYS_SECONDS", 0)
    assert await verifier.verify_token(authority.token())


async def test_keys_that_are_named_need_no_description(authority: Authority) -> None:
    verifier = JwtVerifier(Issuer(ISSUER, AUDIENCE, (), "https://issuer.example/keys"), authority.transport())

    assert await verifier.verify_token(authority.token())
    assert authority.asked == ["/keys"]


async def test_a_description_of_another_issuer_is_not_believed(authority: Authority) -> None:
    authority.says = "https://other.example"
    verifier = JwtVerifier(Issuer(ISSUER, AUDIENCE), authority.transport())

    assert await verifier.verify_token(authority.token()) is None


@pytest.mark.parametrize("there", ["http://127.0.0.1:9/keys", "https://localhost/keys", "https://[::1]/keys"])
async def test_an_issuer_elsewhere_names_nothing_of_this_machine(authority: Authority, there: str) -> None:
    authority.keys_at = there
    verifier = JwtVerifier(Issuer(ISSUER, AUDIENCE), authority.transport())

    assert await verifier.verify_token(authority.token()) is None
    assert "/keys" not in authority.asked


async def test_an_issuer_of_this_machine_may_have_its_keys_here(authority: Authority) -> None:
    authority.says, authority.keys_at = "http://127.0.0.1:9/tenant", "http://127.0.0.1:9/keys"
    verifier = JwtVerifier(Issuer(authority.says, AUDIENCE), authority.transport())

    assert await verifier.verify_token(authority.token(iss=authority.says))


async def test_keys_that_trickle_in_are_not_waited_for(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oauth, "FETCH_SECONDS", 0.2)
    authority.trickles = True
    verifier = JwtVerifier(Issuer(ISSUER, AUDIENCE), authority.transport())

    with anyio.fail_after(10):
        assert await verifier.verify_token(authority.token()) is None


@pytest.mark.parametrize(
    ("place", "settings", "complaint"),
    [
        (Place("127.0.0.1", 8000), {"oauth_issuer": "http://issuer.example"}, "https"),
        (Place("127.0.0.1", 8000), {"oauth_issuer": ISSUER, "oauth_jwks_url": "ftp://issuer.example"}, "https"),
        (Place("127.0.0.1", 8000), {"oauth_scopes": ("forecast",)}, "OAUTH_ISSUER"),
        (Place("10.0.0.5", 8000), {"oauth_issuer": ISSUER}, "PUBLIC_URL"),
        (Place("10.0.0.5", 8000), {"oauth_issuer": ISSUER, "public_url": "http://forecasts.example.com"}, "https"),
    ],
)
async def test_settings_that_would_protect_nothing_are_refused(
    opened: Open, place: Place, settings: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        async with opened(place, **settings):
            pass
