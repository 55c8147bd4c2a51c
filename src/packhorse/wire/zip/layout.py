"""A virtual ZIP: stored entries (method 0) without data descriptors, because sizes and CRCs are known beforehand."""

from __future__ import annotations

import bisect
import hashlib
import operator
import struct
from array import array
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Final, NamedTuple

from packhorse.wire.archives import ArchiveLayout, whole_seconds
from packhorse.wire.filenames import archive_names
from packhorse.wire.zip import records
from packhorse.wire.zip.records import MAX16, MAX32

__all__ = ["ZipEntry", "ZipLayout"]

_UTF8: Final = 0x800
_UNIX: Final = 3 << 8
_MODE: Final = 0o100644 << 16
_PLAIN: Final = 20
_ZIP64: Final = 45
_BATCH: Final = 512
_SOON: Final = 2**31


class ZipEntry(NamedTuple):
    """A file of ``size`` bytes with this CRC-32 for a ZIP; ``modified`` in Unix seconds."""

    name: str
    size: int
    crc32: int
    modified: float


class ZipLayout(ArchiveLayout):
    """Every byte of a ZIP of these entries, in their order; names are made safe and unique.

    Raises ``ValueError`` for a size below 0 or a CRC of more than 32 bits.
    """

    def __init__(self, entries: Iterable[ZipEntry]) -> None:
        given = list(zip(*entries, strict=True)) or [(), (), (), ()]
        sizes, self._crcs = given[1], given[2]
        if sizes and (min(sizes) < 0 or min(self._crcs) < 0 or max(self._crcs) > MAX32):
            raise ValueError("a size or CRC-32 that no file can have")
        self._times = whole_seconds(given[3])
        self.names = archive_names(given[0])
        self._raw = [name.encode("utf-8") for name in self.names]
        lengths = list(map(len, self._raw))
        if self._times and min(self._times) >= -_SOON and max(self._times) < _SOON:
            named = [length + records.DATED.size for length in lengths]
        else:
            named = [length + len(self._dated(index)) for index, length in enumerate(lengths)]
        local = [records.LOCAL.size + length for length in named]
        central = [records.CENTRAL.size + length for length in named]
        if sizes and max(sizes) >= MAX32:
            big = [20 * (size >= MAX32) for size in sizes]
            local, central = list(map(operator.add, local, big)), list(map(operator.add, central, big))
        super().__init__(sizes, local)
        for index in range(bisect.bisect_left(self._starts, MAX32), len(sizes)):  # offsets of 64 bits
            central[index] += 8 if sizes[index] >= MAX32 else 12
        self._records: array[int] = array("q", accumulate(central, initial=0))
        self._end = self._end_records()
        self.size = self._starts[-1] + self._records[-1] + len(self._end)
        self.fingerprint = self._hash()

    def _hash(self) -> str:
        count = len(self._raw)
        found = hashlib.sha256(b"zip 1\0")
        found.update(struct.pack(f"<{count}Q{count}I{count}q", *self._sizes, *self._crcs, *self._times))
        found.update(b"\0".join(self._raw))
        return found.hexdigest()

    def _dated(self, index: int) -> bytes:
        at = self._times[index]
        return records.DATED.pack(0x5455, 5, 1, at) if -_SOON <= at < _SOON else b""

    def _head(self, index: int) -> bytes:
        raw, size = self._raw[index], self._sizes[index]
        needed = _ZIP64 if size >= MAX32 or self._starts[index] >= MAX32 else _PLAIN
        wide = struct.pack("<HHQQ", 1, 16, size, size) if size >= MAX32 else b""
        shown = min(size, MAX32)
        extra = wide + self._dated(index)
        fixed = records.LOCAL.pack(
            records.LOCAL_MAGIC,
            needed,
            _UTF8,
            0,
            *records.dos_time(self._times[index]),
            self._crcs[index],
            shown,
            shown,
            len(raw),
            len(extra),
        )
        return fixed + raw + extra

    def _record(self, index: int) -> bytes:
        raw, size, offset = self._raw[index], self._sizes[index], self._starts[index]
        wide = (struct.pack("<QQ", size, size) if size >= MAX32 else b"") + (
            struct.pack("<Q", offset) if offset >= MAX32 else b""
        )
        extra = (struct.pack("<HH", 1, len(wide)) + wide if wide else b"") + self._dated(index)
        needed = _ZIP64 if wide else _PLAIN
        shown = min(size, MAX32)
        fixed = records.CENTRAL.pack(
            records.CENTRAL_MAGIC,
            _UNIX | _ZIP64,
            needed,
            _UTF8,
            0,
            *records.dos_time(self._times[index]),
            self._crcs[index],
            shown,
            shown,
            len(raw),
            len(extra),
            0,
            0,
            0,
            _MODE,
            min(offset, MAX32),
        )
        return fixed + raw + extra

    def _end_records(self) -> bytes:
        count, size, offset = len(self._raw), self._records[-1], self._starts[-1]
        wide = b""
        if count >= MAX16 or size >= MAX32 or offset >= MAX32:
            wide = records.END64.pack(
                records.END64_MAGIC, records.END64.size - 12, _UNIX | _ZIP64, _ZIP64, 0, 0, count, count, size, offset
            )
            wide += records.LOCATOR.pack(records.LOCATOR_MAGIC, 0, offset + size, 1)
        few = min(count, MAX16)
        return wide + records.END.pack(records.END_MAGIC, 0, 0, few, few, min(size, MAX32), min(offset, MAX32), 0)

    def _trailer(self, start: int, stop: int) -> Iterator[bytes]:
        end = self._records[-1]
        index = bisect.bisect_right(self._records, start) - 1
        while index < len(self._raw) and self._records[index] < stop:
            last = min(index + _BATCH, len(self._raw))
            block = b"".join(self._record(number) for number in range(index, last))
            at = self._records[index]
            if part := block[max(start - at, 0) : stop - at]:
                yield part
            index = last
        if stop > end and (part := self._end[max(start - end, 0) : stop - end]):
            yield part
