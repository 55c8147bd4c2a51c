"""Reading a ZIP that nobody vouches for, by ranges (APPNOTE 6.3.10 §4.3): its directory first, then one slice an entry.

Every claim is compared with every other before a byte is unpacked: what contradicts itself is refused, because two
readers would see two different archives. What is merely not supported (encryption, other methods, links) is marked.
The steps are generators that ask for ranges and are sent bytes, so that any kind of I/O can drive them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Final, TypeVar

from packhorse.errors import IntegrityError, ProtocolError
from packhorse.model import ByteRange
from packhorse.wire.zip import records
from packhorse.wire.zip.directory import ReadEntry, parse_records
from packhorse.wire.zip.records import MAX16, MAX32

__all__ = ["Limits", "data_slice", "directory_steps", "head_range", "read_directory", "read_slice"]

_Found = TypeVar("_Found")
Fetch = Callable[[int, int], bytes]
_TAIL: Final = records.END.size + MAX16 + records.LOCATOR.size + records.END64.size
_PIECE: Final = 4 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """What a directory may claim: number of entries, its own bytes, and how much everything unpacked may be.

    ``ratio`` (unpacked : archive) counts from ``unpacked`` bytes on; below, no archive does harm.
    """

    entries: int = 500_000
    directory: int = 256 << 20
    unpacked: int = 4 << 30
    ratio: int = 200


@dataclass(frozen=True, slots=True)
class _End:
    """Where the directory is, and how many records it has."""

    offset: int
    size: int
    count: int


def read_directory(fetch: Fetch, size: int, limits: Limits | None = None) -> list[ReadEntry]:
    """The entries of a ZIP of ``size`` bytes, in the order of its directory; ``fetch(start, stop)`` gets its bytes.

    Raises :class:`ProtocolError` for what is no ZIP or contradicts itself, and :class:`IntegrityError` for sizes that
    cannot be true. Names are as written: they lead nowhere outside, but must still become safe paths.
    """
    return _drive(directory_steps(size, limits), fetch)


def read_slice(fetch: Fetch, entry: ReadEntry) -> ByteRange:
    """Where an entry's stored bytes are, from its local header. Raises as :func:`data_slice`."""
    wanted = head_range(entry)
    head = fetch(wanted.start, wanted.stop)
    if len(head) != len(wanted):
        raise ProtocolError("the ZIP ended within an entry's header")
    return data_slice(entry, head)


def _drive(steps: Generator[ByteRange, bytes, _Found], fetch: Fetch) -> _Found:
    try:
        wanted = next(steps)
        while True:
            wanted = steps.send(fetch(wanted.start, wanted.stop))
    except StopIteration as done:
        found: _Found = done.value
        return found


def directory_steps(size: int, limits: Limits | None = None) -> Generator[ByteRange, bytes, list[ReadEntry]]:
    """:func:`read_directory` as a generator: it yields the ranges it wants and is sent their bytes."""
    limits = limits or Limits()
    first = max(size - _TAIL, 0)
    tail = yield from _bytes(ByteRange(first, size))
    end = _find_end(tail, first)
    if end.count > limits.entries or end.size > limits.directory:
        raise ProtocolError(f"the ZIP claims {end.count} entries in a directory of {end.size} bytes; that is too many")
    if end.count * records.CENTRAL.size > end.size:
        raise ProtocolError(f"the ZIP claims {end.count} entries, its directory has no room for them")
    if end.offset >= first:
        raw = tail[end.offset - first : end.offset - first + end.size]
    else:
        joined = bytearray()
        for at in range(end.offset, end.offset + end.size, _PIECE):
            joined += yield from _bytes(ByteRange(at, min(at + _PIECE, end.offset + end.size)))
        raw = bytes(joined)
    entries = parse_records(raw, end.count, end.offset)
    unpacked = sum(entry.size for entry in entries)
    if unpacked > limits.unpacked and unpacked > limits.ratio * size:
        raise ProtocolError(
            f"the ZIP has {size} bytes and claims to unpack to {unpacked}: that is a bomb, not data",
            hint="if it is meant, unpack it with another program",
        )
    return entries


def _bytes(wanted: ByteRange) -> Generator[ByteRange, bytes, bytes]:
    found = (yield wanted) if len(wanted) else b""
    if len(found) != len(wanted):
        raise ProtocolError(f"{len(wanted)} bytes of the ZIP's directory were asked for, {len(found)} came")
    return found


