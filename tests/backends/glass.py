"""Something to pour downloads into."""

from dataclasses import dataclass, field


@dataclass
class Glass:
    """Notes what is poured into it."""

    content: bytearray = field(default_factory=bytearray)
    restarts: int = 0

    async def restart(self) -> None:
        self.restarts += 1
        self.content.clear()

    async def add(self, chunk: bytes) -> None:
        self.content += chunk
