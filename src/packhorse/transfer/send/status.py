"""Uploads that are begun and not done, and how one is given up."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from packhorse.errors import NotFoundError
from packhorse.transfer.events import Event
from packhorse.transfer.lease import Lease, Witness, judge_owner, this_process
from packhorse.transfer.outgoing import Receiver
from packhorse.transfer.send.hold import hold
from packhorse.transfer.send.journal import Stage, UploadJournal, journal_path, read_upload, uploads_folder
from packhorse.transfer.tries import blocking

__all__ = ["Discarded", "PendingUpload", "discard", "pending"]

Discarded = Literal["discarded", "finished", "nothing"]


@dataclass(frozen=True, slots=True)
class PendingUpload:
    """An interrupted upload, or one that runs. ``size`` and ``confirmed`` in bytes; ``seen``: when it last went on
    (Unix seconds); ``id`` is the portal's id of the transfer; ``names`` are the files' remote names."""

    key: str
    remote: str
    about: Mapping[str, Any]
    id: str
    stage: Stage
    files: int
    size: int
    confirmed: int
    running: bool
    seen: float
    names: tuple[str, ...]
    paths: tuple[Path, ...]
    journal: Path


def pending(state_dir: Path) -> list[PendingUpload]:
    """Every upload with a journal, the latest first. What cannot be read is left out. Blocks."""
    found = []
    for path in uploads_folder(state_dir).glob("*.journal"):
        try:
            state = read_upload(path.read_bytes())
            seen = path.stat().st_mtime
        except OSError:
            continue
        if not state.files:
            continue
        found.append(
            PendingUpload(
                key=path.name.removesuffix(".journal"),
                remote=state.remote,
                about=state.about,
                id=state.begun.id if state.begun is not None else "",
                stage=state.stage,
                files=len(state.files),
                size=sum(file.size for file in state.files),
                confirmed=sum(file.size if file.name in state.finished else state.held(file) for file in state.files),
                running=_running(path),
                seen=seen,
                names=tuple(file.name for file in state.files),
                paths=tuple(file.path for file in state.files),
                journal=path,
            )
        )
    return sorted(found, key=lambda one: one.seen, reverse=True)


def _running(path: Path) -> bool:
    states = Lease.states(path)
    if not states:
        return False
    witness = Witness(states[-1].owner, states[-1].released, 0.0)
    return judge_owner(witness, this_process()) == "perhaps alive"


async def discard(receiver: Receiver, key: str, *, state_dir: Path, pool: Executor) -> Discarded:
    """Give an interrupted upload up: remove it from the portal, then its journal.

    ``finished``: it had been finished after all, so only the journal is removed; ``nothing``: there is no such upload.
    Raises :class:`BusyError` while another process sends it, and what the receiver raises, after which the journal is
    still there.
    """
    path = journal_path(state_dir, key)
    if not path.exists():
        return "nothing"
    lease = await hold(path, key, pool, _silent)
    try:
        journal = await blocking(pool, partial(UploadJournal.open, path))
        try:
            how = await _discard(receiver, journal)
            journal.remove()
        finally:
            journal.close()
    except BaseException:
        lease.let_go("stopped")
        raise
    lease.clear()
    return how


async def _discard(receiver: Receiver, journal: UploadJournal) -> Discarded:
    state = journal.state
    if state.stage == "done":
        return "finished"
    if state.begun is None:
        return "discarded"
    if state.stage == "finishing" and await receiver.finished(state.begun.state) is not None:
        return "finished"
    with contextlib.suppress(NotFoundError):
        await receiver.discard(state.begun.state)
    return "discarded"


def _silent(_: Event) -> None:
    pass
