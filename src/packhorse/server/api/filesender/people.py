"""``/recipient``, ``/guest``, ``/user`` and ``/principal`` (spec §5, §7, §9)."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import func, or_, select
from starlette.responses import PlainTextResponse

from packhorse.server.api.filesender.core import Call, Created
from packhorse.server.api.filesender.records import guest_json, recipient_json, transfer_json
from packhorse.server.api.filesender.rights import own_guest, own_recipient
from packhorse.server.db.filesender import AVAILABLE, CLOSED, Guest, Transfer
from packhorse.server.db.models import User, now
from packhorse.server.filesender import letters
from packhorse.server.filesender.acts import close_transfer, extension_days, hold, profile, quota_of, take_turn, used_by
from packhorse.server.filesender.audit import count_today, record
from packhorse.server.filesender.creating import good_email, limited_text, sender_of
from packhorse.server.filesender.faults import Fault
from packhorse.server.filesender.options import guest_options
from packhorse.server.filesender_keys import (
    client_ini,
    delete_filesender_key,
    filesender_key,
    set_filesender_key,
    signing_name,
)
from packhorse.wire.filesender import bodies, records
from packhorse.wire.filesender.lenient import flag, number, text

__all__ = [
    "delete_guest",
    "delete_recipient",
    "get_guest",
    "get_recipient",
    "get_user",
    "post_guest",
    "post_user",
    "put_guest",
    "put_principal",
    "put_recipient",
    "put_user",
]

_DAY: Final = 24 * 3600


def get_recipient(call: Call) -> Any:
    """A recipient of an own transfer."""
    return recipient_json(own_recipient(call, call.number(1)), call.base)


def put_recipient(call: Call) -> Any:
    """Remind one recipient."""
    recipient = own_recipient(call, call.number(1))
    if not flag(call.body.get("remind")):
        raise Fault("rest_missing_parameter")
    transfer = hold(call.session, Transfer, recipient.transfer_id)
    if transfer.status != AVAILABLE:
        raise Fault("cannot_alter_closed_transfer" if transfer.status == CLOSED else "bad_transfer_status")
    if count_today(call.session, "recipient_reminder", call.user) >= call.settings.mails_per_day:
        raise Fault("rate_limit_exceeded")
    recipient.reminders += 1
    record(call.session, "recipient_reminder", recipient, call.author)
    letters.to_recipient(call.session, transfer, recipient, call.base, reminder=True)
    return recipient_json(recipient, call.base)


def delete_recipient(call: Call) -> None:
    """Take a recipient away; without recipients the transfer is closed."""
    recipient = own_recipient(call, call.number(1))
    transfer = hold(call.session, Transfer, recipient.transfer_id)
    record(call.session, "recipient_deleted", recipient, call.author)
    last = len(transfer.recipients) == 1
    transfer.recipients.remove(recipient)
    call.session.flush()
    if last:
        close_transfer(call.session, transfer, call.author)


def get_guest(call: Call) -> Any:
    """Own vouchers that are good, one of them, or its transfers."""
    first = call.part(1)
    if first in ("", "@me", "@all"):
        asked = select(Guest).where(Guest.status == AVAILABLE).order_by(Guest.id.desc())
        asked = asked.where(or_(Guest.expires.is_(None), Guest.expires > now()))
        if first == "@all":
            if not call.actor.admin:
                raise Fault("rest_admin_required" if call.actor.anybody else "rest_authentication_required")
        else:
            asked = asked.where(Guest.user_id == call.user.id)
        return [guest_json(row, call.settings, call.base) for row in call.session.scalars(asked)]
    guest = own_guest(call, call.number(1))
    if call.part(2) == "transfers":
        made = select(Transfer).where(Transfer.guest_id == guest.id).order_by(Transfer.id.desc())
        return [transfer_json(row, call.settings, call.base) for row in call.session.scalars(made)]
    return guest_json(guest, call.settings, call.base)


def post_guest(call: Call) -> Created:
    """Invite somebody to send files."""
    user, settings, sent = call.user, call.settings, call.body
    if not settings.guests:
        raise Fault("guest_guest_create_attempted_while_system_disabled")
    address = text(sent.get("recipient")).strip()
    if not address:
        raise Fault("rest_missing_parameter")
    if not good_email(address):
        raise Fault("bad_email")
    sender = sender_of(sent, user, any_sender=call.actor.signed)
    message = limited_text(sent.get("message"), 100_000)
    if message and not settings.urls_in_messages and "://" in message:
        raise Fault("message_can_not_contain_urls")
    take_turn(call.session, user)
    open_ = select(func.count()).select_from(Guest).where(Guest.user_id == user.id, Guest.status == AVAILABLE)
    if (call.session.scalar(open_) or 0) >= settings.guest_limit:
        raise Fault("user_hit_guest_limit", {"limit": settings.guest_limit})
    if count_today(call.session, "guest_created", user) >= settings.guests_per_day:
        raise Fault("user_hit_guest_rate_limit", {"limit": settings.guests_per_day})
    own_options, later = guest_options(sent.get("options"))
    guest = Guest(
        user_id=user.id,
        user_email=sender,
        email=address,
        subject=limited_text(sent.get("subject"), 1000),
        message=message,
        options=own_options,
        transfer_options=later,
        expires=None if own_options["does_not_expire"] else _guest_expiry(call, sent.get("expires")),
        errors=[],
    )
    guest.user = user
    call.session.add(guest)
    call.session.flush()
    record(call.session, "guest_created", guest, call.author)
    letters.guest_invited(call.session, guest, call.base)
    return Created(f"guest/{guest.id}", guest_json(guest, settings, call.base))


def _guest_expiry(call: Call, value: object) -> int:
    """An expiry between tomorrow and the site's most: moved there, not refused (§7)."""
    most = now() + call.settings.guest_days * _DAY
    moment = number(value)
    return most if not moment else min(max(moment, now() + _DAY), most)


