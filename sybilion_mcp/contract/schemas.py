"""The JSON Schemas (draft 2020-12) of the request and the artifacts, as shipped in the package."""

import json
from functools import cache
from importlib import resources
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator

_FOLDER = resources.files("sybilion_mcp.contract") / "schemas"
_SHOWN = 160  # characters
_LOOKED_AT = 10_000


def schema_names() -> tuple[str, ...]:
    """The names under which schemas are published, without ".json"."""
    files = (entry.name for entry in _FOLDER.iterdir())
    return tuple(sorted(name.removesuffix(".json") for name in files if name.endswith(".json")))


def schema(name: str) -> dict[str, object]:
    """The schema called `name`; raises KeyError, naming the known ones, for any other."""
    if name not in schema_names():
        raise KeyError(f"no schema {name!r}; there are {', '.join(schema_names())}")
    loaded = json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    assert isinstance(loaded, dict)
    return loaded


def violations(name: str, payload: object, limit: int = 5) -> list[str]:
    """At most `limit` places where decoded JSON breaks the schema, as "path: what is wrong"; empty when valid."""
    errors = islice(_validator(name).iter_errors(payload), limit)
    return [f"{_short(error.json_path)}: {_short(error.message)}" for error in errors]


def _short(text: str) -> str:
    """One line of bounded length: paths and messages repeat what was found, which comes from outside."""
    line = "".join(character if character.isprintable() else "?" for character in text[:_LOOKED_AT])
    return line if len(line) <= _SHOWN else f"{line[: _SHOWN // 2]}…{line[-_SHOWN // 2 :]}"


@cache
def _validator(name: str) -> "Draft202012Validator":
    from jsonschema import Draft202012Validator  # slow to import, and only those who validate need it

    return Draft202012Validator(schema(name))
