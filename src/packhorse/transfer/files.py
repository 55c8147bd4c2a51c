"""The file system's calls that the engine needs, with what other systems lack filled in. Thin I/O, no decisions."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from packhorse.errors import DestinationError, SpaceError

__all__ = ["destination_error", "pread_into", "pwrite_all", "start_writing", "sync_directory"]

_IOV_MAX: Final = 512
_HAS_PWRITEV: Final = hasattr(os, "pwritev")
_HAS_PREADV: Final = hasattr(os, "preadv")
_seek_lock = threading.Lock()


def pwrite_all(descriptor: int, chunks: list[bytes], offset: int) -> None:
    """Write all of ``chunks`` at ``offset``, in as few calls as possible. Raises ``OSError``."""
    if not _HAS_PWRITEV:  # Windows
        with _seek_lock:
            os.lseek(descriptor, offset, os.SEEK_SET)
            for chunk in chunks:
                view = memoryview(chunk)
                while view:
                    view = view[os.write(descriptor, view) :]
        return
    for first in range(0, len(chunks), _IOV_MAX):
        batch = chunks[first : first + _IOV_MAX]
        size = sum(map(len, batch))
        done = os.pwritev(descriptor, batch, offset)
        if done < size:
            rest = memoryview(b"".join(batch))[done:]
            while rest:
                written = os.pwrite(descriptor, rest, offset + done)
                done += written
                rest = rest[written:]
        offset += size


def pread_into(descriptor: int, view: memoryview, offset: int) -> int:
    """Read at ``offset`` into ``view``; the count of bytes read, 0 at the end. Raises ``OSError``."""
    if _HAS_PREADV:
        return os.preadv(descriptor, [view], offset)
    if hasattr(os, "pread"):
        data = os.pread(descriptor, len(view), offset)
    else:  # Windows
        with _seek_lock:
            os.lseek(descriptor, offset, os.SEEK_SET)
            data = os.read(descriptor, len(view))
    view[: len(data)] = data
    return len(data)


def sync_directory(path: Path) -> None:
    """Make a directory's names durable. Where directories cannot be opened (Windows), nothing is to be done."""
    if sys.platform == "win32":
        return
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    except PermissionError:
        return  # it may be written but not read
    try:
        # Some network file systems refuse to sync a directory; they order names themselves.
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def start_writing(descriptors: Iterable[int]) -> None:
    """Have the system begin to write these files to the disk. To ``fsync`` many small files one after the other costs a
    journal's turn each; where all are on their way before, the first turn serves them all."""
    if not hasattr(os, "posix_fadvise"):
        return
    with contextlib.suppress(OSError):
        for descriptor in descriptors:
            # Of pages that are not written yet this begins the writing, and drops none.
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def destination_error(error: OSError, path: Path | str) -> DestinationError:
    """An ``OSError`` at the destination as one clear line with what to do."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = Path(path)
        available = _free(where)
        what = "your quota is used up" if error.errno == errno.EDQUOT else "no space is left"
        return SpaceError(
            f"{what} at {where.parent}: {available:,} bytes available",
            required=available + 1,
            available=available,
            hint="free some space there, or choose another place with --to; the same command goes on where it was",
        )
    words = os.strerror(error.errno) if error.errno else str(error)
    hints = {
        errno.EACCES: "choose a folder that you can write to: --to FOLDER",
        errno.EPERM: "choose a folder that you can write to: --to FOLDER",
        errno.EROFS: "that file system is read-only; choose another folder: --to FOLDER",
        errno.EEXIST: "part of that path is a file; choose another folder: --to FOLDER",
        errno.ENOTDIR: "part of that path is a file; choose another folder: --to FOLDER",
        errno.EISDIR: "a folder has that name; choose another place: --to FOLDER",
        errno.ENAMETOOLONG: "the path is too long here; choose a shorter folder: --to FOLDER",
    }
    return DestinationError(f"cannot write {path}: {words}", hint=hints.get(error.errno or 0))


def _free(path: Path) -> int:
    with contextlib.suppress(OSError, AttributeError):
        state = os.statvfs(path.parent)
        return state.f_bavail * state.f_frsize
    return 0
