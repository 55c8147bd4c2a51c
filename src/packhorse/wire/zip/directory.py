"""The records of a central directory, read with suspicion (APPNOTE 6.3.10 §4.3.12)."""

from __future__ import annotations

import re
import stat
import struct
import zlib
from dataclasses import dataclass, replace
from typing import Final

from packhorse.errors import IntegrityError, ProtocolError
from packhorse.wire.zip import records

__all__ = ["ReadEntry", "parse_records"]

STORED: Final = 0
DEFLATED: Final = 8
_MOST_DEFLATED: Final = 1032
"""Deflate makes at most 258 bytes of two bits."""
_OUTSIDE: Final = re.compile(r"^[/\\]|^[A-Za-z]:|(?:^|[/\\])\.\.(?:[/\\]|$)", re.ASCII)
_CP437: Final = "cp437"


@dataclass(frozen=True, slots=True)
class ReadEntry:
    """An entry of somebody's ZIP.

    ``size`` bytes unpacked, ``stored`` bytes in the archive, packed by ``method`` (0 stored, 8 deflated). Its local
    header is at ``offset``, and everything of it lies before ``stop``. ``modified`` in Unix seconds. ``unsupported``
    says in words why it cannot be read, if so.
    """

    name: str
    raw_name: bytes
    flags: int
    method: int
    crc32: int
    size: int
    stored: int
    offset: int
    stop: int
    modified: int | None
    unsupported: str | None

    @property
    def shown(self) -> str:
        """The name as messages show it."""
        return records.brief(self.name)

    @property
    def is_folder(self) -> bool:
        """Whether it only names a folder."""
        return self.name.endswith("/")


def parse_records(raw: bytes, count: int, directory: int) -> list[ReadEntry]:
    """The ``count`` entries of a directory that begins at byte ``directory`` of the archive.

    Raises :class:`ProtocolError` and :class:`IntegrityError`: too few or too many records, names that are not text,
    twice there or lead outside, entries that overlap each other or the directory, sizes that cannot be true.
    """
    entries: list[ReadEntry] = []
    at = 0
    for _ in range(count):
        entry, at = _parse_record(raw, at, directory)
        entries.append(entry)
    if at != len(raw):
        raise ProtocolError("the ZIP's directory holds more than the entries it claims")
    names: set[str] = set()
    for entry in entries:
        if entry.name in names:
            raise ProtocolError(f"the ZIP holds {entry.shown} twice: nobody can tell which one is meant")
        names.add(entry.name)
    return _bounded(entries, directory)


def _parse_record(raw: bytes, at: int, directory: int) -> tuple[ReadEntry, int]:
    if at + records.CENTRAL.size > len(raw):
        raise ProtocolError("the ZIP's directory ends within an entry")
    found = records.CentralFields._make(records.CENTRAL.unpack_from(raw, at))
    at += records.CENTRAL.size
    stop = at + found.name_length + found.extra_length + found.comment_length
    if found.magic != records.CENTRAL_MAGIC or stop > len(raw):
        raise ProtocolError("the ZIP's directory cannot be read")
    raw_name = raw[at : at + found.name_length]
    extra = raw[at + found.name_length : at + found.name_length + found.extra_length]
    rough = raw_name.decode("ascii", "replace")
    fields = records.extra_fields(extra, rough)
    name = _name(raw_name, found.flags, fields)
    size, stored, offset = records.zip64_values(extra, rough, size=found.size, stored=found.stored, offset=found.offset)
    if found.disk not in (0, records.MAX16):
        raise ProtocolError(f"{records.brief(name)} lies on another volume of the ZIP")
    entry = ReadEntry(
        name=name,
        raw_name=raw_name,
        flags=found.flags,
        method=found.method,
        crc32=found.crc32,
        size=size,
        stored=stored,
        offset=offset,
        stop=directory,
        modified=_modified(found, fields),
        unsupported=_unsupported(found),
    )
    _believable(entry)
    return entry, stop


def _name(raw: bytes, flags: int, fields: dict[int, bytes]) -> str:
    """The entry's name: UTF-8 where it is said to be, or in Info-ZIP's field (``0x7075``), else code page 437."""
    other = fields.get(0x7075, b"")
    try:
        if flags & 0x800:
            name = raw.decode("utf-8")
        elif len(other) > 5 and other[:5] == b"\x01" + struct.pack("<I", zlib.crc32(raw)):
            name = other[5:].decode("utf-8")
        else:
            name = raw.decode(_CP437)
    except UnicodeDecodeError:
        raise ProtocolError("the ZIP holds a name that is not text, though it says so") from None
    if not name or "\0" in name:
        raise ProtocolError("the ZIP holds an entry whose name is empty or holds a NUL")
    if _OUTSIDE.search(name):
        raise ProtocolError(f"the ZIP's entry {records.brief(name)} would be written outside of the destination")
    return name


def _unsupported(found: records.CentralFields) -> str | None:
    if found.flags & 0x2041:
        return "encrypted"
    if found.method not in (STORED, DEFLATED):
        return f"packed by method {found.method}"
    if found.flags & 0x20:
        return "a patch"
    mode = found.external >> 16 if found.made_by >> 8 == 3 else 0
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "a link or device"
    return None


def _believable(entry: ReadEntry) -> None:
    """Sizes that no packing can explain."""
    if entry.unsupported is not None:
        return
    most = entry.stored if entry.method == STORED else entry.stored * _MOST_DEFLATED
    if entry.size > most or (entry.method == STORED and entry.size != entry.stored):
        raise IntegrityError(
            f"{entry.shown}: {entry.stored} bytes in the ZIP cannot be the {entry.size} that it claims",
            expected=str(entry.size),
            got=str(entry.stored),
        )
    if entry.is_folder and entry.size:
        raise ProtocolError(f"{entry.shown} is a folder with content")


def _modified(found: records.CentralFields, fields: dict[int, bytes]) -> int | None:
    exact = fields.get(0x5455, b"")
    if len(exact) >= 5 and exact[0] & 1:
        return int.from_bytes(exact[1:5], "little", signed=True)
    return records.from_dos_time(found.time, found.date)


def _bounded(entries: list[ReadEntry], directory: int) -> list[ReadEntry]:
    """The entries with their ends: each must be over before the next one, in order of place, begins."""
    stops: dict[int, int] = {}
    after = directory
    for entry in sorted(entries, key=lambda one: one.offset, reverse=True):
        least = records.LOCAL.size + len(entry.raw_name) + entry.stored
        if entry.offset in stops or entry.offset + least > after:
            what = "the directory" if after == directory else "another entry"
            raise ProtocolError(f"the ZIP's entry {entry.shown} overlaps {what}")
        stops[entry.offset] = after
        after = entry.offset
    return [replace(entry, stop=stops[entry.offset]) for entry in entries]
