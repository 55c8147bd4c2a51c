"""A ``multipart/form-data`` body, taken in piece by piece: fields in memory, files into drafts of the storage."""

from __future__ import annotations

import errno
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from isal import isal_zlib
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from packhorse.server import uploads
from packhorse.server.api.core import Home, Refusal, log
from packhorse.server.immport.parcels import bad_name
from packhorse.server.storage import Part, PartWriter, StorageError

__all__ = ["Form", "SentFile", "parts_of", "receive_form"]

_GATHER: Final = 256 * 1024
_FIELD: Final = 64 * 1024
_FIELDS: Final = 100
_HEADERS: Final = 16 * 1024


@dataclass(frozen=True, slots=True)
class SentFile:
    """A file that was sent: its name, and the draft that holds its bytes."""

    name: str
    key: str
    size: int
    crc32: str


@dataclass(slots=True)
class Form:
    """What was sent. ``drop`` gives the drafts back when nothing comes of it."""

    fields: dict[str, str] = field(default_factory=dict)
    files: list[SentFile] = field(default_factory=list)

    def drop(self, home: Home) -> None:
        """Delete the drafts; their rows go with the next sweep."""
        for file in self.files:
            try:
                home.storage.drop(file.key)
            except StorageError as error:
                log.error("a draft cannot be dropped: %s", error)


async def receive_form(request: Request) -> Form:
    """Read the request's body. Raises :class:`Refusal`: 400 for what is no form, 413 for one that is too large, 507
    where the disk is full. A body that breaks off leaves nothing behind."""
    home: Home = request.app.state.home
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get(b"boundary", b"")
    if kind.lower() != b"multipart/form-data" or not 0 < len(boundary) <= 200:
        raise Refusal(400, "The request body must be multipart/form-data (curl -F)")
    taker = _Taker(home, home.config.immport.package_size, home.config.immport.package_files)
    parser = MultipartParser(boundary, taker.callbacks())  # type: ignore[arg-type] # the class has more than it tells
    done = False
    try:
        held = bytearray()
        async for piece in request.stream():
            held += piece
            if len(held) >= _GATHER:
                await run_in_threadpool(taker.take, parser, bytes(held))
                held.clear()
        await run_in_threadpool(taker.take, parser, bytes(held))
        if not taker.ended:
            raise Refusal(400, "The form ends before its last boundary")
        done = True
        return taker.form
    except FormParserError:
        raise Refusal(400, "The form cannot be read: it is not multipart/form-data") from None
    except StorageError as error:
        log.error("an upload cannot be stored: %s", error)
        cause = error.__cause__
        full = isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT)
        raise Refusal(507 if full else 500, "There is no space left for uploads" if full else None) from None
    finally:
        if not done:
            await run_in_threadpool(taker.give_up)


class _Taker:
    """Takes parsed pieces in; used by one thread at a time."""

    def __init__(self, home: Home, most: int, most_files: int) -> None:
        self.form = Form()
        self.ended = False
        self._home = home
        self._most = most
        self._most_files = most_files
        self._total = 0
        self._header = bytearray()
        self._value = bytearray()
        self._headers: dict[bytes, bytes] = {}
        self._name = ""
        self._file: str | None = None
        self._text = bytearray()
        self._writer: PartWriter | None = None
        self._size = 0
        self._crc = 0

    def callbacks(self) -> Mapping[str, Callable[..., Any]]:
        """What the parser calls."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._add(self._header, data[start:end]),
            "on_header_value": lambda data, start, end: self._add(self._value, data[start:end]),
            "on_header_end": self._header_end,
            "on_headers_finished": self._opened,
            "on_part_data": self._data,
            "on_part_end": self._part_end,
            "on_end": self._end,
        }

    def take(self, parser: MultipartParser, block: bytes) -> None:
        """Parse one block."""
        self._total += len(block)
        if self._total > self._most:
            raise Refusal(413, f"A package may have {self._most:,} bytes", headers={"Connection": "close"})
        if block:
            parser.write(block)

    def give_up(self) -> None:
        """Let go of everything."""
        if self._writer is not None:
            self._writer.close()
        self.form.drop(self._home)

    def _begin(self) -> None:
        self._headers, self._text = {}, bytearray()
        self._header, self._value = bytearray(), bytearray()
        self._size = self._crc = 0

    def _add(self, held: bytearray, piece: bytes) -> None:
        held += piece
        if len(held) > _HEADERS:
            raise Refusal(400, "A part of the form has headers that are too long")

    def _header_end(self) -> None:
        if len(self._headers) > 20:
            raise Refusal(400, "A part of the form has too many headers")
        self._headers[bytes(self._header).lower()] = bytes(self._value)
        self._header, self._value = bytearray(), bytearray()

    def _opened(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        raw = options.get(b"filename")
        self._file = None
        if raw is None:
            if len(self.form.fields) >= _FIELDS:
                raise Refusal(400, "The form has too many fields")
            return
        name = raw.decode("utf-8", "replace").replace("\\", "/").rpartition("/")[2]
        if self._name != "file":
            raise Refusal(400, f"Files go into the field 'file', not {self._name[:50]!r}")
        if reason := bad_name(name):
            raise Refusal(400, f"The package cannot be taken: {reason}")
        if len(self.form.files) >= self._most_files:
            raise Refusal(413, f"A package may hold {self._most_files:,} files", headers={"Connection": "close"})
        self._file = name
        self._writer = self._home.storage.part()

    def _data(self, data: bytes, start: int, end: int) -> None:
        piece = data[start:end]
        if self._writer is not None:
            self._writer.write(piece)
            self._crc = isal_zlib.crc32(piece, self._crc)
            self._size += len(piece)
            return
        self._text += piece
        if len(self._text) > _FIELD:
            raise Refusal(400, f"The field {self._name[:50]!r} is too long")

    def _part_end(self) -> None:
        if self._writer is None:
            try:
                self.form.fields[self._name] = self._text.decode("utf-8")
            except UnicodeDecodeError:
                raise Refusal(400, f"The field {self._name[:50]!r} is not text") from None
            return
        writer, self._writer = self._writer, None
        try:
            with self._home.database.write() as session:
                key = uploads.new_draft(session, self._home.storage, self._size)
            self.form.files.append(SentFile(self._file or "", key, self._size, f"{self._crc:08x}"))
            if self._size:
                writer.keep(key, 0)
        finally:
            writer.close()

    def _end(self) -> None:
        self.ended = True


def parts_of(file: SentFile) -> list[Part]:
    """The one part of a draft that was sent whole."""
    return [Part(0, file.size, file.crc32)] if file.size else []
