"""Cutting a stream of records into blocks of whole records, without parsing them: JSON arrays and lines. Pure.

A cut in a JSON array is made at the very bytes that stand between the first two records, first key included
(``}, {↵  "resultId"``): inside a string these bytes cannot stand, because a quote that is not escaped ends a string
and only ``:``, ``,``, ``}`` or ``]`` may follow. Where that separator is missing, strings and brackets are counted.
"""

from __future__ import annotations

import re
from typing import Final

from packhorse.errors import ProtocolError

__all__ = ["JsonSplitter", "LineSplitter"]

MAX_RECORD: Final = 16 * 1024 * 1024
_SPACE: Final = b" \t\r\n"
_QUOTE: Final = ord('"')
_CLOSE: Final = ord("}")
_TOKEN: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|["{}\[\]]', re.DOTALL)
_KEY: Final = re.compile(rb'\s*,\s*\{\s*"[^\s,:\]}"\\][^"\\]*"')


class JsonSplitter:
    """Takes the bytes of a JSON array of objects and gives blocks: records with the commas between them, no brackets.

    >>> splitter = JsonSplitter(block_size=1)
    >>> splitter.feed(b'[ {"a" : 1}, {"a"'), splitter.feed(b' : 2} ]'), splitter.finish()
    ([b'{"a" : 1}'], [b'{"a" : 2}'], [])
    """

    def __init__(self, block_size: int) -> None:
        self.separator: bytes | None = None
        """The bytes between two records, first key included, once they are known."""
        self.block_size = block_size
        self._held = bytearray()
        self._opened = False
        self._closed = False
        self._after_record = False  # a comma is due before the next record
        self._next_look = block_size

    def feed(self, data: bytes) -> list[bytes]:
        """More bytes: the blocks that they complete. Raises :class:`ProtocolError` for what is no array of objects."""
        self._held += data
        if not self._opened:
            self._open()
        if not self._opened or len(self._held) < self._next_look:
            return []
        end = self._last_end()
        if end == 0:
            if len(self._held) > self.block_size + MAX_RECORD:
                raise ProtocolError(f"a record of the answer is longer than {MAX_RECORD:,} bytes, or never ends")
            self._next_look = len(self._held) * 2
            return []
        self._next_look = self.block_size
        return self._take(end)

    def finish(self) -> list[bytes]:
        """The last block. Raises :class:`ProtocolError` when the array does not end."""
        if not self._opened:
            raise ProtocolError("the answer ends before it began: no JSON array came")
        end = self._scan(self._separated())
        blocks = self._take(end) if end else []
        rest = bytes(self._held).strip(_SPACE)
        if not self._closed and rest[:1] == b"]":
            self._closed, rest = True, rest[1:].strip(_SPACE)
        if not self._closed:
            raise ProtocolError("the answer was cut off: its JSON array has no end")
        if rest:
            raise ProtocolError("the answer goes on after the end of its JSON array")
        return blocks

    def _open(self) -> None:
        held = bytes(self._held[:64]).removeprefix(b"\xef\xbb\xbf").lstrip(_SPACE)
        if not held:
            if len(self._held) > 64:
                self._held = bytearray(bytes(self._held).lstrip(_SPACE))
            return
        if held[:1] != b"[":
            raise ProtocolError("the answer is no JSON array")
        del self._held[: self._held.index(b"[") + 1]
        self._opened = True

    def _last_end(self) -> int:
        """Where the last whole record ends; 0 where none does."""
        return self._separated() or self._scan(0)

    def _separated(self) -> int:
        """Where the last record ends that has a separator behind it; 0 where none does."""
        if self.separator is None:
            self._learn()
        return 0 if self.separator is None else self._held.rfind(self.separator) + 1

    def _learn(self) -> None:
        """Find the separator behind the first record. One that nests others is none to learn from: what stands between
        its parts may look the same."""
        depth = 0
        for token in _TOKEN.finditer(self._held):
            byte = self._held[token.start()]
            if byte in b"{[":
                depth += 1
            elif byte in b"}]":
                depth -= 1
                if depth <= 0:
                    found = _KEY.match(self._held, token.end()) if byte == _CLOSE else None
                    self.separator = None if found is None else b"}" + found[0]
                    return
            if depth > 1 or (byte == _QUOTE and token.end() - token.start() == 1):
                return

    def _scan(self, start: int) -> int:
        """Where the last whole record ends, at or behind ``start``, where one ends (or none has begun)."""
        depth, last = 0, start
        for token in _TOKEN.finditer(self._held, start):
            byte = self._held[token.start()]
            if byte in b"{[":
                depth += 1
            elif byte in b"}]":
                depth -= 1
                if depth < 0:
                    break  # the array's own end
                if depth == 0:
                    last = token.end()
            elif token.end() - token.start() == 1:
                break  # a string that has not ended yet
        return last

    def _take(self, end: int) -> list[bytes]:
        block = bytes(self._held[:end]).lstrip(_SPACE)
        del self._held[:end]
        if self._after_record:
            if block[:1] != b",":
                raise ProtocolError("the answer is no JSON: a comma is missing between two records")
            block = block[1:].lstrip(_SPACE)
        self._after_record = True
        return [block]


class LineSplitter:
    r"""Takes the bytes of a text and gives blocks of whole lines.

    >>> splitter = LineSplitter(block_size=1)
    >>> splitter.feed(b"a\tb\n1\t"), splitter.feed(b"2\n3\t4"), splitter.finish()
    ([b'a\tb\n'], [b'1\t2\n'], [b'3\t4'])
    """

    def __init__(self, block_size: int) -> None:
        self.block_size = block_size
        self._held = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """More bytes: the blocks that they complete. Raises :class:`ProtocolError` for a line without end."""
        self._held += data
        if len(self._held) < self.block_size:
            return []
        end = self._held.rfind(b"\n") + 1
        if end == 0:
            if len(self._held) > self.block_size + MAX_RECORD:
                raise ProtocolError(f"a line of the answer is longer than {MAX_RECORD:,} bytes")
            return []
        block = bytes(self._held[:end])
        del self._held[:end]
        return [block]

    def finish(self) -> list[bytes]:
        """What is left."""
        block, self._held = bytes(self._held), bytearray()
        return [block] if block else []
