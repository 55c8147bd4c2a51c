"""Small files, proven and written as they come, named in batches (DESIGN §4, Placement).

Where the file system answers at once, they are written where they came in, on the engine's loop: to hand each to a
thread would cost more than to write it. Where it does not (a network's, a disk that is busy), threads write them. With
256 of them, or after a second, a thread makes them durable and gives them their names.
"""

from __future__ import annotations

import asyncio
import queue
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from packhorse.errors import PackhorseError
from packhorse.transfer.job import Job
from packhorse.transfer.options import PlacedFile
from packhorse.transfer.pile import Pile, Result, SmallFile

__all__ = ["BATCH_BYTES", "BATCH_FILES", "BATCH_SECONDS", "Batches", "SmallFile"]

BATCH_FILES: Final = 256
BATCH_SECONDS: Final = 1.0
BATCH_BYTES: Final = 512 * 1024
"""For each connection: so much may wait for its name, and be lost to a kill."""
WRITERS: Final = 4
Report = Callable[[SmallFile, PlacedFile | PackhorseError], None]

_HANDFUL_FILES: Final = 16
_HANDFUL_BYTES: Final = 1024 * 1024
_FLUSH: Final[list[SmallFile]] = []
_SLOW: Final = 0.002
"""Seconds that a file may take where the loop writes it."""
_SLOW_MOST: Final = 8
"""So many slow files more than a quarter of the quick ones, and the loop does not write: one that waited for its turn
on a busy machine says nothing of the disk."""


class Batches:
    """Where small files go. ``report`` is called on the engine's loop, once for every file."""

    def __init__(self, job: Job, report: Report) -> None:
        self.job = job
        self._report = report
        self._loop = asyncio.get_running_loop()
        self._most = _batch_files()
        self.most_bytes = BATCH_BYTES * (job.options.jobs or job.network.settings.max_connections)
        self._pile: Pile | None = Pile(job)  # None: the file system is slow
        self._slow = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._placing: set[asyncio.Future[None]] = set()
        self._writers: list[_Writer] = []
        self._next = 0
        self._handful: list[SmallFile] = []
        self._weight = 0

    @property
    def crowded(self) -> bool:
        """Whether so many files are open that no more should come (see :meth:`room`)."""
        return len(self._placing) >= WRITERS - 1

    async def room(self) -> None:
        """Wait until it is no longer crowded."""
        while self.crowded:
            await asyncio.wait(self._placing, return_when=asyncio.FIRST_COMPLETED)

    def submit(self, file: SmallFile) -> None:
        """Write and place this file. It may be reported before this returns."""
        if self._pile is not None:
            self._write_here(self._pile, file)
            return
        # Threads get files by the handful: waking one costs as much as a file.
        self._handful.append(file)
        self._weight += file.size
        if len(self._handful) >= _HANDFUL_FILES or self._weight >= _HANDFUL_BYTES:
            self._hand_on()

    def flush(self) -> None:
        """Nothing more comes for now: place what is written without waiting for more."""
        self._place_here()
        self._hand_on()
        for writer in self._writers:
            writer.files.put(_FLUSH)

    async def close(self) -> None:
        """Place what is left and end the threads."""
        self._place_here()
        self._hand_on()
        for writer in self._writers:
            writer.files.put(None)
        for writer in self._writers:
            await self.job.blocking(writer.thread.join)
        if self._placing:
            await asyncio.wait(self._placing)

    def tell(self, results: list[Result], freed: int) -> None:
        """From a thread: what came of these files, and how many bytes are no longer in memory."""
        self._loop.call_soon_threadsafe(self._told, results, freed)

    def _told(self, results: list[Result], freed: int) -> None:
        if freed:
            self.job.bytes.give(freed)
        for file, result in results:
            self._report(file, result)

    # -- on the loop ----------------------------------------------------------------------------------------------

    def _write_here(self, pile: Pile, file: SmallFile) -> None:
        began = time.perf_counter()
        pile.write(file)
        took = time.perf_counter() - began
        self._slow = self._slow + 1 if took > _SLOW else max(0.0, self._slow - 0.25)
        if len(pile.written) >= self._most or pile.weight >= self.most_bytes or self._slow >= _SLOW_MOST:
            self._place_here()
        elif self._timer is None:
            self._timer = self._loop.call_later(BATCH_SECONDS, self._place_here)
        if self._slow >= _SLOW_MOST:
            self._pile = None
        self._told(*pile.take_results())

    def _place_here(self) -> None:
        """Have what is written on the loop placed, by a thread: it waits for the disk."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        pile = self._pile
        if pile is None or not pile.written:
            return
        if self.job.options.durability == "none":
            pile.place()  # it waits for nothing
            self._told(*pile.take_results())
            return
        self._pile = Pile(self.job)
        placing = self._loop.run_in_executor(self.job.pool, pile.place)
        self._placing.add(placing)
        placing.add_done_callback(partial(self._placed_here, pile))

    def _placed_here(self, pile: Pile, placing: asyncio.Future[None]) -> None:
        self._placing.discard(placing)
        self._told(*pile.take_results())

    # -- by threads -----------------------------------------------------------------------------------------------

    def _hand_on(self) -> None:
        if not self._handful:
            return
        if len(self._writers) < WRITERS:
            self._writers.append(_Writer(self, len(self._writers) + 1))
        self._next = (self._next + 1) % len(self._writers)
        self._writers[self._next].files.put(self._handful)
        self._handful, self._weight = [], 0


class _Writer:
    """One thread's batch: several threads, because creating and syncing files there is mostly waiting."""

    def __init__(self, batches: Batches, number: int) -> None:
        self.files: queue.SimpleQueue[list[SmallFile] | None] = queue.SimpleQueue()
        self.thread = threading.Thread(target=self._run, name=f"packhorse-writer-{number}", daemon=True)
        self._batches = batches
        self._most = _batch_files()
        self.thread.start()

    def _run(self) -> None:
        pile = Pile(self._batches.job)
        while True:
            wait = max(0.0, pile.opened + BATCH_SECONDS - time.monotonic()) if pile.written else None
            try:
                handful = self.files.get(timeout=wait)
            except queue.Empty:
                handful = _FLUSH
            for file in handful or ():
                pile.write(file)
                if len(pile.written) >= self._most or pile.weight >= self._batches.most_bytes // WRITERS:
                    self._place(pile)
            if handful:
                self._tell(pile)
                continue
            self._place(pile)  # a flush, a second that is over, or the end
            if handful is None:
                return

    def _place(self, pile: Pile) -> None:
        pile.place()
        self._tell(pile)

    def _tell(self, pile: Pile) -> None:
        results, freed = pile.take_results()
        if results or freed:
            self._batches.tell(results, freed)


def _batch_files() -> int:
    """How many files a writer may hold open: together they leave half of the process's descriptors to the others."""
    if sys.platform == "win32":
        return BATCH_FILES
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return BATCH_FILES if soft == resource.RLIM_INFINITY else max(4, min(BATCH_FILES, soft // 2 // WRITERS))
