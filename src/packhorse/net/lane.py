"""A lane: one event loop with one libcurl multi handle, on a thread of its own or on the engine's.

libcurl's callbacks in a lane may block (in ``pwrite``, or to hold a rate): that slows the sender down, which is just
what is wanted, and costs no memory. The engine's own loop is a lane too, for small answers that are held in memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, TypeVar

import pycurl

__all__ = ["Lane", "LaneThread"]

T = TypeVar("T")


class Lane:
    """One multi handle on the running loop. Handles are pooled: making one costs more than resetting it."""

    def __init__(self) -> None:
        self._multi: Any = None
        self._idle: list[Any] = []
        self._ready: dict[Hashable, list[Any]] = {}

    def handle(self) -> Any:
        """A fresh easy handle."""
        return self._idle.pop() if self._idle else pycurl.Curl()

    def ready(self, like: Hashable) -> Any | None:
        """A handle that has the settings ``like`` already, if one is left."""
        kept = self._ready.get(like)
        return kept.pop() if kept else None

    async def perform(self, handle: Any) -> None:
        """Run the transfer to its end. Raises ``pycurl.error``. On cancellation nothing runs any more."""
        if self._multi is None:
            self._multi = pycurl.AsyncCurlMulti()
            self._multi.setopt(pycurl.M_MAXCONNECTS, 128)
        future = self._multi.add_handle(handle)
        try:
            await future
        except asyncio.CancelledError:
            with contextlib.suppress(RuntimeError, pycurl.error):
                self._multi.remove_handle(handle)
            # Its removal runs on the loop's next turn; such a handle is not used again.
            raise
        except BaseException:
            handle.close()
            raise

    def give_back(self, handle: Any, like: Hashable = None) -> None:
        """A handle whose transfer ended well is kept for the next one; with its settings where they are ``like`` others
        that will come."""
        if like is not None:
            kept = self._ready.setdefault(like, [])
            if len(kept) < 64:
                kept.append(handle)
                return
        handle.reset()
        if len(self._idle) < 128:
            self._idle.append(handle)
        else:
            handle.close()

    async def aclose(self) -> None:
        """End every transfer and close every connection."""
        if self._multi is not None:
            await self._multi.aclose()
            self._multi = None
        for handle in (*self._idle, *(one for kept in self._ready.values() for one in kept)):
            handle.close()
        self._idle.clear()
        self._ready.clear()


class LaneThread:
    """A lane with its own thread and loop, for bodies that go to disk."""

    def __init__(self, name: str) -> None:
        self.lane = Lane()
        self.busy = 0
        self._loop = asyncio.SelectorEventLoop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._loop.run_until_complete(self.lane.aclose())
            self._loop.close()

    async def run(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine in this lane and wait for it from another loop.

        It returns only when the coroutine has really ended, cancelled or not: what it writes to may be closed then.
        """
        home = asyncio.get_running_loop()
        ended: asyncio.Future[asyncio.Task[T]] = home.create_future()
        tasks: list[asyncio.Task[T]] = []

        def finish(task: asyncio.Task[T]) -> None:
            if not ended.done():
                ended.set_result(task)

        def start() -> None:
            task = self._loop.create_task(work())
            tasks.append(task)
            task.add_done_callback(lambda task: home.call_soon_threadsafe(finish, task))

        def cancel() -> None:
            for task in tasks:
                task.cancel()

        self.busy += 1
        try:
            self._loop.call_soon_threadsafe(start)
            cancelled = False
            while not ended.done():
                try:
                    await asyncio.shield(ended)
                except asyncio.CancelledError:
                    cancelled = True
                    self._loop.call_soon_threadsafe(cancel)
            task = ended.result()
            if cancelled:
                if not task.cancelled():
                    task.exception()  # it is not lost: the cancellation is what the caller asked for
                raise asyncio.CancelledError
            return task.result()
        finally:
            self.busy -= 1

    def close(self) -> None:
        """Stop the loop and wait for the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
