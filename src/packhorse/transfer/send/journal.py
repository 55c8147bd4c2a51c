"""The journal of one upload: append-only, every line checked, for its owner's eyes only (DESIGN §4).

Lines are made as those of :mod:`packhorse.transfer.journal`. What must not be lost is fsynced before anything follows
from it: the transfer's creation, each encoded part's plaintext digest, and that finishing begins. A confirmed part
whose line is lost is sent again, which does no harm.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from packhorse.errors import ChangedError, SettingsError, TransferError
from packhorse.transfer.files import sync_directory
from packhorse.transfer.journal import read_lines, seal
from packhorse.transfer.outgoing import Begun, LocalFile

__all__ = [
    "Stage",
    "UploadJournal",
    "UploadState",
    "discard_hint",
    "journal_error",
    "journal_path",
    "read_upload",
    "upload_key",
    "uploads_folder",
]

_FORMAT: Final = 1
Stage = Literal["new", "beginning", "sending", "finishing", "done"]


class _File(msgspec.Struct, frozen=True, array_like=True):
    path: str
    name: str
    size: int
    mtime_ns: int
    dev: int
    ino: int


class _Header(msgspec.Struct, frozen=True, tag="upload"):
    format: int
    key: str
    remote: str
    about: dict[str, Any]
    files: list[_File]


class _Begun(msgspec.Struct, frozen=True, tag="begun"):
    state: Any
    refs: dict[str, Any]
    part_size: int
    id: str = ""
    turn: int = 1


class _Done(msgspec.Struct, frozen=True, tag="done"):
    result: Any


class _Digest(msgspec.Struct, frozen=True, tag="d", array_like=True):
    turn: int
    name: str
    part: int
    sha256: str


class _Confirmed(msgspec.Struct, frozen=True, tag="c", array_like=True):
    turn: int
    name: str
    part: int


class _Finished(msgspec.Struct, frozen=True, tag="f", array_like=True):
    turn: int
    name: str
    id: str


class _Beginning(msgspec.Struct, frozen=True, tag="beginning", array_like=True):
    pass


class _Finishing(msgspec.Struct, frozen=True, tag="finishing", array_like=True):
    pass


class _Void(msgspec.Struct, frozen=True, tag="v", array_like=True):
    why: str


_decode_record = msgspec.json.Decoder(_Header | _Begun | _Done).decode
_decode_line = msgspec.json.Decoder(_Digest | _Confirmed | _Finished | _Beginning | _Finishing | _Void).decode


def upload_key(remote: str, about: Mapping[str, Any], files: Iterable[LocalFile]) -> str:
    """What the same command has in common with itself: 16 hexadecimal digits. Not the files' content: a file that
    changed since must be noticed, not sent as another upload."""
    named = sorted((file.name, _shown(file.path)) for file in files)
    text = msgspec.json.encode([remote, dict(about), named], order="deterministic")
    return hashlib.sha256(text).hexdigest()[:16]


def _shown(path: Path) -> str:
    """A path as text that JSON can hold, whatever bytes are in it."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def uploads_folder(state_dir: Path) -> Path:
    """Where the journals are."""
    return state_dir / "uploads"


def journal_path(state_dir: Path, key: str) -> Path:
    """The journal of the upload with this key."""
    return uploads_folder(state_dir) / f"{key}.journal"


@dataclass(slots=True)
class UploadState:
    """What a journal says. ``confirmed``: the parts of each file that were acknowledged; ``digests``: the SHA-256 of
    the plaintext that a part (file, index) was encoded from; ``finished``: each finished file's id at the portal.
    ``turn`` counts the transfers that were created under this journal: what is noted of one says nothing of another."""

    key: str = ""
    remote: str = ""
    about: dict[str, Any] = field(default_factory=dict)
    files: list[LocalFile] = field(default_factory=list)
    stage: Stage = "new"
    begun: Begun | None = None
    confirmed: dict[str, set[int]] = field(default_factory=dict)
    digests: dict[tuple[str, int], str] = field(default_factory=dict)
    finished: dict[str, str] = field(default_factory=dict)
    result: Any = None
    turn: int = 0

    def held(self, file: LocalFile) -> int:
        """Bytes of the file in confirmed parts."""
        size = self.begun.part_size if self.begun is not None else None
        if not size:
            return 0
        return sum(
            min(size, file.size - part * size) for part in self.confirmed.get(file.name, ()) if part * size < file.size
        )


def read_upload(data: bytes) -> UploadState:
    """The state that a journal's bytes describe. Never raises: what cannot be read says nothing."""
    state = UploadState()
    for body in read_lines(data):
        try:
            _apply(state, (_decode_record if body[:1] == b"{" else _decode_line)(body))
        except (msgspec.DecodeError, msgspec.ValidationError, RecursionError):
            continue
    return state


def _apply(state: UploadState, value: msgspec.Struct) -> None:
    if isinstance(value, _Header | _Begun | _Done):
        _apply_record(state, value)
    else:
        _apply_line(state, value)  # type: ignore[arg-type]


def _apply_record(state: UploadState, record: _Header | _Begun | _Done) -> None:
    if isinstance(record, _Header):
        if record.format == _FORMAT:
            state.key, state.remote, state.about = record.key, record.remote, record.about
            state.files = [
                LocalFile(Path(one.path), one.name, one.size, one.mtime_ns, one.dev, one.ino) for one in record.files
            ]
    elif isinstance(record, _Begun):
        if record.part_size > 0 and record.turn >= state.turn:
            if record.turn > state.turn:
                state.turn = record.turn
                state.confirmed, state.digests, state.finished = {}, {}, {}
            state.begun = Begun(record.state, record.refs, record.part_size, record.id)
            if state.stage in ("new", "beginning"):
                state.stage = "sending"
    else:
        state.stage, state.result = "done", record.result


