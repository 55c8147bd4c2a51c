"""Reading a table in ImmPort's Tab form: a line a row, cells between tabs, nothing quoted (spec immport §3.1).

Pure: blocks of bytes in, rows out, one at a time. Cells are kept as they are; an empty one is ``None``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from packhorse.errors import PackageError

__all__ = ["Cells", "Problem", "TabReader"]

Cells = list[str | None]

_LONGEST: Final = 16 << 20
_MOST_COLUMNS: Final = 1000
_COLUMN: Final = re.compile(r"[a-z][a-z0-9_]{0,62}", re.ASCII)
_MISSPELT: Final = {"descripton": "description"}
"""Column names that packages misspell where later ones do not."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a line cannot be taken in. ``line`` counts from 1, the header; 0 is the file as a whole."""

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.reason}" if self.line else f"{self.file}: {self.reason}"


class TabReader:
    """One table. Construction reads its header; :meth:`rows` the rest, once.

    ``columns`` are the header's names in lower case. ``recoded`` counts the lines that are no UTF-8 and were read as
    Windows-1252, ``recoded_line`` is the first of them. Construction raises :class:`PackageError` for a header that
    cannot be used, and both do for a line of more than 16 MiB; what ``blocks`` raises passes through.
    """

    def __init__(self, file: str, blocks: Iterable[bytes]) -> None:
        self.file = file
        self.recoded = 0
        self.recoded_line = 0
        self._lines = _lines(file, blocks)
        number, raw = next(self._lines, (1, b""))
        if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise PackageError(f"{file} is UTF-16; a package's tables are UTF-8", hint="fetch the package again")
        self.columns = self._header(self._text(number, raw.removeprefix(b"\xef\xbb\xbf")))

    def _header(self, line: str) -> tuple[str, ...]:
        names = [_MISSPELT.get(name, name) for name in (cell.strip().lower() for cell in line.split("\t"))]
        if names == [""]:
            raise PackageError(f"{self.file} has no header: its first line is empty")
        if len(names) > _MOST_COLUMNS:
            raise PackageError(f"{self.file} has {len(names):,} columns; at most {_MOST_COLUMNS:,} are taken")
        for number, name in enumerate(names, 1):
            if not _COLUMN.fullmatch(name):
                raise PackageError(f"{self.file}:1: {name[:60]!r} cannot be the name of column {number}")
        if len(set(names)) != len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise PackageError(f"{self.file}:1: the column {twice} is there twice")
        return tuple(names)

    def rows(self) -> Iterator[tuple[int, Cells] | Problem]:
        """Every line after the header: its number and its cells, or why it is no row. Empty lines are passed over."""
        width = len(self.columns)
        for number, raw in self._lines:
            if not raw:
                continue
            if b"\0" in raw:
                yield Problem(self.file, number, "the line holds a NUL")
                continue
            cells = self._text(number, raw).split("\t")
            if len(cells) != width:
                yield Problem(self.file, number, f"{len(cells)} cells, the header has {width}")
                continue
            yield number, [cell or None for cell in cells]

    def _text(self, number: int, raw: bytes) -> str:
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            self.recoded += 1
            self.recoded_line = self.recoded_line or number
        try:
            return raw.decode("cp1252")
        except UnicodeDecodeError:  # five bytes mean nothing there
            return raw.decode("latin-1")


def _lines(file: str, blocks: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """The lines with their numbers, without their ends (``\\n`` or ``\\r\\n``)."""
    number = 0
    held = b""
    for block in blocks:
        *whole, rest = block.split(b"\n")
        if whole:
            whole[0] = held + whole[0]
            held = rest
        else:
            held += rest
        for line in whole:
            number += 1
            yield number, line.removesuffix(b"\r")
        if len(held) > _LONGEST:
            raise PackageError(f"{file}:{number + 1}: the line is longer than {_LONGEST >> 20} MiB")
    if held:
        yield number + 1, held.removesuffix(b"\r")
