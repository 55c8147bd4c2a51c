"""Leases: which process may write a part file, without trusting any lock (DESIGN §4).

Number n + 1 is taken by creating its journal with ``O_EXCL``, never by rename, unlink or ``flock``, which succeed for
everybody on some cluster file systems. An owner that sees n + 1 stops. Whether an owner is dead is decided by
:func:`judge_owner`, a pure function.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from packhorse.errors import BusyError
from packhorse.transfer.journal import Journal, JournalState, Owner, read_journal

__all__ = [
    "BEAT_SECONDS",
    "NAMELESS_SECONDS",
    "STALE_SECONDS",
    "Lease",
    "Witness",
    "judge_owner",
    "keep",
    "process_start",
    "still_ours",
    "this_process",
    "unless",
]

T = TypeVar("T")

BEAT_SECONDS: Final = 10.0
STALE_SECONDS: Final = 90.0
NAMELESS_SECONDS: Final = 10.0
"""How long a journal may stand without a name: whoever lives writes its name at once, and one that did not may have
been killed before it could."""
_HEADER_SECONDS: Final = 0.3
"""How long a process may take from the creation of a journal to the line that says whose it is."""
_MAX_BEATEN: Final = 20


def process_start(pid: int) -> str | None:
    """The kernel's start time of a process, ``""`` where it cannot be known, ``None`` when there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
        fields = stat.rpartition(b")")[2].split()
        return None if fields[0] in (b"Z", b"X") else fields[19].decode()
    except (FileNotFoundError, ProcessLookupError):
        if sys.platform.startswith("linux") and Path("/proc/self/stat").exists():
            return None
    except (OSError, IndexError):
        pass
    if sys.platform == "win32":
        return ""  # os.kill would end it there
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except OSError:
        pass
    return ""


def _boot() -> str:
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return ""


def _pid_space() -> str:
    with contextlib.suppress(OSError):
        return str(Path("/proc/self/ns/pid").readlink())
    return ""


@lru_cache(maxsize=1)
def _machine() -> tuple[str, str, str]:
    return socket.gethostname(), _boot(), _pid_space()


def this_process() -> Owner:
    """This process as an owner."""
    host, boot, space = _machine()
    return Owner(host, boot, space, os.getpid(), process_start(os.getpid()) or "")


@dataclass(frozen=True, slots=True)
class Witness:
    """What a reader saw of an owner: whether it let go, and for how long (the reader's seconds) its journal stood."""

    owner: Owner | None
    released: bool
    unmoved: float


def judge_owner(
    witness: Witness, me: Owner, started: Callable[[int], str | None] = process_start
) -> Literal["gone", "perhaps alive"]:
    """Whether an owner let go, is surely dead, or is taken for dead because its journal stood still for 90 s (10 s
    where it does not say whose it is).

    Same host and same pid namespace: another boot, no such pid, or another start time prove death. Elsewhere only
    the heartbeat tells. An owner that was merely asleep can do no harm: it rewrites equal bytes, and stops when it
    sees the next number.
    """
    owner = witness.owner
    if witness.released or witness.unmoved >= (STALE_SECONDS if owner is not None else NAMELESS_SECONDS):
        return "gone"
    if owner is not None and owner.host == me.host:
        if owner.boot != me.boot:
            return "gone"
        if owner.space == me.space:
            start = started(owner.pid)
            if start is None or (start and owner.started and start != owner.started):
                return "gone"
    return "perhaps alive"


