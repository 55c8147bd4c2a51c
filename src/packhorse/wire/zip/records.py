"""The records of a ZIP file as they lie on disk (APPNOTE 6.3.10 §4.3; extra fields §4.5 and Info-ZIP's ``UT``)."""

from __future__ import annotations

import calendar
import struct
import time
from typing import Final, NamedTuple

from packhorse.errors import ProtocolError

__all__ = [
    "CENTRAL",
    "CENTRAL_MAGIC",
    "DATED",
    "END",
    "END64",
    "END64_MAGIC",
    "END_MAGIC",
    "LOCAL",
    "LOCAL_MAGIC",
    "LOCATOR",
    "LOCATOR_MAGIC",
    "MAX16",
    "MAX32",
    "CentralFields",
    "LocalFields",
    "brief",
    "dos_time",
    "extra_fields",
    "from_dos_time",
    "zip64_values",
]

MAX16: Final = 0xFFFF
MAX32: Final = 0xFFFFFFFF
LOCAL: Final = struct.Struct("<4sHHHHHIIIHH")
CENTRAL: Final = struct.Struct("<4sHHHHHHIIIHHHHHII")
END: Final = struct.Struct("<4sHHHHIIH")
END64: Final = struct.Struct("<4sQHHIIQQQQ")
LOCATOR: Final = struct.Struct("<4sIQI")
DATED: Final = struct.Struct("<HHBi")
"""The extended timestamp with a modification time only: the same bytes in both headers."""
LOCAL_MAGIC: Final = b"PK\x03\x04"
CENTRAL_MAGIC: Final = b"PK\x01\x02"
END_MAGIC: Final = b"PK\x05\x06"
END64_MAGIC: Final = b"PK\x06\x06"
LOCATOR_MAGIC: Final = b"PK\x06\x07"


class LocalFields(NamedTuple):
    """A local header, field by field."""

    magic: bytes
    needed: int
    flags: int
    method: int
    time: int
    date: int
    crc32: int
    stored: int
    size: int
    name_length: int
    extra_length: int


class CentralFields(NamedTuple):
    """A record of the central directory, field by field."""

    magic: bytes
    made_by: int
    needed: int
    flags: int
    method: int
    time: int
    date: int
    crc32: int
    stored: int
    size: int
    name_length: int
    extra_length: int
    comment_length: int
    disk: int
    internal: int
    external: int
    offset: int


_FIRST: Final = 315_532_800  # 1980-01-01
_LAST: Final = 4_354_819_198  # 2107-12-31 23:59:58


def dos_time(seconds: int) -> tuple[int, int]:
    """Unix seconds as a ZIP's time and date words, in UTC, cut to two seconds and clamped to 1980…2107.

    >>> dos_time(0) == dos_time(315_532_800) == (0, 0x21)
    True
    """
    t = time.gmtime(min(max(seconds, _FIRST), _LAST))
    return t.tm_hour << 11 | t.tm_min << 5 | t.tm_sec >> 1, (t.tm_year - 1980) << 9 | t.tm_mon << 5 | t.tm_mday


def from_dos_time(clock: int, date: int) -> int | None:
    """Unix seconds (as if UTC) of the two words, or ``None`` for a day that no calendar has.

    >>> from_dos_time(*dos_time(1_700_000_000))
    1700000000
    """
    year, month, day = (date >> 9) + 1980, date >> 5 & 15, date & 31
    hour, minute, second = clock >> 11, clock >> 5 & 63, (clock & 31) * 2
    if not 1 <= month <= 12 or not 1 <= day <= calendar.monthrange(year, month)[1]:
        return None
    return calendar.timegm((year, month, day, min(hour, 23), min(minute, 59), min(second, 59)))


def brief(name: str) -> str:
    """A hostile name as a message shows it: quoted, and not longer than a line.

    >>> brief("a\\nb" + "c" * 200)
    "'a\\\\nbccccccccccccccccccccccccccccccccccccccccccccccccccccccccc…'"
    """
    return repr(name if len(name) <= 60 else name[:60] + "…")


def extra_fields(extra: bytes, name: str) -> dict[int, bytes]:
    """The extra fields by their numbers. Raises :class:`ProtocolError` for one that is too long or there twice.

    Up to three bytes at the end, and zeros (aligning writers leave them), say nothing.
    """
    found: dict[int, bytes] = {}
    at = 0
    while at + 4 <= len(extra):
        number, length = struct.unpack_from("<HH", extra, at)
        value = extra[at + 4 : at + 4 + length]
        if len(value) < length or (number in found and number):
            raise ProtocolError(f"{brief(name)}: its extra fields in the ZIP cannot be read")
        found[number] = value
        at += 4 + length
    return found


def zip64_values(extra: bytes, name: str, **narrow: int) -> list[int]:
    """The 32-bit values as they are meant, in order: where one is full, the zip64 field has it (APPNOTE §4.5.3)."""
    if MAX32 not in narrow.values():
        return list(narrow.values())
    wide = extra_fields(extra, name).get(1)
    if wide is None:
        return list(narrow.values())  # a file of exactly that size, from a writer without zip64
    if len(wide) < 8 * list(narrow.values()).count(MAX32):
        raise ProtocolError(f"{brief(name)}: its zip64 field is too short")
    meant = struct.iter_unpack("<Q", wide[: len(wide) & ~7])
    return [next(meant)[0] if value == MAX32 else value for value in narrow.values()]