def _find_end(tail: bytes, first: int) -> _End:
    """The end record, by its comment reaching exactly to the end; ``tail`` begins at byte ``first`` of the file."""
    fits = []
    at = tail.rfind(records.END_MAGIC)
    while at >= 0:
        if at + records.END.size <= len(tail):
            comment = records.END.unpack_from(tail, at)[7]
            if at + records.END.size + comment == len(tail):
                fits.append(at)
        at = tail.rfind(records.END_MAGIC, 0, at + len(records.END_MAGIC) - 1)
    if not fits:
        raise ProtocolError("this is no ZIP, or its end is missing", hint="it may be cut short: fetch it again")
    if len(fits) > 1:
        raise ProtocolError("the ZIP has two ends: one of them is forged")
    at = fits[0]
    _, disk, start, here, count, size, offset, _ = records.END.unpack_from(tail, at)
    locator = at - records.LOCATOR.size
    if locator >= 0 and tail[locator : locator + 4] == records.LOCATOR_MAGIC:
        return _find_end64(tail, first, locator, (disk, start, here, count, size, offset))
    if (disk, start) != (0, 0) or here != count:
        raise ProtocolError("the ZIP is one of several volumes, or says so")
    return _placed(_End(offset, size, count), first + at)


def _find_end64(tail: bytes, first: int, locator: int, short: tuple[int, ...]) -> _End:
    _, disk, offset64, disks = records.LOCATOR.unpack_from(tail, locator)
    at = offset64 - first
    if at < 0 or at + records.END64.size > locator or tail[at : at + 4] != records.END64_MAGIC:
        raise ProtocolError("the ZIP's zip64 end is not where it says")
    _, length, _, _, *wide = records.END64.unpack_from(tail, at)
    if at + 12 + length != locator or disk != 0 or disks > 1 or wide[0] or wide[1] or wide[2] != wide[3]:
        raise ProtocolError("the ZIP's zip64 end contradicts itself")
    for narrow, full, most in zip(short, wide, (MAX16, MAX16, MAX16, MAX16, MAX32, MAX32), strict=True):
        if narrow not in (most, full):
            raise ProtocolError("the ZIP's two ends contradict each other")
    return _placed(_End(wide[5], wide[4], wide[3]), first + at)


def _placed(end: _End, stop: int) -> _End:
    if end.offset + end.size != stop:
        raise ProtocolError("the ZIP's directory does not end where its end record begins")
    return end


def head_range(entry: ReadEntry) -> ByteRange:
    """The range that surely holds an entry's local header; with what most writers write, no byte more."""
    least = records.LOCAL.size + len(entry.raw_name)
    whole = entry.stop - entry.offset - entry.stored
    # a short gap behind the data may be the header's; in a long one the header needs room for the longest extra field
    return ByteRange(entry.offset, entry.offset + (whole if whole <= least + 1024 else min(whole, least + MAX16)))


def data_slice(entry: ReadEntry, head: bytes) -> ByteRange:
    """Where an entry's stored bytes are; ``head``: bytes from its ``offset`` on, at least its local header's.

    Raises :class:`ProtocolError` where the local header contradicts the directory, :class:`IntegrityError` where its
    size or CRC does.
    """
    if len(head) < records.LOCAL.size:
        raise ProtocolError(f"{entry.shown} has no header in the ZIP")
    local = records.LocalFields._make(records.LOCAL.unpack_from(head))
    if local.magic != records.LOCAL_MAGIC:
        raise ProtocolError(f"{entry.shown} is not where the ZIP's directory says")
    raw = head[records.LOCAL.size : records.LOCAL.size + local.name_length]
    if raw != entry.raw_name or local.method != entry.method or (local.flags ^ entry.flags) & 0x841:
        raise ProtocolError(f"{entry.shown}: its header and the ZIP's directory contradict each other")
    start = entry.offset + records.LOCAL.size + local.name_length + local.extra_length
    if start + entry.stored > entry.stop:
        raise ProtocolError(f"{entry.shown} overlaps what follows it in the ZIP")
    _compare_claims(entry, local, head)
    return ByteRange(start, start + entry.stored)


def _compare_claims(entry: ReadEntry, local: records.LocalFields, head: bytes) -> None:
    """CRC and sizes of the local header; with a data descriptor they may be left at 0 there."""
    at = records.LOCAL.size + local.name_length
    extra = head[at : at + local.extra_length]
    if len(extra) < local.extra_length:
        raise ProtocolError(f"{entry.shown}: its header is longer than the ZIP has room for")
    size, stored = records.zip64_values(extra, entry.name, size=local.size, stored=local.stored)
    later = bool(local.flags & 8)
    for what, got, wanted in (
        ("crc32", local.crc32, entry.crc32),
        ("size", size, entry.size),
        ("stored size", stored, entry.stored),
    ):
        if got != wanted and not (later and got == 0):
            raise IntegrityError(
                f"{entry.shown}: the {what} in its header is not the one in the ZIP's directory",
                expected=_shown(what, wanted),
                got=_shown(what, got),
            )


def _shown(what: str, value: int) -> str:
    return f"crc32:{value:08x}" if what == "crc32" else str(value)
