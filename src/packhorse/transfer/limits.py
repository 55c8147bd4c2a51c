"""What is shared by all that moves at once: the byte budget, the rate, the counts."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from typing import Final

__all__ = ["BYTE_BUDGET", "ByteBudget", "Meter", "Throttle"]

BYTE_BUDGET: Final = 32 * 1024 * 1024


class ByteBudget:
    """Memory for bytes in flight, first come, first served. On the engine's loop; a large wish gets all there is."""

    def __init__(self, size: int = BYTE_BUDGET) -> None:
        self.size = size
        self.free = size
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, count: int) -> int:
        """Wait for ``count`` bytes (at most the whole budget); what must be given back."""
        count = min(count, self.size)
        if not self._waiting and self.free >= count:
            self.free -= count
            return count
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (count, turn)
        self._waiting.append(entry)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give(count)
            elif entry in self._waiting:
                self._waiting.remove(entry)
                self.give(0)  # a smaller wish behind it may fit
            raise
        return count

    def give(self, count: int) -> None:
        """Give bytes back."""
        self.free += count
        while self._waiting and self.free >= self._waiting[0][0]:
            wanted, turn = self._waiting.popleft()
            if not turn.done():
                self.free -= wanted
                turn.set_result(None)


class Throttle:
    """A rate for the whole job, kept by holding the lanes' threads: the sender then slows down by itself."""

    def __init__(self, rate: int) -> None:
        self.rate = max(1, rate)
        self._lock = threading.Lock()
        self._free_at = time.monotonic()
        self._over = threading.Event()

    def stop(self) -> None:
        """It is over: whoever is held goes on at once."""
        self._over.set()

    def hold(self, count: int) -> None:
        """Account for ``count`` bytes, and sleep as long as the rate demands."""
        with self._lock:
            now = time.monotonic()
            # A burst of a tenth of a second is let through.
            self._free_at = max(self._free_at, now - 0.1) + count / self.rate
            wait = self._free_at - now
        if wait > 0:
            self._over.wait(wait)


class Meter:
    """Bytes that came over the network, counted from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.total = 0

    def add(self, count: int) -> None:
        """So many more."""
        with self._lock:
            self.total += count
