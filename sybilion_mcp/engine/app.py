"""The embedded engine behind the Sybilion API's routes, bodies and errors."""

from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from datetime import date
from functools import partial
from http import HTTPStatus
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sybilion_mcp.clock import utc_today
from sybilion_mcp.contract.request import Filters, ForecastRequest
from sybilion_mcp.engine.account_routes import ACCOUNT_ROUTES
from sybilion_mcp.engine.answers import Component, Health
from sybilion_mcp.engine.candidate import Candidate, wants_drivers
from sybilion_mcp.engine.driver_routes import DRIVER_ROUTES
from sybilion_mcp.engine.gate import Gate
from sybilion_mcp.engine.job_routes import JOB_ROUTES
from sybilion_mcp.engine.jobs import Engine
from sybilion_mcp.engine.library import DriverLibrary
from sybilion_mcp.engine.terms import Terms
from sybilion_mcp.engine.wire import Answer, TraceId, crashed, refused
from sybilion_mcp.hints import Refusal

Today = Callable[[], date]


def build_app(
    home: Path,
    *,
    workers: int = 2,
    today: Today = utc_today,
    executor: Executor | None = None,
    drivers: Path | None = None,
    terms: Terms | None = None,
) -> Starlette:
    """The Sybilion API over the embedded engine, with its jobs and accounts in `home`/engine.db.

    Works under a server (the lifespan ends the workers) and in process over `httpx.ASGITransport`, where the
    caller awaits `app.state.engine.aclose()`. `executor` replaces the worker processes. `drivers` is the file
    of the driver folder, `home`/drivers.db unless given. Without `terms` everything is free.
    """
    library = DriverLibrary(drivers or home / "drivers.db")
    candidates = partial(candidates_for, library)
    engine = Engine(home, workers=workers, executor=executor, candidates=candidates, terms=terms)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await engine.look()
        try:
            yield
        finally:
            await engine.aclose()

    app = Starlette(
        routes=[Route("/health", health), *ACCOUNT_ROUTES, *JOB_ROUTES, *DRIVER_ROUTES],
        middleware=[Middleware(TraceId)],
        exception_handlers={HTTPException: refused, Exception: crashed},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # an unknown path is a 404 like any other
    app.state.engine = engine
    app.state.library = library
    app.state.today = today
    app.state.terms = terms
    app.state.gate = None if terms is None else Gate(terms.tier.requests_per_minute)
    return app


async def candidates_for(library: DriverLibrary, request: str) -> tuple[Candidate, ...]:
    """The driver folder, unless the request asks for no drivers: then a broken folder does not matter either."""
    filters = ForecastRequest.model_validate_json(request).filters or Filters()
    return await library.candidates() if wants_drivers(filters.limit) else ()


async def health(request: Request) -> Response:
    """Degraded when the jobs' file cannot be used."""
    engine: Engine = request.app.state.engine
    jobs: Component = {"status": "ok"}
    try:
        await engine.look()
    except (OSError, SQLAlchemyError, Refusal):
        jobs = {"status": "error"}
    well = jobs["status"] == "ok"
    components: dict[str, Component] = {"engine": {"status": "ok"}, "jobs": jobs}
    answer: Health = {"status": "ok" if well else "degraded", "components": components}
    return Answer(answer, HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE)
