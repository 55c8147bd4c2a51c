"""HTTP's own fields (RFC 9110): ranges, validators, dates, lengths.

Dispositions and digest fields have rooms of their own and are offered here too, so that a caller needs one import.
"""

from __future__ import annotations

import calendar
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from packhorse.model import ByteRange
from packhorse.wire.digests import (
    content_md5,
    parse_content_md5,
    parse_digest_field,
    parse_legacy_digest,
    repr_digest,
    stated_digests,
)
from packhorse.wire.disposition import content_disposition, parse_content_disposition

__all__ = [
    "ContentRange",
    "ETag",
    "Unsatisfied",
    "build_content_range",
    "content_disposition",
    "content_md5",
    "http_date",
    "if_match_holds",
    "if_none_match_hits",
    "if_range_holds",
    "looks_like_html",
    "parse_content_disposition",
    "parse_content_length",
    "parse_content_md5",
    "parse_content_range",
    "parse_digest_field",
    "parse_etag",
    "parse_http_date",
    "parse_legacy_digest",
    "parse_range",
    "repr_digest",
    "stated_digests",
    "unsatisfied_content_range",
]

_LARGEST: Final = 2**63 - 1
"""No file is larger; longer numbers are hostile (and Python refuses to convert very long ones)."""


@dataclass(frozen=True, slots=True)
class ContentRange:
    """Bytes ``start`` (included) to ``stop`` (excluded) of ``total``, which is ``None`` where the server said ``*``."""

    start: int
    stop: int
    total: int | None


@dataclass(frozen=True, slots=True)
class Unsatisfied:
    """A range outside the bytes that exist: ``bytes */total``. ``total`` is ``None`` where it was not said."""

    total: int | None


@dataclass(frozen=True, slots=True)
class ETag:
    """An entity tag; ``tag`` is the text between the quotes.

    >>> str(ETag("abc")), str(ETag("abc", weak=True))
    ('"abc"', 'W/"abc"')
    """

    tag: str
    weak: bool = False

    def strong_match(self, other: ETag) -> bool:
        """RFC 9110 §8.8.3.2: both strong and equal."""
        return not self.weak and not other.weak and self.tag == other.tag

    def weak_match(self, other: ETag) -> bool:
        """RFC 9110 §8.8.3.2: equal, weak or not."""
        return self.tag == other.tag

    def __str__(self) -> str:
        return f'{"W/" if self.weak else ""}"{self.tag}"'


def _number(digits: str) -> int:
    """A number of ASCII digits, capped at one more than the largest file."""
    stripped = digits.lstrip("0")
    return _LARGEST + 1 if len(stripped) > 19 else min(int(stripped or "0"), _LARGEST + 1)


_SPEC: Final = re.compile(r"([0-9]*)-([0-9]*)", re.ASCII)


def parse_range(header: str | None, size: int) -> ByteRange | Unsatisfied | None:
    """What a server does with a ``Range`` header for a representation of ``size`` bytes (RFC 9110 §14.2).

    ``None``: send the whole thing. That is the answer to no header, a malformed one, another unit, and to several
    ranges at once (a server may always ignore ``Range``; multipart answers help nobody here).

    >>> parse_range("bytes=-5", 20)
    ByteRange(start=15, stop=20)
    >>> parse_range("bytes=20-", 20)
    Unsatisfied(total=20)
    """
    if header is None:
        return None
    unit, equals, specs = header.partition("=")
    if not equals or unit.strip(" \t").lower() != "bytes":
        return None
    wanted = [spec for spec in (part.strip(" \t") for part in specs.split(",", 2)) if spec]
    if len(wanted) != 1:
        return None
    match = _SPEC.fullmatch(wanted[0])
    if match is None:
        return None
    first, last = match.groups()
    if not first:
        return _suffix(last, size)
    start = _number(first)
    stop = _number(last) + 1 if last else _LARGEST + 2
    if stop <= start:
        return None
    if start >= size:
        return Unsatisfied(size)
    return ByteRange(start, min(stop, size))


