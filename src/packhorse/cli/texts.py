"""Words and numbers as people read them. Pure functions, no terminal, no colours."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from packhorse.errors import UsageError
from packhorse.wire.words import count, size

__all__ = ["Column", "ago", "count", "duration", "parse_rate", "rate", "safe", "shorten", "size", "table", "wide"]


def rate(number: float, seconds: float) -> str:
    """A rate, or nothing where it would be noise.

    >>> rate(100 * 2**20, 2.0)
    '50 MiB/s'
    >>> rate(10, 0.0)
    ''
    """
    return f"{size(number / seconds)}/s" if seconds > 0 else ""


def duration(seconds: float) -> str:
    """A time span.

    >>> duration(0.0412), duration(4.1), duration(75), duration(3723)
    ('0.04 s', '4.1 s', '1 min 15 s', '1 h 2 min')
    """
    if seconds < 1:
        return f"{max(seconds, 0):.2f} s"
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def ago(then: float, now: float) -> str:
    """How long ago, roughly.

    >>> ago(0, 30), ago(0, 200), ago(0, 7300), ago(0, 200000)
    ('just now', '3 min ago', '2 h ago', '2 days ago')
    """
    passed = max(now - then, 0)
    for limit, unit, step in ((90, "just now", 0), (5400, "min", 60), (129600, "h", 3600)):
        if passed < limit:
            return f"{int(passed // step)} {unit} ago" if step else unit
    return f"{int(passed // 86400)} days ago"


_RATE = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*([kmgt]?)(i?)(b?)(?:/s|ps)?", re.IGNORECASE)


def parse_rate(text: str) -> int:
    """Bytes per second from ``10M``, ``1.5MiB``, ``800kB/s`` or a plain number.

    A bare letter and ``MiB`` are binary, as in curl, wget and rclone; ``MB`` is decimal. Raises :class:`UsageError`.

    >>> parse_rate("10M"), parse_rate("1.5MiB"), parse_rate("1MB"), parse_rate("5000")
    (10485760, 1572864, 1000000, 5000)
    """
    match = _RATE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"not a rate: {safe(text)!r}", hint="write bytes per second as 500k, 10M or 1.5MiB")
    number, letter, binary, byte = match.groups()
    base = 1000 if byte and not binary else 1024
    value = int(float(number) * base ** ("kmgt".index(letter.lower()) + 1 if letter else 0))
    if value < 1:
        raise UsageError("a rate of nothing would never end", hint="leave --limit-rate out for no limit")
    return value


def safe(text: str) -> str:
    """The text with everything that could steer a terminal, or reorder a line, written as an escape.

    >>> safe("a" + chr(27) + "[2Jb" + chr(0x202e) + "c")
    'a\\\\x1b[2Jb\\\\u202ec'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        ch if ch == " " or not unicodedata.category(ch).startswith(("C", "Z")) else _escape(ch) for ch in text
    )


def _escape(ch: str) -> str:
    number = ord(ch)
    return f"\\x{number:02x}" if number < 256 else f"\\u{number:04x}" if number < 65536 else f"\\U{number:08x}"


def wide(text: str) -> int:
    """Terminal columns that a (safe) text takes.

    >>> wide("abc"), wide("数据"), wide("e" + chr(0x301))
    (3, 4, 1)
    """
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(ch) else 2 if unicodedata.east_asian_width(ch) in "WF" else 1 for ch in text)


def shorten(text: str, width: int) -> str:
    """The text in at most ``width`` columns: the middle goes, because names differ at their ends.

    >>> shorten("results/salmon/salmon.merged.gene_tpm.tsv", 24)
    'results/salm…ene_tpm.tsv'
    >>> shorten("short", 24)
    'short'
    """
    if wide(text) <= width:
        return text
    if width <= 1:
        return "…"[:width]
    head, tail = _head(text, width // 2), _head(text[::-1], width - width // 2 - 1)[::-1]
    return f"{head}…{tail}"


def _head(text: str, width: int) -> str:
    taken = 0
    for index, ch in enumerate(text):
        taken += wide(ch)
        if taken > width:
            return text[:index]
    return text


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table. Only ``flexible`` ones are shortened, and only where the line would be too long."""

    title: str
    right: bool = False
    flexible: bool = False


def table(columns: Sequence[Column], rows: Iterable[Sequence[str]], width: int) -> list[str]:
    """Aligned lines, title first, at most ``width`` columns wide wherever a flexible column can give way.

    Columns that are empty in every row are left out.

    >>> table([Column("file", flexible=True), Column("size", right=True)], [["a.gz", "1 KiB"], ["b", "10 KiB"]], 80)
    ['file    size', 'a.gz   1 KiB', 'b     10 KiB']
    """
    cells = [[safe(cell) for cell in row] for row in rows]
    used = [i for i in range(len(columns)) if any(row[i] for row in cells)]
    cells = [[row[i] for i in used] for row in cells]
    columns = [columns[i] for i in used]
    if not cells:
        return []
    widths = [max(wide(column.title), *(wide(row[i]) for row in cells)) for i, column in enumerate(columns)]
    over = sum(widths) + 2 * (len(widths) - 1) - width
    for i in sorted((i for i, column in enumerate(columns) if column.flexible), key=lambda i: -widths[i]):
        if over <= 0:
            break
        least = max(8, wide(columns[i].title))
        give = min(over, max(widths[i] - least, 0))
        widths[i] -= give
        over -= give
    return [
        "  ".join(_pad(cell, w, column) for cell, w, column in zip(row, widths, columns, strict=True)).rstrip()
        for row in ([column.title for column in columns], *cells)
    ]


def _pad(cell: str, width: int, column: Column) -> str:
    if column.flexible:
        cell = shorten(cell, width)
    space = " " * max(width - wide(cell), 0)
    return space + cell if column.right else cell + space
