"""The routes about drivers, over the user's driver folder: regions, categories, the ranking for a series, alerts."""

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sybilion_mcp.contract.alert_request import DEFAULT_ALERT_LIMIT, AlertRequest, first_alert_problem
from sybilion_mcp.contract.driver_request import DEFAULT_DRIVER_LIMIT, DriverRequest, first_driver_problem
from sybilion_mcp.contract.request import Filters
from sybilion_mcp.engine.answers import Alert, Alerts, Categories, RankedDriver, Ranking, Region, Regions
from sybilion_mcp.engine.billing import billed
from sybilion_mcp.engine.library import Contents, DriverLibrary
from sybilion_mcp.engine.terms import ALERT_EUR_CENTS, DRIVER_EUR_CENTS
from sybilion_mcp.engine.wire import Answer, account_of, decode, invalid, read_body


async def list_regions(request: Request) -> Response:
    account_of(request)
    answer: Regions = {"items": [_region(*one) for one in (await _library(request).regions()).items()]}
    return Answer(answer)


async def list_categories(request: Request) -> Response:
    account_of(request)
    categories = await _library(request).categories()
    answer: Categories = {"items": [{"id": number, "name": name} for number, name in categories.items()]}
    return Answer(answer)


async def rank_drivers(request: Request) -> Response:
    account = account_of(request)
    body = decode(await read_body(request))
    problem = first_driver_problem(body)
    if problem is not None:
        return invalid(problem, request)
    asked = DriverRequest.model_validate(body)

    async def answer() -> tuple[Ranking, int]:
        from sybilion_mcp.engine.ranking import rank

        contents = await _library(request).contents()
        ranked = await anyio.to_thread.run_sync(rank, asked, contents)
        drivers: list[RankedDriver] = [
            {"hash_id": one.id, "driver_name": one.name, "score": one.score} for one in ranked
        ]
        return {"status": 200, "message": _said(contents, len(drivers)), "data": {"drivers": drivers}}, len(drivers)

    most = _limit(asked.filters, DEFAULT_DRIVER_LIMIT)
    return await billed(request, account, "drivers", body, most=most, price=DRIVER_EUR_CENTS, answer=answer)


async def find_alerts(request: Request) -> Response:
    account = account_of(request)
    body = decode(await read_body(request))
    problem = first_alert_problem(body)
    if problem is not None:
        return invalid(problem, request)
    asked = AlertRequest.model_validate(body)

    async def answer() -> tuple[Alerts, int]:
        from sybilion_mcp.engine.alerts import find_alerts

        contents = await _library(request).contents()
        moves = await anyio.to_thread.run_sync(find_alerts, asked, contents, request.app.state.today())
        alerts: list[Alert] = [
            {"name": one.name, "pct_change": one.pct_change, "trending": one.trending, "news": []} for one in moves
        ]
        return {"alerts": alerts}, len(alerts)

    most = _limit(asked.filters, DEFAULT_ALERT_LIMIT)
    return await billed(request, account, "alerts", body, most=most, price=ALERT_EUR_CENTS, answer=answer)


DRIVER_ROUTES = (
    Route("/api/v1/regions", list_regions),
    Route("/api/v1/categories", list_categories),
    Route("/api/v1/drivers", rank_drivers, methods=["POST"]),
    Route("/api/v1/alerts", find_alerts, methods=["POST"]),
)


def _library(request: Request) -> DriverLibrary:
    library: DriverLibrary = request.app.state.library
    return library


def _limit(filters: Filters | None, default: int) -> int:
    return default if filters is None or filters.limit is None else filters.limit


def _region(number: int, name: str) -> Region:
    """The folder knows where no region lies, which the API writes as zero."""
    return {"id": number, "name": name, "latitude": 0.0, "longitude": 0.0}


def _said(contents: Contents, found: int) -> str:
    if not contents.drivers:
        return "the driver folder is empty: fill it with sybilion-mcp drivers add FILE"
    return f"drivers found: {found}, among {len(contents.drivers)} series in the driver folder"
