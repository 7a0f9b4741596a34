"""The token, and what may be spent with it. A token is never shown; its last four characters are, when it is long."""

import os
import stat
from collections.abc import Iterator, Mapping

from sybilion_mcp.doctor.finding import Finding, ok, problem, warning
from sybilion_mcp.settings import Settings

TELLING = 20
"""Characters of a token from which on its last four give nothing away."""

_AGAIN = "Copy the API key from the Sybilion dashboard again."


def check_token(settings: Settings, environment: Mapping[str, str]) -> Iterator[Finding]:
    """Whether there is one, whether it can be one, and who may read the file it is in."""
    file, token = settings.api_token_file, _token(settings)
    inline = bool(environment.get("SYBILION_API_TOKEN"))
    if file is not None and inline:
        action = "Unset one of the two."
        yield warning("token", "SYBILION_API_TOKEN is set, so SYBILION_API_TOKEN_FILE is not read", action)
    elif file is not None and not token:
        yield problem("token", f"no token can be read from {file}", "Put the token, and nothing else, into that file.")
        return
    elif not token:
        yield _none(settings)
        return
    if not (token.isascii() and token.isprintable()) or " " in token:
        yield problem("token", "it holds characters that no token has", _AGAIN)
    elif not token.startswith("sk_ops_"):
        yield warning("token", f"{_shown(token)}, but API keys begin with sk_ops_", _AGAIN)
    else:
        yield ok("token", f"{_shown(token)}, from {'SYBILION_API_TOKEN' if inline else file}")
    if file is not None and not inline:
        yield from _readers(settings)


def check_eomer_key(settings: Settings) -> Iterator[Finding]:
    """Whether there is one and can be one; nothing where Eomer is not used."""
    key = settings.eomer_api_key.get_secret_value().strip() if settings.eomer_api_key else ""
    if not key:
        if settings.default_backend == "eomer":
            yield problem("eomer key", "none, and Eomer is the backend", "Set EOMER_API_KEY, or use another --backend.")
    elif not (key.isascii() and key.isprintable()) or " " in key:
        yield problem("eomer key", "it holds characters that no key has", "Copy the key from Eomer again.")
    else:
        yield ok("eomer key", f"{_shown(key)}, from EOMER_API_KEY; Eomer itself is not asked")


def _token(settings: Settings) -> str:
    return settings.api_token.get_secret_value().strip() if settings.api_token else ""


def _shown(token: str) -> str:
    return f"one that ends with {token[-4:]}" if len(token) >= TELLING else "a short one"


def _none(settings: Settings) -> Finding:
    if settings.default_backend == "sybilion":
        action = "Set SYBILION_API_TOKEN or SYBILION_API_TOKEN_FILE, or use --backend local."
        return problem("token", "none, and the hosted service is the backend", action)
    return ok("token", "none: the embedded engine answers, for free")


def _readers(settings: Settings) -> Iterator[Finding]:
    assert settings.api_token_file is not None
    file = settings.api_token_file.expanduser()
    if os.name == "posix" and stat.S_IMODE(file.stat().st_mode) & 0o077:
        yield warning("token file", f"others may read {file}", f"Run: chmod 600 '{file}'")


def check_spend(settings: Settings) -> Finding:
    """What may be spent without a person."""
    cap = settings.spend_cap_eur_cents
    limit = "no cap a day" if cap is None else f"at most {cap / 100:.2f} EUR a day"
    if settings.read_only:
        return ok("spending", "read-only: nothing is submitted")
    if settings.default_backend == "local" and not (settings.api_token or settings.eomer_api_key):
        return ok("spending", f"nothing costs without a token (policy {settings.spend}, {limit})")
    if settings.spend == "allow" and cap is None:
        action = "Set SYBILION_MCP_SPEND_CAP_EUR_CENTS, or SYBILION_MCP_SPEND=ask."
        return warning("spending", "paid forecasts start without a question, and without a cap", action)
    return ok("spending", f"policy {settings.spend}, {limit}")
