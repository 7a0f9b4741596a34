"""Whose questions they are: a user who changes the token stays the same account, and pays for nothing twice."""

import hashlib
from contextlib import suppress
from functools import partial

import anyio

from sybilion_mcp.backends.base import AnswerError, Backend, BackendError, TransportError
from sybilion_mcp.hints import Refusal
from sybilion_mcp.service.desk import Desk
from sybilion_mcp.service.spend import account_of, service_of

NOTING_SECONDS = 3.0
"""For what the answer at hand does not need."""


async def identify(desk: Desk, backend: Backend) -> None:
    """Learn whose the configured token is, before anything is sent with it.

    The service is asked once for each token, for good; not at all where nothing may be sent. A service that does not
    tell, as Eomer, leaves the token an account by itself. Raises `BackendError` when it cannot be asked now.
    """
    if backend.name != "sybilion" or desk.settings.read_only or desk.settings.spend == "deny":
        return
    await desk.shared.once(("account", account_of(desk)), partial(_identify, desk, backend))


async def account_name(desk: Desk) -> str:
    """The one name of the account that the token belongs to, as far as that is known here."""
    token = account_of(desk)
    return next(iter(await desk.store.account_names(token)), token)


async def note_account(desk: Desk, backend: Backend) -> None:
    """Learn it if that is to be had now, so that what a token asked is known to the tokens that come after it."""
    with suppress(BackendError, Refusal), anyio.move_on_after(NOTING_SECONDS):
        await identify(desk, backend)


async def _identify(desk: Desk, backend: Backend) -> None:
    token, service = account_of(desk), service_of(desk)
    if await desk.store.account_names(token):
        return
    try:
        user = (await backend.account()).user
    except AnswerError as error:
        # Not enabled for the account, says the service itself; a proxy's 503 says nothing about that.
        not_told = error.status == 404 or (error.status == 503 and error.body is not None)
        if not not_told or await desk.store.knows_accounts(_hash(service)):
            raise
        user = None
    else:
        if user is None and await desk.store.knows_accounts(_hash(service)):
            # It told of another token whose that was, so that this one may be the same user's.
            raise _tells_nothing(backend)
    if user is not None:
        await desk.store.learn_account(token, _hash(service, user), _hash(service))


def _tells_nothing(backend: Backend) -> TransportError:
    error = TransportError("account", "unreadable_answer", sent=True)
    error.backend = backend.name
    return error


def _hash(*said: str) -> str:
    return hashlib.sha256("\0".join(("user", *said)).encode()).hexdigest()
