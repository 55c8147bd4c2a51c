"""What FileSender means when it refuses: our error for an identifier, with what to do about it (spec §1.1). Pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qs, urlsplit

from packhorse.errors import (
    AuthenticationError,
    ExpiredError,
    IntegrityError,
    NotFoundError,
    PackhorseError,
    PermissionDeniedError,
    ProtocolError,
    RateLimitedError,
    RemoteError,
    ServerError,
    UsageError,
)
from packhorse.net.message import ResponseHead
from packhorse.wire.filesender.errors import Meaning, meaning, parse_error

__all__ = ["exception_in", "identifier_of", "refusal"]

_KEY: Final = "make a key at {base}/?s=user, then: packhorse login {remote} --username NAME --token-stdin"
_VOUCHER: Final = "ask who invited you for another voucher"
_LINK: Final = "copy the whole link, or ask the sender for a new one"
_LIMITS: Final = "packhorse info {remote}: shows the site's limits; send fewer or smaller files"
_OFTEN: Final = "whoever needs the files longer gets them in a new transfer: packhorse send"

_HINTS: Final[Mapping[str, str]] = {
    "auth_remote_too_late": "set this machine's clock right: packhorse doctor shows the difference",
    "auth_remote_signature_check_failed": "check the user name and the key: packhorse whoami {remote}. " + _KEY,
    "auth_remote_unknown_application": "check application in [remotes.{remote}]",
    "auth_remote_user_rejected": _KEY,
    "rest_authentication_required": _KEY,
    "rest_security_token_did_not_match": _KEY,
    "rest_xsrf_token_did_not_match": "give the voucher's link again: packhorse send FILES --voucher LINK",
    "rest_roundtrip_token_invalid": "this upload was begun by somebody else, or is over: send it anew",
    "rest_ownership_required": "only its owner may do this: packhorse whoami {remote}",
    "rest_unknown_principal": _VOUCHER,
    "guest_expired": _VOUCHER,
    "guest_not_found": "packhorse guests --via {remote}",
    "transfer_not_found": "packhorse transfers --via {remote}",
    "file_not_found": "packhorse transfers --via {remote}",
    "recipient_not_found": _LINK,
    "token_has_bad_format": _LINK,
    "token_is_missing": _LINK,
    "download_missing_files_ids": _LINK,
    "download_bad_files_ids": _LINK,
    "cannot_alter_closed_transfer": "send the files anew",
    "transfer_no_recipients": "one malformed address empties the whole list: check --to, or use --link",
    "transfer_too_many_recipients": "by some vouchers you can only send to who invited you: leave --to out",
    "bad_expire": "it must lie ahead, and within the site's longest validity",
    "transfer_file_name_invalid": "allowed are letters, digits, spaces and / _ . , ; : ! @ # $ % ^ & * ( ) [ ] -",
    "transfer_user_quota_exceeded": "packhorse transfers quota --via {remote}; delete what is no longer needed",
    "transfer_host_quota_exceeded": "ask the site's help desk, or try later",
    "transfer_too_many_files": _LIMITS,
    "transfer_maximum_size_exceeded": _LIMITS,
    "transfer_maximum_file_size_exceeded": _LIMITS,
    "transfer_maximum_encrypted_file_size_exceeded": _LIMITS,
    "transfer_expiry_extension_count_exceeded": _OFTEN,
    "guest_expiry_extension_count_exceeded": "invite the guest anew: packhorse invite ADDRESS",
    "user_hit_guest_limit": "revoke vouchers that are no longer needed: packhorse guests --via {remote}",
}
_BROKEN_RULES: Final = frozenset({"rest_sanity_check_failed", "file_size_does_not_match"})
"""A part that arrived otherwise than it was sent: another try may help."""
_CLOSED: Final = frozenset({"cannot_alter_closed_transfer", "cannot_add_data_to_complete_transfer"})


def identifier_of(body: bytes) -> str:
    """The identifier in an error answer, or nothing: pages, empty bodies and other JSON have none.

    >>> identifier_of(b'{"message":"transfer_not_found","uid":"5f","details":null}')
    'transfer_not_found'
    """
    error = parse_error(body)
    return error.message if error is not None else ""


def exception_in(url: str) -> str | None:
    """The identifier in the address of an exception page (older servers put it there), empty where it is not said;
    ``None`` when this is no exception page (spec §0.9)."""
    try:
        query = parse_qs(urlsplit(url).query, keep_blank_values=True)
    except ValueError:
        return None
    if query.get("s", [""])[0] != "exception":
        return None
    held = query.get("exception", [""])[0].replace(" ", "+")
    try:
        return identifier_of(base64.b64decode(held + "=" * (-len(held) % 4)))
    except (ValueError, binascii.Error):
        return ""


def refusal(
    head: ResponseHead, body: bytes, *, remote: str, what: str, base: str, identifier: str | None = None
) -> PackhorseError:
    """The error for a refused request. ``what`` names the thing (``transfer/12``); ``identifier`` is read from the
    body where it is not given. A plain :class:`RemoteError` is a status that says nothing more."""
    name = identifier_of(body) if identifier is None else identifier
    where = f"{remote}: {what}" if " " in what else f"{remote}:{what}"
    if name:
        known = meaning(name)
        hint = _HINTS.get(name, known.hint)
        return _known(known, head.status, where, hint and hint.format(remote=remote, base=base))
    return _by_status(head.status, bool(body.strip()), where, remote, base)


def _known(known: Meaning, status: int, where: str, hint: str | None) -> PackhorseError:
    said = f"{where}: {known.words}"
    match known.kind:
        case "auth":
            return AuthenticationError(said, hint=hint)
        case "missing" | "over" | "rate":
            return _gone(known.kind, said, status, hint)
        case "forbidden" | "limit":
            return PermissionDeniedError(said, status=status, hint=hint)
        case "input":
            broken = known.identifier in _BROKEN_RULES
            return ProtocolError(said, hint=hint) if broken else UsageError(said, hint=hint)
        case "state":
            return _state(known.identifier, said, status, hint)
    return ServerError(said, status=status, hint=hint or "try again later; what was done is kept")


def _gone(kind: str, said: str, status: int, hint: str | None) -> PackhorseError:
    if kind == "missing":
        return NotFoundError(said, hint=hint)
    if kind == "over":
        return ExpiredError(said, status=status, hint=hint)
    return RateLimitedError(said, status=status, hint=hint)


def _state(identifier: str, said: str, status: int, hint: str | None) -> PackhorseError:
    if identifier == "file_integrity_check_failed":
        return IntegrityError(
            said, expected="the declared size", got="another size", hint="nothing was announced; send it again"
        )
    if identifier in _CLOSED:
        return ExpiredError(said, status=status, hint=hint)
    return PermissionDeniedError(said, status=status, hint=hint)


def _by_status(status: int, wordy: bool, where: str, remote: str, base: str) -> PackhorseError:
    said = f"{where}: the server answers HTTP {status}"
    if status == 401:
        return AuthenticationError(said, hint=_KEY.format(remote=remote, base=base))
    if status == 403:
        return PermissionDeniedError(said, status=status)
    if status == 404:
        return NotFoundError(said, hint=f"is {base} the address of a FileSender site?")
    if status == 410:
        return ExpiredError(said, status=status, hint=_LINK)
    if status == 500:
        fault = "the server failed (HTTP 500)" if wordy else "the server failed without a word (HTTP 500, empty answer)"
        hint = "if it happens again, tell the site's help desk when; what was done is kept"
        return ServerError(f"{where}: {fault}", status=status, hint=hint)
    if status > 500:
        return ServerError(said, status=status, hint="try again later; what was done is kept")
    return RemoteError(said, status=status)
