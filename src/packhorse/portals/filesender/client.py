"""The documented Python client of FileSender, to the letter (seed 004); the engine does the moving.

>>> from packhorse.portals.filesender import FileSenderClient, UserAuth
>>> FileSenderClient("https://filesender.example.org/rest.php/", auth=UserAuth("ada@example.org", "c3…"))
FileSenderClient('https://filesender.example.org', auth=UserAuth(username='ada@example.org', delay=0))

Everything raises a :class:`~packhorse.errors.PackhorseError` with a hint. :class:`SyncFileSenderClient` is the same
without ``await``.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, List, Optional, ParamSpec, TypeVar, Union, cast  # noqa: UP035 - as documented

from packhorse.portals.filesender.types import (
    Auth,
    File,
    FileUpdate,
    Guest,
    PartialTransfer,
    ServerInfo,
    Transfer,
    TransferUpdate,
)
from packhorse.portals.filesender.work import ClientWork
from packhorse.transfer.engine import Engine

__all__ = ["FileSenderClient", "SyncFileSenderClient"]

T = TypeVar("T")
P = ParamSpec("P")


# The annotations, and the defaults that are made once, are those of the documentation.
# ruff: noqa: UP006, UP007, UP045, B006, B008, PYI041
class _Face:
    """What both faces are made with."""

    def __init__(
        self,
        base_url: str,
        chunk_size: Optional[int] = None,
        auth: Auth = Auth(),
        concurrent_files: Optional[int] = 1,
        concurrent_chunks: Optional[int] = 2,
    ) -> None:
        self._work = ClientWork(base_url, chunk_size, auth, concurrent_files, concurrent_chunks)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._work.base!r}, auth={self._work.auth!r})"

    @property
    def base_url(self) -> str:
        """The site's address."""
        return self._work.base

    @property
    def auth(self) -> Auth:
        """Who signs in."""
        return self._work.auth

    @property
    def chunk_size(self) -> Optional[int]:
        """Bytes of a chunk; the server's, once :meth:`prepare` was called."""
        return self._work.chunk_size

    @property
    def password(self) -> Optional[str]:
        """Encrypts what is sent and decrypts what is received, end to end; ``None`` for neither."""
        return self._work.password

    @password.setter
    def password(self, value: Optional[str]) -> None:
        self._work.password = value


class FileSenderClient(_Face):
    """A client that can be used to programmatically interact with FileSender.

    ``base_url`` is the site's address; a trailing ``/`` or ``/rest.php`` does no harm. ``chunk_size`` in bytes, the
    server's by default. ``concurrent_files`` times ``concurrent_chunks`` chunks are in flight at once; ``None`` for
    as many as the memory budget allows. May be used from any event loop, and from several.
    """

    async def prepare(self) -> None:
        """Check the chunk size against the server's, or take that. Uploads call it where it was forgotten.

        Raises :class:`UsageError` for a chunk size that the server does not take.
        """
        await _on_engine(self._work.prepare())

    async def create_guest(self, body: Guest) -> Guest:
        """Send a voucher to a guest, to invite them to send files."""
        return cast("Guest", await _on_engine(self._work.create_guest(body)))

    async def upload_workflow(self, files: List[Path], transfer_args: PartialTransfer = {}) -> Transfer:
        """Upload files and folders, and mail the recipients; without recipients a link is made.

        The same call goes on where an interrupted one was. Every name and limit is checked before the first byte.
        """
        return cast("Transfer", await _on_engine(self._work.upload_workflow(files, transfer_args)))

    async def download_files(self, token: str, out_dir: Path) -> None:
        """Download all files of a transfer, each checked before it gets its name; the folder is made where missing."""
        await _on_engine(self._work.download_files(token, out_dir))

    async def get_server_info(self) -> ServerInfo:
        """Everything that the server says of itself."""
        return cast("ServerInfo", await _on_engine(self._work.get_server_info()))

    async def create_transfer(self, body: Transfer) -> Transfer:
        """Begin a transfer; :meth:`upload_workflow` does this and the rest."""
        return cast("Transfer", await _on_engine(self._work.create_transfer(body)))

    async def update_transfer(self, transfer_id: int, body: TransferUpdate) -> Transfer:
        """Change a transfer, for example to say that it is complete."""
        return cast("Transfer", await _on_engine(self._work.update_transfer(transfer_id, body)))

    async def update_file(self, file_info: File, body: FileUpdate) -> None:
        """Change a file, for example to say that it is complete."""
        await _on_engine(self._work.update_file(file_info, body))

    async def upload_file(self, file_info: File, path: Path) -> None:
        """Upload a file's chunks, several at once. ``file_info`` is one of the files of :meth:`create_transfer`."""
        await _on_engine(self._work.upload_file(file_info, path))

    async def download_file(
        self,
        token: str,
        file_id: int,
        out_dir: Path,
        file_size: Union[int, float, None] = None,
        file_name: Optional[str] = None,
    ) -> None:
        """Download one file, under ``file_name`` where that is given. Raises :class:`NotFoundError`, and
        :class:`ChangedError` when its size is not ``file_size``."""
        await _on_engine(self._work.download_file(token, file_id, out_dir, file_size, file_name))

    async def upload_complete(self, file_info: File, path: Path) -> None:
        """Upload a file's chunks and say that it is complete."""
        await _on_engine(self._work.upload_file(file_info, path, complete=True))


async def _on_engine(work: Coroutine[Any, Any, T]) -> T:
    return await Engine.shared().bridge(work)


def _blocking(
    method: Callable[Concatenate[FileSenderClient, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[SyncFileSenderClient, P], T]:
    @wraps(method)
    def call(self: SyncFileSenderClient, *args: P.args, **kwargs: P.kwargs) -> T:
        return Engine.shared().run(method(cast("FileSenderClient", self), *args, **kwargs))

    return cast("Callable[Concatenate[SyncFileSenderClient, P], T]", call)


class SyncFileSenderClient(_Face):
    """:class:`FileSenderClient` without ``await``: every call returns when its work is done. Threads may share one."""

    prepare = _blocking(FileSenderClient.prepare)
    create_guest = _blocking(FileSenderClient.create_guest)
    upload_workflow = _blocking(FileSenderClient.upload_workflow)
    download_files = _blocking(FileSenderClient.download_files)
    get_server_info = _blocking(FileSenderClient.get_server_info)
    create_transfer = _blocking(FileSenderClient.create_transfer)
    update_transfer = _blocking(FileSenderClient.update_transfer)
    update_file = _blocking(FileSenderClient.update_file)
    upload_file = _blocking(FileSenderClient.upload_file)
    download_file = _blocking(FileSenderClient.download_file)
    upload_complete = _blocking(FileSenderClient.upload_complete)
