"""What is done to transfers once they exist: completing, closing, extending, reminding, deleting.

Every act takes the transfer's row first (by updating it) and decides on what it then reads, so that two requests, or
a request and a job, never do the same thing twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import CursorResult, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from packhorse.server.api.core import Home, log
from packhorse.server.config import ServerConfig
from packhorse.server.db.filesender import (
    AVAILABLE,
    CLOSED,
    STARTED,
    UPLOADING,
    Draft,
    Guest,
    Profile,
    Recipient,
    Transfer,
    TransferFile,
)
from packhorse.server.db.models import StoredFile, User, now
from packhorse.server.filesender import letters
from packhorse.server.filesender.audit import Author, record
from packhorse.server.filesender.faults import Fault
from packhorse.server.filesender.settings import FileSenderSettings
from packhorse.server.storage import StorageError

__all__ = [
    "acting",
    "add_recipient",
    "base_url",
    "close_transfer",
    "complete_transfer",
    "delete_file",
    "delete_transfer",
    "extend_transfer",
    "extension_days",
    "hold",
    "let_go",
    "profile",
    "quota_of",
    "room_left",
    "take_turn",
    "used_by",
]

_DAY: Final = 24 * 3600
_LET_GO: Final = "packhorse: stored bytes to delete"


def base_url(config: ServerConfig, asked: str) -> str:
    """The site's address without a slash at its end: the configured one, else the one that a request asked for."""
    return (config.public_url or asked).rstrip("/")


@contextmanager
def acting(home: Home) -> Iterator[Session]:
    """A session that commits at the end, and then deletes the stored bytes that :func:`let_go` named."""
    with home.database.write() as session:
        yield session
    for key in session.info.pop(_LET_GO, ()):
        try:
            home.storage.drop(key)
        except StorageError as error:
            log.error("stored bytes could not be deleted: %s", error)


def let_go(session: Session, file: TransferFile) -> None:
    """Forget a file's data; its bytes are deleted when the transaction is through."""
    keys: list[str] = session.info.setdefault(_LET_GO, [])
    if file.draft_key is not None:
        keys.append(file.draft_key)
        draft = session.get(Draft, file.draft_key)
        file.draft_key = None
        session.flush()
        if draft is not None:
            session.delete(draft)
    if file.file_id is not None:
        stored = session.get(StoredFile, file.file_id)
        file.file_id = None
        session.flush()
        if stored is not None:
            keys.extend(segment.key for segment in stored.segments if segment.key.startswith("uploads/"))
            session.delete(stored)


def hold(session: Session, kind: type[Transfer | Guest], number: int) -> Any:
    """Take a row for this transaction, and read it as it is now; ``None`` when there is none."""
    column = "touched" if kind is Transfer else "last_activity"
    taken: CursorResult[Any] = session.execute(  # type: ignore[assignment]
        update(kind).where(kind.id == number).values({column: now()}).execution_options(synchronize_session=False)
    )
    if taken.rowcount != 1:
        return None
    return session.scalars(select(kind).where(kind.id == number).execution_options(populate_existing=True)).one()


def complete_transfer(session: Session, transfer: Transfer, author: Author, base: str) -> None:
    """Announce a transfer: once, however often it is asked for.

    Raises :class:`Fault` while files are incomplete, and for a closed transfer. A guest's voucher counts it, and
    closes when it is good for one.
    """
    if transfer.status == AVAILABLE:
        return
    if transfer.status not in (STARTED, UPLOADING):
        raise Fault("bad_transfer_status")
    missing = [file.id for file in transfer.files if file.completed is None]
    if missing or not transfer.files:
        raise Fault("transfer_files_incomplete", {"files": missing})
    taken = now()
    transfer.status, transfer.made_available = AVAILABLE, taken
    record(session, "upload_ended", transfer, author, seconds=taken - transfer.created)
    record(session, "transfer_available", transfer, author, seconds=taken - transfer.created)
    letters.transfer_available(session, transfer, base)
    for recipient in transfer.recipients:
        if recipient.email:
            record(session, "transfer_sent", recipient, author)
    if transfer.guest_id is not None:
        guest = hold(session, Guest, transfer.guest_id)
        guest.transfer_count += 1
        if guest.options.get("valid_only_one_time"):
            guest.status = CLOSED


