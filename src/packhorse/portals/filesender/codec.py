"""Encrypted files as the engine reads them: chunk by chunk, each checked by itself (spec §10)."""

from __future__ import annotations

from collections.abc import Callable

from packhorse.model import ByteRange
from packhorse.wire.filesender.crypto import FileCrypto
from packhorse.wire.http import ContentRange

__all__ = ["ChunkCodec"]


class ChunkCodec:
    """From stored chunks to file bytes. Pure; shared by all requests of one file (the engine's ``Codec``)."""

    def __init__(self, crypto: FileCrypto) -> None:
        self.crypto = crypto

    @property
    def chunk(self) -> int:
        """File bytes per chunk."""
        return self.crypto.chunk_size

    @property
    def authenticates(self) -> bool:
        """Key version 3 proves every byte; versions 0 and 1 prove nothing."""
        return self.crypto.authenticates

    def wire_range(self, wanted: ByteRange) -> ByteRange:
        """Plain start, stored length."""
        return self.crypto.wire_range(self._index(wanted))

    def wire_size(self, wanted: ByteRange) -> int:
        """Bytes of the stored chunk."""
        return len(self.wire_range(wanted))

    def accepts(self, got: ContentRange, wanted: ByteRange) -> bool:
        """Servers name plain offsets and the plain size; where the chunk ends is told by the length of the body."""
        return got.start == wanted.start and got.total in (None, self.crypto.size, self.crypto.stored_size)

    def decoder(self, wanted: ByteRange) -> Callable[[bytes, bool], bytes]:
        """Keeps the pieces until the chunk is whole: nothing of it is believed before its tag is checked."""
        index = self._index(wanted)
        size = self.wire_size(wanted)
        held = bytearray()

        def decode(data: bytes, is_last: bool) -> bytes:
            # More than a chunk is refused below by its length; it need not be held.
            held.extend(data[: size + 1 - len(held)])
            return self.crypto.decrypt(index, held) if is_last else b""

        return decode

    def _index(self, wanted: ByteRange) -> int:
        return wanted.start // self.crypto.chunk_size
