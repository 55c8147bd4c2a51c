"""Writing drafts out while they grow, so that the disk works while the sender sends.

By itself a system keeps what was written in memory for half a minute; the sender of a large file would wait at its end
for a disk that did nothing before. Completion syncs all the same. But a system tells of a failed write only once, so
what is told here must reach the completion.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from packhorse.server.storage.descriptors import closing

__all__ = ["Syncer"]

_EVERY: Final = 64 << 20
_MOST_DRAFTS: Final = 1024
_sync: Final[Callable[[int], None]] = getattr(os, "fdatasync", os.fsync)


class Syncer:
    """One thread that writes out what the drafts of this process got. Thread-safe, bounded in memory."""

    def __init__(self, opened: Callable[[str], int]) -> None:
        self._opened = opened
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="packhorse-sync")
        self._lock = threading.Condition()
        self._waiting: dict[str, int] = {}
        self._busy: set[str] = set()
        self._failed: dict[str, OSError] = {}

    def kept(self, key: str, length: int) -> None:
        """So many more bytes were written."""
        with self._lock:
            size = self._waiting.get(key, 0) + length
            if size < _EVERY or key in self._busy:
                if key not in self._waiting and len(self._waiting) >= _MOST_DRAFTS:
                    self._waiting.pop(next(iter(self._waiting)))
                self._waiting[key] = size
                return
            self._waiting.pop(key, None)
            self._busy.add(key)
        try:
            self._pool.submit(self._write_out, key)
        except RuntimeError:  # the interpreter is ending
            self._done(key)

    def settle(self, key: str) -> None:
        """The draft will be synced for good: raises the ``OSError`` that was met before, now and whenever asked."""
        with self._lock:
            self._lock.wait_for(lambda: key not in self._busy)
            self._waiting.pop(key, None)
            if key in self._failed:
                raise self._failed[key]

    def forget(self, key: str) -> None:
        """The draft is gone."""
        with self._lock:
            self._waiting.pop(key, None)
            self._failed.pop(key, None)

    def _write_out(self, key: str) -> None:
        failed = None
        try:
            with closing(self._opened(key)) as descriptor:
                _sync(descriptor)
        except FileNotFoundError:
            pass
        except OSError as error:
            failed = error
        self._done(key, failed)

    def _done(self, key: str, failed: OSError | None = None) -> None:
        with self._lock:
            self._busy.discard(key)
            if failed is not None:
                self._failed[key] = failed
            self._lock.notify_all()
