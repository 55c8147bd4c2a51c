"""Options of transfers and guests: which there are, and what counts when the client is silent (spec §4.1, §7)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from packhorse.wire.filesender.lenient import flag, mapping, text

__all__ = ["GUEST_OPTIONS", "TRANSFER_OPTIONS", "guest_options", "transfer_options"]

_DEFAULTS: Final[Mapping[str, bool]] = {
    "email_me_copies": False,
    "email_me_on_expire": False,
    "email_upload_complete": False,
    "email_download_complete": False,
    "email_daily_statistics": False,
    "email_report_on_closing": False,
    "enable_recipient_email_download_complete": False,
    "add_me_to_recipients": False,
    "email_recipient_when_transfer_expires": True,
    "get_a_link": True,
    "hide_sender_email": False,
    "popup_on_complete": False,
    "encryption": False,
    "collection": False,
    "must_be_logged_in_to_download": False,
    "web_notification_when_upload_is_complete": False,
    "verify_email_to_download": False,
}
_TEXTS: Final = ("redirect_url_on_complete",)
TRANSFER_OPTIONS: Final = frozenset((*_DEFAULTS, *_TEXTS))

_GUEST_DEFAULTS: Final[Mapping[str, bool]] = {
    "email_upload_started": True,
    "email_upload_page_access": False,
    "valid_only_one_time": False,
    "does_not_expire": False,
    "can_only_send_to_me": False,
    "email_guest_created": True,
    "email_guest_created_receipt": True,
    "email_guest_expired": True,
    "guest_upload_default_expire_is_guest_expire": False,
    "guest_upload_expire_read_only": False,
}
_FORCED: Final = ("email_guest_created", "email_guest_created_receipt", "email_guest_expired")
GUEST_OPTIONS: Final = frozenset(_GUEST_DEFAULTS)

_NOT_WITH_A_LINK: Final = ("email_me_copies", "enable_recipient_email_download_complete", "add_me_to_recipients")


def transfer_options(sent: object, *, recipients: bool, link: bool) -> dict[str, Any]:
    """Every transfer option's value. ``sent`` is an object or a list of names; unknown names are ignored.

    ``get_a_link`` that is not sent: named recipients mean to be mailed, so it is false with ``recipients``. (The
    original takes its own default, ``link``, and drops the recipients without a word: trap 2.)
    """
    given = mapping(sent)
    chosen: dict[str, Any] = {name: flag(given.get(name, default)) for name, default in _DEFAULTS.items()}
    if "get_a_link" not in given:
        chosen["get_a_link"] = link and not recipients
    for name in _TEXTS:
        if value := text(given.get(name)):
            chosen[name] = value[:2000]
    if chosen["get_a_link"]:
        chosen.update(dict.fromkeys(_NOT_WITH_A_LINK, False))
    return chosen


def guest_options(sent: object) -> tuple[dict[str, Any], dict[str, Any]]:
    """A voucher's own options, and those its transfers get: from an object with both halves, or from a flat one.

    With ``can_only_send_to_me`` there is no link. What is silent about ``get_a_link`` stays silent, so that the
    guest's recipients decide.
    """
    both = mapping(sent)
    halved = isinstance(both.get("guest"), dict | list) or isinstance(both.get("transfer"), dict | list)
    own = mapping(both.get("guest")) if halved else both
    later = mapping(both.get("transfer")) if halved else both
    guest: dict[str, Any] = {name: flag(own.get(name, default)) for name, default in _GUEST_DEFAULTS.items()}
    guest.update(dict.fromkeys(_FORCED, True))
    transfer: dict[str, Any] = {name: flag(later[name]) for name in _DEFAULTS if name in later}
    transfer.setdefault("add_me_to_recipients", False)
    for name in _TEXTS:
        if value := text(later.get(name)):
            transfer[name] = value[:2000]
    if guest["can_only_send_to_me"]:
        transfer["get_a_link"] = False
    return guest, transfer
