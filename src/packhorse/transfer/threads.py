"""A pool of threads that never holds up the end of the process.

The threads of :class:`concurrent.futures.ThreadPoolExecutor` are joined at interpreter exit, whatever they wait for: a
dead network disk or a person who does not answer would keep a finished program from ending. What must be waited for,
the engine waits for itself (:meth:`packhorse.transfer.job.Job.blocking`).
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, ParamSpec, TypeVar

__all__ = ["DaemonPool"]

T = TypeVar("T")
P = ParamSpec("P")
_Job = tuple[Future[Any], Callable[[], Any]]


class DaemonPool(ThreadPoolExecutor):
    """At most ``max_workers`` daemon threads, started as they are needed.

    It is a ``ThreadPoolExecutor`` by type only, because asyncio takes nothing else for a loop's default executor: none
    of the base's threads is ever started.

    >>> pool = DaemonPool(2, "example")
    >>> pool.submit(pow, 2, 10).result()
    1024
    >>> pool.shutdown()
    """

    def __init__(self, max_workers: int, name: str) -> None:
        super().__init__(max_workers=max_workers, thread_name_prefix=name)
        self._most: Final = max_workers
        self._name: Final = name
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._guard = threading.Lock()
        self._workers: list[threading.Thread] = []
        self._idle = 0
        self._ended = False

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run ``fn`` in a thread. Raises ``RuntimeError`` after :meth:`shutdown`."""
        future: Future[T] = Future()
        with self._guard:
            if self._ended:
                raise RuntimeError("the pool has ended")
            self._jobs.put((future, lambda: fn(*args, **kwargs)))
            if self._idle:
                self._idle -= 1
            elif len(self._workers) < self._most:
                worker = threading.Thread(target=self._work, name=f"{self._name}-{len(self._workers) + 1}", daemon=True)
                self._workers.append(worker)
                worker.start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more; the threads end when nothing is left, and are waited for with ``wait``."""
        with self._guard:
            if not self._ended:
                self._ended = True
                if cancel_futures:
                    self._cancel_all()
                for _ in self._workers:
                    self._jobs.put(None)
        if wait:
            for worker in self._workers:
                worker.join()

    def _cancel_all(self) -> None:
        while True:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return
            if job is not None:
                job[0].cancel()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            future, run = job
            if future.set_running_or_notify_cancel():
                try:
                    result = run()
                except BaseException as error:  # noqa: BLE001 - it is the future's, whatever it is
                    future.set_exception(error)
                else:
                    future.set_result(result)
                    del result
            del job, future, run  # an idle thread must not keep what it last worked on
            with self._guard:
                self._idle += 1
