"""Files on a local disk: our own objects named by their sha256, and files served where they lie."""

from __future__ import annotations

import bisect
import hashlib
import itertools
import os
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Final

from isal import isal_zlib

from packhorse.server.storage import Part, PartWriter, Piece, StorageError, StoredFacts
from packhorse.server.storage.descriptors import read_at, sync_directory
from packhorse.server.storage.drafts import DiskDrafts, DiskPart

__all__ = ["DiskReader", "DiskStorage"]

_BLOCK: Final = 4 << 20
_LEAST: Final = 256 * 1024
_FLAGS: Final = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_NOWAIT: Final[int | None] = getattr(os, "RWF_NOWAIT", None)


class DiskStorage:
    """Objects below ``root``; files in place anywhere (only the importer links them)."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._drafts = DiskDrafts(root)

    def new_draft(self, size: int) -> str:
        """See :class:`~packhorse.server.storage.Storage`."""
        return self._drafts.new(size)

    def part(self, length: int | None = None) -> DiskPart:
        """See :class:`~packhorse.server.storage.Storage`."""
        return self._drafts.part(length)

    def seal(self, key: str, size: int, parts: Sequence[Part], *, modified: float) -> StoredFacts:
        """See :class:`~packhorse.server.storage.Storage`."""
        return self._drafts.seal(key, size, parts, modified=modified)

    def kept(self, key: str, part: Part, writer: PartWriter) -> None:
        """See :class:`~packhorse.server.storage.Storage`."""
        self._drafts.kept(key, part, writer)

    def drop(self, key: str) -> None:
        """See :class:`~packhorse.server.storage.Storage`."""
        self._drafts.drop(key)

    def open(self, facts: StoredFacts) -> DiskReader:
        """See :class:`~packhorse.server.storage.Storage`."""
        return DiskReader(facts, self._path)

    def put(self, blocks: Iterable[bytes], *, modified: float) -> StoredFacts:
        """See :class:`~packhorse.server.storage.Storage`. Equal bytes are kept once."""
        draft = self._root / f".draft-{secrets.token_hex(8)}"
        try:
            with draft.open("xb") as file:
                size, md5, sha256, crc32 = _hash(_teed(_gathered(blocks), file.write))
                file.flush()
                os.fsync(file.fileno())
            key = f"{sha256[:2]}/{sha256[2:]}"
            place = self._root / key
            place.parent.mkdir(mode=0o700, exist_ok=True)
            draft.chmod(0o400)
            draft.replace(place)
            sync_directory(place.parent)
        finally:
            draft.unlink(missing_ok=True)
        return StoredFacts("objects", size, md5, sha256, crc32, modified, None, (Piece(key, 0, size, crc32),))

    def link(self, path: Path) -> StoredFacts:
        """See :class:`~packhorse.server.storage.Storage`."""
        with _opened(path) as file:
            before = os.fstat(file.fileno())
            size, md5, sha256, crc32 = _hash(iter(lambda: file.read(_BLOCK), b""))
            after = os.fstat(file.fileno())
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or size != after.st_size:
            raise StorageError(f"{path} changed while it was read")
        pieces = (Piece(str(path), 0, size, crc32),)
        return StoredFacts("in-place", size, md5, sha256, crc32, after.st_mtime, after.st_mtime_ns, pieces)

    def _path(self, facts: StoredFacts, key: str) -> Path:
        return Path(key) if facts.backend == "in-place" else self._root / key


class DiskReader:
    """Reads ranges of one stored file with ``pread``; each object is opened once, the first at construction."""

    def __init__(self, facts: StoredFacts, path_of: Callable[[StoredFacts, str], Path]) -> None:
        self._facts = facts
        self._path_of = path_of
        self._ends = list(itertools.accumulate(piece.length for piece in facts.pieces))
        self._files: dict[str, int] = {}
        if (self._ends[-1] if self._ends else 0) != facts.size:
            raise StorageError(f"the pieces of a file of {facts.size} bytes add up to something else")
        if facts.pieces:
            self._descriptor(facts.pieces[0])

    def read_hot(self, offset: int, length: int) -> bytes | None:
        """See :class:`~packhorse.server.storage.Reader`.

        Whether the last wanted byte is in the page cache is asked for all of them: files are read ahead in order.
        """
        if _NOWAIT is None:
            return None
        piece, start, length = self._locate(offset, length)
        descriptor = self._files.get(piece.key)
        if descriptor is None:
            return None
        try:
            if os.preadv(descriptor, [bytearray(1)], start + length - 1, _NOWAIT) != 1:
                return None
        except OSError:  # not at hand (EAGAIN), or a file system that cannot tell
            return None
        return os.pread(descriptor, length, start) or None

    def read(self, offset: int, length: int) -> bytes:
        """See :class:`~packhorse.server.storage.Reader`."""
        piece, start, length = self._locate(offset, length)
        try:
            block = read_at(self._descriptor(piece), length, start)
        except OSError as error:
            raise StorageError(f"{piece.key} cannot be read: {error.strerror}") from error
        if not block:
            raise StorageError(f"{piece.key} ends before byte {start}")
        return block

    def check(self) -> None:
        """See :class:`~packhorse.server.storage.Reader`."""
        for key, descriptor in self._files.items():
            self._compare(key, os.fstat(descriptor))

    def close(self) -> None:
        """See :class:`~packhorse.server.storage.Reader`."""
        while self._files:
            os.close(self._files.popitem()[1])

    def _locate(self, offset: int, length: int) -> tuple[Piece, int, int]:
        """The piece that holds byte ``offset``, the place within its object, and how much of ``length`` it has."""
        number = bisect.bisect_right(self._ends, offset)
        piece = self._facts.pieces[number]
        skipped = offset - (self._ends[number] - piece.length)
        return piece, piece.offset + skipped, min(length, piece.length - skipped)

    def _descriptor(self, piece: Piece) -> int:
        descriptor = self._files.get(piece.key)
        if descriptor is None:
            path = self._path_of(self._facts, piece.key)
            try:
                descriptor = os.open(path, _FLAGS)
            except OSError as error:
                raise StorageError(f"{path} cannot be opened: {error.strerror}") from error
            self._files[piece.key] = descriptor
            try:
                self._compare(piece.key, os.fstat(descriptor))
            except StorageError:
                self.close()
                raise
        return descriptor

    def _compare(self, key: str, now: os.stat_result) -> None:
        if not stat.S_ISREG(now.st_mode):
            raise StorageError(f"{key} is not a regular file")
        needed = max(piece.offset + piece.length for piece in self._facts.pieces if piece.key == key)
        if now.st_size < needed:
            raise StorageError(f"{key} has {now.st_size} bytes, {needed} were recorded")
        if self._facts.backend == "in-place" and (now.st_size, now.st_mtime_ns) != (
            self._facts.size,
            self._facts.mtime_ns,
        ):
            raise StorageError(f"{key} changed since it was imported; import its folder again")


@contextmanager
def _opened(path: Path) -> Iterator[FileIO]:
    """A regular file, opened without following a link at its end."""
    try:
        descriptor = os.open(path, _FLAGS)
    except OSError as error:
        raise StorageError(f"{path} cannot be opened: {error.strerror}") from error
    with FileIO(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise StorageError(f"{path} is not a regular file")
        yield file


def _hash(blocks: Iterable[bytes]) -> tuple[int, str, str, str]:
    """Size, md5, sha256 and CRC-32 of a stream; the two slow ones on two threads (hashlib releases the GIL)."""
    md5, sha256, crc, size = hashlib.md5(usedforsecurity=False), hashlib.sha256(), 0, 0
    with ThreadPoolExecutor(1) as pool:
        for block in blocks:
            beside = pool.submit(md5.update, block)
            sha256.update(block)
            crc = isal_zlib.crc32(block, crc)
            size += len(block)
            beside.result()
    return size, md5.hexdigest(), sha256.hexdigest(), f"{crc:08x}"


def _gathered(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in blocks of at least 256 KiB, but for the last: tiny writes cost more than copies."""
    held = bytearray()
    for block in blocks:
        held += block
        if len(held) >= _LEAST:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)


def _teed(blocks: Iterable[bytes], write: Callable[[bytes], object]) -> Iterator[bytes]:
    for block in blocks:
        write(block)
        yield block
