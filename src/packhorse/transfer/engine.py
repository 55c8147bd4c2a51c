"""The engine's thread: one event loop on which everything that moves is coordinated (DESIGN §4, Transport).

Started at first use, abandoned and rebuilt after a fork. Sync callers block on it, async callers of any loop await
it: one implementation serves both.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import os
import threading
from collections.abc import Coroutine
from typing import Any, ClassVar, TypeVar

from packhorse.net.settings import NetSettings
from packhorse.net.transport import Network
from packhorse.transfer.threads import DaemonPool

__all__ = ["Engine"]

T = TypeVar("T")


class Engine:
    """The loop, its thread, a pool for what blocks, and the networks that were opened on it."""

    _shared: ClassVar[Engine | None] = None
    _guard: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self) -> None:
        self.pool = DaemonPool(64, "packhorse-work")
        self._loop = asyncio.SelectorEventLoop()
        self._loop.set_default_executor(self.pool)
        self._networks: dict[NetSettings, Network] = {}
        self._thread = threading.Thread(target=self._run, name="packhorse-engine", daemon=True)
        self._thread.start()

    @classmethod
    def shared(cls) -> Engine:
        """The process's engine."""
        with cls._guard:
            if cls._shared is None:
                cls._shared = cls()
            return cls._shared

    @classmethod
    def _forget(cls) -> None:
        """After a fork: the child has neither the thread nor a right to its connections."""
        cls._shared = None
        cls._guard = threading.Lock()

    @classmethod
    def _at_exit(cls) -> None:
        if cls._shared is not None:
            cls._shared.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def network(self, settings: NetSettings | None = None) -> Network:
        """The network under these settings, opened once."""
        settings = settings or NetSettings()
        with self._guard:
            if settings not in self._networks:
                self._networks[settings] = Network(settings)
            return self._networks[settings]

    def submit(self, work: Coroutine[Any, Any, T]) -> tuple[concurrent.futures.Future[T], _Canceller]:
        """Start ``work`` on the loop: its future, which ends only when the work really has, and a handle to cancel."""
        result: concurrent.futures.Future[T] = concurrent.futures.Future()
        cancel = _Canceller(self._loop)

        def finish(task: asyncio.Task[T]) -> None:
            if task.cancelled():
                result.set_exception(concurrent.futures.CancelledError())
            elif (error := task.exception()) is not None:
                result.set_exception(error)
            else:
                result.set_result(task.result())

        def start() -> None:
            task = self._loop.create_task(work)
            cancel.task = task
            task.add_done_callback(finish)

        self._loop.call_soon_threadsafe(start)
        return result, cancel

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run ``work`` and wait for it. Ctrl-C cancels it, waits until its journals are written, and is raised then."""
        if threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError("the engine cannot wait for itself: await the coroutine instead")
        future, cancel = self.submit(work)
        try:
            return _wait(future)
        except KeyboardInterrupt:
            cancel.cancel()
            with contextlib.suppress(concurrent.futures.CancelledError, Exception):
                _wait(future)
            raise

    async def bridge(self, work: Coroutine[Any, Any, T]) -> T:
        """Await ``work`` from another loop. Cancelling the caller cancels the work, and waits for its end."""
        future, cancel = self.submit(work)
        waiting = asyncio.wrap_future(future)
        try:
            return await asyncio.shield(waiting)
        except asyncio.CancelledError:
            cancel.cancel()
            await asyncio.wait([waiting])
            if not waiting.cancelled():
                waiting.exception()
            raise

    def close(self) -> None:
        """End everything: transfers are cancelled and journalled, connections closed. A later use starts anew."""
        cls = type(self)
        with cls._guard:
            if cls._shared is self:
                cls._shared = None
        if not self._thread.is_alive():
            return
        done = threading.Event()

        async def stop() -> None:
            try:
                others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
                for task in others:
                    task.cancel()
                await asyncio.gather(*others, return_exceptions=True)
                for network in self._networks.values():
                    await network.aclose()
            finally:
                done.set()
                self._loop.stop()

        asyncio.run_coroutine_threadsafe(stop(), self._loop)
        done.wait(timeout=30)
        self._thread.join(timeout=10)
        if not self._thread.is_alive():
            self._loop.close()
        self.pool.shutdown(wait=False, cancel_futures=True)


class _Canceller:
    """Cancels a task of the engine's loop from any thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.task: asyncio.Task[Any] | None = None

    def cancel(self) -> None:
        """Ask it to stop."""
        self._loop.call_soon_threadsafe(lambda: self.task and self.task.cancel())


def _wait(future: concurrent.futures.Future[T]) -> T:
    while True:
        # An untimed wait cannot be interrupted by Ctrl-C on Windows.
        done, _ = concurrent.futures.wait([future], timeout=0.2 if os.name == "nt" else None)
        if done:
            return future.result()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=Engine._forget)
atexit.register(Engine._at_exit)
