"""An artifact in pieces, so that a large one is never whole in memory."""

import hashlib
import zlib
from collections.abc import AsyncIterator
from tempfile import SpooledTemporaryFile
from types import TracebackType
from typing import Self

import anyio.to_thread
from anyio import CapacityLimiter

from sybilion_mcp.store.failures import storage_failed
from sybilion_mcp.threads import Threads

PIECE_BYTES = 2**20
_SPOOLED_BYTES = 4 * 2**20  # compressed; what is larger goes to a file
PACKING = Threads(4)
"""Where pieces are compressed and unpacked."""


class DamagedArtifact(Exception):
    """What is kept of an artifact is not what was sent."""


class Draft:
    """An artifact on its way into the store: compressed piece by piece, a large one in a file without a name.

    Used as a context: what it holds is gone at the end. Sealed, it has a `size` (bytes as sent) and a `sha256`.
    Raises `Refusal` when there is no room for it.
    """

    def __init__(self) -> None:
        self._file = SpooledTemporaryFile(max_size=_SPOOLED_BYTES)  # noqa: SIM115 — closed with the draft
        self._reading = CapacityLimiter(1)  # its own: whoever has the database locked waits for no thread
        self._begin()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            self._file.close()
        except OSError:  # what was not written yet has no room, and is not wanted any more
            return

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    @property
    def count(self) -> int:
        """Of its pieces."""
        return len(self._ends)

    async def restart(self) -> None:
        """Forget what came so far."""
        await PACKING.run(self._begin)

    async def add(self, chunk: bytes) -> None:
        self._loose += chunk
        while len(self._loose) >= PIECE_BYTES:
            piece = bytes(self._loose[:PIECE_BYTES])
            del self._loose[:PIECE_BYTES]
            await PACKING.run(self._pack, piece)

    async def seal(self) -> None:
        """Nothing more comes."""
        if self._loose:
            await PACKING.run(self._pack, bytes(self._loose))
            self._loose.clear()

    async def packed(self, position: int) -> bytes:
        """One piece, compressed."""
        return await anyio.to_thread.run_sync(self._packed, position, limiter=self._reading)

    async def ends(self) -> tuple[bytes, bytes]:
        """Its first and its last byte that is no white space; empty where a whole piece has none."""
        if not self.count:
            return b"", b""
        first, last = unpacked(await self.packed(0)).lstrip(), unpacked(await self.packed(self.count - 1)).rstrip()
        return first[:1], last[-1:]

    async def pieces(self) -> AsyncIterator[bytes]:
        """The artifact as it was sent."""
        for position in range(self.count):
            yield unpacked(await self.packed(position))

    def _begin(self) -> None:
        self._loose = bytearray()
        self._ends: list[int] = []
        self._hash = hashlib.sha256()
        self.size = 0
        self._file.seek(0)
        self._file.truncate()

    def _pack(self, piece: bytes) -> None:
        self._hash.update(piece)
        self.size += len(piece)
        try:
            self._file.seek(0, 2)
            self._file.write(zlib.compress(piece))
            self._file.flush()
        except OSError as error:
            raise storage_failed(error) from error
        self._ends.append(self._file.tell())

    def _packed(self, position: int) -> bytes:
        start = self._ends[position - 1] if position else 0
        self._file.seek(start)
        return self._file.read(self._ends[position] - start)


def unpacked(packed: bytes | None) -> bytes:
    """A piece as it was sent. Raises `DamagedArtifact`."""
    try:
        return zlib.decompressobj().decompress(packed or b"", PIECE_BYTES)
    except zlib.error as error:
        raise DamagedArtifact("a piece cannot be read") from error
