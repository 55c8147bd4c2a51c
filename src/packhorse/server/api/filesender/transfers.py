"""``/transfer``: creating, reading, completing and managing (spec §4, §5)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from packhorse.server.api.filesender.auth import check_tokens
from packhorse.server.api.filesender.core import Call, Created
from packhorse.server.api.filesender.records import (
    event_record,
    recipient_json,
    shared_file,
    transfer_json,
)
from packhorse.server.api.filesender.rights import may_write, own_transfer, recipient_of_token, write_token, writer
from packhorse.server.db.filesender import AVAILABLE, CLOSED, STARTED, UPLOADING, AuditEvent, Transfer, TransferFile
from packhorse.server.db.models import now
from packhorse.server.filesender import letters
from packhorse.server.filesender.acts import (
    add_recipient,
    close_transfer,
    complete_transfer,
    delete_transfer,
    extend_transfer,
    hold,
    profile,
)
from packhorse.server.filesender.audit import count_today, record
from packhorse.server.filesender.creating import create_transfer, emails
from packhorse.server.filesender.faults import Fault
from packhorse.server.mail import Letter, post
from packhorse.wire.filesender.bodies import audit_log_body
from packhorse.wire.filesender.lenient import flag, number, text
from packhorse.wire.filesender.shared import shared_file_body

__all__ = ["delete", "get", "post_transfer", "put"]

_FREQUENT = 50
_LONG_AGO = 1_000_000_000


def get(call: Call) -> Any:
    """Lists, one transfer, its options, salt and log, and what a recipient's token shows."""
    first = call.part(1)
    if first in ("", "@me"):
        return _listed(call, call.user.id)
    if first == "@all":
        if not call.actor.admin:
            raise Fault("rest_admin_required" if call.actor.anybody else "rest_authentication_required")
        return _listed(call, None)
    if first in ("fileids", "fileidsextended"):
        return _by_token(call, extended=first == "fileidsextended")
    number_, what = call.number(1), call.part(2)
    if what == "options" and call.part(3) == "enable_recipient_email_download_complete" and "token" in call.query:
        recipient = recipient_of_token(call.session, call.query["token"])
        if recipient.transfer_id != number_:
            raise Fault("rest_ownership_required")
        return bool(recipient.transfer.options.get("enable_recipient_email_download_complete"))
    transfer = _readable(call, number_) if not what else own_transfer(call, number_)
    if what == "options":
        return transfer.options.get(call.part(3)) if call.part(3) else dict(transfer.options)
    if what == "salt":
        return transfer.salt
    if what == "auditlog":
        return _log(call, transfer)
    return transfer_json(transfer, call.settings, call.base)


def _listed(call: Call, owner: int | None) -> list[Any]:
    asked = select(Transfer).where(Transfer.status == AVAILABLE).order_by(Transfer.id.desc())
    if owner is not None:
        asked = asked.where(Transfer.user_id == owner)
    return [transfer_json(row, call.settings, call.base) for row in call.session.scalars(asked)]


def _readable(call: Call, number_: int) -> Transfer:
    """The caller's transfer; while it is uploaded a file's key is enough (§2.4)."""
    if call.actor.anybody and call.actor.guest is None:
        return own_transfer(call, number_)
    transfer = call.session.get(Transfer, number_)
    if transfer is None:
        raise Fault("transfer_not_found")
    if write_token(call.query) is None:
        return own_transfer(call, number_)
    if transfer.status not in (STARTED, UPLOADING):
        raise Fault("rest_authentication_required")
    key = write_token(call.query) or ""
    if call.settings.chunk_security != "key" or key.lower() not in {file.puid for file in transfer.files}:
        raise Fault("rest_authentication_required")
    if transfer.guest_id is not None and (call.actor.guest is None or call.actor.guest.id != transfer.guest_id):
        raise Fault("rest_unknown_principal")
    return transfer


def _by_token(call: Call, *, extended: bool) -> list[Any]:
    recipient = recipient_of_token(call.session, call.query.get("token"))
    if not extended:
        return [file.id for file in recipient.transfer.files]
    if call.actor.user is None and call.actor.application is None:
        raise Fault("rest_authentication_required")
    return [shared_file_body(shared_file(file)) for file in recipient.transfer.files]


def _log(call: Call, transfer: Transfer) -> Any:
    asked = select(AuditEvent).where(AuditEvent.transfer_id == transfer.id).order_by(AuditEvent.id)
    if call.part(3) == "mail" and call.part(4) == "File" and call.part(5):
        asked = asked.where(AuditEvent.target_kind == "File", AuditEvent.target_id == call.number(5))
    body = audit_log_body(event_record(row, show_ip=call.settings.show_ip) for row in call.session.scalars(asked))
    if call.part(3) != "mail":
        return body
    user = call.user
    _mail_limit(call, "report_sent")
    lines = (f"{line['date']['formatted']}  {line['event']}  {line['author']['identity'] or ''}" for line in body)
    about = f"transfer-{transfer.id}"
    post(
        call.session,
        Letter(
            user.email or transfer.user_email,
            f"Log of transfer {transfer.id}",
            "\n".join(lines) + "\n",
            headers={"X-Filesender-Context": about},
            about=about,
        ),
    )
    record(call.session, "report_sent", transfer, call.author)
    return True


