"""The upload protocol: all that the engine asks of a portal that takes files, and the values of a *send* (DESIGN §4).

A receiver creates a transfer, makes requests for parts, says whether the answers acknowledge them, and ends the
transfer. Nothing about reading, retrying, resuming or journalling is written in a receiver.

The order of calls is::

    begin, or alive after an interruption
    for every file:   encoder
    for every part:   request, authorise, (the engine sends it), acknowledge
    for every file:   finish_file            only when each of its parts is acknowledged
    finish                                   only when every file is finished
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from packhorse.errors import ExitCode, PackhorseError
from packhorse.model import ByteRange, ProofLevel
from packhorse.net.message import Reply, Request, ResponseHead

__all__ = [
    "Begun",
    "Encoder",
    "FailedSend",
    "LocalFile",
    "Receiver",
    "SendOptions",
    "SendOutcome",
    "SentFile",
]


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file to be sent, as it was when it was looked at.

    ``path`` is absolute; ``name`` the remote name, with ``/`` between folders. ``size`` in bytes, ``mtime_ns`` in
    nanoseconds. Size, ``mtime_ns`` and ``ino`` are its local identity: another one is another file. ``dev`` is noted
    only, since a device's number changes with a reboot and from node to node.
    """

    path: Path
    name: str
    size: int
    mtime_ns: int
    dev: int
    ino: int


@dataclass(frozen=True, slots=True)
class Begun:
    """A transfer that is open at the portal.

    ``state`` is whatever the receiver needs to know it again in another process: JSON values only; tokens are allowed,
    since the journal is readable by its owner only, passwords are not. ``refs`` maps each :attr:`LocalFile.name` to
    what names that file at the portal, JSON values too. ``part_size`` in bytes, where this transfer has another than
    the receiver's usual one. ``id`` is the portal's id of the transfer, for people.
    """

    state: Any
    refs: Mapping[str, Any]
    part_size: int | None = None
    id: str = ""


class Encoder(Protocol):
    """A pure transformation of a file's parts, as end-to-end encryption is. Threads may call it at once."""

    def encode(self, index: int, plain: bytes) -> bytes:
        """The bytes to send for part number ``index`` (from 0), which begins at ``index × part_size``."""


class Receiver(Protocol):
    """One upload of a set of files to a portal.

    ``remote`` is its name in the settings. ``part_size`` in bytes: all parts of a file are so long but the last.
    ``about`` is what makes it this upload apart from its files (recipients, subject, options, whether encrypted): JSON
    values without secrets. The same ``remote``, ``about`` and files are the same upload, which is resumed.
    """

    @property
    def remote(self) -> str: ...

    @property
    def part_size(self) -> int: ...

    @property
    def about(self) -> Mapping[str, Any]: ...

    async def begin(self, files: Sequence[LocalFile]) -> Begun:
        """Create the transfer. Called at most once for a journal, and never repeated blindly. Raises our errors."""

    async def alive(self, state: Any) -> Begun | None:
        """The transfer that an earlier process began, if the portal still takes parts for it; ``None`` when it is over.

        What it returns replaces what was journalled (its ``part_size`` is not looked at: parts stay as they were).
        Raises our errors where that cannot be learned.
        """

    def encoder(self, ref: Any, file: LocalFile) -> Encoder | None:
        """What transforms the parts of this file, or ``None``. Called in a thread: deriving a key may take its time.

        With an encoder, the SHA-256 of each part's plaintext is journalled before its first byte leaves, and a part is
        never encoded again with another plaintext.
        """

    def request(self, ref: Any, part: ByteRange, body: bytes, sha256: str) -> Request:
        """The request that carries one part, unsigned and idempotent.

        ``part`` are the file's own (plaintext) bytes, ``body`` what is to be sent for them (encoded), ``sha256`` the
        hexadecimal digest of ``body``. The request's body may also be a function that gives pieces around ``body`` (a
        form); then ``body_size`` is set.
        """

    async def authorise(self, request: Request) -> Request:
        """The finished request, signed. Called before every attempt, just before it is sent."""

    async def renew(self, refused: Request, head: ResponseHead, body: bytes) -> bool:
        """A part was refused with 400, 401 or 403: renew the credential, or change how parts are sent from now on.

        True when another try at once makes sense. Asked at most twice for a part. Several parts may come with the same
        refusal: whoever comes with what is replaced already gets True at once.
        """

    def acknowledge(self, ref: Any, part: ByteRange, reply: Reply) -> None:
        """The portal answered a part's request with 2xx: raise where that does not say that it has every byte of it.

        A :class:`ProtocolError` lets the part be sent again (as often as ``retries`` says), any other error ends the
        upload.
        """

    async def finish_file(self, ref: Any) -> str | None:
        """Every part of the file is acknowledged: say so. Idempotent. The portal's id of the file, if it has one."""

    async def finish(self, state: Any) -> Any:
        """Every file is finished: end the transfer, which may mail people. The result, JSON values, for the caller.

        It is not repeated before :meth:`finished` was asked. Raises our errors.
        """

    async def finished(self, state: Any) -> Any | None:
        """What :meth:`finish` returned, where the portal says that it took place; ``None`` where it did not.

        Asked when the answer to ``finish`` was lost. Raises our errors where that cannot be learned.
        """

    async def discard(self, state: Any) -> None:
        """Remove the unfinished transfer from the portal. Raises NotFoundError where it is not there any more."""

    async def explain(self, head: ResponseHead, body: bytes) -> Exception:
        """The error for a refused part, with the portal's words and remedy.

        It also decides where the status alone does not: an error that is not ``retryable``, and says more than a plain
        :class:`RemoteError`, ends the upload at once even with a 500; a retryable one (:class:`ServerError`,
        :class:`ProtocolError`, …) lets the part be sent again even after a 400. 429 and 503 are always waited for.
        """


