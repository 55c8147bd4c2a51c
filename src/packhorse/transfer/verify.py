"""Reading again what is on disk, and comparing it: with a digest, a portal's record, or the ledger (DESIGN §1)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from packhorse.errors import DestinationError, IntegrityError, NotFoundError, PackhorseError
from packhorse.model import Digest, Item, Proof
from packhorse.transfer.existing import digest_of
from packhorse.transfer.job import prove
from packhorse.transfer.ledger import LedgerEntry, read_ledger

__all__ = ["Checked", "verify_directory", "verify_file"]


@dataclass(frozen=True, slots=True)
class Checked:
    """One file of a ledger, read again. ``verdict`` in a word or two; ``error`` where it is not as it was placed."""

    path: str
    size: int
    proof: Proof | None
    verdict: str
    error: PackhorseError | None = None


def verify_file(path: Path, digest: Digest | None, item: Item | None) -> Proof:
    """Read the whole file and compare it with ``digest``, or with what the portal states of ``item``.

    The proof is what the comparison shows: with neither digest nor size it is ``none``, and the digest made here is
    merely recorded. Raises :class:`IntegrityError` (expected, got), :class:`NotFoundError`, :class:`DestinationError`.
    """
    stated = (digest,) if digest is not None else (item.digests if item is not None else ())
    algorithms = tuple(dict.fromkeys(claim.algorithm for claim in stated)) or ("sha256",)
    made, state = _read(path, algorithms)
    size = item.size if item is not None else None
    if size is not None and size != state.st_size:
        raise IntegrityError(
            f"{path} has another size than stated. Expected: {size:,} bytes  Got: {state.st_size:,} bytes",
            expected=str(size),
            got=str(state.st_size),
            hint="fetch it again with packhorse get --overwrite",
        )
    proof, claim = prove(made, stated, size=state.st_size, stated_size=size, whole=False)
    if claim is not None:
        got = next(one for one in made if one.algorithm == claim.algorithm)
        raise IntegrityError(
            f"{path} has other bytes than stated. Expected: {claim}  Got: {got}",
            expected=str(claim),
            got=str(got),
            hint="fetch it again with packhorse get --overwrite",
        )
    return proof


def verify_directory(folder: Path) -> list[Checked]:
    """Read every file of the folder's ledger again and compare it with the digests noted there, stated or recorded.

    In the order of their paths; empty where there is no ledger.
    """
    return [_check(folder, entry) for _, entry in sorted(read_ledger(folder).items())]


def _check(folder: Path, entry: LedgerEntry) -> Checked:
    proof = entry.proof_value()
    path = folder / entry.path
    known = [digest for digest in (proof.stated, *proof.recorded) if digest is not None]
    try:
        made, state = _read(path, tuple(digest.algorithm for digest in known))
    except NotFoundError as error:
        return Checked(entry.path, entry.size, None, "missing", error)
    except DestinationError as error:
        return Checked(entry.path, entry.size, None, "unreadable", error)
    if state.st_size != entry.size:
        return Checked(
            entry.path, state.st_size, None, "another size", _differs(path, str(entry.size), str(state.st_size))
        )
    for digest in known:
        got = next(one for one in made if one.algorithm == digest.algorithm)
        if got != digest:
            return Checked(entry.path, entry.size, None, "other bytes", _differs(path, str(digest), str(got)))
    if proof.stated is not None:
        verdict = f"as stated ({proof.stated.algorithm})"
    else:
        verdict = "as recorded" if known else "size only"
    return Checked(entry.path, entry.size, proof, verdict)


def _differs(path: Path, expected: str, got: str) -> IntegrityError:
    return IntegrityError(
        f"{path} is not what was placed. Expected: {expected}  Got: {got}",
        expected=expected,
        got=got,
        hint="fetch it again with packhorse get --overwrite",
    )


def _read(path: Path, algorithms: tuple[str, ...]) -> tuple[list[Digest], os.stat_result]:
    try:
        return digest_of(path, algorithms)
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {path}") from None
    except OSError as error:
        raise DestinationError(f"cannot read {path}: {error.strerror or error}") from None
