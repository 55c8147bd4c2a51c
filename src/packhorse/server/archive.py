"""Archives that nobody writes: a ZIP or tar is laid out from stored sizes and CRCs, its files' bytes are read as it is
sent, and any range of it costs no more than the range (DESIGN §6)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp

from packhorse.model import ByteRange
from packhorse.server.sending import BytesAnswer, Representation, log, may_wait, plan_bytes
from packhorse.server.storage import Reader, Storage, StorageError, StoredFacts
from packhorse.wire import http
from packhorse.wire.archives import ArchiveLayout, Span
from packhorse.wire.tar import TarEntry, TarLayout
from packhorse.wire.zip import ZipEntry, ZipLayout

__all__ = [
    "Archive",
    "ArchiveEntry",
    "ArchiveReader",
    "Refuse",
    "archive_answer",
    "tar_answer",
    "tar_archive",
    "zip_answer",
    "zip_archive",
]

Refuse = Callable[[int, Mapping[str, str]], ASGIApp]
"""A status (412, 416, 503) and headers: the answer in the words of the portal that is asked."""
_LOOKED_AT: Final = 64
_WORDS: Final = {
    412: "The archive is not the one that was asked for",
    416: "The archive has no such range of bytes",
    503: "A file of this archive cannot be read on the server at the moment",
}


@dataclass(frozen=True, slots=True)
class ArchiveEntry:
    """A stored file under its name in an archive; ``modified`` in Unix seconds."""

    name: str
    facts: StoredFacts
    modified: float


@dataclass(frozen=True, slots=True)
class Archive:
    """Files laid out as an archive, to be answered from as often as is asked."""

    layout: ArchiveLayout
    entries: Sequence[ArchiveEntry]
    tag: str


def zip_archive(entries: Iterable[ArchiveEntry]) -> Archive:
    """These files as a stored ZIP. Names that are unsafe or taken are changed
    (:func:`~packhorse.wire.filenames.archive_names`). No entry at all is an empty ZIP. Raises ``ValueError``."""
    held = list(entries)
    rows = [ZipEntry(entry.name, entry.facts.size, int(entry.facts.crc32, 16), entry.modified) for entry in held]
    return _tagged(ZipLayout(rows), held)


def tar_archive(entries: Iterable[ArchiveEntry]) -> Archive:
    """The same as :func:`zip_archive` for a tar."""
    held = list(entries)
    rows = [TarEntry(entry.name, entry.facts.size, entry.modified, entry.facts.crc32) for entry in held]
    return _tagged(TarLayout(rows), held)


def _tagged(layout: ArchiveLayout, entries: Sequence[ArchiveEntry]) -> Archive:
    # CRCs alone would let two files of one size and date pass for each other once in four thousand million times
    told = "\n".join([layout.fingerprint, *(entry.facts.sha256 for entry in entries)])
    return Archive(layout, entries, hashlib.sha256(told.encode()).hexdigest())


def zip_answer(
    entries: Iterable[ArchiveEntry],
    filename: str,
    request_headers: Mapping[str, str],
    storage: Storage,
    *,
    media_type: str = "application/zip",
    refuse: Refuse | None = None,
) -> ASGIApp:
    """A stored ZIP of these files (see :func:`zip_archive` and :func:`archive_answer`)."""
    try:
        archive = zip_archive(entries)
    except ValueError as error:
        return _unusable(error, refuse)
    return archive_answer(archive, filename, request_headers, storage, media_type=media_type, refuse=refuse)


def tar_answer(
    entries: Iterable[ArchiveEntry],
    filename: str,
    request_headers: Mapping[str, str],
    storage: Storage,
    *,
    media_type: str = "application/x-tar",
    refuse: Refuse | None = None,
) -> ASGIApp:
    """A tar of these files (see :func:`tar_archive` and :func:`archive_answer`)."""
    try:
        archive = tar_archive(entries)
    except ValueError as error:
        return _unusable(error, refuse)
    return archive_answer(archive, filename, request_headers, storage, media_type=media_type, refuse=refuse)


def _unusable(error: ValueError, refuse: Refuse | None) -> ASGIApp:
    log.error("an archive cannot be laid out: %s", error)
    return (refuse or _plainly)(503, {})


def _plainly(status: int, headers: Mapping[str, str]) -> ASGIApp:
    return PlainTextResponse(_WORDS[status] + "\n", status, {**headers, "cache-control": "no-store"})


def archive_answer(
    archive: Archive,
    filename: str,
    request_headers: Mapping[str, str],
    storage: Storage,
    *,
    media_type: str = "application/zip",
    refuse: Refuse | None = None,
) -> ASGIApp:
    """An archive's bytes, as the request's Range and conditions ask. ``request_headers`` has lower-case names."""
    refused = refuse or _plainly
    layout, entries = archive.layout, archive.entries
    whole = Representation(
        size=layout.size,
        etag=http.ETag(f"archive-{archive.tag}"),
        modified=max((entry.modified for entry in entries), default=None),
        name=filename,
        media_type=media_type,
        date_decides=False,
    )
    plan = plan_bytes(whole, request_headers)
    if plan.status == 304:
        return Response(status_code=304, headers=dict(plan.headers))
    if plan.part is None:
        return refused(plan.status, dict(plan.headers))
    part = plan.part
    return BytesAnswer(
        plan,
        lambda: ArchiveReader(layout, entries, storage, part),
        lambda: refused(503, {}),
        may_wait=any(may_wait(entry.facts) for entry in entries),
    )


class ArchiveReader:
    """Reads an archive's bytes in order of their offsets; at most one stored file is open at a time.

    The first files of ``part`` are looked at before the head goes out, so that a file that is gone is said in words.
    Looking at all of them would let the first byte wait for the last file. A file is checked again when it was sent.
    """

    def __init__(
        self, layout: ArchiveLayout, entries: Sequence[ArchiveEntry], storage: Storage, part: ByteRange
    ) -> None:
        self._layout = layout
        self._entries = entries
        self._storage = storage
        self._open: tuple[int, Reader] | None = None
        first = layout.entries_in(part.start, part.stop)[: _LOOKED_AT if part.start == 0 else 1]
        try:
            for index in reversed(first):  # so that the first stays open
                self._reader(index)
        except StorageError:
            self.close()
            raise

    def read_hot(self, offset: int, length: int) -> bytes | None:
        """See :class:`~packhorse.server.storage.Reader`."""
        return self._read(offset, length, wait=False)

    def read(self, offset: int, length: int) -> bytes:
        """See :class:`~packhorse.server.storage.Reader`."""
        block = self._read(offset, length, wait=True)
        assert block is not None
        return block

    def check(self) -> None:
        """See :class:`~packhorse.server.storage.Reader`."""
        if self._open is not None:
            self._open[1].check()

    def close(self) -> None:
        """See :class:`~packhorse.server.storage.Reader`."""
        if self._open is not None:
            self._open[1].close()
            self._open = None

    def _read(self, offset: int, length: int, *, wait: bool) -> bytes | None:
        found: list[bytes] = []
        for piece in self._layout.read_plan(offset, offset + length):
            if isinstance(piece, bytes):
                found.append(piece)
                continue
            try:
                got = self._slice(piece, found, wait=wait)
            except StorageError:
                if not found:
                    raise
                break  # what is good goes out; the next read meets the fault again
            if got < piece.length:
                break
        if not found:
            return None
        return found[0] if len(found) == 1 else b"".join(found)

    def _slice(self, piece: Span, found: list[bytes], *, wait: bool) -> int:
        """Read a slice of a file, all of it or as much as is at hand; how many bytes that was."""
        facts = self._entries[piece.entry].facts
        opened = self._open is not None and self._open[0] == piece.entry
        if not (wait or opened) and may_wait(facts):
            return 0
        reader = self._reader(piece.entry)
        got = 0
        while got < piece.length:
            at, left = piece.offset + got, piece.length - got
            block = reader.read(at, left) if wait else reader.read_hot(at, left)
            if block is None:
                break
            found.append(block)
            got += len(block)
        return got

    def _reader(self, index: int) -> Reader:
        if self._open is not None and self._open[0] == index:
            return self._open[1]
        self.check()  # the file before this one; what follows it is not sent if it changed
        self.close()
        reader = self._storage.open(self._entries[index].facts)
        self._open = (index, reader)
        return reader
