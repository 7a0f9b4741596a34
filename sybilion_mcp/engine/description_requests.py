"""The bodies that the API takes, as JSON Schema: what a schema can say of their rules."""

import json
from typing import Any

from sybilion_mcp.contract import alert_request, driver_request
from sybilion_mcp.contract.option_rules import DEFAULT_RECENCY_FACTOR
from sybilion_mcp.contract.request import MAX_BODY_BYTES
from sybilion_mcp.contract.schemas import schema
from sybilion_mcp.engine.terms import ALERT_EUR_CENTS, DRIVER_EUR_CENTS

Node = dict[str, Any]

_DATE = "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$"


def request_schemas() -> Node:
    """The schema of a forecast as it is published, and those of the other two requests out of its parts."""
    published = json.loads(json.dumps(schema("forecast_request")).replace("#/$defs/", "#/components/schemas/"))
    forecast = {key: value for key, value in published.items() if key not in ("$schema", "$id", "$defs")}
    parts = forecast["properties"]
    return {
        **published["$defs"],
        "ForecastRequest": _nullable(forecast),
        "DriverRequest": _nullable(_driver_request(parts)),
        "AlertRequest": _nullable(_alert_request(parts)),
    }


def _nullable(part: Node) -> Node:
    """What may be left out may be null as well, in an object and in those inside it."""
    if part.get("type") != "object" or "properties" not in part:
        return part
    required = part.get("required", ())
    properties = {
        name: inner if name in required else {"anyOf": [inner, {"type": "null"}]}
        for name, inner in ((name, _nullable(inner)) for name, inner in part["properties"].items())
    }
    return {**part, "properties": properties}


def _driver_request(parts: Node) -> Node:
    series = {"type": "object", "minProperties": 1, "propertyNames": {"pattern": _DATE}}
    return {
        "type": "object",
        "description": f"{_billed('driver', DRIVER_EUR_CENTS)}; at most {MAX_BODY_BYTES:,} bytes",
        "required": ["version", "timeseries_metadata"],
        "properties": {
            "version": {"const": driver_request.VERSION},
            "recency_factor": {**parts["recency_factor"], "default": DEFAULT_RECENCY_FACTOR},
            "timeseries_metadata": parts["timeseries_metadata"],
            "filters": _filters(parts, driver_request.DEFAULT_DRIVER_LIMIT),
            "timeseries": {
                **series,
                "additionalProperties": {"type": "number"},
                "description": "of any frequency; each a date of the calendar",
            },
        },
    }


def _alert_request(parts: Node) -> Node:
    day = {"type": "string", "format": "date", "pattern": _DATE}
    return {
        "type": "object",
        "description": f"{_billed('alert', ALERT_EUR_CENTS)}; at most {MAX_BODY_BYTES:,} bytes",
        "required": ["metadata", "context_enriched"],
        "properties": {
            "metadata": parts["timeseries_metadata"],
            "context_enriched": {"type": "boolean", "description": "taken, and without effect here"},
            "date_from": {**day, "description": "the latest month lies no earlier; a year before date_to by default"},
            "date_to": {**day, "description": "the latest month lies no later; today by default"},
            "filters": _filters(parts, alert_request.DEFAULT_ALERT_LIMIT),
        },
    }


def _filters(parts: Node, limit: int) -> Node:
    properties = parts["filters"]["properties"]
    most = {**properties["limit"], "default": limit, "description": "most to return; 0 means none"}
    kept = {name: properties[name] for name in ("regions", "categories")}
    return {"type": "object", "properties": {**kept, "limit": most}}


def _billed(what: str, price: int) -> str:
    return f"Billed at {price} EUR cents for each {what} returned"
