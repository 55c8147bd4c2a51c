"""A server's answer as it comes, in pieces of any size, to Arrow record batches of bounded size.

A :class:`Decoder` cuts the stream into blocks (cheap, in order); a block is decoded by itself, in any thread, by
Arrow's own readers, which let go of the interpreter; what those refuse is read cell by cell
(:mod:`packhorse.tables.careful`). :meth:`Decoder.accept` takes the results in order.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from packhorse.errors import ProtocolError
from packhorse.tables.blocks import Block, Decoded
from packhorse.tables.careful import Wider, extra_columns
from packhorse.tables.columns import Column, Note
from packhorse.tables.records import Record, RowError, json_records, members_of, parse_json, records_of
from packhorse.tables.splitting import JsonSplitter, LineSplitter

__all__ = ["Decoder", "WiderAnswerError"]

FIRST_BLOCK: Final = 64 * 1024
JSON_BLOCK: Final = 2 * 1024 * 1024
LINE_BLOCK: Final = 1024 * 1024
MAX_WHOLE: Final = 64 * 1024 * 1024
"""An answer that is one object is held whole, up to so many bytes."""
_MAX_NAME: Final = 1000
_LONGEST_HEADER: Final = 64 * 1024
_MAX_COLUMNS: Final = 2000


class WiderAnswerError(ProtocolError):
    """The answer has what its first rows did not announce; read again with ``columns`` it fits."""

    code = "wider-answer"

    def __init__(self, found: Wider, row: int) -> None:
        super().__init__(
            f"row {row:,} of the answer: {found.member} {found.what}",
            hint=f"read that member as text from the start: --text {found.member}",
        )
        self.columns = found.columns


@dataclass(slots=True)
class Decoder:
    """Takes an answer's bytes, gives blocks. ``columns``: what the model states; members that the first block has in
    addition become columns behind them. ``rows`` and ``notes``: what :meth:`accept` took.

    >>> decoder = Decoder((Column("a", "integer"),))
    >>> blocks = decoder.feed(b'[{"a": 1, "b"') + decoder.feed(b': "x"}]') + decoder.finish()
    >>> [decoder.accept(block.decode()).to_pylist() for block in blocks]
    [[{'a': 1, 'b': 'x'}]]
    """

    columns: tuple[Column, ...]
    rows: int = 0
    notes: list[Note] = field(default_factory=list)
    _head: bytearray = field(default_factory=bytearray)
    _split: JsonSplitter | LineSplitter | None = None
    _whole: bool = False
    _header: tuple[str, ...] | None = None
    _settled: bool = False

    @property
    def by_lines(self) -> bool:
        """Whether the answer is lines of text, which have no end of their own."""
        return self._header is not None

    def feed(self, data: bytes) -> list[Block]:
        """More of the answer: the blocks that it completes. Raises :class:`ProtocolError`."""
        if self._split is not None:
            return self._blocks(self._split.feed(data))
        self._head += data
        if self._whole:
            if len(self._head) > MAX_WHOLE:
                raise ProtocolError(f"the answer is one object of more than {MAX_WHOLE:,} bytes, not rows")
            return []
        return self._begin()

    def finish(self) -> list[Block]:
        """The answer has ended: the last blocks. Raises :class:`ProtocolError` for one that was cut off."""
        if self._whole:
            records = records_of(_content(parse_json(bytes(self._head))))
            self._settle(records)
            return [Block(b"", self.columns, records=records)] if records else []
        if self._split is None:
            if not self._head.strip():
                raise ProtocolError("the answer is empty")
            self._head += b"\n"  # a header without rows or line end
            return [*self._begin(), *self.finish()]
        return self._blocks(self._split.finish())

    def accept(self, decoded: Decoded) -> Any:
        """The record batch of the next block in order. Raises :class:`WiderAnswerError`."""
        trouble = decoded.trouble
        if isinstance(trouble, Wider):
            raise WiderAnswerError(trouble, self.rows + trouble.row)
        if trouble is not None:
            raise RowError(self.rows + trouble.row, trouble.what)
        for note in decoded.notes:
            self._note(note)
        self.rows += decoded.batch.num_rows
        return decoded.batch

    def _note(self, note: Note) -> None:
        for index, known in enumerate(self.notes):
            if (known.member, known.what) == (note.member, note.what):
                self.notes[index] = replace(known, count=known.count + note.count)
                return
        self.notes.append(replace(note, row=self.rows + note.row))

    def _begin(self) -> list[Block]:
        """What the answer is, by its first byte that is no blank."""
        start = bytes(self._head[:4096]).removeprefix(b"\xef\xbb\xbf").lstrip(b" \r\n")
        if start[:1] == b"[":
            self._split = JsonSplitter(FIRST_BLOCK)
        elif start[:1] == b"{":
            self._whole = True
            return self.feed(b"")
        elif start[:1] == b"<":
            raise ProtocolError("the answer is a web page, not rows", hint="check the address of the remote")
        elif start and b"\n" in self._head:
            line, _, rest = bytes(self._head).removeprefix(b"\xef\xbb\xbf").lstrip(b" \r\n").partition(b"\n")
            self._take_header(line)
            self._split = LineSplitter(FIRST_BLOCK)
            self._head = bytearray(rest)
        elif len(self._head) > _LONGEST_HEADER:
            raise ProtocolError("the answer is neither JSON nor tab-separated text")
        else:
            return []
        data, self._head = bytes(self._head), bytearray()
        return self._blocks(self._split.feed(data))

    def _take_header(self, line: bytes) -> None:
        try:
            names = tuple(line.decode().removesuffix("\r").split("\t"))
        except UnicodeDecodeError:
            raise ProtocolError("the answer is not UTF-8") from None
        known = {column.name for column in self.columns}
        if len(set(names)) < len(names) or "" in names or (known and known.isdisjoint(names)):
            raise ProtocolError(
                f"the answer is no table of these rows: it begins with {line[:60].decode('utf-8', 'replace')!a}"
            )
        self._header = names
        self._add(Column(name, stated=False) for name in names if name not in known)

    def _blocks(self, pieces: Iterable[bytes]) -> list[Block]:
        found = []
        for piece in pieces:
            if isinstance(self._split, LineSplitter):
                self._split.block_size = LINE_BLOCK
                found.append(Block(piece, self.columns, header=self._header))
                continue
            assert self._split is not None
            if not self._settled:
                self._settle(json_records(piece))
                self._split.block_size = JSON_BLOCK
            found.append(Block(piece, self.columns, self._split.separator))
        return found

    def _settle(self, records: list[Record]) -> None:
        """The first records say which members there are in addition."""
        self._settled = True
        self._add(extra_columns(records, self.columns))

    def _add(self, columns: Iterable[Column]) -> None:
        added = tuple(columns)
        if any(len(column.name) > _MAX_NAME for column in added) or len(added) + len(self.columns) > _MAX_COLUMNS:
            raise ProtocolError("the answer has members beyond reason: too many, or with endless names")
        self.columns += added


def _content(parsed: Any) -> Any:
    """The rows of an object that has them: in ``content`` (a page), or the object is the only row."""
    members = members_of(parsed)
    if members is None:
        return parsed
    content = members.get("content")
    if isinstance(content, list):
        return list(content)
    said = members.get("message") or members.get("error")
    if said is not None:
        raise ProtocolError(f"the answer is no table, it says: {ascii(str(said))[1:-1][:200]}")
    raise ProtocolError("the answer is one object, not rows")
