"""OAuth: tokens of one authorization server, checked here against its published keys."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from time import monotonic
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import anyio
import httpx
import jwt
from mcp.server.auth.provider import AccessToken

if TYPE_CHECKING:
    from jwt import PyJWK

ALGORITHMS = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), "RSA"),
    **dict.fromkeys(("ES256", "ES384", "ES512"), "EC"),
    "EdDSA": "OKP",
}
"""Of signatures that only the issuer can make → the kind of key."""
LEEWAY_SECONDS = 30
KEYS_SECONDS = 3600.0
"""After which the keys are fetched anew."""
PAUSE_SECONDS = 10.0
"""Between two fetches, whatever tokens come in."""
FETCH_SECONDS = 5.0
"""For all that a fetch asks, however slowly it is told."""
_MOST_BYTES = 2**20
_LONGEST_TOKEN = 16_384

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Issuer:
    """Raises `ValueError` for an address that is neither https nor of this machine."""

    url: str
    audience: str
    scopes: tuple[str, ...] = ()
    jwks_url: str | None = None

    def __post_init__(self) -> None:
        for url in (self.url, self.jwks_url or self.url):
            if not is_secure(url):
                raise ValueError(f"{url}: an https address is needed")


def is_secure(url: str) -> bool:
    """Whether what is fetched from there can be believed: over https, or from this machine."""
    parts = urlsplit(url)
    return bool(parts.hostname) and (
        parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname))
    )


def is_loopback(host: str | None) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host or "").is_loopback
    except ValueError:
        return False


@dataclass
class JwtVerifier:
    """Tokens of the issuer for this audience, signed, not expired, with a subject. Scopes are checked by the SDK.

    Its keys are fetched when the first token comes, again when one is signed by an unknown key, and every hour.
    """

    issuer: Issuer
    transport: httpx.AsyncBaseTransport | None = None
    _keys: Sequence["PyJWK"] = ()
    _fetched_at: float | None = None
    _fetching: anyio.Lock = field(default_factory=anyio.Lock)

    async def verify_token(self, token: str) -> AccessToken | None:
        """The token's claims; None when it does not hold. The log says why, and never repeats it."""
        try:
            claims = await self._claims(token)
        except (jwt.PyJWTError, ValueError) as error:
            _log.info("a token was refused: %s", type(error).__name__)
            return None
        return AccessToken(
            token="",  # not needed any more, and better not kept
            client_id=str(claims.get("client_id") or claims.get("azp") or claims["sub"]),
            scopes=_scopes(claims),
            expires_at=int(claims["exp"]),
            subject=claims["sub"],
            claims={"iss": claims["iss"]},
        )

    async def _claims(self, token: str) -> dict[str, Any]:
        if len(token) > _LONGEST_TOKEN:
            raise ValueError("too long")
        header = jwt.get_unverified_header(token)
        algorithm = str(header.get("alg"))
        key = await self._key(header.get("kid"), algorithm)
        claims: dict[str, Any] = jwt.decode(
            token,
            key.key,
            algorithms=[algorithm],
            audience=self.issuer.audience,
            issuer=self.issuer.url,
            leeway=LEEWAY_SECONDS,
            options={"require": ["exp", "iss", "sub", "aud"]},
        )
        return claims

    async def _key(self, name: object, algorithm: str) -> "PyJWK":
        """Raises `ValueError` when the issuer has no such key."""
        if algorithm not in ALGORITHMS:
            raise ValueError("not an algorithm of signatures")
        age = None if self._fetched_at is None else monotonic() - self._fetched_at
        if age is None or age > KEYS_SECONDS:
            await self._fetch()
        key = self._known(name, algorithm)
        if key is None:
            await self._fetch()
            key = self._known(name, algorithm)
        if key is None:
            raise ValueError("signed with an unknown key")
        return key

    def _known(self, name: object, algorithm: str) -> "PyJWK | None":
        fitting = [
            one
            for one in self._keys
            if one.key_type == ALGORITHMS[algorithm]
            and one.public_key_use in (None, "sig")
            and (name is None or one.key_id == name)
        ]
        return fitting[0] if len(fitting) == 1 or (fitting and name is not None) else None

    async def _fetch(self) -> None:
        async with self._fetching:
            if self._fetched_at is not None and monotonic() - self._fetched_at < PAUSE_SECONDS:
                return
            self._fetched_at = monotonic()
            try:
                with anyio.fail_after(FETCH_SECONDS):
                    async with httpx.AsyncClient(timeout=FETCH_SECONDS, transport=self.transport) as client:
                        url = self.issuer.jwks_url or await _keys_of(client, self.issuer.url)
                        self._keys = jwt.PyJWKSet.from_dict(await _json(client, url)).keys
            except TimeoutError:
                _log.warning("the keys of %s did not come within %g seconds", self.issuer.url, FETCH_SECONDS)
            except (httpx.HTTPError, httpx.InvalidURL, jwt.PyJWTError, ValueError) as error:
                _log.warning("the keys of %s could not be fetched: %s", self.issuer.url, error)


async def _keys_of(client: httpx.AsyncClient, issuer: str) -> str:
    """Where the issuer's own description says that its keys are. Raises `ValueError` when it does not say so."""
    parts = urlsplit(issuer)
    root, path = f"{parts.scheme}://{parts.netloc}/.well-known", parts.path.rstrip("/")
    places = (
        f"{root}/oauth-authorization-server{path}",
        f"{root}/openid-configuration{path}",
        f"{issuer.rstrip('/')}/.well-known/openid-configuration",
    )
    for place in dict.fromkeys(places):
        try:
            described = await _json(client, place)
        except (httpx.HTTPStatusError, ValueError):
            continue
        url = described.get("jwks_uri")
        if described.get("issuer") == issuer and isinstance(url, str) and _may_be_asked(url, parts.hostname):
            return url
    raise ValueError("no description of the issuer says where its keys are")


def _may_be_asked(url: str, issuer: str | None) -> bool:
    """An issuer elsewhere names nothing of this machine, whose own services trust what comes from here."""
    return is_secure(url) and (is_loopback(issuer) or not is_loopback(urlsplit(url).hostname))


async def _json(client: httpx.AsyncClient, url: str) -> dict[str, object]:
    async with client.stream("GET", url, headers={"Accept-Encoding": "identity"}) as response:
        response.raise_for_status()
        content = bytearray()
        async for chunk in response.aiter_bytes():
            content += chunk
            if len(content) > _MOST_BYTES:
                raise ValueError("too large")
    decoded = httpx.Response(200, content=bytes(content)).json()
    if not isinstance(decoded, dict):
        raise ValueError("no JSON object")
    return decoded


def _scopes(claims: Mapping[str, object]) -> list[str]:
    """`scope` in one text, as the standard has it, or `scp`, as some have."""
    said = claims.get("scope", claims.get("scp"))
    if isinstance(said, str):
        return said.split()
    return [str(one) for one in said] if isinstance(said, list) else []
