"""Hashing drafts while they grow: each part as soon as those before it are there.

A file's sha256 needs its bytes in order, and is wanted when the last part came; reading a large file only then would
let its sender wait. Parts are hashed from the memory that they came to, or read again where that is gone. Whatever was
hashed ahead counts only if it is what the database says arrived: parts that other processes took, or that were
overwritten, make the hash begin anew.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

from isal import isal_zlib

from packhorse.server.storage import DraftError, Part, StorageError
from packhorse.server.storage.descriptors import closing, read_at
from packhorse.server.storage.memory import Lent

__all__ = ["Ahead", "Follower", "hash_part"]

_BLOCK: Final = 1 << 20
_MOST_DRAFTS: Final = 512
_MOST_HELD: Final = 24 << 20


@dataclass(slots=True)
class Ahead:
    """A draft hashed up to ``at``, soon up to ``until``: the parts that were read, and their CRC-32 combined."""

    sha256: Any = field(default_factory=hashlib.sha256)
    at: int = 0
    until: int = 0
    crc: int = 0
    parts: list[Part] = field(default_factory=list)
    waiting: dict[int, Part] = field(default_factory=dict)
    busy: bool = False
    over: bool = False
    idle: threading.Event = field(default_factory=threading.Event)


def hash_part(descriptor: int, ahead: Ahead, part: Part) -> None:
    """Read the part that begins at ``ahead.at``. Raises :class:`DraftError` when its bytes are not those that came."""
    if part.offset != ahead.at:
        raise DraftError(f"the draft has a hole before byte {part.offset}")
    crc, done = 0, 0
    while done < part.length:
        block = read_at(descriptor, min(_BLOCK, part.length - done), part.offset + done)
        if not block:
            raise DraftError(f"the draft ends before byte {part.offset + part.length}")
        ahead.sha256.update(block)
        crc = isal_zlib.crc32(block, crc)
        done += len(block)
    if part.crc32 is not None and f"{crc:08x}" != part.crc32:
        raise DraftError(f"bytes {part.offset} to {part.offset + part.length} of the draft are not those that arrived")
    _hashed(ahead, part, crc)


def _hashed(ahead: Ahead, part: Part, crc: int) -> None:
    ahead.crc = isal_zlib.crc32_combine(ahead.crc, crc, part.length)
    ahead.parts.append(part)
    ahead.at += part.length


class _Held:
    """The memory of parts that wait for others before them; the oldest is let go when it becomes too much, so that an
    upload that was given up does not keep it from the others."""

    def __init__(self) -> None:
        self._lents: OrderedDict[tuple[str, int], Lent] = OrderedDict()
        self._size = 0

    def add(self, key: str, offset: int, lent: Lent | None) -> None:
        self.drop(key, offset)
        if lent is not None:
            self._lents[key, offset] = lent
            self._size += len(lent.view)
            while self._size > _MOST_HELD:
                self.drop(*next(iter(self._lents)))

    def take(self, key: str, offset: int) -> Lent | None:
        lent = self._lents.pop((key, offset), None)
        self._size -= len(lent.view) if lent is not None else 0
        return lent

    def drop(self, key: str, offset: int) -> None:
        lent = self.take(key, offset)
        if lent is not None:
            lent.give()


class Follower:
    """One thread that hashes the drafts of this process. Thread-safe, bounded in memory."""

    def __init__(self, opened: Callable[[str], int]) -> None:
        self._opened = opened
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="packhorse-hash")
        self._lock = threading.Lock()
        self._drafts: OrderedDict[str, Ahead] = OrderedDict()
        self._held = _Held()

    def overwritten(self, key: str, offset: int, length: int) -> None:
        """Bytes are about to be written: whatever comes of that, what was hashed of these no longer counts."""
        with self._lock:
            ahead = self._drafts.get(key)
            if ahead is not None and (
                offset < ahead.until
                or any(at < offset + length and at + part.length > offset for at, part in ahead.waiting.items())
            ):
                self._spoil(key, ahead)

    def kept(self, key: str, part: Part, lent: Lent | None = None) -> None:
        """A part counts from now on. ``lent`` has its bytes; it is given back from here."""
        with self._lock:
            ahead = self._drafts.get(key)
            if ahead is None:
                ahead = self._drafts[key] = Ahead()
                if len(self._drafts) > _MOST_DRAFTS:
                    self._spoil(*self._drafts.popitem(last=False))
            if ahead.over:
                if lent is not None:
                    lent.give()
                return
            ahead.waiting[part.offset] = part
            self._held.add(key, part.offset, lent)
            if ahead.busy or ahead.at not in ahead.waiting:
                return
            ahead.busy = True
            ahead.idle.clear()
        try:
            self._pool.submit(self._follow, key, ahead)
        except RuntimeError:  # the interpreter is ending
            with self._lock:
                self._spoil(key, ahead)
                ahead.idle.set()

    def take(self, key: str, parts: Sequence[Part]) -> Ahead:
        """What was hashed of a draft with these parts; nothing of it, if anything is not as it was hashed."""
        with self._lock:
            ahead = self._drafts.pop(key, None)
            if ahead is None:
                return Ahead()
            spoiled = ahead.over
            busy = ahead.busy
            if not busy:
                self._spoil(key, ahead)
        if busy:
            ahead.idle.wait()
            with self._lock:
                self._spoil(key, ahead)  # what waits for parts that never came
        return Ahead() if spoiled or ahead.at < 0 or ahead.parts != list(parts[: len(ahead.parts)]) else ahead

    def forget(self, key: str) -> None:
        """The draft is gone."""
        with self._lock:
            ahead = self._drafts.pop(key, None)
            if ahead is not None:
                self._spoil(key, ahead)

    def _spoil(self, key: str, ahead: Ahead) -> None:
        """Hash no further. Under the lock."""
        ahead.over = True
        for offset in ahead.waiting:
            self._held.drop(key, offset)
        ahead.waiting.clear()

    def _follow(self, key: str, ahead: Ahead) -> None:
        try:
            with closing(self._opened(key)) as descriptor:
                while (found := self._next(key, ahead)) is not None:
                    part, lent = found
                    try:
                        if lent is None or part.crc32 is None:
                            hash_part(descriptor, ahead, part)
                        else:
                            ahead.sha256.update(lent.view)
                            _hashed(ahead, part, int(part.crc32, 16))
                    finally:
                        if lent is not None:
                            lent.give()
        except (OSError, StorageError):  # whoever completes the file will meet it again, and say so
            with self._lock:
                self._spoil(key, ahead)
                ahead.busy, ahead.at = False, -1
                ahead.idle.set()

    def _next(self, key: str, ahead: Ahead) -> tuple[Part, Lent | None] | None:
        """The part to read now, and its memory; ``None`` ends the work, which a later part begins again."""
        with self._lock:
            part = None if ahead.over else ahead.waiting.pop(ahead.at, None)
            if part is None:
                ahead.busy = False
                ahead.idle.set()
                return None
            ahead.until = part.offset + part.length
            return part, self._held.take(key, part.offset)
