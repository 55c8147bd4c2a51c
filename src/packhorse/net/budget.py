"""How many connections to one host: one budget for all that happens there (DESIGN §4).

One more per clean response up to the cap; halved, at most once per round trip, on 429, 503 or a refusal.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass, replace

__all__ = ["BudgetState", "HostBudget", "on_clean", "on_slow_down"]


@dataclass(frozen=True, slots=True)
class BudgetState:
    """``limit`` connections are allowed now, never more than ``cap``; ``round_trip`` in seconds, smoothed."""

    limit: int
    cap: int
    round_trip: float = 0.1
    halved_at: float = float("-inf")


def on_clean(state: BudgetState, elapsed: float) -> BudgetState:
    """After a response without complaint whose first byte took ``elapsed`` seconds."""
    smooth = 0.8 * state.round_trip + 0.2 * min(elapsed, 10.0)
    return replace(state, limit=min(state.cap, state.limit + 1), round_trip=smooth)


def on_slow_down(state: BudgetState, now: float) -> BudgetState:
    """After 429, 503 or a refused connection: half as many, but one storm counts once."""
    if now - state.halved_at < state.round_trip:
        return state
    return replace(state, limit=max(1, state.limit // 2), halved_at=now)


class HostBudget:
    """The gate in front of one host. Used on the engine's loop only."""

    def __init__(self, cap: int, start: int = 8) -> None:
        self.state = BudgetState(limit=max(1, min(start, cap)), cap=max(1, cap))
        self.in_use = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._paused_until = 0.0

    def set_cap(self, cap: int) -> None:
        """Another cap, as ``--jobs`` asks for it."""
        cap = max(1, cap)
        self.state = replace(self.state, cap=cap, limit=min(self.state.limit, cap))

    def pause(self, delay: float) -> None:
        """Nobody asks this host for anything for ``delay`` seconds."""
        self._paused_until = max(self._paused_until, time.monotonic() + delay)

    def clean(self, elapsed: float) -> None:
        """A response without complaint."""
        self.state = on_clean(self.state, elapsed)
        self._wake()

    def slow_down(self) -> None:
        """429, 503 or a refusal."""
        self.state = on_slow_down(self.state, time.monotonic())

    @property
    def free(self) -> int:
        """How many more connections may start now."""
        return max(0, self.state.limit - self.in_use)

    async def rest(self) -> None:
        """Wait for the host's pause to end."""
        while (pause := self._paused_until - time.monotonic()) > 0:  # noqa: ASYNC110 - it may grow meanwhile
            await asyncio.sleep(pause)

    async def acquire(self) -> None:
        """Wait for a connection's turn, and for the host's pause to end."""
        while True:
            await self.rest()
            if self.in_use < self.state.limit:
                self.in_use += 1
                return
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                # The turn that was given to us must not be lost.
                if turn.done() and not turn.cancelled():
                    self._wake()
                raise

    def release(self) -> None:
        """A connection's turn is over."""
        self.in_use -= 1
        self._wake()

    def _wake(self) -> None:
        free = self.state.limit - self.in_use
        while free > 0 and self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                free -= 1
