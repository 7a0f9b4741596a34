"""The sensible next call, with which every answer ends."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class NextStep:
    """A tool and its arguments; `reason` says in a few words why, where that is not plain."""

    tool: str
    arguments: Mapping[str, object] = field(default_factory=dict)
    reason: str = ""

    @property
    def line(self) -> str:
        """The step as the last line of a text."""
        arguments = ", ".join(f"{name}={shown(value)}" for name, value in self.arguments.items())
        return f"Next: {self.tool}({arguments})" + (f" {self.reason}." if self.reason else "")

    @property
    def data(self) -> dict[str, object]:
        """The step as structured content."""
        return {"tool": self.tool, "arguments": dict(self.arguments)}


def shown(value: object) -> str:
    """A value as it is written in a call, shortened."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 120 else f"{text[:117]}…"
