"""Parts of local files: read with ``pread``, digested, encoded, and each time compared with what the file was."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from packhorse.errors import ChangedError, UsageError
from packhorse.model import ByteRange
from packhorse.transfer.files import pread_into
from packhorse.transfer.outgoing import Encoder, LocalFile
from packhorse.transfer.send.journal import UploadJournal, discard_hint

__all__ = ["OpenFile", "Prepared", "part_count", "part_range", "same_file"]

_READ: Final = 1024 * 1024


def part_count(size: int, part_size: int) -> int:
    """How many parts a file of ``size`` bytes has; none where it is empty.

    >>> part_count(0, 10), part_count(10, 10), part_count(11, 10)
    (0, 1, 2)
    """
    return -(-size // part_size)


def part_range(index: int, size: int, part_size: int) -> ByteRange:
    """The file's bytes in part ``index``.

    >>> part_range(1, 15, 10)
    ByteRange(start=10, stop=15)
    """
    return ByteRange(index * part_size, min(size, (index + 1) * part_size))


def same_file(before: LocalFile, now: LocalFile) -> bool:
    """Whether it is the same file, unchanged as far as its facts tell. The device's number says nothing: it changes
    with a reboot, and from node to node."""
    return (before.size, before.mtime_ns, before.ino) == (now.size, now.mtime_ns, now.ino)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A part that is ready to go: ``body`` is what is sent, ``sha256`` its digest."""

    index: int
    part: ByteRange
    body: bytes
    sha256: str


class OpenFile:
    """A file that is being sent. Its methods block and are called in threads; ``key`` names the upload for hints."""

    def __init__(self, file: LocalFile, key: str) -> None:
        self.file = file
        self._key = key
        self._fd = -1

    def open(self) -> None:
        """Open it, and see that it is what was looked at. Raises :class:`ChangedError`, :class:`UsageError`."""
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
        try:
            self._fd = os.open(self.file.path, flags)
        except FileNotFoundError:
            raise self._changed("is gone") from None
        except OSError as error:
            raise UsageError(f"cannot read {self.file.path}: {error.strerror or error}") from None
        self.check()

    def check(self) -> None:
        """See that the open file did not change. Raises :class:`ChangedError`."""
        facts = os.fstat(self._fd)
        if not stat.S_ISREG(facts.st_mode):
            raise self._changed("is no file any more")
        self._compare(facts)

    def check_name(self) -> None:
        """See that the name still means this file, unchanged. Raises :class:`ChangedError`."""
        self.check()
        try:
            facts = self.file.path.stat()
        except OSError:
            raise self._changed("is gone") from None
        self._compare(facts)

    def _compare(self, facts: os.stat_result) -> None:
        file = self.file
        if facts.st_size != file.size:
            raise self._changed(f"had {file.size:,} bytes and has {facts.st_size:,} now")
        if facts.st_mtime_ns != file.mtime_ns:
            raise self._changed("was written to")
        if facts.st_ino != file.ino:
            raise self._changed("was replaced")

    def _changed(self, how: str) -> ChangedError:
        return ChangedError(
            f"{self.file.path} changed while it was sent: it {how}; the upload was not finished",
            hint=discard_hint(self._key),
        )

    def prepare(self, index: int, part: ByteRange, encoder: Encoder | None, journal: UploadJournal) -> Prepared:
        """Read a part, digest it and encode it. With an encoder, the plaintext's digest is durable before the first
        encoded byte is there to be sent. Raises :class:`ChangedError`, ``OSError``."""
        plain = self._read(part)
        self.check()
        digest = hashlib.sha256(plain).hexdigest()
        if encoder is None:
            return Prepared(index, part, plain, digest)
        journal.encoded(self.file.name, index, digest)
        body = encoder.encode(index, plain)
        del plain  # memory is counted as if it were gone
        return Prepared(index, part, body, hashlib.sha256(body).hexdigest())

    def _read(self, part: ByteRange) -> bytes:
        """The bytes of a part, in one piece of memory."""
        if hasattr(os, "pread"):
            data = os.pread(self._fd, len(part), part.start)
            if len(data) == len(part):
                return data
            del data
        return b"".join(self._pieces(part))

    def _pieces(self, part: ByteRange) -> Iterator[bytes]:
        """A part in pieces: some systems read no more than so much at a time, and Windows has no ``pread``."""
        at = part.start
        while at < part.stop:
            view = memoryview(bytearray(min(_READ, part.stop - at)))
            count = pread_into(self._fd, view, at)
            if count == 0:
                raise self._changed("became shorter")
            yield bytes(view[:count])
            at += count

    def close(self) -> None:
        """Close it. Only when no thread reads it any more."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