def put_guest(call: Call) -> Any:
    """Remind a guest, or extend a voucher."""
    guest = own_guest(call, call.number(1), held=True)
    sent, settings = call.body, call.settings
    if guest.status == CLOSED or (guest.expires is not None and guest.expires <= now()):
        raise Fault("guest_expired")
    if flag(sent.get("remind")):
        if guest.reminders >= settings.reminders:
            raise Fault("guest_reminder_limit_reached")
        if count_today(call.session, "guest_reminder", call.user) >= settings.mails_per_day:
            raise Fault("guest_reminder_rate_limit_reached")
        guest.reminders += 1
        record(call.session, "guest_reminder", guest, call.author)
        letters.guest_invited(call.session, guest, call.base, reminder=True)
        return True
    if flag(sent.get("extend_expiry_date")):
        if not settings.extensions or guest.expires is None:
            raise Fault("guest_expiry_extension_not_allowed")
        days = extension_days(settings, guest)
        if not days:
            raise Fault("guest_expiry_extension_count_exceeded")
        guest.expires += days * _DAY
        guest.extensions += 1
        return guest_json(guest, settings, call.base)
    raise Fault("rest_missing_parameter")


def delete_guest(call: Call) -> None:
    """Revoke a voucher; its record can still be read."""
    guest = own_guest(call, call.number(1), held=True)
    if guest.status != CLOSED:
        guest.status = CLOSED
        record(call.session, "guest_closed", guest, call.author)
        letters.guest_over(call.session, guest)


def get_user(call: Call) -> Any:
    """Oneself, one's quota and the ini for clients; for administrators anybody, and a search."""
    first = call.part(1)
    if not first and "match" in call.query:
        return _search(call)
    user = _user(call, first)
    what = call.part(2)
    if what == "quota":
        total = quota_of(call.session, call.settings, user)
        used = used_by(call.session, user)
        return bodies.quota_body(records.Quota(total, used, max(total - used, 0)) if total else None)
    if what == "filesender-python-client-configuration-file":
        return PlainTextResponse(_ini(call, user), headers={"Cache-Control": "no-store"})
    if what:
        raise Fault("rest_method_not_implemented")
    return _user_json(call, user)


def _user(call: Call, which: str) -> User:
    own = call.user
    if which in ("", "@me") or which == str(own.id):
        return own
    if not call.actor.admin:
        raise Fault("rest_admin_required")
    found = call.session.get(User, call.number(1))
    if found is None:
        raise Fault("user_not_found")
    return found


def _search(call: Call) -> list[Any]:
    if not call.actor.admin:
        raise Fault("rest_admin_required" if call.actor.anybody else "rest_authentication_required")
    wanted = call.query["match"]
    if len(wanted) < 3:
        raise Fault("rest_bad_parameter")
    like = (column.contains(wanted, autoescape=True) for column in (User.username, User.email))
    rows = call.session.scalars(select(User).where(or_(*like)).order_by(User.username).limit(100))
    return [_user_json(call, row) for row in rows]


def _user_json(call: Call, user: User) -> dict[str, Any]:
    row = profile(call.session, user)
    return bodies.user_body(
        records.UserInfo(
            id=user.id,
            saml_id=signing_name(call.session, user),
            created=user.created,
            last_activity=row.last_activity,
            lang=row.lang or "",
            aup_ticked=row.aup_ticked,
            frequent_recipients=tuple(row.frequent_recipients),
            transfer_preferences=row.transfer_preferences,
            guest_preferences=row.guest_preferences,
            additional_attributes={"email": [user.email], "name": [user.name]},
        )
    )


def _ini(call: Call, user: User) -> str:
    """What existing clients read (§9). The key stands in it, as the original has it: only for the user's own eyes."""
    if user.id != call.user.id:
        raise Fault("rest_ownership_required")
    key = filesender_key(call.session, call.home.sealer, user)
    return client_ini(call.base, call.settings.default_days, signing_name(call.session, user), key or "")


def put_user(call: Call) -> Any:
    """Change one's own language, key or remembered recipients. Without an id it is oneself (§9)."""
    user, sent = _user(call, call.part(1)), call.body
    row = profile(call.session, user)
    known = False
    if "lang" in sent:
        row.lang, known = limited_text(sent["lang"], 20), True
    if flag(sent.get("apisecretcreate")):
        set_filesender_key(call.session, call.home.sealer, user)
        known = True
    if flag(sent.get("apisecretdelete")):
        delete_filesender_key(call.session, user)
        known = True
    if flag(sent.get("clear_frequent_recipients")):
        row.frequent_recipients, known = [], True
    for name in ("transfer_preferences", "guest_preferences"):
        if flag(sent.get(f"clear_user_{name}")):
            setattr(row, name, {})
            known = True
    if not known:
        raise Fault("rest_missing_parameter")
    row.last_activity = now()
    return _user_json(call, user)


def post_user(call: Call) -> Any:
    """Recipients used before that contain a text."""
    user, sent = call.user, call.body
    if text(sent.get("property")) != "frequent_recipients":
        raise Fault("rest_missing_parameter")
    needle = text(sent.get("needle")).lower()
    return [email for email in profile(call.session, user).frequent_recipients if needle in email.lower()]


def put_principal(call: Call) -> Any:
    """Accept the terms of use."""
    row = profile(call.session, call.user)
    if "service_aup_version" not in call.body:
        raise Fault("rest_missing_parameter")
    row.aup_ticked = True
    return True
