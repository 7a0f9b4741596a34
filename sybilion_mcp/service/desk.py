"""The desk: settings, store and backends of one process, made when first needed."""

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import date, datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING

import anyio

from sybilion_mcp.backends.base import Backend
from sybilion_mcp.clock import utc_now, utc_today
from sybilion_mcp.hints import Refusal
from sybilion_mcp.service.files import AllowedFolders
from sybilion_mcp.service.looks import Looks
from sybilion_mcp.service.patience import Patience
from sybilion_mcp.service.shared import Shared
from sybilion_mcp.settings import Settings

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from sybilion_mcp.engine.jobs import Engine
    from sybilion_mcp.store.store import Store


@dataclass
class Desk:
    """One per process; the lifespan of the server opens and closes it."""

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
    _backends: dict[str, Backend] = field(default_factory=dict)
    _store: "Store | None" = None
    _app: "Starlette | None" = None

    def __post_init__(self) -> None:
        self.looks = Looks(self.shared)

    @property
    def engine(self) -> "Engine | None":
        """The embedded engine, which the local backend is made of; None where it is not installed."""
        if find_spec("statsforecast") is None:
            return None
        engine: Engine = self.local_app().state.engine
        return engine

    def local_app(self) -> "Starlette":
        """The Sybilion API over the embedded engine."""
        if self._app is None:
            from sybilion_mcp.engine.app import build_app

            home, drivers = self.settings.home / "engine", self.settings.drivers_file
            self._app = build_app(home, today=self.today, executor=self.executor, drivers=drivers)
        return self._app

    @property
    def store(self) -> "Store":
        if self._store is None:
            from sybilion_mcp.store.store import Store

            self._store = Store(self.settings.home)
        return self._store

    @property
    def folders(self) -> AllowedFolders:
        return AllowedFolders(self.settings.allow_dirs)

    def backend(self, name: str | None = None) -> Backend:
        """The backend of that name, or the default one. Raises `Refusal` when it cannot be used here."""
        name = name or self.settings.default_backend
        if name not in self._backends:
            self._backends[name] = _local(self) if name == "local" else _sybilion(self.settings)
        return self._backends[name]

    async def aclose(self) -> None:
        """Let go of everything that is open. A desk that is used again opens it again."""
        with anyio.CancelScope(shield=True):  # also when the server is being cancelled
            while self._backends:
                await self._backends.popitem()[1].aclose()
            if self._app is not None:
                await self._app.state.engine.aclose()
                self._app = None
            if self._store is not None:
                await self._store.aclose()
                self._store = None


def _sybilion(settings: Settings) -> Backend:
    from sybilion_mcp.backends.sybilion import SybilionClient

    token = settings.api_token.get_secret_value().strip() if settings.api_token else ""
    if not token:
        fault = settings.token_fault
        raise Refusal("token_missing", fault and f"The Sybilion API needs a token. {fault}")
    if not (token.isascii() and token.isprintable()):  # no header can carry it
        message = f"The token of {settings.token_variable} holds characters that no token has."
        raise Refusal("token_rejected", message)
    return SybilionClient(settings.api_base_url, token, token_variable=settings.token_variable)


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
    return SybilionClient("http://engine.local", "sk_ops_embedded", name="local", transport=transport)
