"""The files of a release package: out of a ZIP that nobody vouches for, or out of a folder that was unpacked from one.

A package's tables are the ``.txt`` files of the folder that holds ``study.txt`` (``Tab/``, wherever it is); what lies
in folders named ``protocols``, ``study_files`` and ``study_images`` are its documents (spec immport §3.1).
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from packhorse.errors import IntegrityError, PackageError, ProtocolError, UsageError
from packhorse.server.storage.descriptors import read_at
from packhorse.wire.zip import ReadEntry, read_directory, read_slice

__all__ = ["Member", "PackageFiles", "open_package"]

_BLOCK: Final = 256 << 10
_HASHED: Final = 4 << 20
_RELEASE: Final = re.compile(r"(?:^|[-_/])DR([0-9]{1,4}(?:\.[0-9]{1,4}){0,2})(?:[-_./]|$)", re.ASCII)
_DOCUMENTS: Final = ("protocols", "study_files", "study_images")
_TABLE: Final = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a package. ``folder`` is the last folder that it lies in, in lower case; ``size`` in bytes,
    ``modified`` in Unix seconds.

    ``blocks`` gives its bytes, checked while they are read; it raises :class:`PackageError` where they are damaged.
    """

    path: str
    folder: str
    name: str
    size: int
    modified: float
    blocks: Callable[[], Iterator[bytes]] = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class PackageFiles:
    """What a package holds. ``tables`` by name in lower case, without ``.txt``; ``others`` is what has no place.

    ``name`` is the ZIP's or folder's name, ``zip`` its path if it is a ZIP. ``release`` (``DR25``) is what its names
    say, or "". ``sha256`` is the ZIP's, or one over the names and contents of a folder's files.
    """

    name: str
    release: str
    sha256: str
    tables: dict[str, Member]
    documents: tuple[Member, ...]
    others: tuple[str, ...]
    zip: Path | None


@contextmanager
def open_package(path: Path) -> Iterator[PackageFiles]:
    """A package, for as long as the block lasts.

    Raises :class:`UsageError` for a path that is not there, :class:`PackageError` for what is no ZIP, a broken, hostile
    or encrypted one, and for a package without one ``study.txt``.
    """
    try:
        seen = path.stat()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no such path"
        raise UsageError(f"{path} is not there or cannot be read: {reason}") from error
    if stat.S_ISDIR(seen.st_mode):
        members = _folder_members(path)
        yield _sorted_out(path.resolve().name, members, _folder_hash(members), None)
        return
    if not stat.S_ISREG(seen.st_mode):
        raise UsageError(f"{path} is neither a file nor a folder")
    try:
        file = path.open("rb", buffering=0)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    with file:
        before = os.fstat(file.fileno())
        members = _zip_members(path, file.fileno(), before.st_size)
        digest = hashlib.sha256()
        for at in range(0, before.st_size, _HASHED):
            digest.update(read_at(file.fileno(), _HASHED, at))
        yield _sorted_out(path.name, members, digest.hexdigest(), path)
        after = os.fstat(file.fileno())
        if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
            raise PackageError(f"{path.name} changed while it was read; nothing was imported")


def _sorted_out(name: str, members: list[Member], sha256: str, archive: Path | None) -> PackageFiles:
    studies = [member for member in members if member.name.lower() == "study.txt"]
    if not studies:
        mysql = any(member.name.lower().endswith(".sql") for member in members)
        raise PackageError(
            f"{name} holds no study.txt" + (": it is a package in MySQL form" if mysql else ""),
            hint="a release package in Tab form is wanted: SDYnnn-DRnn_Tab.zip",
        )
    if len(studies) > 1:
        both = " and ".join(member.path for member in studies[:2])
        raise PackageError(f"{name} holds more than one package: {both}", hint="import them one by one")
    top = studies[0].path[: -len("study.txt")]
    tables: dict[str, Member] = {}
    documents: list[Member] = []
    others: list[str] = []
    for member in members:
        table = member.name[:-4].lower()
        if member.path == top + member.name and member.name.lower().endswith(".txt") and _TABLE.fullmatch(table):
            if table in tables:
                raise PackageError(f"{name} holds the table {table} twice")
            tables[table] = member
        elif member.folder in _DOCUMENTS:
            documents.append(member)
        else:
            others.append(member.path)
    found = _RELEASE.search(top) or _RELEASE.search(name)
    release = f"DR{found[1]}" if found else ""
    return PackageFiles(name, release, sha256, tables, tuple(documents), tuple(others), archive)


