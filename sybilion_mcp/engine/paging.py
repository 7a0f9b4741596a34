"""The query of a list, and what its answer says of its pages."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import TypeVar, cast, get_args

from starlette.exceptions import HTTPException

from sybilion_mcp.engine.answers import Order, Pagination

MAX_PAGE = 1_000_000_000
MAX_LIMIT = 200
DEFAULT_LIMIT = 50

Sort = TypeVar("Sort", bound=str)


def number(parameters: Mapping[str, str], name: str, default: int, maximum: int) -> int:
    """An integer from 1 to `maximum`; anything else is 400."""
    text = parameters.get(name, str(default))
    if not re.fullmatch(r"[0-9]{1,10}", text) or not 1 <= int(text) <= maximum:
        raise HTTPException(HTTPStatus.BAD_REQUEST, f"invalid query parameter {name}: an integer from 1 to {maximum}")
    return int(text)


def choice(parameters: Mapping[str, str], name: str, choices: tuple[str, ...], default: str) -> str:
    """One of `choices`, or `default` where the query does not say; anything else is 400."""
    value = parameters.get(name, default)
    if name in parameters and value not in choices:
        raise HTTPException(HTTPStatus.BAD_REQUEST, f"invalid query parameter {name}: one of {', '.join(choices)}")
    return value


def page(parameters: Mapping[str, str]) -> int:
    return number(parameters, "page", 1, MAX_PAGE)


def limit(parameters: Mapping[str, str]) -> int:
    return number(parameters, "limit", DEFAULT_LIMIT, MAX_LIMIT)


def descending(parameters: Mapping[str, str]) -> bool:
    return choice(parameters, "order", get_args(Order), "desc") == "desc"


def pagination(page: int, limit: int, total: int, sort: str, *, descending: bool) -> Pagination[Sort]:
    return {
        "page": page,
        "limit": limit,
        "total": total,
        "total_pages": -(-total // limit),
        "sort": cast("Sort", sort),
        "order": "desc" if descending else "asc",
    }