def _apply_line(state: UploadState, line: _Digest | _Confirmed | _Finished | _Beginning | _Finishing | _Void) -> None:
    if isinstance(line, _Digest | _Confirmed | _Finished) and line.turn != state.turn:
        return
    match line:
        case _Digest():
            # The first one counts: with it the part was encoded.
            state.digests.setdefault((line.name, line.part), line.sha256)
        case _Confirmed():
            if line.part >= 0:
                state.confirmed.setdefault(line.name, set()).add(line.part)
        case _Finished():
            state.finished[line.name] = line.id
        case _Beginning():
            if state.stage == "new":
                state.stage = "beginning"
        case _Finishing():
            if state.stage != "done":
                state.stage = "finishing"
        case _Void():
            state.stage, state.begun, state.result = "new", None, None
            state.files = []
            state.confirmed, state.digests, state.finished = {}, {}, {}


class UploadJournal:
    """The open journal of this process: ``state`` is what it says. Threads may append."""

    def __init__(self, path: Path, descriptor: int, state: UploadState) -> None:
        self.path = path
        self.state = state
        self._fd = descriptor
        self._lock = threading.Lock()

    @classmethod
    def open(cls, path: Path) -> UploadJournal:
        """Open or create it, readable by its owner only. Raises ``OSError``, :class:`SettingsError` where somebody
        else could have written it."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        flags |= getattr(os, "O_CLOEXEC", 0)
        descriptor = os.open(path, flags, 0o600)
        try:
            facts = os.fstat(descriptor)
            if hasattr(os, "geteuid"):
                if facts.st_uid != os.geteuid():
                    raise SettingsError(f"{path} belongs to somebody else", hint="remove it, or set PACKHORSE_STATE")
                os.fchmod(descriptor, 0o600)
            with os.fdopen(os.dup(descriptor), "rb") as file:
                file.seek(0)
                data = file.read()
            if data and not data.endswith(b"\n"):
                os.write(descriptor, b"\n")  # a torn line must not swallow the next one
        except BaseException:
            os.close(descriptor)
            raise
        return cls(path, descriptor, read_upload(data))

    def describe(self, key: str, remote: str, about: Mapping[str, Any], files: Sequence[LocalFile]) -> None:
        """What the upload is, and that the transfer is about to be created."""
        rows = [_File(_shown(one.path), one.name, one.size, one.mtime_ns, one.dev, one.ino) for one in files]
        self._append(_Header(_FORMAT, key, remote, dict(about), rows), _Beginning(), sync=True)
        sync_directory(self.path.parent)

    def begun(self, begun: Begun, *, anew: bool = True) -> None:
        """The transfer is there; not ``anew``: it is still there."""
        assert begun.part_size is not None
        turn = self.state.turn + anew
        self._append(_Begun(begun.state, dict(begun.refs), begun.part_size, begun.id, turn), sync=True)

    def encoded(self, name: str, part: int, sha256: str) -> None:
        """This plaintext is about to be encoded as that part; durable when it returns. Raises :class:`ChangedError`
        where the part was encoded from another one: the key and nonce of a part serve for one plaintext only."""
        with self._lock:
            before = self.state.digests.get((name, part))
        if before is None:
            self._append(_Digest(self.state.turn, name, part, sha256), sync=True)
        elif before != sha256:
            raise ChangedError(
                f"{name} has other bytes in its part {part + 1} than were encrypted for it before; nothing was sent",
                hint=discard_hint(self.state.key),
            )

    def confirmed(self, name: str, part: int) -> None:
        """The portal has the part."""
        self._append(_Confirmed(self.state.turn, name, part))

    def finished(self, name: str, id_: str) -> None:
        """The portal has the file."""
        self._append(_Finished(self.state.turn, name, id_))

    def finishing(self) -> None:
        """The transfer is about to be finished; durable when it returns."""
        if self.state.stage != "finishing":
            self._append(_Finishing(), sync=True)

    def done(self, result: Any) -> None:
        """The transfer is finished; durable when it returns."""
        self._append(_Done(result), sync=True)

    def void(self, why: str) -> None:
        """Nothing of what was journalled before counts."""
        self._append(_Void(why), sync=True)

    def _append(self, *values: msgspec.Struct, sync: bool = False) -> None:
        """Write lines in one call, and let ``state`` follow. Raises :class:`TransferError`: what cannot be journalled
        must not happen."""
        data = b"".join(map(seal, values))
        try:
            with self._lock:
                if os.write(self._fd, data) != len(data):
                    os.write(self._fd, b"\n")
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                for value in values:
                    _apply(self.state, value)
            if sync:
                os.fsync(self._fd)
        except OSError as error:
            raise journal_error(error, self.path) from None

    def close(self) -> None:
        """Close it; it stays on disk."""
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1

    def remove(self) -> None:
        """The upload is over: no token stays behind."""
        self.close()
        with contextlib.suppress(OSError):
            self.path.unlink()


def journal_error(error: OSError, path: Path) -> TransferError:
    """A journal that cannot be read or written, in words."""
    return TransferError(
        f"cannot keep the journal {path}: {error.strerror or error}",
        hint="make room there, or name another folder with PACKHORSE_STATE; what was confirmed is kept",
    )


def discard_hint(key: str) -> str:
    """What to type to give an upload up."""
    return f"to give this upload up and start anew: packhorse send --discard {key}"