@dataclass(slots=True)
class Lease:
    """The right to write one part file. ``inherited`` is what earlier owners' journals say, newest last."""

    part: Path
    number: int
    journal: Journal
    inherited: list[JournalState] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Whether any block is held, by this owner or one before it."""
        return self.journal.held or any(state.blocks for state in self.inherited)

    def let_go(self, why: str) -> None:
        """Stop in good order; what is held stays for the next owner."""
        with contextlib.suppress(OSError):
            self.journal.release(why)
        self.journal.close()

    def lost(self) -> bool:
        """Whether another process took number n + 1, or did so and is done: then the journals are gone, ours too.
        An owner that sees it stops."""
        return _journal_path(self.part, self.number + 1).exists() or not self.journal.path.exists()

    def clear(self) -> None:
        """The file is placed: every journal goes, the newest first, so that a gap never looks like an end."""
        self.journal.close()
        for number in range(self.number, 0, -1):
            with contextlib.suppress(OSError):
                _journal_path(self.part, number).unlink()

    @classmethod
    def sweep(cls, part: Path) -> None:
        """The file is placed and proven: remove what a process that died just then left of its part. What belongs to
        an owner that may be alive stays."""
        with contextlib.suppress(OSError):
            states = cls.states(part)
            if states and states[-1].owner is None:
                time.sleep(_HEADER_SECONDS)
                states = cls.states(part)
            if not states:
                return
            last = states[-1]
            # Whoever lives writes its name at once; should it be slower than that, it finds the file placed.
            nameless = last.owner is None
            if not nameless and judge_owner(Witness(last.owner, last.released, 0.0), this_process()) != "gone":
                return
            lease = cls._create(part, states)
            part.unlink(missing_ok=True)
            lease.clear()

    @classmethod
    def _create(cls, part: Path, states: list[JournalState]) -> Lease:
        """Number n + 1. Raises ``FileExistsError`` where another process was quicker, ``OSError``."""
        path = _journal_path(part, len(states) + 1)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o666)
        return cls(part, len(states) + 1, Journal(path, descriptor), states)

    @staticmethod
    def states(part: Path) -> list[JournalState]:
        """What all journals beside a part file say, oldest first; empty when there are none."""
        states: list[JournalState] = []
        while (data := _read(_journal_path(part, len(states) + 1))) is not None:
            states.append(read_journal(data))
        return states

    @classmethod
    async def take(
        cls,
        part: Path,
        *,
        waiting: Callable[[Owner | None], None],
        settled: Callable[[], bool] = lambda: False,
        poll: float = 0.5,
    ) -> Lease | None:
        """Take the lease, waiting for a living owner. ``None`` when ``settled`` says that it is needed no more.

        ``waiting`` is told once per owner. Raises ``OSError`` when the journal cannot be created.
        """
        me = this_process()
        seen: tuple[int, int, int] | None = None
        since = time.monotonic()
        told = beaten = 0
        while True:
            states = cls.states(part)
            number = len(states)
            if number:
                last = states[-1]
                size = _size(_journal_path(part, number))
                mark = (number, last.beat, size)
                if mark != seen:
                    seen, since = mark, time.monotonic()
                witness = Witness(last.owner, last.released, time.monotonic() - since)
                if judge_owner(witness, me) == "perhaps alive":
                    if told != number:
                        told = number
                        waiting(last.owner)
                    await asyncio.sleep(poll)
                    if settled():
                        return None
                    continue
            try:
                lease = cls._create(part, states)
            except FileExistsError:
                # Another process was quicker, or the journal's name is taken by what cannot be read.
                beaten += 1
                if beaten > _MAX_BEATEN:
                    raise
                await asyncio.sleep(0.01 * beaten)
                continue
            if not lease.lost():
                return lease
            # A journal was missing in the row: it is filled now, and the row is read again.
            lease.let_go("filled a gap")


def still_ours(lease: Lease) -> None:
    """Raises :class:`BusyError` when another process took over."""
    if lease.lost():
        raise BusyError("another process took this file over", hint="packhorse status")


async def keep(lease: Lease) -> None:
    """Say that we live, for ever; raises :class:`BusyError` when another process took over."""
    count = 0
    while True:
        await asyncio.sleep(1.0)
        count += 1
        still_ours(lease)
        if count % int(BEAT_SECONDS) == 0:
            lease.journal.beat()


async def unless(guard: asyncio.Task[None], work: Coroutine[Any, Any, T], stop: Callable[[], None] | None = None) -> T:
    """Do the work, unless the guard raises: then it is stopped, and the guard's error raised. ``stop`` tells what
    blocks in threads that it is over."""
    task = asyncio.create_task(work)
    try:
        await asyncio.wait({task, guard}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            guard.result()
        return await task
    finally:
        if not task.done():
            if stop is not None:
                stop()
            task.cancel()
            await asyncio.wait({task})
        if not task.cancelled():
            task.exception()


def _journal_path(part: Path, number: int) -> Path:
    return part.with_name(f"{part.name}.{number}")


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1
