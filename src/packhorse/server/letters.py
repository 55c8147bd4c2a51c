"""What the mails say. Plain values in, a :class:`~packhorse.server.mail.Letter` out; nothing is looked up or posted.

Every mail is one form filled in: a heading, a sentence, the sender's message, files, facts, one button. Times are Unix
seconds, sizes bytes. Everything that people wrote is data: escaped in HTML, on one line in subjects.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from packhorse.errors import UsageError
from packhorse.server.mail import Letter, check_address
from packhorse.server.rendering import moment, render
from packhorse.wire.words import count

__all__ = [
    "MailFile",
    "for_download_complete",
    "for_downloads_of_the_day",
    "for_guest_expired",
    "for_guest_invited",
    "for_guest_receipt",
    "for_guest_withdrawn",
    "for_page_visited",
    "for_transfer_available",
    "for_transfer_closed",
    "for_transfer_copy",
    "for_transfer_expired",
    "for_transfer_gone",
    "for_upload_complete",
    "for_upload_started",
    "for_your_download",
]

_SHOWN_FILES: Final = 50


@dataclass(frozen=True, slots=True)
class MailFile:
    """A file as a mail lists it."""

    name: str
    size: int


@dataclass(frozen=True, slots=True)
class _Form:
    """The one form. ``button`` is a label and a link; ``links`` are further ones, with their labels."""

    heading: str
    lead: str
    message: str = ""
    files: Sequence[MailFile] = ()
    facts: Sequence[tuple[str, str]] = ()
    button: tuple[str, str] | None = None
    links: Sequence[tuple[str, str]] = ()
    note: str = ""


def for_transfer_available(
    *,
    to: str,
    recipient_id: int,
    sender: str,
    subject: str | None,
    message: str | None,
    files: Sequence[MailFile],
    expires: int,
    link: str,
    encrypted: bool = False,
    reminder: bool = False,
) -> Letter:
    """To a recipient: files wait. ``sender`` is an address, or empty for one who does not want to be named."""
    what, name = count(len(files), "file"), sender or "Somebody"
    note = "Whoever has this link can download the files, so pass it on with care."
    if encrypted:
        note = f"The files are encrypted: the sender has to tell you the password. {note}"
    form = _Form(
        heading=f"{what} for you",
        lead=f"{name} reminds you of {what}." if reminder else f"{name} sent you {what}.",
        message=message or "",
        files=files,
        facts=[("Available until", moment(expires))],
        button=("Download", link),
        note=note,
    )
    shown = subject or f"{name} sent you {what}"
    return _letter(
        to, f"Reminder: {shown}" if reminder else shown, form, about=f"recipient-{recipient_id}", reply_to=sender
    )


def for_transfer_copy(
    *,
    to: str,
    transfer_id: int,
    subject: str | None,
    message: str | None,
    files: Sequence[MailFile],
    recipients: Sequence[str],
    expires: int,
) -> Letter:
    """To the sender: a copy of what the recipients got, without a link."""
    form = _Form(
        heading=f"You sent {count(len(files), 'file')}",
        lead="This is your copy of the mail to the recipients.",
        message=message or "",
        files=files,
        facts=[("To", ", ".join(recipients)), ("Available until", moment(expires))],
    )
    return _letter(to, _about("Copy", subject), form, about=f"transfer-{transfer_id}")


def for_upload_complete(
    *,
    to: str,
    transfer_id: int,
    subject: str | None,
    files: Sequence[MailFile],
    recipients: Sequence[str],
    links: Sequence[str],
    expires: int,
) -> Letter:
    """To the sender: everything has arrived. ``links`` are those to pass on, where a link was asked for."""
    to_whom = [("To", ", ".join(recipients))] if recipients else []
    form = _Form(
        heading="Upload complete",
        lead=f"All {count(len(files), 'file')} arrived whole." if len(files) != 1 else "Your file arrived whole.",
        files=files,
        facts=[*to_whom, ("Available until", moment(expires))],
        links=[("Download link", link) for link in links],
        note="Whoever has this link can download the files." if links else "",
    )
    return _letter(to, _about("Upload complete", subject), form, about=f"transfer-{transfer_id}")


def for_download_complete(
    *, to: str, transfer_id: int, who: str, subject: str | None, files: Sequence[MailFile]
) -> Letter:
    """To the sender: somebody has downloaded. ``who`` is an address, empty for somebody with the link."""
    person = who or "Somebody with the link"
    form = _Form(heading="Download complete", lead=f"{person} downloaded {count(len(files), 'file')}.", files=files)
    return _letter(to, _about("Downloaded", subject), form, about=f"transfer-{transfer_id}")


def for_downloads_of_the_day(
    *,
    to: str,
    transfer_id: int,
    subject: str | None,
    day: float,
    taken: Mapping[tuple[str, str], int],
    once: str,
) -> Letter:
    """To the sender: what was downloaded on one day. ``taken`` counts by address (empty for somebody with the
    link) and file."""
    total = sum(taken.values())
    ordered = sorted(taken.items())
    facts = [
        (who or "Somebody with the link", what if times == 1 else f"{what} ({times:,} times)")
        for (who, what), times in ordered[:_SHOWN_FILES]
    ]
    form = _Form(
        heading="Downloads of your transfer",
        lead=f"{count(total, 'download')} on {moment(day).split(',')[0]}.",
        facts=facts,
        note=f"And {len(ordered) - _SHOWN_FILES:,} more." if len(ordered) > _SHOWN_FILES else "",
    )
    letter = _letter(to, _about("Downloads", subject), form, about=f"transfer-{transfer_id}")
    return replace(letter, once=once)


def for_your_download(*, to: str, recipient_id: int, subject: str | None, files: Sequence[MailFile]) -> Letter:
    """To a recipient who asked to be told: the server has sent everything."""
    form = _Form(heading="Download complete", lead=f"The server has sent you {count(len(files), 'file')}.", files=files)
    return _letter(to, _about("Your download is complete", subject), form, about=f"recipient-{recipient_id}")


def for_transfer_expired(
    *, to: str, transfer_id: int, subject: str | None, files: Sequence[MailFile], downloads: int
) -> Letter:
    """To the sender: time is over and the data is deleted."""
    form = _Form(
        heading="Your transfer has expired",
        lead="Its files were deleted from the server. The record of the transfer is kept.",
        files=files,
        facts=[("Downloads", f"{downloads:,}")],
    )
    return _letter(to, _about("Expired", subject), form, about=f"transfer-{transfer_id}")


def for_transfer_closed(
    *, to: str, transfer_id: int, subject: str | None, files: Sequence[MailFile], downloads: int
) -> Letter:
    """To the sender: the transfer was closed and the data is deleted."""
    form = _Form(
        heading="Your transfer was closed",
        lead="Its files were deleted from the server. The record of the transfer is kept.",
        files=files,
        facts=[("Downloads", f"{downloads:,}")],
    )
    return _letter(to, _about("Closed", subject), form, about=f"transfer-{transfer_id}")


def for_transfer_gone(
    *, to: str, recipient_id: int, sender: str, subject: str | None, files: Sequence[MailFile], expired: bool
) -> Letter:
    """To a recipient: the files can no longer be downloaded."""
    why = "The transfer has expired" if expired else "The sender closed the transfer"
    form = _Form(
        heading="No longer available", lead=f"{why}: these files can no longer be downloaded.", files=files,
        note=f"Ask {sender} to send them again if you still need them." if sender else "",
    )  # fmt: skip
    return _letter(to, _about("No longer available", subject), form, about=f"recipient-{recipient_id}", reply_to=sender)


def for_guest_invited(
    *,
    to: str,
    guest_id: int,
    sender: str,
    subject: str | None,
    message: str | None,
    expires: int | None,
    link: str,
    reminder: bool = False,
) -> Letter:
    """To a guest: an invitation to send files."""
    form = _Form(
        heading="You are invited to send files",
        lead=f"{sender} would like to get files from you. You need no account: this link is your ticket.",
        message=message or "",
        facts=[("Good until", moment(expires))] if expires is not None else (),
        button=("Send files", link),
        note="Whoever has this link can send files in your name, so keep it to yourself.",
    )
    shown = subject or f"{sender} invites you to send files"
    return _letter(to, f"Reminder: {shown}" if reminder else shown, form, about=f"guest-{guest_id}", reply_to=sender)


def for_guest_receipt(*, to: str, guest_id: int, guest: str, expires: int | None, link: str) -> Letter:
    """To who invited: the invitation is on its way."""
    form = _Form(
        heading="Invitation sent",
        lead=f"You invited {guest} to send files.",
        facts=[("Good until", moment(expires))] if expires is not None else (),
        links=[("The guest's link", link)],
    )
    return _letter(to, f"Invitation sent to {guest}", form, about=f"guest-{guest_id}")


def for_guest_withdrawn(*, to: str, guest_id: int, sender: str) -> Letter:
    """To a guest: the voucher was revoked."""
    form = _Form(
        heading="Invitation withdrawn",
        lead=f"The invitation of {sender} to send files no longer holds. The link that you got does not work any more.",
    )
    return _letter(to, "Invitation withdrawn", form, about=f"guest-{guest_id}", reply_to=sender)


def for_guest_expired(*, to: str, guest_id: int, sender: str) -> Letter:
    """To a guest: the voucher's time is over."""
    form = _Form(
        heading="Invitation expired",
        lead=f"The time to send files to {sender} is over.",
        note=f"Ask {sender} for a new invitation if you still want to send something.",
    )
    return _letter(to, "Invitation expired", form, about=f"guest-{guest_id}", reply_to=sender)


