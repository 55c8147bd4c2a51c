"""The bytes of a ZIP's entry, unpacked piece by piece and compared with what the archive claims of them."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Final

from packhorse.errors import IntegrityError, ProtocolError
from packhorse.wire.zip.directory import ReadEntry
from packhorse.wire.zip.reading import read_slice

__all__ = ["entry_blocks"]

_BLOCK: Final = 256 << 10


def entry_blocks(fetch: Callable[[int, int], bytes], entry: ReadEntry) -> Iterator[bytes]:
    """The entry's bytes in blocks of at most 256 KiB; ``fetch(start, stop)`` gets the archive's.

    Never more than the entry's size comes out. Raises :class:`ProtocolError` for an entry that cannot be unpacked and
    :class:`IntegrityError` for other bytes than its size or checksum says, at the latest after the last block.
    """
    if entry.unsupported is not None:
        raise ProtocolError(f"{entry.shown} in the ZIP is {entry.unsupported}, which cannot be read")
    found = read_slice(fetch, entry)
    inflater = zlib.decompressobj(-15) if entry.method else None
    crc = size = 0
    for at in range(found.start, found.stop, _BLOCK):
        packed = fetch(at, min(at + _BLOCK, found.stop))
        if not packed:
            raise ProtocolError(f"the ZIP ends within {entry.shown}")
        while packed:
            block, packed = packed, b""
            if inflater is not None:
                if inflater.eof:
                    raise ProtocolError(f"{entry.shown} in the ZIP: more follows its end")
                try:
                    block = inflater.decompress(block, _BLOCK)
                except zlib.error:
                    raise ProtocolError(f"{entry.shown} in the ZIP cannot be unpacked") from None
                packed = inflater.unconsumed_tail
            crc, size = zlib.crc32(block, crc), size + len(block)
            if size > entry.size:
                raise IntegrityError(
                    f"{entry.shown}: more comes out of the ZIP than it claims", expected=str(entry.size), got=str(size)
                )
            if block:
                yield block
    if size != entry.size or crc != entry.crc32 or (inflater is not None and not inflater.eof):
        raise IntegrityError(
            f"{entry.shown}: its bytes in the ZIP are not those that its checksum is of",
            expected=f"{entry.size} bytes, crc32:{entry.crc32:08x}",
            got=f"{size} bytes, crc32:{crc:08x}",
        )