def post_transfer(call: Call) -> Any:
    """A new transfer, or one more recipient of an existing one."""
    if call.part(1):
        if call.part(2) != "recipient":
            raise Fault("rest_method_not_implemented")
        return _add_recipient(call)
    guest = call.actor.guest
    owner = guest.user if guest is not None else call.user
    signed = call.actor.signed
    transfer, roundtrip, cids = create_transfer(call.session, call.settings, call.body, owner, guest, any_sender=signed)
    if call.actor.application is not None:
        transfer.application = call.actor.application.name
    record(call.session, "transfer_started", transfer, call.author)
    if guest is not None:
        letters.guest_started(call.session, guest, transfer)
    elif named := [row.email for row in transfer.recipients if row.email]:
        row = profile(call.session, owner)
        row.frequent_recipients = [*named, *(each for each in row.frequent_recipients if each not in named)][:_FREQUENT]
    body = transfer_json(transfer, call.settings, call.base, roundtrip=roundtrip, cids=cids)
    return Created(f"transfer/{transfer.id}", body)


def _add_recipient(call: Call) -> Created:
    transfer = own_transfer(call, call.number(1), held=True)
    if call.actor.guest is not None:
        raise Fault("rest_ownership_required")
    if transfer.status == CLOSED:
        raise Fault("cannot_alter_closed_transfer")
    try:
        address = emails(text(call.body.get("recipient")) or None)
    except Fault as bad:
        raise Fault("invalid_recipient", bad.details) from None
    if not address:
        raise Fault("rest_missing_parameter")
    if any(row.email.lower() == address[0].lower() for row in transfer.recipients):
        raise Fault("invalid_recipient", {"reason": "is a recipient already"})
    if len(transfer.recipients) >= call.settings.max_recipients:
        raise Fault("transfer_too_many_recipients", {"limit": call.settings.max_recipients})
    recipient = add_recipient(call.session, transfer, address[0])
    record(call.session, "transfer_added_recipient", recipient, call.author)
    if transfer.status == AVAILABLE:
        letters.to_recipient(call.session, transfer, recipient, call.base)
        record(call.session, "transfer_sent", recipient, call.author)
    return Created(f"recipient/{recipient.id}", recipient_json(recipient, call.base))


def put(call: Call) -> Any:
    """Complete, close, extend, remind; the spec's other members (§5). Several may come at once."""
    number_, sent = call.number(1), call.body
    if "sendVerificationCodeToYourEmailAddress" in sent or "checkVerificationCodeWithServer" in sent:
        raise Fault("rest_method_not_implemented")
    if flag(sent.get("complete")):
        return _complete(call, number_)
    check_tokens(call.actor, call.asked)
    if flag(sent.get("decryptfailed")):
        transfer = _noted(call, number_)
        record(call.session, "transfer_decrypt_failed", transfer, call.author)
        return []
    transfer = own_transfer(call, number_, held=True)
    if call.actor.guest is not None:
        raise Fault("rest_ownership_required")
    done = False
    if flag(sent.get("closed")):
        close_transfer(call.session, transfer, call.author)
        done = True
    if extension := sent.get("extend_expiry_date"):
        moment = number(extension)
        until = moment if moment is not None and moment > _LONG_AGO else None
        extend_transfer(call.settings, transfer, until)
        done = True
    if flag(sent.get("remind")):
        _remind(call, transfer)
        done = True
    if flag(sent.get("optionremove")):
        if text(sent.get("option")) != "email_daily_statistics":
            raise Fault("bad_option_name")
        transfer.options = {**transfer.options, "email_daily_statistics": False}
        done = True
    if not done:
        raise Fault("rest_missing_parameter")
    call.session.flush()
    return transfer_json(transfer, call.settings, call.base)


def _complete(call: Call, number_: int) -> Any:
    transfer: Transfer | None = hold(call.session, Transfer, number_)
    if transfer is None:
        raise Fault("transfer_not_found")
    may_write(call.settings, call.actor, call.asked, transfer, transfer.files)
    if transfer.status == CLOSED:
        raise Fault("cannot_alter_closed_transfer")
    if transfer.status != AVAILABLE and transfer.expires <= now():
        raise Fault("transfer_expired")
    complete_transfer(call.session, transfer, writer(call.actor, call.asked, transfer), call.base)
    call.session.flush()
    return transfer_json(transfer, call.settings, call.base)


def _noted(call: Call, number_: int) -> Transfer:
    """A transfer that a reader or its owner reports on: with ownership, a file's key or a recipient's token."""
    if token := call.query.get("token") or text(call.body.get("token")):
        recipient = recipient_of_token(call.session, token)
        if recipient.transfer_id == number_:
            return recipient.transfer
    key = write_token(call.query)
    if key is not None:
        asked = select(TransferFile).where(TransferFile.puid == key.lower(), TransferFile.transfer_id == number_)
        if (file := call.session.scalar(asked)) is not None:
            return file.transfer
    return own_transfer(call, number_)


def _remind(call: Call, transfer: Transfer) -> None:
    if transfer.status != AVAILABLE:
        raise Fault("bad_transfer_status" if transfer.status != CLOSED else "cannot_alter_closed_transfer")
    _mail_limit(call, "transfer_reminder")
    record(call.session, "transfer_reminder", transfer, call.author)
    for recipient in transfer.recipients:
        if recipient.email:
            recipient.reminders += 1
            letters.to_recipient(call.session, transfer, recipient, call.base, reminder=True)


def _mail_limit(call: Call, event: str) -> None:
    """The day's limit of letters of one kind (§5)."""
    if call.actor.user is not None and count_today(call.session, event, call.actor.user) >= call.settings.mails_per_day:
        raise Fault("rate_limit_exceeded")


def delete(call: Call) -> None:
    """Take a transfer away outright. Guests may take back what they have not finished."""
    transfer = own_transfer(call, call.number(1), held=True)
    if call.actor.guest is not None and transfer.status not in (STARTED, UPLOADING):
        raise Fault("rest_ownership_required")
    delete_transfer(call.session, transfer, call.author)
