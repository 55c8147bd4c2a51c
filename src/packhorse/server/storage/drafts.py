"""Uploads on a local disk: one file per object, filled by parts in any order, and never moved.

A part is first gathered aside and put into its place only when it is whole and wanted: a sender that breaks off, lies
about a digest or cannot sign never touches bytes that another request was told are safe. It is gathered in memory while
there is some to be had, else in a nameless file.
"""

from __future__ import annotations

import os
import re
import secrets
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Final

from packhorse.server.storage import DraftError, Part, PartWriter, Piece, StorageError, StoredFacts
from packhorse.server.storage.descriptors import closing, read_at, sync_directory, write_at
from packhorse.server.storage.following import Follower, hash_part
from packhorse.server.storage.memory import Lent, Memory
from packhorse.server.storage.syncing import Syncer

__all__ = ["DiskDrafts", "DiskPart"]

_FOLDER: Final = "uploads"
_KEY: Final = re.compile(r"uploads/[0-9a-f]{2}/[0-9a-f]{30}", re.ASCII)
_SMALL: Final = 256 * 1024
_BLOCK: Final = 1 << 20
_FLAGS: Final = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


class DiskDrafts:
    """Drafts below ``root/uploads``; parts on their way are nameless files there."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folder = root / _FOLDER
        self._memory = Memory()
        self._follower = Follower(lambda key: os.open(self._place(key), os.O_RDONLY | _FLAGS))
        self._syncer = Syncer(lambda key: os.open(self._place(key), os.O_RDWR | _FLAGS))

    def new(self, size: int) -> str:
        """See :class:`~packhorse.server.storage.Storage`. The file is sparse: no space is taken yet."""
        name = secrets.token_hex(16)
        key = f"{_FOLDER}/{name[:2]}/{name[2:]}"
        place = self._root / key
        try:
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS, 0o600)
            with closing(descriptor):
                os.ftruncate(descriptor, size)
        except OSError as error:
            raise StorageError(f"{place} cannot be made: {error.strerror}") from error
        return key

    def part(self, length: int | None) -> DiskPart:
        """See :class:`~packhorse.server.storage.Storage`."""
        return DiskPart(self._folder, self._target, self._memory.lend(length) if length else None)

    def seal(self, key: str, size: int, parts: Sequence[Part], *, modified: float) -> StoredFacts:
        """See :class:`~packhorse.server.storage.Storage`."""
        place = self._place(key)
        ahead = self._follower.take(key, parts)
        try:
            self._syncer.settle(key)
            with closing(os.open(place, os.O_RDWR | _FLAGS)) as descriptor:
                found = os.fstat(descriptor).st_size
                if found != size:
                    raise DraftError(f"{key} has {found} bytes, {size} were announced")
                with ThreadPoolExecutor(1) as pool:
                    synced = pool.submit(os.fsync, descriptor)  # the disk works while we hash
                    for part in parts[len(ahead.parts) :]:
                        hash_part(descriptor, ahead, part)
                    synced.result()
            if ahead.at != size:
                raise DraftError(f"{key} has a hole after byte {ahead.at}")
            sync_directory(place.parent)
        except OSError as error:
            raise StorageError(f"{key} cannot be read: {error.strerror}") from error
        crc = f"{ahead.crc:08x}"
        pieces = (Piece(key, 0, size, crc),) if size else ()
        return StoredFacts("objects", size, "", ahead.sha256.hexdigest(), crc, modified, None, pieces)

    def kept(self, key: str, part: Part, writer: PartWriter) -> None:
        """See :class:`~packhorse.server.storage.Storage`."""
        self._follower.kept(key, part, writer.share() if isinstance(writer, DiskPart) else None)
        self._syncer.kept(key, part.length)

    def drop(self, key: str) -> None:
        """See :class:`~packhorse.server.storage.Storage`. Only what an upload made can be dropped."""
        self._follower.forget(key)
        self._syncer.forget(key)
        try:
            self._place(key).unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"{key} cannot be deleted: {error.strerror}") from error

    def _target(self, key: str, offset: int, length: int) -> Path:
        self._follower.overwritten(key, offset, length)
        return self._place(key)

    def _place(self, key: str) -> Path:
        if not _KEY.fullmatch(key):
            raise StorageError(f"{key!r} is no upload")
        return self._root / key


class DiskPart:
    """See :class:`~packhorse.server.storage.PartWriter`. Small parts stay in memory."""

    def __init__(self, folder: Path, target: Callable[[str, int, int], Path], lent: Lent | None) -> None:
        self._folder = folder
        self._target = target
        self._lent = lent
        self.memory = lent.view if lent is not None else None
        self._held = bytearray()
        self._aside: IO[bytes] | None = None
        self._length = 0
        self._over = False

    def write(self, block: bytes | bytearray) -> None:
        """See :class:`~packhorse.server.storage.PartWriter`."""
        try:
            if self._aside is None:
                if self._length + len(block) <= _SMALL:
                    self._held += block
                    self._length += len(block)
                    return
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._aside = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115 - close() ends it
                write_at(self._aside.fileno(), self._held, 0)
            write_at(self._aside.fileno(), block, self._length)
            self._length += len(block)
        except OSError as error:
            raise StorageError(f"a part cannot be written: {error.strerror}") from error

    def keep(self, key: str, offset: int) -> None:
        """See :class:`~packhorse.server.storage.PartWriter`."""
        memory, aside, held = self.memory, self._aside, self._held  # another thread may abandon the part meanwhile
        if self._over:
            raise StorageError("a part was given up before it was kept")
        try:
            length = self._length if memory is None else len(memory)
            with closing(os.open(self._target(key, offset, length), os.O_WRONLY | _FLAGS)) as descriptor:
                if aside is not None:
                    _copy(aside.fileno(), descriptor, length, offset)
                else:
                    write_at(descriptor, held if memory is None else memory, offset)
        except OSError as error:
            raise StorageError(f"{key} cannot be written: {error.strerror}") from error

    def share(self) -> Lent | None:
        """The part's bytes, if they are in memory, for one more owner."""
        lent = self._lent
        return lent.share() if lent is not None else None

    def close(self) -> None:
        """See :class:`~packhorse.server.storage.PartWriter`."""
        lent = self._let_go()
        if lent is not None:
            lent.give()

    def abandon(self) -> None:
        """See :class:`~packhorse.server.storage.PartWriter`."""
        lent = self._let_go()
        if lent is not None:
            lent.drop()

    def _let_go(self) -> Lent | None:
        self._over = True
        self._held = bytearray()
        if self._aside is not None:
            self._aside.close()
            self._aside = None
        lent, self._lent, self.memory = self._lent, None, None
        return lent


def _copy(source: int, target: int, length: int, offset: int) -> None:
    """The first ``length`` bytes of ``source`` to ``offset`` of ``target``.

    By reading and writing: ``copy_file_range`` is no faster on ext4, and not everywhere.
    """
    done = 0
    while done < length:
        block = read_at(source, min(_BLOCK, length - done), done)
        if not block:
            raise StorageError("a part that was gathered is gone")
        write_at(target, block, offset + done)
        done += len(block)
