"""The Sybilion API over the embedded engine, in this process: made when first needed, for one desk or for many."""

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from sybilion_mcp.clock import utc_today

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from sybilion_mcp.engine.jobs import Engine


@dataclass
class Embedded:
    """Its jobs lie in `home`, told apart by account; `drivers` is the file of the driver folder."""

    home: Path
    drivers: Path
    today: Callable[[], date] = utc_today
    executor: Executor | None = None
    """Where jobs run; worker processes of its own when none is given."""
    _app: "Starlette | None" = None

    def app(self) -> "Starlette":
        if self._app is None:
            from sybilion_mcp.engine.app import build_app

            self._app = build_app(self.home, today=self.today, executor=self.executor, drivers=self.drivers)
        return self._app

    @property
    def engine(self) -> "Engine | None":
        """None where the engine is not installed."""
        if find_spec("statsforecast") is None:
            return None
        engine: Engine = self.app().state.engine
        return engine

    async def aclose(self) -> None:
        """Jobs that are not finished go back to the queue. What is used again opens again."""
        if self._app is not None:
            await self._app.state.engine.aclose()
            self._app = None
