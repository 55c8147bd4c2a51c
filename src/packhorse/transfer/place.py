"""Final names: only for complete and checked files, never over anything else, and durable (DESIGN §4)."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
from functools import cache
from pathlib import Path
from typing import Final

from packhorse.errors import DestinationError

__all__ = ["exists_error", "name_file", "name_unnamed", "open_unnamed", "set_time"]

_NO_LINKS: Final = frozenset(
    {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EACCES, errno.EXDEV, errno.EINVAL}
)
_O_TMPFILE: Final = getattr(os, "O_TMPFILE", 0)
_DESCRIPTORS: Final = "/proc/self/fd"
_count = itertools.count()


def exists_error(target: Path) -> DestinationError:
    """Something else stands where the file should go."""
    return DestinationError(
        f"{target} is there already, and nothing says that it is this file",
        hint="add --overwrite to replace it, or choose another place with --to",
    )


def set_time(descriptor: int, path: Path, modified: float | None) -> None:
    """Keep the source's modification time, where it gives one that the file system can hold."""
    if modified is None or not -(2**33) < modified < 2**34:
        return
    stamp = int(modified * 1_000_000_000)
    with contextlib.suppress(OSError, OverflowError):
        os.utime(descriptor if os.utime in os.supports_fd else path, ns=(stamp, stamp))


def name_file(source: Path, target: Path, *, overwrite: bool) -> None:
    """Give a complete file its final name. Raises :class:`DestinationError` where something else has it; ``OSError``.

    Without ``overwrite``: link, then unlink, so that nothing is ever replaced; where links are missing, a rename
    after a look.
    """
    if overwrite:
        if target.is_dir() and not target.is_symlink():
            raise DestinationError(f"{target} is a folder", hint="choose another place with --to")
        source.replace(target)
        return
    try:
        os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        raise exists_error(target) from None
    except (OSError, NotImplementedError) as error:
        if isinstance(error, OSError) and error.errno not in _NO_LINKS:
            raise
        if target.exists() or target.is_symlink():
            raise exists_error(target) from None
        source.rename(target)
    else:
        source.unlink()


def _forerunner(name: str) -> str:
    """A name of its own for a file on its way to ``name``, which may be as long as names can be."""
    mark = f".{os.getpid()}-{next(_count)}.part"
    return name.encode("utf-8", "surrogateescape")[: 255 - len(mark)].decode("utf-8", "ignore") + mark


@cache
def _is_folder(path: str) -> bool:
    return Path(path).is_dir()


def open_unnamed(folder: str, name: str) -> tuple[int, Path | None]:
    """A file without a name in ``folder`` (nothing is left of it after a crash), or one with a name of its own."""
    if _O_TMPFILE and _is_folder(_DESCRIPTORS):
        with contextlib.suppress(OSError):
            return os.open(folder, _O_TMPFILE | os.O_RDWR, 0o666), None
    path = Path(folder, _forerunner(name))
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    return os.open(path, flags, 0o666), path


def name_unnamed(descriptor: int, path: Path | None, target: Path, *, overwrite: bool) -> None:
    """Give what :func:`open_unnamed` gave its final name. Raises as :func:`name_file` does."""
    if path is not None:
        name_file(path, target, overwrite=overwrite)
        return
    try:
        _link_unnamed(descriptor, target)
    except FileExistsError:
        if not overwrite:
            raise exists_error(target) from None
        between = target.with_name(_forerunner(target.name))
        _link_unnamed(descriptor, between)
        try:
            name_file(between, target, overwrite=True)
        except BaseException:
            between.unlink(missing_ok=True)
            raise


def _link_unnamed(descriptor: int, target: Path) -> None:
    # Python follows the symbolic link (AT_SYMLINK_FOLLOW) only when a directory's descriptor is given; the paths are
    # absolute or relative to the working directory, so any descriptor does.
    named = target if target.is_absolute() else target.absolute()
    os.link(f"{_DESCRIPTORS}/{descriptor}", named, src_dir_fd=descriptor, follow_symlinks=True)
