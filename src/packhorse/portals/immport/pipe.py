"""From the thread where bytes arrive to the loop that wants them, in bounded memory.

What the loop cannot take in time goes to a temporary file: a thread that receives several answers must not wait long
for the one that nobody reads yet.
"""

from __future__ import annotations

import asyncio
import tempfile
import threading
import time
from collections import deque
from typing import IO, Final

from packhorse.net.message import ResponseHead

__all__ = ["Held", "Pipe"]

_FIRST: Final = 32 * 1024
_CHUNK: Final = 1024 * 1024
_MEMORY: Final = 4 * 1024 * 1024
_PATIENCE: Final = 0.5
"""Seconds that a full pipe waits for its reader before it writes to disk."""


class Held:
    """A piece of the answer, in memory or in the file."""

    __slots__ = ("_data", "_file", "_lock", "_offset", "size")

    def __init__(self, data: bytes) -> None:
        self._data: bytes | None = data
        self._file: IO[bytes] | None = None
        self._lock: threading.Lock | None = None
        self._offset = 0
        self.size = len(data)

    def move(self, file: IO[bytes], lock: threading.Lock, offset: int) -> None:
        """Into the file, at ``offset``. Raises ``OSError``."""
        assert self._data is not None
        with lock:
            file.seek(offset)
            file.write(self._data)
        self._file, self._lock, self._offset, self._data = file, lock, offset, None

    @property
    def in_memory(self) -> bool:
        return self._data is not None

    def read(self) -> bytes:
        """The bytes. May be called in any thread. Raises ``OSError``."""
        if self._data is not None:
            return self._data
        assert self._file is not None
        assert self._lock is not None
        with self._lock:
            self._file.seek(self._offset)
            return self._file.read(self.size)


class Pipe:
    """A sink for :meth:`ImmPortApi.stream`; :meth:`get` on the loop."""

    def __init__(self) -> None:
        self.head: ResponseHead | None = None
        self.wanted = False
        """Whether somebody reads: only then a full pipe is worth waiting for."""
        self._loop = asyncio.get_running_loop()
        self._parts: list[bytes] = []
        self._size = 0
        self._first = True
        self._guard = threading.Condition()
        self._queue: deque[Held] = deque()
        self._in_memory = 0
        self._file: IO[bytes] | None = None
        self._file_lock = threading.Lock()
        self._file_end = 0
        self._ready = asyncio.Event()
        self._ended = False
        self._closed = False

    # In the receiving thread.

    def begin(self, head: ResponseHead) -> None:
        self.head = head

    def write(self, data: bytes) -> None:
        self._parts.append(data)
        self._size += len(data)
        if self._size >= (_FIRST if self._first else _CHUNK):
            self._hand_over()

    def _hand_over(self, *, last: bool = False) -> None:
        if not self._parts:
            return
        held = Held(b"".join(self._parts))
        self._parts, self._size, self._first = [], 0, False
        with self._guard:
            until = time.monotonic() + _PATIENCE
            while self._full and self.wanted and not (last or self._closed) and (left := until - time.monotonic()) > 0:
                self._guard.wait(left)
            if self._closed:
                return
            if self._full and not last:
                if self._file is None:
                    self._file = tempfile.TemporaryFile(prefix="packhorse-")  # noqa: SIM115 - closed in close()
                held.move(self._file, self._file_lock, self._file_end)
                self._file_end += held.size
            else:
                self._in_memory += held.size
            self._queue.append(held)
        self._loop.call_soon_threadsafe(self._ready.set)

    @property
    def _full(self) -> bool:
        return self._in_memory >= _MEMORY or (bool(self._queue) and not self._queue[-1].in_memory)

    # On the loop.

    def end(self) -> None:
        """The answer is whole."""
        self._hand_over(last=True)
        self._ended = True
        self._ready.set()

    async def get(self) -> Held | None:
        """The next piece; ``None`` behind the last."""
        self.wanted = True
        while True:
            with self._guard:
                if self._queue:
                    held = self._queue.popleft()
                    if held.in_memory:
                        self._in_memory -= held.size
                    self._guard.notify_all()
                    return held
                if self._ended:
                    return None
                self._ready.clear()
            await self._ready.wait()

    def close(self) -> None:
        """Nobody reads any more."""
        with self._guard:
            self._closed = True
            self._queue.clear()
            self._guard.notify_all()
        with self._file_lock:
            if self._file is not None:
                self._file.close()
