"""Memory for parts on their way: bounded for the whole process, and used again, since new memory costs more to get than
a part costs to hash."""

from __future__ import annotations

import threading
from typing import Final

__all__ = ["Lent", "Memory"]

_BUDGET: Final = 64 << 20
_SPARE: Final = 32 << 20
_UNIT: Final = 1 << 20


class Memory:
    """At most ``budget`` bytes lent at a time, at most ``spare`` kept for the next ones. Thread-safe."""

    def __init__(self, budget: int = _BUDGET, spare: int = _SPARE) -> None:
        self._lock = threading.Lock()
        self._left = budget
        self._most_spare = spare
        self._spare: list[bytearray] = []

    def lend(self, length: int) -> Lent | None:
        """Room for ``length`` bytes, not cleared; ``None`` when so much is not left."""
        size = max(1, -(-length // _UNIT)) * _UNIT
        with self._lock:
            if size > self._left:
                return None
            self._left -= size
            found = next((at for at, each in enumerate(self._spare) if len(each) == size), None)
            block = self._spare.pop(found) if found is not None else None
        return Lent(self, block or bytearray(size), length)

    def _returned(self, block: bytearray, *, again: bool) -> None:
        with self._lock:
            self._left += len(block)
            if again:
                self._spare.append(block)
            kept = sum(map(len, self._spare))
            while kept > self._most_spare:  # the oldest first: sizes that are not asked for any more go
                kept -= len(self._spare.pop(0))


class Lent:
    """Memory that was lent. ``view`` has the length asked for. Each owner calls ``give`` or ``drop``, once."""

    def __init__(self, home: Memory, block: bytearray, length: int) -> None:
        self._home = home
        self._block = block
        self._owners = 1
        self._again = True
        self._lock = threading.Lock()
        self.view = memoryview(block)[:length]

    def share(self) -> Lent:
        """One more owner, who gives it back too."""
        with self._lock:
            assert self._owners, "it was given back"
            self._owners += 1
        return self

    def give(self) -> None:
        """One owner needs it no more."""
        self._end(again=True)

    def drop(self) -> None:
        """One owner lets go of it while somebody may still read or write there, so that nobody else gets it."""
        self._end(again=False)

    def _end(self, *, again: bool) -> None:
        with self._lock:
            assert self._owners, "it was given back"
            self._owners -= 1
            self._again = self._again and again
            if self._owners:
                return
        self.view = memoryview(b"")
        self._home._returned(self._block, again=self._again)
