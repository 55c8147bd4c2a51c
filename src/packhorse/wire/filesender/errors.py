"""FileSender's error identifiers: their HTTP status, their kind and plain words for them (spec filesender §1, §1.1).

Most refusals come as HTTP 500; the identifier in ``message`` says what happened: readers go by it, not by the status.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

__all__ = ["MEANINGS", "ApiError", "Kind", "Meaning", "error_body", "meaning", "parse_error", "status_of"]

Kind = Literal["auth", "forbidden", "missing", "over", "limit", "input", "state", "rate", "server"]
"""What a refusal is about: the credential, a right, an absent thing, an expired or closed one, a limit or quota, what
was sent, the order of calls, too many calls, the server itself."""

_LIMIT: Final = 65536


@dataclass(frozen=True, slots=True)
class Meaning:
    """One identifier: the status that a server sends, its kind, one line for a person, and what to do."""

    identifier: str
    status: int
    kind: Kind
    words: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class ApiError:
    """An error body as it was sent; ``message`` is an identifier, or whatever a proxy or plugin wrote."""

    message: str
    uid: str = ""
    details: Any = None

    @property
    def meaning(self) -> Meaning:
        """What the identifier means; unknown ones are the server's own fault and keep their text."""
        return meaning(self.message)


_TABLE: Final[tuple[tuple[int, Kind, str, str, str | None], ...]] = (
    # The REST layer.
    (400, "input", "rest_missing_parameter", "the server misses a parameter", None),
    (400, "input", "rest_bad_parameter", "the server does not take a parameter's value", None),
    (400, "input", "rest_sanity_check_failed", "a part arrived with another length or offset than was stated", None),
    (400, "state", "cannot_add_data_to_complete_transfer", "the transfer is complete and takes no more data", None),
    (400, "input", "file_size_does_not_match", "the file has another size than was declared", None),
    (400, "auth", "rest_security_token_did_not_match", "the server does not accept the page's security token", None),
    (400, "auth", "rest_xsrf_token_did_not_match", "the server does not accept the csrf token", None),
    (400, "input", "rest_endpoint_missing", "the address names no endpoint", None),
    (400, "input", "rest_updatedsince_bad_format", "updatedSince is not a date", None),
    (
        403,
        "auth",
        "rest_authentication_required",
        "the server wants a user here",
        "sign in with a user name and API key",
    ),
    (403, "forbidden", "rest_ownership_required", "it belongs to another user", None),
    (403, "forbidden", "rest_admin_required", "only an administrator may do this", None),
    (403, "forbidden", "rest_access_forbidden", "the application may not use this call", "ask the site's operators"),
    (403, "auth", "rest_roundtrip_token_invalid", "the round-trip token is missing or wrong", None),
    (403, "state", "cannot_alter_closed_transfer", "the transfer is closed", None),
    (403, "input", "rest_use_post", "the call must be a POST", None),
    (
        404,
        "missing",
        "rest_unknown_principal",
        "the file's transfer is a guest's, and the voucher is missing or wrong",
        None,
    ),
    (404, "state", "rest_data_stale", "it changed meanwhile", "run the command again"),
    (405, "input", "rest_method_not_allowed", "the server does not know that method", None),
    (501, "input", "rest_endpoint_not_implemented", "the server has no such endpoint", None),
    (501, "input", "rest_method_not_implemented", "the endpoint has no such method on this server", None),
    (503, "server", "undergoing_maintenance", "the site is under maintenance", "try again later"),
    # Signing in.
    (
        500,
        "auth",
        "auth_remote_too_late",
        "the request arrived too late for its signature",
        "check this machine's clock",
    ),
    (
        500,
        "auth",
        "auth_remote_signature_check_failed",
        "the user name or the API key is wrong",
        "check both on the site's page My profile",
    ),
    (500, "auth", "auth_remote_unknown_application", "the site does not know that application", None),
    (
        500,
        "auth",
        "auth_remote_user_rejected",
        "the user has no API key on this site",
        "create one on the site's page My profile",
    ),
    (500, "forbidden", "auth_user_not_allowed", "the site does not let this user in", None),
    (500, "missing", "user_not_found", "there is no such user", None),
    # Transfers.
    (500, "missing", "transfer_not_found", "there is no such transfer", None),
    (500, "state", "bad_transfer_status", "the transfer is not in a state that allows this", None),
    (500, "input", "transfer_no_files", "no files were named", None),
    (500, "limit", "transfer_too_many_files", "too many files for one transfer on this site", None),
    (500, "input", "transfer_no_recipients", "no recipient that the site accepts was given", "check the addresses"),
    (500, "limit", "transfer_too_many_recipients", "more recipients than are allowed here", None),
    (500, "limit", "transfer_maximum_size_exceeded", "the transfer is larger than the site allows", None),
    (500, "limit", "transfer_maximum_file_size_exceeded", "a file is larger than the site allows", None),
    (
        500,
        "limit",
        "transfer_maximum_encrypted_file_size_exceeded",
        "a file is larger than the site allows for encrypted ones",
        None,
    ),
    (500, "limit", "transfer_host_quota_exceeded", "the site has no room for it", None),
    (500, "limit", "transfer_user_quota_exceeded", "the user's quota has no room for it", "close older transfers"),
    (500, "input", "transfer_must_be_encrypted", "the site takes encrypted transfers only", "add --encrypt"),
    (500, "forbidden", "transfer_rejected", "the site rejected the transfer", None),
    (500, "state", "transfer_files_incomplete", "not all files are complete", None),
    (500, "input", "transfer_file_name_invalid", "the site does not take a file's name", "rename the file"),
    (500, "input", "transfer_message_can_not_contain_urls", "the site takes no web addresses in messages", None),
    (500, "over", "transfer_expired", "the transfer has expired", "ask the sender to send it again"),
    (
        500,
        "over",
        "transfer_presumed_expired",
        "the transfer has expired or was closed",
        "ask the sender to send it again",
    ),
    (500, "forbidden", "transfer_expiry_extension_not_allowed", "the site does not allow a longer expiry", None),
    (
        500,
        "limit",
        "transfer_expiry_extension_count_exceeded",
        "the expiry was extended as often as the site allows",
        None,
    ),
    (500, "input", "bad_expire", "the site does not allow that expiry", "choose an earlier day"),
    (500, "input", "bad_email", "an e-mail address is not valid", None),
    (500, "input", "bad_option_name", "the site does not know an option", None),
    (500, "input", "bad_option_value", "the site does not take an option's value", None),
    # Files.
    (500, "missing", "file_not_found", "there is no such file", None),
    (
        500,
        "input",
        "file_extension_not_allowed",
        "the site does not take files with that extension",
        "rename or pack the file",
    ),
    (500, "input", "file_chunk_out_of_bounds", "a part ends beyond the file's declared size", None),
    (500, "state", "file_integrity_check_failed", "the server holds another number of bytes than was declared", None),
    (500, "input", "storage_chunk_too_large", "a part is larger than the site's chunk size", None),
    (500, "limit", "storage_not_enough_space_left", "the server's disk is full", None),
    (500, "server", "storage_filesystem_cannot_write", "the server cannot write to its disk", None),
    # Guests.
    (500, "missing", "guest_not_found", "there is no such guest", None),
    (500, "over", "guest_expired", "the voucher has expired or was closed", "ask for a new invitation"),
    (500, "limit", "user_hit_guest_limit", "the user has as many guests as the site allows", "revoke a guest"),
    (500, "rate", "user_hit_guest_rate_limit", "too many guests were invited today", "try again tomorrow"),
    (500, "limit", "guest_reminder_limit_reached", "the guest was reminded as often as the site allows", None),
    (500, "rate", "guest_reminder_rate_limit_reached", "too many reminders were sent today", "try again tomorrow"),
    (
        500,
        "forbidden",
        "guest_expiry_extension_not_allowed",
        "the site does not allow a longer expiry for guests",
        None,
    ),
    (
        500,
        "limit",
        "guest_expiry_extension_count_exceeded",
        "the voucher was extended as often as the site allows",
        None,
    ),
    (500, "forbidden", "guest_guest_create_attempted_while_system_disabled", "the site has no guests", None),
    (500, "input", "message_can_not_contain_urls", "the site takes no web addresses in messages", None),
    # Tokens and the rest.
    (500, "input", "token_has_bad_format", "the token is not one", "copy the whole link"),
    (500, "input", "token_is_missing", "the request has no token", None),
    (
        500,
        "missing",
        "recipient_not_found",
        "no transfer goes with that token",
        "copy the whole link, or ask the sender",
    ),
    (500, "input", "invalid_recipient", "the recipient's address is not valid", None),
    (500, "input", "download_missing_files_ids", "no files were asked for", None),
    (500, "missing", "download_bad_files_ids", "the files asked for are not in this transfer", None),
    (500, "rate", "rate_limit_exceeded", "the site's limit of such calls for today is reached", "try again tomorrow"),
    (500, "server", "database_access_failure", "the server's database failed", "try again later"),
)

