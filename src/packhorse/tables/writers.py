"""Record batches to JSON, NDJSON, TSV, CSV and Parquet, batch by batch, in bounded memory.

JSON keeps null and empty text apart, Parquet does, and CSV (``""`` is the empty text, nothing is null). TSV does not,
and has no way to write a tab or a line break inside a cell: each becomes a blank, and a note says so.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, BinaryIO, Final, Literal, Protocol

import msgspec

from packhorse.errors import UsageError
from packhorse.tables.columns import Column, Note, arrow, arrow_schema

__all__ = ["FORMATS", "Format", "Writer", "format_of", "open_writer", "writing"]

Format = Literal["json", "ndjson", "tsv", "csv", "parquet"]
FORMATS: Final[tuple[Format, ...]] = ("json", "ndjson", "tsv", "csv", "parquet")

_ENDINGS: Final[dict[str, Format]] = {
    ".json": "json",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".txt": "tsv",
    ".csv": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
}
_GROUP_ROWS: Final = 32_768
_ROWS_AT_ONCE: Final = 4096


def format_of(name: str) -> Format:
    """The format that a file's name says. Raises :class:`UsageError`.

    >>> format_of("out/elisa.Parquet"), format_of("rows.jsonl")
    ('parquet', 'ndjson')
    """
    for ending, found in _ENDINGS.items():
        if name.lower().endswith(ending):
            return found
    raise UsageError(
        f"the name {name!r} does not say a format", hint=f"end it in .{', .'.join(FORMATS)}, or give --format"
    )


class Writer(Protocol):
    """Takes batches of one schema, in order."""

    notes: list[Note]

    def write(self, batch: Any) -> None:
        """Write a ``pyarrow.RecordBatch``. Raises ``OSError``."""

    def close(self) -> None:
        """Write what belongs to the end; the file stays open."""

    def abandon(self) -> None:
        """Let go of what is held: the file is not kept."""


@contextlib.contextmanager
def writing(kind: Format, file: BinaryIO, columns: Sequence[Column]) -> Iterator[Writer]:
    """:func:`open_writer`, closed at the block's end, abandoned when it fails."""
    writer = open_writer(kind, file, columns)
    try:
        yield writer
        writer.close()
    except BaseException:
        writer.abandon()
        raise


def open_writer(kind: Format, file: BinaryIO, columns: Sequence[Column]) -> Writer:
    """A writer of that format to ``file``. Raises :class:`SettingsError` where pyarrow is missing."""
    writer: Writer = _WRITERS[kind](file, columns)
    return writer


class _Json:
    """One array, a record a line; times as ISO 8601."""

    separated = True

    def __init__(self, file: BinaryIO, columns: Sequence[Column]) -> None:
        self.notes: list[Note] = []
        self._file = file
        self._names = [column.name for column in columns]
        self._encoder = msgspec.json.Encoder()
        self._first = True

    def write(self, batch: Any) -> None:
        for start in range(0, batch.num_rows, _ROWS_AT_ONCE):
            part = batch.slice(start, _ROWS_AT_ONCE)
            names = self._names
            rows = zip(*(column.to_pylist() for column in part.columns), strict=True)
            encode = self._encoder.encode
            lines = [encode(dict(zip(names, row, strict=True))) for row in rows]
            if self.separated:
                self._file.write((b"[\n" if self._first else b",\n") + b",\n".join(lines))
            else:
                self._file.write(b"\n".join(lines) + b"\n")
            self._first = False

    def close(self) -> None:
        if self.separated:
            self._file.write(b"[]\n" if self._first else b"\n]\n")

    def abandon(self) -> None:
        """Nothing is held."""


class _Ndjson(_Json):
    """A record a line."""

    separated = False


