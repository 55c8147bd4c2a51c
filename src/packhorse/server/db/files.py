"""Between stored files' rows and the storage's facts."""

from __future__ import annotations

from sqlalchemy.orm import Session

from packhorse.server.db.models import Segment, StoredFile
from packhorse.server.storage import Piece, StoredFacts

__all__ = ["facts_of", "record_file"]


def facts_of(row: StoredFile) -> StoredFacts:
    """What the storage needs to open a recorded file."""
    pieces = tuple(Piece(s.key, s.offset, s.length, s.crc32) for s in row.segments)
    return StoredFacts(row.backend, row.size, row.md5, row.sha256, row.crc32, row.modified, row.mtime_ns, pieces)


def record_file(session: Session, facts: StoredFacts) -> StoredFile:
    """A row for a file that the storage took in."""
    row = StoredFile(
        backend=facts.backend,
        size=facts.size,
        md5=facts.md5,
        sha256=facts.sha256,
        crc32=facts.crc32,
        modified=facts.modified,
        mtime_ns=facts.mtime_ns,
    )
    row.segments = [
        Segment(position=number, key=piece.key, offset=piece.offset, length=piece.length, crc32=piece.crc32)
        for number, piece in enumerate(facts.pieces)
    ]
    session.add(row)
    session.flush()
    return row
