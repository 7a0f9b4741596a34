"""How long a database that others have locked is waited for, by those who could as well do without it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import anyio

from sybilion_mcp.hints import Refusal

PATIENCE_SECONDS = 1.0
"""In all, for a database that others have locked, while what is to be written down can be at a later look too."""


@dataclass
class Patience:
    """What is left of it. It is whole again as soon as something is written down."""

    seconds: float = PATIENCE_SECONDS

    @contextmanager
    def used(self) -> Iterator[float]:
        """For one attempt to write something down: the seconds that it may wait."""
        began = anyio.current_time()
        try:
            yield self.seconds
        except Refusal:
            self.seconds = max(self.seconds - (anyio.current_time() - began), 0.0)
            raise
        self.seconds = PATIENCE_SECONDS
