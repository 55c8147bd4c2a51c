"""Hashing drafts while they grow: their parts are read again as soon as those before them are there.

A file's sha256 needs its bytes in order, and is wanted when the last part came; reading a large file only then would
let its sender wait. Whatever was hashed ahead counts only if it is what the database says arrived: parts that other
processes took, or that were overwritten, make the hash begin anew.
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

__all__ = ["Ahead", "Follower", "hash_part"]

_BLOCK: Final = 1 << 20
_MOST_DRAFTS: Final = 512


@dataclass(slots=True)
class Ahead:
    """A draft hashed up to ``at``: the parts that were read, and their CRC-32 combined."""

    sha256: Any = field(default_factory=hashlib.sha256)
    at: int = 0
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
    ahead.crc = isal_zlib.crc32_combine(ahead.crc, crc, part.length)
    ahead.parts.append(part)
    ahead.at += part.length


class Follower:
    """One thread that hashes the drafts of this process. Thread-safe, bounded in memory."""

    def __init__(self, opened: Callable[[str], int]) -> None:
        self._opened = opened
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="packhorse-hash")
        self._lock = threading.Lock()
        self._drafts: OrderedDict[str, Ahead] = OrderedDict()

    def kept(self, key: str, part: Part) -> None:
        """A part counts from now on."""
        with self._lock:
            ahead = self._drafts.get(key)
            if ahead is None:
                ahead = self._drafts[key] = Ahead()
                if len(self._drafts) > _MOST_DRAFTS:
                    self._drafts.popitem(last=False)[1].over = True
            if part.offset < ahead.at:
                ahead.over = True
            ahead.waiting[part.offset] = part
            if ahead.busy or ahead.over or ahead.at not in ahead.waiting:
                return
            ahead.busy = True
            ahead.idle.clear()
        try:
            self._pool.submit(self._follow, key, ahead)
        except RuntimeError:  # the interpreter is ending
            ahead.over = True
            ahead.idle.set()

    def take(self, key: str, parts: Sequence[Part]) -> Ahead:
        """What was hashed of a draft with these parts; nothing of it, if anything is not as it was hashed."""
        with self._lock:
            ahead = self._drafts.pop(key, None)
            if ahead is None:
                return Ahead()
            spoiled = ahead.over
            ahead.over = True
            busy = ahead.busy
        if busy:
            ahead.idle.wait()
        return Ahead() if spoiled or ahead.at < 0 or ahead.parts != list(parts[: len(ahead.parts)]) else ahead

    def forget(self, key: str) -> None:
        """The draft is gone."""
        with self._lock:
            ahead = self._drafts.pop(key, None)
            if ahead is not None:
                ahead.over = True

    def _follow(self, key: str, ahead: Ahead) -> None:
        try:
            with closing(self._opened(key)) as descriptor:
                while (part := self._next(ahead)) is not None:
                    hash_part(descriptor, ahead, part)
        except (OSError, StorageError):  # whoever completes the file will meet it again, and say so
            with self._lock:
                ahead.over, ahead.busy = True, False
                ahead.at = -1
                ahead.idle.set()

    def _next(self, ahead: Ahead) -> Part | None:
        """The part to read now; ``None`` ends the work, which a later part begins again."""
        with self._lock:
            part = None if ahead.over else ahead.waiting.pop(ahead.at, None)
            if part is None:
                ahead.busy = False
                ahead.idle.set()
            return part