MEANINGS: Final[Mapping[str, Meaning]] = {
    identifier: Meaning(identifier, status, kind, words, hint) for status, kind, identifier, words, hint in _TABLE
}
"""Every identifier that is known."""


def status_of(identifier: str) -> int:
    """The HTTP status that goes with an identifier; 500 for those of no table."""
    known = MEANINGS.get(identifier)
    return known.status if known else 500


def meaning(identifier: str) -> Meaning:
    """What an identifier means. An unknown one is of kind ``server``, with its own text cut to 200 characters."""
    known = MEANINGS.get(identifier)
    if known:
        return known
    shown = "".join(character if character.isprintable() else " " for character in identifier[:200])
    return Meaning(identifier, 500, "server", f"the server refused: {shown}" if shown.strip() else "the server failed")


def error_body(identifier: str, uid: str, details: Any = None) -> dict[str, Any]:
    """An error's body; ``uid`` is the id of the log entry (hexadecimal)."""
    return {"message": identifier, "uid": uid, "details": details}


def parse_error(body: bytes) -> ApiError | None:
    """The error in an answer's body, or ``None`` when it is empty, HTML or anything else (a PHP fault, a proxy).

    >>> parse_error(b'{"message":"guest_expired","uid":"6","details":null}').meaning.kind
    'over'
    >>> parse_error(b"") is parse_error(b"<html>") is None
    True
    """
    if not body or len(body) > _LIMIT:
        return None
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    message = value.get("message")
    if not isinstance(message, str) or not message:
        return None
    uid = value.get("uid")
    return ApiError(message, uid if isinstance(uid, str) else "", value.get("details"))
