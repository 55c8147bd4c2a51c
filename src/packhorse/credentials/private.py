"""Reading files that hold secrets: only those that nobody else can read or replace."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from packhorse.errors import CredentialStoreError

__all__ = ["MAX_SECRET_FILE", "read_private"]

MAX_SECRET_FILE: Final = 64 * 1024


def read_private(path: Path, *, limit: int = MAX_SECRET_FILE) -> str | None:
    """The text of a private file of at most ``limit`` bytes, or ``None`` where there is none.

    Raises :class:`CredentialStoreError` when others may read it, when it is somebody else's, or when it is no text.
    The checks are made on the opened file, so that it cannot be exchanged between check and reading.
    """
    try:
        # A FIFO under this name must not hang us.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise CredentialStoreError(f"{path} cannot be read: {error.strerror or error}") from None
    try:
        refuse_exposed(path, os.fstat(descriptor))
    except BaseException:
        os.close(descriptor)
        raise
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise CredentialStoreError(f"{path} is too large to hold a credential")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise CredentialStoreError(f"{path} is not a text file") from None


def refuse_exposed(path: Path, status: os.stat_result) -> None:
    """Raise :class:`CredentialStoreError` unless the file is a regular one, ours, and ours alone to read."""
    if not stat.S_ISREG(status.st_mode):
        raise CredentialStoreError(f"{path} is not a regular file")
    if os.name != "posix":
        return  # mode bits mean nothing there; the profile directory's own access list protects it
    if status.st_uid != os.geteuid():
        raise CredentialStoreError(
            f"{path} belongs to another user (uid {status.st_uid}) and is not used",
            hint=f"make a file of your own: cp {path} COPY && chmod 600 COPY",
        )
    if status.st_mode & 0o077:
        raise CredentialStoreError(
            f"{path} holds a secret but others may read it (mode {stat.S_IMODE(status.st_mode):04o}); it is not used",
            hint=f"chmod 600 {path}",
        )