class _Tsv:
    """A header and a line a record; numbers as Python writes them; an empty cell for null."""

    _delimiter = "\t"

    def __init__(self, file: BinaryIO, columns: Sequence[Column]) -> None:
        self.notes: list[Note] = []
        self.rows = 0
        self._file = file
        header = self._delimiter.join(self._name(column.name) for column in columns)
        file.write(f"{header}\n".encode())

    def write(self, batch: Any) -> None:
        if not batch.num_rows:
            return
        import pyarrow.compute as pc

        cells = [
            self._cells(name, _as_text(column)) for name, column in zip(batch.schema.names, batch.columns, strict=True)
        ]
        # A line a row, then the values of all lines as they stand in Arrow's buffer: nothing is copied in Python.
        whole = pc.binary_join_element_wise(*cells, self._delimiter, null_handling="replace", null_replacement="")
        lines = pc.binary_join_element_wise(whole, "", "\n")
        data = lines.buffers()[2]
        if data is not None:
            self._file.write(memoryview(data))
        self.rows += batch.num_rows

    def close(self) -> None:
        """Nothing belongs to the end."""

    def abandon(self) -> None:
        """Nothing is held."""

    def _name(self, name: str) -> str:
        return name.translate({9: " ", 10: " ", 13: " "})

    def _cells(self, name: str, column: Any) -> Any:
        if not _has(column, b"\t\n\r"):
            return column
        import pyarrow.compute as pc

        broken = pc.match_substring_regex(column, "[\t\n\r]")
        first, total = pc.index(broken, value=True).as_py(), pc.sum(broken, min_count=0).as_py()
        if not total:
            return column
        note = Note(name, "a tab or line break, written as a blank", self.rows + first + 1, total)
        known = [index for index, each in enumerate(self.notes) if each.member == name]
        for index in known:
            self.notes[index] = replace(self.notes[index], count=self.notes[index].count + total)
        if not known:
            self.notes.append(note)
        return pc.replace_substring_regex(column, "\r\n|[\t\n\r]", " ")


class _Csv(_Tsv):
    """As RFC 4180 has it, with ``\\n``: quotes only where they are needed, and around the empty text."""

    _delimiter = ","

    def _name(self, name: str) -> str:
        return '"' + name.replace('"', '""') + '"' if set(name) & set('",\r\n') else name

    def _cells(self, name: str, column: Any) -> Any:
        import pyarrow.compute as pc

        empty = pc.equal(pc.binary_length(column), 0)
        special = _has(column, b'",\r\n')
        if not special and not pc.any(empty, min_count=0).as_py():
            return column
        needed = pc.or_(empty, pc.match_substring_regex(column, '[",\r\n]')) if special else empty
        doubled = pc.replace_substring(column, '"', '""') if special else column
        return pc.if_else(needed, pc.binary_join_element_wise('"', doubled, '"', ""), column)


class _Parquet:
    """Row groups of about 32,768 rows, compressed with zstd."""

    def __init__(self, file: BinaryIO, columns: Sequence[Column]) -> None:
        arrow()
        import pyarrow.parquet as pq

        self.notes: list[Note] = []
        self._held: list[Any] = []
        self._rows = 0
        self._writer = pq.ParquetWriter(file, arrow_schema(columns), compression="zstd")

    def write(self, batch: Any) -> None:
        self._held.append(batch)
        self._rows += batch.num_rows
        if self._rows >= _GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._held:
            self._writer.write_table(arrow().Table.from_batches(self._held), row_group_size=self._rows)
            self._held, self._rows = [], 0

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def abandon(self) -> None:
        with contextlib.suppress(Exception):  # the file may be what failed
            self._writer.close()


_WRITERS: Final[dict[Format, Any]] = {
    "json": _Json,
    "ndjson": _Ndjson,
    "tsv": _Tsv,
    "csv": _Csv,
    "parquet": _Parquet,
}


def _as_text(column: Any) -> Any:
    """The column's values as text: numbers with a point, times as ISO 8601."""
    pa = arrow()
    import pyarrow.compute as pc

    if column.type == pa.string():
        return column
    if pa.types.is_timestamp(column.type):
        return pa.array(_iso(column.to_pylist()), pa.string())
    text = pc.cast(column, pa.string())
    if column.type == pa.float64():
        text = pc.if_else(
            pc.match_substring_regex(text, "^-?[0-9]+$"), pc.binary_join_element_wise(text, ".0", ""), text
        )
    return text


def _iso(moments: Iterable[Any]) -> list[str | None]:
    return [None if moment is None else moment.isoformat().replace("+00:00", "Z") for moment in moments]


def _has(column: Any, characters: bytes) -> bool:
    """Whether any of the characters stands in the column's buffer (which may hold more than the column)."""
    data = column.buffers()[2]
    if data is None:
        return False
    held = memoryview(data)
    return any(_find(held, bytes([character])) for character in characters)


def _find(held: memoryview, character: bytes) -> bool:
    step = 1 << 20
    return any(character in bytes(held[start : start + step]) for start in range(0, len(held), step))
