"""Uploads in parts, for every portal: which ranges of a draft arrived, and when it is a file (DESIGN §6).

Parts come in any order, at several processes, and again. Every change takes the draft's row first, so that two of
them, or one and the completion, never cross.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import CursorResult, delete, insert, select, update
from sqlalchemy.orm import Session

from packhorse.server.db.engine import Database
from packhorse.server.db.files import record_file
from packhorse.server.db.filesender import Draft, DraftPart
from packhorse.server.db.models import StoredFile, now
from packhorse.server.storage import Part, PartWriter, Storage, StoredFacts

__all__ = [
    "Absorbed",
    "DraftGoneError",
    "HolesError",
    "Sealed",
    "absorb",
    "hash_draft",
    "holes",
    "keep_part",
    "new_draft",
    "parts_of",
    "seal",
]


class DraftGoneError(Exception):
    """The draft is complete, or was given up."""


class HolesError(Exception):
    """Bytes of the draft never arrived. ``holes`` are their ranges, half open."""

    def __init__(self, found: Sequence[tuple[int, int]]) -> None:
        super().__init__(f"{len(found)} ranges are missing")
        self.holes = tuple(found)


@dataclass(frozen=True, slots=True)
class Absorbed:
    """What a new part does to those before it: which are dropped, and what is left of some, its CRC-32 unknown."""

    dropped: tuple[Part, ...]
    rests: tuple[Part, ...]


def absorb(parts: Sequence[Part], offset: int, length: int) -> Absorbed:
    """How a part at ``offset`` replaces what overlaps with it. ``parts`` overlap with nothing but it."""
    stop = offset + length
    dropped, rests = [], []
    for part in parts:
        end = part.offset + part.length
        if part.offset >= stop or end <= offset:
            continue
        dropped.append(part)
        if part.offset < offset:
            rests.append(Part(part.offset, offset - part.offset, None))
        if end > stop:
            rests.append(Part(stop, end - stop, None))
    return Absorbed(tuple(dropped), tuple(rests))


def holes(parts: Sequence[Part], size: int) -> list[tuple[int, int]]:
    """The ranges below ``size`` that no part holds. ``parts`` in ascending order, without overlap."""
    found, at = [], 0
    for part in parts:
        if part.offset > at:
            found.append((at, part.offset))
        at = part.offset + part.length
    if at < size:
        found.append((at, size))
    return found


def new_draft(session: Session, storage: Storage, size: int) -> str:
    """Begin an upload of ``size`` bytes: its draft's key."""
    key = storage.new_draft(size)
    session.add(Draft(key=key, size=size))
    session.flush()
    return key


def keep_part(session: Session, writer: PartWriter, key: str, part: Part, *, sha256: str | None = None) -> None:
    """Put a gathered part into its draft and record it; it counts when the session commits.

    The copy is made while the draft's row is taken, so that a completion sees all of a part or nothing. Raises
    :class:`DraftGoneError`.
    """
    _take(session, key)
    offset, length = part.offset, part.length
    stop = offset + length
    overlapping = session.execute(
        select(DraftPart.offset, DraftPart.length, DraftPart.crc32).where(
            DraftPart.draft_key == key, DraftPart.offset < stop, DraftPart.offset + DraftPart.length > offset
        )
    ).all()
    if overlapping:
        replaced = absorb([Part(*row) for row in overlapping], offset, length)
        gone = [part.offset for part in replaced.dropped]
        session.execute(delete(DraftPart).where(DraftPart.draft_key == key, DraftPart.offset.in_(gone)))
        for rest in replaced.rests:
            session.execute(insert(DraftPart).values(draft_key=key, offset=rest.offset, length=rest.length))
    if length:
        writer.keep(key, offset)
        session.execute(
            insert(DraftPart).values(draft_key=key, offset=offset, length=length, crc32=part.crc32, sha256=sha256)
        )


def parts_of(session: Session, key: str) -> list[Part]:
    """What arrived, in ascending order."""
    rows = session.execute(
        select(DraftPart.offset, DraftPart.length, DraftPart.crc32)
        .where(DraftPart.draft_key == key)
        .order_by(DraftPart.offset)
    )
    return [Part(*row) for row in rows]


def hash_draft(database: Database, storage: Storage, key: str, size: int, *, modified: float) -> Sealed:
    """Check that nothing is missing and hash; call it without a session, it may take long.

    Raises :class:`HolesError`, :class:`~packhorse.server.storage.DraftError`.
    """
    with database.read() as session:
        parts = parts_of(session, key)
    if missing := holes(parts, size):
        raise HolesError(missing)
    return Sealed(key, tuple(parts), storage.seal(key, size, parts, modified=modified))


@dataclass(frozen=True, slots=True)
class Sealed:
    key: str
    parts: tuple[Part, ...]
    facts: StoredFacts


def seal(session: Session, sealed: Sealed) -> StoredFile | None:
    """Turn a hashed draft into a stored file; ``None`` when parts came meanwhile, so that it has to be hashed again.

    Raises :class:`DraftGoneError` when another request was first.
    """
    _take(session, sealed.key)
    if tuple(parts_of(session, sealed.key)) != sealed.parts:
        return None
    row = record_file(session, sealed.facts)
    session.execute(delete(Draft).where(Draft.key == sealed.key))
    return row


def _take(session: Session, key: str) -> None:
    taken: CursorResult[Any] = session.execute(update(Draft).where(Draft.key == key).values(touched=now()))  # type: ignore[assignment]
    if taken.rowcount != 1:
        raise DraftGoneError(key)
