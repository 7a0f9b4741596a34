"""Who calls over HTTP: the holder of a key, a person whom an authorization server knows, both, or nobody named."""

import hashlib
import json
import re
from dataclasses import dataclass, field

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from starlette.requests import Request
from starlette.types import Scope

_KEY_HEADER = b"x-sybilion-api-key"
KEY_MISSING = "Send your own key of the Sybilion API in the header X-Sybilion-Api-Key."
_PLAUSIBLE = re.compile(r"[!-\[\]-~]{8,128}")


class ImplausibleKey(ValueError):
    """The header that should carry a key carries none that could be one."""


@dataclass(frozen=True, slots=True)
class Caller:
    """`person`: the issuer and the subject of an OAuth token."""

    key: str | None = field(default=None, repr=False)
    person: tuple[str, str] | None = None

    def id(self, base_url: str) -> str:
        """What tells this caller from every other one, and tells nobody the key."""
        return hashlib.sha256(json.dumps([base_url, self.key, self.person]).encode()).hexdigest()


def key_in(scope: Scope) -> str | None:
    """The key that a request brings. Raises `ImplausibleKey` for what cannot be one, and for several."""
    given: list[str] = [value.decode("latin-1") for name, value in scope["headers"] if name == _KEY_HEADER]
    if not given:
        return None
    if len(given) > 1 or not _PLAUSIBLE.fullmatch(given[0]):
        raise ImplausibleKey
    return given[0]


def caller_of(request: Request) -> Caller:
    """Who made a request that has come in; see `key_in`."""
    user = request.scope.get("user")
    if not isinstance(user, AuthenticatedUser):
        return Caller(key_in(request.scope))
    token = user.access_token
    assert token.claims is not None
    assert token.subject is not None
    return Caller(key_in(request.scope), (str(token.claims["iss"]), token.subject))
