"""What virtual ZIPs and tars have in common: entries one behind another, each a head, stored bytes and padding.

Nothing is written: from names, sizes and checksums follows every byte that is not a file's own, so any slice of an
archive can be told without the slices before it (DESIGN §6).
"""

from __future__ import annotations

import abc
import bisect
import operator
from array import array
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final, NamedTuple

__all__ = ["ArchiveLayout", "Span", "whole_seconds"]

_FAR: Final = 2**36


class Span(NamedTuple):
    """``length`` bytes of the file of entry number ``entry``, from ``offset`` on."""

    entry: int
    offset: int
    length: int


class ArchiveLayout(abc.ABC):
    """Where every byte of an archive is. Small: two numbers an entry, besides what the entries themselves hold.

    ``names`` are the entries' names inside the archive, ``size`` is the archive's in bytes, and ``fingerprint``
    (hexadecimal) is another one as soon as a name, size, checksum or date is.
    """

    names: Sequence[str]
    size: int
    fingerprint: str

    def __init__(self, sizes: Sequence[int], around: Sequence[int]) -> None:
        """``around``: bytes of head and padding of each entry. Raises ``ValueError`` beyond 2⁶³ bytes."""
        self._sizes = sizes
        try:
            self._starts: array[int] = array("q", accumulate(map(operator.add, sizes, around), initial=0))
        except OverflowError:
            raise ValueError("an archive of more than 2**63 bytes") from None

    def read_plan(self, start: int = 0, stop: int | None = None) -> Iterator[bytes | Span]:
        """What bytes ``start`` to ``stop`` (excluded; default: the end) consist of, in order, made as it is asked for.

        Neither bytes nor spans are ever empty.
        """
        stop = self.size if stop is None else min(stop, self.size)
        if start >= stop:
            return
        end = self._starts[-1]
        if start < end:
            for index in range(bisect.bisect_right(self._starts, start) - 1, len(self._sizes)):
                if self._starts[index] >= stop:
                    return
                yield from self._entry(index, start, stop)
        if stop > end:
            yield from self._trailer(max(start, end) - end, stop - end)

    def entries_in(self, start: int, stop: int) -> range:
        """The entries that lie at least partly within bytes ``start`` to ``stop``."""
        first = max(bisect.bisect_right(self._starts, start) - 1, 0)
        return range(min(first, len(self._sizes)), min(bisect.bisect_left(self._starts, stop), len(self._sizes)))

    def _entry(self, index: int, start: int, stop: int) -> Iterator[bytes | Span]:
        at, size = self._starts[index], self._sizes[index]
        data = at + self._head_size(index)
        if start < data:
            yield from _cut(self._head(index), at, start, stop)
        first, last = max(start, data), min(stop, data + size)
        if first < last:
            yield Span(index, first - data, last - first)
        padding = self._starts[index + 1] - data - size
        if padding:
            yield from _cut(bytes(padding), data + size, start, stop)

    def _head_size(self, index: int) -> int:
        """Bytes of an entry's head: all that is around it, where nothing is padded."""
        return self._starts[index + 1] - self._starts[index] - self._sizes[index]

    @abc.abstractmethod
    def _head(self, index: int) -> bytes:
        """The bytes before an entry's own."""

    @abc.abstractmethod
    def _trailer(self, start: int, stop: int) -> Iterator[bytes]:
        """Bytes ``start`` to ``stop`` of what follows the last entry."""


def whole_seconds(dates: Sequence[float]) -> list[int]:
    """Dates cut to the second; what is no date at all (not a number, beyond any calendar) is 0."""
    try:
        found = list(map(int, dates))
    except (ValueError, OverflowError):
        found = [int(at) if -_FAR < at < _FAR else 0 for at in dates]
    return (
        found
        if not found or (min(found) > -_FAR and max(found) < _FAR)
        else [at if abs(at) < _FAR else 0 for at in found]
    )


def _cut(block: bytes, at: int, start: int, stop: int) -> Iterator[bytes]:
    """The part of a block that lies at ``at`` which is within ``start`` to ``stop``."""
    part = block[max(start - at, 0) : max(stop - at, 0)]
    if part:
        yield part
