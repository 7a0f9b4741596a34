"""How many requests an account may make within a minute."""

import time
from collections.abc import Callable
from http import HTTPStatus

from starlette.exceptions import HTTPException

MINUTE = 60.0
_MANY = 10_000  # accounts, after which those that fell silent are forgotten


class Gate:
    """Counts the requests of this process. An account's minute begins with its first request."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._minutes: dict[str, tuple[float, int]] = {}  # when it began, and how many came since

    def admit(self, account: str) -> None:
        """Raises 429 once the account has made as many requests as it may."""
        now = self._clock()
        began, came = self._minutes.get(account, (now, 0))
        if now - began >= MINUTE:
            began, came = now, 0
        if came >= self._per_minute:
            sentence = f"rate limit exceeded: {self._per_minute} requests per minute"
            raise HTTPException(HTTPStatus.TOO_MANY_REQUESTS, sentence)
        if len(self._minutes) >= _MANY:
            self._minutes = {one: seen for one, seen in self._minutes.items() if now - seen[0] < MINUTE}
        self._minutes[account] = began, came + 1
