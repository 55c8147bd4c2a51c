"""The part file: written by ``pwrite`` only, each block's CRC-32 journalled, hashed behind the frontier (DESIGN §4)."""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from isal import isal_zlib

from packhorse.model import ByteRange, Digest
from packhorse.transfer.blocks import BLOCK, Frontier, Shares, block_count, block_range, worth_splitting
from packhorse.transfer.files import pread_into, pwrite_all
from packhorse.transfer.journal import Journal

__all__ = ["Crc32", "Hasher", "Part", "Piece", "check_blocks", "new_hash"]

_READ = 512 * 1024
_FLUSH = 256 * 1024
_FLUSH_CHUNKS = 256


class _Hash(Protocol):
    def update(self, data: Any, /) -> None: ...
    def hexdigest(self) -> str: ...


class Crc32:
    """CRC-32 with hashlib's face."""

    def __init__(self) -> None:
        self._value = 0

    def update(self, data: Any, /) -> None:
        self._value = isal_zlib.crc32(data, self._value)

    def hexdigest(self) -> str:
        return f"{self._value:08x}"


def new_hash(algorithm: str) -> _Hash:
    """A running hash by our name of the algorithm."""
    if algorithm == "crc32":
        return Crc32()
    return hashlib.new(algorithm, usedforsecurity=False)


class Part:
    """One open part file of known or yet unknown size. Lanes write, hashers read, the engine waits.

    ``chunk``: the file bytes that a codec gives only together; they are the blocks of such a file.
    """

    def __init__(
        self, path: Path, descriptor: int, size: int | None, journal: Journal | None, *, chunk: int | None = None
    ) -> None:
        self.path = path
        self.fd = descriptor
        self.size = size
        self.journal = journal
        self.chunk = chunk
        self.block = chunk or BLOCK
        self.frontier = Frontier()
        self.moved = threading.Condition()
        self.ended = False
        self.abandoned = False
        self._shares = Shares(self.block)

    @classmethod
    def open(
        cls,
        path: Path,
        size: int | None,
        journal: Journal | None,
        *,
        fresh: bool = False,
        chunk: int | None = None,
    ) -> Part:
        """Open or create it. Raises ``OSError``; a symbolic link in its place is refused, and a file that has another
        name too is left alone: that may be a file which was just placed, or anybody's."""
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        descriptor = os.open(path, flags, 0o666)
        if os.fstat(descriptor).st_nlink > 1:
            os.close(descriptor)
            path.unlink()
            descriptor = os.open(path, flags | os.O_EXCL, 0o666)
        elif fresh:
            os.ftruncate(descriptor, 0)
        return cls(path, descriptor, size, journal, chunk=chunk)

    def in_place(self) -> bool:
        """Whether the open file still is the one that has the part's name."""
        try:
            named, mine = self.path.lstat(), os.fstat(self.fd)
        except OSError:
            return False
        return (named.st_dev, named.st_ino) == (mine.st_dev, mine.st_ino)

    def write(self, offset: int, chunks: list[bytes], size: int) -> None:
        """Write ``chunks``, ``size`` bytes in all, at ``offset``, and let the hash follow. Raises ``OSError``."""
        pwrite_all(self.fd, chunks, offset)
        self.wrote(offset, offset + size)

    def wrote(self, start: int, stop: int) -> None:
        """Bytes ``start`` to ``stop`` are in the file."""
        with self.moved:
            if self.frontier.add(start, stop):
                self.moved.notify_all()

    def has(self, offset: int, data: bytes) -> bool:
        """Whether just these bytes are in the file there. Raises ``OSError``."""
        view = memoryview(bytearray(len(data)))
        return _read_exactly(self.fd, view, offset) and view == data

    def share(self, start: int, stop: int) -> None:
        """Bytes ``start`` to ``stop``, all in one block, are written by a piece that does not write the rest of it: the
        block is journalled with its last share. Raises ``OSError``."""
        index = start // self.block
        span = ByteRange(index * self.block, min((index + 1) * self.block, self.size or stop))
        with self.moved:
            whole = self._shares.add(start, stop, span)
        if whole and self.journal is not None:
            crc = _crc_of(self.fd, span, memoryview(bytearray(min(len(span), BLOCK))))
            if crc is not None:
                self.journal.blocks([(index, crc)])

    def finish(self) -> None:
        """No more bytes will come: hashers end at the frontier."""
        with self.moved:
            self.ended = True
            self.moved.notify_all()

    def abandon(self) -> None:
        """Nothing of it is wanted any more: who reads or copies stops where it is."""
        self.abandoned = True
        self.finish()

    def close(self) -> None:
        """Close the descriptor. Only when no lane and no hasher uses it any more."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class Piece:
    """A range of the file that one connection fetches, and how far it is.

    The lane that receives it is its only writer; ``stop`` may be drawn nearer when an idle connection takes over the
    second half, under the lock, so that no byte is ever written by two.
    """

    __slots__ = (
        "_chunks",
        "_crc",
        "_crc_from_start",
        "_lock",
        "_pending",
        "part",
        "position",
        "start",
        "stop",
        "undecoded",
    )

    def __init__(self, part: Part, start: int, stop: int | None) -> None:
        self.part = part
        self.start = start
        self.stop = stop
        self.position = start
        self._lock = threading.Lock()
        self._chunks: list[bytes] = []
        self._pending = 0
        self._crc = 0
        self._crc_from_start = start % part.block == 0
        self.undecoded = 0  # wire bytes that came of a chunk which is not whole yet

    @property
    def arrived(self) -> int:
        """How many bytes of it are here, for who shows or measures the progress."""
        came = self.position - self.start + self.undecoded
        return came if self.stop is None else min(came, self.stop - self.start)

    @property
    def reached(self) -> int:
        """How far bytes were taken, written or not yet."""
        return self.position + self._pending

    @property
    def full(self) -> bool:
        """Whether all its bytes were taken."""
        return self.stop is not None and self.reached >= self.stop

    @property
    def done(self) -> bool:
        """Whether all its bytes are written."""
        return self.stop is not None and self.position >= self.stop

    def split(self, rate: float) -> Piece | None:
        """Give up the second half of what is still to come, where at ``rate`` bytes per second that is worth it."""
        with self._lock:
            # A chunk of a codec cannot be had by halves.
            fixed = self.stop is None or self.part.chunk is not None
            middle = None if fixed or self.stop is None else worth_splitting(self.reached, self.stop, rate)
            if middle is None:
                return None
            second = Piece(self.part, middle, self.stop)
            self.stop = middle
            return second

    def take(self, data: bytes) -> int:
        """Take bytes as they come, and write them in gathers of 256 KiB. How many were wanted. Raises ``OSError``."""
        with self._lock:
            if self.stop is not None and len(data) > (room := self.stop - self.reached):
                data = data[: max(0, room)]
            if data:
                self._chunks.append(data)
                self._pending += len(data)
        if self._pending >= _FLUSH or len(self._chunks) >= _FLUSH_CHUNKS or self.full:
            self.flush()
        return len(data)

    def flush(self) -> int:
        """Write what was taken, then journal the blocks that became whole. Bytes written. Raises ``OSError``."""
        chunks, size, offset = self._chunks, self._pending, self.position
        if not size:
            return 0
        self.part.write(offset, chunks, size)
        whole = self._blocks(chunks, offset)
        with self._lock:
            self._chunks, self._pending = [], 0
            self.position = offset + size
            done = self.done
        if whole and self.part.journal is not None:
            self.part.journal.blocks(whole)
        if done:
            self.leave()
        return size

    def leave(self) -> None:
        """It writes no more: of the block that it stands in another piece writes the rest. Raises ``OSError``."""
        block = self.part.block
        if self.position % block and self.position != self.part.size:
            start = max(self.start, self.position // block * block)
            if start < self.position:
                self.part.share(start, self.position)

    def _blocks(self, chunks: Iterable[bytes], offset: int) -> list[tuple[int, int]]:
        whole: list[tuple[int, int]] = []
        end, block = self.part.size, self.part.block
        for chunk in chunks:
            view = memoryview(chunk)
            while view:
                room = block - offset % block
                taken = view[:room]
                self._crc = isal_zlib.crc32(taken, self._crc)
                offset += len(taken)
                view = view[room:]
                if offset % block == 0 or offset == end:
                    if self._crc_from_start:
                        whole.append(((offset - 1) // block, self._crc))
                    else:
                        self.part.share(self.start, offset)
                    self._crc, self._crc_from_start = 0, True
        return whole


class Hasher:
    """Digests of the part file's bytes, read behind the frontier: what is proven is what is in the file."""

    def __init__(self, part: Part, algorithms: Iterable[str]) -> None:
        self._part = part
        self._hashes: Mapping[str, _Hash] = {name: new_hash(name) for name in algorithms}
        self.position = 0

    def run(self) -> list[Digest]:
        """Read to the end of the file; blocks its thread. Raises ``OSError``."""
        if not self._hashes:
            return []
        view = memoryview(bytearray(_READ))
        part = self._part
        while True:
            with part.moved:
                while part.frontier.position <= self.position and not part.ended:
                    part.moved.wait()
                limit = part.frontier.position
            if limit <= self.position or part.abandoned:
                return [Digest(name, value.hexdigest()) for name, value in self._hashes.items()]
            while self.position < limit and not part.abandoned:
                count = pread_into(part.fd, view[: min(_READ, limit - self.position)], self.position)
                if count == 0:
                    raise OSError(f"{part.path} became shorter while it was read")
                for value in self._hashes.values():
                    value.update(view[:count])
                self.position += count


