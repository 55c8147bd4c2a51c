"""Output files that are whole or not there: written beside the name that they get, which they get at the end."""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from packhorse.errors import DestinationError

__all__ = ["STDOUT", "placed", "standard_output"]

STDOUT = "-"


@contextlib.contextmanager
def placed(target: str | Path, *, overwrite: bool = False) -> Iterator[BinaryIO]:
    """A file to write, which has the name ``target`` when the block ends well, synced; else nothing is left of it.

    Raises :class:`DestinationError` where something is there already (without ``overwrite``), or no file can be made.
    """
    path = Path(target).expanduser()
    check_free(path, overwrite=overwrite)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        between = path.with_name(f".packhorse-{os.getpid()}-{secrets.token_hex(4)}.part")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        descriptor = os.open(between, flags, 0o666)
    except OSError as error:
        raise DestinationError(f"{path} cannot be written: {error.strerror}") from None
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor
            yield file
            file.flush()
            os.fsync(file.fileno())
        _name(between, path, overwrite=overwrite)
    except OSError as error:
        raise DestinationError(f"{path} cannot be written: {error.strerror or error}") from None
    finally:
        between.unlink(missing_ok=True)
    _sync_folder(path.parent)


def check_free(path: Path, *, overwrite: bool) -> None:
    """Raises :class:`DestinationError` where ``path`` cannot become the file's name."""
    if path.is_dir():
        raise DestinationError(f"{path} is a folder", hint="name the file")
    if not overwrite and (path.exists() or path.is_symlink()):
        raise DestinationError(f"{path} is there already", hint="add --overwrite to replace it, or give another name")


def _name(between: Path, path: Path, *, overwrite: bool) -> None:
    if overwrite:
        between.replace(path)
        return
    try:
        os.link(between, path)
    except FileExistsError:
        check_free(path, overwrite=False)
        raise
    except (OSError, NotImplementedError):  # no links here
        check_free(path, overwrite=False)
        between.rename(path)


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def standard_output() -> Iterator[BinaryIO]:
    """Standard output for bytes, flushed at the end and left open."""
    sys.stdout.flush()
    file = sys.stdout.buffer
    yield file
    file.flush()
