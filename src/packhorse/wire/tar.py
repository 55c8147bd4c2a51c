"""A virtual tar: ustar headers, with a pax header before them where ustar has no room (POSIX.1-2017 pax, §4.25)."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from packhorse.wire.archives import ArchiveLayout, whole_seconds
from packhorse.wire.filenames import archive_names

__all__ = ["TarEntry", "TarLayout"]

_BLOCK: Final = 512
_OCTAL: Final = 8**11
"""The first size or date that eleven octal digits cannot say."""
_NAME: Final = 100
_HEADER: Final = struct.Struct("100s8s8s8s12s12s8sc100s6s2s32s32s8s8s155s12x")
_END: Final = bytes(2 * _BLOCK)


class TarEntry(NamedTuple):
    """A file of ``size`` bytes for a tar; ``modified`` in Unix seconds. ``tag`` says which bytes (any text)."""

    name: str
    size: int
    modified: float
    tag: str


class TarLayout(ArchiveLayout):
    """Every byte of a tar of these entries, in their order; names are made safe and unique.

    Raises ``ValueError`` for a size below 0.
    """

    def __init__(self, entries: Iterable[TarEntry]) -> None:
        given = list(zip(*entries, strict=True)) or [(), (), (), ()]
        sizes = given[1]
        if sizes and min(sizes) < 0:
            raise ValueError("a size that no file can have")
        self._times = whole_seconds(given[2])
        self.names = archive_names(given[0])
        self._raw = [name.encode("utf-8") for name in self.names]
        self._heads = [
            _wide(raw, size, at) if _needs_pax(raw, size, at) else _BLOCK
            for raw, size, at in zip(self._raw, sizes, self._times, strict=True)
        ]
        super().__init__(sizes, [head + -size % _BLOCK for head, size in zip(self._heads, sizes, strict=True)])
        self.size = self._starts[-1] + len(_END)
        self.fingerprint = self._hash(given[3])

    def _hash(self, tags: Iterable[str]) -> str:
        count = len(self._raw)
        found = hashlib.sha256(b"tar 1\0")
        found.update(struct.pack(f"<{count}Q{count}q", *self._sizes, *self._times))
        found.update(b"\0".join(self._raw) + b"\0\0" + "\0".join(tags).encode("utf-8"))
        return found.hexdigest()

    def _head_size(self, index: int) -> int:
        return self._heads[index]

    def _head(self, index: int) -> bytes:
        raw, size, at = self._raw[index], self._sizes[index], self._times[index]
        pax = _pax(raw, size, at)
        before = b""
        if pax:
            note = b"PaxHeaders/" + _short(raw)[-_NAME + 11 :]
            before = _header(note, len(pax), 0, b"x") + pax + bytes(-len(pax) % _BLOCK)
        return before + _header(_short(raw), size if size < _OCTAL else 0, min(max(at, 0), _OCTAL - 1), b"0")

    def _trailer(self, start: int, stop: int) -> Iterator[bytes]:
        yield _END[start:stop]


def _needs_pax(raw: bytes, size: int, modified: int) -> bool:
    return len(raw) > _NAME or not raw.isascii() or size >= _OCTAL or not 0 <= modified < _OCTAL


def _wide(raw: bytes, size: int, modified: int) -> int:
    """Bytes of the head of an entry that needs a pax header."""
    noted = len(_pax(raw, size, modified))
    return 2 * _BLOCK + noted + -noted % _BLOCK


def _pax(raw: bytes, size: int, modified: int) -> bytes:
    """The pax records that an entry needs, or nothing."""
    found = b""
    if len(raw) > _NAME or not raw.isascii():
        found += _pax_record(b"path", raw)
    if size >= _OCTAL:
        found += _pax_record(b"size", b"%d" % size)
    if not 0 <= modified < _OCTAL:
        found += _pax_record(b"mtime", b"%d" % modified)
    return found


def _pax_record(key: bytes, value: bytes) -> bytes:
    """``length key=value``, where the length counts its own digits too."""
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest) + len(str(len(rest)))
    length = len(rest) + len(str(length))
    return b"%d" % length + rest


def _short(raw: bytes) -> bytes:
    """What the header itself shows of a name: for readers that know no pax, so ASCII, and its end."""
    return bytes(byte if byte < 128 else 95 for byte in raw)[-_NAME:]


def _header(name: bytes, size: int, modified: int, kind: bytes) -> bytes:
    numbers = (b"0000644\0", b"0000000\0", b"0000000\0", b"%011o\0" % size, b"%011o\0" % modified)
    device = b"0000000\0"
    block = bytearray(
        _HEADER.pack(name, *numbers, b" " * 8, kind, b"", b"ustar\0", b"00", b"root", b"root", device, device, b"")
    )
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)
