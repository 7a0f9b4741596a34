"""An authorization server of the tests' own: its keys, its tokens, and where it says what."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

ISSUER = "https://issuer.example/tenant"
AUDIENCE = "http://127.0.0.1:8000/mcp"


def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


class Trickle(httpx.AsyncByteStream):
    """Something at first, and then no end."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"{"
        while True:
            with anyio.move_on_after(0.05):
                await anyio.Event().wait()
            yield b" "


@dataclass
class Authority:
    """`asked`: the paths of what was fetched from it."""

    keys: dict[str, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey] = field(default_factory=lambda: {"one": rsa_key()})
    says: str = ISSUER
    keys_at: str = "https://issuer.example/keys"
    trickles: bool = False
    broken: bool = False
    asked: list[str] = field(default_factory=list)

    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self._answer)

    def token(self, key: str = "one", algorithm: str = "RS256", **claims: Any) -> str:
        """A good token, but for the claims that are said; None leaves one out."""
        now = datetime.now(UTC)
        good = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": "anna",
            "exp": now + timedelta(minutes=5),
            "iat": now,
            "scope": "forecast other",
        }
        said = {name: value for name, value in (good | claims).items() if value is not None}
        return jwt.encode(said, self.keys[key], algorithm=algorithm, headers={"kid": key})

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path)
        if self.broken:
            return httpx.Response(503)
        match request.url.path:
            case "/.well-known/oauth-authorization-server/tenant":
                return httpx.Response(404)
            case "/tenant/.well-known/openid-configuration":
                return httpx.Response(200, json={"issuer": self.says, "jwks_uri": self.keys_at})
            case "/keys" if self.trickles:
                return httpx.Response(200, stream=Trickle())
            case "/keys":
                return httpx.Response(200, json={"keys": [self._public(name) for name in self.keys]})
            case _:
                return httpx.Response(404)

    def _public(self, name: str) -> dict[str, Any]:
        key = self.keys[name].public_key()
        kind = RSAAlgorithm if isinstance(key, rsa.RSAPublicKey) else ECAlgorithm
        return {**json.loads(kind.to_jwk(key)), "kid": name, "use": "sig"}
