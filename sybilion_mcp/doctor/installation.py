"""Python, the packages, and the names in the environment."""

import platform
import re
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, requires, version

from sybilion_mcp import __version__
from sybilion_mcp.doctor.finding import Finding, ok, problem, warning
from sybilion_mcp.settings import known_names, unread_names

_REQUIREMENT = re.compile(r"^([\w.-]+)(?:\[[^\]]*\])?\s*([<>=!~,.\d\s]*)")
_BOUND = re.compile(r"(>=|<=|<|>|==|!=)\s*([\d.]+)")


def check_python() -> Finding:
    """The program does not start on an older one, so this only tells which it is."""
    return ok("Python", f"{platform.python_version()} at {sys.executable}")


def check_packages() -> Finding:
    """The packages of the core against the versions that this one was made for."""
    try:
        wanted = [line for line in requires("sybilion-mcp") or () if "extra ==" not in line]
    except PackageNotFoundError:
        return warning("packages", f"sybilion-mcp {__version__}, not installed as a package", "Run: pip install .")
    wrong = list(_unfit(wanted))
    if wrong:
        return problem("packages", "; ".join(wrong), "Run: pip install --upgrade sybilion-mcp")
    return ok("packages", f"sybilion-mcp {__version__}, mcp {version('mcp')}, all within their bounds")


def _unfit(wanted: list[str]) -> Iterator[str]:
    for line in wanted:
        found = _REQUIREMENT.match(line)
        if found is None:
            continue
        name, bounds = found[1], found[2].strip()
        try:
            here = version(name)
        except PackageNotFoundError:
            yield f"{name} is missing"
            continue
        if not all(_holds(here, operator, bound) for operator, bound in _BOUND.findall(bounds)):
            yield f"{name} {here} is outside {bounds}"


def _holds(here: str, operator: str, bound: str) -> bool:
    mine, other = _release(here), _release(bound)
    longest = max(len(mine), len(other))
    mine, other = (one + (0,) * (longest - len(one)) for one in (mine, other))
    return {
        ">=": mine >= other,
        "<=": mine <= other,
        "<": mine < other,
        ">": mine > other,
        "==": mine == other,
        "!=": mine != other,
    }[operator]


def _release(text: str) -> tuple[int, ...]:
    """The numbers a version begins with."""
    found = re.match(r"\d+(?:\.\d+)*", text)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def check_names(environment: Mapping[str, str]) -> Finding:
    """Names that look like ours and that nothing reads: most likely misspelt."""
    unread = unread_names(environment)
    if unread:
        return warning("settings", f"nothing reads {', '.join(unread)}", "Correct the name, or unset it.")
    given = sorted({name.upper() for name in environment} & known_names())
    return ok("settings", f"set in the environment: {', '.join(given) or 'nothing'}")