def for_upload_started(*, to: str, guest_id: int, guest: str, files: Sequence[MailFile]) -> Letter:
    """To who invited: the guest has begun to upload."""
    form = _Form(heading="An upload has begun", lead=f"{guest} is sending {count(len(files), 'file')}.", files=files)
    return _letter(to, f"{guest} is sending files", form, about=f"guest-{guest_id}")


def for_page_visited(*, to: str, guest_id: int, guest: str) -> Letter:
    """To who invited: the guest has opened the upload page."""
    form = _Form(heading="Your guest is there", lead=f"{guest} opened the page to send files.")
    return _letter(to, f"{guest} opened your invitation", form, about=f"guest-{guest_id}")


def _letter(to: str, subject: str, form: _Form, *, about: str, reply_to: str = "") -> Letter:
    values = {
        "form": form,
        "files": form.files[:_SHOWN_FILES],
        "more": max(len(form.files) - _SHOWN_FILES, 0),
        "total": sum(file.size for file in form.files),
    }
    headers = {"X-Filesender-Context": about}
    with contextlib.suppress(UsageError):  # one that is no address is nobody to answer to
        headers["Reply-To"] = check_address(reply_to)
    return Letter(to, subject, render("mail.txt", **values), render("mail.html", **values), headers, about)


def _about(what: str, subject: str | None) -> str:
    return f"{what}: {subject}" if subject else what
