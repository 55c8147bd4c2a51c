"""The journal of one owner of one part file: append-only, every line checked (DESIGN §4).

Its creation (``O_EXCL``, with a number) is the lease, see :mod:`packhorse.transfer.lease`. A line is a JSON value, a
space, and the CRC-32 of its bytes. A torn or damaged line says nothing; the others still count, because each stands
for itself: a header, a held block with its CRC-32, a heartbeat, that the owner let go, or that all blocks are void.
"""

from __future__ import annotations

import os
import threading
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import msgspec

from packhorse.model import Identity
from packhorse.transfer.blocks import BLOCK, block_count, block_range

__all__ = [
    "FORMAT",
    "Journal",
    "JournalState",
    "Owner",
    "append_lines",
    "held_bytes",
    "read_journal",
    "read_lines",
    "seal",
]

FORMAT: Final = 1


class Owner(msgspec.Struct, frozen=True):
    """The process that holds a lease. ``space`` is its pid namespace; ``started`` its start time as the kernel's."""

    host: str
    boot: str
    space: str
    pid: int
    started: str


class _Header(msgspec.Struct, frozen=True, tag="open"):
    format: int
    owner: Owner
    kind: str
    value: str
    size: int | None
    address: str = ""
    block: int = BLOCK


class _Block(msgspec.Struct, frozen=True, tag="b", array_like=True):
    index: int
    crc: int


class _Beat(msgspec.Struct, frozen=True, tag="h", array_like=True):
    count: int


class _Void(msgspec.Struct, frozen=True, tag="v", array_like=True):
    why: str


class _Release(msgspec.Struct, frozen=True, tag="r", array_like=True):
    why: str


_encode = msgspec.json.Encoder().encode
_decode_header = msgspec.json.Decoder(_Header).decode
_decode_line = msgspec.json.Decoder(_Block | _Beat | _Void | _Release).decode


def seal(value: Any) -> bytes:
    """A checked line."""
    body = _encode(value)
    return b"%s %08x\n" % (body, zlib.crc32(body))


def read_lines(data: bytes) -> Iterator[bytes]:
    """The bodies of the lines whose check agrees."""
    for line in data.split(b"\n"):
        body, space, check = line.rpartition(b" ")
        if space and len(check) == 8:
            try:
                agreed = int(check, 16) == zlib.crc32(body)
            except ValueError:
                continue
            if agreed:
                yield body


def append_lines(descriptor: int, lines: bytes, *, torn: bool = False) -> None:
    """Append whole lines. ``torn``: the last attempt failed half way, so that these begin on a line of their own.

    Raises ``OSError``; what was written then counts as torn.
    """
    left = memoryview(b"\n" + lines if torn else lines)
    while left:
        left = left[os.write(descriptor, left) :]


@dataclass(slots=True)
class JournalState:
    """What a journal says: ``blocks`` maps a held block's index to its CRC-32; a block has ``block`` bytes (those of a
    codec's chunk, where the bytes are encrypted by the chunk)."""

    owner: Owner | None = None
    identity: Identity | None = None
    address: str = ""
    beat: int = 0
    released: bool = False
    block: int = BLOCK
    blocks: dict[int, int] = field(default_factory=dict)


def read_journal(data: bytes) -> JournalState:
    """The state that a journal's bytes describe. Never raises: what cannot be read says nothing."""
    state = JournalState()
    for body in read_lines(data):
        try:
            if body[:1] == b"{":
                header = _decode_header(body)
                if header.format == FORMAT and header.kind in ("digest", "id", "etag", "weak"):
                    state.owner = header.owner
                    state.identity = Identity(header.kind, header.value, header.size)  # type: ignore[arg-type]
                    state.address = header.address
                    state.block = max(1, header.block)
                continue
            line = _decode_line(body)
        except (msgspec.DecodeError, msgspec.ValidationError):
            continue
        if isinstance(line, _Block):
            if line.index >= 0:
                state.blocks[line.index] = line.crc
        elif isinstance(line, _Beat):
            state.beat = max(state.beat, line.count)
        elif isinstance(line, _Release):
            state.released = True
        else:
            state.blocks.clear()
    return state


def held_bytes(states: Iterable[JournalState], size: int | None) -> int:
    """The bytes of a file that the newest of these journals and those like it hold, as far as they say; ``size`` is the
    file's, where it is known."""
    newest_first = list(states)[::-1]
    block = next((state.block for state in newest_first if state.identity is not None), BLOCK)
    blocks: set[int] = set()
    for state in newest_first:
        if state.block == block:
            blocks.update(state.blocks)
    if size is None:
        return len(blocks) * block
    return sum(len(block_range(index, size, block)) for index in blocks if index < block_count(size, block))


class Journal:
    """The open journal of this process. Threads may append; one ``write`` per append. ``held``: whether any block is in
    it."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._fd = descriptor
        self._lock = threading.Lock()
        self._beats = 0
        self._torn = False
        self.held = False

    def open_with(self, owner: Owner, identity: Identity, address: str, block: int = BLOCK) -> None:
        """The header: whose it is, and of what."""
        self._append(seal(_Header(FORMAT, owner, identity.kind, identity.value, identity.size, address, block)))

    def blocks(self, held: Iterable[tuple[int, int]]) -> None:
        """These blocks (index, CRC-32) are in the part file."""
        lines = b"".join(seal(_Block(index, crc)) for index, crc in held)
        self.held = self.held or bool(lines)
        self._append(lines)

    def beat(self) -> None:
        """The owner lives."""
        self._beats += 1
        self._append(seal(_Beat(self._beats)))

    def void(self, why: str) -> None:
        """Nothing of what was journalled before counts."""
        self._append(seal(_Void(why)))

    def release(self, why: str) -> None:
        """The owner stops in good order: whoever comes next need not wait for its heart to stand still."""
        self._append(seal(_Release(why)))

    def _append(self, data: bytes) -> None:
        if not data:
            return
        with self._lock:
            if self._fd >= 0:
                torn, self._torn = self._torn, True
                append_lines(self._fd, data, torn=torn)
                self._torn = False

    def close(self) -> None:
        """Close it; it stays on disk until the file is placed."""
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1