def _suffix(digits: str, size: int) -> ByteRange | Unsatisfied | None:
    if not digits:
        return None
    length = min(_number(digits), size)
    return ByteRange(size - length, size) if length else Unsatisfied(size)


def build_content_range(part: ByteRange, total: int) -> str:
    """``Content-Range`` of a 206.

    >>> build_content_range(ByteRange(0, 10), 20)
    'bytes 0-9/20'
    """
    return f"bytes {part.start}-{part.stop - 1}/{total}"


def unsatisfied_content_range(total: int) -> str:
    """``Content-Range`` of a 416."""
    return f"bytes */{total}"


_CONTENT_RANGE: Final = re.compile(
    r"bytes[ \t:=]+(?:([0-9]+)[ \t]*-[ \t]*([0-9]+)|\*)[ \t]*/[ \t]*([0-9]+|\*)", re.ASCII
)


def parse_content_range(text: str | None, *, beyond: bool = False) -> ContentRange | Unsatisfied | None:
    """Read a server's ``Content-Range``; ``None`` when it is missing, unreadable or contradicts itself.

    Lenient in spelling (case, stray blanks, ``bytes=``), strict in meaning: the first byte may not lie behind the last,
    nor the last beyond the total (unless ``beyond``: of encrypted files FileSender names the range that was asked and
    the plain size).

    >>> parse_content_range("bytes 5-9/20")
    ContentRange(start=5, stop=10, total=20)
    """
    if text is None or len(text) > 200:
        return None
    match = _CONTENT_RANGE.fullmatch(text.strip(" \t").lower())
    if match is None:
        return None
    first, last, whole = match.groups()
    total = None if whole == "*" else _number(whole)
    if total is not None and total > _LARGEST:
        return None
    if first is None:
        return Unsatisfied(total)
    start, stop = _number(first), _number(last) + 1
    if stop <= start or stop > _LARGEST or (total is not None and (start if beyond else stop) > total):
        return None
    return ContentRange(start, stop, total)


def parse_content_length(values: Iterable[str]) -> int | None:
    """The length that all ``Content-Length`` lines agree on, or ``None``.

    ``None`` for no line, signs, anything but digits, numbers no file can have, and lines that differ (RFC 9110 §8.6).

    >>> parse_content_length(["5", "5, 5"]), parse_content_length(["5", "6"]), parse_content_length(["-1"])
    (5, None, None)
    """
    found: set[int] = set()
    for value in values:
        for part in value.split(","):
            digits = part.strip(" \t")
            if not digits or not digits.isascii() or not digits.isdigit():
                return None
            found.add(_number(digits))
    if len(found) != 1:
        return None
    length = found.pop()
    return length if length <= _LARGEST else None


_ETAG: Final = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')


def parse_etag(text: str | None) -> ETag | None:
    """An ``ETag`` header's value, or ``None``. An unquoted tag (some servers) is not one: it promises nothing.

    >>> parse_etag('W/"x"')
    ETag(tag='x', weak=True)
    """
    if text is None:
        return None
    match = _ETAG.fullmatch(text.strip(" \t"))
    return ETag(match[2], weak=match[1] is not None) if match else None


def if_range_holds(header: str | None, etag: ETag | None, modified: float | None) -> bool:
    """Whether a ``Range`` may be honoured (RFC 9110 §13.1.5). Without the header it always may.

    A tag is compared strongly, a date must be the very ``Last-Modified`` that was sent; anything unreadable means no.
    """
    if header is None:
        return True
    wanted = parse_etag(header)
    if wanted is not None:
        return etag is not None and wanted.strong_match(etag)
    date = parse_http_date(header)
    return date is not None and modified is not None and date == int(modified)


def if_none_match_hits(header: str | None, etag: ETag | None) -> bool:
    """Whether ``If-None-Match`` names what we have, so that the answer is 304 (weak comparison, RFC 9110 §13.1.2)."""
    if header is None or etag is None:
        return False
    return header.strip(" \t") == "*" or any(tag.weak_match(etag) for tag in _etags(header))


