"""The hosted service: reached, its clock, and whether it takes the token. One free call."""

import socket
import ssl
from collections.abc import Iterator
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import SplitResult, urlsplit

import anyio
import httpx
from pydantic import ValidationError

from sybilion_mcp.clock import utc_now
from sybilion_mcp.contract.account import Account
from sybilion_mcp.doctor.finding import Finding, ok, problem, warning
from sybilion_mcp.settings import Settings

SECONDS = 5.0
MOST_BYTES = 1_000_000
CLOCK = timedelta(minutes=5)
NOT_FOUND = 404
_ALONE = "Set SYBILION_API_BASE_URL to the address alone, as https://api.sybilion.dev, or leave it out."
_LATER = "Try again later; if it stays, check SYBILION_API_BASE_URL."
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


async def check_service(settings: Settings) -> list[Finding]:
    """Ask for the account where there is a token, else only whether the service is there."""
    if settings.default_backend != "sybilion" and not settings.api_token:
        return [ok("service", "not asked: without a token nothing is sent to it")]
    address = _address(settings.api_base_url)
    if address is None:
        return [problem("service", "SYBILION_API_BASE_URL is no address", "Give it as https://api.sybilion.dev.")]
    shown = f"{address.scheme}://{address.netloc}{address.path.rstrip('/')}"
    token = settings.api_token.get_secret_value().strip() if settings.api_token else ""
    findings = []
    if address.scheme == "http" and address.hostname not in _LOOPBACK:
        findings.append(warning("service", f"{shown} is not encrypted: the token can be read on the way", "Use https."))
    try:
        with anyio.fail_after(SECONDS):
            response, body = await _ask(settings.api_base_url, token)
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, UnicodeError) as error:
        action = "See to the network or SYBILION_API_BASE_URL; until then --backend local works without it."
        return [*findings, problem("service", f"{shown} {_why(error)}", action)]
    if response.status_code == NOT_FOUND:
        told = f"{shown} answers, but there is no Sybilion API there (HTTP 404)"
        return [*findings, problem("service", told, _ALONE)]
    findings.append(ok("service", f"{shown} answers"))
    findings += _clock(response, utc_now())
    return [*findings, *_judged(response, body, asked_with_token=bool(token))]


def _address(base_url: str) -> SplitResult | None:
    try:
        address = urlsplit(base_url)
        return address if address.scheme in ("http", "https") and address.hostname else None
    except ValueError:
        return None


async def _ask(base_url: str, token: str) -> tuple[httpx.Response, bytes]:
    """The answer and the beginning of its body. A token goes to no other address than the configured one."""
    path, headers = ("/api/v1/me", {"Authorization": f"Bearer {token}"}) if token else ("/health", {})
    timeout = httpx.Timeout(SECONDS, connect=SECONDS - 1)
    async with (
        httpx.AsyncClient(base_url=base_url, timeout=timeout, follow_redirects=False) as client,
        client.stream("GET", path, headers={"Accept-Encoding": "identity"} | headers) as response,
    ):
        body = b""
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > MOST_BYTES:
                break
        return response, body


def _why(error: BaseException) -> str:
    """In our words: what a library says may hold the whole address."""
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in chain:
        chain.append(cause)
        cause = cause.__cause__ or cause.__context__
    if any(isinstance(one, ssl.SSLCertVerificationError) for one in chain):
        return "has a certificate that is not trusted here (SSL_CERT_FILE names others)"
    if any(isinstance(one, socket.gaierror) for one in chain):
        return "has a name that cannot be looked up"
    if any(isinstance(one, TimeoutError | httpx.TimeoutException) for one in chain):
        return f"did not answer within {SECONDS:.0f} seconds"
    return "cannot be reached"


def _clock(response: httpx.Response, ours: datetime) -> Iterator[Finding]:
    """A submit whose answer was lost is looked for by the time it was sent."""
    try:
        theirs = parsedate_to_datetime(response.headers["date"])
        off = ours - theirs
    except (KeyError, ValueError, TypeError):
        return
    minutes = abs(off) / timedelta(minutes=1)
    if abs(off) > CLOCK:
        way = "ahead of" if off > timedelta(0) else "behind"
        told = f"{minutes:.0f} minutes" if minutes < 120 else f"{minutes / 60:.0f} hours"
        action = "Set the clock of this machine: lost submits are looked for by their time."
        yield warning("clock", f"this machine is {told} {way} the service", action)
    else:
        yield ok("clock", f"within {max(round(minutes * 60), 1)} s of the service")


def _judged(response: httpx.Response, body: bytes, *, asked_with_token: bool) -> Iterator[Finding]:
    status = response.status_code
    if not asked_with_token:
        if not response.is_success:
            yield warning("service", f"it answers with HTTP {status}", _LATER)
    elif status in (401, 403):
        yield problem("account", f"the token is refused (HTTP {status})", "Make a new API key and set it.")
    elif not response.is_success:
        yield warning("account", f"nobody can tell: HTTP {status}", _LATER)
    else:
        yield _account(body)


def _account(body: bytes) -> Finding:
    try:
        account = Account.model_validate_json(body)
    except ValidationError:
        return problem("account", "what answers is not the Sybilion API", _ALONE)
    available = account.available_eur_cents
    if available is None:
        return ok("account", "the token is taken")
    if available <= 0:
        action = "Add credit on the dashboard, or use --backend local."
        return warning("account", f"the token is taken, but {available / 100:.2f} EUR are left", action)
    return ok("account", f"the token is taken; {available / 100:.2f} EUR to spend")
