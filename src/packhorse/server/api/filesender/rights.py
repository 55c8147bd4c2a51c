"""Who may touch which transfer, file, recipient or guest (spec §2.3, §2.4, §5)."""

from __future__ import annotations

import hashlib
import hmac

from sqlalchemy import select
from sqlalchemy.orm import Session

from packhorse.server.api.filesender.auth import check_tokens
from packhorse.server.api.filesender.core import Actor, Asked, Call
from packhorse.server.db.filesender import (
    AVAILABLE,
    CLOSED,
    STARTED,
    UPLOADING,
    Guest,
    Recipient,
    Transfer,
    TransferFile,
)
from packhorse.server.db.models import now
from packhorse.server.filesender.acts import hold
from packhorse.server.filesender.audit import Author, author_guest, author_user
from packhorse.server.filesender.faults import Fault
from packhorse.server.filesender.settings import FileSenderSettings
from packhorse.wire.filesender.links import is_token

__all__ = [
    "file_of",
    "may_write",
    "own_file",
    "own_guest",
    "own_recipient",
    "own_transfer",
    "owns",
    "recipient_of_token",
    "uploading",
    "write_token",
    "writer",
]


def owns(actor: Actor, transfer: Transfer) -> bool:
    """Whether the transfer is the caller's: its owner's, the guest's who made it, or an administrator asks."""
    if actor.admin:
        return True
    if actor.guest is not None:
        return transfer.guest_id == actor.guest.id
    return actor.user is not None and transfer.user_id == actor.user.id


def own_transfer(call: Call, number: int, *, held: bool = False) -> Transfer:
    """The caller's transfer; ``held`` takes its row for the transaction. Raises :class:`Fault`."""
    transfer: Transfer | None = hold(call.session, Transfer, number) if held else call.session.get(Transfer, number)
    if transfer is None:
        raise Fault("transfer_not_found")
    if not call.actor.anybody:
        raise Fault("rest_authentication_required")
    if not owns(call.actor, transfer):
        raise Fault("rest_ownership_required")
    return transfer


def file_of(session: Session, number: int) -> TransferFile:
    """A file by its number. Raises :class:`Fault`."""
    file = session.get(TransferFile, number)
    if file is None:
        raise Fault("file_not_found")
    return file


def own_file(call: Call, number: int) -> TransferFile:
    """The caller's file."""
    file = file_of(call.session, number)
    if not call.actor.anybody:
        raise Fault("rest_authentication_required")
    if not owns(call.actor, file.transfer):
        raise Fault("rest_ownership_required")
    return file


def own_recipient(call: Call, number: int) -> Recipient:
    """A recipient of the caller's transfer."""
    recipient = call.session.get(Recipient, number)
    if recipient is None:
        raise Fault("recipient_not_found")
    if not call.actor.anybody:
        raise Fault("rest_authentication_required")
    if call.actor.guest is not None or not owns(call.actor, recipient.transfer):
        raise Fault("rest_ownership_required")
    return recipient


def own_guest(call: Call, number: int, *, held: bool = False) -> Guest:
    """A voucher of the caller's."""
    guest: Guest | None = hold(call.session, Guest, number) if held else call.session.get(Guest, number)
    if guest is None:
        raise Fault("guest_not_found")
    if not call.actor.anybody:
        raise Fault("rest_authentication_required")
    if not call.actor.admin and (call.actor.user is None or guest.user_id != call.actor.user.id):
        raise Fault("rest_ownership_required")
    return guest


def write_token(query: dict[str, str]) -> str | None:
    """The per-file key of a request, under either of its names (trap 1)."""
    return query.get("key") or query.get("puid")


def may_write(
    settings: FileSenderSettings, actor: Actor, asked: Asked, transfer: Transfer, files: list[TransferFile]
) -> None:
    """Whether the caller may add to a transfer: as its owner, or with the key of one of ``files`` (§2.3, §2.4).

    A guest's transfer needs the round-trip token from all but the inviting user, and with the key alone the voucher.
    Raises :class:`Fault`.
    """
    query = asked.query
    key = write_token(query)
    keyed = key is not None and any(hmac.compare_digest(file.puid.encode(), key.lower().encode()) for file in files)
    by_key = keyed and settings.chunk_security == "key"
    as_user = actor.user is not None or actor.application is not None
    if not actor.anybody:
        if transfer.guest_id is not None:
            raise Fault("rest_unknown_principal")
        if not by_key:
            raise Fault("rest_authentication_required")
    elif not owns(actor, transfer):
        raise Fault("rest_unknown_principal" if actor.guest is not None else "rest_ownership_required")
    elif not (by_key and actor.guest is not None):
        check_tokens(actor, asked)
    guests = transfer.guest_id is not None and not as_user
    if guests or settings.roundtrip_for_users:
        given = hashlib.sha256(query.get("roundtriptoken", "").encode()).hexdigest()
        if not hmac.compare_digest(given, transfer.roundtrip_sha256):
            raise Fault("rest_roundtrip_token_invalid")


def writer(actor: Actor, asked: Asked, transfer: Transfer) -> Author:
    """Who the log names for a write: the caller, or behind a mere key whoever made the transfer."""
    if actor.anybody:
        return actor.author(asked.ip)
    return author_guest(transfer.guest, asked.ip) if transfer.guest else author_user(transfer.user, asked.ip)


def uploading(transfer: Transfer) -> None:
    """Refuse to add to a transfer that is not being uploaded any more."""
    if transfer.status == CLOSED:
        raise Fault("cannot_alter_closed_transfer")
    if transfer.status not in (STARTED, UPLOADING):
        raise Fault("cannot_add_data_to_complete_transfer")
    if transfer.expires <= now():
        raise Fault("transfer_expired")


def recipient_of_token(session: Session, token: str | None) -> Recipient:
    """The recipient of a link whose transfer can be downloaded now. Raises :class:`Fault`."""
    if not token:
        raise Fault("token_is_missing")
    if not is_token(token):
        raise Fault("token_has_bad_format")
    recipient = session.scalar(select(Recipient).where(Recipient.token == token.lower()))
    if recipient is None:
        raise Fault("recipient_not_found")
    transfer = recipient.transfer
    if transfer.status == CLOSED or transfer.expires <= now():
        expired = transfer.close_reason == "expired" or transfer.status != CLOSED
        raise Fault("transfer_expired" if expired else "transfer_presumed_expired")
    if transfer.status != AVAILABLE:
        raise Fault("bad_transfer_status")
    return recipient