def if_match_holds(header: str | None, etag: ETag | None) -> bool:
    """Whether ``If-Match`` allows the request; otherwise 412 (strong comparison, RFC 9110 §13.1.1)."""
    if header is None:
        return True
    if etag is None:
        return False
    return header.strip(" \t") == "*" or any(tag.strong_match(etag) for tag in _etags(header))


def _etags(header: str) -> list[ETag]:
    return [ETag(match[2], weak=match[1] is not None) for match in _ETAG.finditer(header)]


_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTH: Final = {name.lower(): number for number, name in enumerate(_MONTHS, 1)}
_CLOCK: Final = r"(?P<h>[0-9]{2}):(?P<m>[0-9]{2}):(?P<s>[0-9]{2})"
_DATES: Final = (
    re.compile(
        rf"[a-z]{{3}}, (?P<d>[0-9]{{1,2}}) (?P<mon>[a-z]{{3}}) (?P<y>[0-9]{{4}}) {_CLOCK} (?:gmt|utc)", re.ASCII
    ),
    re.compile(rf"[a-z]{{6,9}}, (?P<d>[0-9]{{2}})-(?P<mon>[a-z]{{3}})-(?P<y>[0-9]{{2}}) {_CLOCK} gmt", re.ASCII),
    re.compile(rf"[a-z]{{3}} (?P<mon>[a-z]{{3}}) (?P<d>[ 0-9][0-9]) {_CLOCK} (?P<y>[0-9]{{4}})", re.ASCII),
)


def http_date(seconds: float) -> str:
    """Unix seconds as an HTTP date (IMF-fixdate), cut down to the whole second.

    >>> http_date(784111777)
    'Sun, 06 Nov 1994 08:49:37 GMT'
    """
    t = time.gmtime(int(seconds))
    clock = f"{t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02}"
    return f"{_DAYS[t.tm_wday]}, {t.tm_mday:02} {_MONTHS[t.tm_mon - 1]} {t.tm_year:04} {clock} GMT"


@lru_cache(maxsize=1024)
def parse_http_date(text: str | None, *, now: float | None = None) -> int | None:
    """Any of HTTP's three date forms as Unix seconds (RFC 9110 §5.6.7), or ``None``.

    A two-digit year that would lie more than 50 years after ``now`` (default: the clock) means the last century.

    >>> parse_http_date("Sunday, 06-Nov-94 08:49:37 GMT") == parse_http_date("Sun Nov  6 08:49:37 1994") == 784111777
    True
    """
    if text is None or len(text) > 64:
        return None
    lowered = text.strip(" \t").lower()
    match = next((found for form in _DATES if (found := form.fullmatch(lowered))), None)
    if match is None or match["mon"] not in _MONTH:
        return None
    year, month, day = int(match["y"]), _MONTH[match["mon"]], int(match["d"])
    if len(match["y"]) == 2:
        this_year = time.gmtime(time.time() if now is None else now).tm_year
        year += this_year - this_year % 100
        year -= 100 if year > this_year + 50 else 0
    hour, minute, second = int(match["h"]), int(match["m"]), int(match["s"])
    if year < 1 or hour > 23 or minute > 59 or second > 60 or not 1 <= day <= calendar.monthrange(year, month)[1]:
        return None
    return calendar.timegm((year, month, day, hour, minute, min(second, 59)))


_HTML_HEADS: Final = (b"<!doctype html", b"<html", b"<head", b"<body", b"<title", b"<!--[if")


def looks_like_html(head: bytes) -> bool:
    """Whether a body that begins with ``head`` (some hundred bytes suffice) is a web page.

    A download that should be data and is one of these is a login page or a web application's shell (spec flow §1).

    >>> looks_like_html(b"\\xef\\xbb\\xbf\\n <!DOCTYPE html><html>"), looks_like_html(b"@read1\\nACGT")
    (True, False)
    """
    text = head[:2048].removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n\f").lower()
    if text.startswith(b"<?xml"):
        text = text.partition(b"?>")[2].lstrip(b" \t\r\n\f")
    return text.startswith(_HTML_HEADS)
