"""Gets and sends that were begun and have not ended well: small files in the state directory, for ``packhorse status``.

They only say *where* a transfer was and *what was typed*; what is held is read from the destination itself. They hold
no secret, and a record that cannot be written never stops a transfer.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shlex
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from packhorse.net.redact import hide_token, show_url

__all__ = ["Record", "begin", "end", "read_all", "same_command"]


_SHOWN: Final = frozenset({"--json", "--quiet", "-q", "--verbose", "-v", "--no-progress"})


@dataclass(frozen=True, slots=True)
class Record:
    """One get or send: ``command`` as it can be typed again in ``cwd``; ``started`` in Unix seconds. ``upload`` is the
    key of a send's journal."""

    destination: str
    command: str
    cwd: str
    started: float
    upload: str = ""

    @property
    def key(self) -> str:
        """The same command in the same place is the same transfer, however its progress is shown."""
        words = " ".join(word for word in self.command.split(" ") if word not in _SHOWN)
        return hashlib.sha256(f"{self.cwd}\0{self.destination}\0{words}".encode(errors="replace")).hexdigest()[:16]


def begin(folder: Path, destination: Path | None, arguments: Sequence[str], upload: str = "") -> Record:
    """Remember that this get (to ``destination``) or send (``upload``) was begun."""
    record = Record(str(destination or ""), same_command(arguments), _cwd(), time.time(), upload)
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = folder / f".{record.key}.{os.getpid()}"
        fresh.write_text(json.dumps(asdict(record)), encoding="utf-8")
        fresh.chmod(0o600)
        fresh.replace(folder / f"{record.key}.json")
    return record


def end(folder: Path, record: Record) -> None:
    """Forget it: everything is done, or nothing is left to go on with."""
    with contextlib.suppress(OSError):
        (folder / f"{record.key}.json").unlink()


def read_all(folder: Path) -> list[Record]:
    """Every record that can be read, newest first."""
    found = []
    for path in folder.glob("*.json"):
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            raw = json.loads(path.read_text(encoding="utf-8"))
            destination, command, cwd = (str(raw[name]) for name in ("destination", "command", "cwd"))
            found.append(Record(destination, command, cwd, float(raw["started"]), str(raw.get("upload", ""))))
    return sorted(found, key=lambda record: -record.started)


def same_command(arguments: Sequence[str]) -> str:
    """The command line as it can be typed again, with what is secret left out: a proxy's password, the query of a web
    address, which in a signed one is the secret, and the tokens of FileSender.

    >>> same_command(["get", "https://host/a?sig=abc", "--proxy", "http://me:pw@proxy:3128"])
    "packhorse get 'https://host/a?…' --proxy 'http://…@proxy:3128'"
    >>> same_command(["send", "a", "--voucher=0f5c2a7e-1111-4222-8333-94b6a1c2d3e4"])
    "packhorse send a '--voucher=0f5c2a7e-…'"
    """
    shown, hide = ["packhorse"], False
    for argument in arguments:
        name, equals, value = argument.partition("=") if argument.startswith("--") else ("", "", argument)
        shown.append(name + equals + (_without_password(value) if hide or name == "--proxy" else _without_token(value)))
        hide = argument == "--proxy"
    return shlex.join(shown)


def _without_token(text: str) -> str:
    return show_url(text) if text.startswith(("http://", "https://")) else hide_token(text)


def _without_password(text: str) -> str:
    head, at, tail = text.rpartition("@")
    if not at:
        return text
    start = head.find("://")
    return f"{head[: start + 3] if start >= 0 else ''}…@{tail}"


def _cwd() -> str:
    try:
        return str(Path.cwd())
    except OSError:  # the directory is gone
        return ""
