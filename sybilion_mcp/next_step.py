"""The sensible next call, with which every answer ends."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sybilion_mcp.outside import visible_json

LONGEST = 2500
"""Characters of an argument, as JSON, that an answer repeats."""


@dataclass(frozen=True, slots=True)
class NextStep:
    """A tool and its arguments; `reason` says in a few words why or when. Two steps are equal when the calls are."""

    tool: str
    arguments: Mapping[str, object] = field(default_factory=dict)
    reason: str = field(default="", compare=False)

    @property
    def line(self) -> str:
        """The step as the last line of a text."""
        arguments = ", ".join(f"{name}={shown(value)}" for name, value in self.arguments.items())
        return f"Next: {self.tool}({arguments})" + (f" {self.reason}." if self.reason else "")

    @property
    def data(self) -> dict[str, object]:
        """The step as structured content, without arguments that are too long to repeat."""
        short = {name: value for name, value in self.arguments.items() if len(visible_json(value)) <= LONGEST}
        return {"tool": self.tool, "arguments": short}


def shown(value: object) -> str:
    """A value as it is written in a call, shortened."""
    text = visible_json(value)
    return text if len(text) <= 120 else f"{text[:117]}…"
