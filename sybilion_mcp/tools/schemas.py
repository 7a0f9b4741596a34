"""Tool schemas that every host takes: flat, without `$ref`, without the noise pydantic adds."""

from typing import Any

Schema = dict[str, Any]

FAILURE_FIELDS = ("code", "hint")
"""What tells a failure from an answer."""


def parameters(schema: Schema) -> Schema:
    """The input schema of a tool, every parameter with its description."""
    return _slim(schema, schema.get("$defs", {}), frozenset({"$defs"}))


def answer_or_failure(answer: Schema) -> Schema:
    """The output schema of a tool: its answer, or a failure. Clients check results against it even on errors.

    One level deep, and only what every answer has: the rest is told by the answers themselves, and every byte here is
    read by every model.
    """
    slim = _slim(answer, answer.get("$defs", {}), frozenset({"$defs", "description"}))
    properties = {name: _flat(slim["properties"][name]) for name in slim["required"]}
    always = [slim["required"][0], "next"]
    alternatives = [{"required": always}, {"required": list(FAILURE_FIELDS)}]
    return {"type": "object", "properties": properties, "anyOf": alternatives}


def _flat(schema: Schema) -> Schema:
    return {"type": schema["type"]}


def _slim(node: Schema, definitions: Schema, dropped: frozenset[str]) -> Schema:
    """References resolved, titles dropped, and `T | None` told as T that may be left out."""
    if "$ref" in node:
        node = definitions[node["$ref"].rpartition("/")[2]]
    options = [option for option in node.get("anyOf", ()) if option != {"type": "null"}]
    if len(options) == 1:
        rest = {name: value for name, value in node.items() if name != "anyOf"}
        return _slim({**options[0], **rest}, definitions, dropped)
    slim: Schema = {}
    for name, value in node.items():
        if name == "properties":
            slim[name] = {one: _slim(schema, definitions, dropped) for one, schema in value.items()}
        elif name in ("items", "additionalProperties") and isinstance(value, dict):
            slim[name] = _slim(value, definitions, dropped)
        elif name not in dropped | {"title"} and (name, value) not in _SAID_ANYWAY:
            slim[name] = value
    return slim


_SAID_ANYWAY = (("default", None), ("additionalProperties", True))
