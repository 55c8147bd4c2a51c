"""The audit log: who did what to which transfer, file or recipient (spec filesender §8)."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from packhorse.server.db.filesender import AuditEvent, Guest, Recipient, Transfer, TransferFile
from packhorse.server.db.models import User, now

__all__ = ["SYSTEM", "Author", "author_guest", "author_recipient", "author_user", "count_today", "record"]

_DAY = 24 * 3600


@dataclass(frozen=True, slots=True)
class Author:
    """Who did it; ``kind`` is User, Guest, Recipient or empty for the server itself."""

    kind: str = ""
    id: int | None = None
    name: str | None = None
    ip: str = ""


SYSTEM = Author()


def author_user(user: User, ip: str = "") -> Author:
    return Author("User", user.id, user.email or user.username, ip)


def author_guest(guest: Guest, ip: str = "") -> Author:
    return Author("Guest", guest.id, guest.email, ip)


def author_recipient(recipient: Recipient, ip: str = "") -> Author:
    return Author("Recipient", recipient.id, recipient.email, ip)


def record(
    session: Session,
    event: str,
    target: Transfer | TransferFile | Recipient | Guest,
    author: Author,
    *,
    seconds: int | None = None,
) -> None:
    """Write a line, in the transaction of what it tells of."""
    row = AuditEvent(event=event, seconds=seconds, target_id=target.id, created=now())
    row.author_kind, row.author_id, row.author, row.ip = author.kind, author.id, author.name, author.ip
    if isinstance(target, Transfer):
        row.transfer_id, row.target_kind = target.id, "Transfer"
    elif isinstance(target, TransferFile):
        row.transfer_id, row.target_kind = target.transfer_id, "File"
        row.target_name, row.target_size = target.name, target.size
    elif isinstance(target, Recipient):
        row.transfer_id, row.target_kind, row.target_name = target.transfer_id, "Recipient", target.email
    else:
        row.target_kind, row.target_name = "Guest", target.email
    session.add(row)


def count_today(session: Session, event: str, user: User) -> int:
    """How often the user did this in the last 24 hours."""
    found = session.scalar(
        select(func.count())
        .select_from(AuditEvent)
        .where(
            AuditEvent.author_kind == "User",
            AuditEvent.author_id == user.id,
            AuditEvent.event == event,
            AuditEvent.created > now() - _DAY,
        )
    )
    return found or 0