def _member(path: str, size: int, modified: float, blocks: Callable[[], Iterator[bytes]]) -> Member:
    parts = path.replace("\\", "/").split("/")
    return Member(path, parts[-2].lower() if len(parts) > 1 else "", parts[-1], size, modified, blocks)


# --------------------------------------------------------------------------- ZIP


def _zip_members(path: Path, descriptor: int, size: int) -> list[Member]:
    def fetch(start: int, stop: int) -> bytes:
        return read_at(descriptor, stop - start, start)

    try:
        entries = [entry for entry in read_directory(fetch, size) if not entry.is_folder]
    except (ProtocolError, IntegrityError) as error:
        hint = error.hint or "fetch the package again"
        raise PackageError(f"{path.name} cannot be read: {error.message}", hint=hint) from error
    for entry in entries:
        if entry.unsupported is not None:
            raise PackageError(
                f"{path.name}: {entry.shown} is {entry.unsupported}, which cannot be read",
                hint="unpack it with another program and import the folder",
            )

    def blocks(entry: ReadEntry) -> Callable[[], Iterator[bytes]]:
        return lambda: _checked(path.name, fetch, entry)

    return [_member(entry.name, entry.size, float(entry.modified or 0), blocks(entry)) for entry in entries]


def _checked(package: str, fetch: Callable[[int, int], bytes], entry: ReadEntry) -> Iterator[bytes]:
    """An entry's bytes, unpacked. What is wrong with the last of them is only known when all are read."""
    try:
        found = read_slice(fetch, entry)
    except (ProtocolError, IntegrityError) as error:
        raise PackageError(f"{package} is damaged: {error.message}", hint="fetch the package again") from error
    inflater = zlib.decompressobj(-15) if entry.method else None
    crc = size = 0
    for at in range(found.start, found.stop, _BLOCK):
        packed = fetch(at, min(at + _BLOCK, found.stop))
        if inflater is not None and inflater.eof:
            raise _damaged(package, entry, "more follows its end")
        while packed:
            block, packed = packed, b""
            if inflater is not None:
                try:
                    block = inflater.decompress(block, _BLOCK)
                except zlib.error:
                    raise _damaged(package, entry, "it cannot be unpacked") from None
                packed = inflater.unconsumed_tail
            crc, size = zlib.crc32(block, crc), size + len(block)
            if size > entry.size:
                raise _damaged(package, entry, f"more than its {entry.size:,} bytes come out")
            if block:
                yield block
    if inflater is not None and not inflater.eof:
        rest = inflater.flush()
        crc, size = zlib.crc32(rest, crc), size + len(rest)
        if rest:
            yield rest
    if size != entry.size or crc != entry.crc32:
        raise _damaged(package, entry, "its bytes are not those that its checksum is of")


def _damaged(package: str, entry: ReadEntry, why: str) -> PackageError:
    return PackageError(f"{package} is damaged: {entry.shown}: {why}", hint="fetch the package again")


# --------------------------------------------------------------------------- folder


def _folder_members(root: Path) -> list[Member]:
    """The regular files below a folder, in order; links and hidden files are none of it."""
    found: list[Member] = []
    for top, folders, names in os.walk(root):
        folders[:] = sorted(
            each for each in folders if not each.startswith(".") and not (Path(top) / each).is_symlink()
        )
        for name in sorted(names):
            path = Path(top) / name
            try:
                seen = path.lstat()
            except OSError:
                continue
            if not name.startswith(".") and stat.S_ISREG(seen.st_mode):
                found.append(_member(path.relative_to(root).as_posix(), seen.st_size, seen.st_mtime, _reader(path)))
    return found


def _reader(path: Path) -> Callable[[], Iterator[bytes]]:
    def blocks() -> Iterator[bytes]:
        try:
            with path.open("rb", buffering=0) as file:
                while block := file.read(_BLOCK):
                    yield block
        except OSError as error:
            raise PackageError(f"{path.name} cannot be read: {error.strerror}; nothing was imported") from error

    return blocks


def _folder_hash(members: list[Member]) -> str:
    joined = hashlib.sha256()
    for member in members:
        one = hashlib.sha256()
        for block in member.blocks():
            one.update(block)
        joined.update(f"{member.path}\0{one.hexdigest()}\n".encode("utf-8", "surrogateescape"))
    return joined.hexdigest()
