"""Files and folders of this machine as items: what *verify* compares with and *carry* sends."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

from packhorse.errors import NotFoundError, PackhorseError, RemoteError, UsageError
from packhorse.model import Identity, Item
from packhorse.net.message import Request, ResponseHead
from packhorse.transfer.portal import Entry, Locator

__all__ = ["LocalPortal"]


class LocalPortal:
    """The local file system. ``path`` of an address is a path as the user types it (``~`` is understood)."""

    remote = "local"

    async def items(self, path: str) -> AsyncIterator[Item]:
        """The file, or every regular file below the folder in sorted order, by its path relative to the folder.

        Links to files are followed, links to folders are not (they may lead round in circles).
        """
        top = Path(path).expanduser()
        for item in await asyncio.to_thread(lambda: list(_walk(top))):
            yield item

    async def entries(self, path: str) -> AsyncIterator[Entry]:
        """What is in the folder, or the file itself."""
        top = Path(path).expanduser()
        for entry in await asyncio.to_thread(lambda: list(_level(top))):
            yield entry

    async def describe(self, path: str) -> Mapping[str, Any]:
        """Kind, size and time."""
        top = Path(path).expanduser()
        status = _stat(top)
        kind = "folder" if stat.S_ISDIR(status.st_mode) else "file"
        return {"path": str(top), "kind": kind, "size": status.st_size, "modified": status.st_mtime}

    async def locate(self, item: Item) -> Locator:
        """The path; there is no request to make."""
        return Locator(
            Path(item.key).as_uri(),
            size=item.size,
            identity=item.identity,
            authorised=False,
            local_path=item.key,
        )

    async def authorise(self, request: Request) -> Request:
        return request

    async def renew(self, refused: Request) -> bool:
        return False

    async def explain(self, head: ResponseHead, body: bytes) -> Exception:
        return RemoteError(f"{head.url} cannot be read", status=head.status)

    async def aclose(self) -> None:
        """Nothing is held."""


def _stat(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError as error:
        raise _unreadable(path, error) from None
    except ValueError:
        raise UsageError("a path cannot hold a NUL character") from None


def _unreadable(path: Path, error: OSError) -> PackhorseError:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return NotFoundError(f"{path} does not exist", hint="check the path")
    return UsageError(f"{path} cannot be read: {error.strerror or error}")


def _item(path: Path, name: str, status: os.stat_result) -> Item:
    # Size and time name no bytes for certain: a weak identity.
    identity = Identity("weak", f"{status.st_size}@{status.st_mtime_ns}", status.st_size)
    return Item("local", str(path.absolute()), name, size=status.st_size, identity=identity, modified=status.st_mtime)


def _walk(top: Path) -> Iterator[Item]:
    status = _stat(top)
    if not stat.S_ISDIR(status.st_mode):
        if not stat.S_ISREG(status.st_mode):
            raise UsageError(f"{top} is neither a file nor a folder")
        yield _item(top, top.name, status)
        return

    def fail(error: OSError) -> None:
        raise _unreadable(Path(error.filename or top), error)

    for folder, folders, names in os.walk(top, onerror=fail):
        folders.sort()
        for name in sorted(names):
            path = Path(folder) / name
            status = _stat(path)
            if stat.S_ISREG(status.st_mode):
                yield _item(path, path.relative_to(top).as_posix(), status)


def _level(top: Path) -> Iterator[Entry]:
    status = _stat(top)
    if not stat.S_ISDIR(status.st_mode):
        item = next(_walk(top))
        yield Entry(str(top), top.name, "file", item.size, item.modified, item)
        return
    try:
        paths = sorted(top.iterdir())
    except OSError as error:
        raise _unreadable(top, error) from None
    for path in paths:
        status = _stat(path)
        if stat.S_ISDIR(status.st_mode):
            yield Entry(str(path), path.name, "folder", modified=status.st_mtime)
        elif stat.S_ISREG(status.st_mode):
            item = _item(path, path.name, status)
            yield Entry(str(path), path.name, "file", item.size, item.modified, item)
