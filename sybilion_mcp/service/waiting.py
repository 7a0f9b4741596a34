"""Waiting that can be ended for everybody at once, so that a server that is told to end answers before it does."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import anyio


@dataclass
class Waits:
    """Whoever waits `until` a time waits no longer than until `end` is called."""

    _waiting: set[anyio.CancelScope] = field(default_factory=set)
    _over: bool = False

    @contextmanager
    def until(self, deadline: float) -> Iterator[None]:
        """Leave what is inside at `deadline`, in seconds of the loop, or when all waiting is ended."""
        with anyio.CancelScope(deadline=deadline) as scope:
            if self._over:
                scope.cancel()
            self._waiting.add(scope)
            try:
                yield
            finally:
                self._waiting.discard(scope)

    def end(self) -> None:
        self._over = True
        for scope in self._waiting:
            scope.cancel()