def close_transfer(session: Session, transfer: Transfer, author: Author, *, reason: str = "closed") -> None:
    """End a transfer and delete its data; the record and its log stay. ``reason``: closed, expired, deleted."""
    if transfer.status == CLOSED:
        return
    was_available = transfer.status == AVAILABLE
    for file in transfer.files:
        let_go(session, file)
    transfer.status, transfer.closed, transfer.close_reason = CLOSED, now(), reason
    record(session, "transfer_expired" if reason == "expired" else "transfer_closed", transfer, author)
    if was_available:
        letters.transfer_over(session, transfer, expired=reason == "expired")


def delete_transfer(session: Session, transfer: Transfer, author: Author) -> None:
    """Take a transfer away outright; its log stays."""
    for file in transfer.files:
        let_go(session, file)
    record(session, "transfer_deleted", transfer, author)
    session.flush()
    session.delete(transfer)


def delete_file(session: Session, file: TransferFile, author: Author) -> None:
    """Take one file away; without files the transfer is closed."""
    transfer = file.transfer
    if transfer.status == CLOSED:
        raise Fault("cannot_alter_closed_transfer")
    record(session, "file_deleted", file, author)
    if len(transfer.files) == 1:
        close_transfer(session, transfer, author)
        return
    let_go(session, file)
    transfer.files.remove(file)


def extension_days(settings: FileSenderSettings, row: Transfer | Guest) -> int:
    """Days that the next "extend" adds; 0 when it is not allowed (any more)."""
    if row.status == CLOSED or row.expires is None or row.extensions >= len(settings.extensions):
        return 0
    return settings.extensions[row.extensions]


def extend_transfer(settings: FileSenderSettings, transfer: Transfer, until: int | None) -> None:
    """Add the next step of the site's pattern, or set an expiry (``until``, Unix time) that the site allows."""
    if transfer.status == CLOSED:
        raise Fault("cannot_alter_closed_transfer")
    if not settings.extensions:
        raise Fault("transfer_expiry_extension_not_allowed")
    if until is not None:
        if not now() < until <= now() + settings.max_days * _DAY:
            raise Fault("bad_expire")
        transfer.expires = until
        return
    days = extension_days(settings, transfer)
    if not days:
        raise Fault("transfer_expiry_extension_count_exceeded")
    transfer.expires += days * _DAY
    transfer.extensions += 1


def profile(session: Session, user: User) -> Profile:
    """The user's row on FileSender's side, made at first use."""
    row = session.get(Profile, user.id)
    if row is None:
        row = Profile(
            user_id=user.id, transfer_preferences={}, guest_preferences={}, frequent_recipients=[], aup_ticked=False
        )
        try:
            with session.begin_nested():
                session.add(row)
        except IntegrityError:  # another request made it meanwhile
            row = session.get_one(Profile, user.id)
    return row


def quota_of(session: Session, settings: FileSenderSettings, user: User) -> int:
    """The user's quota in bytes; 0 means none."""
    row = session.get(Profile, user.id)
    return settings.user_quota if row is None or row.quota is None else row.quota


def used_by(session: Session, user: User | None) -> int:
    """Bytes that a user's (or everybody's) transfers take or have announced."""
    asked = (
        select(func.coalesce(func.sum(TransferFile.stored_size), 0))
        .join(Transfer, Transfer.id == TransferFile.transfer_id)
        .where(Transfer.status != CLOSED)
    )
    if user is not None:
        asked = asked.where(Transfer.user_id == user.id)
    return int(session.scalar(asked) or 0)


def take_turn(session: Session, user: User) -> None:
    """Take the user's row, before counting what the user has: of two requests at once the second one counts what the
    first one made."""
    profile(session, user)
    session.execute(update(Profile).where(Profile.user_id == user.id).values(last_activity=now()))


def room_left(session: Session, settings: FileSenderSettings, user: User, wanted: int) -> None:
    """Refuse what neither the host's nor the user's quota has room for."""
    if settings.host_quota and used_by(session, None) + wanted > settings.host_quota:
        raise Fault("transfer_host_quota_exceeded")
    quota = quota_of(session, settings, user)
    if not quota:
        return
    take_turn(session, user)
    if used_by(session, user) + wanted > quota:
        raise Fault("transfer_user_quota_exceeded")


def add_recipient(session: Session, transfer: Transfer, email: str) -> Recipient:
    """One more recipient of a transfer that exists."""
    recipient = Recipient(email=email, errors=[])
    transfer.recipients.append(recipient)
    session.flush()
    return recipient
