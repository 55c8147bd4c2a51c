"""Several connections on one file: who fetches which piece, and how many hands throughput is worth."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from packhorse.transfer.blocks import Pace, next_connections
from packhorse.transfer.job import Job
from packhorse.transfer.part import Piece

__all__ = ["Team"]

_PACE_SECONDS: Final = 0.4
_TICK: Final = 0.1
_KNOWN_AFTER: Final = 0.3

Fetch = Callable[[Piece, asyncio.Event], Awaitable[None]]


class Team:
    """Runs the pieces of one file. Where no answer told of the object yet, one connection begins, and the others start
    with its response."""

    def __init__(self, job: Job, cap: int) -> None:
        self.job = job
        self.cap = cap
        others = max(1, job.large_running)
        self.alone = others == 1
        self.target = min(cap, 4 if self.alone else max(1, 8 // others))
        self.pieces: list[Piece] = []  # shared with who shows the progress
        self._queue: deque[Piece] = deque()
        self._running: dict[asyncio.Task[None], Piece] = {}
        self._since: dict[asyncio.Task[None], tuple[float, int]] = {}
        self._paces: list[Pace] = []

    async def run(
        self, pieces: Sequence[Piece], fetch: Fetch, guard: asyncio.Task[None], *, opened: bool = False
    ) -> None:
        """Fetch every piece, in ascending order. ``opened``: an earlier answer told that ranges can be had. Raises what
        a piece or the ``guard`` raised; then nothing runs."""
        self._queue.extend(pieces)
        open_now = asyncio.Event()
        if opened:
            open_now.set()
        await self._run(fetch, guard, open_now)

    async def _run(self, fetch: Fetch, guard: asyncio.Task[None], opened: asyncio.Event) -> None:
        opening = asyncio.create_task(opened.wait())
        mark = (time.monotonic(), self._taken())
        try:
            while self._queue or self._running:
                limit = self.target if opened.is_set() else 1
                while len(self._running) < limit and (piece := self._next()) is not None:
                    task = asyncio.create_task(_as_task(fetch, piece, opened))
                    self._running[task] = piece
                    self._since[task] = (time.monotonic(), piece.reached)
                waits: set[asyncio.Task[Any]] = {*self._running, guard}
                if not opening.done():
                    waits.add(opening)
                done, _ = await asyncio.wait(waits, timeout=_TICK, return_when=asyncio.FIRST_COMPLETED)
                if guard in done:
                    guard.result()
                for task in [task for task in self._running if task in done]:
                    del self._running[task], self._since[task]
                    task.result()
                mark = self._pace(mark, opened)
        finally:
            opening.cancel()
            running = list(self._running)
            for task in running:
                task.cancel()
            if running:
                await asyncio.wait(running)
                for task in running:
                    if not task.cancelled():
                        task.exception()

    def _taken(self) -> int:
        return sum(piece.arrived for piece in self.pieces)

    def _pace(self, mark: tuple[float, int], opened: asyncio.Event) -> tuple[float, int]:
        """Measure an interval and decide on the next one."""
        now = time.monotonic()
        # The first interval is handshakes and slow start, and says nothing.
        if now - mark[0] < (_PACE_SECONDS if self._paces else 2 * _PACE_SECONDS) or not opened.is_set():
            return mark
        taken = self._taken()
        if self.job.large_running == 1 and len(self._running) == self.target:
            self._paces.append(Pace(self.target, (taken - mark[1]) / (now - mark[0])))
            self.target = next_connections(self._paces, self.cap)
        return now, taken

    def _next(self) -> Piece | None:
        """The next piece in order; when none is left, the second half of the one that will take longest."""
        if self._queue:
            return self._queue.popleft()
        now = time.monotonic()
        slowest: list[tuple[float, Piece, float]] = []
        for task, piece in self._running.items():
            began, reached = self._since[task]
            if now - began >= _KNOWN_AFTER and piece.stop is not None:
                rate = (piece.reached - reached) / (now - began)
                slowest.append(((piece.stop - piece.reached) / max(rate, 1.0), piece, rate))
        for _, piece, rate in sorted(slowest, key=lambda entry: -entry[0]):
            second = piece.split(rate)
            if second is not None:
                self.pieces.append(second)
                return second
        return None


async def _as_task(fetch: Fetch, piece: Piece, opened: asyncio.Event) -> None:
    await fetch(piece, opened)
