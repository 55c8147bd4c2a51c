"""How many connections to one host: one budget for all that happens there (DESIGN §4).

One more per clean response up to the cap; halved, at most once per round trip, on 429, 503 or a refusal.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from itertools import count

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
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []  # a heap
        self._called = 0  # have a turn, and do not know it yet
        self._tickets = count()
        self._paused_until = 0.0
        self._timer: asyncio.TimerHandle | None = None

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
        """Wait for a connection's turn, first come, first served, and for the host's pause to end."""
        if not self._waiting and not self._called and self.in_use < self.state.limit and not self._paused():
            self.in_use += 1
            return
        ticket = next(self._tickets)
        while True:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            heappush(self._waiting, (ticket, turn))
            self._wake()
            try:
                # One that is given at once must not go ahead of those who were called and did not run yet.
                await (asyncio.sleep(0) if turn.done() else turn)
            except asyncio.CancelledError:
                if not turn.cancelled():
                    self._called -= 1
                    self.release()  # the turn that was given to us must not be lost
                raise
            self._called -= 1
            if not self._paused():
                return
            self.in_use -= 1  # a pause has begun since; our place in the line is kept

    def release(self) -> None:
        """A connection's turn is over."""
        self.in_use -= 1
        self._wake()

    def _paused(self) -> bool:
        return self._paused_until > time.monotonic()

    def _wake(self) -> None:
        """Give turns to those who have waited longest. In a pause nobody gets one; its end is waited for, once."""
        while self._waiting and self._waiting[0][1].done():
            heappop(self._waiting)  # it was cancelled
        if not self._waiting:
            return
        pause = self._paused_until - time.monotonic()
        if pause > 0:
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(pause, self._after_pause)
            return
        while self._waiting and self.in_use < self.state.limit:
            _, turn = heappop(self._waiting)
            if not turn.done():
                self.in_use += 1
                self._called += 1
                turn.set_result(None)

    def _after_pause(self) -> None:
        self._timer = None
        self._wake()
