"""The letters that transfers and guests cause. Each is posted in the transaction of its act: once, or not at all.

What they say stands in :mod:`packhorse.server.letters`; here is who gets which. Somebody without a usable address gets
none, which never stops the act.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from packhorse.errors import UsageError
from packhorse.server import letters
from packhorse.server.db.filesender import AuditEvent, Guest, Recipient, Transfer, TransferFile
from packhorse.server.db.models import now
from packhorse.server.delivery import when_given_up
from packhorse.server.letters import MailFile
from packhorse.server.mail import Letter, check_address, post
from packhorse.wire.filesender.links import download_link, upload_link

__all__ = [
    "bounced",
    "downloaded",
    "downloads_of_the_day",
    "guest_invited",
    "guest_opened",
    "guest_over",
    "guest_started",
    "to_recipient",
    "transfer_available",
    "transfer_over",
]


def transfer_available(session: Session, transfer: Transfer, base: str) -> None:
    """To the recipients, and to the sender what they asked for: a copy, or word that the upload is complete.

    Of a guest's upload the inviting user hears too.
    """
    for recipient in transfer.recipients:
        to_recipient(session, transfer, recipient, base)
    people = [recipient.email for recipient in transfer.recipients if recipient.email]
    files = _files(transfer.files)
    if transfer.options.get("email_me_copies"):
        copy = letters.for_transfer_copy(
            to=transfer.user_email,
            transfer_id=transfer.id,
            subject=transfer.subject,
            message=transfer.message,
            files=files,
            recipients=people,
            expires=transfer.expires,
        )
        _send(session, copy)
    if transfer.options.get("email_upload_complete"):
        links = [download_link(base, row.token) for row in transfer.recipients if not row.email]
        for to in {transfer.user_email, _owner(transfer)}:
            done = letters.for_upload_complete(
                to=to,
                transfer_id=transfer.id,
                subject=transfer.subject,
                files=files,
                recipients=people,
                links=links,
                expires=transfer.expires,
            )
            _send(session, done)


def to_recipient(
    session: Session, transfer: Transfer, recipient: Recipient, base: str, *, reminder: bool = False
) -> None:
    """The link of one recipient; those of a mere link get nothing."""
    letter = letters.for_transfer_available(
        to=recipient.email,
        recipient_id=recipient.id,
        sender=_shown_sender(transfer),
        subject=transfer.subject,
        message=transfer.message,
        files=_files(transfer.files),
        expires=transfer.expires,
        link=download_link(base, recipient.token),
        encrypted=transfer.encrypted,
        reminder=reminder,
    )
    _send(session, letter)


def downloaded(
    session: Session, transfer: Transfer, recipient: Recipient | None, files: Iterable[TransferFile]
) -> None:
    """To the sender, and to the recipient, where they asked to be told of finished downloads."""
    listed, email = _files(files), recipient.email if recipient is not None else ""
    if transfer.options.get("email_download_complete"):
        letter = letters.for_download_complete(
            to=_owner(transfer), transfer_id=transfer.id, who=email, subject=transfer.subject, files=listed
        )
        _send(session, letter)
    if recipient is not None and transfer.options.get("enable_recipient_email_download_complete"):
        letter = letters.for_your_download(to=email, recipient_id=recipient.id, subject=transfer.subject, files=listed)
        _send(session, letter)


def downloads_of_the_day(
    session: Session, transfer: Transfer, downloads: Mapping[tuple[str, str], int], day: float, *, once: str
) -> bool:
    """To the sender: who downloaded what on one day. Whether there was anybody to tell."""
    letter = letters.for_downloads_of_the_day(
        to=_owner(transfer), transfer_id=transfer.id, subject=transfer.subject, day=day, taken=downloads, once=once
    )
    return _send(session, letter)


def transfer_over(session: Session, transfer: Transfer, *, expired: bool) -> None:
    """A transfer expired or was closed: to those who asked to be told."""
    files = _files(transfer.files)
    asked = transfer.options.get("email_report_on_closing")
    if asked or (expired and transfer.options.get("email_me_on_expire")):
        compose = letters.for_transfer_expired if expired else letters.for_transfer_closed
        letter = compose(
            to=_owner(transfer),
            transfer_id=transfer.id,
            subject=transfer.subject,
            files=files,
            downloads=_downloads(session, transfer),
        )
        _send(session, letter)
    if transfer.made_available is None or not transfer.options.get("email_recipient_when_transfer_expires", True):
        return
    for recipient in transfer.recipients:
        gone = letters.for_transfer_gone(
            to=recipient.email,
            recipient_id=recipient.id,
            sender=_shown_sender(transfer),
            subject=transfer.subject,
            files=files,
            expired=expired,
        )
        _send(session, gone)


def guest_invited(session: Session, guest: Guest, base: str, *, reminder: bool = False) -> None:
    """The voucher's link to the guest, and a receipt to who invited."""
    link = upload_link(base, guest.token)
    invitation = letters.for_guest_invited(
        to=guest.email,
        guest_id=guest.id,
        sender=guest.user_email,
        subject=guest.subject,
        message=guest.message,
        expires=guest.expires,
        link=link,
        reminder=reminder,
    )
    _send(session, invitation)
    if not reminder and guest.options.get("email_guest_created_receipt"):
        receipt = letters.for_guest_receipt(
            to=guest.user_email, guest_id=guest.id, guest=guest.email, expires=guest.expires, link=link
        )
        _send(session, receipt)


