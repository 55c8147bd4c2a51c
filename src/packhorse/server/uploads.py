"""Uploads in parts, for every portal: which ranges of a draft arrived, and when it is a file (DESIGN §6).

Parts come in any order, at several processes, and again. Every change takes the draft's row first, so that two of
them, or one and the completion, never cross.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, CursorResult, bindparam, delete, exists, insert, select, update
from sqlalchemy.orm import Session

from packhorse.server.db.engine import Database
from packhorse.server.db.files import record_file
from packhorse.server.db.filesender import Draft, DraftPart
from packhorse.server.db.models import Base, StoredFile, now
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
    "unowned",
]


# Made once, and of tables: for every part, the making of ORM statements would cost more than the database does.
_DRAFTS: Final = Base.metadata.tables[Draft.__tablename__]
_PARTS: Final = Base.metadata.tables[DraftPart.__tablename__]
_OF_DRAFT: Final = _PARTS.c.draft_key == bindparam("key")
_TAKE: Final = update(_DRAFTS).where(_DRAFTS.c.key == bindparam("taken")).values(touched=bindparam("at"))
_ARRIVED: Final = select(_PARTS.c.offset, _PARTS.c.length, _PARTS.c.crc32).where(_OF_DRAFT).order_by(_PARTS.c.offset)
_OVERLAPPING: Final = _ARRIVED.where(
    _PARTS.c.offset < bindparam("stop"), _PARTS.c.offset + _PARTS.c.length > bindparam("start")
)
_ADD: Final = insert(_PARTS)


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
    overlapping = session.execute(_OVERLAPPING, {"key": key, "start": offset, "stop": offset + length}).all()
    if overlapping:
        replaced = absorb([Part(*row) for row in overlapping], offset, length)
        gone = [part.offset for part in replaced.dropped]
        session.execute(delete(_PARTS).where(_PARTS.c.draft_key == key, _PARTS.c.offset.in_(gone)))
        for rest in replaced.rests:
            session.execute(_ADD, {"draft_key": key, "offset": rest.offset, "length": rest.length})
    if length:
        writer.keep(key, offset)
        row = {"draft_key": key, "offset": offset, "length": length, "crc32": part.crc32, "sha256": sha256}
        session.execute(_ADD, row)


def parts_of(session: Session, key: str) -> list[Part]:
    """What arrived, in ascending order."""
    return [Part(*row) for row in session.execute(_ARRIVED, {"key": key})]


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


def unowned() -> list[ColumnElement[bool]]:
    """What holds of a draft that nothing points at.

    Every column with a foreign key to ``drafts.key`` owns drafts, whichever portal's table it is in: so none can be
    forgotten here. A portal that kept its drafts' keys in another way would lose them.
    """
    owners = [
        column
        for table in Base.metadata.tables.values()
        if table is not _PARTS
        for column in table.columns
        if any(key.column is _DRAFTS.c.key for key in column.foreign_keys)
    ]
    return [~exists().where(column == _DRAFTS.c.key) for column in owners]


def _take(session: Session, key: str) -> None:
    taken: CursorResult[Any] = session.execute(_TAKE, {"taken": key, "at": now()})  # type: ignore[assignment]
    if taken.rowcount != 1:
        raise DraftGoneError(key)
