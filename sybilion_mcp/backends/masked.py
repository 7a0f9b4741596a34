"""Answers without the token they answer to: a service that repeats it finds nobody who would keep or tell it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import cast

import httpx

from sybilion_mcp.secret_text import Mask, Secrets


class _MaskedStream(httpx.AsyncByteStream):
    def __init__(self, beneath: httpx.AsyncByteStream, secrets: Secrets) -> None:
        self._beneath, self._secrets = beneath, secrets

    async def __aiter__(self) -> AsyncIterator[bytes]:
        mask = Mask(self._secrets)
        async for piece in self._beneath:
            yield mask.add(piece)
        yield mask.rest()

    async def aclose(self) -> None:
        await self._beneath.aclose()


def masking(secrets: Secrets) -> Callable[[httpx.Response], Awaitable[None]]:
    """A hook for responses: the given secrets are covered in headers and body, which stay as long as they are."""
    mask = Mask(secrets)

    async def cover(response: httpx.Response) -> None:
        covered = [(mask.whole(name), mask.whole(value)) for name, value in response.headers.raw]
        response.headers = httpx.Headers(covered)
        response.stream = _MaskedStream(cast("httpx.AsyncByteStream", response.stream), secrets)

    return cover