def guest_opened(session: Session, guest: Guest) -> None:
    """A guest looks at the upload page."""
    if guest.options.get("email_upload_page_access"):
        _send(session, letters.for_page_visited(to=guest.user_email, guest_id=guest.id, guest=guest.email))


def guest_started(session: Session, guest: Guest, transfer: Transfer) -> None:
    """A guest began to upload."""
    if guest.options.get("email_upload_started"):
        letter = letters.for_upload_started(
            to=guest.user_email, guest_id=guest.id, guest=guest.email, files=_files(transfer.files)
        )
        _send(session, letter)


def guest_over(session: Session, guest: Guest, *, expired: bool = False) -> None:
    """A voucher was revoked or has expired."""
    compose = letters.for_guest_expired if expired else letters.for_guest_withdrawn
    _send(session, compose(to=guest.email, guest_id=guest.id, sender=guest.user_email))


def bounced(session: Session, about: str, address: str, reason: str) -> None:
    """A letter could not be delivered: its recipient's or guest's record says so (spec §11)."""
    kind, _, text = about.partition("-")
    number = int(text) if text.isdigit() else 0
    row: Recipient | Guest | None = None
    if kind == "recipient":
        row = session.get(Recipient, number)
    elif kind == "guest":
        row = session.get(Guest, number)
    if row is not None and check_address(row.email) == address:  # not of a letter to the host
        row.errors = [*row.errors, {"type": "bounce", "date": now(), "details": reason}][-20:]


when_given_up.append(bounced)


def _send(session: Session, letter: Letter) -> bool:
    """Post, unless there is nobody to post to."""
    try:
        check_address(letter.to)
    except UsageError:
        return False
    post(session, letter)
    return True


def _files(files: Iterable[TransferFile]) -> list[MailFile]:
    return [MailFile(file.name, file.size) for file in files]


def _owner(transfer: Transfer) -> str:
    """Whose transfer it is: of a guest's, who invited (spec §2.3)."""
    return transfer.guest.user_email if transfer.guest is not None else transfer.user_email


def _shown_sender(transfer: Transfer) -> str:
    return "" if transfer.options.get("hide_sender_email") else transfer.user_email


def _downloads(session: Session, transfer: Transfer) -> int:
    events = ("download_ended", "archive_download_ended")
    asked = select(func.count(AuditEvent.id)).where(AuditEvent.transfer_id == transfer.id, AuditEvent.event.in_(events))
    return session.scalar(asked) or 0
