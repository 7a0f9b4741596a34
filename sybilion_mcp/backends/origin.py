"""Addresses that a service writes into its answers: followed on the service's own host, and nowhere else."""

import re
from urllib.parse import SplitResult, urlsplit

from sybilion_mcp.backends.base import BackendError

_PORTS = {"http": 80, "https": 443}
_ALLOWED = re.compile(r"[!-~]{1,4000}", re.ASCII)  # what a request line can carry


class ElsewhereError(BackendError):
    """A file lies on another host than the API, where no key belongs; nothing was fetched."""

    def __init__(self, operation: str) -> None:
        super().__init__(operation, f"{operation}: the address leads to another host")


def own_target(base_url: str, url: str) -> str | None:
    """Path and query of `url` when scheme, host and port are those of `base_url`, or not said; otherwise None.

    Only this is taken of an address: the request goes to the known host, whoever else may read the address otherwise.
    """
    if not _ALLOWED.fullmatch(url) or "\\" in url:
        return None
    try:
        given, base = urlsplit(url), urlsplit(base_url)
        if given.scheme or given.netloc or url.startswith("//"):
            if _origin(given) is None or _origin(given) != _origin(base):
                return None
            path = given.path or "/"
        else:
            path = given.path if given.path.startswith("/") else f"{base.path.rstrip('/')}/{given.path}"
    except ValueError:  # no port, or brackets that hold no address
        return None
    if path.startswith("//") or any(step in (".", "..") for step in path.split("/")):
        return None
    return f"{path}?{given.query}" if given.query else path


def _origin(parts: SplitResult) -> tuple[str, str, int] | None:
    """Scheme, host and port; None for anything but plain HTTP without a user."""
    scheme, host = parts.scheme.lower(), (parts.hostname or "").lower()
    if scheme not in _PORTS or not host or "@" in parts.netloc:
        return None
    return scheme, host, parts.port or _PORTS[scheme]
