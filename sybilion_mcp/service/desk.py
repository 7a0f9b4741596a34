"""The desk: settings, store and backends of whoever is served, made when first needed."""

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from typing import TYPE_CHECKING, cast

import anyio

from sybilion_mcp.backends.base import Backend, SybilionBackend
from sybilion_mcp.clock import utc_now, utc_today
from sybilion_mcp.hint_words import HEADER_WORDS, KEY_HEADER
from sybilion_mcp.hints import Refusal
from sybilion_mcp.secret_text import Secrets
from sybilion_mcp.service.embedded import Embedded
from sybilion_mcp.service.files import AllowedFolders
from sybilion_mcp.service.looks import Looks
from sybilion_mcp.service.patience import Patience
from sybilion_mcp.service.shared import Shared
from sybilion_mcp.service.waiting import Waits
from sybilion_mcp.settings import Settings

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from sybilion_mcp.engine.jobs import Engine
    from sybilion_mcp.store.store import Store

EMBEDDED_ACCOUNT = "sk_ops_embedded"


@dataclass
class Desk:
    """One per process over stdio, one per caller over HTTP. Who makes it closes it."""

    settings: Settings
    today: Callable[[], date] = utc_today
    executor: Executor | None = None
    """Where embedded jobs run; worker processes of our own when none is given."""
    now: Callable[[], datetime] = utc_now
    """When something was asked and how long ago; in UTC."""
    shared: Shared = field(default_factory=Shared)
    """Work that several ask for at once."""
    patience: Patience = field(default_factory=Patience)
    """With a locked database, where what is to be written down can be at a later look too."""
    looks: Looks = field(init=False)
    """At jobs; whoever waits for the same one shares them."""
    sending: set[str] = field(default_factory=set)
    """The ids of submissions that are on their way from here: their answers are not lost."""
    sent: set[str] = field(default_factory=set)
    """The ids of those that were, and are no more, even where the store still says so."""
    embedded: Embedded | None = None
    """The engine that this desk shares with others, who close it; one of its own when none is given."""
    account: str = EMBEDDED_ACCOUNT
    """The token that tells this desk's jobs on the engine from those of others."""
    waits: Waits = field(default_factory=Waits)
    """Of those who wait here; it ends when the server does."""
    over_http: bool = False
    """Whether the token is the caller's own, from a header."""
    _backends: dict[str, Backend] = field(default_factory=dict)
    _store: "Store | None" = None
    _own: Embedded | None = None

    def __post_init__(self) -> None:
        self.looks = Looks(self.shared)

    @property
    def engine(self) -> "Engine | None":
        """The embedded engine, which the local backend is made of; None where it is not installed."""
        return self._embedded().engine

    def local_app(self) -> "Starlette":
        """The Sybilion API over the embedded engine."""
        return self._embedded().app()

    def _embedded(self) -> Embedded:
        if self.embedded is not None:
            return self.embedded
        if self._own is None:
            home, drivers = self.settings.home / "engine", self.settings.drivers_file
            self._own = Embedded(home, drivers, self.today, self.executor)
        return self._own

    @property
    def store(self) -> "Store":
        if self._store is None:
            from sybilion_mcp.store.store import Store

            self._store = Store(self.settings.home)
        return self._store

    @property
    def folders(self) -> AllowedFolders:
        return AllowedFolders(self.settings.allow_dirs, over_http=self.over_http)

    @property
    def eomer_missing(self) -> str:
        """Why nothing can be submitted to Eomer; empty where it can."""
        if self.over_http:
            return "it works where a server runs over stdio"
        return "" if self.settings.eomer_api_key else "the user has to set EOMER_API_KEY and to restart the server"

    @cached_property
    def secrets(self) -> Secrets:
        """What no answer may tell."""
        return Secrets(self.settings.secrets)

    def backend(self, name: str | None = None) -> Backend:
        """The backend of that name, or the default one. Raises `Refusal` when it cannot be used here."""
        name = name or self.settings.default_backend
        if name not in self._backends:
            self._backends[name] = _MAKERS[name](self)
        return self._backends[name]

    def sybilion(self, name: str | None = None) -> SybilionBackend:
        """The same for what Eomer has not. Raises `Refusal` when it cannot be used here."""
        name = name or self.settings.sybilion_backend
        assert name != "eomer"
        return cast("SybilionBackend", self.backend(name))

    async def aclose(self) -> None:
        """Let go of everything that is open. A desk that is used again opens it again."""
        with anyio.CancelScope(shield=True):  # also when the server is being cancelled
            while self._backends:
                await self._backends.popitem()[1].aclose()
            if self._own is not None:
                await self._own.aclose()
            if self._store is not None:
                await self._store.aclose()
                self._store = None


def _sybilion(desk: Desk) -> Backend:
    from sybilion_mcp.backends.sybilion import SybilionClient

    settings = desk.settings
    token = settings.api_token.get_secret_value().strip() if settings.api_token else ""
    source = KEY_HEADER if desk.over_http else settings.token_variable
    if not token and desk.over_http:
        words = HEADER_WORDS["token_missing"]
        raise Refusal("token_missing", words.message, words.hint)
    if not token:
        fault = settings.token_fault
        raise Refusal("token_missing", fault and f"The Sybilion API needs a token. {fault}")
    if not (token.isascii() and token.isprintable()):  # no header can carry it
        message = f"The token of {source} holds characters that no token has."
        raise Refusal("token_rejected", message, HEADER_WORDS["token_rejected"].hint if desk.over_http else "")
    return SybilionClient(settings.api_base_url, token, token_variable=source)


def _local(desk: Desk) -> Backend:
    """The embedded engine: the same client, on the application instead of the network."""
    from sybilion_mcp.backends.sybilion import InProcess, SybilionClient

    if desk.engine is None:
        raise Refusal(
            "engine_missing",
            "The embedded engine is not installed.",
            "Ask the user to run: pip install 'sybilion-mcp[engine]', and to restart the server.",
        )
    transport = InProcess(desk.local_app(), raise_app_exceptions=False)
    return SybilionClient("http://engine.local", desk.account, name="local", transport=transport)


def _eomer(desk: Desk) -> Backend:
    from sybilion_mcp.backends.eomer import EomerClient
    from sybilion_mcp.eomer_words import EOMER_WORDS

    settings = desk.settings
    if desk.over_http:
        hint = 'Use backend="sybilion" with a key of your own, or "local". Eomer works where a server runs over stdio.'
        raise Refusal("token_missing", "Eomer cannot be used here: no key of a caller's reaches it over HTTP.", hint)
    key = settings.eomer_api_key.get_secret_value().strip() if settings.eomer_api_key else ""
    if not key:
        words = EOMER_WORDS["token_missing"]
        raise Refusal("token_missing", words.message, words.hint)
    if not (key.isascii() and key.isprintable()):  # no header can carry it
        words = EOMER_WORDS["token_rejected"]
        raise Refusal("token_rejected", "The key of EOMER_API_KEY holds characters that no key has.", words.hint)
    return EomerClient(settings.eomer_api_base_url, key)


_MAKERS: dict[str, Callable[[Desk], Backend]] = {"local": _local, "sybilion": _sybilion, "eomer": _eomer}
