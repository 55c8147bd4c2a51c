"""What is already at the destination, and what that means for a file of the plan (DESIGN §4, Ledger)."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from packhorse.model import Digest, Identity, Item, Proof, ProofLevel
from packhorse.transfer.files import pread_into
from packhorse.transfer.ledger import LedgerEntry, address_of, entry_for, unchanged
from packhorse.transfer.part import new_hash

__all__ = ["Existing", "adopt", "digest_of", "judge_existing", "reprove"]


@dataclass(frozen=True, slots=True)
class Existing:
    """``proven``: the ledger vouches for it. ``ask``: it does, but only the server knows whether the object is still
    the same. ``compare``: a stated digest can tell. ``other``: something else, or nobody knows. ``absent``."""

    kind: Literal["proven", "ask", "compare", "other", "absent"]
    entry: LedgerEntry | None = None


def judge_existing(target: Path, entry: LedgerEntry | None, item: Item) -> Existing:
    """Whether a file has to be fetched at all. Looks at the file's state, not at its bytes."""
    try:
        state = target.lstat()
    except OSError:
        return Existing("absent")
    if not stat.S_ISREG(state.st_mode):
        return Existing("other")
    if entry is not None and unchanged(entry, target):
        if entry.is_of(item):
            return Existing("proven", entry)
        # Tags and dates say something of one address only.
        vague = item.identity is None and not item.digests and entry.address == address_of(item)
        if vague and (entry.etag or entry.modified) and (item.size is None or item.size == entry.size):
            return Existing("ask", entry)
    if item.size is not None and item.size != state.st_size:
        return Existing("other")
    return Existing("compare" if item.digests else "other")


def digest_of(path: Path, algorithms: tuple[str, ...]) -> tuple[list[Digest], os.stat_result]:
    """Digests of a file's bytes, and its state while it was read. Raises ``OSError``."""
    running = {name: new_hash(name) for name in algorithms}
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        view = memoryview(bytearray(512 * 1024))
        offset = 0
        while count := pread_into(descriptor, view, offset):
            for value in running.values():
                value.update(view[:count])
            offset += count
        return [Digest(name, value.hexdigest()) for name, value in running.items()], os.fstat(descriptor)
    finally:
        os.close(descriptor)


def adopt(target: Path, path: str, item: Item, original: str | None) -> tuple[LedgerEntry, Proof] | None:
    """Hash a file that nobody recorded; its entry and proof when the portal's digest agrees, else ``None``."""
    claim = next((d for name in ("sha256", "md5", "crc32") if (d := item.digest(name)) is not None), None)
    if claim is None:
        return None
    made, state = digest_of(target, (claim.algorithm,))
    if made != [claim]:
        return None
    proof = Proof(ProofLevel(claim.algorithm), claim)
    identity = item.identity or Identity("digest", str(claim), state.st_size)
    entry = entry_for(path, state, proof, item=item, identity=identity, original=original, durability="found")
    return entry, proof


def reprove(entry: LedgerEntry, target: Path) -> bool:
    """Whether the file that was placed has its bytes, though not its time any more; the time is set back then.

    Reads the whole file. False where the ledger has no digest of it, or it is another file. Raises ``OSError``.
    """
    proof = entry.proof_value()
    known = (*((proof.stated,) if proof.stated else ()), *proof.recorded)
    if not known:
        return False
    made, state = digest_of(target, (known[0].algorithm,))
    if made != [known[0]] or (state.st_ino, state.st_size) != (entry.inode, entry.size):
        return False
    os.utime(target, ns=(state.st_atime_ns, entry.mtime))
    return unchanged(entry, target)