def check_blocks(part: Part, blocks: Mapping[int, int]) -> dict[int, int]:
    """Those journalled blocks that are in the part file: each is read again and compared by its CRC-32.

    ``part.size`` must be known. Blocks outside the file, or beyond what is on disk, are not held.
    """
    size, block = part.size, part.block
    if size is None:
        return {}
    on_disk = os.fstat(part.fd).st_size
    view = memoryview(bytearray(BLOCK))
    held: dict[int, int] = {}
    for index in sorted(blocks):
        if index >= block_count(size, block) or part.abandoned:
            break
        span = block_range(index, size, block)
        if span.stop > on_disk:
            break
        with contextlib.suppress(OSError):
            if _crc_of(part.fd, span, view) == blocks[index]:
                held[index] = blocks[index]
                part.wrote(span.start, span.stop)
    return held


def _crc_of(descriptor: int, span: ByteRange, view: memoryview) -> int | None:
    """The CRC-32 of these bytes of the file, read by way of ``view``; ``None`` where the file ends before."""
    crc, at = 0, span.start
    while at < span.stop:
        window = view[: min(len(view), span.stop - at)]
        if not _read_exactly(descriptor, window, at):
            return None
        crc = isal_zlib.crc32(window, crc)
        at += len(window)
    return crc


def _read_exactly(descriptor: int, view: memoryview, offset: int) -> bool:
    done = 0
    while done < len(view):
        count = pread_into(descriptor, view[done:], offset + done)
        if count == 0:
            return False
        done += count
    return True
