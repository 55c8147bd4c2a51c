"""A package on disk on its way to ImmPort: which files it has, and the form that carries them (spec immport §4).

The form is never built: its pieces are read from the files as they are sent, and its length is known before.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packhorse.errors import ChangedError, UsageError
from packhorse.net.redact import show_text

__all__ = ["LocalPackage", "MultipartBody", "PackageFile", "look"]

_READ: Final = 1 << 20
_NAME_LIMIT: Final = 240
_FLAGS: Final = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)


@dataclass(frozen=True, slots=True)
class PackageFile:
    """A file as it was when it was looked at; ``size`` in bytes."""

    path: Path
    name: str
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class LocalPackage:
    """What is sent: one ZIP (``name`` is then empty), or files under a name of the package's own."""

    files: tuple[PackageFile, ...]
    name: str

    @property
    def title(self) -> str:
        """The package as people call it."""
        return self.name or self.files[0].name

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    @property
    def fingerprint(self) -> str:
        """Another one as soon as a file is another one, as far as name, size and date tell."""
        facts = "\n".join(f"{file.path.resolve()}\t{file.size}\t{file.mtime_ns}" for file in self.files)
        return hashlib.sha256(f"{self.name}\n{facts}".encode("utf-8", "surrogateescape")).hexdigest()


def look(paths: Sequence[str | Path], name: str | None = None) -> LocalPackage:
    """The package at these paths: one ``.zip``, or files and folders (whose files are taken, not hidden ones).

    ``name`` is the package's, for files; the first path's where it is not given. Raises :class:`UsageError` for what
    cannot be sent: a path that is not there, two files of one name, a name that ImmPort does not take.
    """
    if not paths:
        raise UsageError("no file was given", hint="packhorse immport upload PACKAGE.zip")
    given = [Path(path).expanduser() for path in paths]
    files = [_file(path) for one in given for path in _found(one)]
    seen: dict[str, Path] = {}
    for file in files:
        other = seen.setdefault(file.name.casefold(), file.path)
        if other is not file.path:
            raise UsageError(f"{other} and {file.path} have one name: a package cannot hold both")
    if not files:
        raise UsageError(f"{given[0]} holds no file", hint="packhorse immport upload PACKAGE.zip")
    if len(files) == 1 and files[0].name.lower().endswith(".zip"):
        if name:
            raise UsageError("a package that is one ZIP has no other name", hint="leave --name out")
        return LocalPackage(tuple(files), "")
    return LocalPackage(tuple(files), _checked(name or given[0].resolve().stem or "package"))


def _checked(name: str) -> str:
    if len(name) > _NAME_LIMIT or not name.isprintable() or "/" in name or "\\" in name or name in (".", ".."):
        raise UsageError(f"{show_text(name)!r} cannot be the name of a package or file", hint="--name NAME")
    return name


def _found(path: Path) -> Iterator[Path]:
    try:
        folder = stat.S_ISDIR(path.stat().st_mode)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", hint="check the spelling of the path") from None
    if not folder:
        yield path
        return
    for one in sorted(path.rglob("*")):
        if one.is_file() and not any(part.startswith(".") for part in one.relative_to(path).parts):
            yield one


def _file(path: Path) -> PackageFile:
    try:
        facts = path.stat()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    if not stat.S_ISREG(facts.st_mode):
        raise UsageError(f"{path} is no regular file")
    return PackageFile(path, _checked(path.name), facts.st_size, facts.st_mtime_ns)


class MultipartBody:
    """The form: fields, then the files in the field ``file``. Calling it gives its pieces afresh."""

    def __init__(self, fields: Mapping[str, str], files: Sequence[PackageFile] = ()) -> None:
        self._boundary = f"packhorse-{secrets.token_hex(16)}"
        self._fields = b"".join(
            self._head(f'name="{_quoted(name)}"') + value.encode() + b"\r\n" for name, value in fields.items()
        )
        self._files = [
            (
                file,
                self._head(f'name="file"; filename="{_quoted(file.name)}"', "Content-Type: application/octet-stream"),
            )
            for file in files
        ]
        self._end = f"--{self._boundary}--\r\n".encode()

    @property
    def content_type(self) -> str:
        """The header's value."""
        return f"multipart/form-data; boundary={self._boundary}"

    @property
    def size(self) -> int:
        """Bytes of the whole form."""
        return len(self._fields) + len(self._end) + sum(len(head) + file.size + 2 for file, head in self._files)

    def __call__(self) -> Iterable[bytes]:
        """The pieces. Raises :class:`ChangedError` when a file is not any more what it was, in the middle of it too."""
        yield self._fields
        for file, head in self._files:
            yield head
            yield from _blocks(file)
            yield b"\r\n"
        yield self._end

    def _head(self, disposition: str, *more: str) -> bytes:
        lines = [f"--{self._boundary}", f"Content-Disposition: form-data; {disposition}", *more, "", ""]
        return "\r\n".join(lines).encode("utf-8", "replace")


def _quoted(name: str) -> str:
    """A name inside quotes, as browsers write it."""
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def _blocks(file: PackageFile) -> Iterator[bytes]:
    try:
        descriptor = os.open(file.path, _FLAGS)
    except OSError as error:
        raise ChangedError(f"{file.path} cannot be read any more: {error.strerror}") from None
    with open(descriptor, "rb", buffering=0) as source:  # noqa: PTH123 - the descriptor was opened without blocking
        facts = os.fstat(descriptor)
        if (facts.st_size, facts.st_mtime_ns) != (file.size, file.mtime_ns):
            raise ChangedError(
                f"{file.path} changed since it was looked at; nothing of it counts", hint="send it again"
            )
        left = file.size
        while left:
            block = source.read(min(_READ, left))
            if not block:
                raise ChangedError(f"{file.path} became shorter while it was sent", hint="send it again")
            left -= len(block)
            yield block
