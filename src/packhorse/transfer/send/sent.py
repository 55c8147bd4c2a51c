"""What was sent a short while ago: kept so that the same command, typed again, does not send and mail it anew.

A process may be killed after the portal's last answer and before a person saw it. The journal is gone then; this note
has the links. It stays some days, for its owner's eyes only, and counts for unchanged files that the portal still has.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from packhorse.credentials.private import read_private
from packhorse.errors import CredentialStoreError, SettingsError
from packhorse.settings import private_write
from packhorse.transfer.outgoing import LocalFile
from packhorse.transfer.send.journal import journal_path, uploads_folder

__all__ = ["KEPT", "Sent", "forget_sent", "remember_sent", "sent_before"]

KEPT: Final = 3 * 24 * 3600
"""Seconds for which it is remembered."""

_FORMAT: Final = 1
_LIMIT: Final = 64 * 1024 * 1024  # bytes of a note that is read


@dataclass(frozen=True, slots=True)
class Sent:
    """An upload that was finished at ``time`` (Unix seconds). ``state`` is the receiver's, to ask the portal about it;
    ``result`` and ``id`` are what the portal said; ``ids`` the files' ids there, by name."""

    time: float
    id: str
    result: Any
    state: Any
    ids: dict[str, str]


class _Note(msgspec.Struct):
    format: int
    time: float
    id: str
    result: Any
    state: Any
    files: list[tuple[str, int, int, int, str]]  # name, size, mtime_ns, ino, id at the portal


def _path(state_dir: Path, key: str) -> Path:
    return journal_path(state_dir, key).with_suffix(".sent")


def remember_sent(state_dir: Path, key: str, files: Sequence[LocalFile], sent: Sent) -> None:
    """Note it, durably, and remove notes that are over. Where that cannot be written nothing is noted. Blocks."""
    with contextlib.suppress(OSError):
        for path in uploads_folder(state_dir).glob("*.sent"):
            with contextlib.suppress(OSError):
                if path.stat().st_mtime < time.time() - KEPT:
                    path.unlink()
    rows = [(one.name, *_facts(one), sent.ids.get(one.name, "")) for one in files]
    note = _Note(_FORMAT, sent.time, sent.id, sent.result, sent.state, rows)
    with contextlib.suppress(SettingsError):
        private_write(_path(state_dir, key), msgspec.json.encode(note))


def sent_before(state_dir: Path, key: str, files: Sequence[LocalFile], *, now: float | None = None) -> Sent | None:
    """What the same command sent in the last days, where the files are still the same. Blocks.

    ``now`` is for tests. A note that is damaged, or that others could have written, says nothing.
    """
    try:
        note = msgspec.json.decode(read_private(_path(state_dir, key), limit=_LIMIT) or "", type=_Note)
    except (CredentialStoreError, msgspec.DecodeError, RecursionError):
        return None
    age = (time.time() if now is None else now) - note.time
    if note.format != _FORMAT or not -KEPT < age < KEPT:  # a clock that was set back does not matter
        return None
    known = {name: (size, mtime_ns, ino) for name, size, mtime_ns, ino, _ in note.files}
    if len(known) != len(files) or any(known.get(one.name) != _facts(one) for one in files):
        return None
    return Sent(note.time, note.id, note.result, note.state, {row[0]: row[4] for row in note.files if row[4]})


def _facts(file: LocalFile) -> tuple[int, int, int]:
    return file.size, file.mtime_ns, file.ino


def forget_sent(state_dir: Path, key: str) -> None:
    """The portal has it no more, or it shall be sent anew. Blocks."""
    with contextlib.suppress(OSError):
        _path(state_dir, key).unlink()
