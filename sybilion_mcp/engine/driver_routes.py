"""The routes about drivers, over the user's driver folder: regions, categories, and the ranking for a series."""

import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sybilion_mcp.contract.driver_request import DriverRequest, first_driver_problem
from sybilion_mcp.engine.library import Contents, DriverLibrary
from sybilion_mcp.engine.wire import Answer, account_of, decode, invalid, read_body


async def list_regions(request: Request) -> Response:
    account_of(request)
    return Answer({"items": [_region(*one) for one in (await _library(request).regions()).items()]})


async def list_categories(request: Request) -> Response:
    account_of(request)
    categories = await _library(request).categories()
    return Answer({"items": [{"id": number, "name": name} for number, name in categories.items()]})


async def rank_drivers(request: Request) -> Response:
    account_of(request)
    body = decode(await read_body(request))
    problem = first_driver_problem(body)
    if problem is not None:
        return invalid(problem, request)
    from sybilion_mcp.engine.ranking import rank

    contents = await _library(request).contents()
    ranked = await anyio.to_thread.run_sync(rank, DriverRequest.model_validate(body), contents)
    drivers = [{"hash_id": one.id, "driver_name": one.name, "score": one.score} for one in ranked]
    return Answer({"status": "success", "message": _said(contents, len(drivers)), "data": {"drivers": drivers}})


DRIVER_ROUTES = (
    Route("/api/v1/regions", list_regions),
    Route("/api/v1/categories", list_categories),
    Route("/api/v1/drivers", rank_drivers, methods=["POST"]),
)


def _library(request: Request) -> DriverLibrary:
    library: DriverLibrary = request.app.state.library
    return library


def _region(number: int, name: str) -> dict[str, object]:
    """The folder knows where no region lies."""
    return {"id": number, "name": name, "latitude": None, "longitude": None}


def _said(contents: Contents, found: int) -> str:
    if not contents.drivers:
        return "the driver folder is empty: fill it with sybilion-mcp drivers add FILE"
    return f"drivers found: {found}, among {len(contents.drivers)} series in the driver folder"
