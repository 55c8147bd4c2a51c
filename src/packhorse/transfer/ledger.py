"""The ledger of a destination: what is placed there and how it was proven (DESIGN §4).

``.packhorse/ledger.N.log`` in the destination: append-only, one file per run, taken by ``O_EXCL`` creation, so that
two processes never share one. Each line is checked; the last one about a path counts.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from packhorse.model import Digest, Identity, Item, Proof, ProofLevel
from packhorse.transfer.journal import append_lines, read_lines, seal

__all__ = ["LEDGER_DIR", "Ledger", "LedgerEntry", "address_of", "entry_for", "read_ledger", "unchanged"]

LEDGER_DIR: Final = ".packhorse"


class LedgerEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One placed file: ``path`` below the destination, ``original`` the server's name where it was mapped,
    ``mtime`` in nanoseconds and
    ``inode`` as placed, ``proof`` the level, ``stated`` and ``recorded`` as ``algorithm:hex``."""

    path: str
    size: int
    mtime: int
    inode: int
    proof: str
    stated: str = ""
    recorded: list[str] = []
    kind: str = "weak"
    identity: str = ""
    etag: str = ""
    modified: str = ""
    address: str = ""
    key: str = ""
    original: str = ""
    durability: str = "full"
    placed: float = 0.0
    format: int = 1

    def proof_value(self) -> Proof:
        """The proof as a value. Damaged fields count as nothing."""
        try:
            level = ProofLevel(self.proof)
            stated = Digest.parse(self.stated) if self.stated else None
            recorded = tuple(Digest.parse(text) for text in self.recorded)
        except ValueError:
            return Proof(ProofLevel.NONE)
        return Proof(level, stated, recorded)

    def is_of(self, item: Item) -> bool:
        """Whether this file is the item as the portal describes it now: same identity, or a digest that agrees."""
        if item.size is not None and item.size != self.size:
            return False
        mine = self.proof_value()
        for digest in item.digests:
            have = mine.digest(digest.algorithm)
            if have is not None:
                return have == digest
        if item.identity is None or not item.identity.strong:
            return False
        if item.identity.kind == "id" and self.address.partition(":")[0] != item.remote:
            return False  # an id is one at its remote only
        return (item.identity.kind, item.identity.value) == (self.kind, self.identity)

    def stands_for(self, item: Item, identity: Identity) -> bool:
        """Whether this file is what a fetch of the item under this identity would bring."""
        alike = (identity.kind, identity.value) == (self.kind, self.identity) and self.address == address_of(item)
        return alike or self.is_of(item)

    def identity_value(self) -> Identity:
        """The identity it was fetched under."""
        kind = self.kind if self.kind in ("digest", "id", "etag") else "weak"
        return Identity(kind, self.identity, self.size)  # type: ignore[arg-type]


_decode = msgspec.json.Decoder(LedgerEntry).decode


def _numbered(folder: Path) -> list[tuple[int, Path]]:
    found = []
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for entry in os.scandir(folder):
            first, _, rest = entry.name.partition(".")
            number, _, suffix = rest.partition(".")
            if first == "ledger" and suffix == "log" and number.isascii() and number.isdigit():
                found.append((int(number), Path(entry.path)))
    return sorted(found)


def read_ledger(destination: Path) -> dict[str, LedgerEntry]:
    """Every entry of a destination by path; the newest of a path counts. Empty where there is no ledger."""
    entries: dict[str, LedgerEntry] = {}
    for _, path in _numbered(destination / LEDGER_DIR):
        for entry in _entries(path):
            known = entries.get(entry.path)
            if known is None or entry.placed >= known.placed:
                entries[entry.path] = entry
    return entries


def _entries(path: Path) -> Iterator[LedgerEntry]:
    with contextlib.suppress(OSError):
        for body in read_lines(path.read_bytes()):
            with contextlib.suppress(msgspec.DecodeError, msgspec.ValidationError):
                yield _decode(body)


def unchanged(entry: LedgerEntry, target: Path) -> bool:
    """Whether the very file that was placed is still there: same inode, size and time.

    An entry is written just before its file gets the final name, so the inode is what says that it did.
    """
    try:
        state = target.lstat()
    except OSError:
        return False
    regular = (state.st_mode & 0o170000) == 0o100000
    return regular and (state.st_size, state.st_mtime_ns, state.st_ino) == (entry.size, entry.mtime, entry.inode)


class Ledger:
    """One destination's ledger, open for appending by this run. Opened with the first entry."""

    def __init__(self, destination: Path) -> None:
        self.destination = destination
        self.entries = read_ledger(destination)
        self.before = dict(self.entries)
        self._fd = -1
        self._torn = False
        self._lock = threading.Lock()

    def reload(self) -> None:
        """Read again what other processes placed meanwhile."""
        self.entries = read_ledger(self.destination)

    def add(self, entries: list[LedgerEntry], *, sync: bool) -> None:
        """Append entries in one write; ``sync`` makes them durable before it returns. Raises ``OSError``."""
        if not entries:
            return
        with self._lock:
            if self._fd < 0:
                self._fd = self._create()
            torn, self._torn = self._torn, True
            append_lines(self._fd, b"".join(seal(entry) for entry in entries), torn=torn)
            self._torn = False
            if sync:
                os.fsync(self._fd)
            for entry in entries:
                self.entries[entry.path] = entry

    def standing(self, targets: Mapping[str, Path]) -> dict[str, LedgerEntry]:
        """Of these paths the entries that hold, whoever wrote them. They are noted once more: an entry of ours whose
        file never got its name would hide them. Raises ``OSError``."""
        found: dict[str, LedgerEntry] = {}
        for _, path in _numbered(self.destination / LEDGER_DIR):
            for entry in _entries(path):
                if entry.path in targets and unchanged(entry, targets[entry.path]):
                    found[entry.path] = msgspec.structs.replace(entry, placed=time.time())
        self.add(list(found.values()), sync=False)
        return found

    def _create(self) -> int:
        folder = self.destination / LEDGER_DIR
        folder.mkdir(parents=True, exist_ok=True)
        number = max((number for number, _ in _numbered(folder)), default=0)
        while True:
            number += 1
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
            with contextlib.suppress(FileExistsError):
                return os.open(folder / f"ledger.{number}.log", flags, 0o666)

    def close(self) -> None:
        """Close it."""
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1


def address_of(item: Item) -> str:
    """Where an item is, as journals and ledgers note it."""
    return f"{item.remote}:{item.key}"


def entry_for(
    path: str,
    state: os.stat_result,
    proof: Proof,
    *,
    item: Item,
    identity: Identity,
    original: str | None,
    durability: str,
    etag: str = "",
    modified: str = "",
) -> LedgerEntry:
    """The entry of a file that is about to be placed; ``state`` is its ``fstat`` now."""
    return LedgerEntry(
        path=path,
        size=state.st_size,
        mtime=state.st_mtime_ns,
        inode=state.st_ino,
        proof=proof.level.value,
        stated=str(proof.stated) if proof.stated else "",
        recorded=[str(digest) for digest in proof.recorded],
        kind=identity.kind,
        identity=identity.value,
        etag=etag,
        modified=modified,
        address=address_of(item),
        key=item.key,
        original=original or "",
        durability=durability,
        placed=time.time(),
    )
