"""What the faulty server serves: bytes in hand, or large content made from a seed without holding it."""

from __future__ import annotations

import functools
import hashlib
import random
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

BLOCK = 1 << 20  # a power of two: see GeneratedFile
_STEP = 376_289  # odd, so that block numbers map to distinct rotations


class Content(Protocol):
    """Anything the server can serve: a size, a tag and slices of its bytes."""

    @property
    def size(self) -> int:
        """Length in bytes."""

    @property
    def tag(self) -> str:
        """Hex digits that differ when the bytes differ (the strong ETag is made from them)."""

    def pieces(self, start: int, stop: int) -> Iterator[memoryview]:
        """Yield the bytes from ``start`` up to ``stop``, at most 1 MiB at a time."""

    def read(self, start: int = 0, stop: int | None = None) -> bytes:
        """Return the bytes from ``start`` up to ``stop`` (default: the end)."""


@dataclass(frozen=True)
class BytesFile:
    """Content held in memory."""

    data: bytes

    @property
    def size(self) -> int:
        """Length in bytes."""
        return len(self.data)

    @property
    def tag(self) -> str:
        """Hex digits from the content's sha256."""
        return hashlib.sha256(self.data).hexdigest()[:32]

    def pieces(self, start: int, stop: int) -> Iterator[memoryview]:
        """Yield the bytes from ``start`` up to ``stop``."""
        view = memoryview(self.data)
        for at in range(start, stop, BLOCK):
            yield view[at : min(at + BLOCK, stop)]

    def read(self, start: int = 0, stop: int | None = None) -> bytes:
        """Return the bytes from ``start`` up to ``stop``."""
        return self.data[start:stop]


@dataclass(frozen=True)
class GeneratedFile:
    """Pseudo-random content of any size that costs 2 MiB of memory and nearly no time.

    Block ``k`` is one random block of 1 MiB turned by a distance that is different for every ``k`` (up to 2**20
    blocks), so a piece written at a wrong place is always seen. The same size and seed give the same bytes on every
    machine.

    >>> file = GeneratedFile(3_000_000, seed=7)
    >>> file.read(1_500_000, 1_500_004) == file.read()[1_500_000:1_500_004]
    True
    >>> file.size, len(file.sha256), file == GeneratedFile(3_000_000, seed=7)
    (3000000, 64, True)
    """

    size: int
    seed: int = 0

    @property
    def tag(self) -> str:
        """Hex digits from the seed and the size; the content is not read for them."""
        return hashlib.sha256(f"generated:{self.seed}:{self.size}".encode()).hexdigest()[:32]

    def pieces(self, start: int, stop: int) -> Iterator[memoryview]:
        """Yield the bytes from ``start`` up to ``stop``, never across a block's end."""
        base = _twice(self.seed)
        stop = min(stop, self.size)
        while start < stop:
            block, inside = divmod(start, BLOCK)
            turn = (block * _STEP) % BLOCK
            take = min(BLOCK - inside, stop - start)
            yield base[turn + inside : turn + inside + take]
            start += take

    def read(self, start: int = 0, stop: int | None = None) -> bytes:
        """Return the bytes from ``start`` up to ``stop`` (default: the end)."""
        return b"".join(self.pieces(start, self.size if stop is None else stop))

    @property
    def sha256(self) -> str:
        """The content's sha256 in hex."""
        return _digest(self, "sha256")

    @property
    def md5(self) -> str:
        """The content's md5 in hex."""
        return _digest(self, "md5")

    @property
    def crc32(self) -> int:
        """The content's CRC-32."""
        return _crc32(self)


def as_content(value: bytes | Content) -> Content:
    """Wrap plain bytes; anything else is content already."""
    return BytesFile(bytes(value)) if isinstance(value, bytes | bytearray) else value


@functools.lru_cache(maxsize=16)
def _twice(seed: int) -> memoryview:
    block = random.Random(f"packhorse:{seed}").randbytes(BLOCK)
    return memoryview(block + block)


@functools.lru_cache(maxsize=64)
def _digest(file: GeneratedFile, name: str) -> str:
    digest = hashlib.new(name, usedforsecurity=False)
    for piece in file.pieces(0, file.size):
        digest.update(piece)
    return digest.hexdigest()


@functools.lru_cache(maxsize=64)
def _crc32(file: GeneratedFile) -> int:
    value = 0
    for piece in file.pieces(0, file.size):
        value = zlib.crc32(piece, value)
    return value
