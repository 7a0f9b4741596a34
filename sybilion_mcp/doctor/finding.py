"""One thing that was looked at, and what was found."""

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """`check` names what was looked at, `action` what to do about it; a problem keeps something from working."""

    check: str
    level: Level
    message: str
    action: str = ""


def ok(check: str, message: str) -> Finding:
    return Finding(check, "ok", message)


def warning(check: str, message: str, action: str) -> Finding:
    return Finding(check, "warning", message, action)


def problem(check: str, message: str, action: str) -> Finding:
    return Finding(check, "problem", message, action)
