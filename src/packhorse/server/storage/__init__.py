"""Where the bytes are: a small seam, and the disk behind it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

__all__ = ["DraftError", "Part", "PartWriter", "Piece", "Reader", "Storage", "StorageError", "StoredFacts"]


class StorageError(Exception):
    """Stored bytes that are gone, changed or shorter than recorded. The message is for the server's log: it may name
    paths, so it is never sent to a client."""


class DraftError(StorageError):
    """The bytes of a draft are not those that arrived."""


@dataclass(frozen=True, slots=True)
class Part:
    """A range of a draft that arrived; ``crc32`` is ``None`` where only the range is known."""

    offset: int
    length: int
    crc32: str | None


@dataclass(frozen=True, slots=True)
class Piece:
    """``length`` bytes at ``offset`` of the object ``key``, and their CRC-32 (8 hexadecimal digits)."""

    key: str
    offset: int
    length: int
    crc32: str


@dataclass(frozen=True, slots=True)
class StoredFacts:
    """A stored file: where its bytes are and what is known of them.

    ``modified`` in Unix seconds; ``mtime_ns`` guards a file that is served in place.
    """

    backend: str
    size: int
    md5: str
    sha256: str
    crc32: str
    modified: float
    mtime_ns: int | None
    pieces: tuple[Piece, ...]


class Reader(Protocol):
    """A file opened for reading. Not for two readers at once; ``close`` may be called twice."""

    def read_hot(self, offset: int, length: int) -> bytes | None:
        """At most ``length`` bytes if they are at hand without waiting for a disk, else ``None``. Never empty."""

    def read(self, offset: int, length: int) -> bytes:
        """At most ``length`` bytes, waiting for the disk. Never empty. Raises :class:`StorageError`."""

    def check(self) -> None:
        """Raise :class:`StorageError` if the file changed since it was recorded."""

    def close(self) -> None:
        """Give the descriptors back."""


class PartWriter(Protocol):
    """One part on its way into a draft. Nothing of it counts before ``keep``; for one thread at a time.

    ``memory`` has room for just the part, to be filled in place of ``write``; ``None`` where there is none to be had.
    """

    memory: memoryview | None

    def write(self, block: bytes | bytearray) -> None:
        """Take the next bytes in."""

    def keep(self, key: str, offset: int) -> None:
        """Put what was written at ``offset`` of the draft. Raises :class:`StorageError`."""

    def close(self) -> None:
        """Let go of what was not kept; may be called twice."""

    def abandon(self) -> None:
        """Like ``close``, when somebody may still be at work with ``memory``. Nothing happens after ``close``."""


class Storage(Protocol):
    """What every kind of storage can do."""

    def new_draft(self, size: int) -> str:
        """Begin an object of ``size`` bytes, to be filled in any order; its key."""

    def part(self, length: int | None = None) -> PartWriter:
        """Begin a part of some draft, of ``length`` bytes if that is known."""

    def kept(self, key: str, part: Part, writer: PartWriter) -> None:
        """Hear that a part counts for good, so that hashing may run ahead. Before its writer is closed."""

    def seal(self, key: str, size: int, parts: Sequence[Part], *, modified: float) -> StoredFacts:
        """Make a filled draft durable and hash it (sha256 and CRC-32, no md5); it stays where it is, under its key.

        ``parts`` tile it in ascending order. Raises :class:`DraftError` when a part's CRC-32 is not the recorded one.
        """

    def drop(self, key: str) -> None:
        """Delete a draft or an object of uploads; one that is gone already is fine."""

    def open(self, facts: StoredFacts) -> Reader:
        """Open a stored file. Raises :class:`StorageError` when it is gone or not what was recorded."""

    def put(self, blocks: Iterable[bytes], *, modified: float) -> StoredFacts:
        """Take bytes in and hash them; durable when it returns."""

    def link(self, path: Path) -> StoredFacts:
        """Hash a file where it lies, to be served from there. Raises :class:`StorageError` if it changes meanwhile."""
