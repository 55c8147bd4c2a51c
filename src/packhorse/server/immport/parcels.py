"""An uploaded package as its files by name: out of one ZIP that nobody vouches for, or sent one by one (spec §4)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Final

from packhorse.errors import IntegrityError, PackhorseError, ProtocolError
from packhorse.server.storage import Reader, Storage, StoredFacts
from packhorse.wire.filenames import fold
from packhorse.wire.zip import Limits, ReadEntry, entry_blocks, read_directory
from packhorse.wire.zip.records import brief

__all__ = ["Parcel", "ParcelError", "ParcelFile", "bad_name", "is_zip", "open_parcel"]

NAME_LIMIT: Final = 240
"""Characters of a file's name (the templates say so)."""
UNPACKED: Final = 4 << 30
"""Bytes above which a ZIP must not unpack to much more than it has itself."""
_BLOCK: Final = 256 << 10
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


class ParcelError(PackhorseError):
    """A package that cannot be opened: a ZIP that is broken, encrypted or a bomb, or two files of one name."""

    code = "bad-parcel"


@dataclass(frozen=True, slots=True)
class ParcelFile:
    """A file of the package. ``blocks`` gives its bytes; it raises :class:`ParcelError` where they are damaged."""

    name: str
    size: int
    blocks: Callable[[], Iterator[bytes]] = field(repr=False, compare=False)

    def content(self, limit: int) -> bytes | None:
        """All of it, or ``None`` where it is more than ``limit`` bytes."""
        return b"".join(self.blocks()) if self.size <= limit else None

    def beginning(self, length: int) -> bytes:
        """Its first bytes."""
        held = bytearray()
        for block in self.blocks():
            held += block
            if len(held) >= length:
                break
        return bytes(held[:length])


@dataclass(frozen=True, slots=True)
class Parcel:
    """What a package holds, in the order that it came in."""

    files: tuple[ParcelFile, ...]

    @property
    def names(self) -> frozenset[str]:
        return frozenset(file.name for file in self.files)


def bad_name(name: str) -> str | None:
    """Why a file cannot be called that; ``None`` if it can."""
    if not name or name in (".", "..") or not name.strip():
        return "a file has no name"
    if _CONTROLS.search(name) or "/" in name or "\\" in name:
        return f"the file name {brief(name)} holds characters that no name may have"
    if len(name) > NAME_LIMIT:
        return f"the file name {brief(name)} has {len(name)} characters; {NAME_LIMIT} are allowed"
    return None


def is_zip(name: str) -> bool:
    """Whether a file calls itself a ZIP."""
    return name.lower().endswith(".zip")


@contextmanager
def open_parcel(
    storage: Storage, files: Sequence[tuple[str, StoredFacts]], *, zipped: bool, most: int
) -> Iterator[Parcel]:
    """A package, for as long as the block lasts: the files of the one ZIP, or the files themselves.

    ``most`` is how many files it may hold. Raises :class:`ParcelError`.
    """
    with ExitStack() as held:
        readers = [(name, _open(held, storage, facts), facts.size) for name, facts in files]
        found = _zip_files(*readers[0], most) if zipped else [_plain_file(*reader) for reader in readers]
        if len(found) > most:
            raise ParcelError(f"the package holds {len(found):,} files; {most:,} are allowed")
        seen: dict[str, str] = {}
        for file in found:
            if reason := bad_name(file.name):
                raise ParcelError(f"{reason}")
            other = seen.setdefault(fold(file.name), file.name)
            if other is not file.name:
                raise ParcelError(
                    f"the package holds {brief(other)} and {brief(file.name)}: templates could not tell which is meant"
                )
        yield Parcel(tuple(found))


def _open(held: ExitStack, storage: Storage, facts: StoredFacts) -> Reader:
    reader = storage.open(facts)
    held.callback(reader.close)
    return reader


def _fetcher(reader: Reader, size: int) -> Callable[[int, int], bytes]:
    def fetch(start: int, stop: int) -> bytes:
        held = bytearray()
        while start + len(held) < min(stop, size):
            held += reader.read(start + len(held), min(stop, size) - start - len(held))
        return bytes(held)

    return fetch


def _plain_file(name: str, reader: Reader, size: int) -> ParcelFile:
    fetch = _fetcher(reader, size)
    return ParcelFile(name, size, lambda: (fetch(at, min(at + _BLOCK, size)) for at in range(0, size, _BLOCK)))


def _zip_files(name: str, reader: Reader, size: int, most: int) -> list[ParcelFile]:
    fetch = _fetcher(reader, size)
    try:
        entries = read_directory(fetch, size, Limits(entries=4 * most, unpacked=UNPACKED))
    except (ProtocolError, IntegrityError) as error:
        raise ParcelError(f"{brief(name)} cannot be read: {error.message}") from error
    found = []
    for entry in entries:
        base = entry.name.replace("\\", "/").rpartition("/")[2]
        if entry.is_folder or base.startswith(".") or "__MACOSX/" in entry.name:
            continue  # what file managers leave behind
        if entry.unsupported is not None:
            raise ParcelError(f"{brief(name)}: {entry.shown} is {entry.unsupported}, which cannot be read")
        found.append(ParcelFile(base, entry.size, _entry(name, fetch, entry)))
    return found


def _entry(name: str, fetch: Callable[[int, int], bytes], entry: ReadEntry) -> Callable[[], Iterator[bytes]]:
    def blocks() -> Iterator[bytes]:
        try:
            yield from entry_blocks(fetch, entry)
        except (ProtocolError, IntegrityError) as error:
            raise ParcelError(f"{brief(name)} is damaged: {error.message}") from error

    return blocks
