"""Work that is done later, or again and again: one small API over huey.

A room declares its work at import, and anybody with the home's :class:`Jobs` asks for it::

    @job("compact")
    def compact(home: Home, *, file_id: int) -> None: ...

    @periodic(3600, "expire")
    def expire(home: Home) -> None: ...

    home.jobs.enqueue("compact", file_id=7)

A queued job is done **at least once**: a killed server, or another process of the same home, does it again. So every
job must be idempotent. Values are what JSON can hold. A job that raises is tried again after growing waits; a
periodic one waits for its next turn. ``jobs.stopping`` tells long jobs to end.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

from huey.exceptions import RetryTask
from huey.utils import utcnow

from packhorse.server.queue import Queue, QueueConsumer

__all__ = ["ATTEMPTS", "Jobs", "Registry", "job", "periodic", "wait_before"]

log = logging.getLogger("packhorse.server")

ATTEMPTS: Final = 12
"""How often a queued job is tried before it is given up, over about 8 hours."""
_Work = TypeVar("_Work", bound=Callable[..., None])


def wait_before(attempt: int) -> float:
    """Seconds before a job's ``attempt`` (the second is 2): 5, 15, 45, ... at most an hour."""
    return float(min(5 * 3 ** (max(attempt, 2) - 2), 3600))


@dataclass(frozen=True, slots=True)
class _Declared:
    work: Callable[..., None]
    seconds: float | None


class Registry:
    """Which jobs there are. The rooms share one; tests make their own."""

    def __init__(self) -> None:
        self.jobs: dict[str, _Declared] = {}

    def job(self, name: str) -> Callable[[_Work], _Work]:
        """Declare a function ``(home, **values)`` as the job ``name``."""
        return self._declare(name, None)

    def periodic(self, seconds: float, name: str) -> Callable[[_Work], _Work]:
        """Declare a function ``(home)`` to be run every ``seconds`` (1 or more), by one process of the home."""
        if seconds < 1:
            raise ValueError("a periodic job's seconds are 1 or more")
        return self._declare(name, seconds)

    def _declare(self, name: str, seconds: float | None) -> Callable[[_Work], _Work]:
        def keep(work: _Work) -> _Work:
            if name in self.jobs:
                raise ValueError(f"two jobs are called {name!r}")
            self.jobs[name] = _Declared(work, seconds)
            return work

        return keep


_shared = Registry()
job = _shared.job
periodic = _shared.periodic


class Jobs:
    """The queue of one home. ``enqueue`` works at any time; ``start`` and ``stop`` are the server process's.

    ``workers`` threads do the jobs; ``lease`` is how many seconds after a kill a job that was under way waits.
    """

    def __init__(
        self, path: Path, *, registry: Registry = _shared, workers: int = 2, lease: float = 30, beat: float = 1
    ) -> None:
        self.stopping = threading.Event()
        self._registry = registry
        self._workers = workers
        self._beat = beat
        self._lease = lease
        self._home: Any = None
        self._consumer: QueueConsumer | None = None
        self._pulse: threading.Thread | None = None
        self._queue = Queue(path, lease=lease)
        self._task = self._queue.task(context=True, name="run")(self._run)

    def enqueue(self, name: str, *, delay: float = 0, **values: Any) -> None:
        """Have a job done, ``delay`` seconds from now at the earliest.

        Raises :class:`LookupError` for a name that nobody declared and :class:`TypeError` for values JSON cannot hold.
        """
        if name not in self._registry.jobs:
            raise LookupError(f"no job is called {name!r}")
        json.dumps(values, allow_nan=False)
        self._put(name, values, delay)

    def start(self, home: Any) -> None:
        """Start the threads; jobs get ``home``. They are daemons: no job keeps a finished process alive."""
        if self._consumer is not None:
            raise RuntimeError("the jobs of this home run already")
        self._home = home
        self.stopping.clear()
        self._consumer = QueueConsumer(self._queue, workers=self._workers, periodic=False, max_delay=1.0)
        self._consumer.start()
        self._pulse = threading.Thread(target=self._keep, args=(self._consumer,), name="jobs-pulse", daemon=True)
        self._pulse.start()

    def stop(self, seconds: float = 1.5) -> bool:
        """Take no more jobs and wait for those under way; whether all ended. The others are done at a later start."""
        self.stopping.set()
        consumer, self._consumer = self._consumer, None
        if consumer is None:
            self._queue.storage.close()
            return True
        consumer.shutdown_timeout = seconds
        consumer.stop_flag.set()
        self._queue.wake.set()
        ended = bool(consumer._join_workers())
        if self._pulse is not None:
            self._pulse.join(seconds)
            ended = ended and not self._pulse.is_alive()
        if ended:
            self._queue.storage.close()
        else:
            log.warning("a job did not end in time; it will be done again")
        return ended

    def _put(self, name: str, values: dict[str, Any], delay: float) -> None:
        task = self._task.s(name=name, values=values, attempt=1, attempts=ATTEMPTS)
        if delay > 0:
            task.eta = utcnow() + timedelta(seconds=delay)
            self._queue.add_schedule(task)
        else:
            self._queue.enqueue(task)
        self._queue.wake.set()
        if self._consumer is None:  # nobody else closes it
            self._queue.storage.close()

    def _run(self, *, name: str, values: dict[str, Any], attempt: int, attempts: int, task: Any) -> None:
        """What huey calls: one attempt of one job."""
        declared = self._registry.jobs.get(name)
        try:
            if declared is None:
                raise LookupError(f"this version of the server knows no job {name!r}")
            declared.work(self._home, **values)
        except Exception as error:
            if attempt >= attempts:
                log.exception("job %s failed%s", name, f" {attempt} times; it is given up" if attempts > 1 else "")
                return
            wait = wait_before(attempt + 1)
            log.exception("job %s failed (attempt %d); again in %d s", name, attempt, wait)
            task.kwargs["attempt"] = attempt + 1
            raise RetryTask(delay=wait) from error

    def _keep(self, consumer: QueueConsumer) -> None:
        """Renew leases, take back overdue ones, queue periodic jobs, replace dead workers."""
        storage = self._queue.storage
        leases = looked = time.monotonic()
        due = dict.fromkeys((name for name, it in self._registry.jobs.items() if it.seconds), 0.0)
        while True:
            try:
                if time.monotonic() >= leases:
                    leases = time.monotonic() + self._lease / 3
                    storage.renew()
                    if storage.reclaim():
                        self._queue.wake.set()
                for name in [name for name, at in due.items() if at <= time.monotonic()]:
                    seconds = self._registry.jobs[name].seconds or 0.0
                    due[name] = time.monotonic() + min(seconds, 60)  # the table knows when; another process may stop
                    task = self._task.s(name=name, values={}, attempt=1, attempts=1)
                    if storage.tick(name, seconds, self._queue.serialize_task(task)):
                        self._queue.wake.set()
                if time.monotonic() >= looked + 10:
                    looked = time.monotonic()
                    consumer.check_worker_health()
            except Exception:
                log.exception("the queue of jobs cannot be kept up; trying again")
            if self.stopping.wait(self._beat):
                return
