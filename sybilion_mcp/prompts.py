"""The prompts: Markdown with TOML front matter between +++ lines; what the user gives is inserted as quoted data."""

import json
import re
import tomllib
from collections.abc import Awaitable, Callable, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from mcp.server.mcpserver.prompts.base import Prompt, PromptArgument

MAX_VALUE_CHARS = 8_000

_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")


def load_prompts() -> list[Prompt]:
    """All prompts, by name. Raises `ValueError` for a file whose placeholders and arguments do not agree."""
    texts = sorted((one for one in _folder().iterdir() if one.name.endswith(".md")), key=lambda one: one.name)
    return [parse_prompt(one.name.removesuffix(".md"), one.read_text(encoding="utf-8")) for one in texts]


def parse_prompt(name: str, text: str) -> Prompt:
    """A prompt from its file. Front matter: `title`, `description`, `[[arguments]]`.

    Each argument has `name`, `description`, `required` and, unless required, `default`: the words that stand in
    for a missing value. Raises `ValueError` when the text has no front matter or arguments and placeholders differ.
    """
    before, _, rest = text.partition("+++\n")
    front, fence, body = rest.partition("\n+++\n")
    if before.strip() or not fence:
        raise ValueError(f"prompt {name}: no front matter between +++ lines")
    head = tomllib.loads(front)
    arguments: list[dict[str, str | bool]] = head.get("arguments", [])
    defaults = {str(one["name"]): str(one.get("default", "not given")) for one in arguments}
    if defaults.keys() != set(_PLACEHOLDER.findall(body)):
        raise ValueError(f"prompt {name}: the placeholders differ from the arguments {', '.join(defaults)}")
    return Prompt(
        name=name,
        title=head["title"],
        description=head["description"],
        arguments=[
            PromptArgument(name=str(one["name"]), description=str(one["description"]), required=bool(one["required"]))
            for one in arguments
        ],
        fn=_renderer(body.strip(), defaults),
    )


def _renderer(body: str, defaults: Mapping[str, str]) -> Callable[..., Awaitable[str]]:
    async def render(**given: str) -> str:
        values = {name: _quoted(given.get(name, "")) or default for name, default in defaults.items()}
        return _PLACEHOLDER.sub(lambda match: values[match[1]], body)  # one pass: braces in a value stay as they are

    return render


def _quoted(value: str) -> str:
    """The value as one quoted line without control characters; empty when nothing is said."""
    shown = " ".join("".join(char if char.isprintable() else " " for char in value[:MAX_VALUE_CHARS]).split())
    return json.dumps(shown, ensure_ascii=False) if shown else ""


def _folder() -> Traversable:
    """Inside the installed package, or beside it in an editable checkout."""
    packaged = files("sybilion_mcp") / "_prompts"
    return packaged if packaged.is_dir() else Path(__file__).parent.parent / "prompts"