@dataclass(frozen=True, slots=True)
class SendOptions:
    """How to send. ``concurrent_files`` and ``concurrent_parts`` (of one file) at once; ``None``: as many as the memory
    for parts in flight allows (32 MiB, or one part where that is larger; more only where so many parts were asked for).

    ``jobs`` caps the connections per host; ``limit_rate`` in bytes per second for the whole job; ``retries`` counts
    tries of a part after the first.
    """

    concurrent_files: int | None = None
    concurrent_parts: int | None = None
    jobs: int | None = None
    limit_rate: int | None = None
    retries: int = 3


@dataclass(frozen=True, slots=True)
class SentFile:
    """A file that the portal has whole. ``kept`` bytes were confirmed by an earlier process, ``sent`` came now; ``id``
    is the portal's id of it. ``proof``: ``size`` means that each part's size was acknowledged."""

    file: LocalFile
    id: str = ""
    kept: int = 0
    sent: int = 0
    proof: ProofLevel = ProofLevel.SIZE


@dataclass(frozen=True, slots=True)
class FailedSend:
    """A file that was given up, and why."""

    file: LocalFile
    error: PackhorseError
    resumable: bool = False


@dataclass(slots=True)
class SendOutcome:
    """What came of a *send*. It is done when ``error`` is ``None``: only then was ``finish`` called, and ``result`` is
    what it returned. ``resumed``: an earlier process had begun it. ``before``: an earlier call finished it then (Unix
    seconds), and nothing was done now. ``key`` names its journal."""

    remote: str
    key: str
    files: list[LocalFile]
    sent: list[SentFile] = field(default_factory=list)
    failed: list[FailedSend] = field(default_factory=list)
    result: Any = None
    error: PackhorseError | None = None
    id: str = ""
    resumed: bool = False
    before: float | None = None
    seconds: float = 0.0

    @property
    def size(self) -> int:
        """Bytes in all files."""
        return sum(file.size for file in self.files)

    @property
    def exit_code(self) -> ExitCode:
        """The command line's exit code (DESIGN §4). An upload that was not finished is not partly done: nobody has
        anything of it."""
        return ExitCode.DONE if self.error is None else self.error.exit_code

    def raise_for_failures(self) -> SendOutcome:
        """Raise what stopped it, as Python callers expect."""
        if self.error is not None:
            raise self.error
        return self
