"""Blocks, pieces and connections: what is missing, who fetches it, with how many hands. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from packhorse.model import ByteRange

__all__ = [
    "BLOCK",
    "Frontier",
    "Pace",
    "Shares",
    "block_count",
    "block_range",
    "cut_pieces",
    "missing_ranges",
    "next_connections",
    "piece_size",
    "worth_splitting",
]

BLOCK: Final = 1024 * 1024
_MIN_PIECE: Final = 8 * BLOCK
_MAX_PIECE: Final = 32 * BLOCK
_MIN_SPLIT: Final = BLOCK // 4
_SPLIT_STEP: Final = 64 * 1024
_SOON: Final = 0.4
_FAST: Final = 4e6


def block_count(size: int, block: int = BLOCK) -> int:
    """How many blocks (of 1 MiB, where a codec's chunks are not the blocks) a file of ``size`` bytes has."""
    return -(-size // block)


def block_range(index: int, size: int, block: int = BLOCK) -> ByteRange:
    """The bytes of block ``index``."""
    return ByteRange(index * block, min((index + 1) * block, size))


def missing_ranges(held: Iterable[int], size: int, block: int = BLOCK) -> list[ByteRange]:
    """The bytes outside the held blocks, as few ranges as possible, ascending. Its work grows with what is held, not
    with ``size``, which a server may have made up."""
    ranges: list[ByteRange] = []
    start = 0
    for index in sorted(set(held)):
        stop = min(index * block, size)
        if stop > start:
            ranges.append(ByteRange(start, stop))
        start = max(start, (index + 1) * block)
    if start < size:
        ranges.append(ByteRange(start, size))
    return ranges


def piece_size(size: int, connections: int) -> int:
    """Bytes per piece: 8–32 MiB, in whole blocks, less where there would not be one piece per connection."""
    share = size // max(1, connections)
    wanted = min(max(share // 4, _MIN_PIECE), _MAX_PIECE)
    wanted = min(wanted, max(share, BLOCK))
    return max(BLOCK, -(-wanted // BLOCK) * BLOCK)


def cut_pieces(missing: Iterable[ByteRange], size: int, block: int = BLOCK) -> list[ByteRange]:
    """Missing ranges cut into pieces of at most ``size`` bytes, ascending, so that the hash follows the frontier."""
    pieces: list[ByteRange] = []
    for span in missing:
        start = span.start
        while start < span.stop:
            # Piece borders are block borders, whatever the first piece began with.
            stop = min(span.stop, (start // block) * block + size)
            pieces.append(ByteRange(start, stop))
            start = stop
    return pieces


def worth_splitting(position: int, stop: int, rate: float) -> int | None:
    """Where an idle connection may take over the second half of a piece in flight that runs at ``rate`` bytes per
    second, or ``None`` where it would end soon by itself.

    On a block border, except in the last few MiB, where a straggler would otherwise keep all waiting.
    """
    left = stop - position
    if left < 2 * _MIN_SPLIT or (rate > 0 and left / rate < _SOON):
        return None
    step = BLOCK if left >= 4 * BLOCK else _SPLIT_STEP
    middle = (position + left // 2) // step * step
    return middle if middle - position >= _SPLIT_STEP and stop - middle >= _SPLIT_STEP else None


@dataclass(frozen=True, slots=True)
class Pace:
    """One measured interval of a file: bytes per second with so many connections."""

    connections: int
    rate: float


def next_connections(paces: list[Pace], cap: int) -> int:
    """How many connections the next interval of one file gets: throughput decides.

    More while more brought at least a tenth more; as many as before where more brought a tenth less; else as it is.
    A connection that is fast by itself is not what holds a file up: then it stays as it is, too.
    """
    if not paces:
        return min(4, cap)
    now = paces[-1]
    if now.rate / now.connections >= _FAST:
        return max(1, min(now.connections, cap))
    before = next((pace for pace in reversed(paces[:-1]) if pace.connections != now.connections), None)
    if before is None:
        wanted = now.connections + max(1, now.connections // 2)
    elif now.connections > before.connections:
        gain = now.rate / before.rate if before.rate > 0 else 2.0
        if gain >= 1.1:
            wanted = now.connections + max(1, now.connections // 2)
        elif gain < 0.9:
            wanted = before.connections
        else:
            wanted = now.connections
    else:
        wanted = now.connections
    return max(1, min(wanted, cap))


class Shares:
    """Which bytes of blocks are written that several pieces share, until each of those blocks is whole."""

    __slots__ = ("_block", "_shares")

    def __init__(self, block: int = BLOCK) -> None:
        self._block = block
        self._shares: dict[int, set[tuple[int, int]]] = {}

    def add(self, start: int, stop: int, span: ByteRange) -> bool:
        """Bytes ``start`` to ``stop`` of the block with the bytes ``span`` are written. True when it is whole now."""
        shares = self._shares.setdefault(span.start // self._block, set())
        shares.add((start, stop))
        reached = span.start
        for one, other in sorted(shares):
            if one > reached:
                return False
            reached = max(reached, other)
        if reached < span.stop:
            return False
        del self._shares[span.start // self._block]
        return True


class Frontier:
    """How far a file is whole from its start, as ranges arrive in any order and may overlap."""

    __slots__ = ("_later", "position")

    def __init__(self) -> None:
        self.position = 0
        self._later: list[tuple[int, int]] = []

    def add(self, start: int, stop: int) -> bool:
        """Bytes ``start`` to ``stop`` are written. True when the frontier moved."""
        if stop <= start or stop <= self.position:
            return False
        if start > self.position:
            heapq.heappush(self._later, (start, stop))
            return False
        self.position = stop
        while self._later and self._later[0][0] <= self.position:
            self.position = max(self.position, heapq.heappop(self._later)[1])
        return True
